/* SPDX-License-Identifier: MIT */
#include "render/null/null.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "render/render_impl.h"

static int null_attach_backing(struct render_resource *resource, const struct memory_span *spans,
	size_t count, uint64_t token)
{
	(void)resource;
	(void)spans;
	(void)count;
	(void)token;
	return 0;
}

static int null_detach_backing(struct render_resource *resource, uint64_t token)
{
	(void)resource;
	(void)token;
	return 0;
}

static int null_transfer_to_host(
	struct render_resource *resource, const struct render_transfer *transfer, uint64_t token)
{
	(void)resource;
	(void)transfer;
	(void)token;
	return 0;
}

static struct frame *null_get_frame(
	struct render_resource *resource, const struct render_blob_layout *layout)
{
	(void)resource;
	(void)layout;
	errno = ENOTSUP;
	return NULL;
}

static int null_resource_destroy(struct render_resource *resource, uint64_t token)
{
	(void)token;
	free(resource);
	return 0;
}

static const struct render_resource_ops null_resource_ops = {
	.attach_backing = null_attach_backing,
	.detach_backing = null_detach_backing,
	.transfer_to_host = null_transfer_to_host,
	.get_frame = null_get_frame,
	.destroy = null_resource_destroy,
};

static int create_resource(struct renderer *renderer, struct render_resource **resource)
{
	*resource = calloc(1, sizeof(**resource));
	if (!*resource) {
		return -ENOMEM;
	}
	render_resource_init(*resource, &null_resource_ops, renderer);
	return 0;
}

static int null_create_image(struct renderer *renderer, const struct render_image_info *info,
	struct render_resource **resource)
{
	(void)info;
	return create_resource(renderer, resource);
}

static int null_create_blob(struct renderer *renderer, const struct render_blob_info *info,
	struct render_resource **resource)
{
	(void)info;
	return create_resource(renderer, resource);
}

static void null_destroy(struct renderer *renderer)
{
	free(renderer);
}

static const struct render_ops null_ops = {
	.create_image = null_create_image,
	.create_blob = null_create_blob,
	.destroy = null_destroy,
};

struct renderer *null_renderer_create(
	const struct render_listener_ops *listener, void *listener_data)
{
	struct renderer *renderer = calloc(1, sizeof(*renderer));

	if (!renderer) {
		log_error("no memory for the renderer");
		return NULL;
	}
	renderer_init(renderer, &null_ops, listener, listener_data);
	return renderer;
}
