/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VULKAN_MAP_H
#define BENCH_VULKAN_MAP_H

/*
 * The row `map + unmap`: a daemon with Venus, and a front end that maps and unmaps one blob, which the render
 * server made, in the host-visible window, again and again. Each is waited for.
 */

#include "bench/options.h"
#include "bench/sample.h"

/*
 * Starts the daemon of the options on the processors of back ends, its words going to log_fd, measures, and stops
 * it. name is for messages. Returns 0, or -errno after saying on stderr what failed.
 */
int vulkan_map_measure(const char *name, const struct options *options, int log_fd,
	struct latencies *latencies, struct sample *sample);

#endif
