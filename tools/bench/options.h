/* SPDX-License-Identifier: MIT */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

/* The command line of `virtio-gpu-bench transport` and of `virtio-gpu-bench gl`. */

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
	int display_cpu; // gl: the back end's second
	int rounds;
	double seconds_per_cell;
	long operations; // so many in each cell, however long it takes; 0: by time
	bool poll; // also rows in which the driver looks at the used ring instead of sleeping
	bool bars;
	const char *json; // file; NULL: none
	const char *only; // run rows whose name contains this; NULL: all
	const char *note; // for the header; NULL: none
};

/* What differs between the commands. */
struct options_kind {
	const char *command; // argv[0]
	const char *usage;
	const char *daemon; // arguments of our daemon, when no back end is given
	const char *reference; // a whole command line likewise; NULL: none
};

extern const struct options_kind options_of_transport;
extern const struct options_kind options_of_gl;

/*
 * Reads the arguments behind argv[0]; without --backend, fills in the daemon next to the program and
 * the reference where they exist. Says on stderr what is wrong. Returns 0, 1 after --help, -EINVAL.
 */
int options_read(struct options *options, const struct options_kind *kind, int argc, char **argv);

#endif
