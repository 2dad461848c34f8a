/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

/* What the targets that run an event loop share. */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/loop.h"

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A fault: the fuzzer keeps the input. */
static inline void demand(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
		abort();
	}
}

/* Of far more descriptors than a session uses. */
static inline int target_count_open(void)
{
	int count = 0;

	for (int fd = 0; fd < 200; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

/* With the first loop of a process libuv opens a pipe for signals, and keeps it: before the first count. */
static inline void target_open_first_loop(void)
{
	loop_destroy(loop_create());
}

#endif
