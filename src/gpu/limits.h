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

/*
 * Takes bytes though the budget be spent: for what is bounded by other means and must always be possible,
 * such as a pending UNREF, which is how a guest frees its memory. Little, so the sum cannot wrap.
 */
void gpu_limits_force(struct gpu_limits *limits, uint32_t bytes);

void gpu_limits_give(struct gpu_limits *limits, uint64_t bytes);

#endif
