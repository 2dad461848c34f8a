/* SPDX-License-Identifier: MIT */
#ifndef BASE_RECT_H
#define BASE_RECT_H

/* Rectangles of pixels. A guest fills them, so nothing here may wrap. */

#include <stdbool.h>
#include <stdint.h>

struct rect {
	uint32_t x;
	uint32_t y;
	uint32_t width;
	uint32_t height;
};

static inline bool rect_is_empty(const struct rect *rect)
{
	return rect->width == 0 || rect->height == 0;
}

/* Does the rectangle lie within width x height? The one check for all commands. */
static inline bool rect_within(const struct rect *rect, uint32_t width, uint32_t height)
{
	return rect->x <= width && rect->width <= width - rect->x && rect->y <= height &&
		rect->height <= height - rect->y;
}

/* The part that both have; empty (all zero) when there is none. Neither may wrap. */
struct rect rect_intersect(const struct rect *a, const struct rect *b);

/* The smallest rectangle around both; an empty one adds nothing. Neither may wrap. */
struct rect rect_union(const struct rect *a, const struct rect *b);

#endif
