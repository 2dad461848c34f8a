/* SPDX-License-Identifier: MIT */
#ifndef MEMORY_TABLE_H
#define MEMORY_TABLE_H

/*
 * The regions of one memory, found by guest address, by user address or by id: three arrays of the
 * same regions, each sorted, searched by halves, with the last hit remembered. Thousands of regions
 * come and go one by one: an insertion moves pointers, nothing else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum region_key {
	REGION_GUEST, // first guest physical address
	REGION_USER, // first address in the front end's space
	REGION_ID,
	REGION_KEY_COUNT,
};

struct region {
	uint64_t keys[REGION_KEY_COUNT];
	uint64_t size; // bytes; keys[address] + size does not wrap
	uint32_t refs; // the table's one, and one for each piece of a mapping
	void *object; // the implementation's
	struct list link; // memory.detached: removed, but still mapped
};

/* Zeroed: an empty table. It only borrows the regions. */
struct table {
	struct region **by[REGION_KEY_COUNT];
	struct region *last[REGION_KEY_COUNT];
	uint32_t count;
	uint32_t capacity;
};

/* Frees the arrays, not the regions. */
void table_finish(struct table *table);

/* Does the range share an address, guest or user, with a region? */
bool table_overlaps(const struct table *table, uint64_t guest, uint64_t user, uint64_t size);

/* Makes room for one more. Returns 0 or -ENOMEM; table_insert then cannot fail. */
int table_reserve(struct table *table);
void table_insert(struct table *table, struct region *region);
void table_remove(struct table *table, const struct region *region);

/* The region that holds the address, or has the id; NULL when there is none. O(log regions). */
struct region *table_search(struct table *table, enum region_key key, uint64_t value);

/* An id names one region, an address any of `size`. */
static inline bool region_contains(const struct region *region, enum region_key key, uint64_t value)
{
	uint64_t extent = key == REGION_ID ? 1 : region->size;

	return value - region->keys[key] < extent; // below the first address it wraps: too large
}

/* As table_search, at once where the same region is asked for again. */
static inline struct region *table_find(struct table *table, enum region_key key, uint64_t value)
{
	struct region *last = table->last[key];

	return last && region_contains(last, key, value) ? last : table_search(table, key, value);
}

#endif
