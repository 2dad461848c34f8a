/* SPDX-License-Identifier: MIT */
#include "base/rect.h"

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

struct rect rect_intersect(const struct rect *a, const struct rect *b)
{
	uint32_t left = max_u32(a->x, b->x);
	uint32_t top = max_u32(a->y, b->y);
	uint32_t right = min_u32(a->x + a->width, b->x + b->width);
	uint32_t bottom = min_u32(a->y + a->height, b->y + b->height);

	if (left >= right || top >= bottom) {
		return (struct rect){ 0 };
	}
	return (struct rect){ left, top, right - left, bottom - top };
}

struct rect rect_union(const struct rect *a, const struct rect *b)
{
	uint32_t left, top;

	if (rect_is_empty(a)) {
		return *b;
	}
	if (rect_is_empty(b)) {
		return *a;
	}
	left = min_u32(a->x, b->x);
	top = min_u32(a->y, b->y);
	return (struct rect){
		.x = left,
		.y = top,
		.width = max_u32(a->x + a->width, b->x + b->width) - left,
		.height = max_u32(a->y + a->height, b->y + b->height) - top,
	};
}
