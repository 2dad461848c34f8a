/* SPDX-License-Identifier: MIT */
#ifndef BASE_FD_H
#define BASE_FD_H

/* File descriptors. A field that holds none is -1. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* As many descriptors as one message may bring; more are closed by the kernel (MSG_CTRUNC). */
#define FD_MESSAGE_MAX 32

/* Closes *fd if it is one, and sets it to -1. Keeps errno. */
void fd_close(int *fd);

/* Closes count descriptors and sets each to -1. */
void fd_close_all(int *fds, size_t count);

/* Returns 0 or -errno. */
int fd_set_nonblocking(int fd);

/* Adds one to an eventfd; a full counter is no error (the reader is told anyway). */
void fd_event_signal(int fd);

/*
 * Empties an eventfd (non-blocking). False with errno EAGAIN when it was empty, with another when it is
 * broken or at its end.
 */
bool fd_event_clear(int fd);

/*
 * sendmsg(2) with MSG_NOSIGNAL and, where count > 0, the descriptors as SCM_RIGHTS. Borrows all.
 * Returns the bytes taken or -errno (-EAGAIN: none now).
 */
ssize_t fd_send(
	int socket, const struct iovec *iov, size_t iov_count, const int *fds, size_t count);

/*
 * Reads at most size bytes and appends the descriptors that came with them to fds, from *count on,
 * close-on-exec. Descriptors over FD_MESSAGE_MAX in total are closed and *too_many is set. Returns
 * the bytes read, 0 at the end of the stream, or -errno. The caller owns the descriptors.
 */
ssize_t fd_receive(int socket, void *buffer, size_t size, int fds[FD_MESSAGE_MAX], size_t *count,
	bool *too_many);

#endif
