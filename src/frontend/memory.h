/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_MEMORY_H
#define FRONTEND_MEMORY_H

/*
 * Guest memory: regions of memfds, each at a guest address, with an allocator. Three addresses name
 * a byte: the pointer in this process, the guest address (descriptors, backing pages), and the user
 * address that vhost-user ring addresses use. Here the user address is the pointer, as in QEMU, so a
 * back end that mixes two of them up is found out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fe_memory_limits {
	FE_MEMORY_REGIONS = 64,
};

/* A piece of guest memory that was allocated. size 0: none. */
struct fe_span {
	uint64_t addr; // guest address
	void *host;
	uint64_t size;
};

struct fe_region {
	int fd; // owned; -1: region removed
	uint8_t *host;
	uint64_t guest_addr;
	uint64_t size;
	uint64_t mmap_offset; // where in fd the region begins
	struct fe_hole *holes; // free parts, ascending
};

struct fe_memory {
	struct fe_region regions[FE_MEMORY_REGIONS];
	size_t count;
};

/* Starts without a region. */
void fe_memory_init(struct fe_memory *memory);
void fe_memory_finish(struct fe_memory *memory);

/*
 * Makes a zeroed memfd of size bytes (page multiple) and lays it at guest_addr. Tells no back end: see
 * fe_session_set_mem_table and fe_session_add_mem_reg. Returns the region's index or -errno.
 */
int fe_memory_add_region(struct fe_memory *memory, uint64_t guest_addr, uint64_t size);

/* The same with the region beginning mmap_offset bytes into its file. */
int fe_memory_add_region_at_offset(
	struct fe_memory *memory, uint64_t guest_addr, uint64_t size, uint64_t mmap_offset);

/* Unmaps and closes the region. Its index stays taken. */
void fe_memory_remove_region(struct fe_memory *memory, size_t index);

/*
 * Takes size zeroed bytes, aligned to align (a power of two), from the first region that has them;
 * the span's size is 0 when none has.
 */
struct fe_span fe_memory_alloc(struct fe_memory *memory, uint64_t size, uint64_t align);

/* The same, from one region. */
struct fe_span fe_memory_alloc_in(
	struct fe_memory *memory, size_t index, uint64_t size, uint64_t align);

/* Gives the span back and empties it. An empty span is fine. */
void fe_memory_free(struct fe_memory *memory, struct fe_span *span);

/* The pointer to a guest address; NULL unless [addr, addr + size) lies in one region. */
void *fe_memory_at(const struct fe_memory *memory, uint64_t addr, uint64_t size);

/* The guest address of a pointer into a region; UINT64_MAX for any other. */
uint64_t fe_memory_addr(const struct fe_memory *memory, const void *host);

#endif
