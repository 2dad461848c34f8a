/* SPDX-License-Identifier: MIT */
/* A device whose textures take time to be read, and the VMM's display, which sends them. */
#include "support/gpu_fixture.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "display/vmm/protocol.h"
#include "display/vmm/vmm.h"
#include "frontend/display.h"
#include "support/fake_3d.h"

enum {
	SIZE = 100, // of textures, pixels both ways
	TEXTURE = 7,
	OTHER = 8,
	CONTEXT = 3,
};

struct test {
	struct fixture *fixture;
	struct fake_3d *fake;
	struct loop *loop;
	int viewer; // the other end of the display's socket
};

static void open_display(struct test *test)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	test->viewer = ends[0];
	gpu_device_set_display(test->fixture->device,
		vmm_display_create(test->loop, ends[1], &(struct vmm_config){ 0 }));
}

static int setup(void **state)
{
	static const struct fixture_config config = { .kind = RENDERER_SOFT };
	static struct test test;

	test.loop = loop_create();
	test.fixture = fixture_create(&config);
	test.fake = fake_3d_create(
		test.fixture->memory, &gpu_device_render_listener, test.fixture->device);
	gpu_device_set_renderer_3d(test.fixture->device, &test.fake->base);
	gpu_device_set_features(test.fixture->device, ~0ull);
	open_display(&test);
	*state = &test;
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;

	if (test->fixture) {
		fixture_destroy(test->fixture);
	}
	close(test->viewer);
	loop_destroy(test->loop);
	return 0;
}

/* Turns the loop, and counts the bytes of UPDATEs that come meanwhile. */
static size_t read_updates(struct test *test)
{
	static uint8_t bytes[1 << 20];
	size_t size = 0, updates = 0;
	ssize_t count;

	for (int i = 0; i < 4; i++) {
		loop_run_once(test->loop, false);
		while ((count = recv(test->viewer, bytes + size, sizeof(bytes) - size,
				MSG_DONTWAIT)) > 0) {
			size += (size_t)count;
		}
	}
	for (size_t at = 0; at < size;) {
		struct vmm_header header;

		memcpy(&header, bytes + at, sizeof(header));
		updates += header.request == VMM_UPDATE ? header.size : 0;
		at += sizeof(header) + header.size;
	}
	return updates;
}

static void make_texture(struct test *test, uint32_t id)
{
	const struct virtio_gpu_resource_create_3d command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_CREATE_3D),
		.resource_id = htole32(id),
		.target = htole32(2),
		.format = htole32(FORMAT_BGRX),
		.bind = htole32(10),
		.width = htole32(SIZE),
		.height = htole32(SIZE),
		.depth = htole32(1),
		.array_size = htole32(1),
	};

	assert_int_equal(control(test->fixture, &command, sizeof(command)), OK);
}

static struct ticket *submit_flush(struct test *test, uint32_t id)
{
	const struct virtio_gpu_resource_flush command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_FLUSH),
		.r = wire_rect(0, 0, SIZE, SIZE),
		.resource_id = htole32(id),
	};

	return submit(test->fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
}

/* The flush of a texture on scanout 0 whose pixels are being read. */
static struct ticket *begin(struct test *test)
{
	struct ticket *ticket;

	make_texture(test, TEXTURE);
	assert_int_equal(set_scanout(test->fixture, 0, TEXTURE, 0, 0, SIZE, SIZE), OK);
	ticket = submit_flush(test, TEXTURE);
	assert_int_equal(read_updates(test), 0);
	assert_int_equal(test->fake->last_frame->pending, 1);
	assert_int_equal(ticket->completions, 0);
	return ticket;
}

static uint32_t in_context(struct test *test, uint32_t type)
{
	const union {
		struct virtio_gpu_ctrl_hdr header;
		struct virtio_gpu_ctx_create create;
		struct {
			struct virtio_gpu_cmd_submit fixed;
			uint32_t dwords[4];
		} submit;
	} command = {
		.submit = {
			.fixed = {
				.hdr = { .type = htole32(type), .ctx_id = htole32(CONTEXT) },
				.size = htole32(type == VIRTIO_GPU_CMD_SUBMIT_3D ? 16 : 0),
			},
		},
	};
	size_t size = type == VIRTIO_GPU_CMD_SUBMIT_3D ? sizeof(command.submit)
		: type == VIRTIO_GPU_CMD_CTX_CREATE    ? sizeof(command.create)
						       : sizeof(struct virtio_gpu_ctx_destroy);

	return control(test->fixture, &command, size);
}

static void commands_go_on_while_pixels_are_read(void **state)
{
	struct test *test = *state;
	struct ticket *ticket = begin(test);

	assert_int_equal(in_context(test, VIRTIO_GPU_CMD_CTX_CREATE), OK);
	assert_int_equal(in_context(test, VIRTIO_GPU_CMD_SUBMIT_3D), OK);
	assert_int_equal(in_context(test, VIRTIO_GPU_CMD_CTX_DESTROY), OK);
	show_image(test->fixture, 1, FORMAT_BGRX, 8, 8, 1);
	assert_int_equal(flush(test->fixture, 1, 0, 0, 8, 8), OK);
	assert_int_equal(read_updates(test), sizeof(struct vmm_update) + 8 * 8 * 4);
	assert_int_equal(ticket->completions, 0);
	slow_frame_end(test->fake->last_frame, 0);
	assert_int_equal(ticket->completions, 0); // the viewer has not taken it
	assert_int_equal(read_updates(test), sizeof(struct vmm_update) + SIZE * SIZE * 4);
	assert_int_equal(answer_of(ticket), OK);
}

static void pixels_that_cannot_be_read_end_the_flush(void **state)
{
	struct test *test = *state;
	struct ticket *ticket = begin(test);

	slow_frame_end(test->fake->last_frame, -5);
	assert_int_equal(read_updates(test), 0);
	assert_int_equal(answer_of(ticket), OK);
}

static void a_texture_that_goes_meanwhile_ends_the_flush(void **state)
{
	struct test *test = *state;
	struct ticket *ticket = begin(test);

	assert_int_equal(unref(test->fixture, TEXTURE), OK);
	assert_int_equal(read_updates(test), 0);
	assert_int_equal(answer_of(ticket), OK);
	assert_int_equal(test->fake->textures, 0);
}

static void a_flip_meanwhile_ends_the_flush(void **state)
{
	struct test *test = *state;
	struct ticket *ticket = begin(test);
	struct slow_frame *former = test->fake->last_frame;

	make_texture(test, OTHER);
	assert_int_equal(set_scanout(test->fixture, 0, OTHER, 0, 0, SIZE, SIZE), OK);
	assert_int_equal(former->pending, 0);
	assert_int_equal(read_updates(test), 0);
	assert_int_equal(answer_of(ticket), OK);
	ticket = submit_flush(test, OTHER);
	assert_int_equal(test->fake->last_frame->pending, 1);
	slow_frame_end(test->fake->last_frame, 0);
	assert_int_equal(read_updates(test), sizeof(struct vmm_update) + SIZE * SIZE * 4);
	assert_int_equal(answer_of(ticket), OK);
}

static void a_reset_meanwhile_gives_the_read_up(void **state)
{
	struct test *test = *state;
	struct ticket *ticket = begin(test);

	gpu_device_reset(test->fixture->device);
	assert_int_equal(answer_of(ticket), ERR_UNSPEC);
	assert_int_equal(read_updates(test), 0);
	assert_int_equal(gpu_device_totals(test->fixture->device).memory_used, 0);
	ticket = begin(test);
	slow_frame_end(test->fake->last_frame, 0);
	assert_int_equal(read_updates(test), sizeof(struct vmm_update) + SIZE * SIZE * 4);
	assert_int_equal(answer_of(ticket), OK);
}

static void a_vm_that_leaves_meanwhile_gives_the_read_up(void **state)
{
	struct test *test = *state;

	begin(test);
	fixture_destroy(test->fixture); // which looks that all was completed, once
	test->fixture = NULL;
	loop_run_once(test->loop, false);
}

static void a_stop_meanwhile_keeps_the_flush(void **state)
{
	struct test *test = *state;
	struct ticket *ticket = begin(test);
	struct display *display = gpu_device_display(test->fixture->device);

	display_pause(display, true);
	slow_frame_end(test->fake->last_frame, 0);
	assert_int_equal(read_updates(test), 0);
	assert_int_equal(ticket->completions, 0);
	display_pause(display, false);
	assert_int_equal(read_updates(test), sizeof(struct vmm_update) + SIZE * SIZE * 4);
	assert_int_equal(answer_of(ticket), OK);
}

static void another_display_meanwhile_is_shown_all(void **state)
{
	struct test *test = *state;
	struct ticket *ticket = begin(test);
	int former = test->viewer;

	open_display(test);
	assert_int_equal(answer_of(ticket), OK);
	assert_int_equal(test->fake->last_frame->pending, 1);
	slow_frame_end(test->fake->last_frame, 0);
	assert_int_equal(read_updates(test), sizeof(struct vmm_update) + SIZE * SIZE * 4);
	close(former);
}

/* Buffers that the VMM shows as they are, with its display as the tests have it. */

static struct fe_display viewer;

static void open_viewer(struct test *test, uint64_t offered, bool allowed)
{
	const struct vmm_config config = { .dmabuf = allowed };

	fe_display_init(&viewer);
	viewer.protocol_features = offered;
	gpu_device_set_display(test->fixture->device,
		vmm_display_create(test->loop, fe_display_open(&viewer), &config));
	for (int i = 0; i < 4; i++) {
		loop_run_once(test->loop, false);
		fe_display_serve(&viewer);
	}
}

static void exchange(struct test *test)
{
	for (int i = 0; i < 4; i++) {
		loop_run_once(test->loop, false);
		fe_display_serve(&viewer);
	}
	loop_run_once(test->loop, false);
	if (viewer.violations) {
		fail_msg("%s", viewer.violation);
	}
}

/* A texture on scanout 0 whose frame has a buffer, each pixel with its place in it. */
static void show_buffer(struct test *test)
{
	make_texture(test, TEXTURE);
	assert_int_equal(set_scanout(test->fixture, 1, TEXTURE, 0, 0, SIZE, SIZE), OK);
	for (uint32_t i = 0; i < SIZE * SIZE; i++) {
		memcpy(test->fake->last_frame->pixels + i * 4, &i, 4);
	}
	slow_frame_export(test->fake->last_frame);
	assert_int_equal(set_scanout(test->fixture, 1, 0, 0, 0, 0, 0), OK);
	assert_int_equal(set_scanout(test->fixture, 0, TEXTURE, 10, 20, 80, 70), OK);
}

static void a_buffer_is_shown_without_reading_it(void **state)
{
	struct test *test = *state;
	const struct slow_frame *frame;
	struct ticket *ticket;

	open_viewer(test, 3, true);
	show_buffer(test);
	frame = test->fake->last_frame;
	ticket = submit_flush(test, TEXTURE);
	assert_int_equal(ticket->completions, 0);
	exchange(test);
	assert_int_equal(answer_of(ticket), OK);
	assert_int_equal(viewer.outputs[0].drawings, 1);
	assert_int_equal(viewer.outputs[0].updates, 0);
	assert_int_equal(viewer.outputs[0].width, 80);
	assert_int_equal(fe_display_pixel(&viewer, 0, 0, 0), 20 * SIZE + 10);
	assert_int_equal(fe_display_pixel(&viewer, 0, 79, 69), 89 * SIZE + 89);
	assert_int_equal(frame->pending + frame->waits + frame->open, 0);

	/* Its end, while the viewer has not drawn yet. */
	ticket = submit_flush(test, TEXTURE);
	assert_int_equal(unref(test->fixture, TEXTURE), OK);
	exchange(test);
	assert_int_equal(answer_of(ticket), OK);
	assert_false(viewer.outputs[0].enabled);
	fe_display_finish(&viewer);
}

static void a_buffer_is_read_for_who_did_not_ask(void **state)
{
	struct test *test = *state;
	struct ticket *ticket;

	open_viewer(test, 1, true);
	show_buffer(test);
	ticket = submit_flush(test, TEXTURE);
	exchange(test);
	slow_frame_end(test->fake->last_frame, 0);
	exchange(test);
	assert_int_equal(answer_of(ticket), OK);
	assert_int_equal(viewer.outputs[0].updates, 1);
	assert_int_equal(fe_display_pixel(&viewer, 0, 79, 69), 89 * SIZE + 89);
	assert_int_equal(viewer.received[VMM_DMABUF_SCANOUT2], 0);
	fe_display_finish(&viewer);
}

static void a_reset_ends_what_the_viewer_owes(void **state)
{
	struct test *test = *state;
	struct ticket *ticket;

	open_viewer(test, 3, true);
	show_buffer(test);
	viewer.silent = 1u << VMM_DMABUF_UPDATE;
	ticket = submit_flush(test, TEXTURE);
	exchange(test);
	assert_int_equal(viewer.outputs[0].drawings, 1);
	assert_int_equal(ticket->completions, 0);
	gpu_device_reset(test->fixture->device);
	assert_int_equal(answer_of(ticket), ERR_UNSPEC);
	exchange(test);
	assert_false(viewer.outputs[0].enabled);
	fe_display_finish(&viewer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(commands_go_on_while_pixels_are_read),
		TEST(pixels_that_cannot_be_read_end_the_flush),
		TEST(a_texture_that_goes_meanwhile_ends_the_flush),
		TEST(a_flip_meanwhile_ends_the_flush),
		TEST(a_reset_meanwhile_gives_the_read_up),
		TEST(a_vm_that_leaves_meanwhile_gives_the_read_up),
		TEST(a_stop_meanwhile_keeps_the_flush),
		TEST(another_display_meanwhile_is_shown_all),
		TEST(a_buffer_is_shown_without_reading_it),
		TEST(a_buffer_is_read_for_who_did_not_ask),
		TEST(a_reset_ends_what_the_viewer_owes),
	};

	return cmocka_run_group_tests_name("gpu_slow", tests, NULL, NULL);
}
