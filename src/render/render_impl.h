/* SPDX-License-Identifier: MIT */
#ifndef RENDER_RENDER_IMPL_H
#define RENDER_RENDER_IMPL_H

/* For those who write renderers. The comments of render.h say what each entry does. */

#include "render/render.h"

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

/* Bases to embed; set by the two init functions. */
struct renderer {
	const struct render_ops *ops;
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

void render_resource_init(struct render_resource *resource, const struct render_resource_ops *ops,
	struct renderer *renderer);

#endif
