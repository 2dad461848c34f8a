/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

/*
 * What the machine itself gives, measured in the same rounds: a process that stands where a back end
 * stands (same processor, same kind of process) and does only the part that cannot be left out:
 * answers a notification, sends messages of the same size to the same kind of reader, copies memory.
 */

#include "bench/options.h"
#include "bench/reader.h"
#include "bench/rows.h"
#include "bench/sample.h"
#include "bench/worker.h"

struct limits {
	struct worker worker;
	struct reader reader;
};

/* Starts worker and display process. Returns 0 or -errno; limits_stop is due in both cases. */
int limits_start(struct limits *limits, const struct options *options);
void limits_stop(struct limits *limits);

/* Measures the limit that belongs to the row (not ROW_NO_LIMIT). Returns 0 or -errno. */
int limits_measure(struct limits *limits, const struct row *row, double seconds,
	struct latencies *latencies, struct sample *sample);

#endif
