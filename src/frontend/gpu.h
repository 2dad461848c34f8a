/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_GPU_H
#define FRONTEND_GPU_H

/*
 * A whole front end: VMM and guest driver of one virtio-gpu device. It connects, negotiates and
 * starts the rings in the order of QEMU's messages, in one of two dialects (a display socket, or none
 * because the back end owns its display), and speaks virtio-gpu.
 *
 * Commands come in two ways. fe_gpu_call sends one and waits for its answer; the functions named after
 * commands do that and return the answer's type (VIRTIO_GPU_RESP_*) or -errno. fe_gpu_submit puts one
 * into the ring, fe_gpu_flush publishes, fe_gpu_take takes answers as they come: for many in flight.
 *
 * All parts are open to tests: session, memory, queues, display and pump are ordinary objects of
 * their own headers, and fe_gpu only joins them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontend/display.h"
#include "frontend/memory.h"
#include "frontend/pump.h"
#include "frontend/queue.h"
#include "frontend/session.h"
#include "frontend/window.h"
#include "gpu/wire.h"

enum fe_dialect {
	FE_DIALECT_VMM, // GPU_SET_SOCKET, as vhost-user-gpu-pci
	FE_DIALECT_OWN, // no display socket, as vhost-user-test-device-pci or crosvm
};

enum fe_gpu_limits {
	FE_GPU_REQUEST_ROOM = 256, // bytes of a slot's request; larger ones get a span of their own
	FE_GPU_RESPONSE_ROOM = 4096, // a capset is the largest answer
	FE_GPU_TIMEOUT_MS = 5000,
};

struct fe_gpu_options {
	enum fe_dialect dialect;
	uint64_t memory_size; // of the one region, page multiple; 0: 64 MiB
	uint16_t control_size; // ring sizes; 0: 64 and 16, as QEMU's 2D device has
	uint16_t cursor_size;
	uint64_t features_off; // virtio feature bits (masks) not to accept though offered
	uint64_t protocol_features_off; // likewise
	bool ack; // ask for REPLY_ACK everywhere
	bool renderer; // accept VIRTIO_GPU_F_VIRGL and CONTEXT_INIT, if offered

	/* The host-visible window, if the back end has one and can fill it (gpu.window.size). */
	struct fe_window_options window;

	/*
	 * FE_DIALECT_VMM with a display that somebody else serves: the back end's end of its socket
	 * (borrowed). 0: fe_gpu's own display.
	 */
	int display_socket;
};

/* One command in flight. */
struct fe_gpu_slot {
	struct fe_span buffer; // request room, then response room
	struct fe_span large; // request that does not fit; size 0: none
	uint32_t response_size;
	uint32_t next_free;
};

/* A command's answer; bytes are the slot's and valid until the next fe_gpu_submit. */
struct fe_gpu_answer {
	uint32_t slot; // as fe_gpu_submit returned
	uint32_t queue;
	uint32_t len; // as in the used ring
	uint32_t type;
	const void *bytes;
};

struct fe_gpu {
	struct fe_gpu_options options;
	struct fe_pump pump;
	struct fe_memory memory;
	struct fe_session session;
	struct fe_display display; // FE_DIALECT_VMM
	struct fe_window window;
	struct fe_queue queues[WIRE_QUEUE_COUNT];
	struct virtio_gpu_config config; // as read at the start
	uint64_t offered; // virtio features that the back end offered
	uint64_t protocol_offered;
	uint64_t max_memory_slots; // 0: no CONFIGURE_MEM_SLOTS
	int timeout_ms; // of each answer
	bool spin; // wait for answers by looking at the ring, not for notifications

	struct fe_gpu_slot *slots; // as many as the rings have entries together
	uint32_t slot_count;
	uint32_t free_slot;
	const char *failed_at; // the step of fe_gpu_start that failed
};

/*
 * Fills the structure: memory with one region at guest address 0x100000000 (so that it differs from
 * every other address), display, no connection. options are copied. Returns 0 or -errno.
 */
int fe_gpu_init(struct fe_gpu *gpu, const struct fe_gpu_options *options);

/* Hangs up and frees all. */
void fe_gpu_finish(struct fe_gpu *gpu);

/*
 * Takes the connected vhost-user socket and does all up to a running device. Returns 0 or -errno;
 * failed_at says at which step. The steps can be called one by one instead.
 */
int fe_gpu_start(struct fe_gpu *gpu, int socket);

/* Features, protocol features, owner, slots, the back end's requests, the window, configuration. */
int fe_gpu_negotiate(struct fe_gpu *gpu, int socket);

/* Makes rings and slots anew (a driver that starts), indices 0. Called by fe_gpu_start. */
int fe_gpu_make_rings(struct fe_gpu *gpu);

/* Hands over the memory (a table, or region by region with CONFIGURE_MEM_SLOTS). */
int fe_gpu_send_memory(struct fe_gpu *gpu);

/*
 * Display socket (VMM), SET_FEATURES, memory, rings: what QEMU sends at DRIVER_OK. Then a question, so that all
 * has been read when this returns: a kick takes another road and could arrive before.
 */
int fe_gpu_run(struct fe_gpu *gpu);

/*
 * One ring: call (as QEMU at its start), number, base, address, err, kick, call. base is the ring's avail
 * index to go on from.
 */
int fe_gpu_start_ring(struct fe_gpu *gpu, uint32_t index, uint32_t base);

/*
 * The VMM stops: display socket closed first (as QEMU does), rings disabled, GET_VRING_BASE for each
 * (bases go to *bases), memory slots removed.
 */
int fe_gpu_stop(struct fe_gpu *gpu, uint32_t bases[static WIRE_QUEUE_COUNT]);

/*
 * The VMM continues: what fe_gpu_run does, rings going on from bases, and, as QEMU does, with a new
 * display socket.
 */
int fe_gpu_cont(struct fe_gpu *gpu, const uint32_t bases[static WIRE_QUEUE_COUNT]);

/*
 * The guest resets the device and its driver starts again: stop, RESET_DEVICE or status 0 if
 * negotiated, an empty window and rings, run from index 0. Commands in flight are forgotten.
 */
int fe_gpu_reset(struct fe_gpu *gpu);

/*
 * Puts a command into the ring, not yet published. response_size is the room offered (at most
 * FE_GPU_RESPONSE_ROOM; 0: no writable descriptor). Returns the slot or -ENOSPC.
 */
int fe_gpu_submit(struct fe_gpu *gpu, uint32_t queue, const void *command, size_t size,
	uint32_t response_size);

/*
 * The same with bytes behind the command that are in guest memory already, and stay there, unchanged, until
 * the answer is taken.
 */
int fe_gpu_submit_with(struct fe_gpu *gpu, uint32_t queue, const void *command, size_t size,
	struct fe_buffer tail, uint32_t response_size);

/* Publishes and notifies if the device asks for it. */
void fe_gpu_flush(struct fe_gpu *gpu, uint32_t queue);

/* Takes an answer if there is one. */
bool fe_gpu_take(struct fe_gpu *gpu, uint32_t queue, struct fe_gpu_answer *answer);

/* Waits for one and takes it: 0, -ETIMEDOUT, or -EIO when the ring's err descriptor was signalled. */
int fe_gpu_wait(struct fe_gpu *gpu, uint32_t queue, struct fe_gpu_answer *answer, int timeout_ms);

/*
 * Sends one command and waits. The answer's first response_size bytes are copied to response (may be
 * NULL: 24 bytes are offered then). Returns the answer's type or -errno. Nothing else may be in flight
 * in that queue.
 */
int fe_gpu_call(struct fe_gpu *gpu, uint32_t queue, const void *command, size_t size,
	void *response, uint32_t response_size);

/* Commands of the control queue; they return the answer's type or -errno. */
int fe_gpu_get_display_info(struct fe_gpu *gpu, struct virtio_gpu_resp_display_info *info);
int fe_gpu_get_edid(struct fe_gpu *gpu, uint32_t scanout, struct virtio_gpu_resp_edid *edid);
int fe_gpu_create_2d(
	struct fe_gpu *gpu, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
int fe_gpu_unref(struct fe_gpu *gpu, uint32_t id);
int fe_gpu_attach(struct fe_gpu *gpu, uint32_t id, const struct virtio_gpu_mem_entry *entries,
	uint32_t count);
int fe_gpu_attach_span(struct fe_gpu *gpu, uint32_t id, const struct fe_span *span);
int fe_gpu_detach(struct fe_gpu *gpu, uint32_t id);
int fe_gpu_set_scanout(
	struct fe_gpu *gpu, uint32_t scanout, uint32_t id, struct virtio_gpu_rect rect);
int fe_gpu_transfer(struct fe_gpu *gpu, uint32_t id, struct virtio_gpu_rect rect, uint64_t offset);
int fe_gpu_resource_flush(struct fe_gpu *gpu, uint32_t id, struct virtio_gpu_rect rect);
int fe_gpu_assign_uuid(struct fe_gpu *gpu, uint32_t id, uint8_t uuid[static WIRE_UUID_SIZE]);
int fe_gpu_create_blob(struct fe_gpu *gpu, uint32_t id, uint32_t blob_mem, uint32_t blob_flags,
	uint64_t size, const struct virtio_gpu_mem_entry *entries, uint32_t count);
/* All but the header's type and the context is the caller's; blob->nr_entries of entries. */
int fe_gpu_create_context_blob(struct fe_gpu *gpu, uint32_t context,
	const struct virtio_gpu_resource_create_blob *blob,
	const struct virtio_gpu_mem_entry *entries);
int fe_gpu_map_blob(
	struct fe_gpu *gpu, uint32_t id, uint64_t offset, struct virtio_gpu_resp_map_info *info);
int fe_gpu_unmap_blob(struct fe_gpu *gpu, uint32_t id);
int fe_gpu_set_scanout_blob(struct fe_gpu *gpu, const struct virtio_gpu_set_scanout_blob *blob);
int fe_gpu_get_capset_info(
	struct fe_gpu *gpu, uint32_t index, struct virtio_gpu_resp_capset_info *info);

/*
 * Commands of the cursor queue. A move carries the resource of the last update, as Linux sends it.
 * QEMU's reference writes no answer to cursor commands: its type reads as 0 then.
 */
int fe_gpu_update_cursor(struct fe_gpu *gpu, uint32_t scanout, uint32_t x, uint32_t y, uint32_t id,
	uint32_t hot_x, uint32_t hot_y);
int fe_gpu_move_cursor(struct fe_gpu *gpu, uint32_t scanout, uint32_t x, uint32_t y, uint32_t id);

/* The commands' bytes, for fe_gpu_submit. */
struct virtio_gpu_transfer_to_host_2d fe_gpu_make_transfer(
	uint32_t id, struct virtio_gpu_rect rect, uint64_t offset);
struct virtio_gpu_resource_flush fe_gpu_make_flush(uint32_t id, struct virtio_gpu_rect rect);
struct virtio_gpu_update_cursor fe_gpu_make_move(
	uint32_t scanout, uint32_t x, uint32_t y, uint32_t id);

/* A rectangle from its four numbers. */
struct virtio_gpu_rect fe_rect(uint32_t x, uint32_t y, uint32_t width, uint32_t height);

#endif
