/* SPDX-License-Identifier: MIT */
#ifndef GPU_CONTEXT_H
#define GPU_CONTEXT_H

/* A guest's 3D contexts, found by the number the guest gave. */

#include <stdint.h>

#include "base/list.h"
#include "render/render_3d.h"

/*
 * What a context is charged: a GL context holds megabytes of the driver's, which nobody tells. So their
 * number is bounded too.
 */
#define GPU_CONTEXT_COST (1u << 20)

struct gpu_context {
	struct list link;
	uint32_t id; // not 0
	struct render_context *render;
};

struct gpu_context_table {
	struct list all; // gpu_context.link; the one used last is the first
	uint32_t count;
};

void gpu_context_table_init(struct gpu_context_table *table);

/* NULL when there is none. Borrowed. */
struct gpu_context *gpu_context_find(struct gpu_context_table *table, uint32_t id);

/* A context in the table, without the renderer's part; the id must be free. NULL: no memory. */
struct gpu_context *gpu_context_create(struct gpu_context_table *table, uint32_t id);

/* Ends the renderer's part, too. */
void gpu_context_destroy(struct gpu_context_table *table, struct gpu_context *context);

#endif
