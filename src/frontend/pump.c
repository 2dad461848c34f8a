/* SPDX-License-Identifier: MIT */
#include "frontend/pump.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <time.h>

#define TICK_MS 5

uint64_t fe_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void fe_pump_add(
	struct fe_pump *pump, const int *fd, const bool *tick, fe_pump_fn serve, void *data)
{
	assert(pump->count < FE_PUMP_SOURCES);
	pump->sources[pump->count++] = (struct fe_pump_source){ fd, tick, serve, data };
}

void fe_pump_remove(struct fe_pump *pump, const void *data)
{
	size_t kept = 0;

	for (size_t i = 0; i < pump->count; i++) {
		if (pump->sources[i].data != data) {
			pump->sources[kept++] = pump->sources[i];
		}
	}
	pump->count = kept;
}

static bool wants_tick(const struct fe_pump_source *source)
{
	return source->tick && *source->tick;
}

/* Fills fds[1..]; true when a source wants to be called without being readable. */
static bool fill(const struct fe_pump *pump, struct pollfd *fds)
{
	bool tick = false;

	for (size_t i = 0; pump && i < pump->count; i++) {
		fds[i + 1] = (struct pollfd){ .fd = *pump->sources[i].fd, .events = POLLIN };
		tick = tick || wants_tick(&pump->sources[i]);
	}
	return tick;
}

static void serve(struct fe_pump *pump, const struct pollfd *fds, size_t count)
{
	for (size_t i = 0; i < count && i < pump->count; i++) {
		if (fds[i + 1].revents != 0 || wants_tick(&pump->sources[i])) {
			pump->sources[i].serve(pump->sources[i].data);
		}
	}
}

static int remaining_ms(uint64_t end)
{
	uint64_t now = fe_now_ns();

	return now >= end ? 0 : (int)((end - now + 999999) / 1000000);
}

int fe_pump_wait(struct fe_pump *pump, int fd, int timeout_ms)
{
	uint64_t end = fe_now_ns() + (uint64_t)timeout_ms * 1000000u;
	struct pollfd fds[FE_PUMP_SOURCES + 1];
	size_t count = pump ? pump->count : 0;

	for (;;) {
		fds[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
		bool tick = fill(pump, fds);
		int left = remaining_ms(end);
		int ready = poll(fds, count + 1, tick && left > TICK_MS ? TICK_MS : left);

		if (pump) {
			serve(pump, fds, count);
		}
		if (ready > 0 && fds[0].revents != 0) {
			return 0;
		}
		if (ready < 0 && errno != EINTR) {
			return -errno;
		}
		if (left == 0) { // also when others keep being ready
			return -ETIMEDOUT;
		}
	}
}
