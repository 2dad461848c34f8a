/* SPDX-License-Identifier: MIT */
#include <drm_fourcc.h>
#include <errno.h>

#include "gpu/device_impl.h"

/* Guests put a cursor beyond the left or upper edge with a number that wrapped. */
static int32_t corner(uint32_t position, uint32_t hot)
{
	return (int32_t)(position - hot);
}

static void draw_cursor(const struct gpu_scanout *scanout, uint8_t *pixels, size_t stride)
{
	if (scanout->cursor) {
		frame_blend(pixels, scanout->rect.width, scanout->rect.height, stride,
			scanout->cursor, corner(scanout->cursor_x, scanout->hot_x),
			corner(scanout->cursor_y, scanout->hot_y));
	}
}

struct frame *gpu_device_screenshot(struct gpu_device *device, uint32_t index, bool with_cursor)
{
	const struct gpu_scanout *scanout;
	struct frame *picture;
	uint8_t *pixels;
	size_t stride;
	int result;

	if (index >= gpu_scanout_count(device)) {
		errno = ENODEV;
		return NULL;
	}
	scanout = &device->scanouts[index];
	if (!scanout->view) {
		errno = ENODATA;
		return NULL;
	}
	picture = frame_create_private(
		scanout->rect.width, scanout->rect.height, DRM_FORMAT_XRGB8888, &pixels, &stride);
	if (!picture) {
		errno = ENOMEM;
		return NULL;
	}
	result = frame_convert(
		scanout->view->frame, &scanout->rect, DRM_FORMAT_XRGB8888, pixels, stride);
	if (result < 0) {
		frame_unref(picture);
		errno = -result;
		return NULL;
	}
	if (with_cursor) {
		draw_cursor(scanout, pixels, stride);
	}
	return picture;
}
