/* SPDX-License-Identifier: MIT */
#include "render/soft/soft_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/list.h"

/* An image: its pixels lie in a private frame, which displays read directly. */
struct soft_image {
	struct render_resource base;
	struct memory *memory;
	struct render_image_info info;
	struct backing backing;
	struct frame *frame; // NULL until the first pixel is written or shown
	uint8_t *pixels; // of frame
	size_t stride;
};

static struct soft_image *to_image(struct render_resource *resource);

/* Many resources come and go without a pixel, so they cost none. */
static bool ensure_frame(struct soft_image *image)
{
	if (!image->frame) {
		image->frame = frame_create_private(image->info.width, image->info.height,
			image->info.format, &image->pixels, &image->stride);
	}
	return image->frame != NULL;
}

static int image_attach_backing(
	struct render_resource *base, const struct memory_span *spans, size_t count, uint64_t token)
{
	struct soft_image *image = to_image(base);

	(void)token;
	assert(!backing_is_attached(&image->backing));
	return backing_attach(&image->backing, image->memory, spans, count);
}

static int image_detach_backing(struct render_resource *base, uint64_t token)
{
	(void)token;
	backing_detach(&to_image(base)->backing);
	return 0;
}

static int image_transfer_to_host(
	struct render_resource *base, const struct render_transfer *transfer, uint64_t token)
{
	struct soft_image *image = to_image(base);
	const struct rect *rect = &transfer->rect;
	size_t x = (size_t)rect->x * FRAME_PIXEL_SIZE;

	(void)token;
	if (!backing_is_attached(&image->backing)) {
		return -EINVAL;
	}
	if (!ensure_frame(image)) {
		return -ENOMEM;
	}
	return backing_copy(&image->backing, transfer->offset, image->stride,
		image->pixels + rect->y * image->stride + x, image->stride,
		(size_t)rect->width * FRAME_PIXEL_SIZE, rect->height);
}

static struct frame *image_get_frame(
	struct render_resource *base, const struct render_blob_layout *layout)
{
	struct soft_image *image = to_image(base);

	assert(!layout);
	if (!ensure_frame(image)) {
		errno = ENOMEM;
		return NULL;
	}
	return frame_ref(image->frame);
}

static int image_destroy(struct render_resource *base, uint64_t token)
{
	struct soft_image *image = to_image(base);

	(void)token;
	backing_detach(&image->backing);
	frame_unref(image->frame);
	free(image);
	return 0;
}

static const struct render_resource_ops image_ops = {
	.attach_backing = image_attach_backing,
	.detach_backing = image_detach_backing,
	.transfer_to_host = image_transfer_to_host,
	.get_frame = image_get_frame,
	.destroy = image_destroy,
};

static struct soft_image *to_image(struct render_resource *resource)
{
	assert(resource->ops == &image_ops);
	return container_of(resource, struct soft_image, base);
}

int soft_image_create(struct soft_renderer *soft, const struct render_image_info *info,
	struct render_resource **resource)
{
	struct soft_image *image = calloc(1, sizeof(*image));

	if (!image) {
		return -ENOMEM;
	}
	render_resource_init(&image->base, &image_ops, &soft->base);
	image->memory = soft->memory;
	image->info = *info;
	*resource = &image->base;
	return 0;
}
