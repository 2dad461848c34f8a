/* SPDX-License-Identifier: MIT */
#include "bench/gl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "bench/direct.h"
#include "bench/gl_device.h"
#include "bench/gl_drive.h"
#include "bench/options.h"
#include "bench/run.h"
#include "bench/usage.h"

struct gl {
	struct run run;
	struct gl_device devices[RESULTS_PARTICIPANTS];
	struct direct direct;
	char renderer[GL_TARGET_RENDERER_SIZE + 4]; // of the first that started
	const char *first; // its name
};

static struct gl *gl_of(struct run *run)
{
	return container_of(run, struct gl, run);
}

/* Figures of two GL drivers would say which driver is faster, and nothing else. */
static int check_driver(struct gl *gl, const char *name, const char *renderer)
{
	if (renderer[0] == '\0') {
		fprintf(stderr,
			"virtio-gpu-bench: %s: does not say what draws (virglrenderer is older "
			"than 0.8)\n",
			name);
		return -ENOTSUP;
	}
	if (!gl->first) {
		gl->first = name;
		snprintf(gl->renderer, sizeof(gl->renderer), "%s", renderer);
	}
	if (strcmp(gl->renderer, renderer) != 0) {
		fprintf(stderr,
			"virtio-gpu-bench: %s draws with %s, %s with %s: their figures cannot "
			"be compared\n",
			gl->first, gl->renderer, name, renderer);
		return -EINVAL;
	}
	return 0;
}

static int start_direct(struct gl *gl, size_t index)
{
	struct results *results = gl->run.results;
	int error = direct_start(&gl->direct, results->options);

	if (error < 0) {
		return error;
	}
	memcpy(results->driver, gl->direct.driver, sizeof(results->driver));
	return check_driver(gl, results->participants[index].name, gl->direct.renderer);
}

static int start_device(struct gl *gl, size_t index)
{
	const struct participant *participant = &gl->run.results->participants[index];
	struct gl_device *device = &gl->devices[index];
	int error = gl_device_start(device, participant->backend, gl->run.log_fd);

	if (error < 0) {
		return error;
	}
	*run_process(&gl->run, index) = device->device.about;
	return check_driver(gl, participant->name, device->target.renderer);
}

/* Processes take over the processors of who starts them. */
static int start(struct run *run, size_t index)
{
	const struct options *options = run->results->options;
	struct gl *gl = gl_of(run);

	usage_pin_two(options->backend_cpu, options->display_cpu);
	int error = run->results->participants[index].backend ? start_device(gl, index)
							      : start_direct(gl, index);

	usage_pin(options->driver_cpu);
	return error;
}

static void stop(struct run *run, size_t index)
{
	struct gl *gl = gl_of(run);
	struct gl_device *device = &gl->devices[index];

	if (!run->results->participants[index].backend) {
		direct_stop(&gl->direct);
		return;
	}
	if (!run->results->participants[index].failed) {
		run_process(run, index)->peak_rss =
			usage_read_memory(device->device.process.pid).peak_rss;
	}
	gl_device_stop(device);
}

static int measure(struct run *run, size_t index, const struct row *row, struct sample *sample)
{
	const struct options *options = run->results->options;
	struct gl *gl = gl_of(run);
	struct gl_device *device = &gl->devices[index];

	if (!run->results->participants[index].backend) {
		return direct_measure(&gl->direct, row, sample);
	}
	const struct gl_drive_options drive = {
		.seconds = options->seconds_per_cell,
		.operations = options->operations,
		.pid = device->device.process.pid,
		.instructions_fd = device->device.instructions_fd,
	};

	return gl_drive_row(&device->target, row, &drive, &run->latencies, sample);
}

static const struct run_ops gl_ops = { .start = start, .stop = stop, .measure = measure };

int gl_main(int argc, char **argv)
{
	static struct options options;
	static struct gl gl;

	for (size_t i = 0; i < RESULTS_PARTICIPANTS; i++) {
		gl_device_init(&gl.devices[i]);
	}
	switch (options_read(&options, &options_of_gl, argc, argv)) {
	case 0:
		return run_measure(&gl.run, &gl_ops, &options, &rows_of_gl);
	case 1:
		return 0;
	default:
		fprintf(stderr, "Try `virtio-gpu-bench gl --help'.\n");
		return 2;
	}
}
