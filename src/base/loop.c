/* SPDX-License-Identifier: MIT */
#include "base/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "base/list.h"
#include "base/log.h"

/*
 * How this works
 *
 * Each source owns one libuv handle, its first use of `data` pointing back at the source. libuv
 * closes handles asynchronously: loop_remove_* only starts that, and the source's memory is freed
 * from the close callback. loop_destroy runs the loop until all closes are done.
 *
 * uv_prepare handles run right before the loop polls. There is one, started while deferred work is
 * scheduled, and it runs the list until it is empty: a callback may schedule another (an answer that
 * is written at the end of the turn completes a request, which is published at the end of the turn).
 * With a handle for each, libuv would put off what was scheduled meanwhile until after the poll.
 */

struct loop {
	uv_loop_t uv;
	uv_prepare_t turn_end;
	struct list scheduled; // loop_deferred.link
};

struct loop_fd {
	uv_poll_t uv;
	int events; // that are watched for
	loop_fd_fn callback;
	void *data;
};

struct loop_timer {
	uv_timer_t uv;
	loop_fn callback;
	void *data;
};

struct loop_signal {
	uv_signal_t uv;
	loop_fn callback;
	void *data;
};

struct loop_idle {
	uv_idle_t uv;
	loop_fn callback;
	void *data;
};

struct loop_waker {
	uv_async_t uv;
	loop_fn callback;
	void *data;
};

struct loop_deferred {
	struct list link; // on no list: not scheduled
	struct loop *loop;
	loop_fn callback;
	void *data;
};

static void handle_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void remove_handle(uv_handle_t *handle)
{
	uv_close(handle, handle_closed);
}

static void *log_failure(const char *what, int error)
{
	log_error("%s: %s", what, uv_strerror(error));
	return NULL;
}

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int error;

	if (!loop) {
		return log_failure("cannot make an event loop", UV_ENOMEM);
	}
	error = uv_loop_init(&loop->uv);
	if (error) {
		free(loop);
		return log_failure("cannot make an event loop", error);
	}
	uv_prepare_init(&loop->uv, &loop->turn_end);
	list_init(&loop->scheduled);
	return loop;
}

void loop_destroy(struct loop *loop)
{
	int error;

	if (!loop) {
		return;
	}
	assert(list_is_empty(&loop->scheduled));
	uv_close((uv_handle_t *)&loop->turn_end, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	error = uv_loop_close(&loop->uv);
	assert(error == 0);
	(void)error;
	free(loop);
}

void loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

void loop_run_once(struct loop *loop, bool wait)
{
	uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

uint64_t loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void handle_fd(uv_poll_t *handle, int status, int events)
{
	struct loop_fd *source = handle->data;
	int ready = 0;

	/*
	 * An error on the descriptor shows as readable: a read says what it is, perhaps behind bytes that
	 * came before it. libuv has stopped watching, which would leave the rest unread.
	 */
	if (status < 0) {
		loop_fd_set_events(source, source->events);
	}
	if (status < 0 || (events & UV_READABLE)) {
		ready |= LOOP_READABLE;
	}
	if (events & UV_WRITABLE) {
		ready |= LOOP_WRITABLE;
	}
	source->callback(source->data, ready);
}

static int to_uv_events(int events)
{
	return (events & LOOP_READABLE ? UV_READABLE : 0) |
		(events & LOOP_WRITABLE ? UV_WRITABLE : 0);
}

void loop_fd_set_events(struct loop_fd *source, int events)
{
	source->events = events;
	if (events) {
		uv_poll_start(&source->uv, to_uv_events(events), handle_fd);
	} else {
		uv_poll_stop(&source->uv);
	}
}

struct loop_fd *loop_add_fd(struct loop *loop, int fd, int events, loop_fd_fn callback, void *data)
{
	struct loop_fd *source = calloc(1, sizeof(*source));
	int error = source ? uv_poll_init(&loop->uv, &source->uv, fd) : UV_ENOMEM;

	if (error) {
		free(source);
		return log_failure("cannot watch a file descriptor", error);
	}
	source->uv.data = source;
	source->callback = callback;
	source->data = data;
	loop_fd_set_events(source, events);
	return source;
}

void loop_remove_fd(struct loop_fd *source)
{
	if (source) {
		remove_handle((uv_handle_t *)&source->uv);
	}
}

static void handle_timer(uv_timer_t *handle)
{
	struct loop_timer *timer = handle->data;

	timer->callback(timer->data);
}

struct loop_timer *loop_add_timer(struct loop *loop, loop_fn callback, void *data)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));
	int error = timer ? uv_timer_init(&loop->uv, &timer->uv) : UV_ENOMEM;

	if (error) {
		free(timer);
		return log_failure("cannot make a timer", error);
	}
	timer->uv.data = timer;
	timer->callback = callback;
	timer->data = data;
	return timer;
}

void loop_timer_start(struct loop_timer *timer, uint32_t milliseconds)
{
	uv_timer_start(&timer->uv, handle_timer, milliseconds, 0);
}

void loop_timer_stop(struct loop_timer *timer)
{
	uv_timer_stop(&timer->uv);
}

bool loop_timer_is_running(const struct loop_timer *timer)
{
	return uv_is_active((const uv_handle_t *)&timer->uv) != 0;
}

void loop_remove_timer(struct loop_timer *timer)
{
	if (timer) {
		remove_handle((uv_handle_t *)&timer->uv);
	}
}

static void handle_signal(uv_signal_t *handle, int number)
{
	struct loop_signal *source = handle->data;

	(void)number;
	source->callback(source->data);
}

struct loop_signal *loop_add_signal(struct loop *loop, int number, loop_fn callback, void *data)
{
	struct loop_signal *source = calloc(1, sizeof(*source));
	int error = source ? uv_signal_init(&loop->uv, &source->uv) : UV_ENOMEM;

	if (error) {
		free(source);
		return log_failure("cannot watch a signal", error);
	}
	source->uv.data = source;
	source->callback = callback;
	source->data = data;
	error = uv_signal_start(&source->uv, handle_signal, number);
	if (error) {
		loop_remove_signal(source);
		return log_failure("cannot watch a signal", error);
	}
	return source;
}

void loop_remove_signal(struct loop_signal *source)
{
	if (source) {
		remove_handle((uv_handle_t *)&source->uv);
	}
}

static void handle_idle(uv_idle_t *handle)
{
	struct loop_idle *idle = handle->data;

	idle->callback(idle->data);
}

struct loop_idle *loop_add_idle(struct loop *loop, loop_fn callback, void *data)
{
	struct loop_idle *idle = calloc(1, sizeof(*idle));

	if (!idle) {
		return log_failure("cannot make an idle source", UV_ENOMEM);
	}
	uv_idle_init(&loop->uv, &idle->uv);
	idle->uv.data = idle;
	idle->callback = callback;
	idle->data = data;
	return idle;
}

void loop_idle_start(struct loop_idle *idle)
{
	uv_idle_start(&idle->uv, handle_idle);
}

void loop_idle_stop(struct loop_idle *idle)
{
	uv_idle_stop(&idle->uv);
}

void loop_remove_idle(struct loop_idle *idle)
{
	if (idle) {
		remove_handle((uv_handle_t *)&idle->uv);
	}
}

static void handle_turn_end(uv_prepare_t *handle)
{
	struct loop *loop = container_of(handle, struct loop, turn_end);
	struct list *link;

	while ((link = list_first(&loop->scheduled))) {
		struct loop_deferred *deferred = container_of(link, struct loop_deferred, link);

		list_remove(link);
		deferred->callback(deferred->data);
	}
	uv_prepare_stop(handle);
}

struct loop_deferred *loop_add_deferred(struct loop *loop, loop_fn callback, void *data)
{
	struct loop_deferred *deferred = calloc(1, sizeof(*deferred));

	if (!deferred) {
		return log_failure("cannot make a deferred source", UV_ENOMEM);
	}
	list_init(&deferred->link);
	deferred->loop = loop;
	deferred->callback = callback;
	deferred->data = data;
	return deferred;
}

void loop_deferred_schedule(struct loop_deferred *deferred)
{
	if (!list_is_empty(&deferred->link)) {
		return;
	}
	list_append(&deferred->loop->scheduled, &deferred->link);
	uv_prepare_start(&deferred->loop->turn_end, handle_turn_end);
}

void loop_remove_deferred(struct loop_deferred *deferred)
{
	if (deferred) {
		list_remove(&deferred->link);
		free(deferred);
	}
}

static void handle_wake(uv_async_t *handle)
{
	struct loop_waker *waker = handle->data;

	waker->callback(waker->data);
}

struct loop_waker *loop_add_waker(struct loop *loop, loop_fn callback, void *data)
{
	struct loop_waker *waker = calloc(1, sizeof(*waker));
	int error = waker ? uv_async_init(&loop->uv, &waker->uv, handle_wake) : UV_ENOMEM;

	if (error) {
		free(waker);
		return log_failure("cannot make a waker", error);
	}
	waker->uv.data = waker;
	waker->callback = callback;
	waker->data = data;
	return waker;
}

void loop_wake(struct loop_waker *waker)
{
	uv_async_send(&waker->uv);
}

void loop_remove_waker(struct loop_waker *waker)
{
	if (waker) {
		remove_handle((uv_handle_t *)&waker->uv);
	}
}

bool loop_has_deferred(const struct loop *loop)
{
	return !list_is_empty(&loop->scheduled);
}
