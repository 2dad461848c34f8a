/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_BRIDGE_H
#define DAEMON_BRIDGE_H

/*
 * Joins the rooms for one VM: a vhost-user session moves requests between its rings and a gpu_device,
 * whose display is the daemon's own, or the VMM's when the front end brings a socket for it. Neither
 * vhost/ nor gpu/ knows the other; only this file knows both.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "display/display.h"
#include "gpu/device.h"
#include "render/virgl/virgl.h"
#include "vhost/session.h"

struct bridge;

struct bridge_config {
	uint64_t max_memory; // bytes that the guest can make us hold
	uint32_t max_resources; // also memory slots
	uint32_t max_request; // bytes of one request
	uint32_t poll_us; // microseconds to look for more work before sleeping; 0: none
	uint32_t outputs; // of the own display, 1 to DISPLAY_OUTPUT_MAX
	uint32_t width; // of each, pixels
	uint32_t height;
	uint64_t host_visible; // bytes of the window for host memory, a power of two; 0: none
	bool dmabuf; // the VMM's display may be given buffers of the GPU
	struct virgl *virgl; // OpenGL or Vulkan for the guest, borrowed; NULL: a 2D device
};

/* The VM went: the front end hung up or broke the protocol. The bridge may be destroyed from here. */
typedef void (*bridge_closed_fn)(void *data);

/* Serves the connected socket (taken, also on failure). NULL on failure (logged). */
struct bridge *bridge_create(struct loop *loop, int socket, const struct bridge_config *config,
	bridge_closed_fn closed, void *data);
void bridge_destroy(struct bridge *bridge); // NULL is fine

struct gpu_device *bridge_device(struct bridge *bridge);

enum bridge_dialect {
	BRIDGE_OWN_DISPLAY, // until the front end says otherwise
	BRIDGE_VMM_DISPLAY, // GPU_SET_SOCKET came
};
enum bridge_dialect bridge_dialect(const struct bridge *bridge);

struct bridge_queue_stats {
	bool running;
	uint64_t requests; // taken from the ring
	uint64_t batches; // turns that took at least one
	uint32_t depth; // requests taken and not answered
	uint32_t depth_peak;
};

struct bridge_stats {
	struct vhost_session_stats session;
	struct bridge_queue_stats queues[WIRE_QUEUE_COUNT];
	uint64_t resets;
	uint64_t features; // virtio features that the driver took
};
struct bridge_stats bridge_stats(const struct bridge *bridge);

#endif
