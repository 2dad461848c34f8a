/* SPDX-License-Identifier: MIT */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

/* All samples of a run: one for each participant, row and round. */

#include <stdbool.h>
#include <stddef.h>

#include "bench/options.h"
#include "bench/rows.h"
#include "bench/sample.h"
#include "bench/stats.h"

enum results_limits {
	RESULTS_ROWS = 32,
	RESULTS_DRIVER_SIZE = 512,
	RESULTS_PARTICIPANTS = OPTIONS_BACKENDS + 2, // the A/A control, the limits
};

/* Of one participant's process in one round. */
struct process_sample {
	double start_ms; // spawn to listening
	double start_cpu_ms;
	double idle_rss; // bytes
	double idle_pss;
	double idle_anonymous;
	double peak_rss;
	double has_renderer; // 0 or 1
};

struct participant {
	char name[40];
	const struct options_backend *backend; // NULL: the limits
	bool failed; // could not start; left out from then on
	struct sample *samples[RESULTS_ROWS]; // [row][round]
	struct process_sample *processes; // [round]
};

struct results {
	const struct options *options;
	const struct row_table *table;
	struct participant participants[RESULTS_PARTICIPANTS];
	size_t count;
	int subject; // index of the first back end; -1: none
	int control; // its second process
	int reference; // what it is compared with; -1: none
	int polling; // the back end with --poll-us; -1: none
	int limits;
	char driver[RESULTS_DRIVER_SIZE]; // of GL or Vulkan, and its version; "" without
};

/* Lists the participants; all samples are NAN. Ends the program when there is no memory. */
void results_init(
	struct results *results, const struct options *options, const struct row_table *table);
void results_finish(struct results *results);

/* Has a participant failed? */
bool results_any_failed(const struct results *results);

/* Is the row to be measured with these options? */
bool results_wants_row(const struct results *results, const struct row *row);

/* Does the row exist for the participant? */
bool results_has_row(const struct results *results, const struct participant *participant,
	const struct row *row);

/* One field over the rounds. */
struct stats_interval results_field(
	const struct results *results, int participant, size_t row, enum sample_field field);

/*
 * Ratio of a's to b's field, round by round, and its interval. NAN when a round of either is
 * missing everywhere, or a or b is -1.
 */
struct stats_interval results_ratio(
	const struct results *results, int a, int b, size_t row, enum sample_field field);

/* The difference a - b likewise. */
struct stats_interval results_difference(
	const struct results *results, int a, int b, size_t row, enum sample_field field);

/* One field of the processes: offset is offsetof(struct process_sample, ...). */
struct stats_interval results_process(
	const struct results *results, int participant, size_t offset);

#endif
