/* SPDX-License-Identifier: MIT */
#ifndef RUN_PROGRAM_H
#define RUN_PROGRAM_H

/* The program that virtio-gpu-run runs: its surroundings, and what becomes of it. */

#include <stdbool.h>
#include <sys/types.h>

#include "run/options.h"

#define PROGRAM_ICD_FOLDER "/usr/share/vulkan/icd.d" // where distributions put Vulkan drivers

enum program_status {
	PROGRAM_FAILED = 125, // of virtio-gpu-run itself, as env(1) and timeout(1) have it
	PROGRAM_NOT_RUN = 126,
	PROGRAM_NOT_FOUND = 127,
	PROGRAM_SIGNAL = 128, // and the signal's number
};

/*
 * Is there what the program's drivers need? Returns 0, or -ENOENT having said on stderr what is missing: no
 * Vulkan driver.
 */
int program_check(const struct options *options);

/* Calls set for each variable of the environment that makes Mesa draw by vtest at the socket. */
void program_environment(const struct options *options, const char *socket_path,
	void (*set)(const char *name, const char *value));

/*
 * Starts options->program with Mesa told to draw at the socket. With a namespace the socket is at
 * VTEST_DEFAULT_PATH, too, as far as the program sees, and *has_namespace says whether that could be had.
 * Returns its pid or -errno; a program that cannot be run ends with PROGRAM_NOT_RUN or NOT_FOUND.
 */
pid_t program_start(const struct options *options, const char *socket_path, bool *has_namespace);

/* The exit status for waitpid's. */
int program_exit_status(int status);

#endif
