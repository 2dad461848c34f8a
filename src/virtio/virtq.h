/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_VIRTQ_H
#define VIRTIO_VIRTQ_H

/*
 * The device side of a split virtqueue (VIRTIO 1.3, 2.7 Split Virtqueues), and the only code that
 * reads rings. What the driver wrote is copied once and then believed only within bounds; a ring that
 * breaks a rule is broken for good (-EPROTO) until it is set up anew. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/memory.h"

/* A ring has a power of two of entries, at most this many (2.7: 32768; ours bounds what we hold). */
#define VIRTQ_SIZE_MAX 1024

struct virtq;

/* Where a ring lies and how it is driven. Addresses are guest physical. */
struct virtq_config {
	uint16_t size; // entries
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	uint16_t next_avail; // index to go on from: SET_VRING_BASE
	bool event_idx; // VIRTIO_RING_F_EVENT_IDX
	bool indirect; // VIRTIO_RING_F_INDIRECT_DESC
};

/* A piece of guest memory that the device may write. */
struct virtq_segment {
	uint64_t guest_addr;
	uint32_t len;
};

/*
 * One request, from pop to push: a private copy of what the driver wrote, and where the answer goes.
 * The memory of the struct is the caller's; what hangs on it is freed by virtq_request_finish.
 */
struct virtq_request {
	uint16_t head; // the chain's first descriptor
	uint8_t *bytes; // private copy of the device-readable part
	size_t len; // bytes copied
	uint64_t total_len; // bytes that the driver wrote: more than len when over the bound
	uint64_t writable_len; // bytes that the driver has room for
	struct virtq_segment *segments; // of the device-writable part
	size_t segment_count;
	// below: private to virtio/
	size_t bytes_capacity;
	size_t segment_capacity;
	uint64_t origin; // which queue it was popped from
};

/* Zero the request before the first use; it can be popped into again and again. */
void virtq_request_finish(struct virtq_request *request);

/*
 * Maps the three parts of the ring. Returns NULL with errno EINVAL (size, alignment: 2.7), EFAULT (not
 * within one region each) or ENOMEM. memory is borrowed and must outlive the queue.
 */
struct virtq *virtq_create(struct memory *memory, const struct virtq_config *config);
void virtq_destroy(struct virtq *queue); // NULL is fine

/* Is there a request that virtq_pop has not given out? One load of avail.idx. */
bool virtq_has_work(struct virtq *queue);

/*
 * Takes the next request. At most max_len bytes of its readable part are copied (total_len tells of
 * more). Returns 1, 0 when there is none now, -ENOMEM (nothing was taken), or -EPROTO when the ring is
 * broken: the caller then stops the queue and tells the front end.
 */
int virtq_pop(struct virtq *queue, struct virtq_request *request, size_t max_len);

/*
 * Writes the answer, clipped to the room that there is, and a used element, not yet visible to the
 * driver. Returns 0 or -EPROTO (the answer's room is no guest memory; the element is used all the same,
 * with length 0).
 */
int virtq_push(
	struct virtq *queue, const struct virtq_request *request, const void *response, size_t len);

/*
 * Makes all pushed elements visible (one release store of used.idx). Returns whether the driver wants a
 * notification (2.7.7.2 Device Requirements: Used Buffer Notification Suppression).
 */
bool virtq_publish(struct virtq *queue);

/*
 * Asks the driver to notify about new requests, or not to (2.7.10). Enabling returns whether requests
 * came meanwhile: then the caller must look again.
 */
bool virtq_enable_notification(struct virtq *queue);
void virtq_disable_notification(struct virtq *queue);

/* The index of the next request to pop: the answer to GET_VRING_BASE. */
uint16_t virtq_next_avail(const struct virtq *queue);

/*
 * Requests popped and not pushed, of those that this virtq gave out: one that a stopped queue left behind
 * may be pushed into the queue that follows it, and does not count there.
 */
uint32_t virtq_in_flight(const struct virtq *queue);

#endif
