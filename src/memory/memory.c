/* SPDX-License-Identifier: MIT */
#include "memory/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/list.h"
#include "base/log.h"
#include "memory/memory_impl.h"
#include "memory/table.h"

/*
 * How this works
 *
 * A region is counted: the table holds one reference, each piece of a mapping another. A region that
 * left the table while mapped waits on `detached` until the last mapping goes; only then does the
 * implementation hear of it. Copies (memory_read, memory_write) map and unmap at once and take no
 * reference.
 *
 * Ids count upwards and are not used again, so a span that outlived its region resolves to nothing. A
 * table that is replaced keeps the regions (and so the ids, and what is mapped) that the new one has
 * too: front ends send the whole table whenever one region comes or goes.
 */

struct memory {
	const struct memory_ops *ops;
	uint32_t max_regions;
	uint32_t next_id;
	struct table table;
	struct list detached; // region.link
	size_t mapping_count;
	bool damaged; // a region that is gone was
};

/* A stretch of one region in a mapping; where it lies is in the iovec of the same index. */
struct piece {
	struct region *region;
	uint64_t offset;
};

struct counted_mapping {
	struct memory_mapping base;
	struct memory *memory; // borrowed
	uint32_t refs;
	struct piece *pieces; // base.iov_count of them, behind the iovecs
	struct iovec iov[];
};

static void check_ops(const struct memory_ops *ops)
{
	assert(ops->add_region && ops->remove_region && ops->same_region && ops->map &&
		ops->unmap && ops->is_damaged);
}

struct memory *memory_create(const struct memory_ops *ops, uint32_t max_regions)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	check_ops(ops);
	if (!memory) {
		log_error("no memory for a table of memory regions");
		return NULL;
	}
	memory->ops = ops;
	memory->max_regions = max_regions;
	list_init(&memory->detached);
	return memory;
}

void memory_destroy(struct memory *memory)
{
	if (!memory) {
		return;
	}
	memory_clear(memory);
	assert(memory->mapping_count == 0 && list_is_empty(&memory->detached));
	table_finish(&memory->table);
	free(memory);
}

static void unref_region(struct memory *memory, struct region *region)
{
	if (--region->refs > 0) {
		return;
	}
	list_remove(&region->link);
	memory->damaged |= memory->ops->is_damaged(region->object);
	memory->ops->remove_region(region->object);
	free(region);
}

/* The table lets go of a region. */
static void drop_region(struct memory *memory, struct region *region)
{
	if (list_is_empty(&region->link)) {
		list_append(&memory->detached, &region->link);
	}
	unref_region(memory, region);
}

static int check_info(const struct memory_region_info *info)
{
	uint64_t end;

	if (info->size == 0 || info->size > SIZE_MAX ||
		!checked_add_u64(info->guest_addr, info->size, &end) ||
		!checked_add_u64(info->user_addr, info->size, &end) ||
		!checked_add_u64(info->mmap_offset, info->size, &end)) {
		log_error("memory region at 0x%llx: %llu bytes make no sense",
			(unsigned long long)info->guest_addr, (unsigned long long)info->size);
		return -EINVAL;
	}
	return 0;
}

/* Is there a place for one more region, these addresses, in the table? */
static int check_place(const struct memory *memory, const struct table *table,
	const struct memory_region_info *info)
{
	if (table->count >= memory->max_regions || memory->next_id == UINT32_MAX) {
		log_error("memory region at 0x%llx: %u regions are the limit",
			(unsigned long long)info->guest_addr, memory->max_regions);
		return -ENOSPC;
	}
	if (table_overlaps(table, info->guest_addr, info->user_addr, info->size)) {
		log_error("memory region at 0x%llx: overlaps another",
			(unsigned long long)info->guest_addr);
		return -EEXIST;
	}
	return 0;
}

static int create_region(struct memory *memory, const struct memory_region_info *info, int fd,
	struct region **created)
{
	struct region *region = calloc(1, sizeof(*region));
	int result;

	if (!region) {
		log_error("no memory for a memory region");
		return -ENOMEM;
	}
	result = memory->ops->add_region(info, fd, &region->object);
	if (result < 0) {
		free(region);
		return result;
	}
	region->keys[REGION_GUEST] = info->guest_addr;
	region->keys[REGION_USER] = info->user_addr;
	region->keys[REGION_ID] = memory->next_id++;
	region->size = info->size;
	region->refs = 1;
	list_init(&region->link);
	*created = region;
	return 0;
}

/* Makes a region and puts it into the table, which may be one that is not in use yet. */
static int add_to_table(
	struct memory *memory, struct table *table, const struct memory_region_info *info, int fd)
{
	struct region *region;
	int result = table_reserve(table);

	if (result == 0) {
		result = create_region(memory, info, fd, &region);
	}
	if (result == 0) {
		table_insert(table, region);
	}
	return result;
}

int memory_add_region(struct memory *memory, const struct memory_region_info *info, int fd)
{
	int result = check_info(info);

	if (result == 0) {
		result = check_place(memory, &memory->table, info);
	}
	if (result == 0) {
		result = add_to_table(memory, &memory->table, info, fd);
	}
	return result;
}

/* The region of exactly these addresses; NULL when there is none. */
static struct region *find_same(struct table *table, const struct memory_region_info *info)
{
	struct region *region = table_find(table, REGION_GUEST, info->guest_addr);

	if (!region || region->keys[REGION_GUEST] != info->guest_addr ||
		region->keys[REGION_USER] != info->user_addr || region->size != info->size) {
		return NULL;
	}
	return region;
}

int memory_remove_region(struct memory *memory, const struct memory_region_info *info)
{
	struct region *region = find_same(&memory->table, info);

	if (!region) {
		log_error("memory region at 0x%llx: there is none to remove",
			(unsigned long long)info->guest_addr);
		return -ENOENT;
	}
	table_remove(&memory->table, region);
	drop_region(memory, region);
	return 0;
}

/* Takes the region over from the table in use, or makes it. */
static int carry_over(
	struct memory *memory, struct table *table, const struct memory_region_info *info, int fd)
{
	struct region *same = find_same(&memory->table, info);

	if (!same || !memory->ops->same_region(same->object, info, fd)) {
		return add_to_table(memory, table, info, fd);
	}
	if (table_reserve(table) < 0) {
		return -ENOMEM;
	}
	same->refs++;
	table_insert(table, same);
	return 0;
}

static void drop_table(struct memory *memory, struct table *table)
{
	for (uint32_t i = 0; i < table->count; i++) {
		struct region *region = table->by[REGION_ID][i];

		if (region->refs > 1 &&
			table_find(&memory->table, REGION_ID, region->keys[REGION_ID])) {
			region->refs--; // stays in the table in use
		} else {
			drop_region(memory, region);
		}
	}
	table_finish(table);
}

int memory_set_table(
	struct memory *memory, const struct memory_region_info *infos, const int *fds, size_t count)
{
	struct table table = { 0 };
	struct table old;

	for (size_t i = 0; i < count; i++) {
		int result = check_info(&infos[i]);

		if (result == 0) {
			result = check_place(memory, &table, &infos[i]);
		}
		if (result == 0) {
			result = carry_over(memory, &table, &infos[i], fds[i]);
		}
		if (result < 0) {
			drop_table(memory, &table);
			return result;
		}
	}
	old = memory->table;
	memory->table = table;
	drop_table(memory, &old);
	return 0;
}

void memory_clear(struct memory *memory)
{
	struct table old = memory->table;

	memory->table = (struct table){ 0 };
	drop_table(memory, &old);
}

uint32_t memory_region_count(const struct memory *memory)
{
	return memory->table.count;
}

bool memory_is_damaged(const struct memory *memory)
{
	bool damaged = memory->damaged;

	for (uint32_t i = 0; !damaged && i < memory->table.count; i++) {
		damaged = memory->ops->is_damaged(memory->table.by[REGION_GUEST][i]->object);
	}
	list_for_each(link, &memory->detached) {
		damaged |= memory->ops->is_damaged(container_of(link, struct region, link)->object);
	}
	return damaged;
}

int memory_resolve(struct memory *memory, uint64_t guest_addr, uint64_t len,
	struct memory_span *spans, size_t capacity)
{
	size_t count = 0;

	while (len > 0) {
		struct region *region = table_find(&memory->table, REGION_GUEST, guest_addr);
		struct memory_span span;

		if (!region) {
			return -EFAULT;
		}
		if (count == capacity) {
			return -ENOSPC;
		}
		span.region_id = (uint32_t)region->keys[REGION_ID];
		span.offset = guest_addr - region->keys[REGION_GUEST];
		span.len = region->size - span.offset;
		if (span.len > len) {
			span.len = len;
		}
		spans[count++] = span;
		guest_addr += span.len; // at most a region's end, which does not wrap
		len -= span.len;
	}
	return (int)count;
}

bool memory_user_to_guest(
	struct memory *memory, uint64_t user_addr, uint64_t len, uint64_t *guest_addr)
{
	struct region *region = table_find(&memory->table, REGION_USER, user_addr);
	uint64_t offset;

	if (!region) {
		return false;
	}
	offset = user_addr - region->keys[REGION_USER];
	if (!checked_range_within(offset, len, region->size)) {
		return false;
	}
	*guest_addr = region->keys[REGION_GUEST] + offset;
	return true;
}

/* Does the span go on where the one before it ends? */
static bool spans_touch(const struct memory_span *before, const struct memory_span *span)
{
	return before->region_id == span->region_id && before->offset + before->len == span->offset;
}

/* Checks the spans. Returns how many pieces they make and *len, or -1 with errno. */
static ssize_t count_pieces(
	struct memory *memory, const struct memory_span *spans, size_t count, uint64_t *len)
{
	ssize_t pieces = 0;

	*len = 0;
	for (size_t i = 0; i < count; i++) {
		const struct memory_span *span = &spans[i];
		const struct region *region = table_find(
			&memory->table, REGION_ID, span->region_id);

		if (!region || span->len == 0 ||
			!checked_range_within(span->offset, span->len, region->size)) {
			errno = EFAULT;
			return -1;
		}
		if (!checked_add_u64(*len, span->len, len)) {
			errno = ENOMEM;
			return -1;
		}
		pieces += i == 0 || !spans_touch(&spans[i - 1], span);
	}
	return pieces;
}

static struct counted_mapping *allocate_mapping(struct memory *memory, size_t pieces)
{
	const size_t each = sizeof(struct iovec) + sizeof(struct piece);
	struct counted_mapping *mapping;

	if (pieces > (SIZE_MAX - sizeof(*mapping)) / each) {
		errno = ENOMEM;
		return NULL;
	}
	mapping = malloc(sizeof(*mapping) + pieces * each);
	if (!mapping) {
		return NULL;
	}
	*mapping = (struct counted_mapping){
		.base.iov = mapping->iov,
		.memory = memory,
		.refs = 1,
		.pieces = (struct piece *)(void *)(mapping->iov + pieces),
	};
	memory->mapping_count++;
	return mapping;
}

/* Maps [offset, offset + len) of the region as the next piece. Returns 0, or -1 with errno. */
static int map_piece(struct counted_mapping *mapping, struct region *region, uint64_t offset,
	uint64_t len, enum memory_access access)
{
	size_t index = mapping->base.iov_count;
	void *address = mapping->memory->ops->map(region->object, offset, len, access);

	if (!address) {
		return -1;
	}
	region->refs++;
	mapping->pieces[index] = (struct piece){ region, offset };
	mapping->iov[index] = (struct iovec){ address, (size_t)len };
	mapping->base.iov_count++;
	mapping->base.len += len;
	return 0;
}

static int map_pieces(struct counted_mapping *mapping, const struct memory_span *spans,
	size_t count, enum memory_access access)
{
	struct table *table = &mapping->memory->table;

	for (size_t i = 0; i < count;) {
		struct region *region = table_find(table, REGION_ID, spans[i].region_id);
		uint64_t offset = spans[i].offset;
		uint64_t len = spans[i].len;

		while (++i < count && spans_touch(&spans[i - 1], &spans[i])) {
			len += spans[i].len;
		}
		if (map_piece(mapping, region, offset, len, access) < 0) {
			return -1;
		}
	}
	return 0;
}

struct memory_mapping *memory_map(struct memory *memory, const struct memory_span *spans,
	size_t count, enum memory_access access)
{
	struct counted_mapping *mapping;
	uint64_t len;
	ssize_t pieces = count_pieces(memory, spans, count, &len);

	if (pieces < 0) {
		return NULL;
	}
	mapping = allocate_mapping(memory, (size_t)pieces);
	if (!mapping) {
		return NULL;
	}
	if (map_pieces(mapping, spans, count, access) < 0) {
		int error = errno;

		memory_mapping_unref(&mapping->base);
		errno = error;
		return NULL;
	}
	return &mapping->base;
}

struct memory_mapping *memory_map_range(
	struct memory *memory, uint64_t guest_addr, uint64_t len, enum memory_access access)
{
	struct memory_span span;

	if (memory_resolve(memory, guest_addr, len, &span, 1) != 1) {
		errno = EFAULT;
		return NULL;
	}
	return memory_map(memory, &span, 1, access);
}

static struct counted_mapping *downcast(struct memory_mapping *mapping)
{
	return container_of(mapping, struct counted_mapping, base);
}

struct memory_mapping *memory_mapping_ref(struct memory_mapping *mapping)
{
	downcast(mapping)->refs++;
	return mapping;
}

void memory_mapping_unref(struct memory_mapping *base)
{
	struct counted_mapping *mapping;

	if (!base || --downcast(base)->refs > 0) {
		return;
	}
	mapping = downcast(base);
	for (size_t i = 0; i < base->iov_count; i++) {
		const struct piece *piece = &mapping->pieces[i];

		mapping->memory->ops->unmap(piece->region->object, base->iov[i].iov_base,
			piece->offset, base->iov[i].iov_len);
		unref_region(mapping->memory, piece->region);
	}
	mapping->memory->mapping_count--;
	free(mapping);
}

/* As much of the range as one region holds, mapped for a copy. */
struct window {
	struct region *region;
	uint64_t offset;
	size_t len;
	void *address;
};

static int open_window(struct memory *memory, uint64_t guest_addr, size_t len,
	enum memory_access access, struct window *window)
{
	struct region *region = table_find(&memory->table, REGION_GUEST, guest_addr);

	if (!region) {
		return -EFAULT;
	}
	window->region = region;
	window->offset = guest_addr - region->keys[REGION_GUEST];
	window->len = region->size - window->offset < len ? (size_t)(region->size - window->offset)
							  : len;
	window->address = memory->ops->map(region->object, window->offset, window->len, access);
	return window->address ? 0 : -EFAULT;
}

static void close_window(struct memory *memory, const struct window *window)
{
	memory->ops->unmap(window->region->object, window->address, window->offset, window->len);
}

int memory_read(struct memory *memory, uint64_t guest_addr, void *to, size_t len)
{
	struct window window;
	uint8_t *next = to;

	while (len > 0) {
		if (open_window(memory, guest_addr, len, MEMORY_READ, &window) < 0) {
			return -EFAULT;
		}
		memcpy(next, window.address, window.len);
		/* The guest may write at any time: nothing after this may be read from there again. */
		atomic_signal_fence(memory_order_seq_cst);
		close_window(memory, &window);
		next += window.len;
		guest_addr += window.len;
		len -= window.len;
	}
	return 0;
}

int memory_write(struct memory *memory, uint64_t guest_addr, const void *from, size_t len)
{
	struct window window;
	const uint8_t *next = from;

	while (len > 0) {
		if (open_window(memory, guest_addr, len, MEMORY_WRITE, &window) < 0) {
			return -EFAULT;
		}
		memcpy(window.address, next, window.len);
		close_window(memory, &window);
		next += window.len;
		guest_addr += window.len;
		len -= window.len;
	}
	return 0;
}
