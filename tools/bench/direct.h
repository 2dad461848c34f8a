/* SPDX-License-Identifier: MIT */
#ifndef BENCH_DIRECT_H
#define BENCH_DIRECT_H

/*
 * The limit of `gl`: a process that calls the renderer's library itself, on an EGL display that is opened
 * by the same code as the daemon's, with the library's own thread for fences as in the daemon. No ring, no other
 * process takes part.
 */

#include "bench/options.h"
#include "bench/results.h"
#include "bench/worker.h"

struct direct {
	struct worker worker;
	char renderer[68]; // GL_RENDERER as the capset tells it
	char driver[RESULTS_DRIVER_SIZE]; // what draws, its version, and how it was found
};

/*
 * Starts it on the processors of the caller. Returns 0, or -errno after saying on stderr what failed;
 * direct_stop is due in both cases.
 */
int direct_start(struct direct *direct, const struct options *options);
void direct_stop(struct direct *direct); // a zeroed one is fine

/* Measures a row. Returns 0, or -errno after saying on stderr what failed. */
int direct_measure(struct direct *direct, const struct row *row, struct sample *sample);

#endif
