/* SPDX-License-Identifier: MIT */
#include "bench/vulkan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "bench/options.h"
#include "bench/run.h"
#include "bench/usage.h"
#include "bench/vulkan_map.h"
#include "bench/vulkan_side.h"

/* VkMemoryPropertyFlagBits: this program is built without Vulkan's headers too. */
enum memory_flags {
	DEVICE_LOCAL = 1,
	HOST_VISIBLE = 2,
	HOST_CACHED = 8,
};

struct vulkan {
	struct run run;
	struct vulkan_side sides[RESULTS_PARTICIPANTS];
	uint32_t scales[RESULTS_ROWS]; // the same work for all; 0: not known yet
	char device[VULKAN_NAME_SIZE]; // of the first that started
	const char *first; // its name
};

/* What a row is for a worker. Memory is of the first kind that has the flags of `with`, and not the others. */
static const struct work {
	enum row_kind kind;
	enum vulkan_work work;
	uint32_t with;
	uint32_t without;
} works[] = {
	{ ROW_VK_EMPTY, VULKAN_EMPTY, 0, 0 },
	{ ROW_VK_COMPUTE, VULKAN_COMPUTE, 0, 0 },
	{ ROW_VK_DRAW, VULKAN_DRAW, 0, 0 },
	{ ROW_VK_WRITE_CACHED, VULKAN_WRITE, HOST_VISIBLE | HOST_CACHED, DEVICE_LOCAL },
	{ ROW_VK_WRITE_UNCACHED, VULKAN_WRITE, HOST_VISIBLE, HOST_CACHED | DEVICE_LOCAL },
	{ ROW_VK_WRITE_LOCAL, VULKAN_WRITE, HOST_VISIBLE | DEVICE_LOCAL, 0 },
	{ ROW_VK_READ_CACHED, VULKAN_READ, HOST_VISIBLE | HOST_CACHED, DEVICE_LOCAL },
	{ ROW_VK_READ_UNCACHED, VULKAN_READ, HOST_VISIBLE, HOST_CACHED | DEVICE_LOCAL },
	{ ROW_VK_READ_LOCAL, VULKAN_READ, HOST_VISIBLE | DEVICE_LOCAL, 0 },
};

static struct vulkan *vulkan_of(struct run *run)
{
	return container_of(run, struct vulkan, run);
}

/* Venus puts the name of the device between brackets behind its own. */
static void copy_device(char device[static VULKAN_NAME_SIZE], const char *name)
{
	const char *inner = strncmp(name, "Virtio-GPU Venus (", 18) == 0 ? name + 18 : name;

	snprintf(device, VULKAN_NAME_SIZE, "%s", inner);
	if (inner != name && device[0] != '\0') {
		device[strlen(device) - 1] = '\0';
	}
}

/* Figures of two devices would say which one is faster, and nothing else. */
static int check_device(struct vulkan *vulkan, const struct vulkan_side *side)
{
	char device[VULKAN_NAME_SIZE];

	copy_device(device, side->hello.device);
	if (!vulkan->first) {
		vulkan->first = side->name;
		memcpy(vulkan->device, device, sizeof(device));
	}
	if (strcmp(vulkan->device, device) != 0) {
		fprintf(stderr,
			"virtio-gpu-bench: %s runs on %s, %s on %s: their figures cannot be "
			"compared\n",
			vulkan->first, vulkan->device, side->name, device);
		return -EINVAL;
	}
	return 0;
}

static void keep_about(struct vulkan *vulkan, size_t index)
{
	struct results *results = vulkan->run.results;
	const struct vulkan_side *side = &vulkan->sides[index];

	if (side->server.pid > 0) {
		run_process(&vulkan->run, index)->start_ms = (double)(side->server.ready_ns -
								     side->server.spawned_ns) /
			1e6;
	} else if (!results->participants[index].backend) {
		snprintf(results->driver, sizeof(results->driver), "%s: %s", side->hello.device,
			side->hello.driver);
	}
}

static int start(struct run *run, size_t index)
{
	const struct participant *participant = &run->results->participants[index];
	struct vulkan *vulkan = vulkan_of(run);
	struct vulkan_side *side = &vulkan->sides[index];
	int error = vulkan_side_start(
		side, participant->name, participant->backend, run->results->options, run->log_fd);

	if (error < 0) {
		return error;
	}
	keep_about(vulkan, index);
	return check_device(vulkan, side);
}

static void stop(struct run *run, size_t index)
{
	vulkan_side_stop(&vulkan_of(run)->sides[index]);
}

static const struct work *find_work(const struct row *row)
{
	size_t i = 0;

	while (works[i].kind != row->kind) {
		i++;
	}
	return &works[i];
}

/* The native driver says which flags memory of this kind has here; 0: there is none. */
static uint32_t find_flags(const struct vulkan_hello *native, const struct work *work)
{
	for (uint32_t i = 0; i < native->memory_type_count && i < VULKAN_MEMORY_TYPES; i++) {
		uint32_t flags = native->memory_flags[i];

		if ((flags & work->with) == work->with && !(flags & work->without)) {
			return flags;
		}
	}
	return 0;
}

static struct vulkan_side *native_side(struct vulkan *vulkan)
{
	return &vulkan->sides[vulkan->run.results->limits];
}

static int find_scale(struct vulkan *vulkan, const struct row *row, struct vulkan_job *job)
{
	uint32_t *scale = &vulkan->scales[row - vulkan->run.results->table->rows];
	struct vulkan_job question = *job;

	if (*scale == 0) {
		question.scale = 0;
		question.operations = 0;
		question.ns = (uint64_t)row->width * 1000;
		int found = vulkan_side_find_scale(native_side(vulkan), &question);

		if (found < 0) {
			return found;
		}
		*scale = (uint32_t)found;
	}
	job->scale = *scale;
	return 0;
}

static void fill_sample(
	const struct vulkan_result *result, const struct row *row, struct sample *sample)
{
	double count = (double)result->ran.operations;
	double rate = count / ((double)result->ran.ns / 1e9);

	sample->operations = result->ran.operations;
	sample->fields[SAMPLE_RATE] = rate;
	sample->fields[SAMPLE_CPU] = result->used.cpu_ns / 1e3 / count;
	sample->fields[SAMPLE_SWITCHES] = result->used.switches / count;
	if (row->buffer) {
		sample->fields[SAMPLE_BANDWIDTH] = rate * (double)row_bytes(row) / 1e6;
	}
}

/* A kind that is not there is not a failure: its cells stay empty. */
static void say_missing(const struct run *run, const struct vulkan_side *side,
	const struct row *row, uint32_t flags, int status)
{
	if (run->round == 0) {
		fprintf(stderr, "virtio-gpu-bench: %s: %s: %s memory type with flags 0x%x\n",
			side->name, row->name,
			status == VULKAN_OUT_OF_MEMORY ? "no room in the" : "there is no", flags);
	}
}

static int do_job(struct run *run, struct vulkan_side *side, const struct row *row,
	const struct vulkan_job *job, struct sample *sample)
{
	struct vulkan_result result;
	int status = vulkan_side_do(side, job, &run->latencies, &result);

	if (status < 0) {
		return vulkan_side_complain(side, row->name, status);
	}
	if (status > 0) {
		say_missing(run, side, row, job->memory_flags, status);
		return 0;
	}
	fill_sample(&result, row, sample);
	latencies_report(&run->latencies, sample);
	return 0;
}

static int measure_work(struct run *run, size_t index, const struct row *row, struct sample *sample)
{
	const struct options *options = run->results->options;
	struct vulkan *vulkan = vulkan_of(run);
	const struct work *work = find_work(row);
	struct vulkan_job job = {
		.work = work->work,
		.memory_flags = find_flags(&native_side(vulkan)->hello, work),
		.scale = 1,
		.in_flight = row->in_flight,
		.bytes = row->buffer ? row_bytes(row) : 0,
		.ns = (uint64_t)(options->seconds_per_cell * 1e9),
		.operations = (uint64_t)options->operations,
	};
	bool is_busy = row->kind == ROW_VK_COMPUTE || row->kind == ROW_VK_DRAW;
	int error = is_busy ? find_scale(vulkan, row, &job) : 0;

	if (error < 0) {
		return error;
	}
	if (row->buffer && job.memory_flags == 0) {
		return 0; // the device has no such memory
	}
	return do_job(run, &vulkan->sides[index], row, &job, sample);
}

static int measure(struct run *run, size_t index, const struct row *row, struct sample *sample)
{
	const struct options *options = run->results->options;

	*sample = sample_none();
	run->latencies.count = 0;
	if (row->kind != ROW_VK_MAP) {
		return measure_work(run, index, row, sample);
	}
	return options->vulkan.daemon[0] != '\0'
		? vulkan_map_measure(run->results->participants[index].name, options, run->log_fd,
			  &run->latencies, sample)
		: 0;
}

static const struct run_ops vulkan_ops = { .start = start, .stop = stop, .measure = measure };

int vulkan_main(int argc, char **argv)
{
	static struct options options;
	static struct vulkan vulkan;

	for (size_t i = 0; i < RESULTS_PARTICIPANTS; i++) {
		vulkan_side_init(&vulkan.sides[i]);
	}
	switch (options_read(&options, &options_of_vulkan, argc, argv)) {
	case 0:
		return run_measure(&vulkan.run, &vulkan_ops, &options, &rows_of_vulkan);
	case 1:
		return 0;
	default:
		fprintf(stderr, "Try `virtio-gpu-bench vulkan --help'.\n");
		return 2;
	}
}
