/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/table.h"

#include <stdlib.h>

#define BUCKETS (sizeof(((struct table *)NULL)->buckets) / sizeof(struct table_entry *))

void table_init(struct table *table)
{
	pthread_mutex_init(&table->lock, NULL);
}

void table_finish(struct table *table, void (*drop)(void *value))
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct table_entry *entry = table->buckets[i];

		while (entry) {
			struct table_entry *next = entry->next;

			if (drop) {
				drop(entry->value);
			}
			free(entry);
			entry = next;
		}
		table->buckets[i] = NULL;
	}
	pthread_mutex_destroy(&table->lock);
}

/* Handles are pointers or counters: neighbours in either must not share a bucket. */
static struct table_entry **bucket_of(struct table *table, uint64_t key)
{
	return &table->buckets[(key * 0x9e3779b97f4a7c15u) >> 56];
}

static struct table_entry **place_of(struct table *table, uint64_t key)
{
	struct table_entry **place = bucket_of(table, key);

	while (*place && (*place)->key != key) {
		place = &(*place)->next;
	}
	return place;
}

bool table_add(struct table *table, uint64_t key, void *value)
{
	struct table_entry *entry = malloc(sizeof(*entry));
	struct table_entry **bucket = bucket_of(table, key);

	if (!entry) {
		return false;
	}
	pthread_mutex_lock(&table->lock);
	*entry = (struct table_entry){ .next = *bucket, .key = key, .value = value };
	*bucket = entry;
	pthread_mutex_unlock(&table->lock);
	return true;
}

void *table_find(struct table *table, uint64_t key)
{
	struct table_entry *entry;
	void *value;

	pthread_mutex_lock(&table->lock);
	entry = *place_of(table, key);
	value = entry ? entry->value : NULL;
	pthread_mutex_unlock(&table->lock);
	return value;
}

void *table_remove(struct table *table, uint64_t key)
{
	struct table_entry **place, *entry;
	void *value = NULL;

	pthread_mutex_lock(&table->lock);
	place = place_of(table, key);
	entry = *place;
	if (entry) {
		value = entry->value;
		*place = entry->next;
	}
	pthread_mutex_unlock(&table->lock);
	free(entry);
	return value;
}
