/* SPDX-License-Identifier: MIT */
#include "frontend/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/checked.h"
#include "base/fd.h"

enum {
	INDIRECT_MAX = 64,
	NO_DESC = 0xffff,
};

static uint16_t load_u16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store_u16(uint16_t *p, uint16_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static uint16_t *used_event(const struct fe_queue *queue)
{
	return &queue->avail->ring[queue->size];
}

static const uint16_t *avail_event(const struct fe_queue *queue)
{
	return (const uint16_t *)(const void *)&queue->used->ring[queue->size];
}

/* 2.7.2: descriptor table, avail ring, used ring, aligned to 16, 2 and 4. */
static int lay_out(struct fe_queue *queue)
{
	uint64_t desc_size = 16u * (uint64_t)queue->size;
	uint64_t avail_size = 6 + 2u * (uint64_t)queue->size;
	uint64_t used_off = (desc_size + avail_size + 3) & ~UINT64_C(3);
	uint64_t used_size = 6 + 8u * (uint64_t)queue->size;

	queue->ring = fe_memory_alloc(queue->memory, used_off + used_size, 4096);
	if (queue->ring.size == 0) {
		return -ENOMEM;
	}
	uint8_t *base = queue->ring.host;
	queue->desc = (void *)base;
	queue->avail = (void *)(base + desc_size);
	queue->used = (void *)(base + used_off);
	return 0;
}

static bool make_arrays(struct fe_queue *queue)
{
	queue->next = calloc(queue->size, sizeof(*queue->next));
	queue->chain_len = calloc(queue->size, sizeof(*queue->chain_len));
	queue->tables = calloc(queue->size, sizeof(*queue->tables));
	queue->tokens = calloc(queue->size, sizeof(*queue->tokens));
	queue->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return queue->next && queue->chain_len && queue->tables && queue->tokens &&
		queue->kick >= 0 && queue->call >= 0 && queue->err >= 0;
}

int fe_queue_init(struct fe_queue *queue, struct fe_memory *memory, uint16_t size)
{
	assert(checked_is_power_of_two(size));
	*queue = (struct fe_queue){
		.memory = memory, .size = size, .kick = -1, .call = -1, .err = -1
	};
	int error = lay_out(queue);
	if (error == 0 && !make_arrays(queue)) {
		error = -ENOMEM;
	}
	if (error < 0) {
		fe_queue_finish(queue);
		return error;
	}
	fe_queue_reset(queue);
	return 0;
}

void fe_queue_finish(struct fe_queue *queue)
{
	if (queue->size == 0) {
		return;
	}
	for (uint16_t i = 0; queue->tables && i < queue->size; i++) {
		fe_memory_free(queue->memory, &queue->tables[i]);
	}
	fe_memory_free(queue->memory, &queue->ring);
	free(queue->next);
	free(queue->chain_len);
	free(queue->tables);
	free(queue->tokens);
	fd_close(&queue->kick);
	fd_close(&queue->call);
	fd_close(&queue->err);
	*queue = (struct fe_queue){ .kick = -1, .call = -1, .err = -1 };
}

void fe_queue_reset(struct fe_queue *queue)
{
	for (uint16_t i = 0; i < queue->size; i++) {
		queue->next[i] = (uint16_t)(i + 1 == queue->size ? NO_DESC : i + 1);
	}
	queue->free_head = 0;
	queue->free_count = queue->size;
	queue->avail_idx = 0;
	queue->kicked_idx = 0;
	queue->used_idx = 0;
	queue->avail->flags = 0;
	store_u16(&queue->avail->idx, 0);
	store_u16(used_event(queue), 0);
	queue->used->flags = 0;
	store_u16(&queue->used->idx, 0);
	fd_event_clear(queue->kick);
	fd_event_clear(queue->call);
	fd_event_clear(queue->err);
}

static uint16_t take_desc(struct fe_queue *queue)
{
	uint16_t index = queue->free_head;

	queue->free_head = queue->next[index];
	queue->free_count--;
	return index;
}

static void free_chain(struct fe_queue *queue, uint16_t head)
{
	uint16_t last = head;

	if (queue->chain_len[head] == 0) {
		return; // a test's own chain
	}
	for (uint16_t i = 1; i < queue->chain_len[head]; i++) {
		last = queue->next[last];
	}
	queue->free_count = (uint16_t)(queue->free_count + queue->chain_len[head]);
	queue->chain_len[head] = 0;
	queue->next[last] = queue->free_head;
	queue->free_head = head;
}

void fe_queue_write_desc(struct fe_queue *queue, uint16_t index, uint64_t addr, uint32_t len,
	uint16_t flags, uint16_t next)
{
	queue->desc[index] = (struct vring_desc){ addr, len, flags, next };
}

void fe_queue_push_head(struct fe_queue *queue, uint16_t head)
{
	queue->avail->ring[queue->avail_idx & (queue->size - 1)] = head;
	queue->avail_idx++;
}

/* The i-th buffer of out, then in, as a descriptor; flags without NEXT. */
static struct vring_desc describe(
	const struct fe_buffer *out, size_t out_count, const struct fe_buffer *in, size_t i)
{
	if (i < out_count) {
		return (struct vring_desc){ out[i].addr, out[i].len, 0, 0 };
	}
	in += i - out_count;
	return (struct vring_desc){ in->addr, in->len, VRING_DESC_F_WRITE, 0 };
}

static int add_indirect(struct fe_queue *queue, const struct fe_buffer *out, size_t out_count,
	const struct fe_buffer *in, size_t count)
{
	if (queue->free_count == 0 || count > INDIRECT_MAX) {
		return -ENOSPC;
	}
	uint16_t head = take_desc(queue);
	struct fe_span *span = &queue->tables[head];

	if (span->size == 0) {
		*span = fe_memory_alloc(
			queue->memory, INDIRECT_MAX * sizeof(struct vring_desc), 16);
		if (span->size == 0) {
			queue->chain_len[head] = 1;
			free_chain(queue, head);
			return -ENOSPC;
		}
	}
	struct vring_desc *table = span->host;
	for (size_t i = 0; i < count; i++) {
		table[i] = describe(out, out_count, in, i);
		if (i + 1 < count) {
			table[i].flags |= VRING_DESC_F_NEXT;
			table[i].next = (uint16_t)(i + 1);
		}
	}
	fe_queue_write_desc(queue, head, span->addr, (uint32_t)(count * sizeof(*table)),
		VRING_DESC_F_INDIRECT, 0);
	queue->chain_len[head] = 1;
	return head;
}

static int add_direct(struct fe_queue *queue, const struct fe_buffer *out, size_t out_count,
	const struct fe_buffer *in, size_t count)
{
	if (count > queue->free_count) {
		return -ENOSPC;
	}
	uint16_t head = queue->free_head;

	for (size_t i = 0; i < count; i++) {
		struct vring_desc desc = describe(out, out_count, in, i);
		uint16_t index = take_desc(queue);

		if (i + 1 < count) {
			desc.flags |= VRING_DESC_F_NEXT;
			desc.next = queue->free_head;
		}
		queue->desc[index] = desc;
	}
	queue->chain_len[head] = (uint16_t)count;
	return head;
}

int fe_queue_add(struct fe_queue *queue, const struct fe_buffer *out, size_t out_count,
	const struct fe_buffer *in, size_t in_count, uint64_t token)
{
	size_t count = out_count + in_count;

	assert(count > 0);
	int head = queue->indirect ? add_indirect(queue, out, out_count, in, count)
				   : add_direct(queue, out, out_count, in, count);
	if (head >= 0) {
		queue->tokens[head] = token;
		fe_queue_push_head(queue, (uint16_t)head);
	}
	return head;
}

bool fe_queue_publish(struct fe_queue *queue)
{
	uint16_t before = queue->kicked_idx;

	store_u16(&queue->avail->idx, queue->avail_idx);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); // 2.7.13.4.1: index before the check
	queue->kicked_idx = queue->avail_idx;
	if (!queue->event_idx) {
		return !(load_u16(&queue->used->flags) & VRING_USED_F_NO_NOTIFY);
	}
	return vring_need_event(load_u16(avail_event(queue)), queue->avail_idx, before) != 0;
}

void fe_queue_force_kick(struct fe_queue *queue)
{
	fd_event_signal(queue->kick);
}

void fe_queue_kick(struct fe_queue *queue)
{
	if (fe_queue_publish(queue)) {
		fe_queue_force_kick(queue);
	}
}

bool fe_queue_has_used(const struct fe_queue *queue)
{
	return load_u16(&queue->used->idx) != queue->used_idx;
}

bool fe_queue_take(struct fe_queue *queue, struct fe_used *used)
{
	if (!fe_queue_has_used(queue)) {
		return false;
	}
	struct vring_used_elem element = queue->used->ring[queue->used_idx & (queue->size - 1)];

	queue->used_idx++;
	*used = (struct fe_used){ .len = element.len, .head = (uint16_t)element.id };
	if (element.id < queue->size) {
		used->token = queue->tokens[element.id];
		free_chain(queue, (uint16_t)element.id);
	}
	return true;
}

bool fe_queue_enable_call(struct fe_queue *queue)
{
	if (queue->event_idx) {
		store_u16(used_event(queue), queue->used_idx);
	} else {
		store_u16(&queue->avail->flags, 0);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return fe_queue_has_used(queue);
}

void fe_queue_disable_call(struct fe_queue *queue)
{
	if (queue->event_idx) {
		// a place that the device has just left: 65535 more until it comes by
		store_u16(used_event(queue), (uint16_t)(queue->used_idx - 1));
	} else {
		store_u16(&queue->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	}
}

uint16_t fe_queue_avail_event(const struct fe_queue *queue)
{
	return load_u16(avail_event(queue));
}
