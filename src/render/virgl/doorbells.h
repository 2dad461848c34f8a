/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_DOORBELLS_H
#define RENDER_VIRGL_DOORBELLS_H

/*
 * Doorbells of a Venus context's rings, to be rung once more.
 *
 * A guest's driver writes its commands into rings, which a thread of the render process reads. Only while
 * that sleeps, as the ring's status says, does the driver ring: by a command stream (vkNotifyRingMESA of
 * VK_MESA_venus_protocol), and once a millisecond at most, for the thread stays awake for as long (Mesa,
 * vn_ring_submit_internal). But it looks at its clock after it has looked at the status. If its processor is
 * taken away between the two, or the VM is paused and the guest's clock with it, it can take a thread that
 * sleeps for one that it has just woken: its commands stay in the ring, and its program waits for ever.
 *
 * What is held back so is held back within a millisecond after a doorbell. So each is rung again when that is
 * long past: a thread that sleeps too long wakes, and to the others it does no harm. One that is rung often is
 * rung again after the last time: each doorbell does what the one before was to do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rings of a context that are looked after: Mesa has one, and one for each thread that makes pipelines. */
#define DOORBELLS_MAX 64

/* vkNotifyRingMESA as a command stream, in the machine's byte order as the library takes it. */
struct doorbell {
	uint32_t command; // VkCommandTypeEXT
	uint32_t command_flags;
	uint64_t ring; // the driver's name for it
	uint32_t seqno; // the ring's tail; nobody reads it
	uint32_t flags;
};

/* Of a ring. doorbells_age makes those that it finds FRESH due, so they are older than the time between two calls. */
enum doorbell_age {
	DOORBELL_DONE, // rung again
	DOORBELL_FRESH,
	DOORBELL_DUE,
};

struct doorbells {
	uint64_t rings[DOORBELLS_MAX]; // that were rung
	enum doorbell_age ages[DOORBELLS_MAX];
	uint32_t count;
};

/*
 * The context was given a stream, of any bytes; the first command is looked at, as drivers send those of
 * rings alone. Returns whether it was a doorbell to be rung again.
 */
bool doorbells_note(struct doorbells *bells, const void *stream, size_t size);

/* The VM was paused and goes on: all become due. Returns whether there are any. */
bool doorbells_resume(struct doorbells *bells);

/* Takes the next that is due. False: there is none. */
bool doorbells_next(struct doorbells *bells, struct doorbell *doorbell);

/* To be called from time to time. Returns whether any are due next time. */
bool doorbells_age(struct doorbells *bells);

#endif
