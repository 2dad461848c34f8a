/* SPDX-License-Identifier: MIT */
#include "display/headless/headless.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/list.h"
#include "display/display_impl.h"
#include "display/edid.h"

struct headless_output {
	bool enabled;
	uint32_t width; // of its mode; kept while it is switched off
	uint32_t height;
	struct frame *frame; // referenced; NULL: nothing is shown
};

struct headless_display {
	struct display base;
	struct loop_deferred *changed;
	uint32_t count;
	struct headless_output outputs[DISPLAY_OUTPUT_MAX];
};

static struct headless_display *to_headless(struct display *display);

static int headless_query_info(struct display *base, uint64_t token, struct display_info *info)
{
	struct headless_display *display = to_headless(base);
	uint32_t left = 0;

	(void)token;
	*info = (struct display_info){ 0 };
	/* Side by side, as monitors on a desk. */
	for (uint32_t i = 0; i < display->count; i++) {
		const struct headless_output *output = &display->outputs[i];

		info->outputs[i] = (struct display_output_info){
			.enabled = output->enabled,
			.rect = { .x = left, .width = output->width, .height = output->height },
		};
		left += output->enabled ? output->width : 0;
	}
	return 0;
}

static int headless_query_edid(
	struct display *base, uint32_t index, uint64_t token, struct display_edid *edid)
{
	struct headless_display *display = to_headless(base);

	(void)token;
	if (index >= display->count) {
		return -EINVAL;
	}
	edid_make(index, display->outputs[index].width, display->outputs[index].height, edid);
	return 0;
}

static void headless_set_frame(
	struct display *base, uint32_t index, struct frame *frame, const struct rect *part)
{
	struct headless_output *output = &to_headless(base)->outputs[index];
	struct frame *former = output->frame;

	(void)part;
	output->frame = frame ? frame_ref(frame) : NULL;
	frame_unref(former);
}

static int headless_flush(
	struct display *base, uint32_t index, const struct rect *damage, uint64_t token)
{
	(void)damage;
	(void)token;
	assert(to_headless(base)->outputs[index].frame);
	return 0;
}

/* There is no screen to draw it on, and who takes a screenshot has the cursor from the device. */
static void headless_set_cursor(
	struct display *base, uint32_t index, const struct display_cursor *cursor)
{
	(void)base;
	(void)index;
	(void)cursor;
}

static void headless_move_cursor(struct display *base, uint32_t index, uint32_t x, uint32_t y)
{
	(void)base;
	(void)index;
	(void)x;
	(void)y;
}

static bool is_mode(uint32_t width, uint32_t height)
{
	return width > 0 && height > 0 && width <= HEADLESS_SIZE_MAX && height <= HEADLESS_SIZE_MAX;
}

static int headless_resize(struct display *base, uint32_t index, uint32_t width, uint32_t height)
{
	struct headless_display *display = to_headless(base);
	bool off = width == 0 && height == 0;

	if (index >= display->count || (!off && !is_mode(width, height))) {
		return -EINVAL;
	}
	display->outputs[index].enabled = !off;
	if (!off) {
		display->outputs[index].width = width;
		display->outputs[index].height = height;
	}
	loop_deferred_schedule(display->changed);
	return 0;
}

static void handle_changed(void *data)
{
	struct headless_display *display = data;

	if (display->base.listener) {
		display->base.listener->modes_changed(display->base.listener_data);
	}
}

static void headless_destroy(struct display *base)
{
	struct headless_display *display = to_headless(base);

	for (uint32_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		frame_unref(display->outputs[i].frame);
	}
	loop_remove_deferred(display->changed);
	free(display);
}

/* Nobody is talked to. */
static void headless_pause(struct display *base, bool paused)
{
	(void)base;
	(void)paused;
}

static const struct display_ops headless_ops = {
	.name = "headless",
	.owns_outputs = true,
	.query_info = headless_query_info,
	.query_edid = headless_query_edid,
	.set_frame = headless_set_frame,
	.flush = headless_flush,
	.set_cursor = headless_set_cursor,
	.move_cursor = headless_move_cursor,
	.resize = headless_resize,
	.pause = headless_pause,
	.destroy = headless_destroy,
};

static struct headless_display *to_headless(struct display *display)
{
	assert(display->ops == &headless_ops);
	return container_of(display, struct headless_display, base);
}

struct display *headless_display_create(const struct headless_config *config)
{
	struct headless_display *display = calloc(1, sizeof(*display));

	assert(config->outputs > 0 && config->outputs <= DISPLAY_OUTPUT_MAX);
	assert(is_mode(config->width, config->height));
	if (!display) {
		return NULL;
	}
	display->changed = loop_add_deferred(config->loop, handle_changed, display);
	if (!display->changed) {
		free(display);
		return NULL;
	}
	display_init(&display->base, &headless_ops);
	display->count = config->outputs;
	for (uint32_t i = 0; i < config->outputs; i++) {
		display->outputs[i].enabled = true;
		display->outputs[i].width = config->width;
		display->outputs[i].height = config->height;
	}
	return &display->base;
}
