/* SPDX-License-Identifier: MIT */
#ifndef GPU_LIMITS_H
#define GPU_LIMITS_H

/* The bound on host memory that a guest can make the device hold: images, blobs, lists, requests. */

#include <stdbool.h>
#include <stdint.h>

struct gpu_limits {
	uint64_t max_memory; // bytes
	uint64_t used_memory;
	uint64_t peak_memory;
	uint32_t max_resources;
	uint32_t resources;
};

/* Takes bytes from the budget; false, and nothing taken, when it is spent. */
bool gpu_limits_take(struct gpu_limits *limits, uint64_t bytes);
void gpu_limits_give(struct gpu_limits *limits, uint64_t bytes);

#endif
