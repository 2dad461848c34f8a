/* SPDX-License-Identifier: MIT */
#ifndef MEMORY_MMAP_H
#define MEMORY_MMAP_H

/* Guest memory that the front end shares as files (memfd, hugetlbfs, /dev/shm): mapped whole. */

#include "memory/memory_impl.h"

extern const struct memory_ops memory_mmap_ops;

/*
 * A front end can shrink a memory file under our mapping; touching the lost pages then raises SIGBUS.
 * This installs a handler that puts zero pages in their place and marks the region damaged, so that
 * only this session ends. Signals from elsewhere take their default action. Call once at start.
 */
void memory_mmap_install_sigbus_handler(void);

#endif
