/* SPDX-License-Identifier: MIT */
#include "render/soft/soft_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "frame/frame_impl.h"

/*
 * How this works
 *
 * A guest blob has no pixels here: its frames read guest memory. As that can change at any time and may
 * lie in pieces, a frame keeps a shadow, and begin_read refreshes just the rectangle that is asked for.
 * A display thus never sees a pixel change under its hands, and what is shown outlives the blob (or its
 * backing) with the pixels last read.
 */

struct soft_blob {
	struct render_resource base;
	struct memory *memory;
	struct backing backing;
	struct list frames; // blob_frame.link
};

struct blob_frame {
	struct frame base;
	struct soft_blob *blob; // NULL when it went
	struct list link;
	struct render_blob_layout layout;
	struct frame *shadow;
	uint8_t *pixels; // of shadow
	size_t stride;
};

static struct blob_frame *to_blob_frame(struct frame *frame);
static struct soft_blob *to_blob(struct render_resource *resource);

static int refresh(struct blob_frame *frame, const struct rect *rect)
{
	const struct render_blob_layout *layout = &frame->layout;
	size_t x = (size_t)rect->x * FRAME_PIXEL_SIZE;

	return backing_copy(&frame->blob->backing,
		layout->offset + (uint64_t)rect->y * layout->stride + x, layout->stride,
		frame->pixels + rect->y * frame->stride + x, frame->stride,
		(size_t)rect->width * FRAME_PIXEL_SIZE, rect->height);
}

static int blob_begin_read(struct frame *base, const struct rect *rect, struct frame_view *view)
{
	struct blob_frame *frame = to_blob_frame(base);

	if (frame->blob && backing_is_attached(&frame->blob->backing)) {
		int result = refresh(frame, rect);

		if (result < 0) {
			return result;
		}
	}
	return frame_begin_read(frame->shadow, rect, view);
}

static void blob_end_read(struct frame *base)
{
	frame_end_read(to_blob_frame(base)->shadow);
}

static void blob_frame_destroy(struct frame *base)
{
	struct blob_frame *frame = to_blob_frame(base);

	list_remove(&frame->link);
	frame_unref(frame->shadow);
	free(frame);
}

static const struct frame_ops blob_frame_ops = {
	.begin_read = blob_begin_read,
	.end_read = blob_end_read,
	.start_read = frame_start_at_once,
	.stop_read = frame_stop_at_once,
	.get_dmabuf = frame_no_dmabuf,
	.destroy = blob_frame_destroy,
};

static struct blob_frame *to_blob_frame(struct frame *frame)
{
	assert(frame->ops == &blob_frame_ops);
	return container_of(frame, struct blob_frame, base);
}

static int blob_attach_backing(
	struct render_resource *base, const struct memory_span *spans, size_t count, uint64_t token)
{
	struct soft_blob *blob = to_blob(base);

	(void)token;
	assert(!backing_is_attached(&blob->backing));
	return backing_attach(&blob->backing, blob->memory, spans, count);
}

static int blob_detach_backing(struct render_resource *base, uint64_t token)
{
	(void)token;
	backing_detach(&to_blob(base)->backing);
	return 0;
}

static struct frame *blob_get_frame(
	struct render_resource *base, const struct render_blob_layout *layout)
{
	struct soft_blob *blob = to_blob(base);
	struct blob_frame *frame = calloc(1, sizeof(*frame));

	if (!frame) {
		return NULL;
	}
	frame->shadow = frame_create_private(
		layout->width, layout->height, layout->format, &frame->pixels, &frame->stride);
	if (!frame->shadow) {
		free(frame);
		errno = ENOMEM;
		return NULL;
	}
	frame_init(&frame->base, &blob_frame_ops, layout->width, layout->height, layout->format);
	frame->layout = *layout;
	frame->blob = blob;
	list_append(&blob->frames, &frame->link);
	return &frame->base;
}

static int blob_destroy(struct render_resource *base, uint64_t token)
{
	struct soft_blob *blob = to_blob(base);

	(void)token;
	list_for_each_safe(link, following, &blob->frames) {
		list_remove(link);
		container_of(link, struct blob_frame, link)->blob = NULL;
	}
	backing_detach(&blob->backing);
	free(blob);
	return 0;
}

static const struct render_resource_ops blob_ops = {
	.attach_backing = blob_attach_backing,
	.detach_backing = blob_detach_backing,
	.transfer_to_host = render_no_transfer,
	.get_frame = blob_get_frame,
	.destroy = blob_destroy,
};

static struct soft_blob *to_blob(struct render_resource *resource)
{
	assert(resource->ops == &blob_ops);
	return container_of(resource, struct soft_blob, base);
}

int soft_blob_create(struct soft_renderer *soft, struct render_resource **resource)
{
	struct soft_blob *blob = calloc(1, sizeof(*blob));

	if (!blob) {
		return -ENOMEM;
	}
	render_resource_init(&blob->base, &blob_ops, &soft->base);
	blob->memory = soft->memory;
	list_init(&blob->frames);
	*resource = &blob->base;
	return 0;
}
