/* SPDX-License-Identifier: MIT */
#include "gpu/scanout.h"

#include <assert.h>

#include "gpu/device_impl.h"

/* The display's word for a token that nobody waits for. */
#define NO_TOKEN 0

static void send_frame(struct gpu_device *device, uint32_t index)
{
	const struct gpu_scanout *scanout = &device->scanouts[index];

	if (!device->display) {
		return;
	}
	if (scanout->view) {
		display_set_frame(device->display, index, scanout->view->frame, &scanout->rect);
	} else {
		display_set_frame(device->display, index, NULL, NULL);
	}
}

static void send_cursor(struct gpu_device *device, uint32_t index)
{
	const struct gpu_scanout *scanout = &device->scanouts[index];
	const struct display_cursor cursor = {
		.image = scanout->cursor,
		.x = scanout->cursor_x,
		.y = scanout->cursor_y,
		.hot_x = scanout->hot_x,
		.hot_y = scanout->hot_y,
	};

	if (device->display) {
		display_set_cursor(device->display, index, &cursor);
	}
}

/* Lets go of what is shown, without telling the display. */
static void forget(struct gpu_device *device, uint32_t index)
{
	struct gpu_scanout *scanout = &device->scanouts[index];

	if (scanout->resource) {
		scanout->resource->scanouts &= ~(1u << index);
		scanout->resource = NULL;
	}
	gpu_view_unref(scanout->view);
	scanout->view = NULL;
	scanout->rect = (struct rect){ 0 };
}

void gpu_scanout_show(struct gpu_device *device, uint32_t index, struct gpu_resource *resource,
	struct gpu_view *view, const struct rect *rect)
{
	struct gpu_scanout *scanout = &device->scanouts[index];

	gpu_view_ref(view);
	forget(device, index);
	scanout->resource = resource;
	scanout->view = view;
	scanout->rect = *rect;
	resource->scanouts |= 1u << index;
	send_frame(device, index);
}

void gpu_scanout_disable(struct gpu_device *device, uint32_t index)
{
	if (device->scanouts[index].resource) {
		forget(device, index);
		send_frame(device, index);
	}
}

void gpu_scanout_disable_all_of(struct gpu_device *device, struct gpu_resource *resource)
{
	for (uint32_t i = 0; resource->scanouts; i++) {
		if (resource->scanouts & 1u << i) {
			gpu_scanout_disable(device, i);
		}
	}
}

static void flush_output(struct gpu_device *device, uint32_t index, const struct rect *rect,
	struct gpu_request *request)
{
	const struct gpu_scanout *scanout = &device->scanouts[index];
	struct rect damage = rect_intersect(rect, &scanout->rect);
	uint64_t token;

	if (!device->display || rect_is_empty(&damage)) {
		return;
	}
	damage.x -= scanout->rect.x;
	damage.y -= scanout->rect.y;
	device->flushed_pixels += (uint64_t)damage.width * damage.height;
	token = request ? gpu_request_token(device, request) : NO_TOKEN;
	/* Without memory for a token the flush is answered early: flow control is lost, no pixel. */
	if (display_flush(device->display, index, &damage, token) == DISPLAY_PENDING && token) {
		gpu_request_begin(request);
	}
}

void gpu_scanout_flush(struct gpu_device *device, struct gpu_resource *resource,
	const struct rect *rect, struct gpu_request *request)
{
	for (uint32_t i = 0; resource->scanouts >> i; i++) {
		if (resource->scanouts & 1u << i) {
			flush_output(device, i, rect, request);
		}
	}
}

void gpu_scanout_set_cursor(struct gpu_device *device, uint32_t index, struct frame *image,
	uint32_t hot_x, uint32_t hot_y)
{
	struct gpu_scanout *scanout = &device->scanouts[index];

	frame_unref(scanout->cursor);
	scanout->cursor = image;
	scanout->hot_x = hot_x;
	scanout->hot_y = hot_y;
	send_cursor(device, index);
}

void gpu_scanout_move_cursor(struct gpu_device *device, uint32_t index, uint32_t x, uint32_t y)
{
	struct gpu_scanout *scanout = &device->scanouts[index];

	scanout->cursor_x = x;
	scanout->cursor_y = y;
	if (device->display) {
		display_move_cursor(device->display, index, x, y);
	}
}

static void reset_scanout(struct gpu_device *device, uint32_t index)
{
	struct gpu_scanout *scanout = &device->scanouts[index];

	gpu_scanout_disable(device, index);
	scanout->cursor_x = 0;
	scanout->cursor_y = 0;
	if (scanout->cursor) {
		gpu_scanout_set_cursor(device, index, NULL, 0, 0);
	}
}

void gpu_scanout_reset_all(struct gpu_device *device)
{
	for (uint32_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		reset_scanout(device, i);
	}
}

void gpu_scanout_resend_all(struct gpu_device *device)
{
	for (uint32_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		const struct gpu_scanout *scanout = &device->scanouts[i];

		if (scanout->resource) {
			send_frame(device, i);
			flush_output(device, i, &scanout->rect, NULL);
		}
		if (scanout->cursor) {
			send_cursor(device, i);
		}
	}
}
