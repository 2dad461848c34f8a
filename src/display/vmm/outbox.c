/* SPDX-License-Identifier: MIT */
#include "display/vmm/outbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* Rows of a flush that is not as wide as its frame: 256 of 4000 bytes are a megabyte a call. */
#define IOV_COUNT 256

int vmm_outbox_init(struct vmm_outbox *outbox)
{
	*outbox = (struct vmm_outbox){
		.bytes = malloc(VMM_OUTBOX_SIZE),
		.stripe.bytes = malloc(VMM_STRIPE_SIZE),
	};
	list_init(&outbox->flushes);
	list_init(&outbox->waiting);
	list_init(&outbox->fds);
	if (!outbox->bytes || !outbox->stripe.bytes) {
		vmm_outbox_finish(outbox);
		return -ENOMEM;
	}
	return 0;
}

void vmm_outbox_finish(struct vmm_outbox *outbox)
{
	assert(list_is_empty(&outbox->flushes) && list_is_empty(&outbox->waiting));
	assert(list_is_empty(&outbox->fds));
	free(outbox->bytes);
	free(outbox->stripe.bytes);
	outbox->bytes = NULL;
	outbox->stripe.bytes = NULL;
}

uint8_t *vmm_outbox_reserve(struct vmm_outbox *outbox, size_t size, size_t limit)
{
	size_t queued = outbox->end - outbox->start;

	assert(limit <= VMM_OUTBOX_SIZE / 2);
	if (queued > limit || size > limit - queued) {
		return NULL;
	}
	if (size > VMM_OUTBOX_SIZE - outbox->end) {
		memmove(outbox->bytes, outbox->bytes + outbox->start, queued);
		outbox->start = 0;
		outbox->end = queued;
	}
	return outbox->bytes + outbox->end;
}

void vmm_outbox_commit(struct vmm_outbox *outbox, size_t size)
{
	outbox->end += size;
	outbox->appended += size;
}

bool vmm_outbox_append(struct vmm_outbox *outbox, uint32_t request, const void *payload,
	uint32_t size, size_t limit)
{
	const struct vmm_header header = { .request = request, .size = size };
	uint8_t *at = vmm_outbox_reserve(outbox, sizeof(header) + size, limit);

	if (!at) {
		return false;
	}
	memcpy(at, &header, sizeof(header));
	if (size > 0) {
		memcpy(at + sizeof(header), payload, size);
	}
	vmm_outbox_commit(outbox, sizeof(header) + size);
	return true;
}

bool vmm_outbox_append_fd(struct vmm_outbox *outbox, uint32_t request, const void *payload,
	uint32_t size, size_t limit, int fd)
{
	struct vmm_outbox_fd *passed = NULL;
	uint64_t at = outbox->appended;

	if (fd >= 0) {
		passed = malloc(sizeof(*passed));
		if (!passed) {
			fd_close(&fd);
			return false;
		}
		*passed = (struct vmm_outbox_fd){ .at = at, .fd = fd };
	}
	if (!vmm_outbox_append(outbox, request, payload, size, limit)) {
		fd_close(&fd);
		free(passed);
		return false;
	}
	if (passed) {
		list_append(&outbox->fds, &passed->link);
	}
	return true;
}

void vmm_outbox_append_flush(struct vmm_outbox *outbox, struct vmm_flush *flush)
{
	outbox->flush_count++;
	if (flush->read.pending) {
		list_append(&outbox->waiting, &flush->link);
	} else {
		vmm_outbox_let_go(outbox, flush);
	}
}

void vmm_outbox_let_go(struct vmm_outbox *outbox, struct vmm_flush *flush)
{
	list_remove(&flush->link);
	flush->at = outbox->appended;
	list_append(&outbox->flushes, &flush->link);
}

void vmm_outbox_remove_flush(struct vmm_outbox *outbox, struct vmm_flush *flush)
{
	list_remove(&flush->link);
	outbox->flush_count--;
}

static void drop_fd(struct vmm_outbox_fd *passed)
{
	list_remove(&passed->link);
	fd_close(&passed->fd);
	free(passed);
}

void vmm_outbox_clear_bytes(struct vmm_outbox *outbox)
{
	list_for_each_safe(link, next, &outbox->fds) {
		drop_fd(container_of(link, struct vmm_outbox_fd, link));
	}
	outbox->start = 0;
	outbox->end = 0;
	outbox->message_left = 0;
}

static struct vmm_flush *first_flush(const struct vmm_outbox *outbox)
{
	struct list *link = list_first(&outbox->flushes);

	return link ? container_of(link, struct vmm_flush, link) : NULL;
}

/* Of the byte at start, among all that ever were. */
static uint64_t start_position(const struct vmm_outbox *outbox)
{
	return outbox->appended - (outbox->end - outbox->start);
}

/* Bytes that go out before the flush. */
static size_t bytes_before(const struct vmm_outbox *outbox, const struct vmm_flush *flush)
{
	return flush ? (size_t)(flush->at - start_position(outbox)) : outbox->end - outbox->start;
}

/*
 * A descriptor goes with the first byte of a sendmsg: so what is copied ends before the next one. Sets
 * *passed to that of the first byte, NULL: none.
 */
static size_t bytes_before_fd(
	const struct vmm_outbox *outbox, size_t copied, struct vmm_outbox_fd **passed)
{
	uint64_t position = start_position(outbox);

	*passed = NULL;
	list_for_each(link, &outbox->fds) {
		struct vmm_outbox_fd *fd = container_of(link, struct vmm_outbox_fd, link);

		if (fd->at - position >= copied) {
			break;
		}
		if (fd->at > position) {
			return (size_t)(fd->at - position);
		}
		*passed = fd;
	}
	return copied;
}

static size_t total(const struct iovec *iov, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++) {
		size += iov[i].iov_len;
	}
	return size;
}

/* Copies are whole messages, one behind the other: their headers say where each ends. */
static void advance_copies(struct vmm_outbox *outbox, size_t count)
{
	struct vmm_header header;

	while (count > 0) {
		size_t part;

		if (outbox->message_left == 0) {
			memcpy(&header, outbox->bytes + outbox->start, sizeof(header));
			outbox->message_left = sizeof(header) + header.size;
		}
		part = count < outbox->message_left ? count : outbox->message_left;
		outbox->message_left -= part;
		outbox->start += part;
		count -= part;
	}
}

static struct vmm_flush *advance(
	struct vmm_outbox *outbox, struct vmm_flush *flush, size_t copied, size_t count)
{
	size_t part = count < copied ? count : copied;

	advance_copies(outbox, part);
	if (outbox->start == outbox->end) {
		vmm_outbox_clear_bytes(outbox);
	}
	if (!flush) {
		return NULL;
	}
	flush->sent += count - part;
	if (!vmm_flush_is_sent(flush)) {
		return NULL;
	}
	vmm_outbox_remove_flush(outbox, flush);
	return flush;
}

bool vmm_outbox_is_unfinished(const struct vmm_outbox *outbox)
{
	const struct vmm_flush *flush = first_flush(outbox);

	return outbox->message_left > 0 || (flush && flush->sent > 0);
}

struct vmm_sent vmm_outbox_send(struct vmm_outbox *outbox, int socket, size_t max, bool finish)
{
	struct vmm_flush *flush = first_flush(outbox);
	size_t before = bytes_before(outbox, flush);
	struct vmm_outbox_fd *passed;
	struct vmm_sent sent = { 0 };
	size_t copied;
	struct iovec iov[IOV_COUNT];
	size_t count = 0;

	assert(!vmm_outbox_is_empty(outbox));
	assert(!finish || vmm_outbox_is_unfinished(outbox));
	copied = bytes_before_fd(outbox, before, &passed);
	if (finish && outbox->message_left > 0) {
		copied = outbox->message_left;
		flush = NULL;
	} else if (copied < before) {
		flush = NULL;
	}
	iov[0] = (struct iovec){ 0 };
	if (copied > 0) {
		iov[count++] = (struct iovec){ outbox->bytes + outbox->start, copied };
	}
	if (flush && vmm_flush_begin(flush) < 0) {
		vmm_outbox_remove_flush(outbox, flush);
		sent.done = flush;
		return sent;
	}
	if (flush) {
		count += vmm_flush_fill(
			flush, &outbox->stripe, iov + count, IOV_COUNT - count, max);
	}
	sent.count = fd_send(socket, iov, count, passed ? &passed->fd : NULL, passed ? 1 : 0);
	if (passed && sent.count > 0) {
		drop_fd(passed);
	}
	if (sent.count >= 0) {
		sent.full = (size_t)sent.count < total(iov, count);
		sent.done = advance(outbox, flush, copied, (size_t)sent.count);
	}
	return sent;
}
