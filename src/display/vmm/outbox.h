/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_VMM_OUTBOX_H
#define DISPLAY_VMM_OUTBOX_H

/*
 * The one road to the viewer: messages copied as bytes, and between them UPDATEs whose pixels are read
 * when the socket takes them (flush.h). All go out in the order in which they came.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "display/vmm/flush.h"

/* Bytes that may be queued as copies: 31 updates of 64x64 pixels, or 20000 cursor moves. */
#define VMM_OUTBOX_COPY_MAX (512u << 10)

/* Over that, for what must not be put off: SCANOUTs and questions. */
#define VMM_OUTBOX_RESERVE (4u << 10)

/* Twice what may be queued, so that moving it to the front costs each byte at most one more copy. */
#define VMM_OUTBOX_SIZE (2 * (VMM_OUTBOX_COPY_MAX + VMM_OUTBOX_RESERVE))

/* More flushes than four full queues of requests can ask for. */
#define VMM_OUTBOX_FLUSH_MAX 4096

/* A descriptor that goes with the first byte of a copied message. */
struct vmm_outbox_fd {
	struct list link;
	uint64_t at; // where in the outbox's bytes
	int fd; // owned
};

struct vmm_outbox {
	uint8_t *bytes; // VMM_OUTBOX_SIZE; [start, end) is queued
	size_t start;
	size_t end;
	uint64_t appended; // bytes ever copied: the position of end
	size_t message_left; // of the copied message at start, when a part of it is on the wire
	struct list flushes; // vmm_flush.link, in order
	struct list waiting; // vmm_flush.link: their pixels are still being read
	uint32_t flush_count; // of both
	struct list fds; // vmm_outbox_fd.link, in order
	struct vmm_stripe stripe; // for the first flush, the only one that can be on the wire
};

/* Returns 0 or -ENOMEM. */
int vmm_outbox_init(struct vmm_outbox *outbox);

/* All flushes must have been removed before. */
void vmm_outbox_finish(struct vmm_outbox *outbox);

static inline bool vmm_outbox_is_empty(const struct vmm_outbox *outbox)
{
	return outbox->start == outbox->end && list_is_empty(&outbox->flushes);
}

/*
 * Room for size bytes at the end, NULL when more than limit would be queued. They count once
 * vmm_outbox_commit is called.
 */
uint8_t *vmm_outbox_reserve(struct vmm_outbox *outbox, size_t size, size_t limit);
void vmm_outbox_commit(struct vmm_outbox *outbox, size_t size);

/* Queues a copy of the message; false when more than limit would be queued. */
bool vmm_outbox_append(struct vmm_outbox *outbox, uint32_t request, const void *payload,
	uint32_t size, size_t limit);

/* The same with a descriptor, which is taken, also on failure; -1: none. */
bool vmm_outbox_append_fd(struct vmm_outbox *outbox, uint32_t request, const void *payload,
	uint32_t size, size_t limit, int fd);

/*
 * Queues the flush (taken). One whose read is pending waits beside the road, so that it holds nothing
 * up, and is queued when vmm_outbox_let_go says that it is ready.
 */
void vmm_outbox_append_flush(struct vmm_outbox *outbox, struct vmm_flush *flush);
void vmm_outbox_let_go(struct vmm_outbox *outbox, struct vmm_flush *flush);

/* Takes the flush out; the caller owns it. One that is on the wire may only go with the socket. */
void vmm_outbox_remove_flush(struct vmm_outbox *outbox, struct vmm_flush *flush);

/* Forgets the bytes and their descriptors. */
void vmm_outbox_clear_bytes(struct vmm_outbox *outbox);

/* What one vmm_outbox_send did. */
struct vmm_sent {
	ssize_t count; // bytes taken, or -errno
	bool full; // the socket took less than it was given
	struct vmm_flush *done; // removed; sent whole, or unreadable (then nothing of it was sent)
};

/*
 * One sendmsg of at most about max bytes. The outbox must not be empty. finish: no more than the message
 * of which a part is on the wire, which there must be.
 */
struct vmm_sent vmm_outbox_send(struct vmm_outbox *outbox, int socket, size_t max, bool finish);

/* Is a part of a message on the wire? */
bool vmm_outbox_is_unfinished(const struct vmm_outbox *outbox);

#endif
