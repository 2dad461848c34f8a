/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_CHAIN_H
#define VIRTIO_CHAIN_H

/*
 * Descriptor chains (VIRTIO 1.3, 2.7.5 The Virtqueue Descriptor Table): each descriptor is copied once,
 * and only the copy is looked at. Private to virtio/.
 */

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/memory.h"
#include "virtio/virtq.h"

/*
 * Entries of an indirect table. By 2.7.5.3.1 a chain is no longer than the queue, yet Linux makes longer
 * tables (virtqueue_add_split asks only that a table be there), as a scatter list of 16384 entries on a
 * queue of 64 needs. Breaking the ring would kill an honest guest's device, so the bound is ours.
 */
#define CHAIN_INDIRECT_MAX VIRTQ_SIZE_MAX

/* Where chains are read from, and scratch space, so that no chain needs an allocation. */
struct chain_reader {
	struct memory *memory; // borrowed
	const struct vring_desc *descriptors; // in guest memory, aligned
	uint16_t size;
	bool indirect; // VIRTIO_RING_F_INDIRECT_DESC
	struct vring_desc table[CHAIN_INDIRECT_MAX]; // copy of an indirect table
	struct virtq_segment
		readable[2 * VIRTQ_SIZE_MAX]; // a chain, and an indirect table at its end
};

/* Fills the request from the chain that begins at head. Returns 0, -ENOMEM or -EPROTO. */
int chain_read(
	struct chain_reader *reader, uint16_t head, struct virtq_request *request, size_t max_len);

#endif
