/* SPDX-License-Identifier: MIT */
#ifndef GPU_STREAM_H
#define GPU_STREAM_H

/*
 * The commands in a VirGL stream (virgl_protocol.h, which no package has), for the few that make what is
 * to be bounded. Their meaning is the renderer's to check.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gpu_stream_number {
	GPU_STREAM_CREATE_SUB_CONTEXT = 29,
	GPU_STREAM_DESTROY_SUB_CONTEXT = 30,
	GPU_STREAM_CREATE_RESOURCE = 48,
};

/* What is left of it. */
struct gpu_stream {
	const uint8_t *bytes; // borrowed
	size_t size;
};

struct gpu_stream_command {
	uint32_t number;
	uint32_t count; // arguments, 32 bits each
	const uint8_t *arguments;
};

/* Steps to the next command. False: there is none, or it is cut off; renderers stop there, too. */
bool gpu_stream_next(struct gpu_stream *stream, struct gpu_stream_command *command);

uint32_t gpu_stream_argument(const struct gpu_stream_command *command, uint32_t index);

#endif
