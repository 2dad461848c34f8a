/* SPDX-License-Identifier: MIT */
#include "support/array_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/memory_impl.h"

/* The bytes end where a page begins that nobody may touch. */
struct array {
	uint8_t *pages;
	size_t pages_len;
	uint8_t *bytes;
	size_t size;
};

static struct array *last_added;
static size_t mapped_count;
static array_memory_hook_fn map_hook;
static void *map_hook_data;

static int add_region(const struct memory_region_info *info, int fd, void **region)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = ((size_t)info->size + page - 1) & ~(page - 1);
	struct array *array = calloc(1, sizeof(*array));
	int result;

	(void)fd;
	assert(array);
	array->size = (size_t)info->size;
	array->pages_len = len + page;
	array->pages = mmap(
		NULL, array->pages_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(array->pages != MAP_FAILED);
	result = mprotect(array->pages + len, page, PROT_NONE);
	assert(result == 0);
	array->bytes = array->pages + len - array->size;
	last_added = array;
	*region = array;
	return 0;
}

static void remove_region(void *region)
{
	struct array *array = region;

	munmap(array->pages, array->pages_len);
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
	if (map_hook) {
		map_hook(map_hook_data);
	}
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

void array_memory_set_map_hook(array_memory_hook_fn hook, void *data)
{
	map_hook = hook;
	map_hook_data = data;
}
