/* SPDX-License-Identifier: MIT */
/*
 * The commands of VIRTIO 1.3, 5.7.6.8 and 5.7.6.10 one by one, each good, of a wrong length, with a wrong
 * id, twice and in the wrong order, with a renderer in this process and one in another.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/array_memory.h"
#include "support/gpu_fixture.h"
#include "support/remote_renderer.h"

/* Pixels of a picture against guest memory, four bytes each, rows `stride` apart. */
static void check_picture(struct fixture *fixture, uint32_t scanout, const struct rect *want,
	uint64_t addr, uint32_t stride)
{
	struct frame *picture = gpu_device_screenshot(fixture->device, scanout, false);

	assert_non_null(picture);
	assert_int_equal(picture->width, want->width);
	assert_int_equal(picture->height, want->height);
	for (uint32_t y = 0; y < want->height; y++) {
		const uint8_t *row = ram_bytes(fixture, addr) + (size_t)(want->y + y) * stride +
			(size_t)want->x * 4;
		const struct rect line = { 0, y, want->width, 1 };
		struct frame_view view;

		assert_int_equal(frame_begin_read(picture, &line, &view), 0);
		for (uint32_t x = 0; x < want->width; x++) {
			assert_memory_equal(view.pixels + (size_t)x * 4, row + (size_t)x * 4, 3);
		}
		frame_end_read(picture);
	}
	frame_unref(picture);
}

/* Every control command with the right length, and a resource 1 and 2 for it to name. */
static const struct {
	uint32_t type;
	size_t len;
	bool has_tail;
} lengths[] = {
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
	{ VIRTIO_GPU_CMD_UPDATE_CURSOR, 56, false },
	{ VIRTIO_GPU_CMD_MOVE_CURSOR, 56, false },
};
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static uint32_t queue_of(uint32_t type)
{
	return type >= VIRTIO_GPU_CMD_UPDATE_CURSOR ? WIRE_CURSOR_QUEUE : WIRE_CONTROL_QUEUE;
}

static void too_short_is_refused(void **state)
{
	uint8_t bytes[128] = { 0 };

	for (size_t i = 0; i < LENGTHS; i++) {
		uint32_t type = htole32(lengths[i].type);
		uint32_t want = lengths[i].len - 1 < 24 ? ERR_UNSPEC : ERR_PARAMETER;

		memcpy(bytes, &type, sizeof(type));
		assert_int_equal(
			run(*state, queue_of(lengths[i].type), bytes, lengths[i].len - 1), want);
		if (lengths[i].len > 24) {
			assert_int_equal(
				run(*state, queue_of(lengths[i].type), bytes, 24), ERR_PARAMETER);
		}
	}
}

static void too_long_is_refused(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[128] = { 0 };

	/* An id that exists, so that nothing but the length is wrong with them. */
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 64, 64), OK);
	for (size_t i = 0; i < LENGTHS; i++) {
		uint32_t type = htole32(lengths[i].type);
		uint32_t one = htole32(1);

		if (lengths[i].has_tail) {
			continue; // attach_checks_its_list, create_blob_checks_its_numbers
		}
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, &type, sizeof(type));
		memcpy(bytes + 24, &one, sizeof(one));
		assert_int_equal(run(fixture, queue_of(lengths[i].type), bytes, lengths[i].len + 1),
			ERR_PARAMETER);
	}
	assert_int_equal(unref(fixture, 1), OK);
}

static void less_than_a_header_is_refused(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[24];

	memset(bytes, 0xff, sizeof(bytes));
	for (size_t len = 0; len < sizeof(bytes); len++) {
		assert_int_equal(control(fixture, bytes, len), ERR_UNSPEC);
		assert_int_equal(fixture->response_len, 24);
		/* No header, no fence to echo. */
		assert_int_equal(fixture->response.header.flags, 0);
		assert_true(fixture->response.header.fence_id == 0);
	}
}

static void unknown_commands_are_refused(void **state)
{
	static const uint32_t types[] = { 0, 1, 0xff, 0x10e, 0x1ff, 0x200, 0x201, 0x207, 0x209,
		0x20a, 0x302, 0x1100, 0x1200, UINT32_MAX };
	uint8_t bytes[128] = { 0 };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		uint32_t type = htole32(types[i]);

		memcpy(bytes, &type, sizeof(type));
		assert_int_equal(control(*state, bytes, sizeof(bytes)), ERR_UNSPEC);
		assert_int_equal(control(*state, bytes, 24), ERR_UNSPEC);
	}
}

static void commands_belong_to_their_queue(void **state)
{
	const struct virtio_gpu_ctrl_hdr info = header_of(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
	const struct virtio_gpu_update_cursor move = {
		.hdr = header_of(VIRTIO_GPU_CMD_MOVE_CURSOR),
	};

	assert_int_equal(run(*state, WIRE_CURSOR_QUEUE, &info, sizeof(info)), ERR_UNSPEC);
	assert_int_equal(run(*state, WIRE_CONTROL_QUEUE, &move, sizeof(move)), ERR_UNSPEC);
	assert_int_equal(run(*state, WIRE_CURSOR_QUEUE, &move, sizeof(move)), OK);
}

static void too_large_requests_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_gpu_resource_attach_backing command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
	};
	struct ticket *ticket = calloc(1, sizeof(*ticket));

	command.hdr.flags = htole32(VIRTIO_GPU_FLAG_FENCE);
	command.hdr.fence_id = htole64(77);
	ticket->bytes = malloc(sizeof(command));
	memcpy(ticket->bytes, &command, sizeof(command));
	ticket->request.bytes = ticket->bytes;
	ticket->request.len = sizeof(command);
	ticket->request.total_len = UINT64_C(1) << 40;
	ticket->next = fixture->tickets;
	fixture->tickets = ticket;
	gpu_device_submit(fixture->device, &ticket->request);
	assert_int_equal(answer_of(ticket), ERR_MEMORY);
	assert_true(le64toh(ticket->request.response.header.fence_id) == 77);
}

static void create_2d_makes_an_image(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(create_2d(fixture, 7, FORMAT_BGRX, 3, 5), OK);
	assert_int_equal(fixture->response_len, 24);
	assert_int_equal(gpu_device_totals(fixture->device).resources, 1);
	assert_true(gpu_device_totals(fixture->device).memory_used == 60);
	assert_int_equal(create_2d(fixture, 7, FORMAT_BGRX, 3, 5), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, 0, FORMAT_BGRX, 3, 5), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, UINT32_MAX, FORMAT_BGRX, 1, 1), OK);
	assert_int_equal(unref(fixture, 7), OK);
	assert_int_equal(create_2d(fixture, 7, FORMAT_BGRX, 3, 5), OK);
}

static void create_2d_checks_its_numbers(void **state)
{
	static const uint32_t formats[] = { 0, 5, 66, 69, 120, 122, 133, 135, UINT32_MAX };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		assert_int_equal(create_2d(fixture, 1, formats[i], 8, 8), ERR_PARAMETER);
	}
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 0, 8), ERR_PARAMETER);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 0), ERR_PARAMETER);
	/* 4 * 2^30 * 2^30 and 4 * (2^32 - 1)^2 wrap in 64 bits, 2^16 * 2^16 * 4 in 32. */
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 1u << 31, 1u << 31), ERR_MEMORY);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, UINT32_MAX, UINT32_MAX), ERR_MEMORY);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 1u << 16, 1u << 16), ERR_MEMORY);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 1u << 30, 1), ERR_MEMORY);
	assert_int_equal(gpu_device_totals(fixture->device).resources, 0);
	assert_true(gpu_device_totals(fixture->device).memory_used == 0);
}

static void unref_frees(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(unref(fixture, 1), ERR_RESOURCE);
	assert_int_equal(unref(fixture, 0), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 64, 64), OK);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 64 * 64 * 4), OK);
	assert_int_equal(unref(fixture, 1), OK);
	assert_int_equal(unref(fixture, 1), ERR_RESOURCE);
	assert_int_equal(array_memory_mapped(), 0);
	assert_true(gpu_device_totals(fixture->device).memory_used == 0);
	assert_int_equal(gpu_device_totals(fixture->device).resources, 0);
}

static void attach_checks_its_list(void **state)
{
	struct fixture *fixture = *state;
	struct {
		struct virtio_gpu_resource_attach_backing fixed;
		struct virtio_gpu_mem_entry entries[2];
	} command = {
		.fixed = {
			.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
			.resource_id = htole32(1),
		},
		.entries = { { .addr = htole64(RAM_ADDR), .length = htole32(4096) },
			{ .addr = htole64(RAM_ADDR), .length = htole32(4096) } },
	};

	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 4096), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	/* The count must be what the bytes hold. */
	command.fixed.nr_entries = htole32(3);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
	command.fixed.nr_entries = htole32(1);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
	command.fixed.nr_entries = htole32(2);
	assert_int_equal(control(fixture, &command, sizeof(command) - 1), ERR_PARAMETER);
	command.fixed.nr_entries = htole32(1);
	assert_int_equal(control(fixture, &command, sizeof(command) - 15), ERR_PARAMETER);
	command.fixed.nr_entries = htole32(UINT32_MAX);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
	command.fixed.nr_entries = htole32(0x10000002); // * 16 wraps to 32 in 32 bits
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
	command.fixed.nr_entries = 0;
	assert_int_equal(control(fixture, &command, sizeof(command.fixed)), ERR_PARAMETER);
	/* Addresses must be memory, to the last byte. */
	assert_int_equal(attach_one(fixture, 1, HOLE_ADDR, 4096), ERR_PARAMETER);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR + RAM_SIZE - 4095, 4096), ERR_PARAMETER);
	assert_int_equal(attach_one(fixture, 1, UINT64_MAX - 4095, 4096), ERR_PARAMETER);
	assert_int_equal(attach_one(fixture, 1, UINT64_MAX, UINT32_MAX), ERR_PARAMETER);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 0), ERR_PARAMETER);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR + RAM_SIZE - 4096, 4096), OK);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 4096), ERR_UNSPEC);
	assert_int_equal(detach(fixture, 1), OK);
	assert_int_equal(detach(fixture, 1), ERR_UNSPEC);
	assert_int_equal(detach(fixture, 2), ERR_RESOURCE);
	assert_int_equal(array_memory_mapped(), 0);
	/* The image's own 256 bytes alone are still held. */
	assert_true(gpu_device_totals(fixture->device).memory_used == 256);
}

static void transfer_checks_its_numbers(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 8, 0), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 8, 0), ERR_UNSPEC);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 256), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 8, 0), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 9, 8, 0), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 9, 0), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 1, 0, 8, 8, 0), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 0, 1, 8, 8, 0), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, UINT32_MAX, 0, 2, 1, 0), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 2, UINT32_MAX, 1, 2, 0), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 9, 0, 0, 0, 0), ERR_PARAMETER);
	/* Empty: nothing moves, and no offset is too large for that. */
	assert_int_equal(transfer(fixture, 1, 8, 8, 0, 0, UINT64_MAX), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 0, 8, 0), OK);
	/* The last byte must be in the backing. */
	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 8, 1), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 7, 7, 1, 1, 252), OK);
	assert_int_equal(transfer(fixture, 1, 7, 7, 1, 1, 253), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 0, 0, 1, 1, UINT64_MAX), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 0, 0, 1, 8, UINT64_MAX - 223), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 0, 0, 1, 8, UINT64_MAX - 227), ERR_PARAMETER);
	assert_int_equal(detach(fixture, 1), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 8, 0), ERR_UNSPEC);
	assert_true(gpu_device_totals(fixture->device).transfer_bytes == 256 + 4);
}

static void transfers_move_the_right_pixels(void **state)
{
	struct fixture *fixture = *state;
	const struct rect whole = { 0, 0, 64, 48 };
	struct frame *picture;

	fill_ram(fixture, 1);
	show_image(fixture, 1, FORMAT_BGRX, 64, 48, 0);
	check_picture(fixture, 0, &whole, RAM_ADDR, 256);
	/* A part from its own place: rows are as far apart as the image's. */
	memset(ram_bytes(fixture, RAM_ADDR), 0x42, 64 * 48 * 4);
	assert_int_equal(transfer(fixture, 1, 10, 20, 5, 7, 20 * 256 + 40), OK);
	fill_ram(fixture, 1);
	for (uint32_t y = 20; y < 27; y++) {
		memset(ram_bytes(fixture, RAM_ADDR + y * 256 + 40), 0x42, 20);
	}
	check_picture(fixture, 0, &whole, RAM_ADDR, 256);
	/* A part from elsewhere in the backing. */
	assert_int_equal(transfer(fixture, 1, 0, 0, 2, 2, 512), OK);
	picture = gpu_device_screenshot(fixture->device, 0, false);
	for (uint32_t y = 0; y < 2; y++) {
		for (uint32_t x = 0; x < 2; x++) {
			uint32_t want;

			memcpy(&want, ram_bytes(fixture, RAM_ADDR + 512 + y * 256 + x * 4), 4);
			assert_int_equal(picture_pixel(picture, x, y), le32toh(want) & 0xffffff);
		}
	}
	frame_unref(picture);
}

static void fresh_images_are_black(void **state)
{
	struct fixture *fixture = *state;

	fill_ram(fixture, 1);
	for (uint32_t round = 0; round < 3; round++) {
		struct frame *picture;

		show_image(fixture, 1, FORMAT_BGRX, 64, 64, 0);
		assert_int_equal(unref(fixture, 1), OK);
		assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 64, 64), OK);
		assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 64, 64), OK);
		picture = gpu_device_screenshot(fixture->device, 0, false);
		for (uint32_t i = 0; i < 64; i++) {
			assert_int_equal(picture_pixel(picture, i, i), 0);
		}
		frame_unref(picture);
		assert_int_equal(unref(fixture, 1), OK);
	}
}

/* VIRTIO 1.3, 5.7.6.8, enum virtio_gpu_formats: the letters are bytes in the order of memory. */
static void each_format_is_shown(void **state)
{
	static const struct {
		uint32_t format;
		const char *bytes;
	} formats[] = {
		{ VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, "BGRA" },
		{ VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, "BGRX" },
		{ VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, "ARGB" },
		{ VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, "XRGB" },
		{ VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, "RGBA" },
		{ VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, "XBGR" },
		{ VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, "ABGR" },
		{ VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, "RGBX" },
	};
	struct fixture *fixture = *state;

	fill_ram(fixture, 3);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct frame *picture;

		show_image(fixture, 1, formats[i].format, 16, 16, 0);
		picture = gpu_device_screenshot(fixture->device, 0, false);
		for (uint32_t at = 0; at < 256; at++) {
			const uint8_t *bytes = ram_bytes(fixture, RAM_ADDR + (uint64_t)at * 4);
			uint32_t want = 0;

			for (uint32_t b = 0; b < 4; b++) {
				const char *place = strchr("BGR", formats[i].bytes[b]);

				want |= place ? (uint32_t)bytes[b] << 8 * (place - "BGR") : 0;
			}
			assert_int_equal(picture_pixel(picture, at % 16, at / 16), want);
		}
		frame_unref(picture);
		assert_int_equal(unref(fixture, 1), OK);
	}
}

#define MANY      16384u
#define PIECE     64u
#define MANY_SIZE (MANY * PIECE)

/* 16384 pieces of 64 bytes, in an order that looks random, over all of the memory. */
static uint64_t piece_addr(uint32_t index)
{
	uint32_t place = index * 7919u % (RAM_SIZE / PIECE);

	return RAM_ADDR + (uint64_t)place * PIECE;
}

static void many_entries_are_taken(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_gpu_mem_entry *entries = calloc(MANY + 1, sizeof(*entries));
	const struct rect whole = { 0, 0, 512, 512 };

	fill_ram(fixture, 5);
	for (uint32_t i = 0; i <= MANY; i++) {
		entries[i].addr = htole64(piece_addr(i));
		entries[i].length = htole32(PIECE);
	}
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 512, 512), OK);
	assert_int_equal(attach(fixture, 1, entries, MANY + 1), ERR_MEMORY);
	assert_int_equal(attach(fixture, 1, entries, MANY), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 512, 512, 0), OK);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 512, 512), OK);
	/* The same bytes in one piece, to compare with. */
	for (uint32_t i = 0; i < MANY; i++) {
		memcpy(fixture->far + (size_t)i * PIECE, ram_bytes(fixture, piece_addr(i)), PIECE);
	}
	check_picture(fixture, 0, &whole, FAR_ADDR, 2048);
	/* And parts, so that rows begin and end within pieces. */
	memset(fixture->ram[0], 0, RAM_SIZE / 2);
	memset(fixture->ram[1], 0, RAM_SIZE / 2);
	assert_int_equal(transfer(fixture, 1, 13, 100, 33, 50, 100 * 2048 + 13 * 4), OK);
	for (uint32_t y = 100; y < 150; y++) {
		memset(fixture->far + y * 2048 + 13 * 4, 0, 33 * 4);
	}
	check_picture(fixture, 0, &whole, FAR_ADDR, 2048);
	free(entries);
}

/* Pieces of odd lengths, one across the border of two regions, one in a third region. */
static void entries_may_cross_regions(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t border = RAM_ADDR + RAM_SIZE / 2;
	const struct virtio_gpu_mem_entry entries[] = {
		{ .addr = htole64(border - 1001), .length = htole32(3001) },
		{ .addr = htole64(FAR_ADDR + 7), .length = htole32(1) },
		{ .addr = htole64(RAM_ADDR), .length = htole32(0) },
		{ .addr = htole64(border + 5000), .length = htole32(1094) },
	};
	const struct rect whole = { 0, 0, 32, 32 };
	uint8_t bytes[4096];

	fill_ram(fixture, 9);
	memcpy(bytes, ram_bytes(fixture, border - 1001), 1001);
	memcpy(bytes + 1001, ram_bytes(fixture, border), 2000);
	memcpy(bytes + 3001, fixture->far + 7, 1);
	memcpy(bytes + 3002, ram_bytes(fixture, border + 5000), 1094);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 32, 32), OK);
	assert_int_equal(attach(fixture, 1, entries, 4), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 32, 32, 0), OK);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 32, 32), OK);
	memcpy(fixture->ram[0], bytes, sizeof(bytes));
	check_picture(fixture, 0, &whole, RAM_ADDR, 128);
}

/* What is attached stays usable when the front end takes its region away; nothing new can be had there. */
static void backing_outlives_its_region(void **state)
{
	struct fixture *fixture = *state;
	const struct memory_region_info far = {
		.guest_addr = FAR_ADDR,
		.size = FAR_SIZE,
		.user_addr = FAR_ADDR,
	};
	const struct rect whole = { 0, 0, 16, 16 };

	fill_ram(fixture, 8);
	memcpy(fixture->ram[0], fixture->far, 1024);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 16, 16), OK);
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 16, 16), OK);
	assert_int_equal(attach_one(fixture, 1, FAR_ADDR, 1024), OK);
	assert_int_equal(memory_remove_region(fixture->memory, &far), 0);
	assert_int_equal(attach_one(fixture, 2, FAR_ADDR, 1024), ERR_PARAMETER);
	assert_int_equal(transfer(fixture, 1, 0, 0, 16, 16, 0), OK);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 16, 16), OK);
	check_picture(fixture, 0, &whole, RAM_ADDR, 64);
	assert_int_equal(detach(fixture, 1), OK);
}

static void scanouts_show_parts(void **state)
{
	struct fixture *fixture = *state;
	struct fake_display *display = fixture->display;

	fill_ram(fixture, 11);
	show_image(fixture, 1, FORMAT_BGRX, 64, 48, 0);
	assert_int_equal(set_scanout(fixture, 1, 1, 10, 20, 30, 25), OK);
	assert_int_equal(set_scanout(fixture, 2, 1, 32, 0, 32, 48), OK);
	check_picture(fixture, 0, &(struct rect){ 0, 0, 64, 48 }, RAM_ADDR, 256);
	check_picture(fixture, 1, &(struct rect){ 10, 20, 30, 25 }, RAM_ADDR, 256);
	check_picture(fixture, 2, &(struct rect){ 32, 0, 32, 48 }, RAM_ADDR, 256);
	/* A flush reaches each in its own coordinates, where it meets it. */
	assert_int_equal(flush(fixture, 1, 5, 18, 10, 10), OK);
	assert_memory_equal(&display->outputs[0].damage, &((struct rect){ 5, 18, 10, 10 }),
		sizeof(struct rect));
	assert_memory_equal(
		&display->outputs[1].damage, &((struct rect){ 0, 0, 5, 8 }), sizeof(struct rect));
	assert_int_equal(display->outputs[2].flushes, 0);
	assert_int_equal(display->outputs[3].flushes, 0);
	assert_true(gpu_device_totals(fixture->device).flushed_pixels == 100 + 40);
	/* Gone: all of them are dark. */
	assert_int_equal(unref(fixture, 1), OK);
	for (uint32_t i = 0; i < 3; i++) {
		assert_null(display->outputs[i].frame);
		assert_null(gpu_device_screenshot(fixture->device, i, false));
		assert_int_equal(errno, ENODATA);
	}
	assert_null(gpu_device_screenshot(fixture->device, 4, false));
	assert_int_equal(errno, ENODEV);
}

static void set_scanout_checks_its_numbers(void **state)
{
	struct fixture *fixture = *state;
	struct fake_display *display = fixture->display;

	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 8, 8), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(set_scanout(fixture, 4, 1, 0, 0, 8, 8), ERR_SCANOUT);
	assert_int_equal(set_scanout(fixture, 16, 0, 0, 0, 0, 0), ERR_SCANOUT);
	assert_int_equal(set_scanout(fixture, UINT32_MAX, 1, 0, 0, 8, 8), ERR_SCANOUT);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 9, 8), ERR_PARAMETER);
	assert_int_equal(set_scanout(fixture, 0, 1, 1, 0, 8, 8), ERR_PARAMETER);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 0, 8), ERR_PARAMETER);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 8, 0), ERR_PARAMETER);
	assert_int_equal(set_scanout(fixture, 0, 1, UINT32_MAX, 0, 2, 1), ERR_PARAMETER);
	assert_int_equal(display->outputs[0].frames_set, 0);
	/* It needs no backing, and is shown twice as well as once. */
	assert_int_equal(set_scanout(fixture, 3, 1, 7, 7, 1, 1), OK);
	assert_int_equal(set_scanout(fixture, 3, 1, 0, 0, 8, 8), OK);
	assert_int_equal(set_scanout(fixture, 3, 1, 0, 0, 8, 8), OK);
	assert_non_null(display->outputs[3].frame);
	/* A refused one leaves what is shown. */
	assert_int_equal(set_scanout(fixture, 3, 2, 0, 0, 8, 8), ERR_RESOURCE);
	assert_non_null(display->outputs[3].frame);
	/* Resource 0 switches off, whatever the rectangle; off is off. */
	assert_int_equal(set_scanout(fixture, 3, 0, 1, 2, 3, 4), OK);
	assert_null(display->outputs[3].frame);
	assert_int_equal(set_scanout(fixture, 3, 0, 0, 0, 0, 0), OK);
	/* Off: the resource is not flushed there any more, and may go. */
	assert_int_equal(flush(fixture, 1, 0, 0, 8, 8), OK);
	assert_int_equal(display->outputs[3].flushes, 0);
}

static void flush_checks_its_numbers(void **state)
{
	struct fixture *fixture = *state;
	struct fake_display *display = fixture->display;

	assert_int_equal(flush(fixture, 1, 0, 0, 8, 8), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(flush(fixture, 1, 0, 0, 8, 8), OK); // shown nowhere
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 8, 8), OK);
	assert_int_equal(flush(fixture, 1, 0, 0, 9, 8), ERR_PARAMETER);
	assert_int_equal(flush(fixture, 1, 0, 1, 8, 8), ERR_PARAMETER);
	assert_int_equal(flush(fixture, 1, UINT32_MAX, 0, 2, 8), ERR_PARAMETER);
	assert_int_equal(flush(fixture, 1, 8, 8, 0, 0), OK); // empty: nothing happens
	assert_int_equal(display->outputs[0].flushes, 0);
	assert_int_equal(flush(fixture, 1, 0, 0, 8, 8), OK);
	assert_int_equal(display->outputs[0].flushes, 1);
}

static void page_flips_show_the_other(void **state)
{
	struct fixture *fixture = *state;
	const struct rect whole = { 0, 0, 16, 16 };

	fill_ram(fixture, 2);
	for (uint32_t id = 1; id <= 2; id++) {
		assert_int_equal(create_2d(fixture, id, FORMAT_BGRX, 16, 16), OK);
		assert_int_equal(attach_one(fixture, id, RAM_ADDR + id * 1024, 1024), OK);
		assert_int_equal(transfer(fixture, id, 0, 0, 16, 16, 0), OK);
	}
	for (uint32_t turn = 0; turn < 6; turn++) {
		uint32_t id = 1 + turn % 2;

		assert_int_equal(set_scanout(fixture, 0, id, 0, 0, 16, 16), OK);
		assert_int_equal(flush(fixture, id, 0, 0, 16, 16), OK);
		check_picture(fixture, 0, &whole, RAM_ADDR + id * 1024, 64);
	}
	/* The one that is not shown goes without a trace. */
	assert_int_equal(unref(fixture, 1), OK);
	check_picture(fixture, 0, &whole, RAM_ADDR + 2048, 64);
}

static void display_info_is_told(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_ctrl_hdr command = header_of(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
	const struct virtio_gpu_display_one *modes = fixture->response.display_info.pmodes;

	/* What lies beyond num_scanouts is not told, whatever the display says. */
	fixture->display->info.outputs[4].enabled = true;
	assert_int_equal(
		control(fixture, &command, sizeof(command)), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(fixture->response_len, 408);
	assert_int_equal(le32toh(modes[0].enabled), 1);
	assert_int_equal(le32toh(modes[0].r.x), 1);
	assert_int_equal(le32toh(modes[0].r.y), 2);
	assert_int_equal(le32toh(modes[0].r.width), 640);
	assert_int_equal(le32toh(modes[0].r.height), 480);
	assert_int_equal(modes[1].enabled, 0);
	assert_int_equal(le32toh(modes[3].r.width), 800);
	for (size_t i = 4; i < 16; i++) {
		const struct virtio_gpu_display_one off = { 0 };

		assert_memory_equal(&modes[i], &off, sizeof(off));
	}
	fixture->display->query_result = -EIO;
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_UNSPEC);
	assert_int_equal(fixture->response_len, 24);
}

static uint32_t get_edid(struct fixture *fixture, uint32_t scanout)
{
	const struct virtio_gpu_cmd_get_edid command = {
		.hdr = header_of(VIRTIO_GPU_CMD_GET_EDID),
		.scanout = htole32(scanout),
	};

	return control(fixture, &command, sizeof(command));
}

static void edid_is_told(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_resp_edid *edid = &fixture->response.edid;

	assert_int_equal(get_edid(fixture, 3), VIRTIO_GPU_RESP_OK_EDID);
	assert_int_equal(fixture->response_len, 1056);
	assert_int_equal(le32toh(edid->size), 128);
	assert_int_equal(edid->edid[0], 3);
	assert_int_equal(edid->edid[127], 0x5a);
	for (size_t i = 128; i < 1024; i++) {
		assert_int_equal(edid->edid[i], 0);
	}
	assert_int_equal(get_edid(fixture, 4), ERR_SCANOUT);
	assert_int_equal(get_edid(fixture, UINT32_MAX), ERR_SCANOUT);
	fixture->display->query_result = -EINVAL;
	assert_int_equal(get_edid(fixture, 0), ERR_SCANOUT);
	fixture->display->query_result = -ENOTSUP;
	assert_int_equal(get_edid(fixture, 0), ERR_UNSPEC);
}

static void queries_may_be_answered_later(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_ctrl_hdr info = header_of(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
	const struct virtio_gpu_cmd_get_edid edid = {
		.hdr = header_of(VIRTIO_GPU_CMD_GET_EDID),
	};
	struct ticket *tickets[4];

	fixture->display->answer_later = true;
	tickets[0] = submit(fixture, 0, &info, sizeof(info));
	tickets[1] = submit(fixture, 0, &edid, sizeof(edid));
	tickets[2] = submit(fixture, 0, &info, sizeof(info));
	tickets[3] = submit(fixture, 0, &edid, sizeof(edid));
	assert_int_equal(gpu_device_totals(fixture->device).pending, 4);
	/* Others go on meanwhile. */
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	fake_display_end(fixture->display, 3, false);
	fake_display_end(fixture->display, 2, false);
	fake_display_end(fixture->display, 1, true);
	fake_display_end(fixture->display, 0, true);
	assert_int_equal(answer_of(tickets[0]), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(le32toh(tickets[0]->request.response.display_info.pmodes[0].r.width), 640);
	assert_int_equal(answer_of(tickets[1]), VIRTIO_GPU_RESP_OK_EDID);
	assert_int_equal(answer_of(tickets[2]), ERR_UNSPEC);
	assert_int_equal(answer_of(tickets[3]), ERR_UNSPEC);
	assert_int_equal(tickets[2]->request.response_len, 24);
	assert_int_equal(gpu_device_totals(fixture->device).pending, 0);
}

static void there_are_no_capsets(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_gpu_get_capset_info info = {
		.hdr = header_of(VIRTIO_GPU_CMD_GET_CAPSET_INFO),
	};
	struct virtio_gpu_get_capset capset = { .hdr = header_of(VIRTIO_GPU_CMD_GET_CAPSET) };
	struct wire_config config;

	gpu_device_get_config(fixture->device, &config);
	assert_int_equal(config.num_capsets, 0);
	for (uint32_t i = 0; i < 3; i++) {
		info.capset_index = htole32(i);
		capset.capset_id = htole32(i);
		assert_int_equal(control(fixture, &info, sizeof(info)), ERR_PARAMETER);
		assert_int_equal(control(fixture, &capset, sizeof(capset)), ERR_PARAMETER);
	}
}

static uint32_t assign_uuid(struct fixture *fixture, uint32_t id)
{
	const struct virtio_gpu_resource_assign_uuid command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID),
		.resource_id = htole32(id),
	};

	return control(fixture, &command, sizeof(command));
}

static void uuids_name_resources(void **state)
{
	struct fixture *fixture = *state;
	uint8_t first[16];

	assert_int_equal(assign_uuid(fixture, 1), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(assign_uuid(fixture, 1), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_int_equal(fixture->response_len, 40);
	memcpy(first, fixture->response.uuid.uuid, sizeof(first));
	assert_int_equal(first[6] & 0xf0, 0x40);
	assert_int_equal(first[8] & 0xc0, 0x80);
	assert_int_equal(assign_uuid(fixture, 1), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_memory_equal(first, fixture->response.uuid.uuid, sizeof(first));
	assert_int_equal(assign_uuid(fixture, 2), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_memory_not_equal(first, fixture->response.uuid.uuid, sizeof(first));
	/* Another resource of the same id is another object. */
	assert_int_equal(unref(fixture, 1), OK);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(assign_uuid(fixture, 1), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_memory_not_equal(first, fixture->response.uuid.uuid, sizeof(first));
}

static void blobs_show_guest_memory(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_gpu_set_scanout_blob command = blob_scanout(1, 5, 60, 40, 300);
	const struct rect part = { 10, 20, 30, 15 };

	fill_ram(fixture, 4);
	assert_int_equal(create_blob(fixture, 5, 65536, RAM_ADDR + 100), OK);
	command.offsets[0] = htole32(77);
	command.r = wire_rect(part.x, part.y, part.width, part.height);
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	check_picture(fixture, 1, &part, RAM_ADDR + 177, 300);
	/* It is guest memory, so it changes without a transfer; one is taken and does nothing. */
	fill_ram(fixture, 5);
	check_picture(fixture, 1, &part, RAM_ADDR + 177, 300);
	assert_int_equal(transfer(fixture, 5, 0, 0, 60, 40, 0), OK);
	assert_int_equal(transfer(fixture, 5, UINT32_MAX, 1, UINT32_MAX, 1, UINT64_MAX), OK);
	assert_int_equal(flush(fixture, 5, 0, 0, 60, 40), OK);
	assert_memory_equal(&fixture->display->outputs[1].damage, &((struct rect){ 0, 0, 30, 15 }),
		sizeof(struct rect));
	/* A blob has no size of its own in pixels: clipped, but nothing may wrap. */
	assert_int_equal(flush(fixture, 5, 20, 30, 1000, 1000), OK);
	assert_memory_equal(&fixture->display->outputs[1].damage, &((struct rect){ 10, 10, 20, 5 }),
		sizeof(struct rect));
	assert_int_equal(flush(fixture, 5, UINT32_MAX, 0, 2, 2), ERR_PARAMETER);
	/* Without its pages it keeps the pixels last read; with others it shows those. */
	assert_int_equal(detach(fixture, 5), OK);
	assert_int_equal(array_memory_mapped(), 0);
	check_picture(fixture, 1, &part, RAM_ADDR + 177, 300);
	assert_int_equal(attach_one(fixture, 5, RAM_ADDR + 4096, 65536), OK);
	check_picture(fixture, 1, &part, RAM_ADDR + 4096 + 77, 300);
	assert_int_equal(unref(fixture, 5), OK);
	assert_null(fixture->display->outputs[1].frame);
	assert_true(gpu_device_totals(fixture->device).memory_used == 0);
}

static void create_blob_checks_its_numbers(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_gpu_resource_create_blob command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
		.resource_id = htole32(1),
		.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
		.size = htole64(4096),
	};
	static const uint32_t wrong_mem[] = { 0, VIRTIO_GPU_BLOB_MEM_HOST3D,
		VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST, 4, UINT32_MAX };

	for (size_t i = 0; i < sizeof(wrong_mem) / sizeof(wrong_mem[0]); i++) {
		command.blob_mem = htole32(wrong_mem[i]);
		assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
	}
	command.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST);
	command.blob_flags = htole32(8);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
	command.blob_flags = 0;
	command.size = 0;
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
	command.size = htole64(4096);
	command.nr_entries = htole32(1);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
	command.nr_entries = 0;
	command.resource_id = 0;
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_RESOURCE);
	assert_int_equal(create_blob(fixture, 1, 4096, HOLE_ADDR), ERR_PARAMETER);
	assert_int_equal(gpu_device_totals(fixture->device).resources, 0);
	/* Without pages at first; then the backing must be as long as the blob. */
	command.resource_id = htole32(1);
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_RESOURCE);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 4095), ERR_PARAMETER);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 4096), OK);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), ERR_RESOURCE);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 8, 8), ERR_PARAMETER);
}

static void set_scanout_blob_checks_its_numbers(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_gpu_set_scanout_blob command = blob_scanout(0, 1, 8, 8, 32);
	struct virtio_gpu_set_scanout_blob wrong;

	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_RESOURCE);
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(create_blob(fixture, 1, 256, RAM_ADDR), OK);
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
#define WRONG(field, value, want) \
	do { \
		wrong = command; \
		wrong.field = (value); \
		assert_int_equal(control(fixture, &wrong, sizeof(wrong)), want); \
	} while (0)
	WRONG(resource_id, htole32(2), ERR_PARAMETER); // an image
	WRONG(scanout_id, htole32(4), ERR_SCANOUT);
	WRONG(width, 0, ERR_PARAMETER);
	WRONG(height, 0, ERR_PARAMETER);
	WRONG(width, htole32(9), ERR_PARAMETER);
	WRONG(height, htole32(9), ERR_PARAMETER);
	WRONG(height, htole32(UINT32_MAX), ERR_PARAMETER);
	WRONG(format, 0, ERR_PARAMETER);
	WRONG(strides[0], htole32(31), ERR_PARAMETER);
	WRONG(strides[0], htole32(33), ERR_PARAMETER);
	WRONG(strides[0], htole32(UINT32_MAX), ERR_PARAMETER);
	WRONG(offsets[0], htole32(1), ERR_PARAMETER);
	WRONG(offsets[0], htole32(UINT32_MAX), ERR_PARAMETER);
	WRONG(r, wire_rect(0, 0, 9, 8), ERR_PARAMETER);
	WRONG(r, wire_rect(1, 0, 8, 8), ERR_PARAMETER);
	WRONG(r, wire_rect(0, 0, 0, 8), ERR_PARAMETER);
	WRONG(r, wire_rect(UINT32_MAX, 0, 2, 8), ERR_PARAMETER);
	/* What is shown stays through all that; other planes are not looked at; 0 switches off. */
	assert_non_null(fixture->display->outputs[0].frame);
	WRONG(strides[1], UINT32_MAX, OK);
	WRONG(offsets[3], UINT32_MAX, OK);
	WRONG(resource_id, 0, OK);
	assert_null(fixture->display->outputs[0].frame);
#undef WRONG
}

static void blob_flips_keep_their_views(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_gpu_set_scanout_blob command = blob_scanout(0, 1, 64, 64, 256);
	uint64_t used;
	struct frame *first;

	assert_int_equal(create_blob(fixture, 1, 65536, RAM_ADDR), OK);
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	first = fixture->display->outputs[0].frame;
	used = gpu_device_totals(fixture->device).memory_used;
	assert_true(used >= VIEW_SIZE(64, 64));
	/* The same again costs nothing, on another scanout neither. */
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	command.scanout_id = htole32(2);
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	assert_true(gpu_device_totals(fixture->device).memory_used == used);
	assert_ptr_equal(fixture->display->outputs[0].frame, first);
	assert_ptr_equal(fixture->display->outputs[2].frame, first);
	/* Another layout is another view; the old one goes with its last scanout. */
	command.offsets[0] = htole32(4);
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	assert_true(gpu_device_totals(fixture->device).memory_used == used + VIEW_SIZE(64, 64));
	command.scanout_id = 0;
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	assert_true(gpu_device_totals(fixture->device).memory_used == used);
}

/* A 64x64 cursor of one colour in resource `id`. */
static void make_cursor(struct fixture *fixture, uint32_t id, uint32_t value)
{
	uint8_t *bytes = ram_bytes(fixture, RAM_ADDR + (1u << 20));

	for (size_t i = 0; i < 64 * 64; i++) {
		uint32_t pixel = htole32(value);

		memcpy(bytes + i * 4, &pixel, 4);
	}
	assert_int_equal(create_2d(fixture, id, FORMAT_BGRA, 64, 64), OK);
	assert_int_equal(attach_one(fixture, id, RAM_ADDR + (1u << 20), 64 * 64 * 4), OK);
	assert_int_equal(transfer(fixture, id, 0, 0, 64, 64, 0), OK);
}

static void cursors_are_shown(void **state)
{
	struct fixture *fixture = *state;
	struct fake_output *output = &fixture->display->outputs[0];
	struct frame *picture;

	show_image(fixture, 1, FORMAT_BGRX, 128, 128, 0);
	make_cursor(fixture, 2, 0xffabcdef);
	assert_int_equal(update_cursor(fixture, 0, 2, 40, 50, 4, 5), OK);
	assert_int_equal(output->cursors_set, 1);
	assert_int_equal(output->cursor_place.x, 40);
	assert_int_equal(output->cursor_place.hot_y, 5);
	/* The shape is a copy: the resource may go. */
	assert_int_equal(unref(fixture, 2), OK);
	assert_int_equal(picture_pixel(output->cursor, 63, 63), 0xabcdef);
	picture = gpu_device_screenshot(fixture->device, 0, true);
	assert_int_equal(picture_pixel(picture, 36, 45), 0xabcdef);
	assert_int_equal(picture_pixel(picture, 99, 108), 0xabcdef);
	assert_int_equal(picture_pixel(picture, 35, 45), 0);
	assert_int_equal(picture_pixel(picture, 36, 44), 0);
	assert_int_equal(picture_pixel(picture, 100, 108), 0);
	assert_int_equal(picture_pixel(picture, 99, 109), 0);
	frame_unref(picture);
	picture = gpu_device_screenshot(fixture->device, 0, false);
	assert_int_equal(picture_pixel(picture, 36, 45), 0);
	frame_unref(picture);
	/* Moving keeps the shape and the hot spot, here beyond the edge. */
	assert_int_equal(move_cursor(fixture, 0, 2, UINT32_MAX - 9), OK);
	assert_int_equal(output->cursors_set, 1);
	assert_int_equal(output->cursor_moves, 1);
	picture = gpu_device_screenshot(fixture->device, 0, true);
	assert_int_equal(picture_pixel(picture, 0, 0), 0xabcdef);
	assert_int_equal(picture_pixel(picture, 61, 48), 0xabcdef);
	assert_int_equal(picture_pixel(picture, 62, 48), 0);
	assert_int_equal(picture_pixel(picture, 61, 49), 0);
	frame_unref(picture);
	/* Resource 0 hides it; moving does not bring it back. */
	assert_int_equal(update_cursor(fixture, 0, 0, 1, 1, 0, 0), OK);
	assert_null(output->cursor);
	assert_int_equal(move_cursor(fixture, 0, 2, 2), OK);
	picture = gpu_device_screenshot(fixture->device, 0, true);
	assert_int_equal(picture_pixel(picture, 2, 2), 0);
	frame_unref(picture);
}

static void cursor_commands_check_their_numbers(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_resource_create_blob small = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
		.resource_id = htole32(6),
		.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
		.size = htole64(64 * 64 * 4 - 1),
	};

	make_cursor(fixture, 2, 0xff112233);
	/* A blob is as long as it says, though its backing be longer. */
	assert_int_equal(control(fixture, &small, sizeof(small)), OK);
	assert_int_equal(attach_one(fixture, 6, RAM_ADDR, 65536), OK);
	assert_int_equal(update_cursor(fixture, 0, 6, 0, 0, 0, 0), ERR_PARAMETER);
	assert_int_equal(create_2d(fixture, 3, FORMAT_BGRA, 63, 64), OK);
	assert_int_equal(create_2d(fixture, 4, FORMAT_BGRA, 64, 65), OK);
	assert_int_equal(create_blob(fixture, 5, 64 * 64 * 4 - 1, RAM_ADDR), OK);
	assert_int_equal(update_cursor(fixture, 0, 1, 0, 0, 0, 0), ERR_RESOURCE);
	assert_int_equal(update_cursor(fixture, 0, 3, 0, 0, 0, 0), ERR_PARAMETER);
	assert_int_equal(update_cursor(fixture, 0, 4, 0, 0, 0, 0), ERR_PARAMETER);
	assert_int_equal(update_cursor(fixture, 0, 5, 0, 0, 0, 0), ERR_PARAMETER);
	assert_int_equal(update_cursor(fixture, 4, 2, 0, 0, 0, 0), ERR_SCANOUT);
	assert_int_equal(update_cursor(fixture, 16, 0, 0, 0, 0, 0), ERR_SCANOUT);
	assert_int_equal(move_cursor(fixture, 4, 0, 0), ERR_SCANOUT);
	assert_int_equal(move_cursor(fixture, UINT32_MAX, 0, 0), ERR_SCANOUT);
	assert_int_equal(fixture->display->outputs[0].cursors_set, 0);
	/* A hot spot outside the image is the guest's affair. */
	assert_int_equal(update_cursor(fixture, 3, 2, UINT32_MAX, 0, UINT32_MAX, UINT32_MAX), OK);
	/* It is shown on nothing, which moves well too. */
	assert_int_equal(move_cursor(fixture, 3, 5, 5), OK);
}

/* Linux makes its cursors of blobs where blobs are offered. */
static void blobs_can_be_cursors(void **state)
{
	struct fixture *fixture = *state;

	fill_ram(fixture, 6);
	assert_int_equal(create_blob(fixture, 5, 64 * 64 * 4, RAM_ADDR), OK);
	assert_int_equal(update_cursor(fixture, 0, 5, 0, 0, 0, 0), OK);
	for (uint32_t i = 0; i < 64; i++) {
		const uint8_t *bytes = ram_bytes(fixture, RAM_ADDR + i * 65 * 4);

		assert_int_equal(picture_pixel(fixture->display->outputs[0].cursor, i, i),
			bytes[0] | bytes[1] << 8 | bytes[2] << 16);
	}
}

static void commands_are_counted(void **state)
{
	struct fixture *fixture = *state;
	const struct gpu_device_stats *stats;
	uint8_t junk[24] = { 0 };
	size_t rows = 0;

	create_2d(fixture, 1, FORMAT_BGRX, 8, 8);
	create_2d(fixture, 1, FORMAT_BGRX, 8, 8);
	control(fixture, junk, sizeof(junk));
	for (size_t i = 0; (stats = gpu_device_command_stats(fixture->device, i)); i++) {
		bool is_create = strcmp(stats->name, "RESOURCE_CREATE_2D") == 0;
		bool is_unknown = strcmp(stats->name, "unknown") == 0;

		assert_true(stats->count == (is_create ? 2u : is_unknown ? 1u : 0u));
		assert_true(stats->errors == (is_create || is_unknown ? 1u : 0u));
		rows++;
	}
	assert_int_equal(rows, 27);
	for (size_t i = 0; (stats = gpu_device_error_stats(fixture->device, i)); i++) {
		bool is_hit = strcmp(stats->name, "ERR_INVALID_RESOURCE_ID") == 0 ||
			strcmp(stats->name, "ERR_UNSPEC") == 0;

		assert_true(stats->count == (is_hit ? 1u : 0u));
	}
	assert_true(gpu_device_totals(fixture->device).request_bytes == 40 + 40 + 24);
}

static void the_null_renderer_takes_all_but_pictures(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 256), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 8, 0), OK);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 8, 8), ERR_UNSPEC);
	assert_int_equal(flush(fixture, 1, 0, 0, 8, 8), OK);
	assert_int_equal(create_blob(fixture, 2, 65536, RAM_ADDR), OK);
	assert_int_equal(detach(fixture, 1), OK);
	assert_int_equal(unref(fixture, 1), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_SOFT(too_short_is_refused),
		TEST_BOTH(too_long_is_refused),
		TEST_SOFT(less_than_a_header_is_refused),
		TEST_SOFT(unknown_commands_are_refused),
		TEST_SOFT(commands_belong_to_their_queue),
		TEST_SOFT(too_large_requests_are_refused),
		TEST_BOTH(create_2d_makes_an_image),
		TEST_BOTH(create_2d_checks_its_numbers),
		TEST_BOTH(unref_frees),
		TEST_BOTH(attach_checks_its_list),
		TEST_BOTH(transfer_checks_its_numbers),
		TEST_BOTH(transfers_move_the_right_pixels),
		TEST_BOTH(fresh_images_are_black),
		TEST_BOTH(each_format_is_shown),
		TEST_BOTH(many_entries_are_taken),
		TEST_BOTH(entries_may_cross_regions),
		TEST_BOTH(backing_outlives_its_region),
		TEST_BOTH(scanouts_show_parts),
		TEST_BOTH(set_scanout_checks_its_numbers),
		TEST_BOTH(flush_checks_its_numbers),
		TEST_BOTH(page_flips_show_the_other),
		TEST_SOFT(display_info_is_told),
		TEST_SOFT(edid_is_told),
		TEST_SOFT(queries_may_be_answered_later),
		TEST_SOFT(there_are_no_capsets),
		TEST_BOTH(uuids_name_resources),
		TEST_BOTH(blobs_show_guest_memory),
		TEST_BOTH(create_blob_checks_its_numbers),
		TEST_BOTH(set_scanout_blob_checks_its_numbers),
		TEST_BOTH(blob_flips_keep_their_views),
		TEST_BOTH(cursors_are_shown),
		TEST_BOTH(cursor_commands_check_their_numbers),
		TEST_BOTH(blobs_can_be_cursors),
		TEST_SOFT(commands_are_counted),
		{ "the_null_renderer_takes_all_but_pictures",
			the_null_renderer_takes_all_but_pictures, fixture_setup, fixture_teardown,
			&fixture_null },
	};

	return cmocka_run_group_tests_name("gpu_device", tests, NULL, NULL);
}
