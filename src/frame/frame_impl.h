/* SPDX-License-Identifier: MIT */
#ifndef FRAME_FRAME_IMPL_H
#define FRAME_FRAME_IMPL_H

/* For those who make frames. */

#include "frame/frame.h"

/* All entries must be present. */
struct frame_ops {
	/* See frame_begin_read; the rectangle is within the frame and not empty. */
	int (*begin_read)(struct frame *frame, const struct rect *rect, struct frame_view *view);
	void (*end_read)(struct frame *frame);

	/* The last reference went. */
	void (*destroy)(struct frame *frame);
};

/* Sets up the base with one reference. */
void frame_init(struct frame *frame, const struct frame_ops *ops, uint32_t width, uint32_t height,
	uint32_t format);

#endif
