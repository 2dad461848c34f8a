/* SPDX-License-Identifier: MIT */
#include "gpu/resource.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The table starts small (idle memory) and doubles with its content, which max_resources bounds. */
#define FIRST_BUCKET_BITS 6u
#define MAX_BUCKET_BITS   24u

struct gpu_view *gpu_view_ref(struct gpu_view *view)
{
	view->refs++;
	return view;
}

void gpu_view_unref(struct gpu_view *view)
{
	if (!view) {
		return;
	}
	assert(view->refs > 0);
	if (--view->refs == 0) {
		frame_unref(view->frame);
		gpu_limits_give(view->limits, view->charged);
		free(view);
	}
}

/*
 * Ids are the guest's choice. Multiplying by a secret odd number and keeping the high bits spreads them
 * so that a guest cannot fill one bucket on purpose, and that ids in a row hardly ever meet.
 */
static size_t bucket_of(const struct gpu_resource_table *table, uint32_t id)
{
	return (size_t)((id * table->seed) >> (64 - table->bucket_bits));
}

static struct gpu_resource **new_buckets(uint32_t bits)
{
	return calloc((size_t)1 << bits, sizeof(struct gpu_resource *));
}

int gpu_resource_table_init(struct gpu_resource_table *table)
{
	*table = (struct gpu_resource_table){ .bucket_bits = FIRST_BUCKET_BITS };
	if (getrandom(&table->seed, sizeof(table->seed), GRND_NONBLOCK) !=
		(ssize_t)sizeof(table->seed)) {
		/* Early at boot: spread all the same, if not secretly. */
		table->seed = UINT64_C(0x9e3779b97f4a7c15);
	}
	table->seed |= 1;
	list_init(&table->all);
	table->buckets = new_buckets(table->bucket_bits);
	return table->buckets ? 0 : -ENOMEM;
}

void gpu_resource_table_finish(struct gpu_resource_table *table)
{
	assert(table->count == 0);
	free(table->buckets);
	table->buckets = NULL;
}

struct gpu_resource *gpu_resource_find(const struct gpu_resource_table *table, uint32_t id)
{
	struct gpu_resource *resource = table->buckets[bucket_of(table, id)];

	while (resource && resource->id != id) {
		resource = resource->next;
	}
	return resource;
}

static void insert(struct gpu_resource_table *table, struct gpu_resource *resource)
{
	struct gpu_resource **bucket = &table->buckets[bucket_of(table, resource->id)];

	resource->next = *bucket;
	*bucket = resource;
}

/* Without memory the table stays as it is, only slower. */
static void grow(struct gpu_resource_table *table)
{
	struct gpu_resource **old = table->buckets;
	size_t old_count = (size_t)1 << table->bucket_bits;
	struct gpu_resource **buckets = new_buckets(table->bucket_bits + 1);

	if (!buckets) {
		return;
	}
	table->buckets = buckets;
	table->bucket_bits++;
	for (size_t i = 0; i < old_count; i++) {
		struct gpu_resource *following;

		for (struct gpu_resource *each = old[i]; each; each = following) {
			following = each->next;
			insert(table, each);
		}
	}
	free(old);
}

struct gpu_resource *gpu_resource_create(
	struct gpu_resource_table *table, uint32_t id, enum gpu_resource_kind kind)
{
	struct gpu_resource *resource = calloc(1, sizeof(*resource));

	assert(id != 0);
	if (!resource) {
		return NULL;
	}
	if (table->count >> table->bucket_bits && table->bucket_bits < MAX_BUCKET_BITS) {
		grow(table);
	}
	resource->id = id;
	resource->refs = 1;
	resource->kind = kind;
	list_init(&resource->waiting);
	list_init(&resource->attachments);
	list_append(&table->all, &resource->link);
	insert(table, resource);
	table->count++;
	return resource;
}

void gpu_resource_remove(struct gpu_resource_table *table, struct gpu_resource *resource)
{
	struct gpu_resource **place = &table->buckets[bucket_of(table, resource->id)];

	while (*place != resource) {
		place = &(*place)->next;
	}
	*place = resource->next;
	list_remove(&resource->link);
	table->count--;
	gpu_resource_unref(resource);
}

struct gpu_resource *gpu_resource_any(const struct gpu_resource_table *table)
{
	struct list *link = list_first(&table->all);

	return link ? container_of(link, struct gpu_resource, link) : NULL;
}

struct gpu_resource *gpu_resource_ref(struct gpu_resource *resource)
{
	resource->refs++;
	return resource;
}

void gpu_resource_unref(struct gpu_resource *resource)
{
	assert(resource->refs > 0);
	if (--resource->refs == 0) {
		assert(!resource->render && !resource->view && list_is_empty(&resource->waiting));
		assert(list_is_empty(&resource->attachments));
		assert(resource->mapping.state == GPU_UNMAPPED);
		free(resource);
	}
}

bool gpu_resource_uuid(struct gpu_resource *resource, uint8_t uuid[static WIRE_UUID_SIZE])
{
	uint8_t *own = resource->uuid;

	if (!resource->has_uuid) {
		if (getrandom(own, WIRE_UUID_SIZE, GRND_NONBLOCK) != WIRE_UUID_SIZE) {
			return false;
		}
		own[6] = (uint8_t)((own[6] & 0x0f) | 0x40); // version 4
		own[8] = (uint8_t)((own[8] & 0x3f) | 0x80); // variant of RFC 4122
		resource->has_uuid = true;
	}
	memcpy(uuid, own, WIRE_UUID_SIZE);
	return true;
}
