/* SPDX-License-Identifier: MIT */
#include "bench/gl_drive.h"

#include "bench/gl_scene.h"
#include "bench/usage.h"
#include "frontend/pump.h"

enum {
	WARM_UPS = 3, // operations: what drivers put off to the first use
};

/* The time for a number of operations, when one was asked for. */
static const double unhurried_seconds = 600;

struct gl_drive {
	struct gl_target *target;
	struct latencies *latencies;
	uint32_t in_flight;
	uint64_t limit; // operations
	uint64_t end_ns; // none is begun after it
	uint64_t begun;
	uint64_t ended;
	uint64_t started_ns;
	uint64_t ended_ns;
	uint64_t begin_ns[GL_TARGET_IN_FLIGHT]; // of operation n, at n % GL_TARGET_IN_FLIGHT
};

static int begin_operations(struct gl_drive *drive)
{
	uint64_t now = fe_now_ns();
	uint64_t before = drive->begun;
	int error = 0;

	while (error == 0 && now < drive->end_ns && drive->begun < drive->limit &&
		drive->begun - drive->ended < drive->in_flight) {
		drive->begin_ns[drive->begun++ % GL_TARGET_IN_FLIGHT] = now;
		error = drive->target->ops->begin(drive->target);
	}
	if (drive->begun != before) {
		drive->target->ops->flush(drive->target);
	}
	return error;
}

/* Operations end in the order in which they were begun. */
static void end_operations(struct gl_drive *drive, int count)
{
	drive->ended_ns = fe_now_ns();
	for (int i = 0; i < count; i++) {
		uint64_t begun_ns = drive->begin_ns[drive->ended++ % GL_TARGET_IN_FLIGHT];

		latencies_add(drive->latencies, drive->ended_ns - begun_ns);
	}
}

static int run(struct gl_drive *drive, bool spin)
{
	drive->started_ns = fe_now_ns();
	int error = begin_operations(drive);

	while (error == 0 && drive->ended < drive->begun) {
		int count = drive->target->ops->wait(drive->target, spin);

		if (count < 0) {
			return count;
		}
		end_operations(drive, count);
		error = begin_operations(drive);
	}
	return error;
}

static void fill_sample(const struct gl_drive *drive, const struct row *row,
	struct usage_counters used, struct sample *sample)
{
	double count = (double)drive->ended;
	double rate = count / ((double)(drive->ended_ns - drive->started_ns) / 1e9);

	sample->operations = drive->ended;
	sample->fields[SAMPLE_RATE] = rate;
	sample->fields[SAMPLE_CPU] = used.cpu_ns / 1e3 / count;
	sample->fields[SAMPLE_INSTRUCTIONS] = used.instructions / count;
	sample->fields[SAMPLE_SWITCHES] = used.switches / count;
	if (row->width) {
		sample->fields[SAMPLE_BANDWIDTH] = rate * (double)row_bytes(row) / 1e6;
	}
}

static int warm_up(struct gl_scene *scene)
{
	int error = 0;

	for (int i = 0; error == 0 && i < WARM_UPS; i++) {
		error = gl_target_do(scene->target, &scene->operation);
	}
	return error;
}

static int measure(struct gl_scene *scene, const struct row *row,
	const struct gl_drive_options *options, struct latencies *latencies, struct sample *sample)
{
	double seconds = options->operations > 0 ? unhurried_seconds : options->seconds;
	struct gl_drive drive = {
		.target = scene->target,
		.latencies = latencies,
		.in_flight = row->in_flight,
		.limit = options->operations > 0 ? (uint64_t)options->operations : UINT64_MAX,
	};
	int error = warm_up(scene);

	if (error == 0) {
		struct usage_counters before = usage_read(options->pid, options->instructions_fd);

		drive.end_ns = fe_now_ns() + (uint64_t)(seconds * 1e9);
		error = run(&drive, row->spin);
		struct usage_counters after = usage_read(options->pid, options->instructions_fd);

		if (error == 0) {
			fill_sample(&drive, row, usage_difference(after, before), sample);
			latencies_report(latencies, sample);
		}
	}
	return error < 0 ? gl_target_complain(scene->target, row->name, error) : 0;
}

int gl_drive_row(struct gl_target *target, const struct row *row,
	const struct gl_drive_options *options, struct latencies *latencies, struct sample *sample)
{
	static struct gl_scene scene; // large, and one at a time

	*sample = sample_none();
	latencies->count = 0;
	int error = gl_scene_begin(&scene, target, row);

	if (error == 0) {
		error = measure(&scene, row, options, latencies, sample);
	}
	if (error == 0) {
		error = gl_scene_check(&scene);
	}
	gl_scene_end(&scene);
	return error;
}
