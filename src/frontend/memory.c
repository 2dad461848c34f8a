/* SPDX-License-Identifier: MIT */
#include "frontend/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"

/* A free part of a region; offsets within it. */
struct fe_hole {
	uint64_t off;
	uint64_t size;
	struct fe_hole *next;
};

static struct fe_hole *hole_create(uint64_t off, uint64_t size, struct fe_hole *next)
{
	struct fe_hole *hole = calloc(1, sizeof(*hole));

	if (!hole) {
		abort(); // a test tool: nothing sensible is left to do
	}
	*hole = (struct fe_hole){ off, size, next };
	return hole;
}

void fe_memory_init(struct fe_memory *memory)
{
	*memory = (struct fe_memory){ 0 };
}

void fe_memory_finish(struct fe_memory *memory)
{
	for (size_t i = 0; i < memory->count; i++) {
		fe_memory_remove_region(memory, i);
	}
	memory->count = 0;
}

static int make_file(uint64_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	if (fd < 0) {
		return -errno;
	}
	if (ftruncate(fd, (off_t)size) < 0) {
		int error = errno;

		fd_close(&fd);
		return -error;
	}
	return fd;
}

int fe_memory_add_region_at_offset(
	struct fe_memory *memory, uint64_t guest_addr, uint64_t size, uint64_t mmap_offset)
{
	if (memory->count == FE_MEMORY_REGIONS) {
		return -ENOSPC;
	}
	int fd = make_file(mmap_offset + size);
	if (fd < 0) {
		return fd;
	}
	void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)mmap_offset);
	if (host == MAP_FAILED) {
		int error = errno;

		fd_close(&fd);
		return -error;
	}
	memory->regions[memory->count] = (struct fe_region){
		.fd = fd,
		.host = host,
		.guest_addr = guest_addr,
		.size = size,
		.mmap_offset = mmap_offset,
		.holes = hole_create(0, size, NULL),
	};
	return (int)memory->count++;
}

int fe_memory_add_region(struct fe_memory *memory, uint64_t guest_addr, uint64_t size)
{
	return fe_memory_add_region_at_offset(memory, guest_addr, size, 0);
}

void fe_memory_remove_region(struct fe_memory *memory, size_t index)
{
	struct fe_region *region = &memory->regions[index];

	if (region->fd < 0) {
		return;
	}
	while (region->holes) {
		struct fe_hole *next = region->holes->next;

		free(region->holes);
		region->holes = next;
	}
	munmap(region->host, region->size);
	fd_close(&region->fd);
}

/* Cuts [off, off + size) out of the hole that *link points at. */
static void cut(struct fe_hole **link, uint64_t off, uint64_t size)
{
	struct fe_hole *hole = *link;
	uint64_t before = off - hole->off;
	uint64_t after = hole->size - before - size;

	if (after > 0) {
		hole->next = hole_create(off + size, after, hole->next);
	}
	hole->size = before;
	if (before == 0) {
		*link = hole->next;
		free(hole);
	}
}

static struct fe_span take(struct fe_region *region, uint64_t size, uint64_t align)
{
	for (struct fe_hole **link = &region->holes; *link; link = &(*link)->next) {
		uint64_t addr = (region->guest_addr + (*link)->off + align - 1) & ~(align - 1);
		uint64_t off = addr - region->guest_addr;

		if (checked_range_within(off - (*link)->off, size, (*link)->size)) {
			cut(link, off, size);
			memset(region->host + off, 0, size);
			return (struct fe_span){ addr, region->host + off, size };
		}
	}
	return (struct fe_span){ 0 };
}

struct fe_span fe_memory_alloc_in(
	struct fe_memory *memory, size_t index, uint64_t size, uint64_t align)
{
	assert(index < memory->count && checked_is_power_of_two(align) && size > 0);
	return take(&memory->regions[index], size, align);
}

struct fe_span fe_memory_alloc(struct fe_memory *memory, uint64_t size, uint64_t align)
{
	struct fe_span span = { 0 };

	for (size_t i = 0; i < memory->count && span.size == 0; i++) {
		span = fe_memory_alloc_in(memory, i, size, align);
	}
	return span;
}

static struct fe_region *find(const struct fe_memory *memory, uint64_t addr, uint64_t size)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct fe_region *region = &memory->regions[i];

		if (region->fd >= 0 && addr >= region->guest_addr &&
			checked_range_within(addr - region->guest_addr, size, region->size)) {
			return (struct fe_region *)region;
		}
	}
	return NULL;
}

/* Joins the hole with its successor where they touch. */
static void join(struct fe_hole *hole)
{
	struct fe_hole *next = hole->next;

	if (next && hole->off + hole->size == next->off) {
		hole->size += next->size;
		hole->next = next->next;
		free(next);
	}
}

void fe_memory_free(struct fe_memory *memory, struct fe_span *span)
{
	struct fe_region *region = span->size ? find(memory, span->addr, span->size) : NULL;

	if (region) {
		uint64_t off = span->addr - region->guest_addr;
		struct fe_hole *before = NULL;
		struct fe_hole **link = &region->holes;

		while (*link && (*link)->off < off) {
			before = *link;
			link = &(*link)->next;
		}
		*link = hole_create(off, span->size, *link);
		join(*link);
		if (before) {
			join(before);
		}
	}
	*span = (struct fe_span){ 0 };
}

void *fe_memory_at(const struct fe_memory *memory, uint64_t addr, uint64_t size)
{
	const struct fe_region *region = find(memory, addr, size);

	return region ? region->host + (addr - region->guest_addr) : NULL;
}

uint64_t fe_memory_addr(const struct fe_memory *memory, const void *host)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct fe_region *region = &memory->regions[i];
		const uint8_t *byte = host;

		if (region->fd >= 0 && byte >= region->host && byte < region->host + region->size) {
			return region->guest_addr + (uint64_t)(byte - region->host);
		}
	}
	return UINT64_MAX;
}
