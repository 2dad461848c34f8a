/* SPDX-License-Identifier: MIT */
#include "render/render.h"

#include <assert.h>
#include <errno.h>

#include "render/render_impl.h"

void renderer_init(struct renderer *renderer, const struct render_ops *ops,
	const struct render_listener_ops *listener, void *listener_data)
{
	assert(ops->create_image && ops->create_blob && ops->destroy);
	assert(listener->operation_done && listener->lost);
	*renderer = (struct renderer){
		.ops = ops,
		.listener = listener,
		.listener_data = listener_data,
	};
}

void renderer_init_3d(struct renderer *renderer, const struct render_3d_ops *ops)
{
	assert(ops->get_capset && ops->fill_capset && ops->create_texture && ops->transfer &&
		ops->upload && ops->create_context && ops->destroy_context && ops->attach &&
		ops->detach && ops->submit && ops->create_fence);
	renderer->ops_3d = ops;
}

void render_resource_init(struct render_resource *resource, const struct render_resource_ops *ops,
	struct renderer *renderer)
{
	assert(ops->attach_backing && ops->detach_backing && ops->transfer_to_host &&
		ops->get_frame && ops->destroy);
	*resource = (struct render_resource){ .ops = ops, .renderer = renderer };
	renderer->resource_count++;
}

void renderer_destroy(struct renderer *renderer)
{
	if (renderer) {
		assert(renderer->resource_count == 0);
		renderer->ops->destroy(renderer);
	}
}

int render_create_image(struct renderer *renderer, const struct render_image_info *info,
	struct render_resource **resource)
{
	return renderer->ops->create_image(renderer, info, resource);
}

int render_create_blob(struct renderer *renderer, const struct render_blob_info *info,
	struct render_resource **resource)
{
	return renderer->ops->create_blob(renderer, info, resource);
}

int render_resource_destroy(struct render_resource *resource, uint64_t token)
{
	assert(resource->renderer->resource_count > 0);
	resource->renderer->resource_count--;
	return resource->ops->destroy(resource, token);
}

int render_attach_backing(struct render_resource *resource, const struct memory_span *spans,
	size_t count, uint64_t token)
{
	return resource->ops->attach_backing(resource, spans, count, token);
}

int render_detach_backing(struct render_resource *resource, uint64_t token)
{
	return resource->ops->detach_backing(resource, token);
}

int render_transfer_to_host(
	struct render_resource *resource, const struct render_transfer *transfer, uint64_t token)
{
	return resource->ops->transfer_to_host(resource, transfer, token);
}

struct frame *render_get_frame(
	struct render_resource *resource, const struct render_blob_layout *layout)
{
	return resource->ops->get_frame(resource, layout);
}

int render_no_image(struct renderer *renderer, const struct render_image_info *info,
	struct render_resource **resource)
{
	(void)renderer;
	(void)info;
	(void)resource;
	return -ENOTSUP;
}

int render_no_blob(struct renderer *renderer, const struct render_blob_info *info,
	struct render_resource **resource)
{
	(void)renderer;
	(void)info;
	(void)resource;
	return -ENOTSUP;
}

int render_no_transfer(
	struct render_resource *resource, const struct render_transfer *transfer, uint64_t token)
{
	(void)resource;
	(void)transfer;
	(void)token;
	return -ENOTSUP;
}
