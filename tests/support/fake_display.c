/* SPDX-License-Identifier: MIT */
#include "support/fake_display.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

static struct fake_display *to_fake(struct display *display)
{
	return container_of(display, struct fake_display, base);
}

static void add_pending(
	struct fake_display *fake, enum fake_pending_kind kind, uint32_t output, uint64_t token)
{
	assert(fake->pending_count < FAKE_PENDING_MAX);
	fake->pending[fake->pending_count++] = (struct fake_pending){
		.kind = kind, .output = output, .token = token
	};
}

static int fake_query_info(struct display *display, uint64_t token, struct display_info *info)
{
	struct fake_display *fake = to_fake(display);

	if (fake->answer_later) {
		add_pending(fake, FAKE_INFO, 0, token);
		return DISPLAY_PENDING;
	}
	*info = fake->info;
	return fake->query_result;
}

static int fake_query_edid(
	struct display *display, uint32_t output, uint64_t token, struct display_edid *edid)
{
	struct fake_display *fake = to_fake(display);

	if (fake->answer_later) {
		add_pending(fake, FAKE_EDID, output, token);
		return DISPLAY_PENDING;
	}
	*edid = fake->edid;
	edid->bytes[0] = (uint8_t)output;
	return fake->query_result;
}

/* The former frame's flushes are done, as display.h asks. */
static void end_flushes(struct fake_display *fake, uint32_t output)
{
	for (size_t i = fake->pending_count; i-- > 0;) {
		if (fake->pending[i].kind == FAKE_FLUSH && fake->pending[i].output == output) {
			fake_display_end(fake, i, true);
		}
	}
}

static void fake_set_frame(
	struct display *display, uint32_t index, struct frame *frame, const struct rect *part)
{
	struct fake_display *fake = to_fake(display);
	struct fake_output *output = &fake->outputs[index];

	assert(!frame == !part);
	frame_unref(output->frame);
	output->frame = frame ? frame_ref(frame) : NULL;
	output->part = part ? *part : (struct rect){ 0 };
	assert(!frame || (!rect_is_empty(part) && rect_within(part, frame->width, frame->height)));
	output->frames_set++;
	end_flushes(fake, index);
}

static int fake_flush(
	struct display *display, uint32_t index, const struct rect *damage, uint64_t token)
{
	struct fake_display *fake = to_fake(display);
	struct fake_output *output = &fake->outputs[index];

	assert(output->frame && !rect_is_empty(damage));
	assert(rect_within(damage, output->part.width, output->part.height));
	output->damage = *damage;
	output->flushes++;
	if (fake->flush_later && token) {
		add_pending(fake, FAKE_FLUSH, index, token);
		return DISPLAY_PENDING;
	}
	return 0;
}

static void fake_set_cursor(
	struct display *display, uint32_t index, const struct display_cursor *cursor)
{
	struct fake_output *output = &to_fake(display)->outputs[index];

	assert(!cursor->image || (cursor->image->width == 64 && cursor->image->height == 64));
	frame_unref(output->cursor);
	output->cursor = cursor->image ? frame_ref(cursor->image) : NULL;
	output->cursor_place = *cursor;
	output->cursors_set++;
}

static void fake_move_cursor(struct display *display, uint32_t index, uint32_t x, uint32_t y)
{
	struct fake_output *output = &to_fake(display)->outputs[index];

	output->cursor_place.x = x;
	output->cursor_place.y = y;
	output->cursor_moves++;
}

static int fake_resize(struct display *display, uint32_t output, uint32_t width, uint32_t height)
{
	(void)display;
	(void)output;
	(void)width;
	(void)height;
	return -ENOTSUP;
}

static void fake_destroy(struct display *display)
{
	struct fake_display *fake = to_fake(display);

	while (fake->pending_count) {
		fake_display_end(fake, fake->pending_count - 1, false);
	}
	for (size_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		frame_unref(fake->outputs[i].frame);
		frame_unref(fake->outputs[i].cursor);
	}
	if (fake->destroyed) {
		(*fake->destroyed)++;
	}
	free(fake);
}

static void fake_pause(struct display *display, bool paused)
{
	(void)display;
	(void)paused;
}

static const struct display_ops own_ops = {
	.name = "fake",
	.owns_outputs = true,
	.query_info = fake_query_info,
	.query_edid = fake_query_edid,
	.set_frame = fake_set_frame,
	.flush = fake_flush,
	.set_cursor = fake_set_cursor,
	.move_cursor = fake_move_cursor,
	.resize = fake_resize,
	.pause = fake_pause,
	.destroy = fake_destroy,
};

static const struct display_ops vmm_ops = {
	.name = "fake-vmm",
	.owns_outputs = false,
	.query_info = fake_query_info,
	.query_edid = fake_query_edid,
	.set_frame = fake_set_frame,
	.flush = fake_flush,
	.set_cursor = fake_set_cursor,
	.move_cursor = fake_move_cursor,
	.resize = fake_resize,
	.pause = fake_pause,
	.destroy = fake_destroy,
};

struct fake_display *fake_display_create(bool owns_outputs)
{
	struct fake_display *fake = calloc(1, sizeof(*fake));

	assert(fake);
	display_init(&fake->base, owns_outputs ? &own_ops : &vmm_ops);
	fake->info.outputs[0] = (struct display_output_info){
		.enabled = true,
		.rect = { 1, 2, 640, 480 },
	};
	fake->info.outputs[3] = (struct display_output_info){
		.enabled = true,
		.rect = { 3, 4, 800, 600 },
	};
	fake->edid.size = 128;
	memset(fake->edid.bytes, 0x5a, fake->edid.size);
	return fake;
}

void fake_display_end(struct fake_display *fake, size_t index, bool answered)
{
	const struct fake_pending pending = fake->pending[index];
	const struct display_listener_ops *listener = fake->base.listener;
	void *data = fake->base.listener_data;

	assert(index < fake->pending_count);
	fake->pending[index] = fake->pending[--fake->pending_count];
	switch (pending.kind) {
	case FAKE_FLUSH:
		listener->frame_done(data, pending.token);
		break;
	case FAKE_INFO:
		listener->info_ready(data, pending.token, answered ? &fake->info : NULL);
		break;
	case FAKE_EDID:
		listener->edid_ready(data, pending.token, answered ? &fake->edid : NULL);
		break;
	}
}

void fake_display_change_modes(struct fake_display *fake)
{
	fake->base.listener->modes_changed(fake->base.listener_data);
}

void fake_display_lose(struct fake_display *fake)
{
	fake->base.listener->lost(fake->base.listener_data);
}
