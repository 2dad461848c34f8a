/* SPDX-License-Identifier: MIT */
#include "gpu/device.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "gpu/decode.h"
#include "gpu/device_impl.h"
#include "gpu/encode.h"
#include "gpu/errors.h"

/*
 * How this works
 *
 * submit looks the command up in a table of constant rows, which says what must be true before its
 * handler runs: the queue, the feature that the driver took, the length. Lengths are exact: VIRTIO 1.3
 * does not say what to answer to a command that is too short or too long, so both get
 * ERR_INVALID_PARAMETER, as any wrong field; less than a header names no command at all and gets
 * ERR_UNSPEC, as does a command that is unknown, of the other queue, or of a feature not taken.
 *
 * A request longer than the transport would copy is over a bound of ours: ERR_OUT_OF_MEMORY.
 */

/* Requests up to here are counted only while they wait, and never refused: see gpu_limits_force. */
#define SMALL_REQUEST 4096u

struct command {
	const char *name;
	uint32_t type; // VIRTIO_GPU_CMD_*
	uint32_t size; // bytes, with the header
	bool has_tail; // more may follow: the handler looks
	uint32_t queue;
	uint64_t feature; // that the driver must have taken; 0: none
	gpu_command_fn handle;
};

#define FEATURE(name) (1ull << VIRTIO_GPU_F_##name)

/* Blobs of host memory come with a 3D renderer alone. */
#define HOST_BLOBS (FEATURE(VIRGL) | FEATURE(RESOURCE_BLOB))

#define CONTROL(command, structure, tail, needs, handler) \
	{ #command, VIRTIO_GPU_CMD_##command, sizeof(struct structure), tail, WIRE_CONTROL_QUEUE, \
		needs, handler }
#define CONTROL_3D(command, structure, tail, handler) \
	CONTROL(command, structure, tail, FEATURE(VIRGL), handler)
#define CURSOR(command, handler) \
	{ #command, VIRTIO_GPU_CMD_##command, sizeof(struct virtio_gpu_update_cursor), false, \
		WIRE_CURSOR_QUEUE, 0, handler }

/* In the order of the commands' numbers: find_command counts on it. */
static const struct command commands[GPU_COMMAND_COUNT] = {
	CONTROL(GET_DISPLAY_INFO, virtio_gpu_ctrl_hdr, false, 0, gpu_cmd_get_display_info),
	CONTROL(RESOURCE_CREATE_2D, virtio_gpu_resource_create_2d, false, 0,
		gpu_cmd_resource_create_2d),
	CONTROL(RESOURCE_UNREF, virtio_gpu_resource_unref, false, 0, gpu_cmd_resource_unref),
	CONTROL(SET_SCANOUT, virtio_gpu_set_scanout, false, 0, gpu_cmd_set_scanout),
	CONTROL(RESOURCE_FLUSH, virtio_gpu_resource_flush, false, 0, gpu_cmd_resource_flush),
	CONTROL(TRANSFER_TO_HOST_2D, virtio_gpu_transfer_to_host_2d, false, 0,
		gpu_cmd_transfer_to_host_2d),
	CONTROL(RESOURCE_ATTACH_BACKING, virtio_gpu_resource_attach_backing, true, 0,
		gpu_cmd_resource_attach_backing),
	CONTROL(RESOURCE_DETACH_BACKING, virtio_gpu_resource_detach_backing, false, 0,
		gpu_cmd_resource_detach_backing),
	CONTROL(GET_CAPSET_INFO, virtio_gpu_get_capset_info, false, 0, gpu_cmd_get_capset_info),
	CONTROL(GET_CAPSET, virtio_gpu_get_capset, false, 0, gpu_cmd_get_capset),
	CONTROL(GET_EDID, virtio_gpu_cmd_get_edid, false, FEATURE(EDID), gpu_cmd_get_edid),
	CONTROL(RESOURCE_ASSIGN_UUID, virtio_gpu_resource_assign_uuid, false,
		FEATURE(RESOURCE_UUID), gpu_cmd_resource_assign_uuid),
	CONTROL(RESOURCE_CREATE_BLOB, virtio_gpu_resource_create_blob, true, FEATURE(RESOURCE_BLOB),
		gpu_cmd_resource_create_blob),
	CONTROL(SET_SCANOUT_BLOB, virtio_gpu_set_scanout_blob, false, FEATURE(RESOURCE_BLOB),
		gpu_cmd_set_scanout_blob),
	CONTROL_3D(CTX_CREATE, virtio_gpu_ctx_create, false, gpu_cmd_ctx_create),
	CONTROL_3D(CTX_DESTROY, virtio_gpu_ctx_destroy, false, gpu_cmd_ctx_destroy),
	CONTROL_3D(
		CTX_ATTACH_RESOURCE, virtio_gpu_ctx_resource, false, gpu_cmd_ctx_attach_resource),
	CONTROL_3D(
		CTX_DETACH_RESOURCE, virtio_gpu_ctx_resource, false, gpu_cmd_ctx_detach_resource),
	CONTROL_3D(RESOURCE_CREATE_3D, virtio_gpu_resource_create_3d, false,
		gpu_cmd_resource_create_3d),
	CONTROL_3D(TRANSFER_TO_HOST_3D, virtio_gpu_transfer_host_3d, false,
		gpu_cmd_transfer_to_host_3d),
	CONTROL_3D(TRANSFER_FROM_HOST_3D, virtio_gpu_transfer_host_3d, false,
		gpu_cmd_transfer_from_host_3d),
	CONTROL_3D(SUBMIT_3D, virtio_gpu_cmd_submit, true, gpu_cmd_submit_3d),
	CONTROL(RESOURCE_MAP_BLOB, virtio_gpu_resource_map_blob, false, HOST_BLOBS,
		gpu_cmd_resource_map_blob),
	CONTROL(RESOURCE_UNMAP_BLOB, virtio_gpu_resource_unmap_blob, false, HOST_BLOBS,
		gpu_cmd_resource_unmap_blob),
	CURSOR(UPDATE_CURSOR, gpu_cmd_update_cursor),
	CURSOR(MOVE_CURSOR, gpu_cmd_move_cursor),
};

/* The counters' row of what is no command. */
#define UNKNOWN_COMMAND GPU_COMMAND_COUNT

/* Commands come in three runs of numbers. Returns the row, or UNKNOWN_COMMAND. */
static size_t find_command(uint32_t type)
{
	static const struct {
		uint32_t first, last;
		size_t row;
	} runs[] = {
		{ VIRTIO_GPU_CMD_GET_DISPLAY_INFO, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, 0 },
		{ VIRTIO_GPU_CMD_CTX_CREATE, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 14 },
		{ VIRTIO_GPU_CMD_UPDATE_CURSOR, VIRTIO_GPU_CMD_MOVE_CURSOR, 24 },
	};

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		if (type >= runs[i].first && type <= runs[i].last) {
			return runs[i].row + (type - runs[i].first);
		}
	}
	return UNKNOWN_COMMAND;
}

static uint32_t check_size(
	struct gpu_device *device, const struct gpu_request *request, const struct command *command)
{
	if (request->len < command->size || (request->len > command->size && !command->has_tail)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"%zu bytes long instead of %u", request->len, command->size);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t run_command(struct gpu_device *device, struct gpu_request *request)
{
	const struct command *command = &commands[request->command];
	uint32_t response;

	if (request->queue != command->queue) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"does not belong on queue %u", request->queue);
	}
	if (command->feature & ~device->features) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"its feature was not negotiated");
	}
	response = check_size(device, request, command);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	return command->handle(device, request);
}

/* A large request holds memory of the host from now on. */
static bool charge_request(struct gpu_device *device, struct gpu_request *request)
{
	if (request->len > SMALL_REQUEST) {
		if (!gpu_limits_take(&device->limits, request->len)) {
			return false;
		}
		request->charged += request->len;
	}
	return true;
}

static uint32_t run_request(struct gpu_device *device, struct gpu_request *request)
{
	uint32_t type;

	if (request->len < sizeof(struct virtio_gpu_ctrl_hdr)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"a request of %zu bytes has no header", request->len);
	}
	type = decode_type(request->bytes);
	request->command = find_command(type);
	if (request->command == UNKNOWN_COMMAND) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"there is no command 0x%04x", type);
	}
	if (request->total_len > request->len) {
		return gpu_out_of_memory(device, request,
			"a request of %llu bytes is too large (largest request reached)",
			(unsigned long long)request->total_len);
	}
	if (!charge_request(device, request)) {
		return gpu_out_of_memory(device, request,
			"no room for a request of %zu bytes (max-memory reached)", request->len);
	}
	return run_command(device, request);
}

/*
 * 5.7.6.7: with a fence, the answer says that the work is done. Drivers take it for the word that all
 * earlier fences of the timeline are done as well, so once there are contexts the commands without a GPU
 * wait their turn, too. An error is answered at once. (What a renderer in another process has not ended
 * yet, and that there is none today, would need its fence after its end.)
 */
static int create_fence(struct gpu_device *device, const struct gpu_request *request)
{
	const uint8_t *bytes = request->bytes;
	struct gpu_context *context = decode_names_ring(bytes)
		? gpu_context_find(&device->contexts, decode_context_id(bytes))
		: NULL;

	/* VirGL has one timeline, and its only ring (0) is on it. */
	if (context && context->capset > VIRTIO_GPU_CAPSET_VIRGL2) {
		return render_create_ring_fence(
			context->render, decode_ring(bytes), request->token);
	}
	return render_create_fence(device->renderer_3d, request->token);
}

static void fence(struct gpu_device *device, struct gpu_request *request)
{
	int result;

	if (device->contexts.count == 0 || request->response_type >= VIRTIO_GPU_RESP_ERR_UNSPEC ||
		request->ended || !decode_is_fenced(request->bytes)) {
		return;
	}
	result = gpu_request_token(device, request) ? create_fence(device, request) : -ENOMEM;
	if (result == RENDER_PENDING) {
		gpu_request_begin(request);
	} else if (result < 0) {
		request->response_type = gpu_guest_error(
			device, request, VIRTIO_GPU_RESP_ERR_UNSPEC, "its fence cannot be made");
	}
}

void gpu_device_submit(struct gpu_device *device, struct gpu_request *request)
{
	assert(request->queue < WIRE_QUEUE_COUNT);
	list_init(&request->link);
	request->token = 0;
	request->waiting_for = 1; // the handler
	request->charged = 0;
	request->resource = NULL;
	request->ended = NULL;
	request->command = UNKNOWN_COMMAND;
	device->request_bytes += request->total_len;
	request->capset = NULL;
	request->response_type = run_request(device, request);
	device->commands[request->command].count++;
	fence(device, request);
	if (request->waiting_for > 1 && request->len <= SMALL_REQUEST) {
		uint32_t size = (uint32_t)(request->len + sizeof(*request));

		gpu_limits_force(&device->limits, size);
		request->charged += size;
	}
	gpu_request_end(device, request);
}

static void end_operation(struct gpu_device *device, struct gpu_request *request, int result)
{
	struct gpu_resource *resource;

	if (request->ended) {
		request->ended(device, request, result);
	}
	resource = request->resource ? gpu_resource_ref(request->resource) : NULL;
	gpu_request_end(device, request);
	if (resource) {
		gpu_run_waiting_flushes(device, resource);
		gpu_resource_unref(resource);
	}
}

static void handle_operation_done(void *data, uint64_t token, int result)
{
	struct gpu_device *device = data;
	struct gpu_request *request = gpu_request_find(device, token);

	if (!request) {
		return; // it was ended by a reset
	}
	if (result < 0) {
		request->response_type = gpu_render_error(
			device, request, request->resource ? request->resource->id : 0, result);
	}
	end_operation(device, request, result);
}

void gpu_device_window_done(struct gpu_device *device, uint64_t token, int result)
{
	struct gpu_request *request = gpu_request_find(device, token);

	if (!request) {
		return; // it was ended by a reset, or nobody waited
	}
	/* An UNREF that unmapped names no resource; what it frees is free. */
	if (result < 0 && request->resource) {
		request->response_type = gpu_window_error(
			device, request, request->resource, result);
	}
	end_operation(device, request, result);
}

static void handle_renderer_lost(void *data)
{
	struct gpu_device *device = data;

	if (!device->renderer_is_lost) {
		device->renderer_is_lost = true;
		log_warn("the renderer is gone: the guest's pictures stay as they are");
	}
}

const struct render_listener_ops gpu_device_render_listener = {
	.operation_done = handle_operation_done,
	.lost = handle_renderer_lost,
};

static void init_counters(struct gpu_device *device)
{
	for (size_t i = 0; i < GPU_COMMAND_COUNT; i++) {
		device->commands[i].name = commands[i].name;
	}
	device->commands[UNKNOWN_COMMAND].name = "unknown";
	for (uint32_t i = 0; i < GPU_ERROR_COUNT; i++) {
		device->errors[i].name = gpu_error_name(VIRTIO_GPU_RESP_ERR_UNSPEC + i);
	}
}

struct gpu_device *gpu_device_create(const struct gpu_device_config *config, struct memory *memory,
	const struct gpu_transport_ops *transport_ops, void *transport)
{
	struct gpu_device *device = calloc(1, sizeof(*device));

	assert(config->outputs >= 1 && config->outputs <= DISPLAY_OUTPUT_MAX);
	assert(transport_ops->complete && transport_ops->config_changed &&
		transport_ops->window_size && transport_ops->map && transport_ops->unmap);
	if (!device || gpu_resource_table_init(&device->resources) < 0) {
		log_error("no memory for the device");
		free(device);
		return NULL;
	}
	device->config = *config;
	device->memory = memory;
	device->transport_ops = transport_ops;
	device->transport = transport;
	list_init(&device->mappings);
	device->limits.max_memory = config->max_memory;
	device->limits.max_resources = config->max_resources;
	gpu_context_table_init(&device->contexts, &device->limits);
	device->guest_errors = (struct log_limit)LOG_LIMIT_INIT;
	device->host_errors = (struct log_limit)LOG_LIMIT_INIT;
	init_counters(device);
	return device;
}

void gpu_device_destroy(struct gpu_device *device)
{
	if (!device) {
		return;
	}
	gpu_device_reset(device);
	display_destroy(device->display);
	renderer_destroy(device->renderer_3d);
	renderer_destroy(device->renderer);
	gpu_request_table_finish(&device->requests);
	gpu_resource_table_finish(&device->resources);
	free(device);
}

void gpu_device_set_renderer(struct gpu_device *device, struct renderer *renderer)
{
	assert(!device->renderer);
	device->renderer = renderer;
}

void gpu_device_set_renderer_3d(struct gpu_device *device, struct renderer *renderer)
{
	assert(!device->renderer_3d && render_has_3d(renderer));
	device->renderer_3d = renderer;
}

/* VIRTIO 1.3, 5.7.4.2 Events: the driver should ask for the display information again. */
static void raise_display_event(struct gpu_device *device)
{
	device->events |= VIRTIO_GPU_EVENT_DISPLAY;
	device->transport_ops->config_changed(device->transport);
}

void gpu_device_set_display(struct gpu_device *device, struct display *display)
{
	struct display *old = device->display;

	device->display = NULL;
	display_destroy(old);
	device->display = display;
	display_set_listener(display, &gpu_display_listener, device);
	gpu_scanout_resend_all(device);
	if (old) {
		raise_display_event(device);
	}
}

struct display *gpu_device_display(struct gpu_device *device)
{
	return device->display;
}

uint64_t gpu_device_features(const struct gpu_device *device)
{
	uint64_t features = FEATURE(EDID) | FEATURE(RESOURCE_UUID) | FEATURE(RESOURCE_BLOB);

	if (device->renderer_3d) {
		features |= FEATURE(VIRGL) | FEATURE(CONTEXT_INIT);
	}
	return features;
}

void gpu_device_set_features(struct gpu_device *device, uint64_t features)
{
	device->features = features & gpu_device_features(device);
}

static uint32_t count_capsets(const struct gpu_device *device)
{
	struct render_capset capset;
	uint32_t count = 0;

	while (gpu_get_capset(device, count, &capset) == 0) {
		count++;
	}
	return count;
}

void gpu_device_get_config(const struct gpu_device *device, struct wire_config *config)
{
	*config = (struct wire_config){
		.events_read = htole32(device->events),
		.num_scanouts = htole32(device->config.outputs),
		.num_capsets = htole32(count_capsets(device)),
	};
}

/* VIRTIO 1.3, 5.7.4.1 Device configuration fields: a one clears the bit of events_read. */
void gpu_device_clear_events(struct gpu_device *device, uint32_t events)
{
	device->events &= ~events;
}

uint32_t gpu_scanout_count(const struct gpu_device *device)
{
	if (device->display && !display_owns_outputs(device->display)) {
		return DISPLAY_OUTPUT_MAX;
	}
	return device->config.outputs;
}

void gpu_device_pause(struct gpu_device *device, bool paused)
{
	display_pause(device->display, paused);
	if (device->renderer_3d) {
		render_pause(device->renderer_3d, paused);
	}
}

void gpu_device_reset(struct gpu_device *device)
{
	struct gpu_resource *resource;

	gpu_window_forget(device);
	gpu_request_abort_all(device);
	gpu_scanout_reset_all(device);
	gpu_destroy_contexts(device);
	while ((resource = gpu_resource_any(&device->resources))) {
		gpu_destroy_resource(device, resource, NULL);
	}
	device->events = 0;
	assert(device->limits.used_memory == 0 && device->limits.resources == 0);
}

static void handle_modes_changed(void *data)
{
	raise_display_event(data);
}

static void end_query(struct gpu_device *device, struct gpu_request *request, bool answered)
{
	if (!answered) {
		request->response_type = gpu_guest_error(
			device, request, VIRTIO_GPU_RESP_ERR_UNSPEC, "the display does not answer");
	}
	gpu_request_end(device, request);
}

static void handle_info_ready(void *data, uint64_t token, const struct display_info *info)
{
	struct gpu_device *device = data;
	struct gpu_request *request = gpu_request_find(device, token);

	if (request && info) {
		encode_display_info(&request->response, info, gpu_scanout_count(device));
	}
	if (request) {
		end_query(device, request, info != NULL);
	}
}

static void handle_edid_ready(void *data, uint64_t token, const struct display_edid *edid)
{
	struct gpu_device *device = data;
	struct gpu_request *request = gpu_request_find(device, token);

	if (request && edid) {
		encode_edid(&request->response, edid);
	}
	if (request) {
		end_query(device, request, edid != NULL);
	}
}

static void handle_frame_done(void *data, uint64_t token)
{
	struct gpu_device *device = data;
	struct gpu_request *request = gpu_request_find(device, token);

	if (request) {
		gpu_request_end(device, request);
	}
}

static void handle_display_lost(void *data)
{
	(void)data;
	log_info("the display went away; nothing is shown until another comes");
}

const struct display_listener_ops gpu_display_listener = {
	.modes_changed = handle_modes_changed,
	.info_ready = handle_info_ready,
	.edid_ready = handle_edid_ready,
	.frame_done = handle_frame_done,
	.lost = handle_display_lost,
};
