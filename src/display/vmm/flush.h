/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_VMM_FLUSH_H
#define DISPLAY_VMM_FLUSH_H

/*
 * One UPDATE whose pixels are read when the socket takes them: from the frame's own rows where its
 * format is the wire's, through a stripe of converted pixels otherwise.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "display/vmm/protocol.h"
#include "frame/frame.h"

/* Converted pixels at a time: stays in a usual second-level cache. Any width: a row may be cut. */
#define VMM_STRIPE_SIZE (256u << 10)

struct vmm_stripe {
	uint8_t *bytes; // VMM_STRIPE_SIZE
	uint64_t start; // of what is in it, in the bytes of the update's pixels
	uint64_t end;
};

/* Whom to tell when the flush is done. */
struct vmm_pending {
	struct list link;
	uint64_t token;
};

/* The start of an UPDATE message, as it is sent. */
struct vmm_update_start {
	struct vmm_header header;
	struct vmm_update update;
};

static_assert(sizeof(struct vmm_update_start) == 32, "no padding");

struct vmm_flush {
	struct list link;
	uint64_t at; // where in the outbox's bytes it goes
	struct vmm_pending *pending; // owned; NULL: nobody waits
	struct frame *frame; // referenced
	struct rect rect; // in the frame
	struct vmm_update_start start;
	uint64_t size; // of the whole message
	uint64_t sent; // bytes of it; not 0: it is on the wire and must be finished
	struct frame_read read;
	struct vmm_display *display; // for who is told that the read is ready
};

/* Fills in the first bytes of the UPDATE of rect, in the output's coordinates. */
struct vmm_update_start vmm_update_start(uint32_t output, const struct rect *rect);

/*
 * The flush of rect (within part, in the output's coordinates) of the frame, which is referenced. NULL
 * when there is no memory.
 */
struct vmm_flush *vmm_flush_create(
	uint32_t output, struct frame *frame, const struct rect *part, const struct rect *rect);

/* Lets the frame go. pending must have been taken. */
void vmm_flush_destroy(struct vmm_flush *flush);

/*
 * Before the first vmm_flush_fill. Returns 0, FRAME_PENDING (then flush->read tells), or -errno (logged):
 * the pixels cannot be read.
 */
int vmm_flush_begin(struct vmm_flush *flush);
void vmm_flush_log_error(const struct vmm_flush *flush, int error); // -errno

/*
 * Fills at most count pieces, together at most about max bytes, of what is still to be sent; returns
 * how many. They hold until the next call here.
 */
size_t vmm_flush_fill(struct vmm_flush *flush, struct vmm_stripe *stripe, struct iovec *iov,
	size_t count, size_t max);

/* Is the whole message sent? */
static inline bool vmm_flush_is_sent(const struct vmm_flush *flush)
{
	return flush->sent == flush->size;
}

#endif
