/* SPDX-License-Identifier: MIT */
#ifndef GPU_SUB_CONTEXT_H
#define GPU_SUB_CONTEXT_H

/*
 * The GL contexts that a VirGL context has beside its first. They are made and ended by commands in its
 * streams (Mesa has one for each context of the program), so a stream is looked through before it runs.
 */

#include <stdbool.h>

#include "gpu/context.h"
#include "gpu/stream.h"

/* By one stream; all zero before its first command. */
struct gpu_sub_context_changes {
	uint32_t added;
	bool ends; // some of those that there were, or that it made
};

enum gpu_stream_outcome {
	GPU_STREAM_REFUSED, // nothing of it ran
	GPU_STREAM_FAILED, // nobody knows how much of it ran
	GPU_STREAM_RAN,
};

/*
 * Before the stream runs, for each command that makes or ends one: charges what is made, as if none ended
 * meanwhile. Returns 0, -EDQUOT (the limits are reached) or -ENOMEM: then the stream must be refused.
 */
int gpu_sub_contexts_note(struct gpu_context_table *table, struct gpu_context *context,
	const struct gpu_stream_command *command, struct gpu_sub_context_changes *changes);

/* After it: what is not there is charged no longer. */
void gpu_sub_contexts_settle(struct gpu_context_table *table, struct gpu_context *context,
	const struct gpu_sub_context_changes *changes, enum gpu_stream_outcome outcome);

/* The context goes. */
void gpu_sub_contexts_drop(struct gpu_context_table *table, struct gpu_context *context);

#endif
