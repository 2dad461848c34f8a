/* SPDX-License-Identifier: MIT */
#include "frontend/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>

static void wait_writable(int socket)
{
	struct pollfd fd = { .fd = socket, .events = POLLOUT };

	poll(&fd, 1, 1000);
}

/* Drops the first `bytes` bytes of the pieces; returns how many pieces are done with. */
static size_t advance(struct iovec *iov, size_t count, size_t bytes)
{
	size_t done = 0;

	while (done < count && bytes >= iov[done].iov_len) {
		bytes -= iov[done++].iov_len;
	}
	if (done < count) {
		iov[done].iov_base = (char *)iov[done].iov_base + bytes;
		iov[done].iov_len -= bytes;
	}
	return done;
}

int fe_wire_writev(int socket, struct iovec *iov, size_t count, const int *fds, size_t fd_count)
{
	while (count > 0) {
		ssize_t sent = fd_send(socket, iov, count, fds, fd_count);

		if (sent == -EAGAIN) {
			wait_writable(socket);
		} else if (sent == -EPIPE) {
			return -ECONNRESET;
		} else if (sent < 0) {
			return (int)sent;
		} else {
			size_t done = advance(iov, count, (size_t)sent);

			iov += done;
			count -= done;
			fd_count = 0;
		}
	}
	return 0;
}

int fe_wire_write(int socket, const void *bytes, size_t size, const int *fds, size_t fd_count)
{
	struct iovec iov = { (void *)bytes, size };

	return fe_wire_writev(socket, &iov, 1, fds, fd_count);
}

/* Keeps the first descriptor for the caller. */
static void keep_first(int *fds, size_t count, int *fd)
{
	if (fd && *fd < 0 && count > 0) {
		*fd = fds[0];
		fds[0] = -1;
	}
	fd_close_all(fds, count);
}

static ssize_t read_some(int socket, void *bytes, size_t size, int *fd)
{
	int fds[FD_MESSAGE_MAX];
	size_t count = 0;
	bool too_many = false;
	ssize_t got = fd_receive(socket, bytes, size, fds, &count, &too_many);

	keep_first(fds, count, fd);
	return got == 0 ? -ECONNRESET : got;
}

int fe_wire_read(
	int socket, struct fe_pump *pump, void *bytes, size_t size, int *fd, int timeout_ms)
{
	uint64_t end = fe_now_ns() + (uint64_t)timeout_ms * 1000000u;
	uint8_t *at = bytes;

	if (fd) {
		*fd = -1;
	}
	while (size > 0) {
		uint64_t now = fe_now_ns();
		int left = now >= end ? 0 : (int)((end - now) / 1000000 + 1);
		int error = fe_pump_wait(pump, socket, left);

		if (error < 0) {
			return error;
		}
		ssize_t got = read_some(socket, at, size, fd);
		if (got < 0 && got != -EAGAIN && got != -EINTR) {
			return (int)got;
		}
		if (got > 0) {
			at += got;
			size -= (size_t)got;
		}
	}
	return 0;
}
