/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VULKAN_SIDE_H
#define BENCH_VULKAN_SIDE_H

/*
 * One participant of `vulkan`: a worker, which is the Vulkan program, and the server that it reaches its driver
 * through, or none for the native driver. A worker in a guest is there already, and only connected to. Lives for one
 * round.
 */

#include "bench/options.h"
#include "bench/sample.h"
#include "bench/usage.h"
#include "bench/vulkan_protocol.h"
#include "frontend/backend.h"

struct vulkan_side {
	const char *name; // for messages
	struct fe_backend server; // pid 0: none
	struct fe_backend worker; // pid 0: in a guest
	struct vulkan_hello hello;
};

/* What a job gave. */
struct vulkan_result {
	struct vulkan_ran ran;
	struct usage_counters
		used; // by the worker, the server and all its processes; NAN in a guest
};

/* Nothing is started: vulkan_side_stop is fine. */
void vulkan_side_init(struct vulkan_side *side);

/*
 * Starts the server (backend: NULL for the native driver, none for a guest) on the processors of back ends
 * and the worker on the driver's; their words go to log_fd. Returns 0, or -errno after saying on
 * stderr what failed; vulkan_side_stop is due in both cases.
 */
int vulkan_side_start(struct vulkan_side *side, const char *name,
	const struct options_backend *backend, const struct options *options, int log_fd);
void vulkan_side_stop(struct vulkan_side *side);

/* Writes the command of a daemon, with the driver in its environment. Returns 0 or -ENAMETOOLONG. */
int vulkan_side_write_command(
	char *command, size_t size, const struct options_vulkan *vulkan, const char *daemon);

/* Asks how much work takes job->ns. Returns the scale, or -errno after saying what failed. */
int vulkan_side_find_scale(struct vulkan_side *side, const struct vulkan_job *job);

/*
 * Does the job, and adds to the latencies, which must be empty. Returns 0, a status (enum vulkan_status) when
 * there is no such memory, or -errno after saying what failed.
 */
int vulkan_side_do(struct vulkan_side *side, const struct vulkan_job *job,
	struct latencies *latencies, struct vulkan_result *result);

/* Says on stderr what failed, and returns error. */
int vulkan_side_complain(const struct vulkan_side *side, const char *what, int error);

#endif
