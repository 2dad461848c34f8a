/* SPDX-License-Identifier: MIT */
#include "daemon/commands.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/screenshot.h"
#include "display/display.h"
#include "gpu/device.h"

/*
 * How this works
 *
 * Each command is a row of `commands`: a function that gets the request and gives back the answer's
 * object, or NULL with a message in answer->error. "ok" is added here. jansson returns NULL when
 * memory is out and passes NULL on, so only the last step looks.
 */

/* More contexts than a desktop has; a guest may make tens of thousands, and an answer is one line. */
#define CONTEXTS_LISTED 128

struct answer {
	struct server *server;
	char error[256]; // filled when the command returns NULL
	int fd; // to send along; -1
};

__attribute__((format(printf, 2, 3))) static json_t *fail(
	struct answer *answer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(answer->error, sizeof(answer->error), format, args);
	va_end(args);
	return NULL;
}

static json_t *number(uint64_t value)
{
	/* JSON numbers here are signed; a counter that large does not occur. */
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

/* Borrows the names of virtio features, by bit (VIRTIO 1.3, 5.7.3 Feature bits; 6 Reserved ...). */
static const struct {
	unsigned int bit;
	const char *name;
} feature_names[] = {
	{ VIRTIO_GPU_F_VIRGL, "VIRGL" },
	{ VIRTIO_GPU_F_EDID, "EDID" },
	{ VIRTIO_GPU_F_RESOURCE_UUID, "RESOURCE_UUID" },
	{ VIRTIO_GPU_F_RESOURCE_BLOB, "RESOURCE_BLOB" },
	{ VIRTIO_GPU_F_CONTEXT_INIT, "CONTEXT_INIT" },
	{ 28, "RING_INDIRECT_DESC" },
	{ 29, "RING_EVENT_IDX" },
	{ 30, "PROTOCOL_FEATURES" },
	{ 32, "VERSION_1" },
};

static json_t *describe_features(uint64_t features)
{
	json_t *names = json_array();

	for (size_t i = 0; i < sizeof(feature_names) / sizeof(feature_names[0]); i++) {
		if (features & 1ull << feature_names[i].bit) {
			json_array_append_new(names, json_string(feature_names[i].name));
		}
	}
	return names;
}

static json_t *describe_rect(const struct rect *rect)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "x", number(rect->x), "y", number(rect->y),
		"width", number(rect->width), "height", number(rect->height));
}

/* A DRM_FORMAT_* is four characters (drm_fourcc.h). */
static json_t *describe_format(uint32_t format)
{
	char text[5] = { 0 };

	for (size_t i = 0; i < 4; i++) {
		text[i] = (char)(format >> 8 * i & 0x7f);
	}
	return format ? json_string(text) : json_null();
}

static json_t *describe_cursor(const struct gpu_scanout_status *status)
{
	if (!status->cursor_visible) {
		return json_null();
	}
	return json_pack(
		"{s:o, s:o}", "x", number(status->cursor_x), "y", number(status->cursor_y));
}

static json_t *describe_output(
	uint32_t index, const struct gpu_scanout_status *status, const struct display_info *info)
{
	json_t *output = json_pack(
		"{s:o, s:o}", "output", number(index), "cursor", describe_cursor(status));

	if (info) {
		const struct display_output_info *mode = &info->outputs[index];

		json_object_set_new(output, "enabled", json_boolean(mode->enabled));
		json_object_set_new(output, "mode", describe_rect(&mode->rect));
	}
	if (status->resource_id) {
		json_object_set_new(output, "resource", number(status->resource_id));
		json_object_set_new(output, "rect", describe_rect(&status->rect));
		json_object_set_new(output, "format", describe_format(status->format));
	}
	return output;
}

static json_t *describe_outputs(struct gpu_device *device)
{
	struct display *display = gpu_device_display(device);
	struct gpu_scanout_status status;
	struct display_info info = { 0 };
	json_t *outputs = json_array();
	/*
	 * Only a display with outputs of its own answers at once. Another one would ask the VMM,
	 * and its answer would go to the device.
	 */
	bool knows = display_owns_outputs(display) && display_query_info(display, 0, &info) == 0;

	for (uint32_t i = 0; gpu_device_scanout_status(device, i, &status); i++) {
		/* How many the VMM has is its business: those that show something are known. */
		if (knows || status.resource_id) {
			json_array_append_new(
				outputs, describe_output(i, &status, knows ? &info : NULL));
		}
	}
	return outputs;
}

static const char *dialect_name(const struct bridge *bridge)
{
	return bridge_dialect(bridge) == BRIDGE_VMM_DISPLAY ? "vmm-display" : "own-display";
}

/* Running: a queue is. A VMM that stopped its guest has stopped them all. */
static bool is_running(const struct bridge_stats *stats)
{
	for (size_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		if (stats->queues[i].running) {
			return true;
		}
	}
	return false;
}

static json_t *describe_vm(struct bridge *bridge)
{
	struct gpu_device *device = bridge_device(bridge);
	struct bridge_stats stats = bridge_stats(bridge);

	return json_pack("{s:s, s:b, s:s, s:o, s:o, s:o}", "dialect", dialect_name(bridge),
		"running", is_running(&stats), "display", display_name(gpu_device_display(device)),
		"features_offered", describe_features(gpu_device_features(device)), "features",
		describe_features(stats.features), "outputs", describe_outputs(device));
}

static json_t *run_status(struct answer *answer, const json_t *request)
{
	struct bridge *bridge = server_bridge(answer->server);
	const struct server_config *config = server_config(answer->server);
	struct server_stats stats = server_stats(answer->server);

	(void)request;
	return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o}", "name", config->name, "version",
		PROJECT_VERSION, "pid", (int)getpid(), "vms_served", number(stats.served),
		"vms_refused", number(stats.refused), "vm",
		bridge ? describe_vm(bridge) : json_null());
}

/* Counters that are not zero: there are many kinds of commands. */
static json_t *describe_commands(const struct gpu_device *device)
{
	json_t *commands = json_object();
	const struct gpu_device_stats *stats;

	for (size_t i = 0; (stats = gpu_device_command_stats(device, i)); i++) {
		if (stats->count) {
			json_object_set_new(commands, stats->name,
				json_pack("{s:o, s:o}", "count", number(stats->count), "errors",
					number(stats->errors)));
		}
	}
	return commands;
}

static json_t *describe_errors(const struct gpu_device *device)
{
	json_t *errors = json_object();
	const struct gpu_device_stats *stats;

	for (size_t i = 0; (stats = gpu_device_error_stats(device, i)); i++) {
		if (stats->count) {
			json_object_set_new(errors, stats->name, number(stats->count));
		}
	}
	return errors;
}

static json_t *describe_queue(const struct bridge_queue_stats *stats)
{
	return json_pack("{s:b, s:o, s:o, s:o, s:o}", "running", stats->running, "requests",
		number(stats->requests), "batches", number(stats->batches), "depth",
		number(stats->depth), "depth_peak", number(stats->depth_peak));
}

static json_t *describe_memory(
	const struct gpu_device_totals *totals, const struct bridge_config *config)
{
	return json_pack("{s:o, s:o, s:o}", "used", number(totals->memory_used), "peak",
		number(totals->memory_peak), "max", number(config->max_memory));
}

/* The host-visible window; null: the driver has none. */
static json_t *describe_window(const struct gpu_device_totals *totals)
{
	return totals->window_size
		? json_pack("{s:o, s:o, s:o}", "mappings", number(totals->mappings), "mapped",
			  number(totals->mapped_bytes), "size", number(totals->window_size))
		: json_null();
}

static json_t *describe_resources(
	const struct gpu_device_totals *totals, const struct bridge_config *config)
{
	return json_pack("{s:o, s:o}", "count", number(totals->resources), "max",
		number(config->max_resources));
}

static json_t *describe_bytes(const struct gpu_device_totals *totals)
{
	return json_pack("{s:o, s:o, s:o}", "requests", number(totals->request_bytes), "transfers",
		number(totals->transfer_bytes), "flushed_pixels", number(totals->flushed_pixels));
}

/* Borrows the name of a capset (VIRTIO 1.3, 5.7.6.8 Device Operation: controlq, GET_CAPSET_INFO). */
static const char *capset_name(uint32_t capset)
{
	static const char *const names[] = { "virgl", "virgl", "virgl2", "other", "venus" };

	return capset < sizeof(names) / sizeof(names[0]) ? names[capset] : "other";
}

static json_t *describe_context(const struct gpu_context_status *status)
{
	return json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "context",
		number(status->id), "name", status->name, "capset", capset_name(status->capset),
		"submits", number(status->submits), "submit_bytes", number(status->submit_bytes),
		"sub_contexts", number(status->sub_contexts), "resources",
		number(status->resources), "resource_bytes", number(status->resource_bytes),
		"fences", number(status->fences));
}

static json_t *describe_contexts(
	const struct gpu_device *device, const struct gpu_device_totals *totals)
{
	struct gpu_context_status contexts[CONTEXTS_LISTED];
	size_t count = gpu_device_context_status(device, contexts, CONTEXTS_LISTED);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_array_append_new(list, describe_context(&contexts[i]));
	}
	return json_pack("{s:o, s:o}", "count", number(totals->contexts), "list", list);
}

static json_t *describe_vm_stats(struct server *server, struct bridge *bridge)
{
	const struct bridge_config *config = &server_config(server)->bridge;
	struct gpu_device *device = bridge_device(bridge);
	struct gpu_device_totals totals = gpu_device_totals(device);
	struct bridge_stats stats = bridge_stats(bridge);

	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:o, s:o, s:{s:o, s:o}}",
		"commands", describe_commands(device), "errors", describe_errors(device), "bytes",
		describe_bytes(&totals), "resources", describe_resources(&totals, config), "memory",
		describe_memory(&totals, config), "window", describe_window(&totals), "contexts",
		describe_contexts(device, &totals), "pending", number(totals.pending),
		"notifications", "received", number(stats.session.kicks), "sent",
		number(stats.session.calls), "messages", number(stats.session.messages), "resets",
		number(stats.resets), "queues", "control",
		describe_queue(&stats.queues[WIRE_CONTROL_QUEUE]), "cursor",
		describe_queue(&stats.queues[WIRE_CURSOR_QUEUE]));
}

static json_t *run_stats(struct answer *answer, const json_t *request)
{
	struct bridge *bridge = server_bridge(answer->server);

	(void)request;
	return json_pack(
		"{s:o}", "vm", bridge ? describe_vm_stats(answer->server, bridge) : json_null());
}

/* The device of the VM; NULL, and the answer says so, when there is none. */
static struct gpu_device *find_device(struct answer *answer)
{
	struct bridge *bridge = server_bridge(answer->server);

	if (!bridge) {
		fail(answer, "no VM is connected");
		return NULL;
	}
	return bridge_device(bridge);
}

/* Reads an optional number. Returns 0 or -EINVAL, and the answer says why. */
static int read_number(struct answer *answer, const json_t *request, const char *key,
	uint32_t fallback, uint32_t max, uint32_t *out)
{
	const json_t *value = json_object_get(request, key);

	if (!value) {
		*out = fallback;
		return 0;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		json_integer_value(value) > max) {
		fail(answer, "\"%s\" must be a whole number from 0 to %u", key, max);
		return -EINVAL;
	}
	*out = (uint32_t)json_integer_value(value);
	return 0;
}

static int read_output(struct answer *answer, const json_t *request, uint32_t *output)
{
	return read_number(answer, request, "output", 0, DISPLAY_OUTPUT_MAX - 1, output);
}

static json_t *fail_screenshot(struct answer *answer, uint32_t output, int error)
{
	switch (error) {
	case ENODEV:
		return fail(answer, "there is no output %u", output);
	case ENODATA:
		return fail(answer, "output %u shows nothing", output);
	default:
		return fail(answer, "output %u: %s", output, strerror(error));
	}
}

static json_t *send_frame(struct answer *answer, uint32_t output, struct frame *frame)
{
	int fd = screenshot_to_memfd(frame);

	if (fd < 0) {
		return fail_screenshot(answer, output, -fd);
	}
	answer->fd = fd;
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "output", number(output), "width",
		number(frame->width), "height", number(frame->height), "stride",
		number((uint64_t)frame->width * FRAME_PIXEL_SIZE), "format",
		describe_format(frame->format));
}

static json_t *run_screenshot(struct answer *answer, const json_t *request)
{
	struct gpu_device *device = find_device(answer);
	const json_t *cursor = json_object_get(request, "cursor");
	struct frame *frame;
	uint32_t output;
	json_t *result;

	if (!device || read_output(answer, request, &output) < 0) {
		return NULL;
	}
	if (cursor && !json_is_boolean(cursor)) {
		return fail(answer, "\"cursor\" must be true or false");
	}
	frame = gpu_device_screenshot(device, output, json_is_true(cursor));
	if (!frame) {
		return fail_screenshot(answer, output, errno);
	}
	result = send_frame(answer, output, frame);
	frame_unref(frame);
	return result;
}

static int read_size(struct answer *answer, const json_t *request, const char *key, uint32_t *out)
{
	if (!json_object_get(request, key)) {
		fail(answer, "\"%s\" is missing", key);
		return -EINVAL;
	}
	return read_number(answer, request, key, 0, INT32_MAX, out);
}

static json_t *run_resize(struct answer *answer, const json_t *request)
{
	struct gpu_device *device = find_device(answer);
	uint32_t output, width, height;
	int result;

	if (!device || read_output(answer, request, &output) < 0 ||
		read_size(answer, request, "width", &width) < 0 ||
		read_size(answer, request, "height", &height) < 0) {
		return NULL;
	}
	result = display_resize(gpu_device_display(device), output, width, height);
	if (result == -ENOTSUP) {
		return fail(answer, "the VMM owns the display: resize its window instead");
	}
	if (result < 0) {
		return fail(answer, "output %u cannot be %ux%u: %s", output, width, height,
			result == -EINVAL ? "no such output, or no such size" : strerror(-result));
	}
	return json_pack("{s:o, s:o, s:o}", "output", number(output), "width", number(width),
		"height", number(height));
}

static const struct {
	const char *name;
	json_t *(*run)(struct answer *answer, const json_t *request);
} commands[] = {
	{ "status", run_status },
	{ "stats", run_stats },
	{ "screenshot", run_screenshot },
	{ "resize", run_resize },
};

static json_t *run_command(struct answer *answer, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	if (!name) {
		return fail(answer, "a request is an object with a string \"command\"");
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) == 0) {
			return commands[i].run(answer, request);
		}
	}
	return fail(answer, "unknown command: known are status, stats, screenshot and resize");
}

static json_t *run_line(struct answer *answer, const char *line, size_t len)
{
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	json_t *result;

	if (!request) {
		return fail(answer, "not JSON: %s (column %d)", error.text, error.column);
	}
	result = run_command(answer, request);
	json_decref(request);
	return result;
}

struct control_reply commands_handle(void *server, const char *line, size_t len)
{
	struct answer answer = { .server = server, .error = "no memory for the answer", .fd = -1 };
	json_t *result = run_line(&answer, line, len);
	struct control_reply reply = { .fd = answer.fd };

	if (result) {
		json_object_set_new(result, "ok", json_true());
	} else {
		result = json_pack("{s:b, s:s}", "ok", 0, "error", answer.error);
	}
	reply.text = json_dumps(result, JSON_COMPACT);
	json_decref(result);
	return reply;
}
