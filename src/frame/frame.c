/* SPDX-License-Identifier: MIT */
#include "frame/frame.h"

#include <assert.h>
#include <errno.h>

#include "frame/frame_impl.h"

void frame_init(struct frame *frame, const struct frame_ops *ops, uint32_t width, uint32_t height,
	uint32_t format)
{
	assert(ops->begin_read && ops->end_read && ops->start_read && ops->stop_read &&
		ops->get_dmabuf && ops->destroy);
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

bool frame_is_slow(const struct frame *frame)
{
	return frame->ops->start_read != frame_start_at_once;
}

int frame_read_start(struct frame_read *read, struct frame *frame, const struct rect *rect)
{
	int result;

	assert(!read->frame && read->ready);
	assert(!rect_is_empty(rect) && rect_within(rect, frame->width, frame->height));
	read->frame = frame;
	read->rect = *rect;
	read->maker_data = NULL;
	list_init(&read->link);
	result = frame->ops->start_read(frame, read);
	read->pending = result == FRAME_PENDING;
	if (result < 0) {
		read->frame = NULL;
	}
	return result;
}

void frame_read_stop(struct frame_read *read)
{
	struct frame *frame = read->frame;

	if (frame) {
		frame->ops->stop_read(frame, read);
		read->frame = NULL;
		read->pending = false;
	}
}

void frame_read_end_wait(struct frame_read *read, int result)
{
	assert(read->pending);
	read->pending = false;
	if (result < 0) {
		read->frame = NULL;
	}
	read->ready(read, result);
}

int frame_start_at_once(struct frame *frame, struct frame_read *read)
{
	return frame->ops->begin_read(frame, &read->rect, &read->view);
}

void frame_stop_at_once(struct frame *frame, struct frame_read *read)
{
	(void)read;
	frame->ops->end_read(frame);
}

int frame_get_dmabuf(struct frame *frame, struct frame_dmabuf *dmabuf)
{
	return frame->ops->get_dmabuf(frame, dmabuf);
}

int frame_no_dmabuf(struct frame *frame, struct frame_dmabuf *dmabuf)
{
	(void)frame;
	(void)dmabuf;
	return -ENOTSUP;
}

uint64_t frame_size(uint32_t width, uint32_t height)
{
	uint64_t pixels = (uint64_t)width * height;

	return pixels > UINT64_MAX / FRAME_PIXEL_SIZE ? UINT64_MAX : pixels * FRAME_PIXEL_SIZE;
}
