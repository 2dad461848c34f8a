/* SPDX-License-Identifier: MIT */
#include "render/render_3d.h"

#include <assert.h>

#include "render/render_impl.h"

bool render_has_3d(const struct renderer *renderer)
{
	return renderer->ops_3d != NULL;
}

int render_get_capset(struct renderer *renderer, uint32_t index, struct render_capset *capset)
{
	return renderer->ops_3d->get_capset(renderer, index, capset);
}

void render_fill_capset(struct renderer *renderer, uint32_t id, uint32_t version, void *bytes)
{
	renderer->ops_3d->fill_capset(renderer, id, version, bytes);
}

int render_create_texture(struct renderer *renderer, const struct render_texture_info *info,
	struct render_resource **resource)
{
	return renderer->ops_3d->create_texture(renderer, info, resource);
}

int render_transfer_3d(struct render_resource *resource, const struct render_transfer_3d *transfer)
{
	return resource->renderer->ops_3d->transfer(resource, transfer);
}

int render_upload(struct render_resource *resource, const struct rect *rect, struct frame *frame)
{
	return resource->renderer->ops_3d->upload(resource, rect, frame);
}

int render_create_context(struct renderer *renderer, uint32_t id, uint32_t capset_id,
	const char *name, uint32_t name_len, struct render_context **context)
{
	return renderer->ops_3d->create_context(renderer, id, capset_id, name, name_len, context);
}

void render_context_destroy(struct render_context *context)
{
	if (context) {
		context->renderer->ops_3d->destroy_context(context);
	}
}

void render_context_attach(struct render_context *context, struct render_resource *resource)
{
	assert(context->renderer == resource->renderer);
	context->renderer->ops_3d->attach(context, resource);
}

void render_context_detach(struct render_context *context, struct render_resource *resource)
{
	assert(context->renderer == resource->renderer);
	context->renderer->ops_3d->detach(context, resource);
}

int render_context_submit(struct render_context *context, void *commands, size_t size)
{
	return context->renderer->ops_3d->submit(context, commands, size);
}

int render_create_fence(struct renderer *renderer, uint64_t token)
{
	return renderer->ops_3d->create_fence(renderer, token);
}

int render_create_host_blob(struct render_context *context,
	const struct render_host_blob_info *info, uint64_t *held, struct render_resource **resource)
{
	return context->renderer->ops_3d->create_host_blob(context, info, held, resource);
}

int render_export_host_blob(struct render_resource *resource, struct render_export *export)
{
	return resource->renderer->ops_3d->export_host_blob(resource, export);
}

int render_create_ring_fence(struct render_context *context, uint32_t ring, uint64_t token)
{
	return context->renderer->ops_3d->create_ring_fence(context, ring, token);
}

void render_pause(struct renderer *renderer, bool paused)
{
	renderer->ops_3d->pause(renderer, paused);
}
