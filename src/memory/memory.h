/* SPDX-License-Identifier: MIT */
#ifndef MEMORY_MEMORY_H
#define MEMORY_MEMORY_H

/*
 * A guest's memory, as the front end described it: regions of guest physical addresses, each
 * backed by something that this process can map. Users name bytes by guest physical address or by
 * span; a pointer to guest memory exists only inside a memory_mapping, which is owned, counted, and
 * keeps its pages alive though the region be removed from the table.
 *
 * All numbers come from outside and are checked here. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct memory;
struct memory_ops;

/* One region of the table, as a front end sends it (bytes; nothing checked yet). */
struct memory_region_info {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr; // where the front end sees it; ring addresses are in this space
	uint64_t mmap_offset; // of the first byte in the file
};

enum memory_access {
	MEMORY_READ = 1,
	MEMORY_WRITE = 2,
	MEMORY_READ_WRITE = 3,
};

/*
 * A piece of one region. region_id is never used again after a region went, so a stale span cannot
 * name other bytes. Data, no pointer: a span can travel to another process.
 */
struct memory_span {
	uint32_t region_id;
	uint64_t offset; // bytes from the region's start
	uint64_t len; // bytes, not zero
};

/* Guest memory mapped here: iov_count pieces that are `len` bytes in all. */
struct memory_mapping {
	struct iovec *iov;
	size_t iov_count;
	uint64_t len;
};

/*
 * An empty table that holds at most max_regions. ops is one of mmap.h, or a test's. Returns NULL on
 * failure (logged).
 */
struct memory *memory_create(const struct memory_ops *ops, uint32_t max_regions);

/* All mappings must have been released. NULL is fine. */
void memory_destroy(struct memory *memory);

/*
 * Adds a region; fd is borrowed (a duplicate or mapping is kept). Errors: -EINVAL (size 0, or a
 * range wraps), -EEXIST (guest or user addresses overlap a region's), -ENOSPC (max_regions reached),
 * others from mapping the file, all logged.
 */
int memory_add_region(struct memory *memory, const struct memory_region_info *info, int fd);

/* Removes the region whose guest_addr, size and user_addr are these. Errors: -ENOENT. */
int memory_remove_region(struct memory *memory, const struct memory_region_info *info);

/*
 * Replaces the whole table, or changes nothing. fds are borrowed, one a region. A region that is in
 * the old table too (same addresses, same file) is kept with its id. Errors as memory_add_region.
 */
int memory_set_table(struct memory *memory, const struct memory_region_info *infos, const int *fds,
	size_t count);

/* Removes all regions. */
void memory_clear(struct memory *memory);

uint32_t memory_region_count(const struct memory *memory);

/*
 * Set once a page of guest memory vanished under its mapping (the front end shrank the file; see
 * mmap.h). The session should close.
 */
bool memory_is_damaged(const struct memory *memory);

/*
 * Finds the spans of [guest_addr, guest_addr + len), which may cross regions that touch. len 0 gives
 * none. Returns how many were written to spans, -EFAULT when a byte belongs to no region, or -ENOSPC
 * when capacity is too small. O(log regions) a span.
 */
int memory_resolve(struct memory *memory, uint64_t guest_addr, uint64_t len,
	struct memory_span *spans, size_t capacity);

/* Translates an address of the front end's space. Returns false when [user_addr, +len) is in none. */
bool memory_user_to_guest(
	struct memory *memory, uint64_t user_addr, uint64_t len, uint64_t *guest_addr);

/*
 * Maps the spans, in order; neighbours that touch become one piece. Returns a new reference, or NULL
 * with errno EFAULT (a span is of no region) or ENOMEM.
 */
struct memory_mapping *memory_map(struct memory *memory, const struct memory_span *spans,
	size_t count, enum memory_access access);
struct memory_mapping *memory_mapping_ref(struct memory_mapping *mapping);
void memory_mapping_unref(struct memory_mapping *mapping); // NULL is fine

/* Maps a range that must lie within one region, as one piece: a ring. Errors as memory_map. */
struct memory_mapping *memory_map_range(
	struct memory *memory, uint64_t guest_addr, uint64_t len, enum memory_access access);

/* Copy between guest memory and private bytes; all or -EFAULT (then some may have been copied). */
int memory_read(struct memory *memory, uint64_t guest_addr, void *to, size_t len);
int memory_write(struct memory *memory, uint64_t guest_addr, const void *from, size_t len);

#endif
