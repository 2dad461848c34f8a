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

/*
 * Charges what the stream may make, as if it ended none meanwhile. *ends: it does, so that
 * gpu_sub_contexts_end must follow. Returns 0, or -EDQUOT (the limits are reached) or -ENOMEM with nothing
 * charged: the stream must not run.
 */
int gpu_sub_contexts_begin(struct gpu_context_table *table, struct gpu_context *context,
	struct gpu_stream stream, bool *ends);

/* Has all of the stream run? What it ended is charged no longer then. */
void gpu_sub_contexts_end(struct gpu_context_table *table, struct gpu_context *context, bool ran);

/* The context goes. */
void gpu_sub_contexts_drop(struct gpu_context_table *table, struct gpu_context *context);

#endif
