/* SPDX-License-Identifier: MIT */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

/*
 * The event loop: the one owner of libuv. One thread runs it; every callback comes from loop_run
 * on that thread. A source may be removed from inside any callback, its own too: its memory goes
 * when the callback has returned, and its callback is never called again.
 */

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;
struct loop_signal;
struct loop_idle;
struct loop_waker;

enum loop_events {
	LOOP_READABLE = 1, // also at end of stream and on errors: read to find out
	LOOP_WRITABLE = 2,
};

typedef void (*loop_fd_fn)(void *data, int events);
typedef void (*loop_fn)(void *data);

/* Returns NULL when the system has no descriptor left (logged). */
struct loop *loop_create(void);

/* All sources must have been removed before; NULL is fine. */
void loop_destroy(struct loop *loop);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);

/* Ends loop_run after the current callback. */
void loop_stop(struct loop *loop);

/* Runs what is ready and returns; waits for one event first if wait. For tests and fuzzing. */
void loop_run_once(struct loop *loop, bool wait);

/* Monotonic time in nanoseconds. */
uint64_t loop_now_ns(void);

/*
 * Watches fd (borrowed; remove the source before closing it). The fd must be pollable and watched
 * once. Returns NULL on failure (logged).
 */
struct loop_fd *loop_add_fd(struct loop *loop, int fd, int events, loop_fd_fn callback, void *data);
void loop_fd_set_events(struct loop_fd *source, int events);
void loop_remove_fd(struct loop_fd *source); // NULL is fine

/* A one-shot timer, not running at first. Returns NULL on failure (logged). */
struct loop_timer *loop_add_timer(struct loop *loop, loop_fn callback, void *data);
void loop_timer_start(struct loop_timer *timer, uint32_t milliseconds); // restarts a running one
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);
void loop_remove_timer(struct loop_timer *timer); // NULL is fine

/* Calls back when the process receives the signal. Returns NULL on failure (logged). */
struct loop_signal *loop_add_signal(struct loop *loop, int number, loop_fn callback, void *data);
void loop_remove_signal(struct loop_signal *source); // NULL is fine

/*
 * Calls back once a turn of the loop while started, and keeps the loop from sleeping. Not started
 * at first. Returns NULL on failure (logged).
 */
struct loop_idle *loop_add_idle(struct loop *loop, loop_fn callback, void *data);
void loop_idle_start(struct loop_idle *idle);
void loop_idle_stop(struct loop_idle *idle);
void loop_remove_idle(struct loop_idle *idle); // NULL is fine

/*
 * Work put off to the end of the turn: the callback runs once, before the loop polls again, after
 * loop_deferred_schedule was called any number of times. So several small messages of a batch
 * become one write.
 */
struct loop_deferred;
struct loop_deferred *loop_add_deferred(struct loop *loop, loop_fn callback, void *data);
void loop_deferred_schedule(struct loop_deferred *deferred);
void loop_remove_deferred(struct loop_deferred *deferred); // NULL is fine

/*
 * How another thread speaks to the loop's: the callback runs on the loop's thread, once or more, after
 * loop_wake was called any number of times. Returns NULL on failure (logged).
 */
struct loop_waker *loop_add_waker(struct loop *loop, loop_fn callback, void *data);
void loop_wake(struct loop_waker *waker); // from any thread; not while it is being removed
void loop_remove_waker(struct loop_waker *waker); // NULL is fine

/* Does work wait for the end of this turn? */
bool loop_has_deferred(const struct loop *loop);

#endif
