/* SPDX-License-Identifier: MIT */
#include "frame/frame.h"

#include <assert.h>

#include "frame/frame_impl.h"

void frame_init(struct frame *frame, const struct frame_ops *ops, uint32_t width, uint32_t height,
	uint32_t format)
{
	assert(ops->begin_read && ops->end_read && ops->destroy);
	assert(width && height && frame_format_is_known(format));
	*frame = (struct frame){
		.ops = ops,
		.refs = 1,
		.width = width,
		.height = height,
		.format = format,
	};
}

struct frame *frame_ref(struct frame *frame)
{
	assert(frame->refs > 0 && frame->refs < UINT32_MAX);
	frame->refs++;
	return frame;
}

void frame_unref(struct frame *frame)
{
	if (!frame) {
		return;
	}
	assert(frame->refs > 0);
	if (--frame->refs == 0) {
		frame->ops->destroy(frame);
	}
}

int frame_begin_read(struct frame *frame, const struct rect *rect, struct frame_view *view)
{
	assert(!rect_is_empty(rect) && rect_within(rect, frame->width, frame->height));
	return frame->ops->begin_read(frame, rect, view);
}

void frame_end_read(struct frame *frame)
{
	frame->ops->end_read(frame);
}

uint64_t frame_size(uint32_t width, uint32_t height)
{
	uint64_t pixels = (uint64_t)width * height;

	return pixels > UINT64_MAX / FRAME_PIXEL_SIZE ? UINT64_MAX : pixels * FRAME_PIXEL_SIZE;
}
