/* SPDX-License-Identifier: MIT */
#ifndef BENCH_READER_H
#define BENCH_READER_H

/*
 * The display end in a process of its own, as a VMM's is: it reads whole messages, counts and times
 * them, and draws nothing. Driver and reader share one page of counters; a futex in it wakes a driver
 * that waits for a frame.
 */

#include <stdint.h>
#include <sys/types.h>

enum reader_limits {
	READER_TIMES = 1 << 16,
};

struct reader_shared {
	uint64_t frame_pixels; // pixels that make one frame; set by the driver
	uint64_t pixels; // since then
	uint64_t frames; // pixels / frame_pixels, counted when the last byte has come
	uint64_t updates; // UPDATE messages
	uint64_t cursor_moves; // CURSOR_POS
	uint64_t violations;
	char violation[160];
	uint32_t sequence; // futex: changes with every frame and every cursor move
	uint32_t waiting; // the driver sleeps on it
	uint64_t times[READER_TIMES]; // when frame n was whole, at n % READER_TIMES, ns
};

struct reader {
	pid_t pid;
	int socket; // the back end's end, for GPU_SET_SOCKET; close it once handed over
	struct reader_shared *shared;
};

/*
 * Forks the process, pinned to cpu (-1: not), with a display of one output. Returns 0 or -errno.
 */
int reader_start(struct reader *reader, int cpu, uint32_t width, uint32_t height);

/* Ends it. */
void reader_stop(struct reader *reader);

/* Counts frames of so many pixels from now on; nothing may be on its way. */
void reader_begin(struct reader *reader, uint64_t frame_pixels);

/* Waits until *counter (of shared) reaches target. Returns 0 or -ETIMEDOUT. */
int reader_wait(struct reader *reader, const uint64_t *counter, uint64_t target, int timeout_ms);

#endif
