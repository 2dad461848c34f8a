/* SPDX-License-Identifier: MIT */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

/* The command line of `virtio-gpu-bench transport`. */

#include <stdbool.h>
#include <stddef.h>

enum options_limits {
	OPTIONS_BACKENDS = 8,
};

struct options_backend {
	char name[32];
	char command[512]; // with %s for a socket's path or descriptor
};

struct options {
	struct options_backend backends[OPTIONS_BACKENDS];
	size_t backend_count;
	int driver_cpu; // -1: not pinned
	int backend_cpu;
	int display_cpu;
	int rounds;
	double seconds_per_cell;
	long operations; // so many in each cell, however long it takes; 0: by time
	bool poll; // the driver looks at the used ring instead of sleeping
	bool bars;
	const char *json; // file; NULL: none
	const char *only; // run rows whose name contains this; NULL: all
	const char *note; // for the header; NULL: none
};

/*
 * Reads the arguments behind "transport"; without --backend, fills in the daemon next to the program and
 * QEMU's reference where they exist. Says on stderr what is wrong. Returns 0, 1 after --help, -EINVAL.
 */
int options_read(struct options *options, int argc, char **argv);

#endif
