/* SPDX-License-Identifier: MIT */
#ifndef GPU_SCANOUT_H
#define GPU_SCANOUT_H

/* What each scanout shows, and its way to the display. */

#include <stdbool.h>
#include <stdint.h>

#include "base/rect.h"
#include "gpu/resource.h"

struct gpu_scanout {
	struct gpu_resource *resource; // borrowed: it knows its scanouts; NULL: nothing is shown
	struct gpu_view *view; // NULL together with resource
	struct rect rect; // the part of the view
	struct frame *cursor; // a copy, ARGB8888; NULL: hidden
	uint32_t cursor_x; // of the hot spot, in the output
	uint32_t cursor_y;
	uint32_t hot_x; // of the hot spot, in the image
	uint32_t hot_y;
};

/* Shows the part of the view (referenced) on the scanout. */
void gpu_scanout_show(struct gpu_device *device, uint32_t scanout, struct gpu_resource *resource,
	struct gpu_view *view, const struct rect *rect);

/* Shows nothing any more; fine when nothing is shown. */
void gpu_scanout_disable(struct gpu_device *device, uint32_t scanout);

/* Disables all that show the resource. */
void gpu_scanout_disable_all_of(struct gpu_device *device, struct gpu_resource *resource);

/* Tells the display that a rectangle of the resource changed; the request waits for each output. */
void gpu_scanout_flush(struct gpu_device *device, struct gpu_resource *resource,
	const struct rect *rect, struct gpu_request *request);

/* Sets the cursor's image (taken; NULL hides it) and tells the display. */
void gpu_scanout_set_cursor(struct gpu_device *device, uint32_t scanout, struct frame *image,
	uint32_t hot_x, uint32_t hot_y);
void gpu_scanout_move_cursor(struct gpu_device *device, uint32_t scanout, uint32_t x, uint32_t y);

/* Back to the first state: nothing shown, no cursor. */
void gpu_scanout_reset_all(struct gpu_device *device);

/* Tells a new display all there is. */
void gpu_scanout_resend_all(struct gpu_device *device);

#endif
