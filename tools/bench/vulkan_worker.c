/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/sample.h"
#include "bench/vulkan_work.h"
#include "frontend/pump.h"

enum {
	PORT_WAIT_US = 100000, // between looks whether the VMM's end is connected
	WARM_UPS = 3, // operations: what drivers put off to the first use
	LEAST = 3, // operations, however long they take
	SCALE_MAX = 1 << 28,
};

struct worker {
	int fd; // of a socket or a port
	struct vulkan_gpu gpu;
	struct vulkan_compute compute;
	struct vulkan_draw draw;
	struct vulkan_memory memory; // of a job
	struct latencies latencies;
};

/* Without the bench there is nothing to do. */
static void receive(const struct worker *worker, void *bytes, size_t size)
{
	for (char *at = bytes; size > 0;) {
		ssize_t got = read(worker->fd, at, size);

		if (got == 0 || (got < 0 && errno != EINTR)) {
			exit(0);
		}
		at += got > 0 ? got : 0;
		size -= got > 0 ? (size_t)got : 0;
	}
}

static void send_bytes(const struct worker *worker, const void *bytes, size_t size)
{
	for (const char *at = bytes; size > 0;) {
		ssize_t sent = write(worker->fd, at, size);

		if (sent < 0 && errno != EINTR) {
			exit(0);
		}
		at += sent > 0 ? sent : 0;
		size -= sent > 0 ? (size_t)sent : 0;
	}
}

static void expect_byte(const struct worker *worker)
{
	uint8_t byte;

	receive(worker, &byte, sizeof(byte));
}

static void submit(struct worker *worker, const struct vulkan_job *job, struct vulkan_slot *slot)
{
	struct vulkan_gpu *gpu = &worker->gpu;

	if (job->work == VULKAN_EMPTY) {
		vulkan_gpu_submit_nothing(gpu, slot);
		return;
	}
	VkCommandBuffer commands = vulkan_gpu_begin(gpu, slot);

	if (job->work == VULKAN_COMPUTE) {
		vulkan_compute_record(gpu, &worker->compute, commands, job->scale);
	} else {
		vulkan_draw_record(gpu, &worker->draw, commands, job->scale);
	}
	vulkan_gpu_submit(gpu, slot);
}

static bool is_copy(const struct vulkan_job *job)
{
	return job->work == VULKAN_WRITE || job->work == VULKAN_READ;
}

static void begin(struct worker *worker, const struct vulkan_job *job, uint64_t number)
{
	if (job->work == VULKAN_WRITE) {
		vulkan_memory_write(&worker->gpu, &worker->memory);
	} else if (job->work == VULKAN_READ) {
		vulkan_memory_read(&worker->gpu, &worker->memory);
	} else {
		submit(worker, job, &worker->gpu.slots[number % VULKAN_IN_FLIGHT]);
	}
}

static void wait_for(struct worker *worker, const struct vulkan_job *job, uint64_t number)
{
	if (!is_copy(job)) {
		vulkan_gpu_wait(&worker->gpu, &worker->gpu.slots[number % VULKAN_IN_FLIGHT]);
	}
}

/* Operations end in the order in which they were begun. */
static struct vulkan_ran run(struct worker *worker, const struct vulkan_job *job)
{
	uint64_t least = job->operations > 0 ? job->operations : LEAST;
	uint64_t begin_ns[VULKAN_IN_FLIGHT];
	uint64_t started = fe_now_ns();
	uint64_t now = started;
	uint64_t begun = 0;
	uint64_t ended = 0;

	worker->latencies.count = 0;
	for (;;) {
		while (begun - ended < job->in_flight &&
			(begun < least || (job->operations == 0 && now - started < job->ns))) {
			begin_ns[begun % VULKAN_IN_FLIGHT] = now;
			begin(worker, job, begun++);
			now = fe_now_ns();
		}
		if (ended == begun) {
			break;
		}
		wait_for(worker, job, ended);
		now = fe_now_ns();
		latencies_add(&worker->latencies, now - begin_ns[ended++ % VULKAN_IN_FLIGHT]);
	}
	return (struct vulkan_ran){ ended, now - started, worker->latencies.count };
}

static struct vulkan_ran run_times(
	struct worker *worker, const struct vulkan_job *job, uint64_t operations)
{
	struct vulkan_job some = *job;

	some.operations = operations;
	return run(worker, &some);
}

/* The shortest of some operations: others may use the machine meanwhile. */
static double time_of_one(struct worker *worker, const struct vulkan_job *job)
{
	const struct latencies *latencies = &worker->latencies;
	uint32_t least = UINT32_MAX;

	run_times(worker, job, WARM_UPS);
	for (size_t i = 0; i < latencies->count; i++) {
		least = latencies->values[i] < least ? latencies->values[i] : least;
	}
	return least > 0 ? least : 1;
}

static uint32_t limit_scale(double scale)
{
	const double most = SCALE_MAX;

	return scale < 1 ? 1 : scale > most ? SCALE_MAX : (uint32_t)scale;
}

/* Doubles until it takes a good part of the time that is asked for, and goes on by proportion from there. */
static uint32_t find_scale(struct worker *worker, const struct vulkan_job *asked)
{
	struct vulkan_job job = *asked;
	double wanted = (double)asked->ns;

	for (job.scale = 1; job.scale < SCALE_MAX; job.scale *= 2) {
		if (time_of_one(worker, &job) >= wanted / 4) {
			break;
		}
	}
	for (int i = 0; i < 2; i++) {
		job.scale = limit_scale(job.scale * wanted / time_of_one(worker, &job));
	}
	return job.scale;
}

static enum vulkan_status set_up(struct worker *worker, const struct vulkan_job *job)
{
	enum vulkan_status status = VULKAN_READY;

	if (job->work == VULKAN_COMPUTE) {
		vulkan_compute_make(&worker->gpu, &worker->compute);
	} else if (job->work == VULKAN_DRAW) {
		vulkan_draw_make(&worker->gpu, &worker->draw);
	} else if (is_copy(job)) {
		status = vulkan_memory_make(
			&worker->gpu, &worker->memory, job->memory_flags, job->bytes);
	}
	if (status == VULKAN_READY && job->work == VULKAN_READ) {
		vulkan_memory_prepare_read(&worker->gpu, &worker->memory);
	}
	return status;
}

static void check(struct worker *worker, const struct vulkan_job *job)
{
	if (job->work == VULKAN_COMPUTE) {
		vulkan_compute_check(&worker->gpu, &worker->compute, job->scale);
	} else if (job->work == VULKAN_DRAW) {
		vulkan_draw_check(&worker->gpu, &worker->draw, job->scale);
	} else if (job->work == VULKAN_WRITE) {
		vulkan_memory_check_written(&worker->gpu, &worker->memory);
	} else if (job->work == VULKAN_READ) {
		vulkan_memory_check_read(&worker->memory);
	}
	if (is_copy(job)) {
		vulkan_memory_drop(&worker->gpu, &worker->memory);
	}
}

static void measure(struct worker *worker, const struct vulkan_job *job)
{
	expect_byte(worker); // go
	struct vulkan_ran ran = run(worker, job);

	send_bytes(worker, &ran, sizeof(ran));
	send_bytes(worker, worker->latencies.values, ran.latency_count * sizeof(uint32_t));
	expect_byte(worker); // check
	check(worker, job);
	send_bytes(worker, "", 1);
}

static void do_job(struct worker *worker, const struct vulkan_job *job)
{
	struct vulkan_ready ready = { set_up(worker, job), job->scale };
	bool asks_for_scale = job->scale == 0;

	if (ready.status == VULKAN_READY) {
		if (asks_for_scale) {
			ready.scale = find_scale(worker, job);
		} else {
			run_times(worker, job, WARM_UPS);
		}
	}
	send_bytes(worker, &ready, sizeof(ready));
	if (ready.status == VULKAN_READY && !asks_for_scale) {
		measure(worker, job);
	}
}

/* A port reads as at its end while nobody is connected in the VMM. */
static void wait_for_begin(const struct worker *worker, bool is_port)
{
	char byte;

	while (is_port && read(worker->fd, &byte, 1) != 1) {
		usleep(PORT_WAIT_US);
	}
	if (!is_port) {
		receive(worker, &byte, 1);
	}
}

static int serve(int fd, bool is_port)
{
	static struct worker worker;
	struct vulkan_hello hello;
	struct vulkan_job job;

	worker.fd = fd;
	latencies_init(&worker.latencies);
	vulkan_gpu_open(&worker.gpu, &hello);
	wait_for_begin(&worker, is_port);
	send_bytes(&worker, &hello, sizeof(hello));
	for (receive(&worker, &job, sizeof(job)); job.work != VULKAN_END;
		receive(&worker, &job, sizeof(job))) {
		do_job(&worker, &job);
	}
	send_bytes(&worker, "", 1);
	return 0;
}

/*
 * A process for each round, and a port that stays open meanwhile: Linux drops what has come when a port is closed.
 * Ends when one of them fails.
 */
static int serve_port(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int status = 0;

	if (fd < 0) {
		fprintf(stderr, "vulkan worker: %s: %s\n", path, strerror(errno));
		return 1;
	}
	while (status == 0) {
		pid_t child = fork();

		if (child == 0) {
			exit(serve(fd, true));
		}
		if (child < 0 || waitpid(child, &status, 0) < 0) {
			status = -1;
		}
	}
	return 1;
}

int vulkan_worker_main(int argc, char **argv)
{
	const char *argument = argc == 2 ? argv[1] : "";
	int fd;

	if (sscanf(argument, "--fd=%d", &fd) == 1) {
		return serve(fd, false);
	}
	if (strncmp(argument, "--port=", 7) == 0) {
		return serve_port(argument + 7);
	}
	fprintf(stderr, "vulkan worker: only `virtio-gpu-bench vulkan' starts this\n");
	return 2;
}
