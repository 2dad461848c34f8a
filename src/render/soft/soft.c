/* SPDX-License-Identifier: MIT */
#include "render/soft/soft.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/log.h"
#include "render/render_impl.h"
#include "render/soft/soft_impl.h"

static struct soft_renderer *to_soft(struct renderer *renderer);

static int soft_create_image(struct renderer *base, const struct render_image_info *info,
	struct render_resource **resource)
{
	return soft_image_create(to_soft(base), info, resource);
}

static int soft_create_blob(struct renderer *base, const struct render_blob_info *info,
	struct render_resource **resource)
{
	(void)info;
	return soft_blob_create(to_soft(base), resource);
}

static void soft_destroy(struct renderer *base)
{
	free(to_soft(base));
}

static const struct render_ops soft_ops = {
	.create_image = soft_create_image,
	.create_blob = soft_create_blob,
	.destroy = soft_destroy,
};

static struct soft_renderer *to_soft(struct renderer *renderer)
{
	assert(renderer->ops == &soft_ops);
	return container_of(renderer, struct soft_renderer, base);
}

struct renderer *soft_renderer_create(
	struct memory *memory, const struct render_listener_ops *listener, void *listener_data)
{
	struct soft_renderer *soft = calloc(1, sizeof(*soft));

	if (!soft) {
		log_error("no memory for the renderer");
		return NULL;
	}
	renderer_init(&soft->base, &soft_ops, listener, listener_data);
	soft->memory = memory;
	return &soft->base;
}
