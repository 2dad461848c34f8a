/* SPDX-License-Identifier: MIT */
#include <drm_fourcc.h>
#include <errno.h>
#include <string.h>

#include "gpu/decode.h"
#include "gpu/device_impl.h"

/* VIRTIO 1.3, 5.7.6.10 Device Operation: cursorq. */

static uint32_t check_scanout(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_cursor *command)
{
	if (command->scanout_id >= gpu_scanout_count(device)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID,
			"there is no scanout %u", command->scanout_id);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/*
 * 5.7.6.6 Configure mouse cursor: the image must be 64x64. A blob has no size in pixels; a driver that
 * makes its cursors of blobs (Linux, where blobs are offered) means rows without gaps, ARGB.
 */
static bool is_cursor(const struct gpu_resource *resource)
{
	if (gpu_resource_is_blob(resource)) {
		return resource->size >= frame_size(WIRE_CURSOR_SIZE, WIRE_CURSOR_SIZE);
	}
	return resource->width == WIRE_CURSOR_SIZE && resource->height == WIRE_CURSOR_SIZE;
}

static struct frame *get_frame(struct gpu_resource *resource)
{
	static const struct render_blob_layout layout = {
		.width = WIRE_CURSOR_SIZE,
		.height = WIRE_CURSOR_SIZE,
		.format = DRM_FORMAT_ARGB8888,
		.stride = WIRE_CURSOR_SIZE * FRAME_PIXEL_SIZE,
	};

	return render_get_frame(resource->render, gpu_resource_is_blob(resource) ? &layout : NULL);
}

/* The format with its fourth byte as alpha. */
static uint32_t with_alpha(uint32_t format)
{
	switch (format) {
	case DRM_FORMAT_XRGB8888:
		return DRM_FORMAT_ARGB8888;
	case DRM_FORMAT_XBGR8888:
		return DRM_FORMAT_ABGR8888;
	case DRM_FORMAT_RGBX8888:
		return DRM_FORMAT_RGBA8888;
	case DRM_FORMAT_BGRX8888:
		return DRM_FORMAT_BGRA8888;
	default:
		return format;
	}
}

/*
 * Copies the pixels as they are into a frame whose format has alpha. Linux makes the resources of its
 * cursors as it makes every dumb buffer, in a format without alpha, and writes ARGB into them; QEMU never
 * looks at the format. Returns 0 or -errno.
 */
static int copy_with_alpha(struct frame *from, const struct rect *whole, struct frame **out)
{
	const size_t row = (size_t)whole->width * FRAME_PIXEL_SIZE;
	struct frame_view view;
	uint8_t *pixels;
	size_t stride;
	int result;

	*out = frame_create_private(
		whole->width, whole->height, with_alpha(from->format), &pixels, &stride);
	if (!*out) {
		return -ENOMEM;
	}
	result = frame_begin_read(from, whole, &view);
	if (result < 0) {
		frame_unref(*out);
		return result;
	}
	for (uint32_t y = 0; y < whole->height; y++) {
		memcpy(pixels + y * stride, view.pixels + y * view.stride, row);
	}
	frame_end_read(from);
	return 0;
}

/* The shape is what the resource holds now: it may change or go afterwards. NULL with errno. */
static struct frame *copy_cursor(struct gpu_resource *resource)
{
	static const struct rect whole = { 0, 0, WIRE_CURSOR_SIZE, WIRE_CURSOR_SIZE };
	struct frame *from = get_frame(resource);
	struct frame *raw;
	struct frame *copy;
	uint8_t *pixels;
	size_t stride;
	int result;

	if (!from) {
		return NULL;
	}
	result = copy_with_alpha(from, &whole, &raw);
	frame_unref(from);
	if (result < 0) {
		errno = -result;
		return NULL;
	}
	copy = frame_create_private(
		whole.width, whole.height, DRM_FORMAT_ARGB8888, &pixels, &stride);
	result = copy ? frame_convert(raw, &whole, DRM_FORMAT_ARGB8888, pixels, stride) : -ENOMEM;
	frame_unref(raw);
	if (result < 0) {
		frame_unref(copy);
		errno = -result;
		return NULL;
	}
	return copy;
}

static uint32_t load_cursor(struct gpu_device *device, const struct gpu_request *request,
	uint32_t resource_id, struct frame **image)
{
	struct gpu_resource *resource = gpu_find_resource(device, request, resource_id);

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!is_cursor(resource)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: a cursor is 64x64, not %ux%u", resource->id, resource->width,
			resource->height);
	}
	*image = copy_cursor(resource);
	if (!*image) {
		return gpu_render_error(device, request, resource->id, -errno);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* Resource 0 hides the cursor, as drivers do and QEMU takes it. */
uint32_t gpu_cmd_update_cursor(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_cursor command = decode_cursor(request->bytes);
	struct gpu_scanout *scanout;
	struct frame *image = NULL;
	uint32_t response = check_scanout(device, request, &command);

	if (response == VIRTIO_GPU_RESP_OK_NODATA && command.resource_id != 0) {
		response = load_cursor(device, request, command.resource_id, &image);
	}
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	scanout = &device->scanouts[command.scanout_id];
	scanout->cursor_x = command.x;
	scanout->cursor_y = command.y;
	gpu_scanout_set_cursor(device, command.scanout_id, image, command.hot_x, command.hot_y);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* 5.7.6.10, MOVE_CURSOR: all fields but the position are ignored. */
uint32_t gpu_cmd_move_cursor(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_cursor command = decode_cursor(request->bytes);
	uint32_t response = check_scanout(device, request, &command);

	if (response == VIRTIO_GPU_RESP_OK_NODATA) {
		gpu_scanout_move_cursor(device, command.scanout_id, command.x, command.y);
	}
	return response;
}
