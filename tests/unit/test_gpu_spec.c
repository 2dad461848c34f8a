/* SPDX-License-Identifier: MIT */
/* What VIRTIO 1.3, 5.7 GPU Device demands of the device, each test named after its section. */
#include <endian.h>
#include <string.h>

#include "support/gpu_fixture.h"
#include "support/remote_renderer.h"

static struct wire_config config_of(struct fixture *fixture)
{
	struct wire_config config;

	gpu_device_get_config(fixture->device, &config);
	return config;
}

/* CONTEXT_INIT requires VIRGL; neither is offered, and what is not offered cannot be taken. */
static void s_5_7_3_feature_bits(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_ctx_create create = {
		.hdr = header_of(VIRTIO_GPU_CMD_CTX_CREATE),
	};

	assert_true(gpu_device_features(fixture->device) ==
		(1u << VIRTIO_GPU_F_EDID | 1u << VIRTIO_GPU_F_RESOURCE_UUID |
			1u << VIRTIO_GPU_F_RESOURCE_BLOB));
	gpu_device_set_features(fixture->device, UINT64_MAX);
	assert_int_equal(control(fixture, &create, sizeof(create)), ERR_UNSPEC);
}

/* "Support is optional and negotiated using": without the feature there is no such command. */
static void s_5_7_3_feature_bits_not_taken(void **state)
{
	static const struct {
		uint32_t type;
		uint32_t feature;
		size_t len;
	} commands[] = {
		{ VIRTIO_GPU_CMD_GET_EDID, VIRTIO_GPU_F_EDID, 32 },
		{ VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, VIRTIO_GPU_F_RESOURCE_UUID, 32 },
		{ VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, VIRTIO_GPU_F_RESOURCE_BLOB, 56 },
		{ VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, VIRTIO_GPU_F_RESOURCE_BLOB, 96 },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		uint8_t bytes[128] = { 0 };
		uint32_t type = htole32(commands[i].type);

		memcpy(bytes, &type, sizeof(type));
		gpu_device_set_features(fixture->device, ~(1ull << commands[i].feature));
		assert_int_equal(control(fixture, bytes, commands[i].len), ERR_UNSPEC);
		gpu_device_set_features(fixture->device, 1ull << commands[i].feature);
		assert_int_not_equal(control(fixture, bytes, commands[i].len), ERR_UNSPEC);
	}
}

static void s_5_7_4_1_device_configuration_fields(void **state)
{
	struct fixture *fixture = *state;
	struct wire_config config = config_of(fixture);

	assert_int_equal(le32toh(config.num_scanouts), 4);
	assert_int_equal(config.events_read, 0);
	assert_int_equal(config.events_clear, 0);
	fake_display_change_modes(fixture->display);
	assert_int_equal(le32toh(config_of(fixture).events_read), VIRTIO_GPU_EVENT_DISPLAY);
	/* Writing ones clears these bits, and no others; reading gives 0 there. */
	gpu_device_clear_events(fixture->device, ~(uint32_t)VIRTIO_GPU_EVENT_DISPLAY);
	assert_int_equal(le32toh(config_of(fixture).events_read), VIRTIO_GPU_EVENT_DISPLAY);
	gpu_device_clear_events(fixture->device, VIRTIO_GPU_EVENT_DISPLAY);
	assert_int_equal(config_of(fixture).events_read, 0);
	assert_int_equal(config_of(fixture).events_clear, 0);
}

static void s_5_7_4_2_events(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture->config_changes, 0);
	fake_display_change_modes(fixture->display);
	assert_int_equal(fixture->config_changes, 1);
	/* Also when the last event was not yet cleared: the display changed again. */
	fake_display_change_modes(fixture->display);
	assert_int_equal(fixture->config_changes, 2);
}

/* MAP_BLOB must be supported if there is a host visible region; there is none. */
static void s_5_7_5_device_initialization(void **state)
{
	const struct virtio_gpu_resource_map_blob map = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB),
		.resource_id = htole32(1),
	};
	const struct virtio_gpu_resource_unmap_blob unmap = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB),
		.resource_id = htole32(1),
	};

	assert_int_equal(create_blob(*state, 1, 4096, RAM_ADDR), OK);
	assert_int_equal(control(*state, &map, sizeof(map)), ERR_UNSPEC);
	assert_int_equal(control(*state, &unmap, sizeof(unmap)), ERR_UNSPEC);
}

static struct virtio_gpu_ctrl_hdr fenced(uint32_t type, uint64_t fence)
{
	struct virtio_gpu_ctrl_hdr header = header_of(type);

	header.flags = htole32(VIRTIO_GPU_FLAG_FENCE);
	header.fence_id = htole64(fence);
	return header;
}

/* With a fence "the device MUST finish the processing before returning the command": a flush. */
static void s_5_7_6_5_command_lifecycle_and_fencing(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_resource_flush command = {
		.hdr = fenced(VIRTIO_GPU_CMD_RESOURCE_FLUSH, 12345),
		.r = wire_rect(0, 0, 8, 8),
		.resource_id = htole32(1),
	};
	struct ticket *ticket;

	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	fixture->display->flush_later = true;
	ticket = submit(fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
	assert_int_equal(ticket->completions, 0);
	fake_display_end(fixture->display, 0, true);
	assert_int_equal(answer_of(ticket), OK);
	assert_true(le64toh(ticket->request.response.header.fence_id) == 12345);
}

/* The same for a transfer: when its fence comes back, the guest may write the pages anew. */
static void s_5_7_6_5_command_lifecycle_and_fencing_transfer(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_transfer_to_host_2d command = {
		.hdr = fenced(VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, 1),
		.r = wire_rect(0, 0, 256, 256),
		.resource_id = htole32(1),
	};
	struct frame *picture;

	show_image(fixture, 1, FORMAT_BGRX, 256, 256, 0);
	for (uint32_t round = 1; round < 20; round++) {
		memset(fixture->ram[0], (int)round, VIEW_SIZE(256, 256));
		assert_int_equal(control(fixture, &command, sizeof(command)), OK);
		memset(fixture->ram[0], 0xff, VIEW_SIZE(256, 256));
		picture = gpu_device_screenshot(fixture->device, 0, false);
		assert_int_equal(picture_pixel(picture, 255, 255), round * 0x10101);
		frame_unref(picture);
	}
}

static void check_echo(struct fixture *fixture, struct virtio_gpu_ctrl_hdr header, uint32_t want)
{
	struct virtio_gpu_resource_unref command = { .hdr = header, .resource_id = htole32(99) };
	const struct virtio_gpu_ctrl_hdr *answer = &fixture->response.header;

	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_RESOURCE);
	assert_int_equal(le32toh(answer->flags), want);
	assert_true(answer->fence_id == header.fence_id);
	assert_int_equal(answer->ctx_id, header.ctx_id);
	assert_int_equal(answer->ring_idx, header.ring_idx);
	for (size_t i = 0; i < sizeof(answer->padding); i++) {
		assert_int_equal(answer->padding[i], 0);
	}
}

/* "set VIRTIO_GPU_FLAG_FENCE bit in the response, copy the content of the fence_id", errors too. */
static void s_5_7_6_7_request_header(void **state)
{
	struct virtio_gpu_ctrl_hdr header = header_of(VIRTIO_GPU_CMD_RESOURCE_UNREF);

	check_echo(*state, header, 0);
	header.fence_id = htole64(UINT64_C(0x123456789abcdef0));
	header.ctx_id = htole32(0xcafe);
	header.ring_idx = 63;
	memset(header.padding, 0xff, sizeof(header.padding));
	header.flags = htole32(VIRTIO_GPU_FLAG_FENCE);
	check_echo(*state, header, VIRTIO_GPU_FLAG_FENCE);
	header.flags = htole32(VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX);
	check_echo(*state, header, VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX);
	/* Flags that nobody knows are not ours to set. */
	header.flags = htole32(UINT32_MAX);
	check_echo(*state, header, VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX);
}

/* Each kind of answer carries the fence: also those with a payload, and those of the cursor queue. */
static void s_5_7_6_7_request_header_all_answers(void **state)
{
	static const struct {
		uint32_t queue, type;
		size_t len;
	} commands[] = {
		{ 0, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 24 },
		{ 0, VIRTIO_GPU_CMD_GET_EDID, 32 },
		{ 0, VIRTIO_GPU_CMD_GET_CAPSET_INFO, 32 },
		{ 0, VIRTIO_GPU_CMD_RESOURCE_UNREF, 24 },
		{ 0, 0x777, 24 },
		{ 1, VIRTIO_GPU_CMD_MOVE_CURSOR, 56 },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct virtio_gpu_ctrl_hdr header = fenced(commands[i].type, 1000 + i);
		uint8_t bytes[128] = { 0 };

		memcpy(bytes, &header, sizeof(header));
		run(fixture, commands[i].queue, bytes, commands[i].len);
		assert_int_equal(le32toh(fixture->response.header.flags), VIRTIO_GPU_FLAG_FENCE);
		assert_true(le64toh(fixture->response.header.fence_id) == 1000 + i);
	}
}

/* "capset_index, which MUST less than num_capsets". */
static void s_5_7_6_8_get_capset_info(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_get_capset_info command = {
		.hdr = header_of(VIRTIO_GPU_CMD_GET_CAPSET_INFO),
		.capset_index = config_of(fixture).num_capsets,
	};

	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_PARAMETER);
}

/* "Scanout rectangles must be completely covered by the underlying resource." */
static void s_5_7_6_8_set_scanout(void **state)
{
	assert_int_equal(create_2d(*state, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(set_scanout(*state, 0, 1, 4, 4, 4, 4), OK);
	assert_int_equal(set_scanout(*state, 0, 1, 4, 4, 5, 4), ERR_PARAMETER);
	assert_int_equal(set_scanout(*state, 0, 1, 4, 4, 4, 5), ERR_PARAMETER);
	/* "Overlapping (or identical) scanouts are allowed"; 0 disables. */
	assert_int_equal(set_scanout(*state, 1, 1, 4, 4, 4, 4), OK);
	assert_int_equal(set_scanout(*state, 1, 0, 0, 0, 0, 0), OK);
}

/* "blob_mem, which MUST be non-zero"; host memory only with VIRGL. */
static void s_5_7_6_8_resource_create_blob(void **state)
{
	struct virtio_gpu_resource_create_blob command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
		.resource_id = htole32(1),
		.size = htole64(4096),
	};

	for (uint32_t mem = 0; mem < 5; mem++) {
		command.blob_mem = htole32(mem);
		assert_int_equal(control(*state, &command, sizeof(command)),
			mem == VIRTIO_GPU_BLOB_MEM_GUEST ? OK : ERR_PARAMETER);
	}
}

/* "The format MUST be one of enum virtio_gpu_formats." */
static void s_5_7_6_8_set_scanout_blob(void **state)
{
	struct virtio_gpu_set_scanout_blob command = blob_scanout(0, 1, 8, 8, 32);

	assert_int_equal(create_blob(*state, 1, 4096, RAM_ADDR), OK);
	for (uint32_t format = 0; format < 256; format++) {
		bool is_known = (format >= 1 && format <= 4) || format == 67 || format == 68 ||
			format == 121 || format == 134;

		command.format = htole32(format);
		assert_int_equal(
			control(*state, &command, sizeof(command)), is_known ? OK : ERR_PARAMETER);
	}
}

/* The 3D commands "are supported if the VIRTIO_GPU_F_VIRGL feature flag is set". */
static void s_5_7_6_9_controlq_3d(void **state)
{
	uint8_t bytes[128] = { 0 };

	for (uint32_t type = VIRTIO_GPU_CMD_CTX_CREATE; type <= VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;
		type++) {
		uint32_t wire = htole32(type);

		memcpy(bytes, &wire, sizeof(wire));
		assert_int_equal(control(*state, bytes, 24), ERR_UNSPEC);
		assert_int_equal(control(*state, bytes, sizeof(bytes)), ERR_UNSPEC);
	}
}

/* MOVE_CURSOR: "the other fields are not used and will be ignored by the device". */
static void s_5_7_6_10_cursorq(void **state)
{
	struct fixture *fixture = *state;
	const struct fake_output *output = &fixture->display->outputs[0];

	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRA, 64, 64), OK);
	assert_int_equal(update_cursor(fixture, 0, 1, 10, 20, 3, 4), OK);
	assert_int_equal(
		move_cursor(fixture, 0, 30, 40), OK); // with resource 4711, hot spot 12, 34
	assert_int_equal(output->cursor_place.x, 30);
	assert_int_equal(output->cursor_place.y, 40);
	assert_int_equal(output->cursor_place.hot_x, 3);
	assert_int_equal(output->cursor_place.hot_y, 4);
	assert_int_equal(output->cursors_set, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_SOFT(s_5_7_3_feature_bits),
		TEST_SOFT(s_5_7_3_feature_bits_not_taken),
		TEST_SOFT(s_5_7_4_1_device_configuration_fields),
		TEST_SOFT(s_5_7_4_2_events),
		TEST_BOTH(s_5_7_5_device_initialization),
		TEST_BOTH(s_5_7_6_5_command_lifecycle_and_fencing),
		TEST_BOTH(s_5_7_6_5_command_lifecycle_and_fencing_transfer),
		TEST_SOFT(s_5_7_6_7_request_header),
		TEST_BOTH(s_5_7_6_7_request_header_all_answers),
		TEST_SOFT(s_5_7_6_8_get_capset_info),
		TEST_BOTH(s_5_7_6_8_set_scanout),
		TEST_BOTH(s_5_7_6_8_resource_create_blob),
		TEST_BOTH(s_5_7_6_8_set_scanout_blob),
		TEST_SOFT(s_5_7_6_9_controlq_3d),
		TEST_BOTH(s_5_7_6_10_cursorq),
	};

	return cmocka_run_group_tests_name("gpu_spec", tests, NULL, NULL);
}
