/* SPDX-License-Identifier: MIT */
#ifndef GPU_CONTEXT_H
#define GPU_CONTEXT_H

/* A guest's 3D contexts, found by the number the guest gave, and the resources that each may name. */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "gpu/limits.h"
#include "gpu/wire.h"
#include "render/render_3d.h"

struct gpu_resource;

/*
 * What a context is charged: a GL context holds megabytes of the driver's, which nobody tells (2.4 MiB
 * were measured with Mesa's software driver). So their number is bounded too, and that of sub-contexts.
 */
#define GPU_CONTEXT_COST (3u << 20)

struct gpu_context {
	struct list link;
	uint32_t id; // not 0
	uint32_t capset; // VIRTIO_GPU_CAPSET_*; 0: VirGL, the driver did not say which
	char name[WIRE_CONTEXT_NAME_SIZE + 1]; // by the driver; printable ASCII
	struct render_context *render;
	struct list sub_contexts; // gpu_sub_context.link
	uint32_t sub_context_count;
	struct list attachments; // gpu_attachment.in_context
	uint32_t resources; // their number
	uint64_t resource_bytes; // what these are charged
	uint64_t submits; // command streams that it ran
	uint64_t submit_bytes;
};

struct gpu_context_table {
	struct list all; // gpu_context.link; the one used last is the first
	uint32_t count;
	struct gpu_limits *limits;
};

/* A resource that a context may name. It is charged, as the renderer keeps a list of them too. */
struct gpu_attachment {
	struct list in_context; // gpu_context.attachments
	struct list in_resource; // gpu_resource.attachments
	struct gpu_context *context;
	struct gpu_resource *resource;
	uint64_t bytes; // of the resource, when it was attached
};

/* limits is borrowed: contexts and attachments are charged there. */
void gpu_context_table_init(struct gpu_context_table *table, struct gpu_limits *limits);

/* NULL when there is none. Borrowed. */
struct gpu_context *gpu_context_find(struct gpu_context_table *table, uint32_t id);

/*
 * A context in the table, without the renderer's part; the id must be free. The name need not end in 0,
 * and may be anything. NULL with errno ENOMEM (no memory) or EDQUOT (the limits are reached).
 */
struct gpu_context *gpu_context_create(struct gpu_context_table *table, uint32_t id,
	uint32_t capset, const char *name, uint32_t name_len);

/* Ends the renderer's part and its attachments, too. */
void gpu_context_destroy(struct gpu_context_table *table, struct gpu_context *context);

/* NULL: the resource is not attached to the context. */
struct gpu_attachment *gpu_attachment_find(
	const struct gpu_context *context, const struct gpu_resource *resource);

/* It must not be attached. False: no memory, or the limits are reached. */
bool gpu_attachment_create(struct gpu_context_table *table, struct gpu_context *context,
	struct gpu_resource *resource);
void gpu_attachment_destroy(struct gpu_context_table *table, struct gpu_attachment *attachment);

/* The resource goes: no context may name it any more. */
void gpu_attachments_drop(struct gpu_context_table *table, struct gpu_resource *resource);

#endif
