/* SPDX-License-Identifier: MIT */
#include "support/array_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "memory/memory_impl.h"

struct array {
	uint8_t *bytes;
	size_t size;
};

static struct array *last_added;
static size_t mapped_count;

static int add_region(const struct memory_region_info *info, int fd, void **region)
{
	struct array *array = calloc(1, sizeof(*array));

	(void)fd;
	assert(array);
	array->size = (size_t)info->size;
	array->bytes = mmap(
		NULL, array->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(array->bytes != MAP_FAILED);
	last_added = array;
	*region = array;
	return 0;
}

static void remove_region(void *region)
{
	struct array *array = region;

	munmap(array->bytes, array->size);
	free(array);
}

static bool same_region(const void *region, const struct memory_region_info *info, int fd)
{
	(void)region;
	(void)info;
	(void)fd;
	return false;
}

static void *map(void *region, uint64_t offset, uint64_t len, enum memory_access access)
{
	const struct array *array = region;

	(void)access;
	assert(offset <= array->size && len <= array->size - offset);
	mapped_count++;
	return array->bytes + offset;
}

static void unmap(void *region, void *address, uint64_t offset, uint64_t len)
{
	const struct array *array = region;

	(void)len;
	assert(address == array->bytes + offset);
	assert(mapped_count > 0);
	mapped_count--;
}

static bool is_damaged(const void *region)
{
	(void)region;
	return false;
}

static const struct memory_ops array_ops = {
	.add_region = add_region,
	.remove_region = remove_region,
	.same_region = same_region,
	.map = map,
	.unmap = unmap,
	.is_damaged = is_damaged,
};

struct memory *array_memory_create(void)
{
	struct memory *memory = memory_create(&array_ops, 4096);

	assert(memory);
	return memory;
}

uint8_t *array_memory_add(struct memory *memory, uint64_t guest_addr, size_t size)
{
	const struct memory_region_info info = {
		.guest_addr = guest_addr,
		.size = size,
		.user_addr = guest_addr,
	};
	int result = memory_add_region(memory, &info, -1);

	assert(result == 0);
	return last_added->bytes;
}

size_t array_memory_mapped(void)
{
	return mapped_count;
}
