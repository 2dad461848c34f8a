/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_TABLE_H
#define VULKAN_LAYER_TABLE_H

/*
 * From a Vulkan handle to what the layer knows about it. Calls may come from several threads at once; a
 * value is not protected beyond the call that returns it: Vulkan asks applications for that.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct table_entry {
	struct table_entry *next;
	uint64_t key;
	void *value;
};

struct table {
	pthread_mutex_t lock;
	struct table_entry *buckets[256];
};

#define TABLE_INIT { .lock = PTHREAD_MUTEX_INITIALIZER }

/* Memory of zeros becomes an empty table. */
void table_init(struct table *table);

/* Frees the entries and gives each value, of which the table then knows nothing, to drop if there is one. */
void table_finish(struct table *table, void (*drop)(void *value));

/* Returns false when there is no memory. The value must not be NULL. */
bool table_add(struct table *table, uint64_t key, void *value);

/* Both return NULL for a key that is not there. */
void *table_find(struct table *table, uint64_t key);
void *table_remove(struct table *table, uint64_t key);

#endif
