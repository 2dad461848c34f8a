/* SPDX-License-Identifier: MIT */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

/* Runs all rounds: every row for every participant, in an order that turns from round to round. */

#include "bench/environment.h"
#include "bench/results.h"

struct run;

/* How a participant is started and measured: what one command of the program knows. */
struct run_ops {
	/* Starts it afresh. Returns 0, or -errno after saying on stderr what failed. */
	int (*start)(struct run *run, size_t index);

	/* Stops it: also after a start that failed, and without one. */
	void (*stop)(struct run *run, size_t index);

	/* Fills the sample. Returns 0, or -errno after saying on stderr what failed. */
	int (*measure)(struct run *run, size_t index, const struct row *row, struct sample *sample);
};

struct run {
	const struct run_ops *ops;
	struct results *results;
	struct latencies latencies; // for whom measures
	int log_fd; // what back ends say
	int round;
};

/* Measures everything, and prints it as the options say. Returns the program's exit status. */
int run_measure(struct run *run, const struct run_ops *ops, const struct options *options,
	const struct row_table *table);

/* The participant's samples of this round that are about its process. */
struct process_sample *run_process(struct run *run, size_t index);

#endif
