/* SPDX-License-Identifier: MIT */
#ifndef MEMORY_MEMORY_IMPL_H
#define MEMORY_MEMORY_IMPL_H

/* For those who implement a way to reach guest pages: mmap.c (shared files), Xen's, a test's array. */

#include "memory/memory.h"

/*
 * All entries must be present. `region` is the implementation's own object, made by add_region and
 * ended by remove_region, which comes after the last unmap of it.
 */
struct memory_ops {
	/*
	 * Makes a region reachable; fd is borrowed. Returns 0 and *region, or -errno (logged). The
	 * numbers have been checked: nothing wraps, size is not 0.
	 */
	int (*add_region)(const struct memory_region_info *info, int fd, void **region);

	void (*remove_region)(void *region);

	/* Is this the same piece of the same file? Then memory_set_table keeps the old object. */
	bool (*same_region)(const void *region, const struct memory_region_info *info, int fd);

	/*
	 * Maps [offset, offset + len) of the region, which lies within it. Returns NULL with errno.
	 * Every map is matched by one unmap with the same numbers.
	 */
	void *(*map)(void *region, uint64_t offset, uint64_t len, enum memory_access access);
	void (*unmap)(void *region, void *address, uint64_t offset, uint64_t len);

	/* Did a page of this region vanish under its mapping? */
	bool (*is_damaged)(const void *region);
};

#endif
