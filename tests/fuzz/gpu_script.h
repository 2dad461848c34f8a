/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_GPU_SCRIPT_H
#define FUZZ_GPU_SCRIPT_H

/* virtio-gpu commands made from a fuzzer's bytes: mostly well-formed, so that they get deep. */

#include "fuzz/input.h"
#include "gpu/wire.h"

/* Where backing pages may lie. */
struct gpu_script_memory {
	uint64_t addr; // guest address
	uint32_t size; // bytes
};

/* The largest command that is made: a scatter list of GPU_SCRIPT_ENTRIES entries. */
enum {
	GPU_SCRIPT_ENTRIES = 32,
	GPU_SCRIPT_MAX = 128 + GPU_SCRIPT_ENTRIES * 16,
};

/* Writes one command and returns its size; *queue says where it belongs. */
size_t gpu_script_make(struct input *input, const struct gpu_script_memory *memory,
	uint8_t command[static GPU_SCRIPT_MAX], uint32_t *queue);

#endif
