/* SPDX-License-Identifier: MIT */
#include "virtio/virtq.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/checked.h"
#include "virtio/chain.h"

/*
 * How this works
 *
 * Indices run free, 16 bits wide; a difference of two is right across the wrap. The driver owns
 * avail.idx, and used_event behind the available ring; we own used.idx, used.flags, and avail_event
 * behind the used ring:
 *
 *   next_avail .. avail_idx      seen, not popped (avail_idx is loaded only when none is left)
 *   published_idx .. used_idx    pushed, not yet visible to the driver
 *
 * Each of the two checks for "tell the other side?" is a store, a full barrier and a load, on both
 * sides, so one of the two always sees the other's store (2.7.7, 2.7.10).
 *
 * What lies in guest memory is touched by single atomic accesses alone, in little-endian order.
 */

struct virtq {
	uint16_t size;
	bool event_idx;
	bool broken;
	bool told; // the driver was notified once, or asked: published_idx means something to it
	uint16_t next_avail;
	uint16_t avail_idx;
	uint16_t used_idx;
	uint16_t published_idx;
	uint32_t in_flight;
	uint64_t number; // of this queue among all

	struct memory *memory; // borrowed
	struct memory_mapping *desc_mapping;
	struct memory_mapping *avail_mapping;
	struct memory_mapping *used_mapping;
	struct vring_avail *avail;
	struct vring_used *used;
	struct chain_reader reader;
};

static uint16_t load_u16(const uint16_t *shared)
{
	return le16toh(__atomic_load_n(shared, __ATOMIC_RELAXED));
}

static void store_u16(uint16_t *shared, uint16_t value)
{
	__atomic_store_n(shared, htole16(value), __ATOMIC_RELAXED);
}

static uint16_t *used_event(const struct virtq *queue)
{
	return &queue->avail->ring[queue->size];
}

static uint16_t *avail_event(const struct virtq *queue)
{
	return (uint16_t *)(void *)&queue->used->ring[queue->size];
}

static bool aligned(const void *address, size_t alignment)
{
	return ((uintptr_t)address & (alignment - 1)) == 0;
}

static struct memory_mapping *map_part(
	struct memory *memory, uint64_t addr, uint64_t len, enum memory_access access)
{
	return memory_map_range(memory, addr, len, access);
}

/* 2.7 Split Virtqueues has the sizes: with EVENT_IDX each ring ends with two bytes more. */
static int map_ring(struct virtq *queue, const struct virtq_config *config)
{
	const uint64_t size = config->size;
	const uint64_t event = config->event_idx ? 2 : 0;

	queue->desc_mapping = map_part(queue->memory, config->desc, 16 * size, MEMORY_READ);
	if (!queue->desc_mapping) {
		return -1;
	}
	queue->avail_mapping = map_part(
		queue->memory, config->avail, 4 + 2 * size + event, MEMORY_READ);
	if (!queue->avail_mapping) {
		return -1;
	}
	queue->used_mapping = map_part(
		queue->memory, config->used, 4 + 8 * size + event, MEMORY_READ_WRITE);
	if (!queue->used_mapping) {
		return -1;
	}
	queue->reader.descriptors = queue->desc_mapping->iov[0].iov_base;
	queue->avail = queue->avail_mapping->iov[0].iov_base;
	queue->used = queue->used_mapping->iov[0].iov_base;
	return 0;
}

static bool config_fits(const struct virtq_config *config)
{
	return config->size <= VIRTQ_SIZE_MAX && checked_is_power_of_two(config->size) &&
		config->desc % VRING_DESC_ALIGN_SIZE == 0 &&
		config->avail % VRING_AVAIL_ALIGN_SIZE == 0 &&
		config->used % VRING_USED_ALIGN_SIZE == 0;
}

/* A region that begins at an odd address can make a ring's pages lie crooked here. */
static bool ring_is_aligned(const struct virtq *queue)
{
	return aligned(queue->reader.descriptors, VRING_DESC_ALIGN_SIZE) &&
		aligned(queue->avail, VRING_AVAIL_ALIGN_SIZE) &&
		aligned(queue->used, VRING_USED_ALIGN_SIZE);
}

static void init_indices(struct virtq *queue, uint16_t next_avail)
{
	queue->next_avail = next_avail;
	queue->avail_idx = next_avail;
	/* A queue that was stopped goes on where its used ring ends; the front end has no word for it. */
	queue->used_idx = load_u16(&queue->used->idx);
	queue->published_idx = queue->used_idx;
	if (queue->event_idx) {
		store_u16(&queue->used->flags, 0); // 2.7.10: with EVENT_IDX it is always 0
	}
}

struct virtq *virtq_create(struct memory *memory, const struct virtq_config *config)
{
	static uint64_t last_number;
	struct virtq *queue;

	if (!config_fits(config)) {
		errno = EINVAL;
		return NULL;
	}
	queue = calloc(1, sizeof(*queue));
	if (!queue) {
		return NULL;
	}
	queue->memory = memory;
	queue->size = config->size;
	queue->event_idx = config->event_idx;
	queue->number = ++last_number;
	queue->reader.memory = memory;
	queue->reader.size = config->size;
	queue->reader.indirect = config->indirect;
	if (map_ring(queue, config) < 0) {
		goto fail;
	}
	if (!ring_is_aligned(queue)) {
		errno = EINVAL;
		goto fail;
	}
	init_indices(queue, config->next_avail);
	return queue;

fail:;
	int error = errno;

	virtq_destroy(queue);
	errno = error;
	return NULL;
}

void virtq_destroy(struct virtq *queue)
{
	if (!queue) {
		return;
	}
	memory_mapping_unref(queue->desc_mapping);
	memory_mapping_unref(queue->avail_mapping);
	memory_mapping_unref(queue->used_mapping);
	free(queue);
}

/*
 * Loads avail.idx, once for all requests up to it; the acquire makes what the driver wrote before it
 * visible. More requests than entries are no ring's (2.7.13: an entry is reused after it was used).
 */
static void look_for_requests(struct virtq *queue)
{
	uint16_t idx = le16toh(__atomic_load_n(&queue->avail->idx, __ATOMIC_ACQUIRE));

	if ((uint16_t)(idx - queue->next_avail) > queue->size) {
		queue->broken = true;
		return;
	}
	queue->avail_idx = idx;
}

/* A broken queue has work, too: a pop, to be told so. */
bool virtq_has_work(struct virtq *queue)
{
	if (!queue->broken && queue->avail_idx == queue->next_avail) {
		look_for_requests(queue);
	}
	return queue->broken || queue->avail_idx != queue->next_avail;
}

int virtq_pop(struct virtq *queue, struct virtq_request *request, size_t max_len)
{
	uint16_t head;
	int result;

	if (!virtq_has_work(queue)) {
		return 0;
	}
	/* An entry of the ring is free again only when its request was used: more cannot be honest. */
	if (queue->broken || queue->in_flight >= queue->size) {
		queue->broken = true;
		return -EPROTO;
	}
	head = load_u16(&queue->avail->ring[queue->next_avail & (queue->size - 1)]);
	result = chain_read(&queue->reader, head, request, max_len);
	if (result < 0) {
		queue->broken = result == -EPROTO;
		return result;
	}
	request->origin = queue->number;
	queue->next_avail++;
	queue->in_flight++;
	return 1;
}

/* Writes the answer into the request's room. Returns 0 and *written, or -EFAULT. */
static int write_response(struct memory *memory, const struct virtq_request *request,
	const uint8_t *response, size_t len, uint32_t *written)
{
	size_t done = 0;

	for (size_t i = 0; i < request->segment_count && done < len; i++) {
		const struct virtq_segment *segment = &request->segments[i];
		size_t part = segment->len < len - done ? segment->len : len - done;

		if (memory_write(memory, segment->guest_addr, response + done, part) < 0) {
			*written = 0;
			return -EFAULT;
		}
		done += part;
	}
	*written = (uint32_t)done;
	return 0;
}

/* 2.7.8 The Virtqueue Used Ring */
static void add_used(struct virtq *queue, uint16_t head, uint32_t len)
{
	struct vring_used_elem *element = &queue->used->ring[queue->used_idx & (queue->size - 1)];

	__atomic_store_n(&element->id, htole32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&element->len, htole32(len), __ATOMIC_RELAXED);
	queue->used_idx++;
}

int virtq_push(
	struct virtq *queue, const struct virtq_request *request, const void *response, size_t len)
{
	uint32_t written;
	int result;

	assert(len <= UINT32_MAX);
	result = write_response(queue->memory, request, response, len, &written);
	add_used(queue, request->head, written);
	if (request->origin == queue->number) {
		assert(queue->in_flight > 0);
		queue->in_flight--;
	}
	return result < 0 ? -EPROTO : 0;
}

/* 2.7.7.2: without EVENT_IDX the flag decides, with it the driver's event lies between old and new. */
static bool driver_wants_notification(const struct virtq *queue, uint16_t old)
{
	if (!queue->event_idx) {
		return !(load_u16(&queue->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	}
	return vring_need_event(load_u16(used_event(queue)), queue->used_idx, old);
}

bool virtq_publish(struct virtq *queue)
{
	uint16_t old = queue->published_idx;
	bool first = !queue->told;

	if (queue->used_idx == old) {
		return false;
	}
	__atomic_store_n(&queue->used->idx, htole16(queue->used_idx), __ATOMIC_RELEASE);
	queue->published_idx = queue->used_idx;
	queue->told = true;
	atomic_thread_fence(memory_order_seq_cst);
	/*
	 * What was published before a stop may not have been followed by a notification, and then an
	 * event that lies there would be waited for in vain.
	 */
	return driver_wants_notification(queue, old) || (first && queue->event_idx);
}

bool virtq_enable_notification(struct virtq *queue)
{
	if (queue->event_idx) {
		store_u16(avail_event(queue), queue->next_avail);
	} else {
		store_u16(&queue->used->flags, 0);
	}
	atomic_thread_fence(memory_order_seq_cst);
	return virtq_has_work(queue);
}

/* With EVENT_IDX the event that was last asked for is simply left behind. */
void virtq_disable_notification(struct virtq *queue)
{
	if (!queue->event_idx) {
		store_u16(&queue->used->flags, VRING_USED_F_NO_NOTIFY);
	}
}

uint16_t virtq_next_avail(const struct virtq *queue)
{
	return queue->next_avail;
}

uint32_t virtq_in_flight(const struct virtq *queue)
{
	return queue->in_flight;
}
