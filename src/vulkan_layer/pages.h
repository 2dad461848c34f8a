/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_PAGES_H
#define VULKAN_LAYER_PAGES_H

/*
 * Memory that can leave the process: a mapped file of the kernel's, of which a descriptor can be handed out.
 */

#include <stddef.h>
#include <stdint.h>

struct pages {
	int fd;
	void *address;
	size_t size; // of the mapping; the file may be larger
};

/*
 * Makes zeroed pages of that size, a multiple of the page size, at an address that is a multiple of alignment, a
 * power of two. Nobody can shrink or grow them. Returns 0 or -errno.
 */
int pages_create(uint64_t size, uint64_t alignment, struct pages *pages);

/*
 * Maps the first size bytes of somebody's descriptor, which is taken on success and kept by the caller on
 * failure. -EINVAL: it is no memory that can be mapped for good, or it is smaller than size. Returns 0 or
 * -errno.
 */
int pages_import(int fd, uint64_t size, uint64_t alignment, struct pages *pages);

/* Unmaps; the descriptor of pages_release is the caller's again. */
void pages_destroy(struct pages *pages);
int pages_release(struct pages *pages);

#endif
