/* SPDX-License-Identifier: MIT */
#ifndef GPU_DEVICE_H
#define GPU_DEVICE_H

/*
 * The virtio-gpu device (VIRTIO 1.3, 5.7), without a transport: requests go in as private bytes, answers
 * come out through gpu_transport_ops. It owns resources and scanouts, asks a renderer for pixels and a
 * display to show them. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "display/display.h"
#include "gpu/limits.h"
#include "gpu/wire.h"
#include "memory/memory.h"
#include "render/render.h"

struct gpu_device;
struct gpu_resource;

/* A file that is to be seen in the window. */
struct gpu_window_map {
	int fd; // borrowed
	uint64_t offset; // in the window, bytes; this and len are whole pages
	uint64_t len; // from the file's start on
};

/* Every answer but GET_CAPSET's. */
union gpu_response {
	struct virtio_gpu_ctrl_hdr header;
	struct virtio_gpu_resp_display_info display_info;
	struct virtio_gpu_resp_edid edid;
	struct virtio_gpu_resp_resource_uuid uuid;
	struct virtio_gpu_resp_capset_info capset_info;
	struct virtio_gpu_resp_map_info map_info;
};

/*
 * One request, from pop to push. The transport makes it, fills the first part, and gives it to
 * gpu_device_submit; the device ends it with exactly one `complete`.
 */
struct gpu_request {
	// by the transport
	uint32_t queue; // WIRE_CONTROL_QUEUE or WIRE_CURSOR_QUEUE
	const uint8_t *bytes; // private copy of what the driver wrote
	size_t len;
	uint64_t total_len; // more than len when the request was too large to copy
	// by the device
	union gpu_response response;
	struct virtio_gpu_resp_capset *capset; // malloc'ed, the transport's with `complete`; NULL
	size_t response_len; // bytes to write: of capset if there is one, else of response
	// private to gpu/ (request.h)
	struct list link; // gpu_resource.waiting, while a flush waits for transfers
	uint64_t token; // 0: none given yet
	uint32_t waiting_for; // operations that have not ended
	uint32_t response_type; // VIRTIO_GPU_RESP_* to answer when they have
	uint64_t charged; // bytes taken from the limits until completion
	uint32_t capset_size; // bytes behind the header of capset
	struct gpu_resource *resource; // referenced while an operation on it has not ended
	void (*ended)(struct gpu_device *device, struct gpu_request *request, int result);
	size_t command; // row of the command table
};

/* The answer's bytes, after `complete`. */
static inline const void *gpu_request_answer(const struct gpu_request *request)
{
	return request->capset ? (const void *)request->capset : &request->response;
}

/* All entries must be present. */
struct gpu_transport_ops {
	/*
	 * The request is answered: response_len bytes of gpu_request_answer. Comes from within
	 * gpu_device_submit, or later. The request is the transport's again, and what it holds.
	 */
	void (*complete)(void *transport, struct gpu_request *request);

	/* gpu_device_get_config gives something new: tell the driver. */
	void (*config_changed)(void *transport);

	/* Bytes of the host-visible window; 0: the driver has none. Does not change while a driver runs. */
	uint64_t (*window_size)(void *transport);

	/*
	 * Shows the file to the driver, readable and writable, or no longer. RENDER_PENDING, and
	 * gpu_device_window_done follows with the token; or -ENOSPC (too many), or another -errno. A reset
	 * unmaps all, and no answers follow.
	 */
	int (*map)(void *transport, const struct gpu_window_map *map, uint64_t token);
	int (*unmap)(void *transport, uint64_t offset, uint64_t len, uint64_t token);
};

struct gpu_device_config {
	uint64_t max_memory; // bytes that a guest can make us hold
	uint32_t max_resources;
	uint32_t outputs; // num_scanouts, 1 to DISPLAY_OUTPUT_MAX
};

/* Counters since the device was made; reset does not clear them. */
struct gpu_device_stats {
	const char *name; // "RESOURCE_CREATE_2D"
	uint64_t count; // requests
	uint64_t errors; // of those, answered with an error
};

/*
 * Makes a device. renderer: created by the caller with gpu_device_render_listener as its listener and the
 * device as its data, so it is set afterwards with gpu_device_set_renderer. memory is borrowed. Returns
 * NULL when there is no memory (logged).
 */
struct gpu_device *gpu_device_create(const struct gpu_device_config *config, struct memory *memory,
	const struct gpu_transport_ops *transport_ops, void *transport);

/* Ends what is pending (complete comes from within); the renderer and the display go too. NULL is fine. */
void gpu_device_destroy(struct gpu_device *device);

extern const struct render_listener_ops gpu_device_render_listener;

/* Once, before the first request. The renderer is taken. */
void gpu_device_set_renderer(struct gpu_device *device, struct renderer *renderer);

/*
 * A second renderer, for contexts and what they make (render_3d.h), before the first request; taken. The
 * first one keeps what CREATE_2D and guest blobs make, so the screen does not depend on a GL driver.
 */
void gpu_device_set_renderer_3d(struct gpu_device *device, struct renderer *renderer);

/*
 * Shows everything on this display (taken) from now on; the old one is destroyed. Scanouts, cursors and
 * a flush of each go to the new one at once.
 */
void gpu_device_set_display(struct gpu_device *device, struct display *display);
struct display *gpu_device_display(struct gpu_device *device); // borrowed; NULL before the first

/* VIRTIO_GPU_F_* that this device offers, as a mask of feature bits. */
uint64_t gpu_device_features(const struct gpu_device *device);

/*
 * The driver's choice: commands of features that it did not take are refused (ERR_UNSPEC). It holds across
 * gpu_device_reset, as a front end may tell the features of a new driver before it is seen to be new.
 */
void gpu_device_set_features(struct gpu_device *device, uint64_t features);

void gpu_device_get_config(const struct gpu_device *device, struct wire_config *config);

/* The driver wrote events_clear (VIRTIO 1.3, 5.7.4). */
void gpu_device_clear_events(struct gpu_device *device, uint32_t events);

/* A map or an unmap of the transport ended: 0 or -errno. Never from within it. */
void gpu_device_window_done(struct gpu_device *device, uint64_t token, int result);

/* The VM is paused, or goes on; twice is fine. */
void gpu_device_pause(struct gpu_device *device, bool paused);

/* Takes the request until `complete`. */
void gpu_device_submit(struct gpu_device *device, struct gpu_request *request);

/* Back to the first state: pending requests are completed, all resources and scanouts go. */
void gpu_device_reset(struct gpu_device *device);

/*
 * A picture of a scanout as the guest last drew it, XRGB8888, with the cursor on it if asked for. Returns
 * a new frame, or NULL with errno ENODEV (no such scanout), ENODATA (it shows nothing), ENOMEM.
 */
struct frame *gpu_device_screenshot(struct gpu_device *device, uint32_t scanout, bool with_cursor);

/* What a scanout shows, for status. */
struct gpu_scanout_status {
	uint32_t resource_id; // 0: nothing
	struct rect rect; // the part of the resource
	uint32_t format; // DRM_FORMAT_*
	bool cursor_visible;
	uint32_t cursor_x;
	uint32_t cursor_y;
};
bool gpu_device_scanout_status(
	const struct gpu_device *device, uint32_t scanout, struct gpu_scanout_status *status);

/* Counters by command: index from 0 on until NULL is returned. */
const struct gpu_device_stats *gpu_device_command_stats(
	const struct gpu_device *device, size_t index);

/* Counters by error answer (name "ERR_..."; count used, errors 0), as above. */
const struct gpu_device_stats *gpu_device_error_stats(
	const struct gpu_device *device, size_t index);

struct gpu_device_totals {
	uint64_t request_bytes; // that drivers wrote
	uint64_t transfer_bytes; // pixels copied from guest memory
	uint64_t flushed_pixels;
	uint64_t memory_used; // bytes held for the guest now
	uint64_t memory_peak;
	uint32_t resources;
	uint32_t contexts;
	uint32_t mappings; // in the host-visible window
	uint64_t mapped_bytes;
	uint64_t window_size; // 0: the driver has none
	uint32_t pending; // requests taken and not completed
};
struct gpu_device_totals gpu_device_totals(const struct gpu_device *device);

/* A 3D context, for stats. */
struct gpu_context_status {
	uint32_t id; // the guest's
	uint32_t capset; // VIRTIO_GPU_CAPSET_*; 0: VirGL, the driver did not say which
	const char *name; // the driver's, printable ASCII; borrowed until the next request
	uint64_t submits; // command streams that it ran, and their bytes
	uint64_t submit_bytes;
	uint32_t sub_contexts; // that its streams made beside its first
	uint32_t resources; // attached to it, also if to others as well
	uint64_t resource_bytes; // that these are charged
	uint32_t fences; // asked for in its name and not answered
};

/* Writes up to max contexts, those used last first. Returns how many it wrote. */
size_t gpu_device_context_status(
	const struct gpu_device *device, struct gpu_context_status *contexts, size_t max);

#endif
