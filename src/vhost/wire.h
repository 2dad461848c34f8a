/* SPDX-License-Identifier: MIT */
#ifndef VHOST_WIRE_H
#define VHOST_WIRE_H

/*
 * A stream socket that carries vhost-user messages in both directions, without ever blocking: the
 * session's own, and the one of SET_BACKEND_REQ_FD. Knows the frame, not what is in it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fd.h"
#include "base/loop.h"
#include "vhost/protocol.h"

struct vhost_config_space {
	struct vhost_config_header header;
	uint8_t bytes[VHOST_CONFIG_MAX];
};

/* The largest payloads are the memory table's (264 bytes) and the configuration space's (268). */
union vhost_payload {
	uint8_t bytes[sizeof(struct vhost_config_space)];
	uint64_t u64;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct vhost_memory_table table;
	struct vhost_single_region region;
	struct vhost_config_space config;
};

struct vhost_message {
	struct vhost_header header;
	union vhost_payload payload;
	int fds[FD_MESSAGE_MAX]; // the message's: whoever takes one puts -1 in its place
	size_t fd_count;
	bool too_many_fds;
};

/*
 * Bytes that wait for a peer that does not read. A front end asks one thing at a time, and the largest
 * answer has 2056 bytes.
 */
#define VHOST_WIRE_OUT_MAX 4096

struct vhost_wire {
	int fd; // -1: closed
	struct loop_fd *source;
	struct vhost_message in;
	size_t in_len; // bytes of `in` that have come, the header's first
	uint8_t out[VHOST_WIRE_OUT_MAX];
	size_t out_len;
	bool watches_writable;
	bool blocked; // vhost_wire_send_fd said -EAGAIN, and the peer has not read since
};

/* Makes it closed. */
void vhost_wire_init(struct vhost_wire *wire);

/* Watches fd (taken, also on failure). Returns 0 or -errno (logged). */
int vhost_wire_open(
	struct vhost_wire *wire, struct loop *loop, int fd, loop_fd_fn callback, void *data);

/* Can be called twice. Closes descriptors that came and were not taken. */
void vhost_wire_close(struct vhost_wire *wire);

/*
 * Reads on until the header, or then the payload, of a message is whole in `in`. Both return 1 when it
 * is (again and again, until vhost_wire_next), 0 when bytes are still to come, -ECONNRESET when the
 * peer hung up between two messages, -EPIPE within one, or another -errno. The caller checks that
 * header.size fits the payload between the two.
 */
int vhost_wire_read_header(struct vhost_wire *wire);
int vhost_wire_read_payload(struct vhost_wire *wire);

/* The message is done: closes the descriptors that nobody took. */
void vhost_wire_next(struct vhost_wire *wire);

/* Sends now or when the peer reads. Returns 0, -ENOBUFS (it reads too little) or another -errno. */
int vhost_wire_send(struct vhost_wire *wire, uint32_t request, uint32_t flags, const void *payload,
	uint32_t size);

/*
 * Sends a message, with a descriptor (borrowed) unless fd is -1, now or not at all. Returns 0, -EAGAIN
 * when the peer must read first (the callback then hears of LOOP_WRITABLE), or another -errno.
 */
int vhost_wire_send_fd(struct vhost_wire *wire, uint32_t request, uint32_t flags,
	const void *payload, uint32_t size, int fd);

/* The socket can be written: sends what waits. Returns 0 or -errno. */
int vhost_wire_flush(struct vhost_wire *wire);

#endif
