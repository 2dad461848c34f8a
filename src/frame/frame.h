/* SPDX-License-Identifier: MIT */
#ifndef FRAME_FRAME_H
#define FRAME_FRAME_H

/*
 * A frame: pixels that a renderer makes and a display shows. Shared by counting; neither side knows the
 * other. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/rect.h"

struct frame_ops;

struct frame {
	const struct frame_ops *ops;
	uint32_t refs;
	uint32_t width; // pixels, not 0
	uint32_t height; // pixels, not 0
	uint32_t format; // DRM_FORMAT_* (drm_fourcc.h), one that frame_format_is_known
};

/* Pixels to read between begin_read and end_read. */
struct frame_view {
	const uint8_t *pixels; // of the rectangle's first pixel
	size_t stride; // bytes from row to row
};

struct frame *frame_ref(struct frame *frame);
void frame_unref(struct frame *frame); // NULL is fine

/*
 * Makes the pixels of the rectangle (within the frame) readable here; may copy or read back just those.
 * Borrows until frame_end_read. Returns 0 or -errno.
 */
int frame_begin_read(struct frame *frame, const struct rect *rect, struct frame_view *view);
void frame_end_read(struct frame *frame);

/* Returned by what ends later. */
#define FRAME_PENDING 1

/* A read that need not be over at once, as of pixels in a GPU. Embedded by who reads. */
struct frame_read {
	/* It is ready (0), or over (-errno). Never from within frame_read_start or frame_read_stop. */
	void (*ready)(struct frame_read *read, int result);
	struct frame *frame; // borrowed; NULL: not begun, or over
	struct rect rect;
	struct frame_view view; // holds while it is ready
	bool pending;
	struct list link; // for who makes the frame
	void *maker_data;
};

/* May reading it take time? Then frame_begin_read waits, and frame_read_start does not. */
bool frame_is_slow(const struct frame *frame);

/*
 * As frame_begin_read, with the pixels of now or later, and does not wait. Returns 0: read->view holds;
 * FRAME_PENDING: read->ready follows; or -errno. read->ready must be set. frame_read_stop ends it.
 */
int frame_read_start(struct frame_read *read, struct frame *frame, const struct rect *rect);

/* Ends the read, or gives it up when it is pending: ready does not come then. Fine when it is over. */
void frame_read_stop(struct frame_read *read);

/* Where a frame's pixels lie in a GPU: one buffer, from its first byte on. */
struct frame_dmabuf {
	int fd; // a dma-buf, of the frame's; holds as long as the frame
	uint32_t stride; // bytes
	uint32_t format; // DRM_FORMAT_*
	uint64_t modifier; // DRM_FORMAT_MOD_*
	bool upside_down; // its first row is the picture's last
};

/*
 * The frame's buffer, for a display that shows it without a copy. Asked for anew for each picture: what
 * has been drawn goes to the GPU then. Returns 0, or -ENOTSUP: it has none.
 */
int frame_get_dmabuf(struct frame *frame, struct frame_dmabuf *dmabuf);

/*
 * A frame in private memory, all zero. *pixels is where its maker writes; it and *stride (bytes, width *
 * 4) hold as long as the frame. Returns NULL when there is no memory.
 */
struct frame *frame_create_private(
	uint32_t width, uint32_t height, uint32_t format, uint8_t **pixels, size_t *stride);

/* Bytes that a frame of this size takes; UINT64_MAX when that does not fit. */
uint64_t frame_size(uint32_t width, uint32_t height);

/* Every known format has four bytes a pixel. */
#define FRAME_PIXEL_SIZE 4

/* One of the eight formats of virtio-gpu (VIRTIO 1.3, 5.7.6.8, enum virtio_gpu_formats)? */
bool frame_format_is_known(uint32_t format);

/* Can the bytes of `format` be taken as they are where x8r8g8b8 is wanted? */
bool frame_format_is_xrgb(uint32_t format);

/*
 * Copies the rectangle (within the frame) as DRM_FORMAT_XRGB8888 or DRM_FORMAT_ARGB8888 to `to`, rows
 * `stride` bytes apart. A format without alpha gives opaque pixels. Returns 0 or -errno of begin_read.
 */
int frame_convert(struct frame *frame, const struct rect *rect, uint32_t to_format, uint8_t *to,
	size_t stride);

/* The same for pixels that have been read: width x height from the view's first pixel on. Returns 0 or -ENOMEM. */
int frame_convert_view(uint32_t format, const struct frame_view *view, uint32_t width,
	uint32_t height, uint32_t to_format, uint8_t *to, size_t stride);

/* Draws `over` (ARGB, premultiplied) onto XRGB pixels at x, y, clipped. For screenshots. */
void frame_blend(uint8_t *pixels, uint32_t width, uint32_t height, size_t stride,
	struct frame *over, int32_t x, int32_t y);

#endif
