/* SPDX-License-Identifier: MIT */
#include "bench/direct.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "bench/direct_target.h"
#include "bench/gl_drive.h"
#include "bench/usage.h"

/*
 * How this works
 *
 * The worker's first job is to open the library, each other one is a row, which it runs alone from the
 * first call to the last: the driver's process only waits meanwhile. It reads its own counters, so that
 * preparing and sorting do not count.
 */

struct direct_shared {
	const struct row *row; // NULL: open
	double seconds;
	long operations;
	int error;
	struct sample sample;
	char renderer[sizeof(((struct direct *)0)->renderer)];
	char driver[RESULTS_DRIVER_SIZE];
};

static int open_target(struct direct_target *target, struct direct_shared *shared)
{
	int error = direct_target_open(target);

	if (error < 0) {
		return error;
	}
	snprintf(shared->renderer, sizeof(shared->renderer), "%s", target->target.renderer);
	const struct gpu *gpu = egl_gpu(target->egl);
	char route[GPU_ROUTE_SIZE];

	gpu_describe_route(gpu, route, sizeof(route));
	snprintf(shared->driver, sizeof(shared->driver), "%s, OpenGL %s (%s%s)", gpu->renderer,
		gpu->version, route, gpu->software ? ", software" : "");
	return 0;
}

static void work(struct worker *worker, void *data)
{
	static struct direct_target target;
	struct direct_shared *shared = worker->shared;
	struct gl_drive_options options = { .pid = getpid(), .instructions_fd = -1 };
	struct latencies latencies;

	(void)data;
	latencies_init(&latencies);
	for (;;) {
		worker_wait(worker);
		if (shared->row) {
			options.seconds = shared->seconds;
			options.operations = shared->operations;
			shared->error = gl_drive_row(
				&target.target, shared->row, &options, &latencies, &shared->sample);
		} else {
			shared->error = open_target(&target, shared);
			options.instructions_fd = usage_open_instructions(getpid());
		}
		worker_done(worker);
	}
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "virtio-gpu-bench: direct calls: %s: %s\n", what, strerror(-error));
	return error;
}

static int run(struct direct *direct)
{
	const struct direct_shared *shared = direct->worker.shared;
	int error = worker_run(&direct->worker);

	return error < 0 ? fail("the process has ended", error) : shared->error;
}

int direct_start(struct direct *direct, const struct options *options)
{
	*direct = (struct direct){ 0 };
	int error = worker_init(&direct->worker, sizeof(struct direct_shared));

	if (error == 0) {
		error = worker_start(&direct->worker, work, NULL);
	}
	if (error < 0) {
		return fail("cannot start the process", error);
	}
	struct direct_shared *shared = direct->worker.shared;

	shared->seconds = options->seconds_per_cell;
	shared->operations = options->operations;
	error = run(direct);
	memcpy(direct->renderer, shared->renderer, sizeof(direct->renderer));
	memcpy(direct->driver, shared->driver, sizeof(direct->driver));
	return error < 0 ? fail("cannot draw here", error) : 0;
}

void direct_stop(struct direct *direct)
{
	worker_stop(&direct->worker);
}

int direct_measure(struct direct *direct, const struct row *row, struct sample *sample)
{
	struct direct_shared *shared = direct->worker.shared;

	shared->row = row;
	int error = run(direct);

	if (error == 0) {
		*sample = shared->sample;
	}
	return error;
}
