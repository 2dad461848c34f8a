/* SPDX-License-Identifier: MIT */
#include "support/slow_frame.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

static int slow_begin_read(struct frame *base, const struct rect *rect, struct frame_view *view)
{
	struct slow_frame *frame = slow_frame_of(base);

	frame->waits++;
	return frame_begin_read(frame->shadow, rect, view);
}

static void slow_end_read(struct frame *base)
{
	frame_end_read(slow_frame_of(base)->shadow);
}

static int slow_start_read(struct frame *base, struct frame_read *read)
{
	struct slow_frame *frame = slow_frame_of(base);
	int failure = frame->failure;

	frame->failure = 0;
	if (failure < 0) {
		return failure;
	}
	list_append(&frame->reads, &read->link);
	frame->pending++;
	return FRAME_PENDING;
}

static void slow_stop_read(struct frame *base, struct frame_read *read)
{
	struct slow_frame *frame = slow_frame_of(base);

	if (read->pending) {
		list_remove(&read->link);
		frame->pending--;
	} else {
		frame->open--;
	}
}

static int slow_get_dmabuf(struct frame *base, struct frame_dmabuf *dmabuf)
{
	struct slow_frame *frame = slow_frame_of(base);

	frame->pictures++;
	*dmabuf = frame->dmabuf;
	return dmabuf->fd < 0 ? -ENOTSUP : 0;
}

static void slow_destroy(struct frame *base)
{
	struct slow_frame *frame = slow_frame_of(base);

	assert(frame->pending == 0 && frame->open == 0);
	fd_close(&frame->dmabuf.fd);
	frame_unref(frame->shadow);
	free(frame);
}

static const struct frame_ops slow_ops = {
	.begin_read = slow_begin_read,
	.end_read = slow_end_read,
	.start_read = slow_start_read,
	.stop_read = slow_stop_read,
	.get_dmabuf = slow_get_dmabuf,
	.destroy = slow_destroy,
};

struct slow_frame *slow_frame_of(struct frame *frame)
{
	assert(frame->ops == &slow_ops);
	return container_of(frame, struct slow_frame, base);
}

struct slow_frame *slow_frame_create(uint32_t width, uint32_t height, uint32_t format)
{
	struct slow_frame *frame = calloc(1, sizeof(*frame));

	assert(frame);
	frame->shadow = frame_create_private(width, height, format, &frame->pixels, &frame->stride);
	assert(frame->shadow);
	frame_init(&frame->base, &slow_ops, width, height, format);
	list_init(&frame->reads);
	frame->dmabuf.fd = -1;
	return frame;
}

void slow_frame_export(struct slow_frame *frame)
{
	size_t size = frame->stride * frame->base.height;

	frame->dmabuf = (struct frame_dmabuf){
		.fd = memfd_create("picture", MFD_CLOEXEC),
		.stride = (uint32_t)frame->stride,
		.format = frame->base.format,
		.modifier = 0x1234567890,
	};
	assert(pwrite(frame->dmabuf.fd, frame->pixels, size, 0) == (ssize_t)size);
}

void slow_frame_end(struct slow_frame *frame, int result)
{
	struct list *link = list_first(&frame->reads);
	struct frame_read *read = container_of(link, struct frame_read, link);

	assert(link);
	list_remove(link);
	frame->pending--;
	if (result == 0) {
		frame_begin_read(frame->shadow, &read->rect, &read->view);
		frame->open++;
	}
	frame_read_end_wait(read, result);
}
