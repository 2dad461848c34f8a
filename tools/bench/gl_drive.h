/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GL_DRIVE_H
#define BENCH_GL_DRIVE_H

/* Drives a target through one row: the same loop for back ends and for direct calls. */

#include <sys/types.h>

#include "bench/gl_target.h"
#include "bench/rows.h"
#include "bench/sample.h"

struct gl_drive_options {
	double seconds;
	long operations; // exactly so many, however long they take; 0: by time
	pid_t pid; // whose use of the processor is counted
	int instructions_fd; // likewise; -1: none
};

/*
 * Sets the row up, measures, looks whether it did what it should, and takes it down. Returns 0, or
 * -errno after saying on stderr what went wrong.
 */
int gl_drive_row(struct gl_target *target, const struct row *row,
	const struct gl_drive_options *options, struct latencies *latencies, struct sample *sample);

#endif
