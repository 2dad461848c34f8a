/* SPDX-License-Identifier: MIT */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

/*
 * Runs a function in a child process: for other people's code that may crash, hang, or leave threads
 * and memory behind, such as GPU drivers that are only asked what they are.
 */

#include <stddef.h>

typedef void (*child_fn)(void *result, void *data);

/*
 * Calls fn in a child, where result and data are as they are here, and copies what it left in the size
 * bytes of result back. What it prints is dropped, on stderr unless debug lines are logged. Only for a
 * process with one thread.
 *
 * Returns 0; -ETIMEDOUT when it took longer (it is killed); -EPIPE when it ended before fn returned,
 * and *killer is the signal that ended it, or 0; another -errno when there can be no child. result is
 * kept on failure.
 */
int child_run(
	child_fn fn, void *data, void *result, size_t size, unsigned int timeout_ms, int *killer);

#endif
