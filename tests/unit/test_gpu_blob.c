/* SPDX-License-Identifier: MIT */
#include "support/gpu_fixture.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "gpu/stream.h"
#include "support/fake_3d.h"

/* Blobs of host memory, the window that they are mapped in, and the fences of a context's rings. */

#define ERR_CONTEXT VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID
#define OK_MAP_INFO VIRTIO_GPU_RESP_OK_MAP_INFO

#define CONTEXT     7
#define WINDOW_SIZE (16 * page)

static uint64_t page;

struct test {
	struct fixture *fixture;
	struct fake_3d *fake;
};

static struct virtio_gpu_ctrl_hdr header_in(uint32_t type, uint32_t context)
{
	struct virtio_gpu_ctrl_hdr header = header_of(type);

	header.ctx_id = htole32(context);
	return header;
}

static uint32_t create_context(struct test *test, uint32_t id, uint32_t capset)
{
	const struct virtio_gpu_ctx_create command = {
		.hdr = header_in(VIRTIO_GPU_CMD_CTX_CREATE, id),
		.context_init = htole32(capset),
	};

	return control(test->fixture, &command, sizeof(command));
}

static int setup(void **state)
{
	static struct test test;
	const struct fixture_config config = { .kind = RENDERER_SOFT };

	page = (uint64_t)sysconf(_SC_PAGESIZE);
	test.fixture = fixture_create(&config);
	test.fixture->window_size = WINDOW_SIZE;
	test.fake = fake_3d_create(
		test.fixture->memory, &gpu_device_render_listener, test.fixture->device);
	gpu_device_set_renderer_3d(test.fixture->device, &test.fake->base);
	gpu_device_set_features(test.fixture->device, ~0ull);
	assert_int_equal(create_context(&test, CONTEXT, WIRE_CAPSET_VENUS), OK);
	*state = &test;
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;

	fixture_destroy(test->fixture);
	return 0;
}

static struct virtio_gpu_resource_create_blob blob_of(uint32_t id, uint64_t size)
{
	return (struct virtio_gpu_resource_create_blob){
		.hdr = header_in(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, CONTEXT),
		.resource_id = htole32(id),
		.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_HOST3D),
		.blob_flags = htole32(VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE),
		.blob_id = htole64(99),
		.size = htole64(size),
	};
}

static uint32_t create_host_blob(struct test *test, uint32_t id, uint64_t size)
{
	const struct virtio_gpu_resource_create_blob command = blob_of(id, size);

	return control(test->fixture, &command, sizeof(command));
}

static struct ticket *submit_map(struct test *test, uint32_t id, uint64_t offset)
{
	const struct virtio_gpu_resource_map_blob command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB),
		.resource_id = htole32(id),
		.offset = htole64(offset),
	};

	return submit(test->fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
}

static struct ticket *submit_unmap(struct test *test, uint32_t id)
{
	const struct virtio_gpu_resource_unmap_blob command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB),
		.resource_id = htole32(id),
	};

	return submit(test->fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
}

static struct ticket *submit_unref(struct test *test, uint32_t id)
{
	const struct virtio_gpu_resource_unref command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_UNREF),
		.resource_id = htole32(id),
	};

	return submit(test->fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
}

/* The answer, which must be there. */
static uint32_t now(struct ticket *ticket)
{
	assert_int_equal(ticket->completions, 1);
	return answer_of(ticket);
}

static void map_at(struct test *test, uint32_t id, uint64_t offset)
{
	struct ticket *ticket = submit_map(test, id, offset);

	end_window_operation(test->fixture, 0);
	assert_int_equal(now(ticket), OK_MAP_INFO);
}

static void blobs_of_host_memory_are_made(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resource_create_blob command = blob_of(1, 3 * page);

	assert_int_equal(control(test->fixture, &command, sizeof(command)), OK);
	assert_int_equal(test->fake->last_blob.id, 1);
	assert_int_equal(test->fake->last_blob.blob_id, 99);
	assert_int_equal(test->fake->last_blob.size, 3 * page);
	assert_int_equal(test->fake->last_blob.flags, VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE);
	assert_true(gpu_device_totals(test->fixture->device).memory_used >= 3 * page);
	assert_int_equal(control(test->fixture, &command, sizeof(command)), ERR_RESOURCE);
	assert_int_equal(unref(test->fixture, 1), OK);
	assert_int_equal(test->fake->blobs, 0);
}

/* Of memory that the context has freed meanwhile the blob is all that is left to bound it by. */
static void a_blob_counts_for_all_of_its_memory(void **state)
{
	struct test *test = *state;
	uint64_t before = gpu_device_totals(test->fixture->device).memory_used;

	test->fake->blob_rest = 5 * page;
	assert_int_equal(create_host_blob(test, 1, page), OK);
	assert_true(gpu_device_totals(test->fixture->device).memory_used >= before + 6 * page);
	assert_int_equal(unref(test->fixture, 1), OK);
	assert_true(gpu_device_totals(test->fixture->device).memory_used == before);
	test->fake->blob_rest = 1ull << 40;
	assert_int_equal(create_host_blob(test, 1, page), ERR_MEMORY);
	test->fake->blob_rest = UINT64_MAX - page;
	assert_int_equal(create_host_blob(test, 1, page), ERR_MEMORY);
	assert_int_equal(test->fake->blobs, 0);
	assert_true(gpu_device_totals(test->fixture->device).memory_used == before);
	assert_int_equal(gpu_device_totals(test->fixture->device).resources, 0);
}

static void wrong_blobs_are_refused(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resource_create_blob command = blob_of(1, 0);

	assert_int_equal(control(test->fixture, &command, sizeof(command)), ERR_PARAMETER);
	command = blob_of(1, page);
	command.blob_mem = htole32(4);
	assert_int_equal(control(test->fixture, &command, sizeof(command)), ERR_PARAMETER);
	command = blob_of(1, page);
	command.blob_flags = htole32(8);
	assert_int_equal(control(test->fixture, &command, sizeof(command)), ERR_PARAMETER);
	command = blob_of(1, page);
	command.hdr.ctx_id = htole32(8);
	assert_int_equal(control(test->fixture, &command, sizeof(command)), ERR_CONTEXT);
	command.hdr.ctx_id = 0;
	assert_int_equal(control(test->fixture, &command, sizeof(command)), ERR_CONTEXT);
	assert_int_equal(create_host_blob(test, 1, 1ull << 40), ERR_MEMORY);
	test->fake->fail = -EINVAL; // the context has no memory of that number, or of that size
	assert_int_equal(create_host_blob(test, 1, page), ERR_PARAMETER);
	test->fake->fail = -EIO;
	assert_int_equal(create_host_blob(test, 1, page), ERR_UNSPEC);
	gpu_device_set_features(test->fixture->device, 1u << VIRTIO_GPU_F_RESOURCE_BLOB);
	assert_int_equal(create_host_blob(test, 1, page), ERR_PARAMETER);
	assert_int_equal(gpu_device_totals(test->fixture->device).resources, 0);
	assert_int_equal(test->fake->blobs, 0);
}

/* VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST: of both. */
static void a_blob_can_have_guest_pages_too(void **state)
{
	struct test *test = *state;
	struct {
		struct virtio_gpu_resource_create_blob command;
		struct virtio_gpu_mem_entry entry;
	} request = {
		.command = blob_of(1, page),
		.entry = { .addr = htole64(RAM_ADDR), .length = htole32((uint32_t)page) },
	};

	request.command.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST);
	request.command.nr_entries = htole32(1);
	assert_int_equal(control(test->fixture, &request, sizeof(request)), OK);
	assert_int_equal(test->fake->blobs, 1);
	assert_int_equal(detach(test->fixture, 1), OK);
	request.command.resource_id = htole32(2);
	request.command.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_HOST3D); // which has none
	assert_int_equal(control(test->fixture, &request, sizeof(request)), ERR_PARAMETER);
	request.command.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST);
	request.entry.length = htole32(64); // too short
	assert_int_equal(control(test->fixture, &request, sizeof(request)), ERR_PARAMETER);
	assert_int_equal(test->fake->blobs, 1);
}

static void a_map_waits_and_others_do_not(void **state)
{
	struct test *test = *state;
	struct ticket *ticket;
	struct window_operation operation;

	assert_int_equal(create_host_blob(test, 1, page + 1), OK);
	ticket = submit_map(test, 1, 2 * page);
	assert_int_equal(ticket->completions, 0);
	assert_int_equal(create_host_blob(test, 2, page), OK); // goes on
	operation = end_window_operation(test->fixture, 0);
	assert_true(operation.is_map && operation.offset == 2 * page && operation.len == 2 * page);
	assert_int_equal(now(ticket), OK_MAP_INFO);
	assert_int_equal(gpu_device_totals(test->fixture->device).mappings, 1);
	assert_true(gpu_device_totals(test->fixture->device).mapped_bytes == 2 * page);
	assert_true(gpu_device_totals(test->fixture->device).window_size == WINDOW_SIZE);
	assert_int_equal(ticket->request.response_len, 32);
	assert_int_equal(le32toh(ticket->request.response.map_info.map_info), 3);
	ticket = submit_unmap(test, 1);
	assert_int_equal(ticket->completions, 0);
	operation = end_window_operation(test->fixture, 0);
	assert_true(!operation.is_map && operation.offset == 2 * page && operation.len == 2 * page);
	assert_int_equal(now(ticket), OK);
	assert_int_equal(gpu_device_totals(test->fixture->device).mappings, 0);
	map_at(test, 1, 0);
}

static void wrong_maps_are_refused(void **state)
{
	struct test *test = *state;

	assert_int_equal(now(submit_map(test, 1, 0)), ERR_RESOURCE);
	assert_int_equal(create_host_blob(test, 1, 4 * page), OK);
	assert_int_equal(create_host_blob(test, 2, 4 * page), OK);
	assert_int_equal(now(submit_map(test, 1, page / 2)), ERR_PARAMETER);
	assert_int_equal(now(submit_map(test, 1, WINDOW_SIZE - 3 * page)), ERR_PARAMETER);
	assert_int_equal(now(submit_map(test, 1, UINT64_MAX - page + 1)), ERR_PARAMETER);
	assert_int_equal(now(submit_map(test, 1, WINDOW_SIZE)), ERR_PARAMETER);
	map_at(test, 1, 4 * page);
	assert_int_equal(now(submit_map(test, 1, 8 * page)), ERR_PARAMETER); // twice
	assert_int_equal(now(submit_map(test, 2, page)), ERR_PARAMETER); // over its start
	assert_int_equal(now(submit_map(test, 2, 7 * page)), ERR_PARAMETER); // over its end
	assert_int_equal(now(submit_map(test, 2, 4 * page)), ERR_PARAMETER);
	map_at(test, 2, 8 * page); // touches
	assert_int_equal(test->fixture->window_count, 0);
}

static void only_mappable_blobs_of_the_host_are_mapped(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resource_create_blob command = blob_of(1, page);

	command.blob_flags = htole32(VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE);
	assert_int_equal(control(test->fixture, &command, sizeof(command)), OK);
	assert_int_equal(now(submit_map(test, 1, 0)), ERR_PARAMETER);
	assert_int_equal(create_blob(test->fixture, 2, page, RAM_ADDR), OK);
	assert_int_equal(now(submit_map(test, 2, 0)), ERR_PARAMETER);
	assert_int_equal(create_2d(test->fixture, 3, FORMAT_BGRX, 16, 16), OK);
	assert_int_equal(now(submit_map(test, 3, 0)), ERR_PARAMETER);
	assert_int_equal(create_host_blob(test, 4, page), OK);
	test->fake->fail = -ENOTSUP; // cannot leave the renderer
	assert_int_equal(now(submit_map(test, 4, 0)), ERR_UNSPEC);
	test->fixture->window_error = -ENOSPC;
	assert_int_equal(now(submit_map(test, 4, 0)), ERR_MEMORY);
	test->fixture->window_error = -ENOTSUP;
	assert_int_equal(now(submit_map(test, 4, 0)), ERR_UNSPEC);
	test->fixture->window_error = 0;
	test->fixture->window_size = 0;
	assert_int_equal(now(submit_map(test, 4, 0)), ERR_UNSPEC);
}

static void wrong_unmaps_are_refused(void **state)
{
	struct test *test = *state;
	struct ticket *mapping;

	assert_int_equal(now(submit_unmap(test, 1)), ERR_RESOURCE);
	assert_int_equal(create_host_blob(test, 1, page), OK);
	assert_int_equal(now(submit_unmap(test, 1)), ERR_PARAMETER);
	mapping = submit_map(test, 1, 0);
	assert_int_equal(now(submit_unmap(test, 1)), ERR_PARAMETER); // not yet
	end_window_operation(test->fixture, 0);
	assert_int_equal(now(mapping), OK_MAP_INFO);
	submit_unmap(test, 1);
	assert_int_equal(now(submit_unmap(test, 1)), ERR_PARAMETER); // twice
	end_window_operation(test->fixture, 0);
	assert_int_equal(now(submit_unmap(test, 1)), ERR_PARAMETER);
}

static void a_refused_map_leaves_the_place_free(void **state)
{
	struct test *test = *state;
	struct ticket *ticket;

	assert_int_equal(create_host_blob(test, 1, page), OK);
	ticket = submit_map(test, 1, 0);
	end_window_operation(test->fixture, -EIO);
	assert_int_equal(now(ticket), ERR_UNSPEC);
	assert_int_equal(now(submit_unmap(test, 1)), ERR_PARAMETER);
	map_at(test, 1, 0);
}

static void unref_unmaps_first(void **state)
{
	struct test *test = *state;
	struct ticket *ticket;

	assert_int_equal(create_host_blob(test, 1, page), OK);
	map_at(test, 1, 0);
	ticket = submit_unref(test, 1);
	assert_int_equal(ticket->completions, 0);
	assert_false(end_window_operation(test->fixture, 0).is_map);
	assert_int_equal(now(ticket), OK);
	assert_int_equal(test->fake->blobs, 0);
}

static void unref_while_mapping_unmaps_after(void **state)
{
	struct test *test = *state;
	struct ticket *mapping;

	assert_int_equal(create_host_blob(test, 1, page), OK);
	mapping = submit_map(test, 1, 0);
	assert_int_equal(now(submit_unref(test, 1)), OK);
	assert_int_equal(test->fixture->window_count, 1);
	assert_true(end_window_operation(test->fixture, 0).is_map);
	assert_int_equal(now(mapping), OK_MAP_INFO);
	assert_int_equal(test->fixture->window_count, 1);
	assert_false(end_window_operation(test->fixture, 0).is_map);
}

static void unref_while_unmapping_waits_for_nothing(void **state)
{
	struct test *test = *state;
	struct ticket *unmapping;

	assert_int_equal(create_host_blob(test, 1, page), OK);
	map_at(test, 1, 0);
	unmapping = submit_unmap(test, 1);
	assert_int_equal(now(submit_unref(test, 1)), OK);
	end_window_operation(test->fixture, 0);
	assert_int_equal(now(unmapping), OK);
	assert_int_equal(test->fixture->window_count, 0);
}

/* The VMM's window is empty then; nobody is asked, and what was asked before is void. */
static void a_reset_forgets_the_window(void **state)
{
	struct test *test = *state;
	struct ticket *mapping, *unmapping;

	for (uint32_t id = 1; id <= 4; id++) {
		assert_int_equal(create_host_blob(test, id, page), OK);
	}
	map_at(test, 1, 0);
	map_at(test, 2, page);
	mapping = submit_map(test, 3, 2 * page);
	assert_int_equal(now(submit_unref(test, 3)), OK);
	unmapping = submit_unmap(test, 2);
	gpu_device_reset(test->fixture->device);
	assert_int_equal(now(mapping), ERR_UNSPEC);
	assert_int_equal(now(unmapping), ERR_UNSPEC);
	assert_int_equal(test->fixture->window_count, 2);
	end_window_operation(test->fixture, 0);
	end_window_operation(test->fixture, 0);
	assert_int_equal(create_context(test, CONTEXT, WIRE_CAPSET_VENUS), OK);
	assert_int_equal(create_host_blob(test, 1, 4 * page), OK);
	map_at(test, 1, 0);
}

static void blobs_are_shown(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_set_scanout_blob show = blob_scanout(0, 1, 16, 8, 64);

	assert_int_equal(create_host_blob(test, 1, 64 * 8), OK);
	assert_int_equal(control(test->fixture, &show, sizeof(show)), OK);
	assert_int_equal(flush(test->fixture, 1, 0, 0, 16, 8), OK);
	assert_int_equal(set_scanout(test->fixture, 0, 1, 0, 0, 16, 8), ERR_PARAMETER);
	show.offsets[0] = htole32(4); // past the end
	assert_int_equal(control(test->fixture, &show, sizeof(show)), ERR_PARAMETER);
	/* It is shared memory: nothing to move. */
	assert_int_equal(transfer(test->fixture, 1, 0, 0, 4, 4, 0), OK);
}

/* A stream that VirGL's contexts may run, and one that for them makes a resource, which the device refuses. */
#define PLAIN_STREAM  0
#define MAKING_STREAM (1u << 16 | GPU_STREAM_CREATE_RESOURCE)

static struct ticket *submit_fenced(
	struct test *test, uint32_t context, uint32_t word, uint8_t ring, bool named)
{
	struct {
		struct virtio_gpu_cmd_submit command;
		uint32_t dwords[2];
	} request = {
		.command = {
			.hdr = header_in(VIRTIO_GPU_CMD_SUBMIT_3D, context),
			.size = htole32(8),
		},
		.dwords = { htole32(word), 0 },
	};

	request.command.hdr.flags = htole32(
		VIRTIO_GPU_FLAG_FENCE | (named ? VIRTIO_GPU_FLAG_INFO_RING_IDX : 0));
	request.command.hdr.fence_id = htole64(UINT64_C(0x123456789abcdef0));
	request.command.hdr.ring_idx = ring;
	return submit(test->fixture, WIRE_CONTROL_QUEUE, &request, sizeof(request));
}

static void rings_have_fences(void **state)
{
	struct test *test = *state;
	struct ticket *ticket;

	test->fake->last_ring = 99;
	ticket = submit_fenced(test, CONTEXT, MAKING_STREAM, 5, true);
	assert_int_equal(ticket->completions, 0);
	assert_int_equal(test->fake->last_ring, 5);
	fake_3d_end_fences(test->fake, 1);
	assert_int_equal(now(ticket), OK);
	assert_int_equal(ticket->request.response.header.ring_idx, 5);
	assert_int_equal(le32toh(ticket->request.response.header.ctx_id), CONTEXT);
	assert_true(
		le64toh(ticket->request.response.header.fence_id) == UINT64_C(0x123456789abcdef0));
	/* Without the flag it is a fence of the device. */
	test->fake->last_ring = 99;
	ticket = submit_fenced(test, CONTEXT, PLAIN_STREAM, 5, false);
	assert_int_equal(test->fake->last_ring, 99);
	fake_3d_end_fences(test->fake, 1);
	assert_int_equal(now(ticket), OK);
	/* VirGL's is the device's, too. */
	assert_int_equal(create_context(test, 8, 2), OK);
	assert_int_equal(now(submit_fenced(test, 8, MAKING_STREAM, 0, true)), ERR_PARAMETER);
	ticket = submit_fenced(test, 8, PLAIN_STREAM, 0, true);
	assert_int_equal(test->fake->last_ring, 99);
	fake_3d_end_fences(test->fake, 1);
	assert_int_equal(now(ticket), OK);
	/* No such ring; and the context's process died. */
	ticket = submit_fenced(test, CONTEXT, PLAIN_STREAM, 6, true);
	test->fake->base.listener->operation_done(
		test->fake->base.listener_data, test->fake->fences[0], -EIO);
	test->fake->fence_count = 0;
	assert_int_equal(now(ticket), ERR_UNSPEC);
}

/* Index and id apart: without a window the third index is none. */
static void venus_needs_a_window(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_get_capset_info info = {
		.hdr = header_of(VIRTIO_GPU_CMD_GET_CAPSET_INFO),
		.capset_index = htole32(2),
	};
	struct virtio_gpu_get_capset get = {
		.hdr = header_of(VIRTIO_GPU_CMD_GET_CAPSET),
		.capset_id = htole32(WIRE_CAPSET_VENUS),
	};
	struct wire_config config;

	gpu_device_get_config(test->fixture->device, &config);
	assert_int_equal(le32toh(config.num_capsets), 3);
	assert_int_equal(
		control(test->fixture, &info, sizeof(info)), VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	assert_int_equal(le32toh(test->fixture->response.capset_info.capset_id), WIRE_CAPSET_VENUS);
	assert_int_equal(control(test->fixture, &get, sizeof(get)), VIRTIO_GPU_RESP_OK_CAPSET);
	test->fixture->window_size = 0;
	gpu_device_get_config(test->fixture->device, &config);
	assert_int_equal(le32toh(config.num_capsets), 2);
	assert_int_equal(control(test->fixture, &info, sizeof(info)), ERR_PARAMETER);
	assert_int_equal(control(test->fixture, &get, sizeof(get)), ERR_PARAMETER);
	assert_int_equal(create_context(test, 9, WIRE_CAPSET_VENUS), ERR_PARAMETER);
}

static uint32_t attach_to_context(struct test *test, uint32_t context, uint32_t resource)
{
	const struct virtio_gpu_ctx_resource command = {
		.hdr = header_in(VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, context),
		.resource_id = htole32(resource),
	};

	return control(test->fixture, &command, sizeof(command));
}

/* Linux makes a context for each program that has 2D images, whatever the device speaks. */
static void images_have_no_shadow_where_nobody_draws_with_them(void **state)
{
	struct test *test = *state;

	assert_int_equal(create_2d(test->fixture, 1, FORMAT_BGRX, 16, 16), OK);
	assert_int_equal(attach_to_context(test, CONTEXT, 1), OK);
	assert_int_equal(test->fake->textures, 0);
	test->fake->no_virgl = true;
	assert_int_equal(create_context(test, 8, 0), OK);
	assert_int_equal(attach_to_context(test, 8, 1), OK);
	assert_int_equal(test->fake->textures, 0);
	assert_int_equal(test->fake->attached, 0);
	assert_int_equal(create_host_blob(test, 2, page), OK);
	assert_int_equal(attach_to_context(test, CONTEXT, 2), OK);
	assert_int_equal(test->fake->attached, 1);
	test->fake->no_virgl = false;
	assert_int_equal(attach_to_context(test, 8, 1), OK);
	assert_int_equal(test->fake->textures, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blobs_of_host_memory_are_made),
		TEST(a_blob_counts_for_all_of_its_memory),
		TEST(wrong_blobs_are_refused),
		TEST(a_blob_can_have_guest_pages_too),
		TEST(a_map_waits_and_others_do_not),
		TEST(wrong_maps_are_refused),
		TEST(only_mappable_blobs_of_the_host_are_mapped),
		TEST(wrong_unmaps_are_refused),
		TEST(a_refused_map_leaves_the_place_free),
		TEST(unref_unmaps_first),
		TEST(unref_while_mapping_unmaps_after),
		TEST(unref_while_unmapping_waits_for_nothing),
		TEST(a_reset_forgets_the_window),
		TEST(blobs_are_shown),
		TEST(rings_have_fences),
		TEST(venus_needs_a_window),
		TEST(images_have_no_shadow_where_nobody_draws_with_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
