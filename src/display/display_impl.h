/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_DISPLAY_IMPL_H
#define DISPLAY_DISPLAY_IMPL_H

/* For those who write displays. The comments of display.h say what each entry does. */

#include "display/display.h"

/* All entries must be present. */
struct display_ops {
	const char *name;
	bool owns_outputs;
	int (*query_info)(struct display *display, uint64_t token, struct display_info *info);
	int (*query_edid)(struct display *display, uint32_t output, uint64_t token,
		struct display_edid *edid);
	void (*set_frame)(struct display *display, uint32_t output, struct frame *frame,
		const struct rect *part);
	int (*flush)(struct display *display, uint32_t output, const struct rect *damage,
		uint64_t token);
	void (*set_cursor)(
		struct display *display, uint32_t output, const struct display_cursor *cursor);
	void (*move_cursor)(struct display *display, uint32_t output, uint32_t x, uint32_t y);
	int (*resize)(struct display *display, uint32_t output, uint32_t width, uint32_t height);
	void (*pause)(struct display *display, bool paused);
	void (*destroy)(struct display *display);
};

/* The base to embed. */
struct display {
	const struct display_ops *ops;
	const struct display_listener_ops *listener;
	void *listener_data;
};

void display_init(struct display *display, const struct display_ops *ops);

#endif
