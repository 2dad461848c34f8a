/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ENVIRONMENT_H
#define BENCH_ENVIRONMENT_H

/* Where the figures were taken: a figure without this says nothing. */

struct environment {
	char kernel[256];
	char cpu[128];
	long processors; // online
	char time[32]; // UTC
	char load[32]; // average of the last minute, before the run
};

struct environment environment_read(void);

/* First line of `PROGRAM --version` of a command line; "" when it has none. */
void environment_read_version(const char *command, char version[static 128]);

#endif
