/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/daemon.h"

/*
 * Rings of the daemon: sizes, indices, notifications, rings that break rules, and memory that comes
 * and goes under them. Sections without a name are of VIRTIO 1.3.
 *
 * That something does not happen is asked after some round trips on the vhost-user socket: the
 * daemon has one thread, so all that was ready before has been handled by then.
 */

#define TIMEOUT_MS 5000

enum {
	CONTROL = WIRE_CONTROL_QUEUE,
	CURSOR = WIRE_CURSOR_QUEUE,
	MEMORY_SIZE = 16 << 20,
	REGION_SIZE = 64 << 10, // a page wherever this runs
	INFO_SIZE = sizeof(struct virtio_gpu_resp_display_info),
	RESOURCE = 7,
};

#define EVENT_IDX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define EXTRA_AT  UINT64_C(0x200000000)

static const struct virtio_gpu_ctrl_hdr get_info = { .type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO };

struct test {
	struct daemon daemon;
	struct fe_gpu *gpu; // of daemon
	struct fe_session *session; // of gpu
};

static struct fe_gpu_options options_without(uint64_t features)
{
	return (struct fe_gpu_options){
		.dialect = FE_DIALECT_OWN,
		.memory_size = MEMORY_SIZE,
		.features_off = features,
		.ack = true,
	};
}

static int start_daemon(void **state, const char *arguments)
{
	const struct fe_gpu_options options = options_without(0);
	struct test *test = calloc(1, sizeof(*test));

	assert_non_null(test);
	*state = test;
	test->gpu = &test->daemon.gpu;
	test->session = &test->gpu->session;
	daemon_spawn(&test->daemon, arguments, &options);
	return 0;
}

static int setup(void **state)
{
	return start_daemon(state, NULL);
}

static int setup_polling(void **state)
{
	return start_daemon(state, "--poll-us=1000000");
}

static int teardown(void **state)
{
	struct test *test = *state;

	daemon_stop(&test->daemon);
	free(test);
	return 0;
}

/* A connection with these options, on which features were negotiated and rings made. */
static void prepare(struct test *test, const struct fe_gpu_options *options)
{
	daemon_reconnect(&test->daemon, options);
	assert_int_equal(fe_gpu_negotiate(test->gpu, daemon_take_socket(&test->daemon)), 0);
	test->session->features = test->gpu->offered & ~options->features_off;
	assert_int_equal(fe_gpu_make_rings(test->gpu), 0);
}

static void run(struct test *test)
{
	int error = fe_gpu_run(test->gpu);

	if (error < 0) {
		fail_msg("start failed at %s: %s", test->gpu->failed_at, strerror(-error));
	}
}

/* A running device that lacks these features. */
static void start_without(struct test *test, uint64_t features)
{
	const struct fe_gpu_options options = options_without(features);

	prepare(test, &options);
	run(test);
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

/* Puts GET_DISPLAY_INFO, or on the cursor queue a move, into a ring. */
static void submit(struct test *test, uint32_t queue)
{
	const struct virtio_gpu_update_cursor move = fe_gpu_make_move(0, 1, 2, 0);
	int slot = queue == CONTROL
		? fe_gpu_submit(test->gpu, queue, &get_info, sizeof(get_info), INFO_SIZE)
		: fe_gpu_submit(test->gpu, queue, &move, sizeof(move), sizeof(get_info));

	assert_true(slot >= 0);
}

static void assert_answered(struct test *test, uint32_t queue)
{
	struct fe_gpu_answer answer;

	assert_int_equal(fe_gpu_wait(test->gpu, queue, &answer, TIMEOUT_MS), 0);
	assert_int_equal(answer.type,
		queue == CONTROL ? VIRTIO_GPU_RESP_OK_DISPLAY_INFO : VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(answer.len, queue == CONTROL ? INFO_SIZE : sizeof(get_info));
}

static void assert_works(struct test *test, uint32_t queue)
{
	submit(test, queue);
	fe_gpu_flush(test->gpu, queue);
	assert_answered(test, queue);
}

static void assert_both_work(struct test *test)
{
	assert_works(test, CONTROL);
	assert_works(test, CURSOR);
}

/* Publishes and notifies, whatever the device asked for. */
static void tell(struct test *test, uint32_t queue)
{
	fe_queue_publish(&test->gpu->queues[queue]);
	fe_queue_force_kick(&test->gpu->queues[queue]);
}

/* Asks in vain. */
static void assert_stands_still(struct test *test, uint32_t queue)
{
	round_trip(test);
	assert_false(fe_queue_has_used(&test->gpu->queues[queue]));
}

static void assert_signalled(int fd, const char *what)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	if (poll(&poll_fd, 1, TIMEOUT_MS) != 1) {
		fail_msg("no signal: %s", what);
	}
	assert_true(fd_event_clear(fd));
}

/* Holds the daemon, so that what is put into a ring meanwhile is one batch. */
static void hold(struct test *test)
{
	int status;

	assert_int_equal(kill(test->daemon.backend.pid, SIGSTOP), 0);
	assert_int_equal(
		waitpid(test->daemon.backend.pid, &status, WUNTRACED), test->daemon.backend.pid);
	assert_true(WIFSTOPPED(status));
}

static void release(struct test *test)
{
	assert_int_equal(kill(test->daemon.backend.pid, SIGCONT), 0);
}

/* Sizes. */

/* A ring of one entry has no room for a chain of two. */
static void run_single_entry(struct test *test)
{
	struct fe_gpu_answer answer;

	for (uint32_t i = 0; i < 5; i++) {
		assert_true(fe_gpu_submit(test->gpu, CONTROL, &get_info, sizeof(get_info), 0) >= 0);
		assert_int_equal(
			fe_gpu_submit(test->gpu, CONTROL, &get_info, sizeof(get_info), 0), -ENOSPC);
		fe_gpu_flush(test->gpu, CONTROL);
		assert_int_equal(fe_gpu_wait(test->gpu, CONTROL, &answer, TIMEOUT_MS), 0);
		assert_int_equal(answer.len, 0);
	}
}

/* Fills the rings several times over, so that places and descriptors are used again. */
static void run_full(struct test *test, uint32_t queue)
{
	const struct fe_queue *q = &test->gpu->queues[queue];
	uint32_t batch = q->indirect ? q->size : q->size / 2u;

	for (uint32_t turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < batch; i++) {
			submit(test, queue);
		}
		fe_gpu_flush(test->gpu, queue);
		for (uint32_t i = 0; i < batch; i++) {
			assert_answered(test, queue);
		}
		assert_works(test, queue); // so that the next turn begins elsewhere
	}
}

static void run_size(struct test *test, uint16_t size, uint64_t features_off)
{
	struct fe_gpu_options options = options_without(features_off);

	options.control_size = size;
	options.cursor_size = size;
	prepare(test, &options);
	run(test);
	if (size == 1 && (features_off & INDIRECT)) {
		run_single_entry(test);
		return;
	}
	run_full(test, CONTROL);
	run_full(test, CURSOR);
}

/* 2.7 Split Virtqueues: a power of two; 1024 is our bound. */
static void test_every_size(void **state)
{
	static const uint64_t off[] = { 0, INDIRECT, EVENT_IDX, INDIRECT | EVENT_IDX };

	for (size_t i = 0; i < 4; i++) {
		for (uint16_t size = 1; size <= 1024; size = (uint16_t)(size * 2)) {
			run_size(*state, size, off[i]);
		}
	}
}

/* 2.7.4: a chain has buffers of any size; 2.7.5.3: or a table of them. */
static void run_pieces(struct test *test, uint64_t features_off)
{
	struct fe_buffer out[sizeof(get_info)];
	struct fe_buffer in[3];
	struct fe_gpu_answer answer;

	start_without(test, features_off);
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 64);
	struct virtio_gpu_resp_display_info *info = (void *)((uint8_t *)span.host + 64);

	memcpy(span.host, &get_info, sizeof(get_info));
	for (size_t i = 0; i < sizeof(get_info); i++) {
		out[i] = (struct fe_buffer){ span.addr + i, 1 };
	}
	in[0] = (struct fe_buffer){ span.addr + 64, 1 };
	in[1] = (struct fe_buffer){ span.addr + 65, 0 };
	in[2] = (struct fe_buffer){ span.addr + 65, 1000 }; // more than there is to say
	assert_true(fe_queue_add(&test->gpu->queues[CONTROL], out, sizeof(get_info), in, 3,
			    UINT64_MAX) >= 0);
	fe_gpu_flush(test->gpu, CONTROL);
	assert_int_equal(fe_gpu_wait(test->gpu, CONTROL, &answer, TIMEOUT_MS), 0);
	assert_int_equal(answer.len, INFO_SIZE);
	assert_int_equal(info->hdr.type, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(info->pmodes[0].enabled, 1);
}

static void test_chains_of_many_pieces(void **state)
{
	run_pieces(*state, 0);
	run_pieces(*state, INDIRECT);
}

/* An answer is clipped to the room there is, and a chain without room is still used. */
static void test_chains_with_little_room(void **state)
{
	struct test *test = *state;
	struct fe_gpu_answer answer;

	start_without(test, 0);
	for (uint32_t room = 0; room <= INFO_SIZE; room += 12) {
		assert_true(
			fe_gpu_submit(test->gpu, CONTROL, &get_info, sizeof(get_info), room) >= 0);
		fe_gpu_flush(test->gpu, CONTROL);
		assert_int_equal(fe_gpu_wait(test->gpu, CONTROL, &answer, TIMEOUT_MS), 0);
		assert_int_equal(answer.len, room);
	}
	assert_both_work(test);
}

/* Indices. */

static void set_index(struct fe_queue *queue, uint16_t index)
{
	queue->avail_idx = index;
	queue->kicked_idx = index;
	queue->used_idx = index;
	queue->avail->idx = index;
	queue->avail->ring[queue->size] = index; // used_event
	queue->used->idx = index;
}

static void start_from(struct test *test, uint64_t features_off, const uint32_t *bases)
{
	const struct fe_gpu_options options = options_without(features_off);

	prepare(test, &options);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		set_index(&test->gpu->queues[i], (uint16_t)bases[i]);
	}
	assert_int_equal(fe_gpu_cont(test->gpu, bases), 0);
}

static void run_wrap(struct test *test, uint64_t features_off)
{
	const uint32_t bases[] = { 65530, 65535 };
	uint32_t stopped[WIRE_QUEUE_COUNT];

	start_from(test, features_off, bases);
	for (uint32_t turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < 5; i++) {
			submit(test, CONTROL);
		}
		fe_gpu_flush(test->gpu, CONTROL);
		for (uint32_t i = 0; i < 5; i++) {
			assert_answered(test, CONTROL);
		}
		assert_works(test, CURSOR);
	}
	assert_int_equal(fe_gpu_stop(test->gpu, stopped), 0);
	assert_int_equal(stopped[CONTROL], (65530 + 15) & 0xffff);
	assert_int_equal(stopped[CURSOR], (65535 + 3) & 0xffff);
}

/* 2.7.6: idx runs free and wraps at 65536. */
static void test_indices_wrap(void **state)
{
	run_wrap(*state, 0);
	run_wrap(*state, EVENT_IDX);
	run_wrap(*state, INDIRECT);
}

/* All 65536 of them, in rings that are full most of the time. */
static void test_once_around(void **state)
{
	struct test *test = *state;
	struct fe_gpu_options options = options_without(0);
	uint32_t bases[WIRE_QUEUE_COUNT];

	options.control_size = 1024;
	prepare(test, &options);
	run(test);
	for (uint32_t turn = 0; turn < 66; turn++) {
		for (uint32_t i = 0; i < 1000; i++) {
			submit(test, CONTROL);
		}
		fe_gpu_flush(test->gpu, CONTROL);
		for (uint32_t i = 0; i < 1000; i++) {
			assert_answered(test, CONTROL);
		}
	}
	assert_int_equal(fe_gpu_stop(test->gpu, bases), 0);
	assert_int_equal(bases[CONTROL], 66000 - 65536);
}

/* Starting. */

/* vhost-user, Ring states: a ring starts when it is kicked. */
static void test_ring_waits_for_its_kick(void **state)
{
	const struct fe_gpu_options options = options_without(0);
	struct test *test = *state;

	prepare(test, &options);
	submit(test, CONTROL);
	fe_queue_publish(&test->gpu->queues[CONTROL]);
	run(test);
	assert_stands_still(test, CONTROL);
	fe_queue_force_kick(&test->gpu->queues[CONTROL]);
	assert_answered(test, CONTROL);
}

/* One that goes on has been kicked before: what was asked then is answered without another. */
static void test_ring_that_goes_on_needs_no_kick(void **state)
{
	const struct fe_gpu_options options = options_without(0);
	const uint32_t bases[] = { 300, 65535 };
	struct test *test = *state;

	prepare(test, &options);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		set_index(&test->gpu->queues[i], (uint16_t)bases[i]);
		submit(test, i);
		fe_queue_publish(&test->gpu->queues[i]);
	}
	assert_int_equal(fe_gpu_cont(test->gpu, bases), 0);
	assert_answered(test, CONTROL);
	assert_answered(test, CURSOR);
}

/* vhost-user, SET_FEATURES: with bit 30 rings begin disabled, without it they are enabled. */
static void test_rings_are_enabled_without_protocol_features(void **state)
{
	const struct fe_gpu_options options = options_without(
		UINT64_C(1) << VHOST_F_PROTOCOL_FEATURES);
	struct test *test = *state;

	prepare(test, &options);
	assert_int_equal(fe_session_set_features(test->session, test->session->features), 0);
	assert_int_equal(fe_gpu_send_memory(test->gpu), 0);
	assert_int_equal(fe_gpu_start_ring(test->gpu, CONTROL, 0), 0);
	assert_int_equal(fe_gpu_start_ring(test->gpu, CURSOR, 0), 0);
	assert_both_work(test);
}

static void test_rings_are_disabled_with_protocol_features(void **state)
{
	const struct fe_gpu_options options = options_without(0);
	struct test *test = *state;

	prepare(test, &options);
	assert_int_equal(fe_session_set_features(test->session, test->session->features), 0);
	assert_int_equal(fe_gpu_send_memory(test->gpu), 0);
	assert_int_equal(fe_gpu_start_ring(test->gpu, CONTROL, 0), 0);
	assert_int_equal(fe_gpu_start_ring(test->gpu, CURSOR, 0), 0);
	submit(test, CONTROL);
	tell(test, CONTROL);
	assert_stands_still(test, CONTROL);
	assert_int_equal(fe_session_set_vring_enable(test->session, CONTROL, true), 0);
	assert_answered(test, CONTROL);
	assert_int_equal(fe_session_set_vring_enable(test->session, CURSOR, true), 0);
	assert_works(test, CURSOR);
}

static void test_disabled_ring_stands_still(void **state)
{
	struct test *test = *state;

	start_without(test, 0);
	assert_both_work(test);
	for (uint32_t queue = 0; queue < WIRE_QUEUE_COUNT; queue++) {
		assert_int_equal(fe_session_set_vring_enable(test->session, queue, false), 0);
		submit(test, queue);
		tell(test, queue);
		assert_stands_still(test, queue);
		assert_works(test, 1 - queue); // the other does not care
		assert_int_equal(fe_session_set_vring_enable(test->session, queue, true), 0);
		assert_answered(test, queue);
		assert_int_equal(fe_session_set_vring_enable(test->session, queue, true), 0);
		assert_both_work(test);
	}
}

/* GET_VRING_BASE stops one ring: what comes later is not taken, and the base says so. */
static void test_stopped_ring_stands_still(void **state)
{
	struct test *test = *state;
	uint32_t base;

	start_without(test, 0);
	assert_both_work(test);
	assert_int_equal(fe_session_get_vring_base(test->session, CURSOR, &base), 0);
	assert_int_equal(base, 1);
	submit(test, CURSOR);
	tell(test, CURSOR);
	assert_stands_still(test, CURSOR);
	assert_works(test, CONTROL);
	assert_int_equal(fe_session_get_vring_base(test->session, CURSOR, &base), 0);
	assert_int_equal(base, 1);
	assert_int_equal(fe_gpu_start_ring(test->gpu, CURSOR, base), 0);
	assert_answered(test, CURSOR);
}

/* Kicks that mean nothing, and one that stands for many. */
static void test_needless_kicks(void **state)
{
	struct test *test = *state;

	start_without(test, 0);
	for (uint32_t i = 0; i < 100; i++) {
		fe_queue_force_kick(&test->gpu->queues[i % 2]);
		round_trip(test);
	}
	assert_both_work(test);
}

/* Notifications. */

/* How often this ring was notified since the last time. All that was asked for has been done. */
static uint64_t count_calls(struct test *test, uint32_t queue)
{
	uint64_t count = 0;

	round_trip(test);
	if (read(test->gpu->queues[queue].call, &count, sizeof(count)) < 0) {
		assert_int_equal(errno, EAGAIN);
	}
	return count;
}

/* Has a batch answered, and returns the number of notifications for it. */
static uint64_t run_batch(struct test *test, uint32_t count)
{
	const struct fe_queue *queue = &test->gpu->queues[CONTROL];
	struct fe_gpu_answer answer;
	uint32_t taken = 0;

	count_calls(test, CONTROL);
	hold(test);
	for (uint32_t i = 0; i < count; i++) {
		submit(test, CONTROL);
	}
	tell(test, CONTROL);
	release(test);
	while (taken < count) {
		round_trip(test);
		taken += fe_gpu_take(test->gpu, CONTROL, &answer);
	}
	assert_false(fe_queue_has_used(queue));
	return count_calls(test, CONTROL);
}

/* Asks for a notification when the entry `ahead` of the next one is used. */
static void set_used_event(struct test *test, uint16_t ahead)
{
	struct fe_queue *queue = &test->gpu->queues[CONTROL];

	queue->avail->ring[queue->size] = (uint16_t)(queue->used_idx + ahead);
}

/* 2.7.7.2: without EVENT_IDX the flag decides. A batch is told once. */
static void test_flag_decides_notifications(void **state)
{
	struct test *test = *state;
	struct fe_queue *queue;

	start_without(test, EVENT_IDX);
	queue = &test->gpu->queues[CONTROL];
	assert_int_equal(run_batch(test, 1), 1);
	assert_int_equal(run_batch(test, 8), 1);
	queue->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_int_equal(run_batch(test, 1), 0);
	assert_int_equal(run_batch(test, 8), 0);
	queue->avail->flags = 0;
	assert_int_equal(run_batch(test, 8), 1);
}

/*
 * 2.7.7.2: with EVENT_IDX a notification is sent when the entry that used_event names is used, and
 * flags are not looked at.
 */
static void test_event_decides_notifications(void **state)
{
	static const struct {
		uint16_t ahead, batch;
		uint64_t calls;
	} cases[] = { { 0, 1, 1 }, { 1, 1, 0 }, { 0, 8, 1 }, { 7, 8, 1 }, { 8, 8, 0 },
		{ 0xffff, 8, 0 }, { 3, 8, 1 }, { 100, 30, 0 }, { 0, 30, 1 }, { 29, 30, 1 } };
	struct test *test = *state;

	start_without(test, 0);
	run_batch(test, 1); // the first after a start is told in any case
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test->gpu->queues[CONTROL].avail->flags = i % 2 ? VRING_AVAIL_F_NO_INTERRUPT : 0;
		set_used_event(test, cases[i].ahead);
		if (run_batch(test, cases[i].batch) != cases[i].calls) {
			fail_msg("event %u ahead, batch of %u: not %u notifications",
				cases[i].ahead, cases[i].batch, (unsigned int)cases[i].calls);
		}
	}
}

/* An event some batches ahead is found when it is reached. */
static void test_event_is_reached_later(void **state)
{
	struct test *test = *state;

	start_without(test, 0);
	run_batch(test, 1);
	set_used_event(test, 19);
	assert_int_equal(run_batch(test, 6), 0);
	assert_int_equal(run_batch(test, 6), 0);
	assert_int_equal(run_batch(test, 6), 0);
	assert_int_equal(run_batch(test, 6), 1);
	assert_int_equal(run_batch(test, 6), 0);
}

/*
 * A driver may wait for an entry that was used before a stop, and of which nobody told it: the first
 * answer behind a start is told whatever used_event says.
 */
static void test_first_answer_after_a_start_is_told(void **state)
{
	const struct fe_gpu_options options = options_without(0);
	const uint32_t bases[] = { 300, 0 };
	struct test *test = *state;
	struct fe_queue *queue;

	prepare(test, &options);
	queue = &test->gpu->queues[CONTROL];
	set_index(queue, 300);
	set_used_event(test, (uint16_t)-2);
	submit(test, CONTROL);
	fe_queue_publish(queue);
	assert_int_equal(fe_gpu_cont(test->gpu, bases), 0);
	while (!fe_queue_has_used(queue)) {
		round_trip(test);
	}
	assert_int_equal(count_calls(test, CONTROL), 1);
	assert_answered(test, CONTROL);
	set_used_event(test, (uint16_t)-2);
	assert_int_equal(run_batch(test, 1), 0);
}

/* 2.7.10: an idle device wants to be told of the next request. */
static void test_idle_device_asks_for_kicks(void **state)
{
	struct test *test = *state;

	start_without(test, 0);
	for (uint32_t i = 0; i < 20; i++) {
		const struct fe_queue *queue = &test->gpu->queues[CONTROL];

		assert_works(test, CONTROL);
		round_trip(test);
		assert_int_equal(fe_queue_avail_event(queue), queue->avail_idx);
		assert_int_equal(queue->used->flags, 0); // 2.7.10.1: with EVENT_IDX always
	}
	start_without(test, EVENT_IDX);
	for (uint32_t i = 0; i < 20; i++) {
		assert_works(test, CONTROL);
		round_trip(test);
		assert_int_equal(test->gpu->queues[CONTROL].used->flags, 0);
	}
}

/* vhost-user, SET_VRING_CALL: what happened without a descriptor is told when there is one. */
static void test_call_comes_later(void **state)
{
	struct test *test = *state;
	const struct fe_queue *queue;

	start_without(test, EVENT_IDX);
	queue = &test->gpu->queues[CONTROL];
	assert_works(test, CONTROL);
	assert_int_equal(fe_session_set_vring_call(test->session, CONTROL, -1), 0);
	count_calls(test, CONTROL);
	submit(test, CONTROL);
	fe_gpu_flush(test->gpu, CONTROL);
	while (!fe_queue_has_used(queue)) {
		round_trip(test);
	}
	assert_int_equal(count_calls(test, CONTROL), 0);
	assert_int_equal(fe_session_set_vring_call(test->session, CONTROL, queue->call), 0);
	assert_int_equal(count_calls(test, CONTROL), 1);
	assert_answered(test, CONTROL);
	/* Nothing was missed now. */
	assert_int_equal(fe_session_set_vring_call(test->session, CONTROL, queue->call), 0);
	assert_int_equal(count_calls(test, CONTROL), 0);
	assert_both_work(test);
}

/* Notifications that nobody takes must not make the daemon wait. */
static void test_full_call_counter(void **state)
{
	const uint64_t full = UINT64_MAX - 1;
	struct test *test = *state;

	start_without(test, EVENT_IDX);
	for (uint32_t i = 0; i < 3; i++) {
		struct fe_queue *queue = &test->gpu->queues[CONTROL];

		assert_int_equal(write(queue->call, &full, sizeof(full)), sizeof(full));
		submit(test, CONTROL);
		fe_gpu_flush(test->gpu, CONTROL);
		while (!fe_queue_has_used(queue)) {
			round_trip(test);
		}
		assert_answered(test, CONTROL);
		assert_works(test, CURSOR);
		fd_event_clear(queue->call);
	}
}

/* Polling. */

/* While it polls, the device needs no notification. */
static void test_polling_needs_no_kick(void **state)
{
	struct test *test = *state;
	bool found = false;

	start_without(test, 0);
	/* If this machine sleeps longer than the daemon polls, it must be told after all. */
	for (uint32_t i = 0; i < 10 && !found; i++) {
		struct fe_gpu_answer answer;

		assert_works(test, CONTROL);
		submit(test, CONTROL);
		fe_queue_publish(&test->gpu->queues[CONTROL]);
		found = fe_gpu_wait(test->gpu, CONTROL, &answer, 500) == 0;
		if (!found) {
			fe_queue_force_kick(&test->gpu->queues[CONTROL]);
			assert_answered(test, CONTROL);
		}
	}
	assert_true(found);
}

/* Two lookers may miss each other: driver and device both decide whether to tell. */
static void test_polling_with_few_kicks(void **state)
{
	static const uint64_t off[] = { 0, EVENT_IDX };
	struct test *test = *state;

	for (uint32_t i = 0; i < 2; i++) {
		start_without(test, off[i]);
		for (uint32_t n = 0; n < 1000; n++) {
			assert_works(test, n % 3 == 0 ? CURSOR : CONTROL);
		}
		round_trip(test);
		assert_both_work(test);
	}
}

/* The session is served while it polls, and a stop ends it. */
static void test_polling_serves_messages(void **state)
{
	struct test *test = *state;
	uint32_t bases[WIRE_QUEUE_COUNT];

	start_without(test, 0);
	for (uint32_t i = 1; i < 20; i++) {
		assert_works(test, CONTROL);
		assert_works(test, CURSOR);
		assert_int_equal(fe_gpu_stop(test->gpu, bases), 0);
		assert_int_equal(bases[CONTROL], i);
		assert_int_equal(bases[CURSOR], i);
		assert_int_equal(fe_gpu_cont(test->gpu, bases), 0);
	}
}

static int setup_polling_shortly(void **state)
{
	return start_daemon(state, "--poll-us=200");
}

/* When it has stopped polling, it asks for notifications again. */
static void test_polling_ends(void **state)
{
	static const uint64_t off[] = { 0, EVENT_IDX };
	struct test *test = *state;

	for (uint32_t i = 0; i < 2; i++) {
		const struct fe_queue *queue = &test->gpu->queues[CONTROL];

		start_without(test, off[i]);
		for (uint32_t n = 0; n < 20; n++) {
			assert_works(test, CONTROL);
			while (off[i] ? queue->used->flags != 0
				      : fe_queue_avail_event(queue) != queue->avail_idx) {
				round_trip(test);
			}
			assert_works(test, CURSOR);
		}
	}
}

/* Rings that break rules. */

/* A good request's bytes in guest memory, with room behind them. */
static uint64_t make_request(struct test *test)
{
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);

	assert_true(span.size > 0);
	memcpy(span.host, &get_info, sizeof(get_info));
	return span.addr;
}

/* Makes an indirect table of count entries and lets descriptor 0 name it. */
static struct vring_desc *make_table(struct test *test, struct fe_queue *queue, uint32_t count)
{
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4096, 4096);
	struct vring_desc *table = span.host;
	uint64_t request = make_request(test);

	assert_true(span.size > 0);
	for (uint32_t i = 0; i < count; i++) {
		table[i] = (struct vring_desc){ request, sizeof(get_info),
			i + 1 < count ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1) };
	}
	fe_queue_write_desc(queue, 0, span.addr, count * 16, VRING_DESC_F_INDIRECT, 0);
	return table;
}

static void make_chain(struct test *test, struct fe_queue *queue)
{
	uint64_t request = make_request(test);

	fe_queue_write_desc(queue, 0, request, sizeof(get_info), VRING_DESC_F_NEXT, 1);
	fe_queue_write_desc(queue, 1, request + 1024, 1024, VRING_DESC_F_WRITE, 0);
}

static void index_too_far(struct test *test, struct fe_queue *queue)
{
	(void)test;
	queue->avail_idx = (uint16_t)(queue->avail_idx + queue->size + 1);
}

static void index_goes_back(struct test *test, struct fe_queue *queue)
{
	(void)test;
	queue->avail_idx--;
}

static void head_beyond(struct test *test, struct fe_queue *queue)
{
	(void)test;
	fe_queue_push_head(queue, queue->size);
}

static void head_far_beyond(struct test *test, struct fe_queue *queue)
{
	(void)test;
	fe_queue_push_head(queue, 0xffff);
}

static void next_beyond(struct test *test, struct fe_queue *queue)
{
	make_chain(test, queue);
	queue->desc[0].next = queue->size;
	fe_queue_push_head(queue, 0);
}

static void chain_to_itself(struct test *test, struct fe_queue *queue)
{
	make_chain(test, queue);
	queue->desc[0].next = 0;
	fe_queue_push_head(queue, 0);
}

static void chain_in_a_circle(struct test *test, struct fe_queue *queue)
{
	make_chain(test, queue);
	queue->desc[1].flags |= VRING_DESC_F_NEXT;
	queue->desc[1].next = 2;
	fe_queue_write_desc(
		queue, 2, queue->desc[1].addr, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	fe_queue_push_head(queue, 0);
}

static void readable_behind_writable(struct test *test, struct fe_queue *queue)
{
	make_chain(test, queue);
	queue->desc[1].flags |= VRING_DESC_F_NEXT;
	queue->desc[1].next = 2;
	fe_queue_write_desc(queue, 2, queue->desc[0].addr, 1, 0, 0);
	fe_queue_push_head(queue, 0);
}

static void request_in_no_memory(struct test *test, struct fe_queue *queue)
{
	make_chain(test, queue);
	queue->desc[0].addr = 0x1000;
	fe_queue_push_head(queue, 0);
}

static void request_across_the_end(struct test *test, struct fe_queue *queue)
{
	const struct fe_region *region = &test->gpu->memory.regions[0];

	make_chain(test, queue);
	queue->desc[0].addr = region->guest_addr + region->size - 23;
	fe_queue_push_head(queue, 0);
}

static void request_around_the_end_of_addresses(struct test *test, struct fe_queue *queue)
{
	make_chain(test, queue);
	queue->desc[0].addr = UINT64_MAX - 7;
	fe_queue_push_head(queue, 0);
}

/* A user address: what SET_VRING_ADDR takes, and descriptors do not. */
static void request_by_user_address(struct test *test, struct fe_queue *queue)
{
	make_chain(test, queue);
	queue->desc[0].addr = (uintptr_t)test->gpu->memory.regions[0].host;
	fe_queue_push_head(queue, 0);
}

static void table_unasked(struct test *test, struct fe_queue *queue)
{
	make_table(test, queue, 1);
	fe_queue_push_head(queue, 0);
}

static void table_with_next(struct test *test, struct fe_queue *queue)
{
	make_table(test, queue, 1);
	queue->desc[0].flags |= VRING_DESC_F_NEXT;
	queue->desc[0].next = 1;
	fe_queue_write_desc(queue, 1, make_request(test), 24, 0, 0);
	fe_queue_push_head(queue, 0);
}

static void table_of_nothing(struct test *test, struct fe_queue *queue)
{
	make_table(test, queue, 1);
	queue->desc[0].len = 0;
	fe_queue_push_head(queue, 0);
}

static void table_of_odd_size(struct test *test, struct fe_queue *queue)
{
	make_table(test, queue, 2);
	queue->desc[0].len = 24;
	fe_queue_push_head(queue, 0);
}

static void table_of_gigabytes(struct test *test, struct fe_queue *queue)
{
	make_table(test, queue, 1);
	queue->desc[0].len = 0xfffffff0;
	fe_queue_push_head(queue, 0);
}

static void table_in_no_memory(struct test *test, struct fe_queue *queue)
{
	make_table(test, queue, 1);
	queue->desc[0].addr = 0x1000;
	fe_queue_push_head(queue, 0);
}

static void table_in_a_table(struct test *test, struct fe_queue *queue)
{
	struct vring_desc *table = make_table(test, queue, 2);

	table[1] = queue->desc[0];
	fe_queue_push_head(queue, 0);
}

static void table_with_next_beyond(struct test *test, struct fe_queue *queue)
{
	struct vring_desc *table = make_table(test, queue, 2);

	table[0].next = 2;
	fe_queue_push_head(queue, 0);
}

static void table_in_a_circle(struct test *test, struct fe_queue *queue)
{
	struct vring_desc *table = make_table(test, queue, 3);

	table[2].flags = VRING_DESC_F_NEXT;
	table[2].next = 1;
	fe_queue_push_head(queue, 0);
}

struct fault {
	const char *name;
	void (*make)(struct test *test, struct fe_queue *queue);
	uint64_t features_off;
};

#define FAULT(name) #name, name

static const struct fault faults[] = {
	{ FAULT(index_too_far), 0 }, // 2.7.13: no more than there are entries
	{ FAULT(index_goes_back), 0 },
	{ FAULT(head_beyond), 0 },
	{ FAULT(head_far_beyond), 0 },
	{ FAULT(next_beyond), 0 }, // 2.7.5
	{ FAULT(chain_to_itself), 0 }, // 2.7.5.2: not longer than the queue
	{ FAULT(chain_in_a_circle), 0 },
	{ FAULT(readable_behind_writable), 0 }, // 2.7.4.2
	{ FAULT(request_in_no_memory), 0 },
	{ FAULT(request_across_the_end), 0 },
	{ FAULT(request_around_the_end_of_addresses), 0 },
	{ FAULT(request_by_user_address), 0 },
	{ FAULT(table_unasked), INDIRECT }, // 2.7.5.3.1
	{ FAULT(table_with_next), 0 }, // 2.7.5.3.1
	{ FAULT(table_of_nothing), 0 },
	{ FAULT(table_of_odd_size), 0 }, // 2.7.5.3
	{ FAULT(table_of_gigabytes), 0 },
	{ FAULT(table_in_no_memory), 0 },
	{ FAULT(table_in_a_table), 0 }, // 2.7.5.3.1
	{ FAULT(table_with_next_beyond), 0 },
	{ FAULT(table_in_a_circle), 0 },
};

#define FAULTS (sizeof(faults) / sizeof(faults[0]))

/*
 * Makes the ring anew while the other runs, as a driver that resets one queue would have it done.
 */
static void set_up_anew(struct test *test, uint32_t queue)
{
	uint32_t base;

	assert_int_equal(fe_session_get_vring_base(test->session, queue, &base), 0);
	/* The device's part of the ring, too: avail_event would hold back the first kick. */
	memset(test->gpu->queues[queue].ring.host, 0, test->gpu->queues[queue].ring.size);
	fe_queue_reset(&test->gpu->queues[queue]);
	assert_int_equal(fe_gpu_start_ring(test->gpu, queue, 0), 0);
	assert_int_equal(fe_session_set_vring_enable(test->session, queue, true), 0);
}

/* The ring stops and says so; nothing else changes. */
static void assert_broken(struct test *test, uint32_t index, const char *name)
{
	struct fe_queue *queue = &test->gpu->queues[index];

	assert_signalled(queue->err, name);
	assert_stands_still(test, index);
	assert_works(test, 1 - index);
	/* It is not looked at any more. */
	fe_queue_force_kick(queue);
	assert_stands_still(test, index);
	assert_false(fd_event_clear(queue->err));
}

static void assert_mended(struct test *test, uint32_t queue)
{
	assert_both_work(test);
	assert_false(fd_event_clear(test->gpu->queues[queue].err));
	/* Resources are still there: one queue was made anew, the device was not reset. */
	assert_int_equal(fe_gpu_create_2d(test->gpu, RESOURCE, 1, 8, 8),
		VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
}

static void start_with_resource(struct test *test, uint64_t features_off)
{
	start_without(test, features_off);
	assert_both_work(test);
	assert_int_equal(fe_gpu_create_2d(test->gpu, RESOURCE, 1, 8, 8), VIRTIO_GPU_RESP_OK_NODATA);
}

static void run_fault(struct test *test, uint32_t index, const struct fault *fault)
{
	struct fe_queue *queue = &test->gpu->queues[index];

	start_with_resource(test, fault->features_off);
	fault->make(test, queue);
	fe_queue_publish(queue);
	fe_queue_force_kick(queue);
	assert_broken(test, index, fault->name);
	set_up_anew(test, index);
	assert_mended(test, index);
}

static void test_broken_control_ring(void **state)
{
	for (size_t i = 0; i < FAULTS; i++) {
		run_fault(*state, CONTROL, &faults[i]);
	}
}

static void test_broken_cursor_ring(void **state)
{
	for (size_t i = 0; i < FAULTS; i++) {
		run_fault(*state, CURSOR, &faults[i]);
	}
}

/* What came before the fault is answered. */
static void test_requests_before_the_fault(void **state)
{
	struct test *test = *state;
	struct fe_queue *queue = &test->gpu->queues[CONTROL];

	start_with_resource(test, 0);
	hold(test);
	for (uint32_t i = 0; i < 5; i++) {
		submit(test, CONTROL);
	}
	fe_queue_push_head(queue, queue->size);
	submit(test, CONTROL); // never looked at
	tell(test, CONTROL);
	release(test);
	for (uint32_t i = 0; i < 5; i++) {
		while (!fe_queue_has_used(queue)) {
			round_trip(test);
		}
		struct fe_gpu_answer answer;

		assert_true(fe_gpu_take(test->gpu, CONTROL, &answer));
		assert_int_equal(answer.type, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	}
	assert_broken(test, CONTROL, "a head beyond the ring");
}

/* A front end without an error descriptor is served as well. */
static void test_broken_without_error_descriptor(void **state)
{
	struct test *test = *state;
	struct fe_queue *queue = &test->gpu->queues[CONTROL];

	start_with_resource(test, 0);
	assert_int_equal(fe_session_set_vring_err(test->session, CONTROL, -1), 0);
	fe_queue_push_head(queue, queue->size);
	tell(test, CONTROL);
	assert_stands_still(test, CONTROL);
	assert_works(test, CURSOR);
	assert_false(fd_event_clear(queue->err));
	set_up_anew(test, CONTROL);
	assert_mended(test, CONTROL);
}

/* A reset mends all. */
static void test_broken_rings_and_a_reset(void **state)
{
	struct test *test = *state;

	start_with_resource(test, 0);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		fe_queue_push_head(&test->gpu->queues[i], 0xffff);
		tell(test, i);
		assert_signalled(test->gpu->queues[i].err, "a head beyond the ring");
	}
	assert_int_equal(fe_gpu_reset(test->gpu), 0);
	assert_both_work(test);
	assert_int_equal(fe_gpu_create_2d(test->gpu, RESOURCE, 1, 8, 8), VIRTIO_GPU_RESP_OK_NODATA);
}

/* Where the ring lies, as changes to the good place. */
struct place {
	const char *name;
	uint64_t desc, avail, used;
};

static const struct place places[] = {
	{ "descriptors in no memory", UINT64_C(1) << 50, 0, 0 },
	{ "available ring in no memory", 0, UINT64_C(1) << 50, 0 },
	{ "used ring in no memory", 0, 0, UINT64_C(1) << 50 },
	{ "descriptors at an odd address", 8, 0, 0 }, // 2.7: 16, 2 and 4
	{ "available ring at an odd address", 0, 1, 0 },
	{ "used ring at an odd address", 0, 0, 2 },
	{ "descriptors across the end", MEMORY_SIZE - 1008, 0, 0 }, // of 64 entries
	{ "used ring across the end", 0, 0, MEMORY_SIZE - 512 },
};

/* The ring lies at the begin of the memory, so that places are easily counted. */
static struct vhost_vring_addr place_ring(struct test *test, const struct place *place)
{
	const uint64_t host = (uintptr_t)test->gpu->memory.regions[0].host;

	return (struct vhost_vring_addr){
		.index = CONTROL,
		.desc = host + place->desc,
		.avail = host + 4096 + place->avail,
		.used = host + (place->used >= MEMORY_SIZE - 512 ? 0 : 8192) + place->used,
	};
}

/* A ring that cannot be mapped is broken when it starts. */
static void test_rings_in_bad_places(void **state)
{
	struct test *test = *state;
	uint32_t base;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		start_with_resource(test, 0);
		const struct vhost_vring_addr addr = place_ring(test, &places[i]);
		const struct fe_queue *queue = &test->gpu->queues[CONTROL];

		assert_int_equal(fe_session_get_vring_base(test->session, CONTROL, &base), 0);
		assert_int_equal(fe_session_tell(test->session, VHOST_SET_VRING_ADDR, &addr,
					 sizeof(addr), NULL, 0),
			0);
		fe_queue_force_kick(&test->gpu->queues[CONTROL]);
		fe_session_set_vring_kick(test->session, CONTROL, queue->kick);
		assert_signalled(queue->err, places[i].name);
		assert_works(test, CURSOR);
		set_up_anew(test, CONTROL);
		assert_mended(test, CONTROL);
	}
}

/* Memory that comes and goes. */

static uint32_t add_region(struct test *test, uint64_t at)
{
	int region = fe_memory_add_region(&test->gpu->memory, at, REGION_SIZE);

	assert_true(region > 0);
	assert_int_equal(
		fe_session_add_mem_reg(test->session, &test->gpu->memory.regions[region]), 0);
	return (uint32_t)region;
}

static void remove_region(struct test *test, uint32_t region)
{
	assert_int_equal(
		fe_session_rem_mem_reg(test->session, &test->gpu->memory.regions[region]), 0);
}

/* A resource whose backing is one whole region. */
static int attach_region(struct test *test, uint32_t id, uint32_t region)
{
	const struct virtio_gpu_mem_entry entry = {
		.addr = test->gpu->memory.regions[region].guest_addr,
		.length = REGION_SIZE,
	};

	assert_int_equal(fe_gpu_create_2d(test->gpu, id, 1, 128, 128), VIRTIO_GPU_RESP_OK_NODATA);
	return fe_gpu_attach(test->gpu, id, &entry, 1);
}

static int transfer(struct test *test, uint32_t id)
{
	return fe_gpu_transfer(test->gpu, id, fe_rect(0, 0, 128, 128), 0);
}

/*
 * vhost-user, ADD_MEM_REG and REM_MEM_REG: memory is plugged and unplugged while the device runs.
 */
static void test_memory_comes_and_goes(void **state)
{
	struct test *test = *state;

	start_without(test, 0);
	for (uint32_t i = 1; i < 20; i++) {
		const uint64_t at = EXTRA_AT + i % 3 * UINT64_C(0x40000000);
		uint32_t region = add_region(test, at);

		assert_int_equal(attach_region(test, i, region), VIRTIO_GPU_RESP_OK_NODATA);
		assert_int_equal(transfer(test, i), VIRTIO_GPU_RESP_OK_NODATA);
		remove_region(test, region);
		/* What was attached keeps its pages. */
		assert_int_equal(transfer(test, i), VIRTIO_GPU_RESP_OK_NODATA);
		/* What is gone cannot be attached. */
		assert_int_equal(attach_region(test, 100 + i, region),
			VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
		assert_both_work(test);
	}
}

/* As many regions as fit on this side, removed from the middle outwards. */
static void test_many_regions(void **state)
{
	enum {
		COUNT = FE_MEMORY_REGIONS - 2
	};
	struct test *test = *state;
	uint32_t regions[COUNT];

	start_without(test, 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		regions[i] = add_region(test, EXTRA_AT + (uint64_t)(i + i / 3) * REGION_SIZE);
		assert_int_equal(attach_region(test, i + 1, regions[i]), VIRTIO_GPU_RESP_OK_NODATA);
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t victim = (COUNT / 2 + (i % 2 ? COUNT - (i + 1) / 2 : i / 2)) % COUNT;

		remove_region(test, regions[victim]);
		assert_int_equal(fe_gpu_unref(test->gpu, victim + 1), VIRTIO_GPU_RESP_OK_NODATA);
	}
	assert_both_work(test);
}

/* The table is replaced while requests are under way. */
static void test_table_is_replaced(void **state)
{
	struct test *test = *state;

	start_without(test, 0);
	for (uint32_t i = 0; i < 6; i++) {
		assert_true(fe_memory_add_region(&test->gpu->memory,
				    EXTRA_AT + i * UINT64_C(0x10000000), REGION_SIZE) > 0);
	}
	for (uint32_t i = 0; i < 50; i++) {
		submit(test, CONTROL);
		submit(test, CURSOR);
		fe_gpu_flush(test->gpu, CONTROL);
		fe_gpu_flush(test->gpu, CURSOR);
		if (i % 10 == 9) {
			fe_memory_remove_region(&test->gpu->memory, 1 + i / 10);
		}
		assert_int_equal(fe_session_set_mem_table(test->session, &test->gpu->memory), 0);
		assert_answered(test, CONTROL);
		assert_answered(test, CURSOR);
	}
}

/* A ring whose memory is taken away breaks; the other goes on. */
static void test_memory_of_a_ring_goes(void **state)
{
	struct test *test = *state;
	struct fe_queue *cursor = &test->gpu->queues[CURSOR];

	start_with_resource(test, 0);
	uint32_t region = add_region(test, EXTRA_AT);
	uint8_t *host = test->gpu->memory.regions[region].host;
	struct vring_avail *avail = (void *)(host + 4096);
	struct vring_used *used = (void *)(host + 8192);
	const struct vhost_vring_addr addr = {
		.index = CURSOR,
		.desc = (uintptr_t)host,
		.avail = (uintptr_t)avail,
		.used = (uintptr_t)used,
	};

	/* The ring moves there as it is: empty, at the same index. */
	avail->idx = cursor->avail_idx;
	used->idx = cursor->used_idx;
	assert_int_equal(
		fe_session_tell(test->session, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0),
		0);
	assert_false(fd_event_clear(cursor->err));
	remove_region(test, region);
	assert_signalled(cursor->err, "the memory of a ring went");
	assert_works(test, CONTROL);
	set_up_anew(test, CURSOR);
	assert_mended(test, CURSOR);
}

/* 2.7.8: the element is used though there is no place for the answer any more. */
static void test_room_of_an_answer_goes(void **state)
{
	struct test *test = *state;
	struct fe_gpu_answer answer;

	start_with_resource(test, 0);
	uint32_t region = add_region(test, EXTRA_AT);
	const struct fe_buffer out = { make_request(test), sizeof(get_info) };
	const struct fe_buffer in = { EXTRA_AT, 1024 };
	struct fe_queue *queue = &test->gpu->queues[CONTROL];

	assert_true(fe_queue_add(queue, &out, 1, &in, 1, UINT64_MAX) >= 0);
	fe_gpu_flush(test->gpu, CONTROL);
	assert_int_equal(fe_gpu_wait(test->gpu, CONTROL, &answer, TIMEOUT_MS), 0);
	assert_int_equal(answer.len, INFO_SIZE);
	remove_region(test, region);
	assert_true(fe_queue_add(queue, &out, 1, &in, 1, UINT64_MAX) >= 0);
	fe_gpu_flush(test->gpu, CONTROL);
	assert_int_equal(fe_gpu_wait(test->gpu, CONTROL, &answer, TIMEOUT_MS), 0);
	assert_int_equal(answer.len, 0);
	assert_mended(test, CONTROL);
}

/* Puts a transfer from memory that the front end has just taken away into the ring. */
static void submit_vanished(struct test *test)
{
	const struct virtio_gpu_transfer_to_host_2d command = fe_gpu_make_transfer(
		RESOURCE + 1, fe_rect(0, 0, 128, 128), 0);
	uint32_t region = add_region(test, EXTRA_AT);

	assert_int_equal(attach_region(test, RESOURCE + 1, region), VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(ftruncate(test->gpu->memory.regions[region].fd, 0), 0);
	assert_true(fe_gpu_submit(test->gpu, CONTROL, &command, sizeof(command), 24) >= 0);
	assert_false(fe_queue_enable_call(&test->gpu->queues[CONTROL]));
	fe_queue_publish(&test->gpu->queues[CONTROL]);
}

/* The front end makes its file smaller: the session ends, the daemon does not. */
static void test_memory_vanishes(void **state)
{
	struct test *test = *state;

	start_with_resource(test, 0);
	submit_vanished(test);
	fe_queue_force_kick(&test->gpu->queues[CONTROL]);
	assert_int_equal(fe_session_wait_closed(test->session, TIMEOUT_MS), 0);
	start_without(test, 0);
	assert_both_work(test);
}

/* The same where nobody kicks and nobody sends a message. */
static void test_memory_vanishes_while_polling(void **state)
{
	struct test *test = *state;

	start_with_resource(test, 0);
	submit_vanished(test);
	if (fe_session_wait_closed(test->session, 800) < 0) {
		/* If this machine slept longer than the daemon polls, it must be told after all. */
		assert_false(fe_queue_has_used(&test->gpu->queues[CONTROL]));
		fe_queue_force_kick(&test->gpu->queues[CONTROL]);
		assert_int_equal(fe_session_wait_closed(test->session, TIMEOUT_MS), 0);
	}
	start_without(test, 0);
	assert_both_work(test);
}

#define TEST(name)         cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define TEST_POLLING(name) cmocka_unit_test_setup_teardown(test_##name, setup_polling, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_size),
		TEST(chains_of_many_pieces),
		TEST(chains_with_little_room),
		TEST(indices_wrap),
		TEST(once_around),
		TEST(ring_waits_for_its_kick),
		TEST(ring_that_goes_on_needs_no_kick),
		TEST(rings_are_enabled_without_protocol_features),
		TEST(rings_are_disabled_with_protocol_features),
		TEST(disabled_ring_stands_still),
		TEST(stopped_ring_stands_still),
		TEST(needless_kicks),
		TEST(flag_decides_notifications),
		TEST(event_decides_notifications),
		TEST(event_is_reached_later),
		TEST(first_answer_after_a_start_is_told),
		TEST(idle_device_asks_for_kicks),
		TEST(call_comes_later),
		TEST(full_call_counter),
		TEST_POLLING(polling_needs_no_kick),
		TEST_POLLING(polling_with_few_kicks),
		TEST_POLLING(polling_serves_messages),
		cmocka_unit_test_setup_teardown(test_polling_ends, setup_polling_shortly, teardown),
		TEST(broken_control_ring),
		TEST(broken_cursor_ring),
		TEST(requests_before_the_fault),
		TEST(broken_without_error_descriptor),
		TEST(broken_rings_and_a_reset),
		TEST(rings_in_bad_places),
		TEST(memory_comes_and_goes),
		TEST(many_regions),
		TEST(table_is_replaced),
		TEST(memory_of_a_ring_goes),
		TEST(room_of_an_answer_goes),
		TEST(memory_vanishes),
		TEST_POLLING(memory_vanishes_while_polling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
