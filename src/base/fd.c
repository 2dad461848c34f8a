/* SPDX-License-Identifier: MIT */
#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for FD_MESSAGE_MAX descriptors, aligned for the header that leads them (cmsg(3)). */
union control_buffer {
	char bytes[CMSG_SPACE(FD_MESSAGE_MAX * sizeof(int))];
	struct cmsghdr alignment;
};

void fd_close(int *fd)
{
	int saved_errno = errno;

	if (*fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	errno = saved_errno;
}

void fd_close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fd_close(&fds[i]);
	}
}

int fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		return -errno;
	}
	return 0;
}

void fd_event_signal(int fd)
{
	const uint64_t one = 1;
	ssize_t written;

	do {
		written = write(fd, &one, sizeof(one));
	} while (written < 0 && errno == EINTR);
}

bool fd_event_clear(int fd)
{
	uint64_t counter;
	ssize_t got;

	do {
		got = read(fd, &counter, sizeof(counter));
	} while (got < 0 && errno == EINTR);
	if (got >= 0 && got != (ssize_t)sizeof(counter)) {
		errno = EPIPE;
	}
	return got == (ssize_t)sizeof(counter);
}

static void attach_fds(
	struct msghdr *message, union control_buffer *control, const int *fds, size_t count)
{
	struct cmsghdr *header;

	memset(control, 0, sizeof(*control));
	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(count * sizeof(int));
	header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
}

ssize_t fd_send(int socket, const struct iovec *iov, size_t iov_count, const int *fds, size_t count)
{
	union control_buffer control;
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = iov_count };
	ssize_t sent;

	assert(count <= FD_MESSAGE_MAX);
	if (count) {
		attach_fds(&message, &control, fds, count);
	}
	do {
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static void take_fds(
	const struct cmsghdr *header, int fds[FD_MESSAGE_MAX], size_t *count, bool *too_many)
{
	size_t received = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < received; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
		if (*count < FD_MESSAGE_MAX) {
			fds[(*count)++] = fd;
		} else {
			*too_many = true;
			close(fd);
		}
	}
}

ssize_t fd_receive(int socket, void *buffer, size_t size, int fds[FD_MESSAGE_MAX], size_t *count,
	bool *too_many)
{
	union control_buffer control;
	struct iovec iov = { .iov_base = buffer, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control),
	};
	ssize_t received;

	do {
		received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (received < 0 && errno == EINTR);
	if (received < 0) {
		return -errno;
	}
	if (message.msg_flags & MSG_CTRUNC) {
		*too_many = true;
	}
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
		header = CMSG_NXTHDR(&message, header)) {
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
			take_fds(header, fds, count, too_many);
		}
	}
	return received;
}
