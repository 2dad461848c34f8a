/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/daemon.h"

/*
 * The commands of virtio-gpu over real rings: each one good, too short, too long, with wrong ids, twice,
 * and in the wrong order. Section numbers are of VIRTIO 1.3. What is not said there is written down in
 * docs/protocol-notes.md.
 */

enum {
	OK = VIRTIO_GPU_RESP_OK_NODATA,
	ERR_UNSPEC = VIRTIO_GPU_RESP_ERR_UNSPEC,
	ERR_MEMORY = VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY,
	ERR_SCANOUT = VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID,
	ERR_RESOURCE = VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID,
	ERR_PARAMETER = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
	BGRX = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
	BGRA = VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM,
	CONTROL = WIRE_CONTROL_QUEUE,
	CURSOR = WIRE_CURSOR_QUEUE,
	MISSING = 99, // a resource that there is not
};

struct test {
	struct daemon daemon;
	struct fe_gpu *gpu; // of daemon
};

static int start_daemon(void **state, const char *arguments, const struct fe_gpu_options *options)
{
	struct test *test = calloc(1, sizeof(*test));

	assert_non_null(test);
	*state = test;
	test->gpu = &test->daemon.gpu;
	daemon_start(&test->daemon, arguments, options);
	return 0;
}

static int setup_vmm(void **state)
{
	return start_daemon(state, NULL, &DAEMON_VMM);
}

static int setup_own(void **state)
{
	return start_daemon(state, NULL, &DAEMON_OWN);
}

static int setup_bounded(void **state)
{
	return start_daemon(
		state, "--max-memory=2M --max-resources=4 --max-request=4K", &DAEMON_OWN);
}

static int setup_without_features(void **state)
{
	const struct fe_gpu_options options = {
		.dialect = FE_DIALECT_OWN,
		.features_off = 1u << VIRTIO_GPU_F_EDID | 1u << VIRTIO_GPU_F_RESOURCE_UUID |
			1u << VIRTIO_GPU_F_RESOURCE_BLOB,
	};

	return start_daemon(state, NULL, &options);
}

static int teardown(void **state)
{
	struct test *test = *state;

	daemon_assert_alive(&test->daemon);
	daemon_stop(&test->daemon);
	free(test);
	return 0;
}

static struct virtio_gpu_ctrl_hdr header_of(uint32_t type)
{
	return (struct virtio_gpu_ctrl_hdr){ .type = type };
}

/* Sends `size` bytes that begin with a header of the type; the rest is zero. */
static int call(struct test *test, uint32_t queue, uint32_t type, size_t size)
{
	uint8_t bytes[256] = { 0 };
	const struct virtio_gpu_ctrl_hdr header = header_of(type);

	assert_true(size <= sizeof(bytes));
	memcpy(bytes, &header, sizeof(header));
	return fe_gpu_call(test->gpu, queue, bytes, size, NULL, 0);
}

/* A command of a header, one id and a padding. */
static int call_id(struct test *test, uint32_t type, uint32_t id)
{
	const struct virtio_gpu_resource_unref command = { header_of(type), id, 0 };

	return fe_gpu_call(test->gpu, CONTROL, &command, sizeof(command), NULL, 0);
}

static int create(struct test *test, uint32_t id, uint32_t width, uint32_t height)
{
	return fe_gpu_create_2d(test->gpu, id, BGRX, width, height);
}

static int show(struct test *test, uint32_t scanout, uint32_t id, uint32_t width, uint32_t height)
{
	return fe_gpu_set_scanout(test->gpu, scanout, id, fe_rect(0, 0, width, height));
}

static int flush(struct test *test, uint32_t id, uint32_t width, uint32_t height)
{
	return fe_gpu_resource_flush(test->gpu, id, fe_rect(0, 0, width, height));
}

static int transfer(struct test *test, uint32_t id, uint32_t width, uint32_t height)
{
	return fe_gpu_transfer(test->gpu, id, fe_rect(0, 0, width, height), 0);
}

static int show_blob(struct test *test, uint32_t id, uint32_t width, uint32_t height)
{
	const struct virtio_gpu_set_scanout_blob command = {
		.hdr = header_of(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB),
		.r = fe_rect(0, 0, width, height),
		.resource_id = id,
		.width = width,
		.height = height,
		.format = BGRX,
		.strides = { width * 4 },
	};

	return fe_gpu_set_scanout_blob(test->gpu, &command);
}

static int create_blob(struct test *test, uint32_t id, const struct fe_span *span)
{
	const struct virtio_gpu_mem_entry entry = { span->addr, (uint32_t)span->size, 0 };

	return fe_gpu_create_blob(
		test->gpu, id, VIRTIO_GPU_BLOB_MEM_GUEST, 0, span->size, &entry, 1);
}

/* All commands of a 2D device: length with the header, and queue. */
static const struct {
	uint32_t type;
	size_t size;
	uint32_t queue;
} commands[] = {
	{ VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 24, CONTROL },
	{ VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 40, CONTROL },
	{ VIRTIO_GPU_CMD_RESOURCE_UNREF, 32, CONTROL },
	{ VIRTIO_GPU_CMD_SET_SCANOUT, 48, CONTROL },
	{ VIRTIO_GPU_CMD_RESOURCE_FLUSH, 48, CONTROL },
	{ VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, 56, CONTROL },
	{ VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 32, CONTROL },
	{ VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 32, CONTROL },
	{ VIRTIO_GPU_CMD_GET_CAPSET_INFO, 32, CONTROL },
	{ VIRTIO_GPU_CMD_GET_CAPSET, 32, CONTROL },
	{ VIRTIO_GPU_CMD_GET_EDID, 32, CONTROL },
	{ VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 32, CONTROL },
	{ VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 56, CONTROL },
	{ VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, 96, CONTROL },
	{ VIRTIO_GPU_CMD_UPDATE_CURSOR, 56, CURSOR },
	{ VIRTIO_GPU_CMD_MOVE_CURSOR, 56, CURSOR },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

/* Resource 1 is there, so that attaching to it fails by its length alone. */
static void lengths_are_exact(void **state)
{
	struct test *test = *state;

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		size_t size = commands[i].size;
		uint32_t queue = commands[i].queue;

		assert_int_equal(call(test, queue, commands[i].type, 1), ERR_UNSPEC);
		assert_int_equal(call(test, queue, commands[i].type, 23), ERR_UNSPEC);
		if (size > 24) {
			assert_int_equal(
				call(test, queue, commands[i].type, size - 1), ERR_PARAMETER);
			assert_int_equal(call(test, queue, commands[i].type, 24), ERR_PARAMETER);
		}
		if (commands[i].type != VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING &&
			commands[i].type != VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB) {
			assert_int_equal(
				call(test, queue, commands[i].type, size + 1), ERR_PARAMETER);
			assert_int_equal(
				call(test, queue, commands[i].type, size + 16), ERR_PARAMETER);
		}
	}
}

/* A scatter list must be as long as it says: one entry and a part, fewer, more. */
static void lists_have_the_length_they_say(void **state)
{
	struct test *test = *state;
	struct {
		struct virtio_gpu_resource_attach_backing head;
		struct virtio_gpu_mem_entry entries[2];
		uint8_t more;
	} command = { .head = { header_of(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING), 1, 2 } };
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);
	static const size_t wrong[] = { 32, 33, 48, 63, 65 };

	command.entries[0] = (struct virtio_gpu_mem_entry){ span.addr, 2048, 0 };
	command.entries[1] = (struct virtio_gpu_mem_entry){ span.addr + 2048, 2048, 0 };
	assert_int_equal(create(test, 1, 32, 32), OK);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(fe_gpu_call(test->gpu, CONTROL, &command, wrong[i], NULL, 0),
			ERR_PARAMETER);
	}
	command.entries[1].addr = 0x10; // no memory there
	assert_int_equal(fe_gpu_call(test->gpu, CONTROL, &command, 64, NULL, 0), ERR_PARAMETER);
	command.entries[1].addr = UINT64_MAX - 5; // wraps
	assert_int_equal(fe_gpu_call(test->gpu, CONTROL, &command, 64, NULL, 0), ERR_PARAMETER);
	command.entries[1].addr = span.addr + 2048;
	assert_int_equal(fe_gpu_call(test->gpu, CONTROL, &command, 64, NULL, 0), OK);
	assert_int_equal(transfer(test, 1, 32, 32), OK);
}

/* 5.7.6.8 and 5.7.6.10: the error for each id that is wrong. */
static void wrong_ids_are_told(void **state)
{
	static const uint32_t by_id[] = { VIRTIO_GPU_CMD_RESOURCE_UNREF,
		VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID };
	struct test *test = *state;
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);

	for (size_t i = 0; i < sizeof(by_id) / sizeof(by_id[0]); i++) {
		assert_int_equal(call_id(test, by_id[i], MISSING), ERR_RESOURCE);
		assert_int_equal(call_id(test, by_id[i], 0), ERR_RESOURCE);
	}
	assert_int_equal(create(test, 0, 8, 8), ERR_RESOURCE);
	assert_int_equal(create_blob(test, 0, &span), ERR_RESOURCE);
	assert_int_equal(fe_gpu_attach_span(test->gpu, MISSING, &span), ERR_RESOURCE);
	assert_int_equal(transfer(test, MISSING, 8, 8), ERR_RESOURCE);
	assert_int_equal(flush(test, MISSING, 8, 8), ERR_RESOURCE);
	assert_int_equal(show(test, 0, MISSING, 8, 8), ERR_RESOURCE);
	assert_int_equal(show_blob(test, MISSING, 8, 8), ERR_RESOURCE);
	assert_int_equal(fe_gpu_update_cursor(test->gpu, 0, 0, 0, MISSING, 0, 0), ERR_RESOURCE);
	assert_int_equal(create(test, 1, 8, 8), OK);
	assert_int_equal(show(test, 16, 1, 8, 8), ERR_SCANOUT);
	assert_int_equal(show(test, UINT32_MAX, 1, 8, 8), ERR_SCANOUT);
	assert_int_equal(call_id(test, VIRTIO_GPU_CMD_GET_EDID, 16), ERR_SCANOUT);
	assert_int_equal(fe_gpu_update_cursor(test->gpu, 16, 0, 0, 0, 0, 0), ERR_SCANOUT);
	assert_int_equal(fe_gpu_move_cursor(test->gpu, 16, 0, 0, 0), ERR_SCANOUT);
}

static void what_is_done_twice_is_told(void **state)
{
	struct test *test = *state;
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);

	assert_int_equal(create(test, 1, 8, 8), OK);
	assert_int_equal(create(test, 1, 8, 8), ERR_RESOURCE);
	assert_int_equal(create_blob(test, 1, &span), ERR_RESOURCE);
	assert_int_equal(fe_gpu_attach_span(test->gpu, 1, &span), OK);
	assert_int_equal(fe_gpu_attach_span(test->gpu, 1, &span), ERR_UNSPEC);
	assert_int_equal(show(test, 0, 1, 8, 8), OK);
	assert_int_equal(show(test, 0, 1, 8, 8), OK);
	assert_int_equal(show(test, 0, 0, 0, 0), OK);
	assert_int_equal(show(test, 0, 0, 0, 0), OK);
	assert_int_equal(fe_gpu_detach(test->gpu, 1), OK);
	assert_int_equal(fe_gpu_detach(test->gpu, 1), ERR_UNSPEC);
	assert_int_equal(fe_gpu_unref(test->gpu, 1), OK);
	assert_int_equal(fe_gpu_unref(test->gpu, 1), ERR_RESOURCE);
	assert_int_equal(create_blob(test, 1, &span), OK);
	assert_int_equal(create_blob(test, 1, &span), ERR_RESOURCE);
	assert_int_equal(create(test, 1, 8, 8), ERR_RESOURCE);
}

static void wrong_order_is_told(void **state)
{
	struct test *test = *state;
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);

	assert_int_equal(create(test, 1, 8, 8), OK);
	assert_int_equal(transfer(test, 1, 8, 8), ERR_UNSPEC); // no backing
	assert_int_equal(fe_gpu_detach(test->gpu, 1), ERR_UNSPEC);
	assert_int_equal(flush(test, 1, 8, 8), OK); // shown nowhere: nothing to do
	assert_int_equal(fe_gpu_attach_span(test->gpu, 1, &span), OK);
	assert_int_equal(transfer(test, 1, 8, 8), OK);
	assert_int_equal(create_blob(test, 2, &span), OK);
	assert_int_equal(show(test, 0, 2, 8, 8), ERR_PARAMETER); // a blob has no width
	assert_int_equal(show_blob(test, 1, 8, 8), ERR_PARAMETER); // an image is no blob
	assert_int_equal(transfer(test, 2, 8, 8), OK); // as Linux does: nothing to move
	/* What is shown may go; the scanout is dark then. */
	assert_int_equal(show(test, 0, 1, 8, 8), OK);
	assert_int_equal(show_blob(test, 2, 8, 8), OK);
	assert_int_equal(fe_gpu_unref(test->gpu, 2), OK);
	assert_int_equal(fe_gpu_unref(test->gpu, 1), OK);
	assert_int_equal(flush(test, 1, 8, 8), ERR_RESOURCE);
}

static void rectangles_stay_inside(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = test->gpu;
	struct fe_span span = fe_memory_alloc(&gpu->memory, 4096, 4096);
	static const struct virtio_gpu_rect outside[] = {
		{ 0, 0, 33, 8 },
		{ 0, 0, 8, 33 },
		{ 32, 0, 1, 1 },
		{ UINT32_MAX, 0, 2, 1 },
		{ 1, 1, UINT32_MAX, UINT32_MAX },
	};

	assert_int_equal(create(test, 1, 32, 32), OK);
	assert_int_equal(fe_gpu_attach_span(gpu, 1, &span), OK);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		assert_int_equal(fe_gpu_transfer(gpu, 1, outside[i], 0), ERR_PARAMETER);
		assert_int_equal(fe_gpu_resource_flush(gpu, 1, outside[i]), ERR_PARAMETER);
		assert_int_equal(fe_gpu_set_scanout(gpu, 0, 1, outside[i]), ERR_PARAMETER);
	}
	/* 32 rows of 128 bytes fill the backing exactly. */
	assert_int_equal(transfer(test, 1, 32, 32), OK);
	assert_int_equal(fe_gpu_transfer(gpu, 1, fe_rect(0, 0, 32, 32), 1), ERR_PARAMETER);
	assert_int_equal(fe_gpu_transfer(gpu, 1, fe_rect(0, 0, 1, 1), 4092), OK);
	assert_int_equal(fe_gpu_transfer(gpu, 1, fe_rect(0, 0, 1, 1), 4093), ERR_PARAMETER);
	assert_int_equal(fe_gpu_transfer(gpu, 1, fe_rect(0, 0, 1, 1), UINT64_MAX), ERR_PARAMETER);
	assert_int_equal(show(test, 0, 1, 0, 0), ERR_PARAMETER); // shows nothing
}

/* 5.7.6.7: the answer carries the request's fence; drivers match rings by context and index. */
static void fences_are_echoed(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_ctrl_hdr request = {
		.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
		.flags = VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX | 0x80,
		.fence_id = UINT64_C(0x123456789abcdef0),
		.ctx_id = 0xaabbccdd,
		.ring_idx = 7,
		.padding = { 1, 2, 3 },
	};
	struct virtio_gpu_resp_display_info answer;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(fe_gpu_call(test->gpu, CONTROL, &request, sizeof(request), &answer,
					 sizeof(answer)),
			VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
		assert_int_equal(answer.hdr.flags, request.flags & 3);
		assert_true(answer.hdr.fence_id == request.fence_id);
		assert_int_equal(answer.hdr.ctx_id, request.ctx_id);
		assert_int_equal(answer.hdr.ring_idx, 7);
		assert_int_equal(answer.hdr.padding[0], 0);
		request.flags = 0;
	}
	/* An error is told at once, and carries it, too. */
	request.type = 0x1ff;
	request.flags = VIRTIO_GPU_FLAG_FENCE;
	assert_int_equal(fe_gpu_call(test->gpu, CONTROL, &request, sizeof(request), &answer, 24),
		ERR_UNSPEC);
	assert_int_equal(answer.hdr.flags, VIRTIO_GPU_FLAG_FENCE);
	assert_true(answer.hdr.fence_id == request.fence_id);
}

/* The driver's room decides how much is written, down to nothing. */
static void answers_are_clipped(void **state)
{
	static const uint32_t rooms[] = { 408, 407, 100, 24, 23, 4, 1, 0 };
	struct test *test = *state;
	const struct virtio_gpu_ctrl_hdr request = header_of(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
	struct fe_gpu_answer answer;

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		assert_true(fe_gpu_submit(
				    test->gpu, CONTROL, &request, sizeof(request), rooms[i]) >= 0);
		fe_gpu_flush(test->gpu, CONTROL);
		assert_int_equal(fe_gpu_wait(test->gpu, CONTROL, &answer, 5000), 0);
		assert_int_equal(answer.len, rooms[i]);
	}
}

static void queues_are_not_mixed_up(void **state)
{
	struct test *test = *state;

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		uint32_t other = commands[i].queue == CONTROL ? CURSOR : CONTROL;

		assert_int_equal(call(test, other, commands[i].type, commands[i].size), ERR_UNSPEC);
	}
}

static void unknown_commands_are_told(void **state)
{
	static const uint32_t types[] = { 0, 1, 0xff, 0x10e, 0x1ff, 0x20a, 0x2ff, 0x302, 0x1100,
		0x1200, UINT32_MAX };
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		assert_int_equal(call(test, CONTROL, types[i], 24), ERR_UNSPEC);
		assert_int_equal(call(test, CURSOR, types[i], 56), ERR_UNSPEC);
	}
}

/* A 2D device offers no capset, and refuses what needs one. */
static void without_3d_there_is_none(void **state)
{
	struct test *test = *state;
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);
	const struct virtio_gpu_mem_entry entry = { span.addr, 4096, 0 };

	assert_int_equal(test->gpu->config.num_capsets, 0);
	for (uint32_t type = VIRTIO_GPU_CMD_CTX_CREATE; type <= VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;
		type++) {
		assert_int_equal(call(test, CONTROL, type, 24), ERR_UNSPEC);
		assert_int_equal(call(test, CONTROL, type, 96), ERR_UNSPEC);
	}
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(call_id(test, VIRTIO_GPU_CMD_GET_CAPSET_INFO, i), ERR_PARAMETER);
		assert_int_equal(call_id(test, VIRTIO_GPU_CMD_GET_CAPSET, i), ERR_PARAMETER);
	}
	for (uint32_t memory = 0; memory < 5; memory++) {
		assert_int_equal(fe_gpu_create_blob(test->gpu, 9, memory, 0, 4096, &entry, 1),
			memory == VIRTIO_GPU_BLOB_MEM_GUEST ? OK : ERR_PARAMETER);
	}
	assert_int_equal(
		fe_gpu_create_blob(test->gpu, 8, VIRTIO_GPU_BLOB_MEM_GUEST, 0x80, 4096, &entry, 1),
		ERR_PARAMETER);
	assert_int_equal(
		fe_gpu_create_blob(test->gpu, 8, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 0, &entry, 1),
		ERR_PARAMETER);
	assert_int_equal(
		fe_gpu_create_blob(test->gpu, 8, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 4097, &entry, 1),
		ERR_PARAMETER); // more than its pages
}

/* 5.7.6.8: all eight formats, no other, and no empty image. */
static void images_have_known_formats_and_sizes(void **state)
{
	static const uint32_t known[] = { 1, 2, 3, 4, 67, 68, 121, 134 };
	struct test *test = *state;

	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(fe_gpu_create_2d(test->gpu, 1, known[i], 8, 8), OK);
		assert_int_equal(fe_gpu_unref(test->gpu, 1), OK);
	}
	assert_int_equal(fe_gpu_create_2d(test->gpu, 1, 0, 8, 8), ERR_PARAMETER);
	assert_int_equal(fe_gpu_create_2d(test->gpu, 1, 5, 8, 8), ERR_PARAMETER);
	assert_int_equal(fe_gpu_create_2d(test->gpu, 1, UINT32_MAX, 8, 8), ERR_PARAMETER);
	assert_int_equal(create(test, 1, 0, 8), ERR_PARAMETER);
	assert_int_equal(create(test, 1, 8, 0), ERR_PARAMETER);
	assert_int_equal(create(test, 1, UINT32_MAX, UINT32_MAX), ERR_MEMORY);
	assert_int_equal(create(test, 1, 1u << 16, 1u << 16), ERR_MEMORY); // wraps at 32 bits
}

/* 5.7.6.10: 64x64, and a move needs no resource. */
static void cursors_are_checked(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = test->gpu;

	daemon_make_image(&test->daemon, 1, BGRA, 64, 64);
	daemon_make_image(&test->daemon, 2, BGRA, 32, 64);
	assert_int_equal(fe_gpu_update_cursor(gpu, 0, 5, 6, 1, 1, 2), OK);
	assert_int_equal(fe_gpu_update_cursor(gpu, 0, 5, 6, 1, 1, 2), OK);
	assert_int_equal(fe_gpu_update_cursor(gpu, 0, 5, 6, 2, 0, 0), ERR_PARAMETER);
	assert_int_equal(fe_gpu_move_cursor(gpu, 0, 100000, UINT32_MAX, MISSING), OK);
	assert_int_equal(fe_gpu_unref(gpu, 1), OK); // the shape stays
	assert_int_equal(fe_gpu_move_cursor(gpu, 0, 7, 7, 1), OK);
	assert_int_equal(fe_gpu_update_cursor(gpu, 0, 0, 0, 0, 0, 0), OK); // hides it
}

/* RESOURCE_ASSIGN_UUID names the same object the same way, and others otherwise. */
static void uuids_name_resources(void **state)
{
	struct test *test = *state;
	uint8_t first[WIRE_UUID_SIZE], second[WIRE_UUID_SIZE], again[WIRE_UUID_SIZE];

	assert_int_equal(create(test, 1, 8, 8), OK);
	assert_int_equal(create(test, 2, 8, 8), OK);
	assert_int_equal(fe_gpu_assign_uuid(test->gpu, 1, first), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_int_equal(
		fe_gpu_assign_uuid(test->gpu, 2, second), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_int_equal(fe_gpu_assign_uuid(test->gpu, 1, again), VIRTIO_GPU_RESP_OK_RESOURCE_UUID);
	assert_memory_equal(first, again, WIRE_UUID_SIZE);
	assert_memory_not_equal(first, second, WIRE_UUID_SIZE);
}

static void own_display_tells_of_itself(void **state)
{
	static const uint8_t magic[8] = { 0, 255, 255, 255, 255, 255, 255, 0 };
	struct test *test = *state;
	struct virtio_gpu_resp_display_info info;
	struct virtio_gpu_resp_edid edid;
	uint8_t sum = 0;

	assert_int_equal(
		fe_gpu_get_display_info(test->gpu, &info), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(info.pmodes[0].enabled, 1);
	assert_int_equal(info.pmodes[0].r.width, 1280);
	assert_int_equal(info.pmodes[0].r.height, 800);
	assert_int_equal(info.pmodes[1].enabled, 0);
	assert_int_equal(fe_gpu_get_edid(test->gpu, 0, &edid), VIRTIO_GPU_RESP_OK_EDID);
	assert_true(edid.size >= 128 && edid.size % 128 == 0);
	assert_memory_equal(edid.edid, magic, sizeof(magic));
	for (size_t i = 0; i < 128; i++) {
		sum = (uint8_t)(sum + edid.edid[i]);
	}
	assert_int_equal(sum, 0);
	assert_int_equal(call_id(test, VIRTIO_GPU_CMD_GET_EDID, 1), ERR_SCANOUT);
}

/* What the VMM says of its display reaches the guest byte by byte. */
static void vmms_display_is_passed_through(void **state)
{
	struct test *test = *state;
	struct fe_display *display = &test->gpu->display;
	struct virtio_gpu_resp_display_info info;
	struct virtio_gpu_resp_edid edid;

	display->info.pmodes[3].enabled = 1;
	display->info.pmodes[3].r = fe_rect(10, 20, 333, 444);
	display->edid.size = 256;
	for (size_t i = 0; i < 256; i++) {
		display->edid.edid[i] = (uint8_t)(i * 7);
	}
	assert_int_equal(
		fe_gpu_get_display_info(test->gpu, &info), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_memory_equal(info.pmodes, display->info.pmodes, sizeof(info.pmodes));
	assert_int_equal(fe_gpu_get_edid(test->gpu, 3, &edid), VIRTIO_GPU_RESP_OK_EDID);
	assert_int_equal(edid.size, 256);
	assert_memory_equal(edid.edid, display->edid.edid, sizeof(edid.edid));
}

/* Over a bound the guest is told so, and all goes on; what is given back can be taken again. */
static void bounds_are_kept(void **state)
{
	struct test *test = *state;
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);
	struct virtio_gpu_mem_entry entries[300];

	for (int round = 0; round < 3; round++) {
		assert_int_equal(create(test, 1, 1024, 1024), ERR_MEMORY); // 4 MiB
		assert_int_equal(create(test, 1, 512, 512), OK); // 1 MiB
		assert_int_equal(create(test, 2, 1024, 257), ERR_MEMORY);
		assert_int_equal(create(test, 2, 8, 8), OK);
		assert_int_equal(create(test, 3, 8, 8), OK);
		assert_int_equal(create(test, 4, 8, 8), OK);
		assert_int_equal(create(test, 5, 8, 8), ERR_MEMORY); // the fifth of four
		assert_int_equal(fe_gpu_unref(test->gpu, 4), OK);
		assert_int_equal(create_blob(test, 5, &span), OK);
		for (size_t i = 0; i < 300; i++) {
			entries[i] = (struct virtio_gpu_mem_entry){ span.addr, 16, 0 };
		}
		/* A request of 4832 bytes, of which the daemon copies 4096. */
		assert_int_equal(fe_gpu_attach(test->gpu, 2, entries, 300), ERR_MEMORY);
		assert_int_equal(fe_gpu_attach(test->gpu, 2, entries, 250), OK);
		assert_int_equal(transfer(test, 2, 8, 8), OK);
		assert_int_equal(fe_gpu_unref(test->gpu, 1), OK);
		assert_int_equal(fe_gpu_unref(test->gpu, 2), OK);
		assert_int_equal(fe_gpu_unref(test->gpu, 3), OK);
		assert_int_equal(fe_gpu_unref(test->gpu, 5), OK);
	}
}

/* 5.7.3: what the driver did not take is not there. */
static void features_must_be_taken(void **state)
{
	struct test *test = *state;
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);

	assert_int_equal(create(test, 1, 8, 8), OK);
	assert_int_equal(call_id(test, VIRTIO_GPU_CMD_GET_EDID, 0), ERR_UNSPEC);
	assert_int_equal(call_id(test, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 1), ERR_UNSPEC);
	assert_int_equal(create_blob(test, 2, &span), ERR_UNSPEC);
	assert_int_equal(show_blob(test, 1, 8, 8), ERR_UNSPEC);
}

#define IN(name, dialect) { #name " (" #dialect ")", name, setup_##dialect, teardown, NULL }
#define BOTH(name)        IN(name, vmm), IN(name, own)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(lengths_are_exact),
		BOTH(lists_have_the_length_they_say),
		BOTH(wrong_ids_are_told),
		BOTH(what_is_done_twice_is_told),
		BOTH(wrong_order_is_told),
		BOTH(rectangles_stay_inside),
		BOTH(fences_are_echoed),
		BOTH(answers_are_clipped),
		BOTH(queues_are_not_mixed_up),
		BOTH(unknown_commands_are_told),
		BOTH(without_3d_there_is_none),
		BOTH(images_have_known_formats_and_sizes),
		BOTH(cursors_are_checked),
		BOTH(uuids_name_resources),
		IN(own_display_tells_of_itself, own),
		IN(vmms_display_is_passed_through, vmm),
		IN(bounds_are_kept, bounded),
		IN(features_must_be_taken, without_features),
	};

	return cmocka_run_group_tests_name("gpu_commands", tests, NULL, NULL);
}
