/* SPDX-License-Identifier: MIT */
#ifndef BENCH_DRIVE_H
#define BENCH_DRIVE_H

/* Drives one back end through one row. */

#include "bench/peer.h"
#include "bench/rows.h"
#include "bench/sample.h"

/*
 * Runs the row for so many seconds, or so many operations if that is not 0. Returns 0, or -errno after saying on stderr what went wrong: an
 * answer that is not OK, no answer, or a display that did not receive each frame whole.
 */
int drive_row(struct peer *peer, const char *name, const struct row *row, double seconds,
	long operations, struct latencies *latencies, struct sample *sample);

#endif
