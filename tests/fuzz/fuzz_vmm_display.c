/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <drm_fourcc.h>
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "display/vmm/vmm_impl.h"
#include "fuzz/input.h"
#include "support/slow_frame.h"

/*
 * The VMM's display between a device and a front end that both do anything: a script of display calls,
 * of reading, and of replies, right or not. The stream must stay in its frames: each message has its
 * exact size, UPDATEs lie within the size of the last SCANOUT. Each pending call ends once. In the end,
 * unless the viewer is gone, it has the picture exactly.
 *
 * Time is not waited for: the script says when the viewer has been silent for too long.
 */

#define OUTPUTS 2
#define FRAMES  4
#define SLOW    3 // this one takes time to be read
#define STEPS   400

struct viewer_output {
	uint32_t width;
	uint32_t height;
	uint32_t *pixels;
};

struct world {
	struct loop *loop;
	struct display *display;
	int socket;
	struct viewer_output outputs[OUTPUTS];
	struct frame *shown[OUTPUTS];
	uint8_t *message;
	size_t size; // of the message, as far as it came
	size_t capacity;
	uint32_t pending;
	uint32_t ended;
	uint32_t lost;
};

static struct frame *frames[FRAMES];

static void note_modes(void *data)
{
	(void)data;
	abort();
}

static void note_info(void *data, uint64_t token, const struct display_info *info)
{
	(void)token;
	(void)info;
	((struct world *)data)->ended++;
}

static void note_edid(void *data, uint64_t token, const struct display_edid *edid)
{
	(void)token;
	assert(!edid || edid->size <= DISPLAY_EDID_MAX);
	((struct world *)data)->ended++;
}

static void note_done(void *data, uint64_t token)
{
	(void)token;
	((struct world *)data)->ended++;
}

static void note_lost(void *data)
{
	((struct world *)data)->lost++;
}

static const struct display_listener_ops listener = {
	.modes_changed = note_modes,
	.info_ready = note_info,
	.edid_ready = note_edid,
	.frame_done = note_done,
	.lost = note_lost,
};

/* Pixels that are the same in every format: all four bytes are equal. */
static struct frame *paint(struct frame *frame, uint8_t *pixels, uint32_t seed)
{
	for (uint32_t i = 0; i < frame->width * frame->height; i++) {
		memset(pixels + (size_t)i * 4, (int)(i * 7 + seed * 85), 4);
	}
	return frame;
}

static struct frame *make_frame(uint32_t width, uint32_t height, uint32_t format, uint32_t seed)
{
	uint8_t *pixels;
	size_t stride;
	struct frame *frame = frame_create_private(width, height, format, &pixels, &stride);

	assert(frame);
	return paint(frame, pixels, seed);
}

static struct frame *make_slow(uint32_t width, uint32_t height, uint32_t format, uint32_t seed)
{
	struct slow_frame *slow = slow_frame_create(width, height, format);

	return paint(&slow->base, slow->pixels, seed);
}

static void check_update(struct world *world, const struct vmm_header *header)
{
	struct vmm_update update;
	struct rect rect;
	struct viewer_output *output;

	memcpy(&update, world->message + sizeof(*header), sizeof(update));
	rect = (struct rect){ update.x, update.y, update.width, update.height };
	assert(update.output < OUTPUTS);
	output = &world->outputs[update.output];
	assert(output->pixels && !rect_is_empty(&rect));
	assert(rect_within(&rect, output->width, output->height));
	for (uint32_t y = 0; y < update.height; y++) {
		memcpy(output->pixels + (size_t)(update.y + y) * output->width + update.x,
			world->message + sizeof(*header) + sizeof(update) +
				(size_t)y * update.width * 4,
			(size_t)update.width * 4);
	}
}

static void check_scanout(struct world *world)
{
	struct vmm_scanout scanout;
	struct viewer_output *output;

	memcpy(&scanout, world->message + sizeof(struct vmm_header), sizeof(scanout));
	assert(scanout.output < OUTPUTS);
	assert(!scanout.width == !scanout.height);
	output = &world->outputs[scanout.output];
	free(output->pixels);
	output->width = scanout.width;
	output->height = scanout.height;
	output->pixels = scanout.width ? calloc(scanout.width, scanout.height * 4u) : NULL;
}

static uint32_t wanted_size(const struct world *world, const struct vmm_header *header)
{
	struct vmm_update update;

	switch (header->request) {
	case VMM_GET_PROTOCOL_FEATURES:
	case VMM_GET_DISPLAY_INFO:
		return 0;
	case VMM_SET_PROTOCOL_FEATURES:
		return 8;
	case VMM_CURSOR_POS:
	case VMM_CURSOR_POS_HIDE:
	case VMM_SCANOUT:
		return 12;
	case VMM_CURSOR_UPDATE:
		return 16404;
	case VMM_GET_EDID:
		return 4;
	case VMM_UPDATE:
		memcpy(&update, world->message + sizeof(*header), sizeof(update));
		return (uint32_t)sizeof(update) + update.width * update.height * 4;
	default:
		abort();
	}
}

static void check_message(struct world *world, const struct vmm_header *header)
{
	assert(header->flags == 0);
	assert(header->size == wanted_size(world, header));
	if (header->request == VMM_UPDATE) {
		check_update(world, header);
	} else if (header->request == VMM_SCANOUT) {
		check_scanout(world);
	}
}

/* Reads up to `most` bytes, a message at a time; returns how many. */
static size_t view(struct world *world, size_t most)
{
	struct vmm_header header;
	size_t total = 0;

	while (world->socket >= 0 && total < most) {
		size_t want = sizeof(header);
		ssize_t count;

		if (world->size >= sizeof(header)) {
			memcpy(&header, world->message, sizeof(header));
			want += header.size;
			assert(header.size < 1 << 20);
		}
		if (want > world->capacity) {
			world->message = realloc(world->message, want);
			world->capacity = want;
		}
		want -= world->size;
		want = want < most - total ? want : most - total;
		count = want ? recv(world->socket, world->message + world->size, want, MSG_DONTWAIT)
			     : 0;
		if (want && count <= 0) {
			break;
		}
		world->size += (size_t)count;
		total += (size_t)count;
		memcpy(&header, world->message, sizeof(header));
		if (world->size >= sizeof(header) && world->size == sizeof(header) + header.size) {
			check_message(world, &header);
			world->size = 0;
		}
	}
	return total;
}

static void turn(struct world *world)
{
	loop_run_once(world->loop, false);
	loop_run_once(world->loop, false);
}

static struct rect take_rect(struct input *input, uint32_t width, uint32_t height)
{
	uint32_t x = input_u16(input) % width, y = input_u16(input) % height;

	return (struct rect){ x, y, input_u16(input) % (width - x) + 1,
		input_u16(input) % (height - y) + 1 };
}

static void set_frame(struct world *world, struct input *input)
{
	uint8_t which = input_u8(input);
	uint32_t output = which % OUTPUTS;
	struct frame *frame = frames[which / 2 % FRAMES];
	struct rect part = { 0, 0, frame->width, frame->height };

	if (which & 0x80) {
		part = take_rect(input, frame->width, frame->height);
	}
	world->shown[output] = which & 0x40 ? NULL : frame;
	display_set_frame(
		world->display, output, world->shown[output], which & 0x40 ? NULL : &part);
}

static struct vmm_display *inside(struct world *world)
{
	return container_of(world->display, struct vmm_display, base);
}

static void flush(struct world *world, uint32_t output, const struct rect *rect)
{
	if (display_flush(world->display, output, rect, 1) == DISPLAY_PENDING) {
		world->pending++;
	}
}

static void flush_some(struct world *world, struct input *input)
{
	uint32_t output = input_u8(input) % OUTPUTS;
	const struct rect *part = &inside(world)->outputs[output].part;
	struct rect rect;

	if (world->shown[output] && !rect_is_empty(part)) {
		rect = take_rect(input, part->width, part->height);
		flush(world, output, &rect);
	}
}

static void set_cursor(struct world *world, struct input *input)
{
	uint8_t which = input_u8(input);
	const struct display_cursor cursor = {
		.image = which & 2 ? frames[0] : NULL,
		.x = input_number(input),
		.y = input_number(input),
		.hot_x = which,
		.hot_y = which,
	};

	display_set_cursor(world->display, which % OUTPUTS, &cursor);
}

static void ask(struct world *world, struct input *input)
{
	uint8_t which = input_u8(input);
	struct display_info info;
	struct display_edid edid;
	int result = which & 1 ? display_query_edid(world->display, which >> 4, 2, &edid)
			       : display_query_info(world->display, 2, &info);

	assert(result != 0);
	world->pending += result == DISPLAY_PENDING;
}

static void put(struct world *world, const void *bytes, size_t size)
{
	if (world->socket >= 0) {
		send(world->socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* A reply as it should be, but for what the script changes in it, and perhaps cut short. */
static void answer(struct world *world, struct input *input)
{
	static const struct vmm_header headers[3] = {
		{ VMM_GET_PROTOCOL_FEATURES, VMM_FLAG_REPLY, 8 },
		{ VMM_GET_DISPLAY_INFO, VMM_FLAG_REPLY,
			sizeof(struct virtio_gpu_resp_display_info) },
		{ VMM_GET_EDID, VMM_FLAG_REPLY, sizeof(struct virtio_gpu_resp_edid) },
	};
	static const uint32_t types[3] = { 3, VIRTIO_GPU_RESP_OK_DISPLAY_INFO,
		VIRTIO_GPU_RESP_OK_EDID };
	uint8_t bytes[VMM_REPLY_MAX] = { 0 };
	uint8_t which = input_u8(input);
	const struct vmm_header *header = &headers[which % 3];
	size_t size = sizeof(*header) + header->size;
	uint16_t at;

	memcpy(bytes, header, sizeof(*header));
	memcpy(bytes + sizeof(*header), &types[which % 3], 4);
	if (which & 0x40) {
		at = input_u16(input);
		bytes[at % size] = input_u8(input);
	}
	if (which & 0x80) {
		size = input_u16(input) % size;
	}
	put(world, bytes, size);
}

static void put_raw(struct world *world, struct input *input)
{
	uint8_t bytes[64];
	uint8_t size = input_u8(input) % sizeof(bytes);

	input_take(input, bytes, size);
	put(world, bytes, size);
}

/* Time passes: the viewer took nothing for too long, or answered nothing. */
static void pass_time(struct world *world, uint8_t which)
{
	struct vmm_display *display = inside(world);

	if (which & 1) {
		list_for_each(link, &display->queries) {
			container_of(link, struct vmm_query, link)->deadline_ns = 0;
		}
		vmm_handle_query_timer(display);
	} else if (display->socket >= 0) {
		display->progress_ns = 0;
		vmm_handle_stall_timer(display);
	}
}

/* The oldest read of the frame that takes time ends. */
static bool end_read(int result)
{
	struct slow_frame *slow = slow_frame_of(frames[SLOW]);

	if (!slow->pending) {
		return false;
	}
	slow_frame_end(slow, result);
	return true;
}

static void step(struct world *world, struct input *input)
{
	uint8_t what = input_u8(input);

	switch (what % 16) {
	case 0:
	case 1:
		set_frame(world, input);
		break;
	case 2:
	case 3:
	case 4:
		flush_some(world, input);
		break;
	case 5:
		set_cursor(world, input);
		break;
	case 6:
		display_move_cursor(
			world->display, what / 16 % OUTPUTS, input_u8(input), input_u8(input));
		break;
	case 7:
		ask(world, input);
		break;
	case 8:
		answer(world, input);
		break;
	case 9:
		put_raw(world, input);
		break;
	case 10:
	case 11:
		turn(world);
		break;
	case 12:
		view(world, input_u16(input));
		break;
	case 13:
		view(world, SIZE_MAX);
		break;
	case 14:
		pass_time(world, what >> 4);
		break;
	default:
		end_read(what & 0x10 ? -EIO : 0);
		if (what == 0xff && world->socket >= 0) {
			close(world->socket);
			world->socket = -1;
		}
	}
}

static void drain(struct world *world)
{
	turn(world);
	while (view(world, SIZE_MAX) > 0 || end_read(0)) {
		turn(world);
	}
}

/* Byte n of each pixel but the X one: converted frames have their bytes in another order. */
static void check_picture(struct world *world, uint32_t index)
{
	const struct viewer_output *output = &world->outputs[index];
	const struct rect *part = &inside(world)->outputs[index].part;
	struct frame_view frame;

	assert(output->width == part->width && output->height == part->height);
	if (rect_is_empty(part)) {
		return;
	}
	assert(frame_begin_read(world->shown[index], part, &frame) == 0);
	for (uint32_t y = 0; y < part->height; y++) {
		const uint8_t *from = frame.pixels + y * frame.stride;

		for (uint32_t x = 0; x < part->width; x++) {
			uint32_t want = from[x * 4] * 0x010101u;

			assert((output->pixels[(size_t)y * part->width + x] & 0xffffff) == want);
		}
	}
	frame_end_read(world->shown[index]);
}

static void check_end(struct world *world)
{
	drain(world);
	for (uint32_t i = 0; i < OUTPUTS; i++) {
		const struct rect *part = &inside(world)->outputs[i].part;
		const struct rect all = { 0, 0, part->width, part->height };

		if (!rect_is_empty(part)) {
			flush(world, i, &all);
		}
	}
	drain(world);
	if (world->lost || world->socket < 0) {
		return;
	}
	assert(world->size == 0);
	for (uint32_t i = 0; i < OUTPUTS; i++) {
		check_picture(world, i);
	}
}

static void start(struct world *world, bool small)
{
	const int size = 4608;
	int ends[2];

	world->loop = loop_create();
	assert(world->loop && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	world->socket = ends[0];
	world->display = vmm_display_create(world->loop, ends[1], &(struct vmm_config){ 0 });
	assert(world->display);
	if (small) {
		setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	display_set_listener(world->display, &listener, world);
}

static void finish(struct world *world)
{
	uint32_t lost = world->lost;

	assert(lost <= 1);
	display_destroy(world->display);
	assert(world->lost == lost && world->ended == world->pending);
	loop_destroy(world->loop);
	if (world->socket >= 0) {
		close(world->socket);
	}
	for (uint32_t i = 0; i < OUTPUTS; i++) {
		free(world->outputs[i].pixels);
	}
	free(world->message);
	for (uint32_t i = 0; i < FRAMES; i++) {
		assert(frames[i]->refs == 1);
	}
}

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *count, char ***words)
{
	(void)count;
	(void)words;
	frames[0] = make_frame(64, 64, DRM_FORMAT_ARGB8888, 0);
	frames[1] = make_frame(200, 130, DRM_FORMAT_XRGB8888, 1);
	frames[2] = make_frame(200, 130, DRM_FORMAT_BGRX8888, 2);
	frames[SLOW] = make_slow(301, 250, DRM_FORMAT_RGBA8888, 3);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { bytes, size };
	struct world world = { 0 };

	start(&world, input_u8(&input) & 1);
	for (uint32_t i = 0; i < STEPS && input.left > 0; i++) {
		step(&world, &input);
	}
	check_end(&world);
	finish(&world);
	return 0;
}
