/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_PUMP_H
#define FRONTEND_PUMP_H

/*
 * Waiting, single-threaded: whoever waits for one descriptor also serves the others that were added
 * here. A back end may ask on the display socket while it is asked on the vhost-user socket, and
 * QEMU's reference does; a front end that waits for one of them only would hang.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fe_pump_limits {
	FE_PUMP_SOURCES = 8,
};

/* Called when fd is readable, and at least every 5 ms while *tick is true. Must not block. */
typedef void (*fe_pump_fn)(void *data);

struct fe_pump_source {
	const int *fd; // -1: nothing to watch now
	const bool *tick;
	fe_pump_fn serve;
	void *data;
};

struct fe_pump {
	struct fe_pump_source sources[FE_PUMP_SOURCES];
	size_t count;
};

/* Watches *fd (borrowed, looked at anew in every wait) from now on. tick may be NULL. */
void fe_pump_add(
	struct fe_pump *pump, const int *fd, const bool *tick, fe_pump_fn serve, void *data);

/* Forgets what was added with data. */
void fe_pump_remove(struct fe_pump *pump, const void *data);

/*
 * Waits until fd is readable (also: at its end or broken) and serves the sources meanwhile. fd may be
 * -1: then only serves for timeout_ms. pump may be NULL. Returns 0 or -ETIMEDOUT.
 */
int fe_pump_wait(struct fe_pump *pump, int fd, int timeout_ms);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t fe_now_ns(void);

#endif
