/* SPDX-License-Identifier: MIT */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

/* What a process has used, all its threads together, seen from outside. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct usage_counters {
	double cpu_ns;
	double switches; // context switches, voluntary and not
	double instructions; // user and kernel; NAN where the host does not tell
};

struct usage_memory { // bytes
	double rss;
	double pss;
	double anonymous; // of rss: private memory
	double peak_rss;
};

/* Opens an instruction counter on the process as it is now; -1 where the host does not allow it. */
int usage_open_instructions(pid_t pid);

struct usage_counters usage_read(pid_t pid, int instructions_fd);

/* The same of the process and all that it started and are still there, without instructions. */
struct usage_counters usage_read_family(pid_t pid);

/* a + b and a - b, field by field. */
struct usage_counters usage_sum(struct usage_counters a, struct usage_counters b);
struct usage_counters usage_difference(struct usage_counters a, struct usage_counters b);

struct usage_memory usage_read_memory(pid_t pid);

/* Starts a new peak_rss; without permission the peak stays the process's whole life's. */
void usage_reset_peak(pid_t pid);

/* Is a library of GL, EGL, GBM, Vulkan or virglrenderer mapped? */
bool usage_has_renderer(pid_t pid);

/* Pins this process to a processor; -1: leaves it. Returns 0 or -errno. */
int usage_pin(int cpu);

/* Pins it to two; nothing when the first is -1. */
int usage_pin_two(int cpu, int other);

#endif
