/* SPDX-License-Identifier: MIT */
#include "frame/frame_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/list.h"

/*
 * From this size on pixels are mapped for themselves: they come zeroed page by page when they are first
 * touched and go back to the system at once. The allocator would do so too, but only until it has seen
 * such a piece freed: then it raises its own threshold and clears megabytes by hand at each create.
 */
#define MAP_THRESHOLD (128u * 1024)

struct private_frame {
	struct frame base;
	uint8_t *pixels;
	size_t size; // bytes
	size_t stride; // bytes
	max_align_t inline_pixels[]; // of a small frame
};

static struct private_frame *to_private(struct frame *frame);

static int private_begin_read(struct frame *base, const struct rect *rect, struct frame_view *view)
{
	struct private_frame *frame = to_private(base);

	view->stride = frame->stride;
	view->pixels = frame->pixels + rect->y * frame->stride + (size_t)rect->x * FRAME_PIXEL_SIZE;
	return 0;
}

static void private_end_read(struct frame *base)
{
	(void)base;
}

static void private_destroy(struct frame *base)
{
	struct private_frame *frame = to_private(base);

	if (frame->size >= MAP_THRESHOLD) {
		munmap(frame->pixels, frame->size);
	}
	free(frame);
}

static const struct frame_ops private_ops = {
	.begin_read = private_begin_read,
	.end_read = private_end_read,
	.start_read = frame_start_at_once,
	.stop_read = frame_stop_at_once,
	.get_dmabuf = frame_no_dmabuf,
	.destroy = private_destroy,
};

static struct private_frame *to_private(struct frame *frame)
{
	assert(frame->ops == &private_ops);
	return container_of(frame, struct private_frame, base);
}

static struct private_frame *create_small(size_t size)
{
	struct private_frame *frame = calloc(1, sizeof(*frame) + size);

	if (frame) {
		frame->pixels = (uint8_t *)frame->inline_pixels;
	}
	return frame;
}

static struct private_frame *create_mapped(size_t size)
{
	struct private_frame *frame = calloc(1, sizeof(*frame));
	void *pixels;

	if (!frame) {
		return NULL;
	}
	pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pixels == MAP_FAILED) {
		free(frame);
		return NULL;
	}
	frame->pixels = pixels;
	return frame;
}

struct frame *frame_create_private(
	uint32_t width, uint32_t height, uint32_t format, uint8_t **pixels, size_t *stride)
{
	uint64_t size = frame_size(width, height);
	struct private_frame *frame;

	if (size > SIZE_MAX / 2) {
		errno = ENOMEM;
		return NULL;
	}
	frame = size < MAP_THRESHOLD ? create_small((size_t)size) : create_mapped((size_t)size);
	if (!frame) {
		return NULL;
	}
	frame_init(&frame->base, &private_ops, width, height, format);
	frame->size = (size_t)size;
	frame->stride = (size_t)width * FRAME_PIXEL_SIZE;
	*pixels = frame->pixels;
	*stride = frame->stride;
	return &frame->base;
}
