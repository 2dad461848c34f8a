/* SPDX-License-Identifier: MIT */
#ifndef VHOST_SESSION_H
#define VHOST_SESSION_H

/*
 * One vhost-user connection, back-end side, for a device that it knows only through
 * vhost_device_ops. It owns the socket, the rings and the descriptors of the notifications; the guest's
 * memory table is the caller's and only filled here. Wrong messages from the front end end the session
 * (closed); they never end the program. One thread, inside the loop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "memory/memory.h"
#include "vhost/protocol.h"
#include "virtio/virtq.h"

struct vhost_session;

/*
 * What a device does for the session. All entries must be present; `device` is the pointer given to
 * vhost_session_create. None may destroy the session, unless it says so.
 */
struct vhost_device_ops {
	/*
	 * The virtio features of the device type and of the ring (VIRTIO_F_VERSION_1, indirect, event
	 * index). The session adds VHOST_F_PROTOCOL_FEATURES.
	 */
	uint64_t (*get_features)(void *device);

	/* The driver's choice, a subset of the above. Can come again, with the same, after a stop. */
	void (*set_features)(void *device, uint64_t features);

	/* Fills the configuration space and returns its size, at most VHOST_CONFIG_MAX. */
	size_t (*get_config)(void *device, uint8_t config[static VHOST_CONFIG_MAX]);

	/* The driver wrote to the configuration space; the range lies within it. 0 or -errno. */
	int (*set_config)(void *device, uint32_t offset, const uint8_t *bytes, uint32_t size);

	/*
	 * The queue runs: requests may be popped and answers pushed until queue_stopped. The queue is
	 * the session's.
	 */
	void (*queue_started)(void *device, uint32_t index, struct virtq *queue);

	/* The driver said that there is work. Also called once after queue_started. */
	void (*queue_kicked)(void *device, uint32_t index);

	/*
	 * The queue stops: no pop and no push from here on. What is unanswered stays unanswered until the
	 * queue starts again, or is dropped at reset.
	 */
	void (*queue_stopped)(void *device, uint32_t index);

	/* All queues are stopped: nothing may be written, notified or sent. State stays. */
	void (*suspended)(void *device);

	/* The device returns to its first state; requests that were popped before are void. */
	void (*reset)(void *device);

	/* The front end owns the display, and talks about it on this socket (taken). Can come again. */
	void (*set_gpu_socket)(void *device, int socket);

	/*
	 * A map or an unmap of the window that was VHOST_PENDING ended: 0, or -EIO when the front end
	 * refused it (logged) or its channel broke. Never from within vhost_session_map or _unmap. May
	 * be NULL where the window's size is 0.
	 */
	void (*window_operation_done)(void *device, uint64_t token, int result);

	/*
	 * The session is over: the peer hung up or broke the protocol (logged). No other call follows;
	 * the queues have been stopped. The device destroys the session, here or later.
	 */
	void (*closed)(void *device);
};

struct vhost_session_config {
	uint32_t queue_count; // rings of the device
	uint32_t max_memory_slots; // answer to GET_MAX_MEM_SLOTS; memory holds as many
	uint64_t window_size; // bytes of the host-visible window: a power of two of pages; 0: none
};

#define VHOST_PENDING 1 // window_operation_done comes later

/* A file, or a part of one, that the guest is to see. Offsets and len are in bytes, of whole pages. */
struct vhost_window_map {
	int fd; // borrowed
	uint64_t fd_offset;
	uint64_t offset; // in the window
	uint64_t len;
	bool writable;
};

/* Counters since the session began. */
struct vhost_session_stats {
	uint64_t messages; // vhost-user messages handled
	uint64_t kicks; // notifications from the driver
	uint64_t calls; // notifications to the driver
};

/*
 * Serves the connected socket (taken, also on failure). memory is borrowed, ops and device too. Returns
 * NULL on failure (logged).
 */
struct vhost_session *vhost_session_create(struct loop *loop, struct memory *memory, int socket,
	const struct vhost_session_config *config, const struct vhost_device_ops *ops,
	void *device);

/* Stops the queues without telling the device, closes everything. NULL is fine. */
void vhost_session_destroy(struct vhost_session *session);

/* Notifies the driver of used buffers, when virtq_publish said so. */
void vhost_session_call(struct vhost_session *session, uint32_t index);

/*
 * The ring is broken (virtq_pop said -EPROTO): stops reading it and signals its error descriptor. The
 * session goes on; the queue starts again when it is set up anew.
 */
void vhost_session_fail_queue(struct vhost_session *session, uint32_t index);

/*
 * Tells the driver that the configuration changed (VHOST_BACKEND_CONFIG_CHANGE). Returns 0, or -ENOTSUP
 * when the front end gave no channel for it, -EBUSY while suspended or about to be: it is told later.
 */
int vhost_session_config_changed(struct vhost_session *session);

/*
 * Can the window be filled: has the front end made it (GET_SHMEM_CONFIG), does it take mappings, and
 * answer? Turns false when the channel for that breaks.
 */
bool vhost_session_has_window(const struct vhost_session *session);

/*
 * Puts a file into the window. Returns VHOST_PENDING, or -ENOTSUP (no window), -EINVAL (not of pages, or
 * beyond the window or the file), -EEXIST (overlaps another mapping), -ENOSPC (as many as the front end
 * can have), -ENOMEM, or another -errno of the descriptor. While suspended the front end is not told. A
 * reset ends all mappings, and what is pending is not told then.
 */
int vhost_session_map(
	struct vhost_session *session, const struct vhost_window_map *map, uint64_t token);

/*
 * Takes a mapping, all of it, out of the window; one whose map is pending is none yet. Returns
 * VHOST_PENDING, -ENOENT (there is none like this) or -ENOTSUP (no window, any more). However it ends,
 * there is no such mapping from here on.
 */
int vhost_session_unmap(
	struct vhost_session *session, uint64_t offset, uint64_t len, uint64_t token);

/* Virtio features that the driver chose; 0 before SET_FEATURES. */
uint64_t vhost_session_features(const struct vhost_session *session);

struct vhost_session_stats vhost_session_stats(const struct vhost_session *session);

#endif
