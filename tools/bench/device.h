/* SPDX-License-Identifier: MIT */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

/* One back end under measurement, and the front end that drives it. Lives for one round. */

#include <stdbool.h>
#include <stdint.h>

#include "bench/options.h"
#include "bench/results.h"
#include "bench/usage.h"
#include "frontend/backend.h"
#include "frontend/gpu.h"

enum device_limits {
	DEVICE_WAIT_MS = 60000, // for an answer: a GL driver under valgrind takes its time
};

struct device {
	const char *name; // for messages
	struct fe_backend process;
	struct fe_gpu gpu;
	int call_epoll; // watches the two rings' notifications
	int instructions_fd;
	struct process_sample about; // filled in by device_start but for the peak
};

/* No process, no descriptors: device_stop is fine. */
void device_init(struct device *device);

/*
 * Starts the process, with its words going to log_fd, and the device in it. Returns 0, or -errno after
 * saying on stderr what failed; device_stop is due in both cases.
 */
int device_start(struct device *device, const struct options_backend *backend,
	const struct fe_gpu_options *gpu, int cpu, int log_fd);
void device_stop(struct device *device);

/* Says on stderr what failed, and returns error. */
int device_complain(const struct device *device, const char *what, int error);

/* Waits until the queue has an answer: sleeps as an event loop does, or spins. Returns 0 or -ETIMEDOUT. */
int device_wait(struct device *device, uint32_t queue, bool spin);

#endif
