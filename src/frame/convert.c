/* SPDX-License-Identifier: MIT */
#include "frame/frame.h"

#include <assert.h>
#include <drm_fourcc.h>
#include <errno.h>
#include <limits.h>
#include <pixman.h>
#include <string.h>

/*
 * Conversion between the eight formats: the one owner of pixman. A DRM format names the parts of a
 * little-endian 32-bit word from its high end, pixman those of a native one, so the two agree on the
 * machines that this program is for.
 *
 * pixman counts in int, and partly in 16 bits, while a guest's image may be 2^27 pixels wide and 1 high:
 * so pixels are handed over in tiles.
 */
static_assert(
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "formats are named by little-endian words");

#define TILE_MAX 16384u // pixels, both ways

struct pixels {
	pixman_format_code_t format;
	uint8_t *first;
	size_t stride;
};

/* Returns 0 when the format is none of ours. */
static pixman_format_code_t pixman_format(uint32_t format)
{
	switch (format) {
	case DRM_FORMAT_ARGB8888:
		return PIXMAN_a8r8g8b8;
	case DRM_FORMAT_XRGB8888:
		return PIXMAN_x8r8g8b8;
	case DRM_FORMAT_BGRA8888:
		return PIXMAN_b8g8r8a8;
	case DRM_FORMAT_BGRX8888:
		return PIXMAN_b8g8r8x8;
	case DRM_FORMAT_ABGR8888:
		return PIXMAN_a8b8g8r8;
	case DRM_FORMAT_XBGR8888:
		return PIXMAN_x8b8g8r8;
	case DRM_FORMAT_RGBA8888:
		return PIXMAN_r8g8b8a8;
	case DRM_FORMAT_RGBX8888:
		return PIXMAN_r8g8b8x8;
	default:
		return (pixman_format_code_t)0;
	}
}

bool frame_format_is_known(uint32_t format)
{
	return pixman_format(format) != 0;
}

bool frame_format_is_xrgb(uint32_t format)
{
	return format == DRM_FORMAT_XRGB8888 || format == DRM_FORMAT_ARGB8888;
}

static pixman_image_t *tile_image(
	const struct pixels *pixels, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	uint8_t *first = pixels->first + y * pixels->stride + (size_t)x * FRAME_PIXEL_SIZE;
	/* One row needs no stride, and then it may be one that int cannot hold. */
	size_t stride = height > 1 ? pixels->stride : (size_t)width * FRAME_PIXEL_SIZE;

	return pixman_image_create_bits_no_clear(
		pixels->format, (int)width, (int)height, (uint32_t *)(void *)first, (int)stride);
}

static int composite_tile(
	pixman_op_t op, const struct pixels *from, const struct pixels *to, const struct rect *tile)
{
	pixman_image_t *source = tile_image(from, tile->x, tile->y, tile->width, tile->height);
	pixman_image_t *target = tile_image(to, tile->x, tile->y, tile->width, tile->height);
	int result = -ENOMEM;

	if (source && target) {
		pixman_image_composite32(op, source, NULL, target, 0, 0, 0, 0, 0, 0,
			(int)tile->width, (int)tile->height);
		result = 0;
	}
	if (source) {
		pixman_image_unref(source);
	}
	if (target) {
		pixman_image_unref(target);
	}
	return result;
}

static uint32_t tile_size(uint32_t left, uint32_t max)
{
	return left < max ? left : max;
}

static int composite(pixman_op_t op, const struct pixels *from, const struct pixels *to,
	uint32_t width, uint32_t height)
{
	uint32_t rows = from->stride > INT_MAX || to->stride > INT_MAX ? 1 : TILE_MAX;
	struct rect tile = { 0 };
	int result = 0;

	for (tile.y = 0; tile.y < height && result == 0; tile.y += tile.height) {
		tile.height = tile_size(height - tile.y, rows);
		for (tile.x = 0; tile.x < width && result == 0; tile.x += tile.width) {
			tile.width = tile_size(width - tile.x, TILE_MAX);
			result = composite_tile(op, from, to, &tile);
		}
	}
	return result;
}

static void copy_rows(
	const struct frame_view *view, uint32_t width, uint32_t height, uint8_t *to, size_t stride)
{
	size_t len = (size_t)width * FRAME_PIXEL_SIZE;

	if (len == stride && len == view->stride) {
		memcpy(to, view->pixels, len * height);
		return;
	}
	for (uint32_t y = 0; y < height; y++) {
		memcpy(to + y * stride, view->pixels + y * view->stride, len);
	}
}

static struct pixels source_pixels(uint32_t format, const struct frame_view *view)
{
	return (struct pixels){
		.format = pixman_format(format),
		/* pixman has one type of image; a source is only read. */
		.first = (uint8_t *)(uintptr_t)view->pixels,
		.stride = view->stride,
	};
}

int frame_convert_view(uint32_t format, const struct frame_view *view, uint32_t width,
	uint32_t height, uint32_t to_format, uint8_t *to, size_t stride)
{
	const struct pixels source = source_pixels(format, view);
	const struct pixels target = { pixman_format(to_format), to, stride };

	assert(frame_format_is_xrgb(to_format));
	if (format == to_format ||
		(to_format == DRM_FORMAT_XRGB8888 && frame_format_is_xrgb(format))) {
		copy_rows(view, width, height, to, stride);
		return 0;
	}
	return composite(PIXMAN_OP_SRC, &source, &target, width, height);
}

int frame_convert(struct frame *frame, const struct rect *rect, uint32_t to_format, uint8_t *to,
	size_t stride)
{
	struct frame_view view;
	int result = frame_begin_read(frame, rect, &view);

	if (result < 0) {
		return result;
	}
	result = frame_convert_view(
		frame->format, &view, rect->width, rect->height, to_format, to, stride);
	frame_end_read(frame);
	return result;
}

/* The part of [position, position + len) that lies in [0, size). Returns false when there is none. */
static bool clip(int32_t position, uint32_t len, uint32_t size, uint32_t *from, uint32_t *count)
{
	int64_t start = position < 0 ? 0 : position;
	int64_t end = (int64_t)position + len;

	if (end > size) {
		end = size;
	}
	if (start >= end) {
		return false;
	}
	*from = (uint32_t)start;
	*count = (uint32_t)(end - start);
	return true;
}

void frame_blend(uint8_t *pixels, uint32_t width, uint32_t height, size_t stride,
	struct frame *over, int32_t x, int32_t y)
{
	struct pixels target = { .format = PIXMAN_x8r8g8b8, .stride = stride };
	struct pixels source;
	struct rect at;
	struct rect part;
	struct frame_view view;

	if (!clip(x, over->width, width, &at.x, &at.width) ||
		!clip(y, over->height, height, &at.y, &at.height)) {
		return;
	}
	part = (struct rect){
		.x = (uint32_t)((int64_t)at.x - x),
		.y = (uint32_t)((int64_t)at.y - y),
		.width = at.width,
		.height = at.height,
	};
	if (frame_begin_read(over, &part, &view) < 0) {
		return;
	}
	target.first = pixels + at.y * stride + (size_t)at.x * FRAME_PIXEL_SIZE;
	source = source_pixels(over->format, &view);
	/* Without memory the cursor is missing in the picture, which stays right otherwise. */
	composite(PIXMAN_OP_OVER, &source, &target, at.width, at.height);
	frame_end_read(over);
}
