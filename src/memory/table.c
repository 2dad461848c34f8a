/* SPDX-License-Identifier: MIT */
#include "memory/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

/* Room for this many at first: what a VM without hot-plugged memory has. */
#define CAPACITY_FIRST 16u

void table_finish(struct table *table)
{
	for (int key = 0; key < REGION_KEY_COUNT; key++) {
		free(table->by[key]);
	}
	*table = (struct table){ 0 };
}

/* How many regions begin at or before value. */
static uint32_t rank(const struct table *table, enum region_key key, uint64_t value)
{
	uint32_t low = 0;
	uint32_t high = table->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->by[key][middle]->keys[key] <= value) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

struct region *table_search(struct table *table, enum region_key key, uint64_t value)
{
	uint32_t before = rank(table, key, value);
	struct region *region = before ? table->by[key][before - 1] : NULL;

	if (!region || !region_contains(region, key, value)) {
		return NULL;
	}
	table->last[key] = region;
	return region;
}

/* The regions do not overlap, so only the neighbours of the place can. */
static bool overlaps_in(
	const struct table *table, enum region_key key, uint64_t value, uint64_t size)
{
	uint32_t place = rank(table, key, value);

	for (uint32_t i = place ? place - 1 : 0; i < table->count && i <= place; i++) {
		const struct region *region = table->by[key][i];

		if (checked_ranges_overlap(value, size, region->keys[key], region->size)) {
			return true;
		}
	}
	return false;
}

bool table_overlaps(const struct table *table, uint64_t guest, uint64_t user, uint64_t size)
{
	return overlaps_in(table, REGION_GUEST, guest, size) ||
		overlaps_in(table, REGION_USER, user, size);
}

int table_reserve(struct table *table)
{
	uint32_t capacity = table->capacity ? table->capacity * 2 : CAPACITY_FIRST;

	if (table->count < table->capacity) {
		return 0;
	}
	for (int key = 0; key < REGION_KEY_COUNT; key++) {
		struct region **grown = realloc(table->by[key], capacity * sizeof(*grown));

		if (!grown) {
			return -ENOMEM; // an array that grew already has room to spare
		}
		table->by[key] = grown;
	}
	table->capacity = capacity;
	return 0;
}

void table_insert(struct table *table, struct region *region)
{
	assert(table->count < table->capacity);
	for (enum region_key key = 0; key < REGION_KEY_COUNT; key++) {
		uint32_t place = rank(table, key, region->keys[key]);
		struct region **slot = table->by[key] + place;

		memmove(slot + 1, slot, (table->count - place) * sizeof(*slot));
		*slot = region;
	}
	table->count++;
}

void table_remove(struct table *table, const struct region *region)
{
	for (enum region_key key = 0; key < REGION_KEY_COUNT; key++) {
		uint32_t place = rank(table, key, region->keys[key]);
		struct region **slot = table->by[key] + place;

		assert(place > 0 && slot[-1] == region);
		memmove(slot - 1, slot, (table->count - place) * sizeof(*slot));
		table->last[key] = NULL;
	}
	table->count--;
}
