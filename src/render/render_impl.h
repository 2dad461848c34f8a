/* SPDX-License-Identifier: MIT */
#ifndef RENDER_RENDER_IMPL_H
#define RENDER_RENDER_IMPL_H

/* For those who write renderers. The comments of render.h say what each entry does. */

#include "render/render.h"
#include "render/render_3d.h"

/* All entries must be present: an entry that cannot work returns -ENOTSUP. */
struct render_ops {
	int (*create_image)(struct renderer *renderer, const struct render_image_info *info,
		struct render_resource **resource);
	int (*create_blob)(struct renderer *renderer, const struct render_blob_info *info,
		struct render_resource **resource);
	void (*destroy)(struct renderer *renderer);
};

struct render_resource_ops {
	int (*attach_backing)(struct render_resource *resource, const struct memory_span *spans,
		size_t count, uint64_t token);
	int (*detach_backing)(struct render_resource *resource, uint64_t token);
	int (*transfer_to_host)(struct render_resource *resource,
		const struct render_transfer *transfer, uint64_t token);
	struct frame *(*get_frame)(
		struct render_resource *resource, const struct render_blob_layout *layout);
	int (*destroy)(struct render_resource *resource, uint64_t token);
};

/* As render_3d.h says. A renderer has all of these or none. */
struct render_3d_ops {
	int (*get_capset)(struct renderer *renderer, uint32_t index, struct render_capset *capset);
	void (*fill_capset)(struct renderer *renderer, uint32_t id, uint32_t version, void *bytes);
	int (*create_texture)(struct renderer *renderer, const struct render_texture_info *info,
		struct render_resource **resource);
	int (*transfer)(
		struct render_resource *resource, const struct render_transfer_3d *transfer);
	int (*upload)(
		struct render_resource *resource, const struct rect *rect, struct frame *frame);
	int (*create_context)(struct renderer *renderer, uint32_t id, uint32_t capset_id,
		const char *name, uint32_t name_len, struct render_context **context);
	void (*destroy_context)(struct render_context *context);
	void (*attach)(struct render_context *context, struct render_resource *resource);
	void (*detach)(struct render_context *context, struct render_resource *resource);
	int (*submit)(struct render_context *context, void *commands, size_t size);
	int (*create_fence)(struct renderer *renderer, uint64_t token);
	int (*create_host_blob)(struct render_context *context,
		const struct render_host_blob_info *info, uint64_t *held,
		struct render_resource **resource);
	int (*export_host_blob)(struct render_resource *resource, struct render_export *export);
	int (*create_ring_fence)(struct render_context *context, uint32_t ring, uint64_t token);
	void (*pause)(struct renderer *renderer, bool paused);
};

/* Bases to embed; set by the init functions. */
struct renderer {
	const struct render_ops *ops;
	const struct render_3d_ops *ops_3d; // NULL: 2D only
	const struct render_listener_ops *listener;
	void *listener_data;
	uint32_t resource_count;
};

struct render_resource {
	const struct render_resource_ops *ops;
	struct renderer *renderer;
};

void renderer_init(struct renderer *renderer, const struct render_ops *ops,
	const struct render_listener_ops *listener, void *listener_data);

/* After renderer_init. */
void renderer_init_3d(struct renderer *renderer, const struct render_3d_ops *ops);

struct render_context {
	struct renderer *renderer;
};

void render_resource_init(struct render_resource *resource, const struct render_resource_ops *ops,
	struct renderer *renderer);

/* Entries for a renderer that has no images, no blobs, or no 2D transfers: -ENOTSUP. */
int render_no_image(struct renderer *renderer, const struct render_image_info *info,
	struct render_resource **resource);
int render_no_blob(struct renderer *renderer, const struct render_blob_info *info,
	struct render_resource **resource);
int render_no_transfer(
	struct render_resource *resource, const struct render_transfer *transfer, uint64_t token);

#endif
