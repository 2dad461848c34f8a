/* SPDX-License-Identifier: MIT */
#include "support/gpu_fixture.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "gpu/stream.h"
#include "support/fake_3d.h"

/* The 3D commands against a renderer that draws nothing: what is checked, routed, ordered and counted. */

#define ERR_CONTEXT VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID

struct test {
	struct fixture *fixture;
	struct fake_3d *fake;
};

static int setup_with(void **state, enum renderer_kind kind, uint64_t max_memory)
{
	static struct test test;
	const struct fixture_config config = { .kind = kind, .max_memory = max_memory };

	test.fixture = fixture_create(&config);
	test.fake = fake_3d_create(
		test.fixture->memory, &gpu_device_render_listener, test.fixture->device);
	gpu_device_set_renderer_3d(test.fixture->device, &test.fake->base);
	gpu_device_set_features(test.fixture->device, ~0ull);
	*state = &test;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, RENDERER_SOFT, 0);
}

static int setup_small(void **state)
{
	return setup_with(state, RENDERER_SOFT, 4u << 20);
}

/* For a context and two sub-contexts. */
static int setup_for_three(void **state)
{
	return setup_with(state, RENDERER_SOFT, 10u << 20);
}

/* Images in another process: transfers end later. */
static int setup_remote(void **state)
{
	return setup_with(state, RENDERER_REMOTE, 0);
}

static int teardown(void **state)
{
	struct test *test = *state;

	fixture_destroy(test->fixture);
	return 0;
}

static struct virtio_gpu_ctrl_hdr header_in(uint32_t type, uint32_t context)
{
	struct virtio_gpu_ctrl_hdr header = header_of(type);

	header.ctx_id = htole32(context);
	return header;
}

static struct virtio_gpu_ctrl_hdr fenced(struct virtio_gpu_ctrl_hdr header, uint64_t fence)
{
	header.flags |= htole32(VIRTIO_GPU_FLAG_FENCE);
	header.fence_id = htole64(fence);
	return header;
}

static uint32_t create_context(struct test *test, uint32_t id, uint32_t init, uint32_t name_len)
{
	const struct virtio_gpu_ctx_create command = {
		.hdr = header_in(VIRTIO_GPU_CMD_CTX_CREATE, id),
		.nlen = htole32(name_len),
		.context_init = htole32(init),
		.debug_name = "test",
	};

	return control(test->fixture, &command, sizeof(command));
}

static uint32_t destroy_context(struct test *test, uint32_t id)
{
	const struct virtio_gpu_ctx_destroy command = {
		.hdr = header_in(VIRTIO_GPU_CMD_CTX_DESTROY, id),
	};

	return control(test->fixture, &command, sizeof(command));
}

static uint32_t attach_to(struct test *test, uint32_t type, uint32_t context, uint32_t resource)
{
	const struct virtio_gpu_ctx_resource command = {
		.hdr = header_in(type, context),
		.resource_id = htole32(resource),
	};

	return control(test->fixture, &command, sizeof(command));
}

#define attach_resource(test, context, resource) \
	attach_to(test, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, context, resource)
#define detach_resource(test, context, resource) \
	attach_to(test, VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, context, resource)

static struct virtio_gpu_resource_create_3d texture_of(
	uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	return (struct virtio_gpu_resource_create_3d){
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_CREATE_3D),
		.resource_id = htole32(id),
		.target = htole32(2),
		.format = htole32(format),
		.bind = htole32(10),
		.width = htole32(width),
		.height = htole32(height),
		.depth = htole32(1),
		.array_size = htole32(1),
	};
}

static uint32_t create_texture(struct test *test, uint32_t id, uint32_t width, uint32_t height)
{
	const struct virtio_gpu_resource_create_3d command = texture_of(
		id, FORMAT_BGRX, width, height);

	return control(test->fixture, &command, sizeof(command));
}

struct stream {
	struct virtio_gpu_cmd_submit command;
	uint32_t dwords[4];
};

static struct stream stream_of(uint32_t context, uint32_t size)
{
	return (struct stream){
		.command = {
			.hdr = header_in(VIRTIO_GPU_CMD_SUBMIT_3D, context),
			.size = htole32(size),
		},
		.dwords = { 1, 2, 3, 4 },
	};
}

static void capsets_are_told_by_index_and_by_id(void **state)
{
	struct test *test = *state;
	struct fixture *fixture = test->fixture;
	struct virtio_gpu_get_capset_info info = {
		.hdr = header_of(VIRTIO_GPU_CMD_GET_CAPSET_INFO),
	};
	struct virtio_gpu_get_capset get = { .hdr = header_of(VIRTIO_GPU_CMD_GET_CAPSET) };
	struct wire_config config;

	gpu_device_get_config(fixture->device, &config);
	assert_int_equal(le32toh(config.num_capsets), 2);
	info.capset_index = htole32(1);
	assert_int_equal(control(fixture, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	assert_int_equal(le32toh(fixture->response.capset_info.capset_id), 2);
	assert_int_equal(le32toh(fixture->response.capset_info.capset_max_version), 2);
	assert_int_equal(le32toh(fixture->response.capset_info.capset_max_size), FAKE_CAPSET_SIZE);
	assert_int_equal(fixture->response_len, 40);
	info.capset_index = htole32(2);
	assert_int_equal(control(fixture, &info, sizeof(info)), ERR_PARAMETER);

	get.capset_id = htole32(2);
	get.capset_version = htole32(1);
	assert_int_equal(control(fixture, &get, sizeof(get)), VIRTIO_GPU_RESP_OK_CAPSET);
	assert_int_equal(fixture->response_len, 24 + FAKE_CAPSET_SIZE);
	assert_int_equal(le32toh(fixture->capset->hdr.type), VIRTIO_GPU_RESP_OK_CAPSET);
	assert_int_equal(fixture->capset->capset_data[0], 0x21);
	assert_int_equal(fixture->capset->capset_data[FAKE_CAPSET_SIZE - 1], 0x21);
	get.capset_version = htole32(3);
	assert_int_equal(control(fixture, &get, sizeof(get)), ERR_PARAMETER);
	get.capset_id = 0;
	assert_int_equal(control(fixture, &get, sizeof(get)), ERR_PARAMETER);
}

static void contexts_come_and_go(void **state)
{
	struct test *test = *state;

	assert_int_equal(create_context(test, 0, 0, 0), ERR_CONTEXT);
	assert_int_equal(create_context(test, 5, 0, 4), OK);
	assert_int_equal(create_context(test, 5, 0, 4), ERR_CONTEXT);
	assert_int_equal(create_context(test, 6, 2, 64), OK);
	assert_int_equal(test->fake->last_capset, 2);
	assert_int_equal(create_context(test, 7, 0, 65), ERR_PARAMETER);
	assert_int_equal(create_context(test, 7, 4, 4), ERR_PARAMETER); // Venus is not offered
	test->fake->fail = -EIO;
	assert_int_equal(create_context(test, 7, 0, 4), ERR_UNSPEC);
	test->fake->fail = -ENOMEM;
	assert_int_equal(create_context(test, 7, 0, 4), ERR_MEMORY);
	assert_int_equal(test->fake->contexts, 2);
	assert_int_equal(destroy_context(test, 7), ERR_CONTEXT);
	assert_int_equal(destroy_context(test, 5), OK);
	assert_int_equal(destroy_context(test, 5), ERR_CONTEXT);
	assert_int_equal(test->fake->contexts, 1);
}

/* An answer that a reset turned into an error is a header alone. */
static void a_capset_that_waits_is_aborted(void **state)
{
	struct test *test = *state;
	const struct virtio_gpu_get_capset get = {
		.hdr = fenced(header_of(VIRTIO_GPU_CMD_GET_CAPSET), 1),
		.capset_id = htole32(1),
	};
	struct ticket *ticket;
	struct virtio_gpu_ctrl_hdr answer;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	ticket = submit(test->fixture, WIRE_CONTROL_QUEUE, &get, sizeof(get));
	assert_int_equal(ticket->completions, 0);
	gpu_device_reset(test->fixture->device);
	assert_int_equal(answer_of(ticket), ERR_UNSPEC);
	assert_int_equal(ticket->request.response_len, sizeof(answer));
	memcpy(&answer, gpu_request_answer(&ticket->request), sizeof(answer));
	assert_int_equal(le32toh(answer.type), ERR_UNSPEC);
}

/* context_init was padding before VIRTIO_GPU_F_CONTEXT_INIT. */
static void context_init_needs_its_feature(void **state)
{
	struct test *test = *state;

	gpu_device_set_features(test->fixture->device, 1u << VIRTIO_GPU_F_VIRGL);
	assert_int_equal(create_context(test, 1, 4, 0), OK);
	assert_int_equal(test->fake->last_capset, 0);
}

static void contexts_are_bounded(void **state)
{
	struct test *test = *state;

	/* 4 MiB, 3 MiB each. */
	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(create_context(test, 2, 0, 0), ERR_MEMORY);
	assert_int_equal(destroy_context(test, 1), OK);
	assert_int_equal(create_context(test, 9, 0, 0), OK);
}

static void streams_are_checked(void **state)
{
	struct test *test = *state;
	struct fixture *fixture = test->fixture;
	struct stream stream = stream_of(1, 16);

	assert_int_equal(control(fixture, &stream, sizeof(stream)), ERR_CONTEXT);
	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(control(fixture, &stream, sizeof(stream)), OK);
	assert_int_equal(test->fake->submits, 1);
	assert_int_equal(test->fake->last_dword, 4);
	assert_int_equal(control(fixture, &stream, sizeof(stream) - 4), ERR_PARAMETER);
	stream = stream_of(1, 14);
	assert_int_equal(control(fixture, &stream, 32 + 14), ERR_PARAMETER);
	stream = stream_of(1, UINT32_MAX - 3);
	assert_int_equal(control(fixture, &stream, sizeof(stream)), ERR_PARAMETER);
	stream = stream_of(1, 16);
	stream.command.padding = htole32(1); // in-fences, a private extension
	assert_int_equal(control(fixture, &stream, sizeof(stream)), ERR_PARAMETER);
	assert_int_equal(test->fake->submits, 1);
	stream = stream_of(1, 0);
	assert_int_equal(control(fixture, &stream, 32), OK);
	stream = stream_of(1, 16);
	test->fake->fail = -EINVAL;
	assert_int_equal(control(fixture, &stream, sizeof(stream)), ERR_PARAMETER);
}

static void textures_are_made_moved_and_shown(void **state)
{
	struct test *test = *state;
	struct fixture *fixture = test->fixture;
	struct virtio_gpu_transfer_host_3d move = {
		.hdr = header_of(VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D),
		.box = { .x = htole32(1), .w = htole32(2), .h = htole32(3), .d = htole32(1) },
		.offset = htole64(8),
		.resource_id = htole32(1),
		.level = htole32(0),
		.stride = htole32(64),
	};

	assert_int_equal(create_texture(test, 1, 16, 8), OK);
	assert_int_equal(test->fake->last_texture.id, 1);
	assert_int_equal(create_texture(test, 1, 16, 8), ERR_RESOURCE);
	assert_int_equal(control(fixture, &move, sizeof(move)), ERR_PARAMETER); // no backing
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 4096), OK);
	assert_int_equal(control(fixture, &move, sizeof(move)), OK);
	assert_false(test->fake->last_transfer.to_host);
	assert_int_equal(test->fake->last_transfer.box.width, 2);
	assert_int_equal(test->fake->last_transfer.stride, 64);
	move.hdr = header_in(VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 3);
	assert_int_equal(control(fixture, &move, sizeof(move)), ERR_CONTEXT);
	assert_int_equal(create_context(test, 3, 0, 0), OK);
	assert_int_equal(control(fixture, &move, sizeof(move)), OK);
	assert_true(test->fake->last_transfer.to_host);
	test->fake->fail = -EINVAL;
	assert_int_equal(control(fixture, &move, sizeof(move)), ERR_PARAMETER);
	/* A 2D transfer is for images. */
	assert_int_equal(transfer(fixture, 1, 0, 0, 4, 4, 0), ERR_PARAMETER);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 16, 8), OK);
	assert_int_equal(flush(fixture, 1, 0, 0, 16, 8), OK);
	assert_int_equal(flush(fixture, 1, 0, 0, 17, 8), ERR_PARAMETER);
	assert_int_equal(unref(fixture, 1), OK);
	assert_int_equal(test->fake->textures, 0);
}

static void what_cannot_be_shown_is_not(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resource_create_3d command = texture_of(1, 94, 16, 8); // R16G16B16A16
	struct virtio_gpu_resource_create_3d buffer = texture_of(2, FORMAT_BGRX, 16, 1);

	buffer.target = 0;
	assert_int_equal(control(test->fixture, &command, sizeof(command)), OK);
	assert_int_equal(set_scanout(test->fixture, 0, 1, 0, 0, 16, 8), ERR_PARAMETER);
	assert_int_equal(control(test->fixture, &buffer, sizeof(buffer)), OK);
	assert_int_equal(set_scanout(test->fixture, 0, 2, 0, 0, 16, 1), ERR_PARAMETER);
}

static void textures_are_charged(void **state)
{
	struct test *test = *state;
	struct fixture *fixture = test->fixture;
	struct virtio_gpu_resource_create_3d command = texture_of(1, FORMAT_BGRX, 1024, 1024);

	/* 4 MiB in all, and the list of resources is free. */
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	assert_int_equal(create_texture(test, 2, 1, 1), ERR_MEMORY);
	assert_int_equal(unref(fixture, 1), OK);
	command.last_level = htole32(10);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_MEMORY);
	command.last_level = 0;
	command.nr_samples = htole32(4);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_MEMORY);
	command.nr_samples = 0;
	command.array_size = htole32(2);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_MEMORY);
	command = texture_of(1, FORMAT_BGRX, UINT32_MAX, UINT32_MAX);
	command.depth = htole32(UINT32_MAX);
	command.array_size = htole32(UINT32_MAX);
	command.nr_samples = htole32(UINT32_MAX);
	assert_int_equal(control(fixture, &command, sizeof(command)), ERR_MEMORY);
	test->fake->fail = -EINVAL;
	assert_int_equal(create_texture(test, 1, 16, 16), ERR_PARAMETER);
	assert_int_equal(gpu_device_totals(fixture->device).memory_used, 0);
}

/* What CREATE_2D made stays with the soft renderer; contexts see a shadow that follows transfers. */
static void images_get_a_shadow(void **state)
{
	struct test *test = *state;
	struct fixture *fixture = test->fixture;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(create_2d(fixture, 7, FORMAT_BGRA, 32, 16), OK);
	assert_int_equal(attach_one(fixture, 7, RAM_ADDR, 4096), OK);
	assert_int_equal(transfer(fixture, 7, 0, 0, 32, 16, 0), OK);
	assert_int_equal(test->fake->uploads, 0);
	assert_int_equal(attach_resource(test, 1, 7), OK);
	assert_int_equal(test->fake->last_texture.id, 7);
	assert_int_equal(test->fake->last_texture.format, FORMAT_BGRA);
	assert_int_equal(test->fake->uploads, 1);
	assert_int_equal(test->fake->last_upload.width, 32);
	assert_int_equal(transfer(fixture, 7, 4, 2, 8, 3, 0), OK);
	assert_int_equal(test->fake->uploads, 2);
	assert_int_equal(test->fake->last_upload.x, 4);
	assert_int_equal(test->fake->last_upload.height, 3);
	assert_int_equal(attach_resource(test, 1, 7), OK); // twice: the same shadow
	assert_int_equal(test->fake->textures, 1);
	assert_int_equal(detach_resource(test, 1, 7), OK);
	assert_int_equal(unref(fixture, 7), OK);
	assert_int_equal(test->fake->textures, 0);
	assert_int_equal(attach_resource(test, 1, 7), ERR_RESOURCE);
	assert_int_equal(attach_resource(test, 9, 7), ERR_CONTEXT);
	assert_int_equal(detach_resource(test, 9, 7), ERR_CONTEXT);
}

/* 5.7.6.7: the answer says that the work is done, and for drivers that all before it is, too. */
static void fences_keep_their_order(void **state)
{
	struct test *test = *state;
	struct fixture *fixture = test->fixture;
	struct stream stream = stream_of(1, 16);
	struct virtio_gpu_resource_flush flushing = {
		.hdr = fenced(header_of(VIRTIO_GPU_CMD_RESOURCE_FLUSH), 8),
		.r = wire_rect(0, 0, 4, 4),
		.resource_id = htole32(2),
	};
	struct ticket *tickets[4];

	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 4, 4), OK);
	tickets[0] = submit(fixture, 0, &flushing, sizeof(flushing));
	assert_int_equal(answer_of(tickets[0]), OK); // without contexts nothing is waited for
	assert_int_equal(create_context(test, 1, 0, 0), OK);
	stream.command.hdr = fenced(stream.command.hdr, UINT64_C(0x100000007));
	tickets[0] = submit(fixture, 0, &stream, sizeof(stream));
	tickets[1] = submit(fixture, 0, &flushing, sizeof(flushing));
	stream.command.hdr.ctx_id = htole32(77);
	tickets[2] = submit(fixture, 0, &stream, sizeof(stream));
	flushing.hdr.flags = 0;
	tickets[3] = submit(fixture, 0, &flushing, sizeof(flushing));
	assert_int_equal(tickets[0]->completions, 0);
	assert_int_equal(tickets[1]->completions, 0);
	assert_int_equal(answer_of(tickets[2]), ERR_CONTEXT); // an error at once
	assert_int_equal(answer_of(tickets[3]), OK); // as what has no fence
	assert_int_equal(test->fake->fence_count, 2);
	fake_3d_end_fences(test->fake, 1);
	assert_int_equal(answer_of(tickets[0]), OK);
	assert_int_equal(
		le64toh(tickets[0]->request.response.header.fence_id), UINT64_C(0x100000007));
	assert_int_equal(tickets[1]->completions, 0);
	fake_3d_end_fences(test->fake, 1);
	assert_int_equal(answer_of(tickets[1]), OK);
	test->fake->fail = -EIO;
	flushing.hdr = fenced(flushing.hdr, 9);
	assert_int_equal(control(fixture, &flushing, sizeof(flushing)), ERR_UNSPEC);
}

/* Linux names a ring of a context with a fence; the answer is matched by both. */
static void fences_of_rings_are_echoed(void **state)
{
	struct test *test = *state;
	struct stream stream = stream_of(1, 16);
	const struct virtio_gpu_ctrl_hdr *answer;
	struct ticket *ticket;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	stream.command.hdr = fenced(stream.command.hdr, UINT64_MAX - 1);
	stream.command.hdr.flags |= htole32(VIRTIO_GPU_FLAG_INFO_RING_IDX);
	stream.command.hdr.ring_idx = 3;
	ticket = submit(test->fixture, WIRE_CONTROL_QUEUE, &stream, sizeof(stream));
	assert_int_equal(ticket->completions, 0);
	fake_3d_end_fences(test->fake, 1);
	assert_int_equal(answer_of(ticket), OK);
	answer = &ticket->request.response.header;
	assert_int_equal(
		le32toh(answer->flags), VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX);
	assert_true(le64toh(answer->fence_id) == UINT64_MAX - 1);
	assert_int_equal(le32toh(answer->ctx_id), 1);
	assert_int_equal(answer->ring_idx, 3);
}

static struct gpu_context_status status_of(struct test *test, uint32_t id)
{
	struct gpu_context_status list[8];
	size_t count = gpu_device_context_status(test->fixture->device, list, 8);

	for (size_t i = 0; i < count; i++) {
		if (list[i].id == id) {
			return list[i];
		}
	}
	return (struct gpu_context_status){ 0 };
}

static void blobs_are_attached_without_the_renderer(void **state)
{
	struct test *test = *state;
	struct fixture *fixture = test->fixture;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(create_blob(fixture, 8, 4096, RAM_ADDR), OK);
	assert_int_equal(attach_resource(test, 1, 8), OK);
	assert_int_equal(attach_resource(test, 1, 8), OK);
	assert_int_equal(status_of(test, 1).resources, 1);
	assert_int_equal(test->fake->textures + test->fake->attached, 0);
	assert_int_equal(detach_resource(test, 1, 8), OK);
	assert_int_equal(status_of(test, 1).resources, 0);
	assert_int_equal(attach_resource(test, 1, 8), OK);
	assert_int_equal(unref(fixture, 8), OK);
	assert_int_equal(status_of(test, 1).resources, 0);
	assert_int_equal(create_blob(fixture, 8, 4096, RAM_ADDR), OK);
	assert_int_equal(attach_resource(test, 1, 8), OK);
	assert_int_equal(destroy_context(test, 1), OK);
	assert_int_equal(unref(fixture, 8), OK);
}

static void contexts_are_counted(void **state)
{
	struct test *test = *state;
	struct stream stream = stream_of(1, 16);
	struct ticket *ticket;

	assert_int_equal(create_context(test, 1, 2, 4), OK);
	assert_int_equal(create_context(test, 2, 0, 0), OK);
	assert_int_equal(control(test->fixture, &stream, sizeof(stream)), OK);
	stream.command.hdr = fenced(stream.command.hdr, 1);
	ticket = submit(test->fixture, WIRE_CONTROL_QUEUE, &stream, sizeof(stream));
	assert_string_equal(status_of(test, 1).name, "test");
	assert_int_equal(status_of(test, 1).capset, 2);
	assert_int_equal(status_of(test, 1).submits, 2);
	assert_int_equal(status_of(test, 1).submit_bytes, 32);
	assert_int_equal(status_of(test, 1).fences, 1);
	assert_int_equal(status_of(test, 2).id, 2);
	assert_int_equal(status_of(test, 2).submits, 0);
	assert_int_equal(status_of(test, 2).fences, 0);
	fake_3d_end_fences(test->fake, 1);
	assert_int_equal(answer_of(ticket), OK);
	assert_int_equal(status_of(test, 1).fences, 0);
	/* What was refused did not run. */
	stream = stream_of(1, 16);
	test->fake->fail = -EINVAL;
	assert_int_equal(control(test->fixture, &stream, sizeof(stream)), ERR_PARAMETER);
	assert_int_equal(status_of(test, 1).submits, 2);
	assert_int_equal(gpu_device_totals(test->fixture->device).contexts, 2);
	assert_int_equal(gpu_device_context_status(
				 test->fixture->device, (struct gpu_context_status[1]){ 0 }, 1),
		1);
}

enum {
	CREATE_SUB = GPU_STREAM_CREATE_SUB_CONTEXT | 1 << 16,
	DESTROY_SUB = GPU_STREAM_DESTROY_SUB_CONTEXT | 1 << 16,
};

/* Runs a stream of context 1. */
static uint32_t run_words(struct test *test, const uint32_t *words, uint32_t count)
{
	struct {
		struct virtio_gpu_cmd_submit command;
		uint32_t words[16];
	} stream = {
		.command = {
			.hdr = header_in(VIRTIO_GPU_CMD_SUBMIT_3D, 1),
			.size = htole32(count * 4),
		},
	};

	assert_true(count <= 16);
	for (uint32_t i = 0; i < count; i++) {
		stream.words[i] = htole32(words[i]);
	}
	return control(test->fixture, &stream, sizeof(stream.command) + count * 4);
}

#define RUN(test, ...) \
	run_words(test, (const uint32_t[]){ __VA_ARGS__ }, \
		sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void assert_sub_contexts(struct test *test, uint32_t expected)
{
	assert_int_equal(status_of(test, 1).sub_contexts, expected);
	assert_int_equal(gpu_device_totals(test->fixture->device).memory_used,
		(uint64_t)(1 + expected) * 3 << 20);
}

static void sub_contexts_are_bounded(void **state)
{
	struct test *test = *state;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(RUN(test, 0, CREATE_SUB, 0, CREATE_SUB, 1, CREATE_SUB, 1), OK);
	assert_sub_contexts(test, 1); // 0 is the context's own, and 1 is made once
	assert_int_equal(RUN(test, DESTROY_SUB, 1, CREATE_SUB, 2, CREATE_SUB, 3), ERR_MEMORY);
	assert_sub_contexts(test, 1);
	assert_int_equal(test->fake->submits, 1);
	assert_int_equal(RUN(test, CREATE_SUB, 2, DESTROY_SUB, 2), OK);
	assert_sub_contexts(test, 1);
	assert_int_equal(RUN(test, CREATE_SUB, 2), OK);
	assert_sub_contexts(test, 2);
	assert_int_equal(RUN(test, CREATE_SUB, 2, CREATE_SUB, 1), OK);
	assert_int_equal(RUN(test, CREATE_SUB, 3), ERR_MEMORY);
	assert_int_equal(RUN(test, DESTROY_SUB, 3, DESTROY_SUB, 0), OK); // there are none
	assert_int_equal(RUN(test, CREATE_SUB, 3), ERR_MEMORY);
	assert_int_equal(RUN(test, DESTROY_SUB, 1), OK);
	assert_int_equal(RUN(test, CREATE_SUB, 3), OK);
	assert_sub_contexts(test, 2);
	assert_int_equal(destroy_context(test, 1), OK);
	assert_int_equal(gpu_device_totals(test->fixture->device).memory_used, 0);
}

/* Of a stream that failed nobody knows how far it came. */
static void sub_contexts_that_may_be_there_count(void **state)
{
	struct test *test = *state;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	test->fake->fail = -EINVAL;
	assert_int_equal(RUN(test, CREATE_SUB, 1), ERR_PARAMETER);
	assert_sub_contexts(test, 1);
	test->fake->fail = -EINVAL;
	assert_int_equal(RUN(test, DESTROY_SUB, 1), ERR_PARAMETER);
	assert_sub_contexts(test, 1);
	/* What failed is not made up for later. */
	assert_int_equal(RUN(test, CREATE_SUB, 2, DESTROY_SUB, 2), OK);
	assert_sub_contexts(test, 1);
	assert_int_equal(RUN(test, CREATE_SUB, 2, DESTROY_SUB, 2, CREATE_SUB, 1), OK);
	assert_sub_contexts(test, 1);
	assert_int_equal(RUN(test, DESTROY_SUB, 1, CREATE_SUB, 1), OK);
	assert_sub_contexts(test, 1);
	assert_int_equal(RUN(test, CREATE_SUB, 2, DESTROY_SUB, 2, DESTROY_SUB, 1), OK);
	assert_sub_contexts(test, 0);
}

/* They would be charged to nobody. */
static void streams_make_no_resources(void **state)
{
	struct test *test = *state;
	const uint32_t words[] = { CREATE_SUB, 1, CREATE_SUB, 2, DESTROY_SUB, 2,
		GPU_STREAM_CREATE_RESOURCE | 1 << 16, 0 };

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(RUN(test, CREATE_SUB, 2), OK);
	assert_int_equal(run_words(test, words, 8), ERR_PARAMETER);
	assert_int_equal(test->fake->submits, 1);
	assert_sub_contexts(test, 1);
	assert_int_equal(run_words(test, words, 7), OK); // cut off
	assert_sub_contexts(test, 1);
}

static void what_is_no_command_makes_no_sub_context(void **state)
{
	struct test *test = *state;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(RUN(test, 9 | 2 << 16, CREATE_SUB, 1), OK); // arguments
	assert_int_equal(RUN(test, 0, CREATE_SUB), OK); // cut off
	assert_int_equal(RUN(test, 9 | 5 << 16, 0, CREATE_SUB, 1), OK);
	assert_int_equal(RUN(test, GPU_STREAM_CREATE_SUB_CONTEXT | 2 << 16, 1, 2), OK);
	assert_int_equal(RUN(test, GPU_STREAM_CREATE_SUB_CONTEXT), OK);
	assert_sub_contexts(test, 0);
	assert_int_equal(RUN(test, CREATE_SUB | 7 << 8, 1), OK); // renderers ignore the kind
	assert_sub_contexts(test, 1);
}

/* A resource is attached once however often that is asked for; contexts and resources go in any order. */
static void attachments_are_counted(void **state)
{
	struct test *test = *state;
	const uint64_t texture = 64u * 64 * 4, image = 16u * 16 * 4;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(create_context(test, 2, 0, 0), OK);
	assert_int_equal(create_texture(test, 5, 64, 64), OK);
	assert_int_equal(create_2d(test->fixture, 6, FORMAT_BGRX, 16, 16), OK);
	for (uint32_t twice = 0; twice < 2; twice++) {
		assert_int_equal(attach_resource(test, 1, 5), OK);
		assert_int_equal(attach_resource(test, 1, 6), OK);
		assert_int_equal(attach_resource(test, 2, 5), OK);
	}
	assert_int_equal(test->fake->attached, 3);
	assert_int_equal(status_of(test, 1).resources, 2);
	assert_int_equal(status_of(test, 1).resource_bytes, texture + 2 * image); // and its shadow
	assert_int_equal(status_of(test, 2).resources, 1);
	for (uint32_t twice = 0; twice < 2; twice++) {
		assert_int_equal(detach_resource(test, 1, 6), OK);
	}
	assert_int_equal(test->fake->attached, 2);
	assert_int_equal(status_of(test, 1).resources, 1);
	assert_int_equal(status_of(test, 1).resource_bytes, texture);
	/* The resource goes before one context and after the other. */
	assert_int_equal(destroy_context(test, 2), OK);
	assert_int_equal(unref(test->fixture, 5), OK);
	assert_int_equal(status_of(test, 1).resources, 0);
	assert_int_equal(status_of(test, 1).resource_bytes, 0);
	assert_int_equal(attach_resource(test, 1, 6), OK);
	assert_int_equal(destroy_context(test, 1), OK);
	assert_int_equal(unref(test->fixture, 6), OK);
	assert_int_equal(gpu_device_totals(test->fixture->device).memory_used, 0);
}

/* Renderers keep a list of them too: thousands of resources in each context are not free. */
static void attachments_are_charged(void **state)
{
	struct test *test = *state;
	uint64_t before;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(create_texture(test, 5, 64, 64), OK);
	before = gpu_device_totals(test->fixture->device).memory_used;
	assert_int_equal(attach_resource(test, 1, 5), OK);
	assert_true(gpu_device_totals(test->fixture->device).memory_used > before);
	assert_int_equal(detach_resource(test, 1, 5), OK);
	assert_int_equal(gpu_device_totals(test->fixture->device).memory_used, before);
	/* The rest of the 4 MiB: a row is a page. */
	assert_int_equal(create_texture(test, 6, 1024, 256 - 4 - 1), OK);
	assert_int_equal(create_texture(test, 7, 1024, 1), OK);
	assert_int_equal(attach_resource(test, 1, 5), ERR_MEMORY);
	assert_int_equal(test->fake->attached, 0);
	assert_int_equal(unref(test->fixture, 7), OK);
	assert_int_equal(attach_resource(test, 1, 5), OK);
}

/* A driver's bytes are shown on terminals. */
static void names_are_cleaned(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_ctx_create command = {
		.hdr = header_in(VIRTIO_GPU_CMD_CTX_CREATE, 1),
		.nlen = htole32(9),
		.debug_name = "a\x1b[2J\xff\n~b",
	};

	assert_int_equal(control(test->fixture, &command, sizeof(command)), OK);
	assert_string_equal(status_of(test, 1).name, "a?[2J??~b");
	command.hdr.ctx_id = htole32(2);
	memset(command.debug_name, 'x', sizeof(command.debug_name));
	command.nlen = htole32(sizeof(command.debug_name));
	assert_int_equal(control(test->fixture, &command, sizeof(command)), OK);
	assert_int_equal(strlen(status_of(test, 2).name), 64);
}

static void late_fences_after_a_reset_fall_away(void **state)
{
	struct test *test = *state;
	struct stream stream = stream_of(1, 16);
	struct ticket *ticket;

	assert_int_equal(create_context(test, 1, 0, 0), OK);
	assert_int_equal(create_texture(test, 3, 16, 8), OK);
	assert_int_equal(create_2d(test->fixture, 4, FORMAT_BGRX, 4, 4), OK);
	assert_int_equal(attach_resource(test, 1, 4), OK);
	stream.command.hdr = fenced(stream.command.hdr, 1);
	ticket = submit(test->fixture, 0, &stream, sizeof(stream));
	gpu_device_reset(test->fixture->device);
	assert_int_equal(ticket->completions, 1);
	assert_int_equal(test->fake->contexts, 0);
	assert_int_equal(test->fake->textures, 0);
	fake_3d_end_fences(test->fake, 1);
	assert_int_equal(create_context(test, 1, 0, 0), OK);
}

/* Without VIRTIO_GPU_F_VIRGL there are no such commands, though the renderer is there. */
static void features_must_be_taken(void **state)
{
	struct test *test = *state;

	gpu_device_set_features(test->fixture->device, 0);
	assert_int_equal(create_context(test, 1, 0, 0), ERR_UNSPEC);
	assert_int_equal(create_texture(test, 1, 8, 8), ERR_UNSPEC);
}

/* Each 3D command of a length that is not its own. */
static void lengths_are_exact(void **state)
{
	static const struct {
		uint32_t type;
		size_t size;
	} commands[] = {
		{ VIRTIO_GPU_CMD_CTX_CREATE, 96 },
		{ VIRTIO_GPU_CMD_CTX_DESTROY, 24 },
		{ VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, 32 },
		{ VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, 32 },
		{ VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, 72 },
		{ VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 72 },
		{ VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, 72 },
	};
	struct test *test = *state;
	uint8_t bytes[128] = { 0 };

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct virtio_gpu_ctrl_hdr header = header_of(commands[i].type);

		memcpy(bytes, &header, sizeof(header));
		if (commands[i].size > 24) {
			assert_int_equal(
				control(test->fixture, bytes, commands[i].size - 1), ERR_PARAMETER);
		}
		assert_int_equal(
			control(test->fixture, bytes, commands[i].size + 1), ERR_PARAMETER);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(capsets_are_told_by_index_and_by_id),
		TEST(a_capset_that_waits_is_aborted),
		TEST(contexts_come_and_go),
		TEST(context_init_needs_its_feature),
		cmocka_unit_test_setup_teardown(contexts_are_bounded, setup_small, teardown),
		TEST(streams_are_checked),
		TEST(textures_are_made_moved_and_shown),
		TEST(what_cannot_be_shown_is_not),
		cmocka_unit_test_setup_teardown(textures_are_charged, setup_small, teardown),
		TEST(images_get_a_shadow),
		TEST(blobs_are_attached_without_the_renderer),
		{ "images_get_a_shadow (remote)", images_get_a_shadow, setup_remote, teardown,
			NULL },
		TEST(fences_keep_their_order),
		TEST(fences_of_rings_are_echoed),
		TEST(contexts_are_counted),
		cmocka_unit_test_setup_teardown(
			sub_contexts_are_bounded, setup_for_three, teardown),
		TEST(sub_contexts_that_may_be_there_count),
		TEST(streams_make_no_resources),
		TEST(what_is_no_command_makes_no_sub_context),
		TEST(attachments_are_counted),
		cmocka_unit_test_setup_teardown(attachments_are_charged, setup_small, teardown),
		TEST(names_are_cleaned),
		TEST(late_fences_after_a_reset_fall_away),
		TEST(features_must_be_taken),
		TEST(lengths_are_exact),
	};

	return cmocka_run_group_tests_name("gpu_3d", tests, NULL, NULL);
}
