/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/loop.h"

/* Far away, for timers that must not end while a test runs. */
#define NEVER_MS 600000

/* What a callback saw, and what else it is to do. */
struct probe {
	int calls;
	int events; // of the last call
	struct loop *stop; // loop_stop this one
	struct loop_fd **remove_fd; // these are removed and forgotten
	struct loop_timer **remove_timer;
	struct loop_signal **remove_signal;
	struct loop_idle **remove_idle;
	struct loop_deferred **remove_deferred;
	struct loop_deferred *schedule;
	struct loop_timer *start;
	int *order; // counts calls of several probes
	int place; // the count at the last call
};

static void remove_sources(struct probe *probe)
{
	if (probe->remove_fd) {
		loop_remove_fd(*probe->remove_fd);
		*probe->remove_fd = NULL;
	}
	if (probe->remove_timer) {
		loop_remove_timer(*probe->remove_timer);
		*probe->remove_timer = NULL;
	}
	if (probe->remove_signal) {
		loop_remove_signal(*probe->remove_signal);
		*probe->remove_signal = NULL;
	}
	if (probe->remove_idle) {
		loop_remove_idle(*probe->remove_idle);
		*probe->remove_idle = NULL;
	}
	if (probe->remove_deferred) {
		loop_remove_deferred(*probe->remove_deferred);
		*probe->remove_deferred = NULL;
	}
}

static void handle_call(void *data)
{
	struct probe *probe = data;

	probe->calls++;
	if (probe->order) {
		probe->place = ++*probe->order;
	}
	if (probe->schedule) {
		loop_deferred_schedule(probe->schedule);
	}
	if (probe->start) {
		loop_timer_start(probe->start, NEVER_MS);
	}
	if (probe->stop) {
		loop_stop(probe->stop);
	}
	remove_sources(probe);
}

static void handle_events(void *data, int events)
{
	struct probe *probe = data;

	probe->events = events;
	handle_call(probe);
}

struct fixture {
	struct loop *loop;
	int ends[2]; // of a stream socket
};

static int setup(void **state)
{
	static struct fixture fixture;

	fixture.loop = loop_create();
	*state = &fixture;
	return fixture.loop
		? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fixture.ends)
		: -1;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	loop_destroy(fixture->loop);
	fd_close_all(fixture->ends, 2);
	return 0;
}

/* As many turns as anything here can need; none waits. */
static void run_turns(struct loop *loop)
{
	for (int i = 0; i < 5; i++) {
		loop_run_once(loop, false);
	}
}

static void write_byte(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void read_byte(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 1);
}

static void nothing_is_fine(void **state)
{
	(void)state;
	loop_destroy(NULL);
	loop_remove_fd(NULL);
	loop_remove_timer(NULL);
	loop_remove_waker(NULL);
	loop_remove_signal(NULL);
	loop_remove_idle(NULL);
	loop_remove_deferred(NULL);
}

static void clock_goes_on(void **state)
{
	uint64_t before = loop_now_ns();

	(void)state;
	usleep(2000);
	assert_in_range(loop_now_ns() - before, 2000000, 60000000000ull);
}

static void readable_is_told_until_it_is_read(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe);

	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 0);
	write_byte(fixture->ends[1]);
	loop_run_once(fixture->loop, true);
	assert_int_equal(probe.calls, 1);
	assert_int_equal(probe.events, LOOP_READABLE);
	loop_run_once(fixture->loop, true);
	assert_int_equal(probe.calls, 2);
	read_byte(fixture->ends[0]);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 2);
	loop_remove_fd(source);
}

static void events_can_be_chosen_anew(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], 0, handle_events, &probe);

	write_byte(fixture->ends[1]);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 0);
	loop_fd_set_events(source, LOOP_WRITABLE);
	loop_run_once(fixture->loop, true);
	assert_int_equal(probe.events, LOOP_WRITABLE);
	loop_fd_set_events(source, LOOP_READABLE | LOOP_WRITABLE);
	loop_run_once(fixture->loop, true);
	assert_int_equal(probe.events, LOOP_READABLE | LOOP_WRITABLE);
	loop_fd_set_events(source, LOOP_READABLE);
	loop_run_once(fixture->loop, true);
	assert_int_equal(probe.events, LOOP_READABLE);
	assert_int_equal(probe.calls, 3);
	loop_fd_set_events(source, 0);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 3);
	loop_remove_fd(source);
}

static void end_of_stream_is_readable(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe);

	fd_close(&fixture->ends[1]);
	loop_run_once(fixture->loop, true);
	assert_int_equal(probe.calls, 1);
	assert_int_equal(probe.events, LOOP_READABLE);
	loop_remove_fd(source);
}

/*
 * A peer that leaves with bytes unread is an error on the socket (ECONNRESET), behind the bytes that it
 * sent. Whoever reads these piece by piece must be called until the error has been read.
 */
static void error_is_readable_until_it_is_read(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe);

	write_byte(fixture->ends[0]);
	write_byte(fixture->ends[1]);
	fd_close(&fixture->ends[1]);
	loop_run_once(fixture->loop, false);
	assert_int_equal(probe.calls, 1);
	assert_true(probe.events & LOOP_READABLE);
	read_byte(fixture->ends[0]);
	loop_run_once(fixture->loop, false);
	assert_int_equal(probe.calls, 2);
	assert_true(probe.events & LOOP_READABLE);
	loop_remove_fd(source);
}

static void fd_is_refused_when_it_cannot_be_watched(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe);
	int file = open(".", O_RDONLY | O_CLOEXEC | O_DIRECTORY);

	assert_non_null(source);
	assert_null(loop_add_fd(fixture->loop, file, LOOP_READABLE, handle_events, &probe));
	assert_null(
		loop_add_fd(fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe));
	/* the first one still works */
	write_byte(fixture->ends[1]);
	loop_run_once(fixture->loop, true);
	assert_int_equal(probe.calls, 1);
	loop_remove_fd(source);
	fd_close(&file);
}

static void fd_removes_itself(void **state)
{
	struct fixture *fixture = *state;
	struct loop_fd *source;
	struct probe probe = { .remove_fd = &source };

	source = loop_add_fd(fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe);
	write_byte(fixture->ends[1]);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 1);
	assert_null(source);
}

/* Both are ready in one turn: whichever comes first, the other one is silent from then on. */
static void removed_fd_is_silent_though_it_is_ready(void **state)
{
	struct fixture *fixture = *state;
	struct loop_fd *sources[2];
	struct probe probes[2] = { { .remove_fd = &sources[1] }, { .remove_fd = &sources[0] } };

	for (int i = 0; i < 2; i++) {
		write_byte(fixture->ends[i]);
		sources[i] = loop_add_fd(
			fixture->loop, fixture->ends[i], LOOP_READABLE, handle_events, &probes[i]);
	}
	loop_run_once(fixture->loop, false);
	assert_int_equal(probes[0].calls + probes[1].calls, 1);
	loop_remove_fd(sources[0]);
	loop_remove_fd(sources[1]);
}

/* After loop_remove_fd the number may be closed and come back as something else at once. */
static void fd_number_can_be_used_again(void **state)
{
	struct fixture *fixture = *state;
	struct probe old = { 0 }, new = { 0 };
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &old);
	int number = fixture->ends[0];
	int pair[2];

	run_turns(fixture->loop);
	loop_remove_fd(source);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(dup2(pair[0], number), number);
	source = loop_add_fd(fixture->loop, number, LOOP_READABLE, handle_events, &new);
	assert_non_null(source);
	write_byte(pair[1]);
	run_turns(fixture->loop);
	assert_int_equal(old.calls, 0);
	assert_true(new.calls > 0);
	loop_remove_fd(source);
	fd_close_all(pair, 2);
}

static void timer_fires_once(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_timer *timer = loop_add_timer(fixture->loop, handle_call, &probe);
	uint64_t before = loop_now_ns();

	assert_false(loop_timer_is_running(timer));
	loop_timer_start(timer, 20);
	assert_true(loop_timer_is_running(timer));
	loop_run_once(fixture->loop, false);
	while (probe.calls == 0) {
		loop_run_once(fixture->loop, true);
	}
	/* libuv counts whole milliseconds */
	assert_in_range(loop_now_ns() - before, 18000000, 60000000000ull);
	assert_false(loop_timer_is_running(timer));
	usleep(25000);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 1);
	loop_remove_timer(timer);
}

static void start_restarts_a_timer(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_timer *timer = loop_add_timer(fixture->loop, handle_call, &probe);

	loop_timer_start(timer, 0);
	loop_timer_start(timer, NEVER_MS);
	usleep(2000);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 0);
	loop_timer_start(timer, 1);
	usleep(2000);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 1);
	loop_remove_timer(timer);
}

static void stopped_timer_is_silent(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_timer *timer = loop_add_timer(fixture->loop, handle_call, &probe);

	loop_timer_start(timer, 0);
	loop_timer_stop(timer);
	assert_false(loop_timer_is_running(timer));
	loop_timer_stop(timer);
	usleep(2000);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 0);
	loop_remove_timer(timer);
}

static void timer_starts_itself_again(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_timer *timer = loop_add_timer(fixture->loop, handle_call, &probe);

	probe.start = timer;
	loop_timer_start(timer, 0);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 1);
	assert_true(loop_timer_is_running(timer));
	loop_remove_timer(timer);
}

static void timers_remove_themselves_and_others(void **state)
{
	struct fixture *fixture = *state;
	struct loop_timer *own, *other;
	struct probe first = { .remove_timer = &own }, second = { .remove_timer = &other };
	struct probe third = { 0 };
	struct loop_timer *remover;

	own = loop_add_timer(fixture->loop, handle_call, &first);
	remover = loop_add_timer(fixture->loop, handle_call, &second);
	other = loop_add_timer(fixture->loop, handle_call, &third);
	loop_timer_start(own, 0);
	loop_timer_start(remover, 0);
	loop_timer_start(other, 0); // due in the same turn
	run_turns(fixture->loop);
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(third.calls, 0);
	loop_remove_timer(remover);
}

static void signal_is_told(void **state)
{
	struct fixture *fixture = *state;
	struct loop_signal *source;
	struct probe probe = { 0 };

	source = loop_add_signal(fixture->loop, SIGUSR1, handle_call, &probe);
	assert_non_null(source);
	for (int i = 1; i <= 2; i++) {
		raise(SIGUSR1);
		if (i == 2) {
			probe.remove_signal = &source;
		}
		loop_run_once(fixture->loop, true);
		assert_int_equal(probe.calls, i);
	}
	assert_null(source);
}

static void wrong_signal_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };

	assert_null(loop_add_signal(fixture->loop, 12345, handle_call, &probe));
}

static void idle_keeps_the_loop_awake(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_idle *idle = loop_add_idle(fixture->loop, handle_call, &probe);

	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 0);
	loop_idle_start(idle);
	for (int i = 1; i <= 3; i++) {
		loop_run_once(fixture->loop, true); // would wait for ever
		assert_int_equal(probe.calls, i);
	}
	loop_idle_stop(idle);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 3);
	loop_remove_idle(idle);
}

static void idle_does_not_starve_others(void **state)
{
	struct fixture *fixture = *state;
	struct probe idle_probe = { 0 }, probe = { 0 };
	struct loop_idle *idle = loop_add_idle(fixture->loop, handle_call, &idle_probe);
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe);

	loop_idle_start(idle);
	write_byte(fixture->ends[1]);
	loop_run_once(fixture->loop, true);
	assert_int_equal(probe.calls, 1);
	loop_remove_fd(source);
	loop_remove_idle(idle);
}

static void idle_removes_itself(void **state)
{
	struct fixture *fixture = *state;
	struct loop_idle *idle;
	struct probe probe = { .remove_idle = &idle };

	idle = loop_add_idle(fixture->loop, handle_call, &probe);
	loop_idle_start(idle);
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 1);
}

static void deferred_runs_once_a_turn(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_deferred *deferred = loop_add_deferred(fixture->loop, handle_call, &probe);

	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 0);
	for (int i = 1; i <= 2; i++) {
		for (int j = 0; j < 3; j++) {
			loop_deferred_schedule(deferred);
		}
		assert_int_equal(probe.calls, i - 1); // not at once
		assert_true(loop_has_deferred(fixture->loop));
		run_turns(fixture->loop);
		assert_int_equal(probe.calls, i);
		assert_false(loop_has_deferred(fixture->loop));
	}
	loop_remove_deferred(deferred);
}

/* What the callbacks of one turn scheduled runs before the loop sleeps. */
static void deferred_runs_before_the_loop_waits(void **state)
{
	struct fixture *fixture = *state;
	struct probe deferred_probe = { .stop = fixture->loop };
	struct loop_deferred *deferred = loop_add_deferred(
		fixture->loop, handle_call, &deferred_probe);
	struct loop_fd *source;
	struct probe probe = { .schedule = deferred, .remove_fd = &source };

	source = loop_add_fd(fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe);
	write_byte(fixture->ends[1]);
	loop_run(fixture->loop); // ends when the deferred callback has run
	assert_int_equal(probe.calls, 1);
	assert_int_equal(deferred_probe.calls, 1);
	loop_remove_deferred(deferred);
}

/* ... and before the next events are looked for. */
static void deferred_runs_before_the_next_event(void **state)
{
	struct fixture *fixture = *state;
	int order = 0;
	struct probe deferred_probe = { .order = &order }, probe = { .order = &order };
	struct loop_deferred *deferred = loop_add_deferred(
		fixture->loop, handle_call, &deferred_probe);
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &probe);

	write_byte(fixture->ends[1]);
	loop_deferred_schedule(deferred);
	loop_run_once(fixture->loop, false);
	assert_int_equal(deferred_probe.place, 1);
	assert_int_equal(probe.place, 2);
	loop_remove_fd(source);
	loop_remove_deferred(deferred);
}

static void deferred_keeps_the_order(void **state)
{
	struct fixture *fixture = *state;
	int order = 0;
	struct probe probes[3] = { { .order = &order }, { .order = &order }, { .order = &order } };
	struct loop_deferred *deferred[3];

	for (int i = 0; i < 3; i++) {
		deferred[i] = loop_add_deferred(fixture->loop, handle_call, &probes[i]);
	}
	loop_deferred_schedule(deferred[2]);
	loop_deferred_schedule(deferred[0]);
	loop_deferred_schedule(deferred[1]);
	loop_deferred_schedule(deferred[2]); // keeps its place
	loop_run_once(fixture->loop, false);
	assert_int_equal(probes[2].place, 1);
	assert_int_equal(probes[0].place, 2);
	assert_int_equal(probes[1].place, 3);
	for (int i = 0; i < 3; i++) {
		loop_remove_deferred(deferred[i]);
	}
}

/* An answer that is written at the end of the turn completes a request, which is published then. */
static void deferred_schedules_deferred_in_the_same_turn(void **state)
{
	struct fixture *fixture = *state;
	int order = 0;
	struct probe last = { .order = &order }, middle = { .order = &order };
	struct probe first = { .order = &order }, ready = { .order = &order };
	struct loop_deferred *third = loop_add_deferred(fixture->loop, handle_call, &last);
	struct loop_deferred *second = loop_add_deferred(fixture->loop, handle_call, &middle);
	struct loop_deferred *deferred = loop_add_deferred(fixture->loop, handle_call, &first);
	struct loop_fd *source = loop_add_fd(
		fixture->loop, fixture->ends[0], LOOP_READABLE, handle_events, &ready);

	first.schedule = second;
	middle.schedule = third;
	write_byte(fixture->ends[1]);
	loop_deferred_schedule(deferred);
	loop_run_once(fixture->loop, false);
	assert_int_equal(first.place, 1);
	assert_int_equal(middle.place, 2);
	assert_int_equal(last.place, 3);
	assert_int_equal(ready.place, 4); // the event waited meanwhile
	run_turns(fixture->loop);
	assert_int_equal(first.calls + middle.calls + last.calls, 3);
	loop_remove_fd(source);
	loop_remove_deferred(third);
	loop_remove_deferred(second);
	loop_remove_deferred(deferred);
}

static void deferred_removes_itself_and_others(void **state)
{
	struct fixture *fixture = *state;
	struct loop_deferred *own, *other, *remover;
	struct probe first = { .remove_deferred = &own }, second = { .remove_deferred = &other };
	struct probe third = { 0 };

	own = loop_add_deferred(fixture->loop, handle_call, &first);
	remover = loop_add_deferred(fixture->loop, handle_call, &second);
	other = loop_add_deferred(fixture->loop, handle_call, &third);
	loop_deferred_schedule(own);
	loop_deferred_schedule(remover);
	loop_deferred_schedule(other);
	run_turns(fixture->loop);
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(third.calls, 0);
	loop_remove_deferred(remover);
}

static void removed_deferred_is_silent(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_deferred *deferred = loop_add_deferred(fixture->loop, handle_call, &probe);

	loop_deferred_schedule(deferred);
	loop_remove_deferred(deferred);
	assert_false(loop_has_deferred(fixture->loop));
	run_turns(fixture->loop);
	assert_int_equal(probe.calls, 0);
}

static void run_goes_on_after_a_stop(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { .stop = fixture->loop }, late = { 0 };
	struct loop_timer *timer = loop_add_timer(fixture->loop, handle_call, &probe);
	struct loop_timer *guard = loop_add_timer(fixture->loop, handle_call, &late);

	loop_timer_start(guard, 20000); // something is still to come when the loop stops
	for (int i = 1; i <= 2; i++) {
		loop_timer_start(timer, 1);
		loop_run(fixture->loop);
		assert_int_equal(probe.calls, i);
		assert_int_equal(late.calls, 0);
	}
	loop_remove_timer(guard);
	loop_remove_timer(timer);
}

static void run_once_waits_only_when_asked(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_timer *timer = loop_add_timer(fixture->loop, handle_call, &probe);

	loop_timer_start(timer, NEVER_MS);
	loop_run_once(fixture->loop, false);
	assert_int_equal(probe.calls, 0);
	loop_timer_start(timer, 5);
	/* The kernel may wake it a little early (its clock is coarser): a few turns, no busy loop. */
	for (int turns = 0; turns < 10 && probe.calls == 0; turns++) {
		loop_run_once(fixture->loop, true);
	}
	assert_int_equal(probe.calls, 1);
	loop_remove_timer(timer);
}

static void *wake_twice(void *waker)
{
	loop_wake(waker);
	loop_wake(waker);
	return NULL;
}

static void another_thread_wakes_the_loop(void **state)
{
	struct fixture *fixture = *state;
	struct probe probe = { 0 };
	struct loop_waker *waker = loop_add_waker(fixture->loop, handle_call, &probe);
	pthread_t thread;

	loop_run_once(fixture->loop, false);
	assert_int_equal(probe.calls, 0);
	assert_int_equal(pthread_create(&thread, NULL, wake_twice, waker), 0);
	while (probe.calls == 0) {
		loop_run_once(fixture->loop, true);
	}
	pthread_join(thread, NULL);
	loop_run_once(fixture->loop, false); // the second wake may come by itself
	assert_in_range(probe.calls, 1, 2);
	probe.calls = 0;
	loop_wake(waker);
	loop_remove_waker(waker);
	loop_run_once(fixture->loop, false);
	assert_int_equal(probe.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_fine),
		cmocka_unit_test(clock_goes_on),
		cmocka_unit_test_setup_teardown(readable_is_told_until_it_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(events_can_be_chosen_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(end_of_stream_is_readable, setup, teardown),
		cmocka_unit_test_setup_teardown(
			error_is_readable_until_it_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(
			fd_is_refused_when_it_cannot_be_watched, setup, teardown),
		cmocka_unit_test_setup_teardown(fd_removes_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(
			removed_fd_is_silent_though_it_is_ready, setup, teardown),
		cmocka_unit_test_setup_teardown(fd_number_can_be_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_fires_once, setup, teardown),
		cmocka_unit_test_setup_teardown(start_restarts_a_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(stopped_timer_is_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_starts_itself_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			timers_remove_themselves_and_others, setup, teardown),
		cmocka_unit_test_setup_teardown(signal_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_signal_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_keeps_the_loop_awake, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_does_not_starve_others, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_removes_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(deferred_runs_once_a_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deferred_runs_before_the_loop_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deferred_runs_before_the_next_event, setup, teardown),
		cmocka_unit_test_setup_teardown(deferred_keeps_the_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deferred_schedules_deferred_in_the_same_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(
			deferred_removes_itself_and_others, setup, teardown),
		cmocka_unit_test_setup_teardown(removed_deferred_is_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(another_thread_wakes_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(run_goes_on_after_a_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(run_once_waits_only_when_asked, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
