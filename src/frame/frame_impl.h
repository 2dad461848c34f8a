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

	/* See frame_read_start; read->frame and read->rect are set. */
	int (*start_read)(struct frame *frame, struct frame_read *read);
	/* The read is ready, or pending. */
	void (*stop_read)(struct frame *frame, struct frame_read *read);

	/* See frame_get_dmabuf. */
	int (*get_dmabuf)(struct frame *frame, struct frame_dmabuf *dmabuf);

	/* The last reference went; no read is left. */
	void (*destroy)(struct frame *frame);
};

/* Entries for a frame whose begin_read does not wait. */
int frame_start_at_once(struct frame *frame, struct frame_read *read);
void frame_stop_at_once(struct frame *frame, struct frame_read *read);

/* Entry for a frame that is in no GPU. */
int frame_no_dmabuf(struct frame *frame, struct frame_dmabuf *dmabuf);

/* A pending read is ready, with its view filled in (0), or over (-errno): tells who reads. */
void frame_read_end_wait(struct frame_read *read, int result);

/* Sets up the base with one reference. */
void frame_init(struct frame *frame, const struct frame_ops *ops, uint32_t width, uint32_t height,
	uint32_t format);

#endif
