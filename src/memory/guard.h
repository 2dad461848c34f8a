/* SPDX-License-Identifier: MIT */
#ifndef MEMORY_GUARD_H
#define MEMORY_GUARD_H

/*
 * Guards over mapped files. A file can shrink under its mapping; touching a lost page then raises
 * SIGBUS. Where a guard covers the page, the handler puts zeros in its place and the guard remembers.
 */

#include <stdbool.h>
#include <stddef.h>

struct guard;

/*
 * Guards [start, start + len); page_size is the unit in which parts of it can be mapped anew. Returns
 * NULL when there is no memory.
 */
struct guard *guard_add(void *start, size_t len, size_t page_size);

/* Call before the range is unmapped. */
void guard_remove(struct guard *guard);

/* Was a page lost? */
bool guard_was_hit(const struct guard *guard);

/* Installs the handler. */
void guard_install_handler(void);

#endif
