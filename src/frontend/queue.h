/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_QUEUE_H
#define FRONTEND_QUEUE_H

/*
 * The driver's side of a split virtqueue (VIRTIO 1.3, 2.7). The orderly way is add, kick, take. What
 * breaks rules writes into desc, avail and used itself: they are plain pointers into guest memory.
 * Little-endian and host order are the same here, as in the whole library (x86, arm64).
 */

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "frontend/memory.h"

struct fe_queue {
	struct fe_memory *memory; // borrowed
	uint16_t size;
	bool indirect; // use one indirect descriptor for each chain
	bool event_idx;

	struct fe_span ring;
	struct vring_desc *desc;
	struct vring_avail *avail; // avail->ring[size] is used_event
	struct vring_used *used; // followed by avail_event

	int kick; // owned eventfds; the back end gets duplicates
	int call;
	int err;

	uint16_t free_head; // of the list of free descriptors, linked by next
	uint16_t free_count;
	uint16_t *next; // our copy of the links, in case a test writes over desc
	uint16_t *chain_len; // descriptors of the chain that begins here
	struct fe_span *tables; // indirect table of each head, made when first needed
	uint64_t *tokens;

	uint16_t avail_idx; // next to publish
	uint16_t kicked_idx; // avail_idx when the device was last told
	uint16_t used_idx; // next to take
};

/* One buffer of a chain, by guest address. */
struct fe_buffer {
	uint64_t addr;
	uint32_t len;
};

struct fe_used {
	uint64_t token;
	uint32_t len; // bytes that the device says it wrote
	uint16_t head;
};

/* Makes an empty ring of size (a power of two) in memory (borrowed). Returns 0 or -errno. */
int fe_queue_init(struct fe_queue *queue, struct fe_memory *memory, uint16_t size);

/* Closes and frees; a zeroed queue is fine. */
void fe_queue_finish(struct fe_queue *queue);

/* Makes the ring empty again, as a driver does after a reset: all indices are 0. */
void fe_queue_reset(struct fe_queue *queue);

/*
 * Makes a chain of out_count readable buffers, then in_count writable ones (at most 64 together when
 * indirect) and puts its head into the avail ring, not yet published. Returns the head or -ENOSPC.
 */
int fe_queue_add(struct fe_queue *queue, const struct fe_buffer *out, size_t out_count,
	const struct fe_buffer *in, size_t in_count, uint64_t token);

/* Writes one entry of the descriptor table. For tests that build their own chains. */
void fe_queue_write_desc(struct fe_queue *queue, uint16_t index, uint64_t addr, uint32_t len,
	uint16_t flags, uint16_t next);

/* Puts a head into the avail ring as it is. For tests that build their own chains. */
void fe_queue_push_head(struct fe_queue *queue, uint16_t head);

/* Publishes what was added; true when the device wants to be told. */
bool fe_queue_publish(struct fe_queue *queue);

/* Publishes, and tells the device if it wants to be told (2.7.7.2, 2.7.10 for the event index). */
void fe_queue_kick(struct fe_queue *queue);

/* Tells the device in any case. */
void fe_queue_force_kick(struct fe_queue *queue);

/* Takes one used chain, if there is one, and frees its descriptors. */
bool fe_queue_take(struct fe_queue *queue, struct fe_used *used);

/* Is there a used chain to take? */
bool fe_queue_has_used(const struct fe_queue *queue);

/*
 * Asks for a notification of the next used chain; true when there is one already (then do not wait).
 * Without it a queue asks for notifications as it did before.
 */
bool fe_queue_enable_call(struct fe_queue *queue);

/* Asks for no notifications (a hint only). */
void fe_queue_disable_call(struct fe_queue *queue);

/* Value of the device's avail_event (event_idx only). */
uint16_t fe_queue_avail_event(const struct fe_queue *queue);

#endif
