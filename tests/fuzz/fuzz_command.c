/* SPDX-License-Identifier: MIT */
/*
 * The command decoder and the device behind it: an input is a script of commands, answers of the display
 * and of a renderer that ends late, 3D commands and fences of a second one, and resets. After each script all must have been answered exactly
 * once, and nothing held.
 *
 * How an input is read: one byte says what to do (enum step), then come its numbers. A small number is
 * one byte; 0xf0 and above say that a whole one follows, so that ids, sizes and addresses meet often.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gpu/device.h"
#include "gpu/stream.h"
#include "render/render_impl.h"
#include "render/soft/soft.h"
#include "support/array_memory.h"
#include "support/fake_3d.h"
#include "support/fake_display.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_ADDR    UINT64_C(0x10000)
#define RAM_SIZE    (256u << 10)
#define RAM_REGIONS 8u // that touch
#define MAX_MEMORY  (10u << 20) // three contexts
#define STEPS_MAX   2000

#define WINDOW_SIZE       (1u << 20)
#define WINDOW_OPERATIONS 4

/* The input */

struct input {
	const uint8_t *bytes;
	size_t left;
};

static uint8_t take_byte(struct input *input)
{
	if (!input->left) {
		return 0;
	}
	input->left--;
	return *input->bytes++;
}

static uint32_t take_number(struct input *input)
{
	uint32_t value = take_byte(input);

	if (value >= 0xf0) {
		for (uint32_t i = 0; i < 4; i++) {
			value = value << 8 | take_byte(input);
		}
	}
	return value;
}

/* A renderer that does as the soft one, but tells later, or fails */

struct late_renderer {
	struct renderer base;
	struct renderer *soft;
	bool is_late;
	bool fail_next;
	struct {
		uint64_t token;
		int result;
	} ended[STEPS_MAX];
	size_t ended_count;
	size_t told_count;
};

struct late_resource {
	struct render_resource base;
	struct render_resource *inner;
};

static struct late_renderer *late_of(struct render_resource *resource)
{
	return container_of(resource->renderer, struct late_renderer, base);
}

static struct render_resource *inner_of(struct render_resource *resource)
{
	return container_of(resource, struct late_resource, base)->inner;
}

static int end_later(struct late_renderer *late, uint64_t token, int result)
{
	if (!late->is_late || !token || late->ended_count == STEPS_MAX) {
		return result;
	}
	late->ended[late->ended_count].token = token;
	late->ended[late->ended_count].result = result;
	late->ended_count++;
	return RENDER_PENDING;
}

static bool takes_failure(struct late_renderer *late)
{
	bool fails = late->fail_next;

	late->fail_next = false;
	return fails;
}

static int late_attach(
	struct render_resource *base, const struct memory_span *spans, size_t count, uint64_t token)
{
	struct late_renderer *late = late_of(base);
	int result = takes_failure(late) ? -ENOMEM
					 : render_attach_backing(inner_of(base), spans, count, 0);

	return end_later(late, token, result);
}

static int late_detach(struct render_resource *base, uint64_t token)
{
	return end_later(late_of(base), token, render_detach_backing(inner_of(base), 0));
}

static int late_transfer(
	struct render_resource *base, const struct render_transfer *transfer, uint64_t token)
{
	struct late_renderer *late = late_of(base);
	int result = takes_failure(late) ? -EIO
					 : render_transfer_to_host(inner_of(base), transfer, 0);

	return end_later(late, token, result);
}

static struct frame *late_get_frame(
	struct render_resource *base, const struct render_blob_layout *layout)
{
	if (takes_failure(late_of(base))) {
		errno = ENOMEM;
		return NULL;
	}
	return render_get_frame(inner_of(base), layout);
}

static int late_destroy_resource(struct render_resource *base, uint64_t token)
{
	struct late_renderer *late = late_of(base);
	int result = render_resource_destroy(inner_of(base), 0);

	free(container_of(base, struct late_resource, base));
	return end_later(late, token, result);
}

static const struct render_resource_ops late_resource_ops = {
	.attach_backing = late_attach,
	.detach_backing = late_detach,
	.transfer_to_host = late_transfer,
	.get_frame = late_get_frame,
	.destroy = late_destroy_resource,
};

static int wrap(struct renderer *renderer, struct render_resource *inner, int result,
	struct render_resource **resource)
{
	struct late_resource *late;

	if (result < 0) {
		return result;
	}
	late = calloc(1, sizeof(*late));
	assert(late);
	render_resource_init(&late->base, &late_resource_ops, renderer);
	late->inner = inner;
	*resource = &late->base;
	return 0;
}

static int late_create_image(struct renderer *base, const struct render_image_info *info,
	struct render_resource **resource)
{
	struct late_renderer *late = container_of(base, struct late_renderer, base);
	struct render_resource *inner = NULL;
	int result = takes_failure(late) ? -ENOMEM : render_create_image(late->soft, info, &inner);

	return wrap(base, inner, result, resource);
}

static int late_create_blob(struct renderer *base, const struct render_blob_info *info,
	struct render_resource **resource)
{
	struct late_renderer *late = container_of(base, struct late_renderer, base);
	struct render_resource *inner = NULL;
	int result = takes_failure(late) ? -ENOMEM : render_create_blob(late->soft, info, &inner);

	return wrap(base, inner, result, resource);
}

static void late_destroy(struct renderer *base)
{
	struct late_renderer *late = container_of(base, struct late_renderer, base);

	renderer_destroy(late->soft);
	free(late);
}

static const struct render_ops late_ops = {
	.create_image = late_create_image,
	.create_blob = late_create_blob,
	.destroy = late_destroy,
};

static struct late_renderer *create_late(struct memory *memory, struct gpu_device *device)
{
	struct late_renderer *late = calloc(1, sizeof(*late));

	assert(late);
	late->soft = soft_renderer_create(memory, &gpu_device_render_listener, device);
	renderer_init(&late->base, &late_ops, &gpu_device_render_listener, device);
	return late;
}

/* In order, as a renderer does its work. */
static void tell_one(struct late_renderer *late)
{
	size_t index = late->told_count;

	if (index < late->ended_count) {
		late->told_count++;
		late->base.listener->operation_done(late->base.listener_data,
			late->ended[index].token, late->ended[index].result);
	}
}

/* The driver */

struct ticket {
	struct gpu_request request;
	uint8_t *bytes;
	bool is_done;
};

struct script {
	struct memory *memory;
	struct gpu_device *device;
	struct late_renderer *renderer;
	struct fake_3d *renderer_3d;
	struct fake_display *display;
	struct ticket *tickets[STEPS_MAX];
	size_t ticket_count;
	uint64_t window[WINDOW_OPERATIONS]; // tokens of maps and unmaps that have not ended
	size_t window_count;
};

static void handle_complete(void *transport, struct gpu_request *request)
{
	struct ticket *ticket = container_of(request, struct ticket, request);
	uint32_t type = le32toh(request->response.header.type);

	(void)transport;
	assert(!ticket->is_done);
	assert(request->response_len >= sizeof(struct virtio_gpu_ctrl_hdr));
	assert(request->capset || request->response_len <= sizeof(request->response));
	assert((type >= VIRTIO_GPU_RESP_OK_NODATA && type <= VIRTIO_GPU_RESP_OK_MAP_INFO) ||
		(type >= VIRTIO_GPU_RESP_ERR_UNSPEC &&
			type <= VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER));
	ticket->is_done = true;
	free(ticket->bytes);
	ticket->bytes = NULL;
	request->bytes = NULL;
	free(request->capset);
	request->capset = NULL;
}

static void handle_config_changed(void *transport)
{
	(void)transport;
}

static uint64_t handle_window_size(void *transport)
{
	(void)transport;
	return WINDOW_SIZE;
}

static int begin_window_operation(struct script *script, uint64_t token)
{
	if (script->window_count == WINDOW_OPERATIONS) {
		return -ENOSPC;
	}
	script->window[script->window_count++] = token;
	return RENDER_PENDING;
}

static int handle_map(void *transport, const struct gpu_window_map *map, uint64_t token)
{
	assert(map->len > 0 && map->offset < WINDOW_SIZE && map->len <= WINDOW_SIZE - map->offset);
	return begin_window_operation(transport, token);
}

static int handle_unmap(void *transport, uint64_t offset, uint64_t len, uint64_t token)
{
	assert(len > 0 && offset < WINDOW_SIZE);
	return begin_window_operation(transport, token);
}

/* The oldest one ends. */
static void end_window_operation(struct script *script, int result)
{
	uint64_t token = script->window[0];

	if (script->window_count > 0) {
		script->window_count--;
		memmove(script->window, script->window + 1, script->window_count * sizeof(token));
		gpu_device_window_done(script->device, token, result);
	}
}

static const struct gpu_transport_ops transport_ops = {
	.complete = handle_complete,
	.config_changed = handle_config_changed,
	.window_size = handle_window_size,
	.map = handle_map,
	.unmap = handle_unmap,
};

/* Takes the bytes. */
static void submit(struct script *script, uint32_t queue, uint8_t *bytes, size_t len)
{
	struct ticket *ticket = calloc(1, sizeof(*ticket));

	assert(ticket && script->ticket_count < STEPS_MAX);
	memset(&ticket->request, 0xa5, sizeof(ticket->request));
	script->tickets[script->ticket_count++] = ticket;
	ticket->bytes = bytes;
	ticket->request.queue = queue;
	ticket->request.bytes = bytes;
	ticket->request.len = len;
	ticket->request.total_len = len;
	gpu_device_submit(script->device, &ticket->request);
}

/* Bytes as they come. */
static void submit_raw(struct script *script, struct input *input)
{
	uint32_t queue = take_byte(input) % WIRE_QUEUE_COUNT;
	size_t len = take_byte(input);
	uint8_t *bytes = malloc(len + 1);

	assert(bytes);
	for (size_t i = 0; i < len; i++) {
		bytes[i] = take_byte(input);
	}
	submit(script, queue, bytes, len);
}

static const struct {
	uint32_t type;
	size_t size;
	bool has_tail;
} commands[] = {
	{ VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 24, false },
	{ VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 40, false },
	{ VIRTIO_GPU_CMD_RESOURCE_UNREF, 32, false },
	{ VIRTIO_GPU_CMD_SET_SCANOUT, 48, false },
	{ VIRTIO_GPU_CMD_RESOURCE_FLUSH, 48, false },
	{ VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, 56, false },
	{ VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 32, true },
	{ VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 32, false },
	{ VIRTIO_GPU_CMD_GET_CAPSET_INFO, 32, false },
	{ VIRTIO_GPU_CMD_GET_CAPSET, 32, false },
	{ VIRTIO_GPU_CMD_GET_EDID, 32, false },
	{ VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 32, false },
	{ VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 56, true },
	{ VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, 96, false },
	{ VIRTIO_GPU_CMD_CTX_CREATE, 96, false },
	{ VIRTIO_GPU_CMD_UPDATE_CURSOR, 56, false },
	{ VIRTIO_GPU_CMD_MOVE_CURSOR, 56, false },
};

/* An address in guest memory, at its borders, or anywhere. */
static uint64_t take_addr(struct input *input)
{
	uint32_t value = take_number(input);

	return value < 0xf0 ? RAM_ADDR + value * 4096ull : (uint64_t)value << 12 | 0xff0;
}

static void fill_entries(struct input *input, uint8_t *bytes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct virtio_gpu_mem_entry entry = {
			.addr = htole64(take_addr(input)),
			.length = htole32(take_number(input) * 61u),
		};

		memcpy(bytes + i * sizeof(entry), &entry, sizeof(entry));
	}
}

/* A command of the right length, its fields numbers of the input. */
static void submit_command(struct script *script, struct input *input)
{
	size_t row = take_byte(input) % (sizeof(commands) / sizeof(commands[0]));
	uint32_t entries = commands[row].has_tail ? take_byte(input) % 40 : 0;
	size_t fixed = commands[row].size;
	size_t len = fixed + entries * sizeof(struct virtio_gpu_mem_entry);
	uint32_t type = htole32(commands[row].type);
	uint8_t *bytes = calloc(1, len);
	bool is_cursor = commands[row].type >= VIRTIO_GPU_CMD_UPDATE_CURSOR;

	assert(bytes);
	memcpy(bytes, &type, sizeof(type));
	bytes[4] = take_byte(input); // flags
	for (size_t i = sizeof(struct virtio_gpu_ctrl_hdr); i < fixed; i += 4) {
		uint32_t field = htole32(take_number(input));

		memcpy(bytes + i, &field, sizeof(field));
	}
	if (entries) {
		fill_entries(input, bytes + fixed, entries);
	}
	submit(script, is_cursor ? WIRE_CURSOR_QUEUE : WIRE_CONTROL_QUEUE, bytes, len);
}

static const struct {
	uint32_t type;
	size_t size;
} commands_3d[] = {
	{ VIRTIO_GPU_CMD_CTX_CREATE, 96 },
	{ VIRTIO_GPU_CMD_CTX_DESTROY, 24 },
	{ VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, 32 },
	{ VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, 32 },
	{ VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, 72 },
	{ VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 72 },
	{ VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, 72 },
	{ VIRTIO_GPU_CMD_SUBMIT_3D, 32 },
	{ VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 56 },
	{ VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, 40 },
	{ VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 32 },
	{ VIRTIO_GPU_CMD_RESOURCE_UNREF, 32 },
};

/* A 3D command of the right length; a stream's length mostly fits. */
/* Commands with one argument each, mostly those that the device looks for. */
static void fill_stream(struct input *input, uint8_t *bytes, uint32_t size)
{
	for (uint32_t i = 0; i < size; i += 4) {
		uint8_t choice = take_byte(input);
		uint32_t word = choice % 16;

		if (i % 8 == 0) {
			word = choice % 32 ? GPU_STREAM_CREATE_SUB_CONTEXT + choice % 2
					   : GPU_STREAM_CREATE_RESOURCE;
			word |= 1u << 16;
		}
		word = htole32(choice < 0xe0 ? word : take_number(input));
		memcpy(bytes + i, &word, sizeof(word));
	}
}

static void submit_3d(struct script *script, struct input *input)
{
	size_t row = take_byte(input) % (sizeof(commands_3d) / sizeof(commands_3d[0]));
	bool is_stream = commands_3d[row].type == VIRTIO_GPU_CMD_SUBMIT_3D;
	size_t fixed = commands_3d[row].size;
	uint32_t tail = is_stream ? take_byte(input) % 8 * 4 : 0;
	struct virtio_gpu_ctrl_hdr header = {
		.type = htole32(commands_3d[row].type),
		.flags = htole32(take_byte(input)),
		.ctx_id = htole32(take_byte(input) % 6),
	};
	uint8_t *bytes = calloc(1, fixed + tail);

	assert(bytes);
	memcpy(bytes, &header, sizeof(header));
	for (size_t i = sizeof(header); i < fixed; i += 4) {
		uint32_t field = htole32(take_number(input));

		memcpy(bytes + i, &field, sizeof(field));
	}
	if (is_stream) {
		fill_stream(input, bytes + fixed, tail);
	}
	if (is_stream && take_byte(input) < 0xe0) {
		const uint32_t fitting[2] = { htole32(tail), 0 };

		memcpy(bytes + sizeof(header), fitting, sizeof(fitting));
	}
	submit(script, WIRE_CONTROL_QUEUE, bytes, fixed + tail);
}

/* Fences and what was asked of the window end, or the next operation of the 3D renderer fails. */
static void end_fences(struct script *script, struct input *input)
{
	static const int failures[] = { -EINVAL, -ENOMEM, -EIO };
	uint8_t choice = take_byte(input);

	if (choice < 0xe0) {
		uint32_t count = choice % (script->renderer_3d->fence_count + 1);

		fake_3d_end_fences(script->renderer_3d, count);
		end_window_operation(script, choice % 4 ? 0 : -EIO);
	} else {
		script->renderer_3d->fail = failures[choice % 3];
	}
}

static void take_picture(struct script *script, struct input *input)
{
	uint8_t choice = take_byte(input);
	struct frame *picture = gpu_device_screenshot(script->device, choice % 20, choice & 0x80);
	struct gpu_scanout_status status;

	gpu_device_scanout_status(script->device, choice % 20, &status);
	frame_unref(picture);
}

static void change_display(struct script *script, struct input *input)
{
	uint8_t choice = take_byte(input);

	script->display->flush_later = choice & 1;
	script->display->answer_later = choice & 2;
	script->display->query_result = choice & 4 ? -ENOTSUP : 0;
	script->renderer->is_late = choice & 8;
	script->renderer->fail_next = choice & 16;
}

static void set_display(struct script *script, struct input *input)
{
	script->display = fake_display_create(take_byte(input) & 1);
	gpu_device_set_display(script->device, &script->display->base);
}

enum step {
	STEP_COMMAND, // and all that are not named
	STEP_RAW = 8,
	STEP_END_DISPLAY,
	STEP_END_RENDERER,
	STEP_CHANGE,
	STEP_PICTURE,
	STEP_RESET,
	STEP_NEW_DISPLAY,
	STEP_FEATURES,
	STEP_3D,
	STEP_END_FENCES,
	STEP_COUNT,
};

static void do_step(struct script *script, struct input *input)
{
	switch (take_byte(input) % STEP_COUNT) {
	case STEP_RAW:
		submit_raw(script, input);
		break;
	case STEP_END_DISPLAY:
		if (script->display->pending_count) {
			uint8_t choice = take_byte(input);

			fake_display_end(script->display,
				(choice >> 1) % script->display->pending_count, choice & 1);
		}
		break;
	case STEP_END_RENDERER:
		tell_one(script->renderer);
		break;
	case STEP_CHANGE:
		change_display(script, input);
		break;
	case STEP_PICTURE:
		take_picture(script, input);
		break;
	case STEP_RESET:
		gpu_device_reset(script->device);
		break;
	case STEP_NEW_DISPLAY:
		set_display(script, input);
		break;
	case STEP_FEATURES:
		gpu_device_set_features(script->device, take_byte(input) ^ 0x1fu);
		gpu_device_clear_events(script->device, take_byte(input));
		fake_display_change_modes(script->display);
		break;
	case STEP_3D:
		submit_3d(script, input);
		break;
	case STEP_END_FENCES:
		end_fences(script, input);
		break;
	default:
		submit_command(script, input);
		break;
	}
}

static void begin_script(struct script *script)
{
	static const struct gpu_device_config config = {
		.max_memory = MAX_MEMORY,
		.max_resources = 100,
		.outputs = 3,
	};

	script->memory = array_memory_create();
	for (uint32_t i = 0; i < RAM_REGIONS; i++) {
		array_memory_add(script->memory, RAM_ADDR + i * RAM_SIZE / RAM_REGIONS,
			RAM_SIZE / RAM_REGIONS);
	}
	script->device = gpu_device_create(&config, script->memory, &transport_ops, script);
	script->renderer = create_late(script->memory, script->device);
	gpu_device_set_renderer(script->device, &script->renderer->base);
	script->renderer_3d = fake_3d_create(
		script->memory, &gpu_device_render_listener, script->device);
	gpu_device_set_renderer_3d(script->device, &script->renderer_3d->base);
	script->display = fake_display_create(true);
	gpu_device_set_display(script->device, &script->display->base);
	gpu_device_set_features(script->device, UINT64_MAX);
}

static void end_script(struct script *script)
{
	gpu_device_destroy(script->device);
	for (size_t i = 0; i < script->ticket_count; i++) {
		assert(script->tickets[i]->is_done);
		free(script->tickets[i]);
	}
	assert(array_memory_mapped() == 0);
	memory_destroy(script->memory);
	free(script);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz_command", NULL, LOG_ERROR);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script *script = calloc(1, sizeof(*script));
	struct input input = { data, size };

	assert(script);
	begin_script(script);
	for (int i = 0; i < STEPS_MAX && input.left; i++) {
		do_step(script, &input);
	}
	assert(gpu_device_totals(script->device).memory_peak < 2 * MAX_MEMORY);
	end_script(script);
	return 0;
}
