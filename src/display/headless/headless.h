/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_HEADLESS_HEADLESS_H
#define DISPLAY_HEADLESS_HEADLESS_H

#include "base/loop.h"
#include "display/display.h"

/* The largest mode, both ways: the textures of usual GPUs, and what an EDID of ours can say. */
#define HEADLESS_SIZE_MAX 16384

struct headless_config {
	struct loop *loop; // borrowed: modes_changed comes at the end of its turn
	uint32_t outputs; // 1 to DISPLAY_OUTPUT_MAX
	uint32_t width; // pixels, 1 to HEADLESS_SIZE_MAX
	uint32_t height;
};

/* A display with no screen: it keeps the frames, for screenshots. NULL when there is no memory. */
struct display *headless_display_create(const struct headless_config *config);

#endif
