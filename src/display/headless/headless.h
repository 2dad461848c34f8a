/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_HEADLESS_HEADLESS_H
#define DISPLAY_HEADLESS_HEADLESS_H

#include "display/display.h"

struct headless_config {
	uint32_t outputs; // 1 to DISPLAY_OUTPUT_MAX
	uint32_t width; // pixels, 1 to 16384
	uint32_t height;
};

/* A display with no screen: it keeps the frames, for screenshots. NULL when there is no memory. */
struct display *headless_display_create(const struct headless_config *config);

#endif
