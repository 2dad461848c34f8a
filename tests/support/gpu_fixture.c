/* SPDX-License-Identifier: MIT */
#include "support/gpu_fixture.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "render/null/null.h"
#include "render/soft/soft.h"
#include "support/array_memory.h"
#include "support/remote_renderer.h"

enum renderer_kind fixture_soft = RENDERER_SOFT;
enum renderer_kind fixture_remote = RENDERER_REMOTE;
enum renderer_kind fixture_null = RENDERER_NULL;

static void handle_complete(void *data, struct gpu_request *request)
{
	struct fixture *fixture = data;
	struct ticket *ticket = container_of(request, struct ticket, request);

	ticket->completions++;
	ticket->order = fixture->completions++;
	assert_int_equal(ticket->completions, 1);
	/* A transport may free the request now. */
	free(ticket->bytes);
	ticket->bytes = NULL;
	request->bytes = NULL;
}

static void handle_config_changed(void *data)
{
	struct fixture *fixture = data;

	fixture->config_changes++;
}

static uint64_t handle_window_size(void *data)
{
	return ((struct fixture *)data)->window_size;
}

static int begin_window_operation(
	struct fixture *fixture, bool is_map, uint64_t offset, uint64_t len, uint64_t token)
{
	if (fixture->window_error) {
		return fixture->window_error;
	}
	assert_true(fixture->window_count < WINDOW_OPERATIONS);
	fixture->window[fixture->window_count++] = (struct window_operation){ is_map, offset, len,
		token };
	return RENDER_PENDING;
}

static int handle_map(void *data, const struct gpu_window_map *map, uint64_t token)
{
	assert_true(fcntl(map->fd, F_GETFD) >= 0);
	return begin_window_operation(data, true, map->offset, map->len, token);
}

static int handle_unmap(void *data, uint64_t offset, uint64_t len, uint64_t token)
{
	return begin_window_operation(data, false, offset, len, token);
}

struct window_operation end_window_operation(struct fixture *fixture, int result)
{
	struct window_operation operation = fixture->window[0];

	assert_true(fixture->window_count > 0);
	fixture->window_count--;
	memmove(fixture->window, fixture->window + 1,
		fixture->window_count * sizeof(fixture->window[0]));
	gpu_device_window_done(fixture->device, operation.token, result);
	return operation;
}

static const struct gpu_transport_ops transport_ops = {
	.complete = handle_complete,
	.config_changed = handle_config_changed,
	.window_size = handle_window_size,
	.map = handle_map,
	.unmap = handle_unmap,
};

static struct renderer *create_renderer(struct fixture *fixture)
{
	const struct render_listener_ops *listener = &gpu_device_render_listener;

	switch (fixture->kind) {
	case RENDERER_SOFT:
		return soft_renderer_create(fixture->memory, listener, fixture->device);
	case RENDERER_REMOTE:
		return remote_renderer_create(fixture->memory, listener, fixture->device);
	case RENDERER_NULL:
		return null_renderer_create(listener, fixture->device);
	}
	return NULL;
}

struct fixture *fixture_create(const struct fixture_config *config)
{
	const struct gpu_device_config device_config = {
		.max_memory = config->max_memory ? config->max_memory : 64u << 20,
		.max_resources = config->max_resources ? config->max_resources : 64,
		.outputs = config->outputs ? config->outputs : 4,
	};
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->kind = config->kind;
	fixture->memory = array_memory_create();
	fixture->ram[0] = array_memory_add(fixture->memory, RAM_ADDR, RAM_SIZE / 2);
	fixture->ram[1] = array_memory_add(fixture->memory, RAM_ADDR + RAM_SIZE / 2, RAM_SIZE / 2);
	fixture->far = array_memory_add(fixture->memory, FAR_ADDR, FAR_SIZE);
	fixture->device = gpu_device_create(
		&device_config, fixture->memory, &transport_ops, fixture);
	assert_non_null(fixture->device);
	fixture->renderer = create_renderer(fixture);
	gpu_device_set_renderer(fixture->device, fixture->renderer);
	fixture->display = fake_display_create(true);
	gpu_device_set_display(fixture->device, &fixture->display->base);
	gpu_device_set_features(fixture->device, config->features ? config->features : ~0ull);
	return fixture;
}

void fixture_destroy(struct fixture *fixture)
{
	struct ticket *following;

	gpu_device_destroy(fixture->device);
	for (struct ticket *ticket = fixture->tickets; ticket; ticket = following) {
		following = ticket->next;
		assert_int_equal(ticket->completions, 1);
		free(ticket->request.capset);
		free(ticket);
	}
	assert_int_equal(array_memory_mapped(), 0);
	memory_destroy(fixture->memory);
	free(fixture);
}

int fixture_setup(void **state)
{
	const struct fixture_config config = { .kind = *(enum renderer_kind *)*state };

	*state = fixture_create(&config);
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_destroy(*state);
	return 0;
}

uint8_t *ram_bytes(struct fixture *fixture, uint64_t addr)
{
	if (addr >= FAR_ADDR) {
		return fixture->far + (addr - FAR_ADDR);
	}
	addr -= RAM_ADDR;
	return addr < RAM_SIZE / 2 ? fixture->ram[0] + addr
				   : fixture->ram[1] + (addr - RAM_SIZE / 2);
}

static void fill(uint8_t *bytes, size_t len, uint32_t *seed)
{
	for (size_t i = 0; i < len; i++) {
		*seed = *seed * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(*seed >> 24);
	}
}

void fill_ram(struct fixture *fixture, uint32_t seed)
{
	fill(fixture->ram[0], RAM_SIZE / 2, &seed);
	fill(fixture->ram[1], RAM_SIZE / 2, &seed);
	fill(fixture->far, FAR_SIZE, &seed);
}

struct ticket *submit(struct fixture *fixture, uint32_t queue, const void *bytes, size_t len)
{
	struct ticket *ticket = calloc(1, sizeof(*ticket));

	assert_non_null(ticket);
	/* Exactly this long, so that a sanitizer sees a read beyond. */
	ticket->bytes = malloc(len ? len : 1);
	assert_non_null(ticket->bytes);
	if (len) {
		memcpy(ticket->bytes, bytes, len);
	}
	memset(&ticket->request, 0xa5, sizeof(ticket->request));
	ticket->request.queue = queue;
	ticket->request.bytes = ticket->bytes;
	ticket->request.len = len;
	ticket->request.total_len = len;
	ticket->next = fixture->tickets;
	fixture->tickets = ticket;
	gpu_device_submit(fixture->device, &ticket->request);
	return ticket;
}

void settle(struct fixture *fixture)
{
	if (fixture->kind == RENDERER_REMOTE) {
		remote_renderer_pump(fixture->renderer, true);
	}
}

uint32_t answer_of(const struct ticket *ticket)
{
	assert_int_equal(ticket->completions, 1);
	return le32toh(ticket->request.response.header.type);
}

uint32_t run(struct fixture *fixture, uint32_t queue, const void *bytes, size_t len)
{
	struct ticket *ticket = submit(fixture, queue, bytes, len);

	if (!ticket->completions) {
		settle(fixture);
	}
	fixture->response = ticket->request.response;
	fixture->capset = ticket->request.capset;
	fixture->response_len = ticket->request.response_len;
	return answer_of(ticket);
}

uint32_t control(struct fixture *fixture, const void *bytes, size_t len)
{
	return run(fixture, WIRE_CONTROL_QUEUE, bytes, len);
}

struct virtio_gpu_ctrl_hdr header_of(uint32_t type)
{
	return (struct virtio_gpu_ctrl_hdr){ .type = htole32(type) };
}

struct virtio_gpu_rect wire_rect(uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	return (struct virtio_gpu_rect){
		.x = htole32(x),
		.y = htole32(y),
		.width = htole32(width),
		.height = htole32(height),
	};
}

uint32_t create_2d(
	struct fixture *fixture, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	const struct virtio_gpu_resource_create_2d command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D),
		.resource_id = htole32(id),
		.format = htole32(format),
		.width = htole32(width),
		.height = htole32(height),
	};

	return control(fixture, &command, sizeof(command));
}

static uint32_t run_id(struct fixture *fixture, uint32_t type, uint32_t id)
{
	const struct virtio_gpu_resource_unref command = {
		.hdr = header_of(type),
		.resource_id = htole32(id),
	};

	return control(fixture, &command, sizeof(command));
}

uint32_t unref(struct fixture *fixture, uint32_t id)
{
	return run_id(fixture, VIRTIO_GPU_CMD_RESOURCE_UNREF, id);
}

uint32_t detach(struct fixture *fixture, uint32_t id)
{
	return run_id(fixture, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, id);
}

uint32_t attach(struct fixture *fixture, uint32_t id, const struct virtio_gpu_mem_entry *entries,
	uint32_t count)
{
	const struct virtio_gpu_resource_attach_backing command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
		.resource_id = htole32(id),
		.nr_entries = htole32(count),
	};
	size_t len = sizeof(command) + count * sizeof(*entries);
	uint8_t *bytes = malloc(len);
	uint32_t response;

	assert_non_null(bytes);
	memcpy(bytes, &command, sizeof(command));
	if (count) {
		memcpy(bytes + sizeof(command), entries, count * sizeof(*entries));
	}
	response = control(fixture, bytes, len);
	free(bytes);
	return response;
}

uint32_t attach_one(struct fixture *fixture, uint32_t id, uint64_t addr, uint32_t len)
{
	const struct virtio_gpu_mem_entry entry = {
		.addr = htole64(addr),
		.length = htole32(len),
	};

	return attach(fixture, id, &entry, 1);
}

uint32_t transfer(struct fixture *fixture, uint32_t id, uint32_t x, uint32_t y, uint32_t width,
	uint32_t height, uint64_t offset)
{
	const struct virtio_gpu_transfer_to_host_2d command = {
		.hdr = header_of(VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D),
		.r = wire_rect(x, y, width, height),
		.offset = htole64(offset),
		.resource_id = htole32(id),
	};

	return control(fixture, &command, sizeof(command));
}

uint32_t set_scanout(struct fixture *fixture, uint32_t scanout, uint32_t id, uint32_t x, uint32_t y,
	uint32_t width, uint32_t height)
{
	const struct virtio_gpu_set_scanout command = {
		.hdr = header_of(VIRTIO_GPU_CMD_SET_SCANOUT),
		.r = wire_rect(x, y, width, height),
		.scanout_id = htole32(scanout),
		.resource_id = htole32(id),
	};

	return control(fixture, &command, sizeof(command));
}

uint32_t flush(struct fixture *fixture, uint32_t id, uint32_t x, uint32_t y, uint32_t width,
	uint32_t height)
{
	const struct virtio_gpu_resource_flush command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_FLUSH),
		.r = wire_rect(x, y, width, height),
		.resource_id = htole32(id),
	};

	return control(fixture, &command, sizeof(command));
}

uint32_t create_blob(struct fixture *fixture, uint32_t id, uint64_t size, uint64_t addr)
{
	const struct {
		struct virtio_gpu_resource_create_blob fixed;
		struct virtio_gpu_mem_entry entry;
	} command = {
		.fixed = {
			.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
			.resource_id = htole32(id),
			.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
			.blob_flags = htole32(VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE),
			.nr_entries = htole32(1),
			.size = htole64(size),
		},
		.entry = { .addr = htole64(addr), .length = htole32((uint32_t)size) },
	};

	return control(fixture, &command, sizeof(command));
}

struct virtio_gpu_set_scanout_blob blob_scanout(
	uint32_t scanout, uint32_t id, uint32_t width, uint32_t height, uint32_t stride)
{
	return (struct virtio_gpu_set_scanout_blob){
		.hdr = header_of(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB),
		.r = wire_rect(0, 0, width, height),
		.scanout_id = htole32(scanout),
		.resource_id = htole32(id),
		.width = htole32(width),
		.height = htole32(height),
		.format = htole32(FORMAT_BGRX),
		.strides = { htole32(stride) },
	};
}

static uint32_t run_cursor(struct fixture *fixture, const struct virtio_gpu_update_cursor *command)
{
	return run(fixture, WIRE_CURSOR_QUEUE, command, sizeof(*command));
}

uint32_t update_cursor(struct fixture *fixture, uint32_t scanout, uint32_t id, uint32_t x,
	uint32_t y, uint32_t hot_x, uint32_t hot_y)
{
	const struct virtio_gpu_update_cursor command = {
		.hdr = header_of(VIRTIO_GPU_CMD_UPDATE_CURSOR),
		.pos = { .scanout_id = htole32(scanout), .x = htole32(x), .y = htole32(y) },
		.resource_id = htole32(id),
		.hot_x = htole32(hot_x),
		.hot_y = htole32(hot_y),
	};

	return run_cursor(fixture, &command);
}

uint32_t move_cursor(struct fixture *fixture, uint32_t scanout, uint32_t x, uint32_t y)
{
	const struct virtio_gpu_update_cursor command = {
		.hdr = header_of(VIRTIO_GPU_CMD_MOVE_CURSOR),
		.pos = { .scanout_id = htole32(scanout), .x = htole32(x), .y = htole32(y) },
		/* 5.7.6.10: the other fields are ignored. */
		.resource_id = htole32(4711),
		.hot_x = htole32(12),
		.hot_y = htole32(34),
	};

	return run_cursor(fixture, &command);
}

void show_image(struct fixture *fixture, uint32_t id, uint32_t format, uint32_t width,
	uint32_t height, uint32_t scanout)
{
	assert_int_equal(create_2d(fixture, id, format, width, height), OK);
	assert_int_equal(attach_one(fixture, id, RAM_ADDR, width * height * 4), OK);
	assert_int_equal(transfer(fixture, id, 0, 0, width, height, 0), OK);
	assert_int_equal(set_scanout(fixture, scanout, id, 0, 0, width, height), OK);
}

uint32_t picture_pixel(struct frame *picture, uint32_t x, uint32_t y)
{
	const struct rect rect = { x, y, 1, 1 };
	struct frame_view view;
	uint32_t pixel;

	assert_int_equal(frame_begin_read(picture, &rect, &view), 0);
	memcpy(&pixel, view.pixels, sizeof(pixel));
	frame_end_read(picture);
	return le32toh(pixel) & 0xffffff;
}
