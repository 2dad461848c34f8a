/* SPDX-License-Identifier: MIT */
#include "vhost/wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/*
 * How this works
 *
 * A read never asks for more than the rest of one header or of one payload. So the descriptors that
 * come with it belong to that message: the kernel ends a read behind the bytes that descriptors were
 * sent with, but puts bytes of earlier sends without descriptors before them.
 */

void vhost_wire_init(struct vhost_wire *wire)
{
	wire->fd = -1;
	wire->source = NULL;
	wire->in.fd_count = 0;
	wire->in.too_many_fds = false;
	wire->in_len = 0;
	wire->out_len = 0;
	wire->watches_writable = false;
	wire->blocked = false;
}

int vhost_wire_open(
	struct vhost_wire *wire, struct loop *loop, int fd, loop_fd_fn callback, void *data)
{
	int error = fd_set_nonblocking(fd);

	vhost_wire_init(wire);
	wire->fd = fd;
	if (error == 0) {
		wire->source = loop_add_fd(loop, fd, LOOP_READABLE, callback, data);
		error = wire->source ? 0 : -ENOMEM;
	}
	if (error < 0) {
		fd_close(&wire->fd);
	}
	return error;
}

void vhost_wire_close(struct vhost_wire *wire)
{
	loop_remove_fd(wire->source);
	fd_close(&wire->fd);
	fd_close_all(wire->in.fds, wire->in.fd_count);
	vhost_wire_init(wire);
}

/* Reads until in_len is end; `to` is where the byte number `start` of the message lies. */
static int read_until(struct vhost_wire *wire, size_t end, void *to, size_t start)
{
	struct vhost_message *in = &wire->in;

	while (wire->in_len < end) {
		ssize_t got = fd_receive(wire->fd, (uint8_t *)to + (wire->in_len - start),
			end - wire->in_len, in->fds, &in->fd_count, &in->too_many_fds);

		if (got == -EAGAIN) {
			return 0;
		}
		if (got < 0) {
			return (int)got;
		}
		if (got == 0) {
			return wire->in_len ? -EPIPE : -ECONNRESET;
		}
		wire->in_len += (size_t)got;
	}
	return 1;
}

int vhost_wire_read_header(struct vhost_wire *wire)
{
	return read_until(wire, sizeof(wire->in.header), &wire->in.header, 0);
}

int vhost_wire_read_payload(struct vhost_wire *wire)
{
	size_t start = sizeof(wire->in.header);

	assert(wire->in.header.size <= sizeof(wire->in.payload)); // the caller's check
	return read_until(wire, start + wire->in.header.size, &wire->in.payload, start);
}

void vhost_wire_next(struct vhost_wire *wire)
{
	fd_close_all(wire->in.fds, wire->in.fd_count);
	wire->in.fd_count = 0;
	wire->in.too_many_fds = false;
	wire->in_len = 0;
}

static void update_events(struct vhost_wire *wire)
{
	bool waits = wire->out_len > 0 || wire->blocked;

	if (waits != wire->watches_writable) {
		wire->watches_writable = waits;
		loop_fd_set_events(wire->source, LOOP_READABLE | (waits ? LOOP_WRITABLE : 0));
	}
}

/* The first `sent` bytes are out. */
static void drop_sent(struct vhost_wire *wire, size_t sent)
{
	wire->out_len -= sent;
	memmove(wire->out, wire->out + sent, wire->out_len);
}

static int flush(struct vhost_wire *wire)
{
	while (wire->out_len) {
		const struct iovec iov = { .iov_base = wire->out, .iov_len = wire->out_len };
		ssize_t sent = fd_send(wire->fd, &iov, 1, NULL, 0);

		if (sent == -EAGAIN) {
			break;
		}
		if (sent < 0) {
			return (int)sent;
		}
		drop_sent(wire, (size_t)sent);
	}
	update_events(wire);
	return 0;
}

int vhost_wire_flush(struct vhost_wire *wire)
{
	wire->blocked = false;
	return flush(wire);
}

static int append(struct vhost_wire *wire, uint32_t request, uint32_t flags, const void *payload,
	uint32_t size)
{
	const struct vhost_header header = { request, flags, size };

	if (sizeof(header) + size > sizeof(wire->out) - wire->out_len) {
		return -ENOBUFS;
	}
	memcpy(wire->out + wire->out_len, &header, sizeof(header));
	if (size) {
		memcpy(wire->out + wire->out_len + sizeof(header), payload, size);
	}
	wire->out_len += sizeof(header) + size;
	return 0;
}

int vhost_wire_send(struct vhost_wire *wire, uint32_t request, uint32_t flags, const void *payload,
	uint32_t size)
{
	int error = append(wire, request, flags, payload, size);

	return error < 0 ? error : flush(wire);
}

int vhost_wire_send_fd(struct vhost_wire *wire, uint32_t request, uint32_t flags,
	const void *payload, uint32_t size, int fd)
{
	ssize_t sent = -EAGAIN;

	/* The descriptor must go with this message's first byte: nothing may wait before it. */
	if (wire->out_len == 0) {
		int error = append(wire, request, flags, payload, size);
		const struct iovec iov = { .iov_base = wire->out, .iov_len = wire->out_len };

		if (error < 0) {
			return error;
		}
		sent = fd_send(wire->fd, &iov, 1, &fd, fd >= 0);
		drop_sent(wire, sent < 0 ? wire->out_len : (size_t)sent);
	}
	wire->blocked = sent == -EAGAIN;
	update_events(wire);
	return sent < 0 ? (int)sent : 0;
}
