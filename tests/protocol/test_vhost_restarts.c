/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/daemon.h"

/*
 * What a VM keeps over a pause and loses by a reset, in both dialects; and displays that come, go
 * and do not answer.
 *
 * That something does not happen is asked after some round trips on the vhost-user socket: the
 * daemon has one thread, so all that was ready before has been handled by then.
 */

#define TIMEOUT_MS 5000

enum {
	CONTROL = WIRE_CONTROL_QUEUE,
	CURSOR = WIRE_CURSOR_QUEUE,
	WIDTH = 64,
	HEIGHT = 48,
	LARGE_WIDTH = 1024, // 3 MiB of pixels: more than a socket takes
	LARGE_HEIGHT = 768,
	IMAGE = 1, // resources
	POINTER = 2,
	LARGE = 3,
	CURSOR_X = 30,
	CURSOR_Y = 20,
	LINE_MAX = 16384, // of the control socket
	INFO_SIZE = sizeof(struct virtio_gpu_resp_display_info),
};

#define FENCE_ID UINT64_C(0x1122334455667788)

/* Protocol features by which a front end tells of resets. */
#define RESETS (1u << VHOST_PROTOCOL_F_RESET_DEVICE | 1u << VHOST_PROTOCOL_F_STATUS)

struct test {
	struct daemon daemon;
	struct fe_gpu *gpu; // of daemon
	struct fe_session *session; // of gpu
	struct fe_display *display; // of gpu
	struct fe_span pixels; // of IMAGE
	char folder[64];
	char control[96];
};

static struct fe_gpu_options options_of(enum fe_dialect dialect, uint64_t protocol_features_off)
{
	return (struct fe_gpu_options){
		.dialect = dialect,
		.ack = true,
		.protocol_features_off = protocol_features_off,
	};
}

static int setup(void **state)
{
	const struct fe_gpu_options options = options_of(FE_DIALECT_OWN, 0);
	struct test *test = calloc(1, sizeof(*test));
	const char *folder = getenv("TMPDIR");
	char arguments[160];

	assert_non_null(test);
	*state = test;
	test->gpu = &test->daemon.gpu;
	test->session = &test->gpu->session;
	test->display = &test->gpu->display;
	snprintf(test->folder, sizeof(test->folder), "%.40s/restarts-XXXXXX",
		folder ? folder : "/tmp");
	assert_non_null(mkdtemp(test->folder));
	snprintf(test->control, sizeof(test->control), "%s/control", test->folder);
	snprintf(arguments, sizeof(arguments), "--control=%s --display=headless,mode=640x400",
		test->control);
	daemon_spawn(&test->daemon, arguments, &options);
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;

	daemon_stop(&test->daemon);
	rmdir(test->folder); // the daemon removed what was in it
	free(test);
	return 0;
}

/* A new VM of this dialect whose front end lacks these protocol features. */
static void start_without(struct test *test, enum fe_dialect dialect, uint64_t off)
{
	const struct fe_gpu_options options = options_of(dialect, off);

	daemon_reconnect(&test->daemon, &options);
	int error = fe_gpu_start(test->gpu, daemon_take_socket(&test->daemon));
	if (error < 0) {
		fail_msg("start failed at %s: %s", test->gpu->failed_at, strerror(-error));
	}
}

static void start(struct test *test, enum fe_dialect dialect)
{
	start_without(test, dialect, 0);
}

/*
 * When this returns, all that was ready before has been handled: one turn of the daemon's loop
 * takes 16 messages at most, so a turn ended among these.
 */
static void round_trip(struct test *test)
{
	uint64_t features;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(fe_session_get_features(test->session, &features), 0);
	}
}

static void assert_stands_still(struct test *test)
{
	round_trip(test);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		assert_false(fe_queue_has_used(&test->gpu->queues[i]));
		assert_false(fd_event_clear(test->gpu->queues[i].call));
	}
}

/* Takes the notifications that are left of answers taken before. */
static void clear_calls(struct test *test)
{
	round_trip(test);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		fd_event_clear(test->gpu->queues[i].call);
	}
}

/* Waits for one answer and returns its type. */
static uint32_t take_answer(struct test *test, struct virtio_gpu_ctrl_hdr *header)
{
	struct fe_gpu_answer answer;

	assert_int_equal(fe_gpu_wait(test->gpu, CONTROL, &answer, TIMEOUT_MS), 0);
	if (header) {
		memcpy(header, answer.bytes, sizeof(*header));
	}
	return answer.type;
}

static void submit_info(struct test *test)
{
	const struct virtio_gpu_ctrl_hdr command = { .type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO };

	assert_true(fe_gpu_submit(test->gpu, CONTROL, &command, sizeof(command), INFO_SIZE) >= 0);
	fe_gpu_flush(test->gpu, CONTROL);
}

/* Is the resource known? */
static bool has_resource(struct test *test, uint32_t id)
{
	int answer = fe_gpu_create_2d(test->gpu, id, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 8, 8);

	if (answer == VIRTIO_GPU_RESP_OK_NODATA) {
		assert_int_equal(fe_gpu_unref(test->gpu, id), VIRTIO_GPU_RESP_OK_NODATA);
		return false;
	}
	assert_int_equal(answer, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	return true;
}

/* Shows IMAGE on output 0 and POINTER as its cursor: 9 requests in the control queue. */
static void show_all(struct test *test)
{
	const struct virtio_gpu_rect all = fe_rect(0, 0, WIDTH, HEIGHT);
	struct fe_gpu *gpu = test->gpu;

	test->pixels = daemon_make_image(
		&test->daemon, IMAGE, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, WIDTH, HEIGHT);
	assert_int_equal(fe_gpu_transfer(gpu, IMAGE, all, 0), VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(fe_gpu_set_scanout(gpu, 0, IMAGE, all), VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(fe_gpu_resource_flush(gpu, IMAGE, all), VIRTIO_GPU_RESP_OK_NODATA);
	daemon_make_image(&test->daemon, POINTER, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 64);
	assert_int_equal(
		fe_gpu_transfer(gpu, POINTER, fe_rect(0, 0, 64, 64), 0), VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(fe_gpu_update_cursor(gpu, 0, CURSOR_X, CURSOR_Y, POINTER, 3, 4),
		VIRTIO_GPU_RESP_OK_NODATA);
}

enum {
	SHOW_ALL_REQUESTS = 8
};

static void wait_for(struct test *test, const uint64_t *count, uint64_t target)
{
	assert_int_equal(fe_display_wait(&test->gpu->pump, count, target, TIMEOUT_MS), 0);
}

/* The control socket. */

/* Sends one line and returns the answer's. */
static void ask_control(struct test *test, const char *line, char answer[static LINE_MAX])
{
	int socket = fe_session_connect(test->control, TIMEOUT_MS);
	size_t got = 0;

	assert_true(socket >= 0);
	assert_int_equal(send(socket, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	assert_int_equal(send(socket, "\n", 1, MSG_NOSIGNAL), 1);
	while (!memchr(answer, '\n', got)) {
		ssize_t count = recv(socket, answer + got, LINE_MAX - 1 - got, 0);

		assert_true(count > 0);
		got += (size_t)count;
	}
	answer[got] = '\0';
	close(socket);
}

static void assert_status(struct test *test, const char *part, bool there)
{
	char answer[LINE_MAX];

	ask_control(test, "{\"command\":\"status\"}", answer);
	if (!strstr(answer, part) == there) {
		fail_msg("status %s %s: %s", there ? "lacks" : "has", part, answer);
	}
}

static bool resize(struct test *test, uint32_t width, uint32_t height)
{
	char answer[LINE_MAX];
	char line[128];

	snprintf(line, sizeof(line),
		"{\"command\":\"resize\",\"output\":0,\"width\":%u,\"height\":%u}", width, height);
	ask_control(test, line, answer);
	return strstr(answer, "\"ok\":true");
}

/* Pause and continuation. */

/* The rings stop while the VMM's display stays, and memory goes as QEMU has it. */
static void stop_rings(struct test *test, uint32_t bases[static WIRE_QUEUE_COUNT])
{
	struct fe_session *session = test->session;

	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		assert_int_equal(fe_session_set_vring_enable(session, i, false), 0);
	}
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		assert_int_equal(fe_session_get_vring_base(session, i, &bases[i]), 0);
	}
	if (test->gpu->max_memory_slots > 0) {
		assert_int_equal(fe_session_rem_mem_reg(session, &test->gpu->memory.regions[0]), 0);
	}
}

static void go_on(struct test *test, const uint32_t bases[static WIRE_QUEUE_COUNT])
{
	int error = fe_gpu_cont(test->gpu, bases);

	if (error < 0) {
		fail_msg("cont failed at %s: %s", test->gpu->failed_at, strerror(-error));
	}
}

static void assert_picture(struct test *test)
{
	const uint32_t *pixels = test->pixels.host;

	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			assert_int_equal(fe_display_pixel(test->display, 0, x, y),
				pixels[y * WIDTH + x] & 0xffffff);
		}
	}
}

static void assert_pointer(struct test *test)
{
	const struct fe_display_cursor *cursor = &test->display->cursor;

	assert_true(cursor->visible);
	assert_int_equal(cursor->pos.output, 0);
	assert_int_equal(cursor->pos.x, CURSOR_X);
	assert_int_equal(cursor->pos.y, CURSOR_Y);
	assert_int_equal(cursor->hot_x, 3);
	assert_int_equal(cursor->hot_y, 4);
	assert_int_equal(cursor->pixels[65], daemon_pattern(1, 1));
}

/* What the driver draws from now on is seen as before. */
static void assert_drawing_goes_on(struct test *test)
{
	uint32_t *pixels = test->pixels.host;
	uint64_t before = test->display->outputs[0].updates;

	pixels[5 * WIDTH + 7] ^= 0xff00ff;
	assert_int_equal(fe_gpu_transfer(test->gpu, IMAGE, fe_rect(7, 5, 1, 1),
				 (5 * WIDTH + 7) * sizeof(*pixels)),
		VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(fe_gpu_resource_flush(test->gpu, IMAGE, fe_rect(7, 5, 1, 1)),
		VIRTIO_GPU_RESP_OK_NODATA);
	if (test->gpu->options.dialect == FE_DIALECT_VMM) {
		wait_for(test, &test->display->outputs[0].updates, before + 1);
		assert_picture(test);
	}
	assert_int_equal(fe_gpu_move_cursor(test->gpu, 0, CURSOR_X, CURSOR_Y, POINTER),
		VIRTIO_GPU_RESP_OK_NODATA);
}

static void run_pauses_vmm(struct test *test, uint64_t protocol_features_off)
{
	uint32_t bases[WIRE_QUEUE_COUNT];

	start_without(test, FE_DIALECT_VMM, protocol_features_off);
	show_all(test);
	for (uint32_t i = 0; i < 5; i++) {
		struct fe_display_output *output = &test->display->outputs[0];

		assert_int_equal(fe_gpu_stop(test->gpu, bases), 0);
		assert_int_equal(bases[CONTROL], test->gpu->queues[CONTROL].avail_idx);
		clear_calls(test);
		uint64_t scanouts = output->scanouts;
		uint64_t updates = output->updates;
		uint64_t shapes = test->display->cursor.shapes;

		test->display->cursor = (struct fe_display_cursor){ .shapes = shapes };
		go_on(test, bases);
		/* The new display is told all: SCANOUT makes its picture black first. */
		wait_for(test, &output->scanouts, scanouts + 1);
		wait_for(test, &output->updates, updates + 1);
		wait_for(test, &test->display->cursor.shapes, shapes + 1);
		assert_int_equal(output->width, WIDTH);
		assert_int_equal(output->height, HEIGHT);
		assert_picture(test);
		assert_pointer(test);
		assert_true(has_resource(test, IMAGE));
		assert_drawing_goes_on(test);
	}
}

static void test_pause_keeps_all_with_the_vmms_display(void **state)
{
	run_pauses_vmm(*state, 0);
}

/* With a whole memory table instead of slots, and without a word about resets. */
static void test_pause_keeps_all_for_older_front_ends(void **state)
{
	run_pauses_vmm(*state, RESETS | 1u << VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
}

static void test_pause_keeps_all_with_our_display(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	start(test, FE_DIALECT_OWN);
	show_all(test);
	for (uint32_t i = 0; i < 5; i++) {
		assert_status(test, "\"running\":true", true);
		assert_int_equal(fe_gpu_stop(test->gpu, bases), 0);
		assert_status(test, "\"running\":false", true);
		assert_status(test, "\"resource\":1", true); // the screen stays
		go_on(test, bases);
		assert_drawing_goes_on(test);
		assert_status(test, "\"resource\":1", true);
		assert_status(test, "\"cursor\":{\"x\":30,\"y\":20}", true);
		assert_true(has_resource(test, IMAGE));
		assert_true(has_resource(test, POINTER));
	}
}

/* What waited in the ring when it stopped is answered when it goes on. */
static void test_requests_in_the_ring_over_a_pause(void **state)
{
	static const enum fe_dialect dialects[] = { FE_DIALECT_VMM, FE_DIALECT_OWN };
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	for (size_t i = 0; i < 2; i++) {
		start(test, dialects[i]);
		show_all(test);
		clear_calls(test);
		assert_int_equal(fe_session_set_vring_enable(test->session, CONTROL, false), 0);
		for (uint32_t n = 0; n < 5; n++) {
			submit_info(test);
		}
		fe_queue_force_kick(&test->gpu->queues[CONTROL]);
		assert_stands_still(test);
		assert_int_equal(fe_gpu_stop(test->gpu, bases), 0);
		assert_int_equal(bases[CONTROL], SHOW_ALL_REQUESTS);
		assert_stands_still(test);
		go_on(test, bases);
		for (uint32_t n = 0; n < 5; n++) {
			assert_int_equal(take_answer(test, NULL), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
		}
	}
}

/* Pending fences. */

static void make_large(struct test *test)
{
	const struct virtio_gpu_rect all = fe_rect(0, 0, LARGE_WIDTH, LARGE_HEIGHT);

	daemon_make_image(
		&test->daemon, LARGE, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, LARGE_WIDTH, LARGE_HEIGHT);
	assert_int_equal(fe_gpu_transfer(test->gpu, LARGE, all, 0), VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(fe_gpu_set_scanout(test->gpu, 0, LARGE, all), VIRTIO_GPU_RESP_OK_NODATA);
}

static void submit_large_flush(struct test *test)
{
	struct virtio_gpu_resource_flush flush = fe_gpu_make_flush(
		LARGE, fe_rect(0, 0, LARGE_WIDTH, LARGE_HEIGHT));

	flush.hdr.flags = VIRTIO_GPU_FLAG_FENCE;
	flush.hdr.fence_id = FENCE_ID;
	assert_true(fe_gpu_submit(test->gpu, CONTROL, &flush, sizeof(flush), 24) >= 0);
	fe_gpu_flush(test->gpu, CONTROL);
}

/*
 * A kick and a message take different roads. The request was taken when the device asks to be told of the one
 * behind it (VIRTIO 1.3, 2.7.10 Available Buffer Notification Suppression).
 */
static void wait_until_taken(struct test *test)
{
	const struct fe_queue *queue = &test->gpu->queues[CONTROL];

	for (uint32_t i = 0; i < 100000; i++) {
		if (fe_queue_avail_event(queue) == queue->avail_idx) {
			return;
		}
		round_trip(test);
	}
	fail_msg("the request is not taken");
}

/*
 * Stops the rings when a flush is pending at a display that does not read. The daemon gives such a
 * display up after some time; where this machine slept longer than that, begin anew.
 */
static void stop_with_fence(struct test *test, uint32_t bases[static WIRE_QUEUE_COUNT])
{
	for (uint32_t i = 0; i < 50; i++) {
		start(test, FE_DIALECT_VMM);
		make_large(test);
		clear_calls(test);
		test->display->paused = true;
		submit_large_flush(test);
		wait_until_taken(test);
		stop_rings(test, bases);
		assert_int_equal(bases[CONTROL], test->gpu->queues[CONTROL].avail_idx);
		if (!fe_queue_has_used(&test->gpu->queues[CONTROL])) {
			return;
		}
	}
	fail_msg("the flush does not wait for a display that does not read");
}

/* VIRTIO 1.3, 5.7.6.7: the answer has the fence's flag and number. */
static void assert_fence(struct test *test)
{
	struct virtio_gpu_ctrl_hdr header;

	assert_int_equal(take_answer(test, &header), VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(header.flags, VIRTIO_GPU_FLAG_FENCE);
	assert_int_equal(header.fence_id, FENCE_ID);
}

/*
 * The display goes in the pause, as QEMU's does: the flush is done then, and told after the pause.
 */
static void test_fence_over_a_pause(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	stop_with_fence(test, bases);
	assert_stands_still(test);
	fe_display_close(test->display);
	assert_stands_still(test);
	test->display->paused = false;
	go_on(test, bases);
	assert_fence(test); // without a kick
	assert_true(has_resource(test, LARGE));
}

/* It takes the pause to be done: the display is given up as stalled. */
static void test_fence_that_ends_in_a_pause(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	stop_with_fence(test, bases);
	usleep(300000); // longer than a viewer may take
	assert_stands_still(test);
	go_on(test, bases);
	assert_fence(test);
	test->display->paused = false;
}

/* Fences stay over several pauses in a row. */
static void test_fence_over_several_pauses(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];
	uint32_t again[WIRE_QUEUE_COUNT];

	stop_with_fence(test, bases);
	fe_display_close(test->display);
	test->display->paused = false;
	for (uint32_t i = 0; i < 3; i++) {
		/* A ring that is described and never enabled stays stopped. */
		assert_int_equal(fe_session_set_vring_num(test->session, CONTROL, 64), 0);
		assert_int_equal(
			fe_session_set_vring_base(test->session, CONTROL, bases[CONTROL]), 0);
		assert_stands_still(test);
		assert_int_equal(fe_session_get_vring_base(test->session, CONTROL, &again[0]), 0);
		assert_int_equal(again[0], bases[CONTROL]);
	}
	go_on(test, bases);
	assert_fence(test);
}

/* A front end that keeps its display over the pause brings no new one. */
static void go_on_with_display(struct test *test, const uint32_t bases[static WIRE_QUEUE_COUNT])
{
	test->gpu->options.dialect = FE_DIALECT_OWN; // no GPU_SET_SOCKET
	go_on(test, bases);
	test->gpu->options.dialect = FE_DIALECT_VMM;
}

static void test_display_stays_over_a_pause(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	start(test, FE_DIALECT_VMM);
	show_all(test);
	wait_for(test, &test->display->outputs[0].updates, 1);
	for (uint32_t i = 0; i < 3; i++) {
		stop_rings(test, bases);
		go_on_with_display(test, bases);
		assert_drawing_goes_on(test);
	}
	assert_int_equal(test->display->outputs[0].scanouts, 1); // it was not told again
}

/*
 * vhost-user, Suspended device state: a display that reads again in the pause gets the rest of the message
 * of which it has a part, and no other.
 */
static void test_display_hears_nothing_in_a_pause(void **state)
{
	struct test *test = *state;
	const uint64_t *updates = &test->display->outputs[0].updates;
	uint32_t bases[WIRE_QUEUE_COUNT];

	start(test, FE_DIALECT_VMM);
	make_large(test);
	test->display->paused = true;
	submit_large_flush(test);
	submit_large_flush(test);
	wait_until_taken(test); // and a part of the first is out
	stop_rings(test, bases);
	test->display->paused = false;
	fe_display_settle(test->display, &test->gpu->pump, 50);
	assert_true(*updates <= 1); // 0: the stop came before the turn's end
	go_on_with_display(test, bases);
	wait_for(test, updates, 2);
}

/* What it reads after the pause ends the fence. */
static void test_fence_at_a_display_that_stays(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	stop_with_fence(test, bases);
	assert_stands_still(test);
	go_on_with_display(test, bases);
	test->display->paused = false;
	assert_fence(test);
	wait_for(test, &test->display->outputs[0].updates, 1);
	assert_int_equal(
		fe_display_pixel(test->display, 0, 17, 700), daemon_pattern(17, 700) & 0xffffff);
}

/* One queue alone stops: the fence waits for it, while the other runs. */
static void test_fence_of_one_stopped_queue(void **state)
{
	struct test *test = *state;
	uint32_t base;
	bool pending = false;

	for (uint32_t i = 0; i < 50 && !pending; i++) {
		start(test, FE_DIALECT_VMM);
		make_large(test);
		/* Its first kick starts the other queue: without it all would be stopped. */
		assert_int_equal(
			fe_gpu_move_cursor(test->gpu, 0, 1, 1, 0), VIRTIO_GPU_RESP_OK_NODATA);
		clear_calls(test);
		test->display->paused = true;
		submit_large_flush(test);
		wait_until_taken(test);
		assert_int_equal(fe_session_get_vring_base(test->session, CONTROL, &base), 0);
		assert_int_equal(base, test->gpu->queues[CONTROL].avail_idx);
		pending = !fe_queue_has_used(&test->gpu->queues[CONTROL]);
	}
	assert_true(pending);
	test->display->paused = false;
	wait_for(test, &test->display->outputs[0].updates, 1); // it was shown
	assert_stands_still(test);
	assert_int_equal(fe_gpu_move_cursor(test->gpu, 0, 1, 1, 0), VIRTIO_GPU_RESP_OK_NODATA);
	round_trip(test);
	assert_false(fe_queue_has_used(&test->gpu->queues[CONTROL]));
	assert_int_equal(fe_gpu_start_ring(test->gpu, CONTROL, base), 0);
	assert_fence(test);
}

/*
 * vhost-user, Suspended device state: nothing is sent either, a display that has been kept
 * included.
 */
static void test_no_traffic_in_a_pause(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	start(test, FE_DIALECT_VMM);
	show_all(test);
	fe_display_settle(test->display, &test->gpu->pump, 20);
	stop_rings(test, bases);
	clear_calls(test);
	uint64_t messages = test->display->messages;

	submit_info(test);
	fe_queue_force_kick(&test->gpu->queues[CONTROL]);
	fe_queue_force_kick(&test->gpu->queues[CURSOR]);
	assert_stands_still(test);
	fe_display_serve(test->display);
	assert_int_equal(test->display->messages, messages);
	assert_false(test->display->closed);
	assert_true(
		poll(&(struct pollfd){ .fd = test->session->backend_requests, .events = POLLIN }, 1,
			0) == 0);
	go_on(test, bases);
	assert_int_equal(take_answer(test, NULL), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
}

/* Resets. */

/* Nothing is left of what show_all did. */
static void assert_first_state(struct test *test)
{
	struct virtio_gpu_config config;

	assert_false(has_resource(test, IMAGE));
	assert_false(has_resource(test, POINTER));
	assert_status(test, "\"resource\":1", false);
	assert_status(test, "\"cursor\":{", false);
	if (test->gpu->options.dialect == FE_DIALECT_OWN) {
		/* In the other dialect the VMM fills this field in. */
		assert_int_equal(
			fe_session_get_config(test->session, 0, &config, sizeof(config)), 0);
		assert_int_equal(config.events_read, 0);
	} else {
		/* The new display hears of no picture and no cursor. */
		fe_display_settle(test->display, &test->gpu->pump, 20);
		assert_false(test->display->outputs[0].enabled);
		assert_false(test->display->cursor.visible);
	}
}

/* The counters and pictures of the display begin anew, to see what is told from here on. */
static void forget_pictures(struct test *test)
{
	test->display->outputs[0].enabled = false;
	test->display->cursor.visible = false;
}

static void run_reset(struct test *test, enum fe_dialect dialect, uint64_t protocol_features_off)
{
	start_without(test, dialect, protocol_features_off);
	for (uint32_t i = 0; i < 3; i++) {
		show_all(test);
		round_trip(test);
		fe_display_close(test->display); // first, so that what it hears last is not lost
		forget_pictures(test);
		assert_int_equal(fe_gpu_reset(test->gpu), 0);
		assert_first_state(test);
		fe_memory_free(&test->gpu->memory, &test->pixels);
	}
}

static void run_resets(struct test *test, uint64_t protocol_features_off)
{
	run_reset(test, FE_DIALECT_VMM, protocol_features_off);
	run_reset(test, FE_DIALECT_OWN, protocol_features_off);
}

static void test_reset_device(void **state)
{
	run_resets(*state, 1u << VHOST_PROTOCOL_F_STATUS);
}

/* VIRTIO 1.3, 2.1.1: writing 0 into the status resets the device. */
static void test_status_of_zero(void **state)
{
	run_resets(*state, 1u << VHOST_PROTOCOL_F_RESET_DEVICE);
}

/* A front end with neither: rings that had moved begin at 0 again. */
static void test_restart_from_zero(void **state)
{
	run_resets(*state, RESETS);
}

/* Both messages reset at once, with rings that run. */
static void run_sudden_reset(struct test *test, bool by_status)
{
	uint32_t base;

	start(test, FE_DIALECT_OWN);
	show_all(test);
	clear_calls(test);
	assert_int_equal(by_status ? fe_session_set_status(test->session, 0)
				   : fe_session_reset_device(test->session),
		0);
	assert_status(test, "\"resource\":1", false);
	assert_status(test, "\"running\":false", true);
	submit_info(test);
	fe_queue_force_kick(&test->gpu->queues[CONTROL]);
	assert_stands_still(test);
	assert_int_equal(fe_session_get_vring_base(test->session, CONTROL, &base), 0);
	assert_int_equal(base, 0);
	assert_int_equal(fe_gpu_reset(test->gpu), 0);
	assert_first_state(test);
}

static void test_reset_of_running_rings(void **state)
{
	run_sudden_reset(*state, false);
	run_sudden_reset(*state, true);
}

/*
 * A fence of before the reset is void: its answer never comes, and certainly not in the new ring.
 */
static void test_fence_over_a_reset(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	for (uint32_t i = 0; i < 2; i++) {
		stop_with_fence(test, bases);
		assert_int_equal(i == 0 ? fe_session_reset_device(test->session)
					: fe_session_set_status(test->session, 0),
			0);
		assert_int_equal(fe_gpu_make_rings(test->gpu), 0);
		test->display->paused = false;
		fe_display_settle(test->display, &test->gpu->pump, 20);
		assert_int_equal(fe_gpu_run(test->gpu), 0);
		assert_stands_still(test);
		daemon_assert_alive(&test->daemon); // takes the first answer to be its own
		assert_false(has_resource(test, LARGE));
		assert_int_equal(test->gpu->queues[CONTROL].used->idx, 3);
	}
}

/* The same by the restart rule: the reset comes only when the ring starts again. */
static void test_fence_over_a_restart(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	stop_with_fence(test, bases);
	assert_int_equal(fe_gpu_make_rings(test->gpu), 0);
	test->display->paused = false;
	fe_display_close(test->display);
	round_trip(test); // the flush has ended, and its answer is kept
	assert_int_equal(fe_gpu_run(test->gpu), 0);
	daemon_assert_alive(&test->daemon);
	assert_false(has_resource(test, LARGE));
	assert_int_equal(test->gpu->queues[CONTROL].used->idx, 3);
}

/* The restart rule. */

struct restart {
	const char *name;
	bool wrapped; // the control ring stands at 0, because its index wrapped
	bool cursor_wrapped;
	bool config_read; // since the stop
	bool control_anew; // gets base 0 instead of where it stood
	bool cursor_anew;
	bool is_reset;
};

static const struct restart restarts[] = {
	{ "goes on", false, false, false, false, false, false },
	{ "goes on, config read", false, false, true, false, false, false },
	{ "begins anew", false, false, false, true, true, true },
	{ "begins anew, config read", false, false, true, true, true, true },
	{ "control ring begins anew", false, false, true, true, false, false },
	{ "cursor ring begins anew", false, false, true, false, true, false },
	{ "goes on, one index wrapped", true, false, true, false, false, false },
	{ "goes on, the other index wrapped", false, true, true, false, false, false },
	{ "goes on, both indices wrapped", true, true, false, false, false, false },
	{ "begins anew, one index wrapped", true, false, false, false, true, true },
	{ "begins anew, both indices wrapped", true, true, true, false, false, true },
};

static void set_index(struct fe_queue *queue, uint16_t index)
{
	queue->avail_idx = index;
	queue->kicked_idx = index;
	queue->used_idx = index;
	queue->avail->idx = index;
	queue->used->idx = index;
}

/* show_all, at whose end those indices that shall have wrapped are 0. */
static void start_for(struct test *test, const struct restart *restart)
{
	const struct fe_gpu_options options = options_of(FE_DIALECT_OWN, RESETS);
	const uint32_t bases[] = { restart->wrapped ? 65536 - SHOW_ALL_REQUESTS : 0,
		restart->cursor_wrapped ? 65535 : 0 };

	daemon_reconnect(&test->daemon, &options);
	assert_int_equal(fe_gpu_negotiate(test->gpu, daemon_take_socket(&test->daemon)), 0);
	test->session->features = test->gpu->offered;
	assert_int_equal(fe_gpu_make_rings(test->gpu), 0);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		set_index(&test->gpu->queues[i], (uint16_t)bases[i]);
	}
	go_on(test, bases);
	show_all(test);
}

/* A driver that begins anew finds an empty ring. */
static void empty_ring(struct fe_queue *queue)
{
	memset(queue->ring.host, 0, queue->ring.size); // the device's part, too
	fe_queue_reset(queue);
}

static void run_restart(struct test *test, const struct restart *restart)
{
	uint32_t bases[WIRE_QUEUE_COUNT];
	struct virtio_gpu_config config;

	start_for(test, restart);
	assert_int_equal(fe_gpu_stop(test->gpu, bases), 0);
	assert_int_equal(bases[CONTROL], restart->wrapped ? 0 : SHOW_ALL_REQUESTS);
	assert_int_equal(bases[CURSOR], restart->cursor_wrapped ? 0 : 1);
	if (restart->config_read) {
		assert_int_equal(
			fe_session_get_config(test->session, 0, &config, sizeof(config)), 0);
	}
	if (restart->control_anew || (restart->is_reset && restart->wrapped)) {
		bases[CONTROL] = 0;
		empty_ring(&test->gpu->queues[CONTROL]);
	}
	if (restart->cursor_anew || (restart->is_reset && restart->cursor_wrapped)) {
		bases[CURSOR] = 0;
		empty_ring(&test->gpu->queues[CURSOR]);
	}
	go_on(test, bases);
	if (has_resource(test, IMAGE) == restart->is_reset) {
		fail_msg("%s: %s", restart->name, restart->is_reset ? "no reset" : "a reset");
	}
	assert_status(test, "\"resource\":1", !restart->is_reset);
}

static void test_restart_rule(void **state)
{
	for (size_t i = 0; i < sizeof(restarts) / sizeof(restarts[0]); i++) {
		run_restart(*state, &restarts[i]);
	}
}

/* What was read or set before the stop does not count. */
static void test_restart_rule_forgets(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];
	struct virtio_gpu_config config;

	start_without(test, FE_DIALECT_OWN, RESETS);
	show_all(test);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(
			fe_session_get_config(test->session, 0, &config, sizeof(config)), 0);
		assert_int_equal(fe_gpu_stop(test->gpu, bases), 0);
		if (i == 1) {
			assert_int_equal(
				fe_session_get_config(test->session, 0, &config, sizeof(config)),
				0);
		}
		go_on(test, bases);
		assert_true(has_resource(test, IMAGE));
	}
}

/* Displays. */

static void hand_over_display(struct test *test)
{
	int fd = fe_display_open(test->display);

	assert_true(fd >= 0);
	assert_int_equal(fe_session_gpu_set_socket(test->session, fd), 0);
	close(fd);
}

/* Hands a new display over, which is shown all. */
static void show_again(struct test *test)
{
	uint64_t scanouts = test->display->outputs[0].scanouts;
	uint64_t updates = test->display->outputs[0].updates;

	hand_over_display(test);
	wait_for(test, &test->display->outputs[0].scanouts, scanouts + 1);
	wait_for(test, &test->display->outputs[0].updates, updates + 1);
}

/* vhost-user-gpu, GPU_SET_SOCKET: QEMU brings a new one with every start of the driver. */
static void test_displays_replace_each_other(void **state)
{
	struct test *test = *state;
	int former[2];

	start(test, FE_DIALECT_VMM);
	show_all(test);
	for (uint32_t i = 0; i < 20; i++) {
		uint8_t byte;

		show_again(test);
		assert_picture(test);
		assert_drawing_goes_on(test);
		/* One that is replaced is closed by us, not only by its owner. */
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, former), 0);
		assert_int_equal(fe_session_gpu_set_socket(test->session, former[1]), 0);
		close(former[1]);
		show_again(test);
		while (recv(former[0], &byte, 1, 0) > 0) {
		}
		close(former[0]);
	}
}

/* A display takes over while a flush waits for the one before it: the flush is done. */
static void test_display_is_replaced_under_a_flush(void **state)
{
	struct test *test = *state;

	start(test, FE_DIALECT_VMM);
	make_large(test);
	for (uint32_t i = 0; i < 5; i++) {
		test->display->paused = true;
		submit_large_flush(test);
		wait_until_taken(test);
		hand_over_display(test);
		test->display->paused = false;
		assert_fence(test);
		daemon_assert_alive(&test->daemon);
	}
}

/* Who hangs up is no end of the VM; the next one sees all. */
static void test_display_goes_away(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resp_display_info info;
	uint64_t shapes;

	start(test, FE_DIALECT_VMM);
	show_all(test);
	shapes = test->display->cursor.shapes + 1;
	assert_int_equal(
		fe_gpu_update_cursor(test->gpu, 0, 0, 0, POINTER, 3, 4), VIRTIO_GPU_RESP_OK_NODATA);
	wait_for(test, &test->display->cursor.shapes, shapes);
	fe_display_close(test->display);
	round_trip(test);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(fe_gpu_resource_flush(test->gpu, IMAGE, fe_rect(0, 0, 8, 8)),
			VIRTIO_GPU_RESP_OK_NODATA);
		assert_int_equal(fe_gpu_move_cursor(test->gpu, 0, CURSOR_X, CURSOR_Y, POINTER),
			VIRTIO_GPU_RESP_OK_NODATA);
		/* Whatever is said of a display that is not there, it is said. */
		assert_true(fe_gpu_get_display_info(test->gpu, &info) >= 0);
	}
	show_again(test);
	wait_for(test, &test->display->cursor.shapes, shapes + 1);
	assert_picture(test);
	assert_pointer(test); // where it was moved to meanwhile
	assert_drawing_goes_on(test);
}

/* It hangs up while a flush and a question wait for it. */
static void test_display_goes_away_with_requests(void **state)
{
	struct test *test = *state;
	uint32_t answers = 0;

	start(test, FE_DIALECT_VMM);
	make_large(test);
	test->display->paused = true;
	submit_large_flush(test);
	submit_info(test);
	wait_until_taken(test);
	fe_display_close(test->display);
	for (; answers < 2; answers++) {
		take_answer(test, NULL);
	}
	test->display->paused = false;
	hand_over_display(test);
	daemon_assert_alive(&test->daemon);
}

/* A question that nobody answers holds up neither the queue nor, for ever, itself. */
static void test_display_never_answers(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_ctrl_hdr header;

	start(test, FE_DIALECT_VMM);
	show_all(test);
	test->display->silent = 1u << VMM_GET_DISPLAY_INFO | 1u << VMM_GET_EDID;
	submit_info(test);
	/* Others pass it by: answers come in the order in which they are ready. */
	for (uint32_t i = 0; i < 5; i++) {
		const struct virtio_gpu_resource_flush flush = fe_gpu_make_flush(
			IMAGE, fe_rect(0, 0, 8, 8));

		assert_true(fe_gpu_submit(test->gpu, CONTROL, &flush, sizeof(flush), 24) >= 0);
		fe_gpu_flush(test->gpu, CONTROL);
		assert_int_equal(take_answer(test, NULL), VIRTIO_GPU_RESP_OK_NODATA);
	}
	assert_int_equal(take_answer(test, &header), VIRTIO_GPU_RESP_ERR_UNSPEC);
	struct virtio_gpu_resp_edid edid;

	assert_int_equal(fe_gpu_get_edid(test->gpu, 0, &edid), VIRTIO_GPU_RESP_ERR_UNSPEC);
	test->display->silent = 0;
	daemon_assert_alive(&test->daemon);
	assert_int_equal(fe_gpu_get_edid(test->gpu, 0, &edid), VIRTIO_GPU_RESP_OK_EDID);
}

/* An answer that comes too late is nobody's, not that of the next question. */
static void test_display_answers_late(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_resp_display_info info;

	start(test, FE_DIALECT_VMM);
	fe_display_set_outputs(test->display, 1, 111, 222);
	test->display->delay_ms = 1500; // the daemon waits for a second
	assert_int_equal(fe_gpu_get_display_info(test->gpu, &info), VIRTIO_GPU_RESP_ERR_UNSPEC);
	test->display->delay_ms = 0;
	fe_display_set_outputs(test->display, 1, 333, 444);
	/* The late one is on its way while this one is asked. */
	for (uint32_t i = 0; i < 3; i++) {
		int type = fe_gpu_get_display_info(test->gpu, &info);

		assert_true(type == VIRTIO_GPU_RESP_OK_DISPLAY_INFO ||
			type == VIRTIO_GPU_RESP_ERR_UNSPEC);
		assert_true(
			type != VIRTIO_GPU_RESP_OK_DISPLAY_INFO || info.pmodes[0].r.width == 333);
	}
	assert_int_equal(info.pmodes[0].r.width, 333);
}

/* One that does not even tell its features: pictures and questions must go on without. */
static void test_display_without_a_handshake(void **state)
{
	const struct fe_gpu_options options = options_of(FE_DIALECT_VMM, 0);
	struct test *test = *state;
	struct virtio_gpu_resp_edid edid;

	daemon_reconnect(&test->daemon, &options);
	test->display->silent = 1u << VMM_GET_PROTOCOL_FEATURES;
	assert_int_equal(fe_gpu_start(test->gpu, daemon_take_socket(&test->daemon)), 0);
	show_all(test);
	assert_true(fe_gpu_get_edid(test->gpu, 0, &edid) >= 0);
	assert_drawing_goes_on(test);
	assert_picture(test);
}

/* A display that says what nobody asked for is given up; the VM goes on. */
static void test_display_talks_rubbish(void **state)
{
	static const uint32_t rubbish[][5] = {
		{ VMM_GET_DISPLAY_INFO, VMM_FLAG_REPLY, 8, 1, 2 }, // nobody asked
		{ VMM_GET_EDID, VMM_FLAG_REPLY, 0xffffffff, 1, 2 },
		{ 77, VMM_FLAG_REPLY, 0, 0, 0 },
		{ VMM_SCANOUT, 0, 8, 0, 0 },
	};
	struct test *test = *state;

	start(test, FE_DIALECT_VMM);
	show_all(test);
	for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++) {
		send(test->display->socket, rubbish[i], sizeof(rubbish[i]), MSG_NOSIGNAL);
		round_trip(test);
		assert_int_equal(fe_gpu_resource_flush(test->gpu, IMAGE, fe_rect(0, 0, 8, 8)),
			VIRTIO_GPU_RESP_OK_NODATA);
		show_again(test);
		daemon_assert_alive(&test->daemon);
		assert_drawing_goes_on(test);
	}
}

/* What is no socket is no display. */
static void test_display_that_is_no_socket(void **state)
{
	struct test *test = *state;

	start(test, FE_DIALECT_VMM);
	show_all(test);
	fe_session_gpu_set_socket(test->session, test->gpu->memory.regions[0].fd);
	round_trip(test);
	fe_session_gpu_set_socket(test->session, test->gpu->queues[0].err);
	round_trip(test);
	assert_int_equal(fe_gpu_resource_flush(test->gpu, IMAGE, fe_rect(0, 0, 8, 8)),
		VIRTIO_GPU_RESP_OK_NODATA);
	show_again(test);
	assert_drawing_goes_on(test);
}

/* Changes of the configuration. */

static bool is_told(struct test *test)
{
	struct pollfd poll_fd = { .fd = test->session->backend_requests, .events = POLLIN };

	round_trip(test);
	return poll(&poll_fd, 1, 0) == 1;
}

/*
 * vhost-user, BACKEND_CONFIG_CHANGE_MSG: no payload, an answer wanted where REPLY_ACK was
 * negotiated.
 */
static struct vhost_header receive_change(struct test *test, uint32_t flags)
{
	struct vhost_header header;
	uint8_t payload[8];

	assert_int_equal(fe_session_backend_receive(test->session, &header, payload,
				 sizeof(payload), NULL, TIMEOUT_MS),
		0);
	assert_int_equal(header.request, VHOST_BACKEND_CONFIG_CHANGE);
	assert_int_equal(header.flags, flags);
	assert_int_equal(header.size, 0);
	return header;
}

static void assert_changed(struct test *test)
{
	const struct vhost_header header = receive_change(
		test, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);

	assert_int_equal(fe_session_backend_reply(test->session, &header, 0), 0);
	assert_false(is_told(test));
}

/* VIRTIO 1.3, 5.7.4.2: the event stays until the driver clears it. */
static void assert_event(struct test *test, uint32_t expected)
{
	struct virtio_gpu_config config;

	assert_int_equal(fe_session_get_config(test->session, 0, &config, sizeof(config)), 0);
	assert_int_equal(config.events_read, expected);
}

static void clear_event(struct test *test)
{
	const struct virtio_gpu_config config = { .events_clear = VIRTIO_GPU_EVENT_DISPLAY };

	assert_int_equal(fe_session_set_config(test->session, 0, &config, sizeof(config)), 0);
	assert_event(test, 0);
}

static void assert_mode(struct test *test, uint32_t width, uint32_t height)
{
	struct virtio_gpu_resp_display_info info;

	assert_int_equal(
		fe_gpu_get_display_info(test->gpu, &info), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(info.pmodes[0].r.width, width);
	assert_int_equal(info.pmodes[0].r.height, height);
}

static void test_config_change(void **state)
{
	struct test *test = *state;

	start(test, FE_DIALECT_OWN);
	assert_event(test, 0);
	assert_mode(test, 640, 400);
	assert_false(is_told(test));
	for (uint32_t i = 1; i <= 3; i++) {
		assert_true(resize(test, 800 + i, 600));
		assert_changed(test);
		assert_event(test, VIRTIO_GPU_EVENT_DISPLAY);
		assert_mode(test, 800 + i, 600);
		clear_event(test);
	}
}

static void test_config_change_without_acknowledgement(void **state)
{
	struct test *test = *state;

	start_without(test, FE_DIALECT_OWN, 1u << VHOST_PROTOCOL_F_REPLY_ACK);
	assert_mode(test, 640, 400); // a ring runs now
	assert_true(resize(test, 800, 600));
	receive_change(test, VHOST_FLAG_VERSION);
	assert_event(test, VIRTIO_GPU_EVENT_DISPLAY);
}

static void test_config_change_without_a_channel(void **state)
{
	struct test *test = *state;

	start_without(test, FE_DIALECT_OWN, 1u << VHOST_PROTOCOL_F_BACKEND_REQ);
	assert_true(resize(test, 800, 600));
	assert_event(test, VIRTIO_GPU_EVENT_DISPLAY);
	assert_mode(test, 800, 600);
}

/* While the VM is paused nothing is said; then once, whatever happened. */
static void test_config_change_in_a_pause(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	start(test, FE_DIALECT_OWN);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_mode(test, i == 1 ? 640 : 800 + i, i == 1 ? 400 : 600);
		assert_int_equal(fe_gpu_stop(test->gpu, bases), 0);
		assert_true(resize(test, 700, 500));
		assert_true(resize(test, 801 + i, 600));
		assert_false(is_told(test));
		go_on(test, bases);
		assert_changed(test);
		assert_event(test, VIRTIO_GPU_EVENT_DISPLAY);
		clear_event(test);
	}
}

static void test_config_change_before_the_start(void **state)
{
	const struct fe_gpu_options options = options_of(FE_DIALECT_OWN, 0);
	struct test *test = *state;

	daemon_reconnect(&test->daemon, &options);
	assert_int_equal(fe_gpu_negotiate(test->gpu, daemon_take_socket(&test->daemon)), 0);
	assert_true(resize(test, 800, 600));
	assert_false(is_told(test));
	test->session->features = test->gpu->offered;
	assert_int_equal(fe_gpu_make_rings(test->gpu), 0);
	assert_int_equal(fe_gpu_run(test->gpu), 0);
	assert_mode(test, 800, 600);
}

/* A front end may refuse it, or read none of them. */
static void test_config_changes_that_nobody_reads(void **state)
{
	struct test *test = *state;
	struct vhost_header header;

	start(test, FE_DIALECT_OWN);
	assert_mode(test, 640, 400);
	assert_true(resize(test, 800, 600));
	header = receive_change(test, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);
	assert_int_equal(fe_session_backend_reply(test->session, &header, 1), 0);
	for (uint32_t i = 0; i < 1500; i++) {
		assert_true(resize(test, 600 + i, 600));
	}
	assert_mode(test, 600 + 1499, 600);
	receive_change(test, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);
	/* A channel that the front end closed is not missed. */
	fd_close(&test->session->backend_requests);
	round_trip(test);
	assert_true(resize(test, 801, 601));
	assert_mode(test, 801, 601);
}

/* The VMM owns its display, and tells the guest itself. */
static void test_no_config_change_with_the_vmms_display(void **state)
{
	struct test *test = *state;

	start(test, FE_DIALECT_VMM);
	show_all(test);
	assert_false(resize(test, 800, 600));
	hand_over_display(test);
	fe_display_close(test->display);
	hand_over_display(test);
	assert_false(is_told(test));
	daemon_assert_alive(&test->daemon);
}

/* VMs after each other. */

static const struct {
	enum fe_dialect first, second;
} successions[] = { { FE_DIALECT_OWN, FE_DIALECT_OWN }, { FE_DIALECT_OWN, FE_DIALECT_VMM },
	{ FE_DIALECT_VMM, FE_DIALECT_OWN }, { FE_DIALECT_VMM, FE_DIALECT_VMM } };

/* Nothing of a VM is left for the next one. */
static void test_second_vm(void **state)
{
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(successions) / sizeof(successions[0]); i++) {
		start(test, successions[i].first);
		show_all(test);
		if (successions[i].first == FE_DIALECT_OWN) {
			assert_true(resize(test, 800, 600));
		}
		start(test, successions[i].second);
		assert_first_state(test);
		assert_false(is_told(test));
		if (successions[i].second == FE_DIALECT_OWN) {
			assert_mode(test, 640, 400);
			assert_int_equal(test->gpu->config.num_scanouts, 1);
		}
		show_all(test);
	}
}

/* The first one goes in the middle of things: paused, with a fence, with a broken ring. */
static void test_second_vm_after_one_that_was_killed(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	stop_with_fence(test, bases);
	start(test, FE_DIALECT_VMM);
	assert_false(has_resource(test, LARGE));
	make_large(test);
	test->display->paused = true;
	submit_large_flush(test);
	submit_info(test);
	start(test, FE_DIALECT_OWN);
	assert_first_state(test);
	fe_queue_push_head(&test->gpu->queues[CURSOR], 0xffff);
	fe_queue_publish(&test->gpu->queues[CURSOR]);
	fe_queue_force_kick(&test->gpu->queues[CURSOR]);
	round_trip(test);
	start(test, FE_DIALECT_VMM);
	assert_first_state(test);
	show_all(test);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pause_keeps_all_with_the_vmms_display),
		TEST(pause_keeps_all_for_older_front_ends),
		TEST(pause_keeps_all_with_our_display),
		TEST(requests_in_the_ring_over_a_pause),
		TEST(fence_over_a_pause),
		TEST(fence_that_ends_in_a_pause),
		TEST(fence_over_several_pauses),
		TEST(display_stays_over_a_pause),
		TEST(display_hears_nothing_in_a_pause),
		TEST(fence_at_a_display_that_stays),
		TEST(fence_of_one_stopped_queue),
		TEST(no_traffic_in_a_pause),
		TEST(reset_device),
		TEST(status_of_zero),
		TEST(restart_from_zero),
		TEST(reset_of_running_rings),
		TEST(fence_over_a_reset),
		TEST(fence_over_a_restart),
		TEST(restart_rule),
		TEST(restart_rule_forgets),
		TEST(displays_replace_each_other),
		TEST(display_is_replaced_under_a_flush),
		TEST(display_goes_away),
		TEST(display_goes_away_with_requests),
		TEST(display_never_answers),
		TEST(display_answers_late),
		TEST(display_without_a_handshake),
		TEST(display_talks_rubbish),
		TEST(display_that_is_no_socket),
		TEST(config_change),
		TEST(config_change_without_acknowledgement),
		TEST(config_change_without_a_channel),
		TEST(config_change_in_a_pause),
		TEST(config_change_before_the_start),
		TEST(config_changes_that_nobody_reads),
		TEST(no_config_change_with_the_vmms_display),
		TEST(second_vm),
		TEST(second_vm_after_one_that_was_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
