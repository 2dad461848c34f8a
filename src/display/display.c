/* SPDX-License-Identifier: MIT */
#include "display/display_impl.h"

#include <assert.h>

void display_init(struct display *display, const struct display_ops *ops)
{
	assert(ops->name && ops->query_info && ops->query_edid && ops->set_frame && ops->flush &&
		ops->set_cursor && ops->move_cursor && ops->resize && ops->pause && ops->destroy);
	*display = (struct display){ .ops = ops };
}

void display_set_listener(
	struct display *display, const struct display_listener_ops *listener, void *data)
{
	assert(listener->modes_changed && listener->info_ready && listener->edid_ready &&
		listener->frame_done && listener->lost);
	display->listener = listener;
	display->listener_data = data;
}

void display_destroy(struct display *display)
{
	if (display) {
		display->ops->destroy(display);
	}
}

const char *display_name(const struct display *display)
{
	return display->ops->name;
}

bool display_owns_outputs(const struct display *display)
{
	return display->ops->owns_outputs;
}

int display_query_info(struct display *display, uint64_t token, struct display_info *info)
{
	return display->ops->query_info(display, token, info);
}

int display_query_edid(
	struct display *display, uint32_t output, uint64_t token, struct display_edid *edid)
{
	assert(output < DISPLAY_OUTPUT_MAX);
	return display->ops->query_edid(display, output, token, edid);
}

void display_set_frame(
	struct display *display, uint32_t output, struct frame *frame, const struct rect *part)
{
	assert(output < DISPLAY_OUTPUT_MAX && !frame == !part);
	assert(!frame || (!rect_is_empty(part) && rect_within(part, frame->width, frame->height)));
	display->ops->set_frame(display, output, frame, part);
}

int display_flush(
	struct display *display, uint32_t output, const struct rect *damage, uint64_t token)
{
	assert(output < DISPLAY_OUTPUT_MAX && !rect_is_empty(damage));
	return display->ops->flush(display, output, damage, token);
}

void display_set_cursor(
	struct display *display, uint32_t output, const struct display_cursor *cursor)
{
	assert(output < DISPLAY_OUTPUT_MAX);
	display->ops->set_cursor(display, output, cursor);
}

void display_move_cursor(struct display *display, uint32_t output, uint32_t x, uint32_t y)
{
	assert(output < DISPLAY_OUTPUT_MAX);
	display->ops->move_cursor(display, output, x, y);
}

int display_resize(struct display *display, uint32_t output, uint32_t width, uint32_t height)
{
	return display->ops->resize(display, output, width, height);
}

void display_pause(struct display *display, bool paused)
{
	display->ops->pause(display, paused);
}
