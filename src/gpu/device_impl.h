/* SPDX-License-Identifier: MIT */
#ifndef GPU_DEVICE_IMPL_H
#define GPU_DEVICE_IMPL_H

/* The device's state, and what the files of gpu/ ask of each other. */

#include "base/log.h"
#include "gpu/context.h"
#include "gpu/device.h"
#include "gpu/request.h"
#include "gpu/resource.h"
#include "gpu/scanout.h"

/* Commands of VIRTIO 1.3 (5.7.6.7 Device Operation: Request header), and one row for all others. */
#define GPU_COMMAND_COUNT 26
#define GPU_ERROR_COUNT   6 // VIRTIO_GPU_RESP_ERR_*

struct gpu_device {
	struct gpu_device_config config;
	struct memory *memory;
	const struct gpu_transport_ops *transport_ops;
	void *transport;
	struct renderer *renderer;
	bool renderer_is_lost;
	struct renderer *renderer_3d; // NULL: 2D only
	struct gpu_context_table contexts;
	struct display *display;
	uint64_t features; // that the driver took
	uint32_t events; // events_read
	struct gpu_limits limits;
	struct gpu_resource_table resources;
	struct list mappings; // gpu_mapping.link
	struct gpu_scanout scanouts[DISPLAY_OUTPUT_MAX];
	struct gpu_request_table requests;
	struct log_limit guest_errors;
	struct log_limit host_errors;
	struct gpu_device_stats commands[GPU_COMMAND_COUNT + 1];
	struct gpu_device_stats errors[GPU_ERROR_COUNT];
	uint64_t request_bytes;
	uint64_t transfer_bytes;
	uint64_t flushed_pixels;
};

/*
 * A handler does one command of a request whose length, queue and feature have been checked. It returns
 * the VIRTIO_GPU_RESP_* to answer, now or when the operations that it began have ended.
 */
typedef uint32_t (*gpu_command_fn)(struct gpu_device *device, struct gpu_request *request);

uint32_t gpu_cmd_get_display_info(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_get_edid(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_get_capset_info(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_get_capset(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_assign_uuid(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_create_2d(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_unref(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_attach_backing(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_detach_backing(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_transfer_to_host_2d(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_create_blob(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_set_scanout(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_set_scanout_blob(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_flush(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_update_cursor(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_move_cursor(struct gpu_device *device, struct gpu_request *request);

uint32_t gpu_cmd_resource_map_blob(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_unmap_blob(struct gpu_device *device, struct gpu_request *request);

uint32_t gpu_cmd_ctx_create(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_ctx_destroy(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_ctx_attach_resource(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_ctx_detach_resource(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_resource_create_3d(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_transfer_to_host_3d(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_transfer_from_host_3d(struct gpu_device *device, struct gpu_request *request);
uint32_t gpu_cmd_submit_3d(struct gpu_device *device, struct gpu_request *request);

/* Capset number `index` of those that are offered. Returns 0, or -ENOENT after the last. */
int gpu_get_capset(const struct gpu_device *device, uint32_t index, struct render_capset *capset);

/* The capset of this id; false: it is not offered. */
bool gpu_find_capset(const struct gpu_device *device, uint32_t id, struct render_capset *capset);

/* Ends all contexts. */
void gpu_destroy_contexts(struct gpu_device *device);

/* The pixels of an image changed: its shadow, if it has one, follows. Returns OK_NODATA or an error. */
uint32_t gpu_update_shadow(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_resource *resource, const struct rect *rect);

/* The guest is wrong: logs it (debug, "COMMAND: ...") and returns `response`. */
uint32_t gpu_guest_error(struct gpu_device *device, const struct gpu_request *request,
	uint32_t response, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A bound is reached, or the host's memory: logs it (warn) and returns ERR_OUT_OF_MEMORY. */
uint32_t gpu_out_of_memory(struct gpu_device *device, const struct gpu_request *request,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The answer for a failed renderer operation (-errno), logged. */
uint32_t gpu_render_error(struct gpu_device *device, const struct gpu_request *request,
	uint32_t resource_id, int error);

/* The answer for a mapping that the VMM cannot make or end (-errno), logged. */
uint32_t gpu_window_error(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_resource *resource, int error);

/* The context of a 3D command; NULL when there is none (logged: ERR_INVALID_CONTEXT_ID). */
struct gpu_context *gpu_find_context(
	struct gpu_device *device, const struct gpu_request *request, uint32_t id);

/* The answer for a failed operation of the second renderer on a context (-errno), logged. */
uint32_t gpu_context_error(struct gpu_device *device, const struct gpu_request *request,
	uint32_t context_id, int error);

/* Finds the resource a command names; NULL when there is none (logged: ERR_INVALID_RESOURCE_ID). */
struct gpu_resource *gpu_find_resource(
	struct gpu_device *device, const struct gpu_request *request, uint32_t resource_id);

/*
 * What CREATE_2D and CREATE_BLOB have in common: a resource of this id whose size is charged, without the
 * renderer's part. Returns VIRTIO_GPU_RESP_OK_NODATA and *resource, or an error.
 */
uint32_t gpu_begin_create(struct gpu_device *device, const struct gpu_request *request,
	uint32_t resource_id, enum gpu_resource_kind kind, uint64_t bytes,
	struct gpu_resource **resource);

/* Ends a resource: its scanouts go dark, its renderer's part goes, and with it the id. The guest's
 * pages are in use until the request ends, if one is given. */
void gpu_destroy_resource(
	struct gpu_device *device, struct gpu_resource *resource, struct gpu_request *request);

/*
 * Gives the resource the guest memory of a scatter list, `count` entries long, which the request
 * carries whole; it must be at least `min_len` bytes in all. Returns OK_NODATA, or an error.
 */
uint32_t gpu_attach_entries(struct gpu_device *device, struct gpu_request *request,
	struct gpu_resource *resource, const uint8_t *entries, uint32_t count, uint64_t min_len);

/* Flushes that waited for the resource's transfers: on with them, if these have all ended. */
void gpu_run_waiting_flushes(struct gpu_device *device, struct gpu_resource *resource);

/* The number of scanouts: the display's if it owns the outputs, else as many as there can be. */
uint32_t gpu_scanout_count(const struct gpu_device *device);

extern const struct display_listener_ops gpu_display_listener;

#endif
