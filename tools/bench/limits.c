/* SPDX-License-Identifier: MIT */
#include "bench/limits.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "bench/usage.h"
#include "frontend/display.h"
#include "frontend/wire.h"

/*
 * How this works
 *
 * Each job of the worker is named by shared->job: answer at once (ping-pong), or send or copy for so
 * many seconds and answer then.
 */

#define UHD_BYTES ((size_t)3840 * 2160 * 4)

enum job {
	JOB_PONG,
	JOB_SEND,
	JOB_COPY,
};

struct limits_shared {
	enum job job;
	uint32_t screen_width;
	uint32_t screen_height;
	uint32_t width;
	uint32_t height;
	double seconds;
	int error;
	uint64_t operations; // done in the last job
	uint64_t started_ns;
	uint64_t ended_ns;
	uint64_t begin_ns[READER_TIMES];
	uint32_t took_ns[READER_TIMES];
};

struct limits_worker {
	struct limits_shared *shared;
	int socket;
	uint8_t *from; // shared memory, as a guest's
	uint8_t *to; // private memory, as an image's
};

static int send_message(int socket, uint32_t request, const void *head, uint32_t head_size,
	void *pixels, uint32_t pixels_size)
{
	struct vmm_header header = { request, 0, head_size + pixels_size };
	struct iovec iov[3] = { { &header, sizeof(header) }, { (void *)head, head_size },
		{ pixels, pixels_size } };

	return fe_wire_writev(socket, iov, pixels_size ? 3 : 2, NULL, 0);
}

static bool goes_on(const struct limits_shared *shared)
{
	return shared->operations < READER_TIMES &&
		(double)(fe_now_ns() - shared->started_ns) < shared->seconds * 1e9;
}

static int send_updates(struct limits_worker *worker)
{
	struct limits_shared *shared = worker->shared;
	struct vmm_update update = { 0, 0, 0, shared->width, shared->height };
	int error = 0;

	while (error == 0 && goes_on(shared)) {
		shared->begin_ns[shared->operations++] = fe_now_ns();
		error = send_message(worker->socket, VMM_UPDATE, &update, sizeof(update),
			worker->to, shared->width * shared->height * 4);
	}
	return error;
}

/* The reader takes updates only within a screen. */
static int send_screen(struct limits_worker *worker)
{
	struct vmm_scanout scanout = { 0, worker->shared->screen_width,
		worker->shared->screen_height };

	return send_message(worker->socket, VMM_SCANOUT, &scanout, sizeof(scanout), NULL, 0);
}

/* Whole pictures: lines lie end to end on both sides, as in a transfer of a whole resource. */
static void copy(struct limits_worker *worker)
{
	struct limits_shared *shared = worker->shared;
	size_t size = (size_t)shared->width * shared->height * 4;

	while (goes_on(shared)) {
		uint64_t before = fe_now_ns();

		memcpy(worker->to, worker->from, size);
		__asm__ volatile("" ::: "memory");
		shared->took_ns[shared->operations++] = (uint32_t)(fe_now_ns() - before);
	}
}

static void do_job(struct limits_worker *worker)
{
	struct limits_shared *shared = worker->shared;

	shared->operations = 0;
	shared->error = 0;
	if (shared->job == JOB_SEND) {
		shared->error = send_screen(worker);
	}
	shared->started_ns = fe_now_ns();
	if (shared->job == JOB_SEND && shared->error == 0) {
		shared->error = send_updates(worker);
	} else if (shared->job == JOB_COPY) {
		copy(worker);
	}
	shared->ended_ns = fe_now_ns();
}

static void *map_touched(size_t size, int flags)
{
	void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (bytes == MAP_FAILED) {
		_exit(1);
	}
	memset(bytes, 0x55, size);
	return bytes;
}

static void work(struct worker *base, void *data)
{
	struct limits *limits = container_of(base, struct limits, worker);
	const struct options *options = data;
	struct limits_worker worker = { .shared = base->shared, .socket = limits->reader.socket };

	usage_pin(options->backend_cpu);
	worker.from = map_touched(UHD_BYTES, MAP_SHARED);
	worker.to = map_touched(UHD_BYTES, MAP_PRIVATE);
	for (;;) {
		worker_wait(base);
		if (worker.shared->job != JOB_PONG) {
			do_job(&worker);
		}
		worker_done(base);
	}
}

int limits_start(struct limits *limits, const struct options *options)
{
	limits->reader = (struct reader){ .socket = -1 };
	int error = worker_init(&limits->worker, sizeof(struct limits_shared));

	if (error == 0) {
		error = reader_start(&limits->reader, options->display_cpu, 3840, 2160);
	}
	if (error == 0) {
		error = worker_start(&limits->worker, work, (void *)options);
	}
	fd_close(&limits->reader.socket);
	return error;
}

void limits_stop(struct limits *limits)
{
	worker_stop(&limits->worker);
	reader_stop(&limits->reader);
}

static int run_job(struct limits *limits, enum job job, const struct row *row, double seconds)
{
	struct limits_shared *shared = limits->worker.shared;

	shared->job = job;
	shared->screen_width = row->screen_width;
	shared->screen_height = row->screen_height;
	shared->width = row->width;
	shared->height = row->height;
	shared->seconds = seconds;
	return worker_run(&limits->worker);
}

static int measure_ping_pong(
	struct limits *limits, double seconds, struct latencies *latencies, struct sample *sample)
{
	struct limits_shared *shared = limits->worker.shared;
	uint64_t started = fe_now_ns();
	uint64_t end = started + (uint64_t)(seconds * 1e9);
	uint64_t now = started;
	int error = 0;

	shared->job = JOB_PONG;
	while (error == 0 && now < end) {
		error = worker_run(&limits->worker);
		uint64_t after = fe_now_ns();

		latencies_add(latencies, after - now);
		now = after;
		sample->operations++;
	}
	sample->fields[SAMPLE_RATE] = (double)sample->operations / ((double)(now - started) / 1e9);
	return error;
}

static int measure_socket(struct limits *limits, const struct row *row, double seconds,
	struct latencies *latencies, struct sample *sample)
{
	struct limits_shared *shared = limits->worker.shared;
	const struct reader_shared *display = limits->reader.shared;

	reader_begin(&limits->reader, (uint64_t)row->width * row->height);
	int error = run_job(limits, JOB_SEND, row, seconds);
	if (error == 0) {
		error = shared->error;
	}
	if (error == 0) {
		error = reader_wait(&limits->reader, &display->frames, shared->operations, 5000);
	}
	if (error < 0 || shared->operations == 0) {
		return error < 0 ? error : -EIO;
	}
	for (uint64_t i = 0; i < shared->operations; i++) {
		latencies_add(latencies, display->times[i] - shared->begin_ns[i]);
	}
	uint64_t took = display->times[shared->operations - 1] - shared->started_ns;
	sample->operations = shared->operations;
	sample->fields[SAMPLE_RATE] = (double)shared->operations / ((double)took / 1e9);
	return 0;
}

static int measure_copy(struct limits *limits, const struct row *row, double seconds,
	struct latencies *latencies, struct sample *sample)
{
	struct limits_shared *shared = limits->worker.shared;

	int error = run_job(limits, JOB_COPY, row, seconds);

	for (uint64_t i = 0; i < shared->operations; i++) {
		latencies_add(latencies, shared->took_ns[i]);
	}
	sample->operations = shared->operations;
	sample->fields[SAMPLE_RATE] = (double)shared->operations /
		((double)(shared->ended_ns - shared->started_ns) / 1e9);
	return error;
}

int limits_measure(struct limits *limits, const struct row *row, double seconds,
	struct latencies *latencies, struct sample *sample)
{
	int error;

	*sample = sample_none();
	latencies->count = 0;
	if (row->limit == ROW_PING_PONG) {
		error = measure_ping_pong(limits, seconds, latencies, sample);
	} else if (row->limit == ROW_SOCKET) {
		error = measure_socket(limits, row, seconds, latencies, sample);
	} else {
		error = measure_copy(limits, row, seconds, latencies, sample);
	}
	latencies_report(latencies, sample);
	return error;
}
