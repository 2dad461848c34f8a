/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_WIRE_H
#define FRONTEND_WIRE_H

/* Whole reads and writes on a stream socket, with a time limit. */

#include <stddef.h>

#include "base/fd.h"
#include "frontend/pump.h"

/* Writes it all; fds (borrowed) go with the first byte. Returns 0 or -errno. */
int fe_wire_write(int socket, const void *bytes, size_t size, const int *fds, size_t fd_count);

/* The same from several pieces, which are changed. */
int fe_wire_writev(int socket, struct iovec *iov, size_t count, const int *fds, size_t fd_count);

/*
 * Reads exactly size bytes. *fd becomes the first descriptor that came (the caller's), others are
 * closed; fd may be NULL. Returns 0, -ETIMEDOUT, -ECONNRESET at the end of the stream, or -errno.
 */
int fe_wire_read(
	int socket, struct fe_pump *pump, void *bytes, size_t size, int *fd, int timeout_ms);

#endif
