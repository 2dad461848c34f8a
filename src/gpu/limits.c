/* SPDX-License-Identifier: MIT */
#include "gpu/limits.h"

#include <assert.h>

static void note_use(struct gpu_limits *limits, uint64_t bytes)
{
	limits->used_memory += bytes;
	if (limits->used_memory > limits->peak_memory) {
		limits->peak_memory = limits->used_memory;
	}
}

bool gpu_limits_take(struct gpu_limits *limits, uint64_t bytes)
{
	if (limits->used_memory > limits->max_memory ||
		bytes > limits->max_memory - limits->used_memory) {
		return false;
	}
	note_use(limits, bytes);
	return true;
}

void gpu_limits_force(struct gpu_limits *limits, uint32_t bytes)
{
	note_use(limits, bytes);
}

void gpu_limits_give(struct gpu_limits *limits, uint64_t bytes)
{
	assert(bytes <= limits->used_memory);
	limits->used_memory -= bytes;
}
