/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <drm_fourcc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/slow_frame.h"

static const uint8_t red = 0x11, green = 0x52, blue = 0x93, alpha = 0xd4;

/* Where each part of a pixel lies in memory; alpha -1: the format has none. */
static const struct layout {
	uint32_t format;
	int red, green, blue, alpha, padding;
} layouts[] = {
	{ DRM_FORMAT_ARGB8888, 2, 1, 0, 3, -1 },
	{ DRM_FORMAT_XRGB8888, 2, 1, 0, -1, 3 },
	{ DRM_FORMAT_BGRA8888, 1, 2, 3, 0, -1 },
	{ DRM_FORMAT_BGRX8888, 1, 2, 3, -1, 0 },
	{ DRM_FORMAT_ABGR8888, 0, 1, 2, 3, -1 },
	{ DRM_FORMAT_RGBX8888, 3, 2, 1, -1, 0 },
	{ DRM_FORMAT_RGBA8888, 3, 2, 1, 0, -1 },
	{ DRM_FORMAT_XBGR8888, 0, 1, 2, -1, 3 },
};
#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static struct frame *one_pixel(const struct layout *layout)
{
	uint8_t *pixels;
	size_t stride;
	struct frame *frame = frame_create_private(1, 1, layout->format, &pixels, &stride);

	assert_non_null(frame);
	pixels[layout->red] = red;
	pixels[layout->green] = green;
	pixels[layout->blue] = blue;
	if (layout->alpha >= 0) {
		pixels[layout->alpha] = alpha;
	} else {
		pixels[layout->padding] = 0x77; // garbage must not become alpha
	}
	return frame;
}

static void each_format_converts(void **state)
{
	const struct rect rect = { 0, 0, 1, 1 };

	(void)state;
	for (size_t i = 0; i < LAYOUTS; i++) {
		struct frame *frame = one_pixel(&layouts[i]);
		_Alignas(4) uint8_t to[4];
		const uint8_t want[4] = { blue, green, red, layouts[i].alpha < 0 ? 0xff : alpha };

		assert_int_equal(frame_convert(frame, &rect, DRM_FORMAT_ARGB8888, to, 4), 0);
		assert_memory_equal(to, want, 4);
		assert_int_equal(frame_convert(frame, &rect, DRM_FORMAT_XRGB8888, to, 4), 0);
		assert_memory_equal(to, want, 3);
		assert_true(frame_format_is_known(layouts[i].format));
		assert_int_equal(frame_format_is_xrgb(layouts[i].format),
			layouts[i].format == DRM_FORMAT_XRGB8888 ||
				layouts[i].format == DRM_FORMAT_ARGB8888);
		frame_unref(frame);
	}
	assert_false(frame_format_is_known(DRM_FORMAT_RGB565));
	assert_false(frame_format_is_known(0));
}

/* A pixel that tells its place. */
static uint32_t place(uint32_t x, uint32_t y)
{
	return (y << 12 ^ x * 2654435761u) & 0xffffff;
}

static struct frame *places(uint32_t width, uint32_t height, uint32_t format)
{
	uint8_t *pixels;
	size_t stride;
	struct frame *frame = frame_create_private(width, height, format, &pixels, &stride);

	assert_non_null(frame);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			uint32_t pixel = place(x, y);

			if (format == DRM_FORMAT_XBGR8888) {
				pixel = (pixel & 0xff00) | pixel >> 16 | (pixel & 0xff) << 16;
			}
			memcpy(pixels + y * stride + (size_t)x * 4, &pixel, 4);
		}
	}
	return frame;
}

static void check_part(uint32_t format, uint32_t width, uint32_t height, const struct rect *part)
{
	struct frame *frame = places(width, height, format);
	size_t stride = ((size_t)part->width + 3) * 4;
	uint8_t *to = malloc(stride * part->height);

	assert_non_null(to);
	memset(to, 0xee, stride * part->height);
	assert_int_equal(frame_convert(frame, part, DRM_FORMAT_XRGB8888, to, stride), 0);
	for (uint32_t y = 0; y < part->height; y++) {
		uint32_t pixel;

		for (uint32_t x = 0; x < part->width; x++) {
			memcpy(&pixel, to + y * stride + (size_t)x * 4, 4);
			assert_int_equal(pixel & 0xffffff, place(part->x + x, part->y + y));
		}
		memcpy(&pixel, to + y * stride + (size_t)part->width * 4, 4);
		assert_int_equal(pixel, 0xeeeeeeee);
	}
	free(to);
	frame_unref(frame);
}

static void a_part_converts_with_strides(void **state)
{
	(void)state;
	check_part(DRM_FORMAT_XRGB8888, 37, 23, &(struct rect){ 5, 7, 11, 13 });
	check_part(DRM_FORMAT_XBGR8888, 37, 23, &(struct rect){ 5, 7, 11, 13 });
	check_part(DRM_FORMAT_XBGR8888, 37, 23, &(struct rect){ 0, 0, 37, 23 });
}

/* Wider than a tile, and than pixman's 16-bit coordinates. */
static void a_wide_frame_converts(void **state)
{
	(void)state;
	check_part(DRM_FORMAT_XBGR8888, 70001, 2, &(struct rect){ 1, 0, 70000, 2 });
	check_part(DRM_FORMAT_XBGR8888, 1, 40000, &(struct rect){ 0, 1, 1, 39999 });
}

static void a_fresh_frame_is_zero(void **state)
{
	/* Below and above the size from which pixels are mapped. */
	static const uint32_t sizes[] = { 8, 181, 400 };

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint8_t *pixels;
			size_t stride;
			struct frame *frame = frame_create_private(
				sizes[i], sizes[i], DRM_FORMAT_ARGB8888, &pixels, &stride);

			assert_non_null(frame);
			assert_int_equal(stride, sizes[i] * 4);
			for (size_t at = 0; at < stride * sizes[i]; at++) {
				assert_int_equal(pixels[at], 0);
			}
			memset(pixels, 0xff, stride * sizes[i]);
			frame_unref(frame);
		}
	}
}

/* Address space of this process, in KiB: pages would be the machine's, not an emulator's. */
static long mapped_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	assert_non_null(file);
	while (kib < 0 && fgets(line, sizeof(line), file)) {
		sscanf(line, "VmSize: %ld kB", &kib);
	}
	fclose(file);
	assert_true(kib > 0);
	return kib;
}

static void large_frames_go_whole(void **state)
{
	long before = mapped_kib();

	(void)state;
	for (int i = 0; i < 100; i++) {
		uint8_t *pixels;
		size_t stride;
		struct frame *frame = frame_create_private(
			4096, 1024, DRM_FORMAT_XRGB8888, &pixels, &stride);

		assert_non_null(frame);
		assert_true(mapped_kib() - before >= 16 << 10);
		frame_unref(frame);
	}
	assert_true(mapped_kib() - before < 32 << 10);
}

static void sizes_do_not_wrap(void **state)
{
	uint8_t *pixels;
	size_t stride;

	(void)state;
	assert_int_equal(frame_size(3, 5), 60);
	assert_true(frame_size(UINT32_MAX, UINT32_MAX) == UINT64_MAX);
	assert_true(frame_size(1u << 31, 1u << 31) == UINT64_MAX);
	assert_true(frame_size(1u << 31, 1u << 30) == UINT64_C(1) << 63);
	assert_null(frame_create_private(
		UINT32_MAX, UINT32_MAX, DRM_FORMAT_XRGB8888, &pixels, &stride));
}

static int destroyed;

static int no_read(struct frame *frame, const struct rect *rect, struct frame_view *view)
{
	(void)frame;
	(void)rect;
	(void)view;
	return -5;
}

static void no_end(struct frame *frame)
{
	(void)frame;
	fail();
}

static void count_destroy(struct frame *frame)
{
	(void)frame;
	destroyed++;
}

static const struct frame_ops counting_ops = { no_read, no_end, frame_start_at_once,
	frame_stop_at_once, frame_no_dmabuf, count_destroy };

static void references_are_counted(void **state)
{
	struct frame frame;
	uint8_t to[4];

	(void)state;
	destroyed = 0;
	frame_init(&frame, &counting_ops, 1, 1, DRM_FORMAT_XRGB8888);
	assert_ptr_equal(frame_ref(&frame), &frame);
	frame_unref(&frame);
	assert_int_equal(destroyed, 0);
	/* An error of begin_read is passed on, and not ended. */
	assert_int_equal(
		frame_convert(&frame, &(struct rect){ 0, 0, 1, 1 }, DRM_FORMAT_XRGB8888, to, 4),
		-5);
	frame_unref(&frame);
	assert_int_equal(destroyed, 1);
	frame_unref(NULL);
}

static struct frame *cursor(uint32_t value)
{
	uint8_t *pixels;
	size_t stride;
	struct frame *frame = frame_create_private(4, 4, DRM_FORMAT_ARGB8888, &pixels, &stride);

	assert_non_null(frame);
	for (size_t i = 0; i < 16; i++) {
		memcpy(pixels + i * 4, &value, 4);
	}
	return frame;
}

/* How many of 8x8 pixels a 4x4 cursor at x, y changes. */
static unsigned int changed_by_blend(int32_t x, int32_t y)
{
	uint32_t pixels[8 * 9];
	struct frame *over = cursor(0xffabcdef);
	unsigned int changed = 0;

	memset(pixels, 0, sizeof(pixels));
	frame_blend((uint8_t *)pixels, 8, 8, 9 * 4, over, x, y);
	for (size_t i = 0; i < 8 * 9; i++) {
		if (pixels[i]) {
			assert_int_equal(pixels[i] & 0xffffff, 0xabcdef);
			assert_true(i % 9 < 8);
			changed++;
		}
	}
	frame_unref(over);
	return changed;
}

static void blending_is_clipped(void **state)
{
	(void)state;
	assert_int_equal(changed_by_blend(0, 0), 16);
	assert_int_equal(changed_by_blend(2, 2), 16);
	assert_int_equal(changed_by_blend(-2, -3), 2);
	assert_int_equal(changed_by_blend(6, 5), 6);
	assert_int_equal(changed_by_blend(-4, 0), 0);
	assert_int_equal(changed_by_blend(0, 8), 0);
	assert_int_equal(changed_by_blend(INT32_MIN, INT32_MIN), 0);
	assert_int_equal(changed_by_blend(INT32_MAX, INT32_MAX), 0);
}

static void blending_is_premultiplied(void **state)
{
	uint32_t pixels[16];
	struct frame *over = cursor(0x80402010);

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		pixels[i] = 0x00ff00ff;
	}
	frame_blend((uint8_t *)pixels, 4, 4, 16, over, 0, 0);
	/* over + (1 - 0x80/0xff) * under */
	assert_int_equal(pixels[0] & 0xffffff, 0xbf208f);
	frame_unref(over);
}

static int ready_result; // of the last read that became ready; 1: none did
static struct slow_frame *slow;

static void handle_ready(struct frame_read *read, int result)
{
	assert_int_equal(read->frame != NULL, result == 0);
	ready_result = result;
}

static int setup_slow(void **state)
{
	(void)state;
	slow = slow_frame_create(8, 8, DRM_FORMAT_XRGB8888);
	ready_result = 1;
	return 0;
}

static int teardown_slow(void **state)
{
	(void)state;
	frame_unref(&slow->base); // asserts that no read is left
	return 0;
}

static void a_quick_frame_is_read_at_once(void **state)
{
	const struct rect rect = { 1, 2, 3, 4 };
	struct frame_read read = { .ready = handle_ready };
	uint8_t *pixels;
	size_t stride;
	struct frame *frame = frame_create_private(8, 8, DRM_FORMAT_XRGB8888, &pixels, &stride);

	(void)state;
	ready_result = 1;
	assert_false(frame_is_slow(frame));
	assert_int_equal(frame_read_start(&read, frame, &rect), 0);
	assert_ptr_equal(read.view.pixels, pixels + 2 * stride + 4);
	assert_int_equal(read.view.stride, stride);
	frame_read_stop(&read);
	frame_read_stop(&read);
	assert_int_equal(ready_result, 1);
	frame_unref(frame);
}

static void a_slow_frame_tells_when_it_is_ready(void **state)
{
	const struct rect rect = { 1, 2, 3, 4 };
	struct frame_read read = { .ready = handle_ready };

	(void)state;
	assert_true(frame_is_slow(&slow->base));
	assert_int_equal(frame_read_start(&read, &slow->base, &rect), FRAME_PENDING);
	assert_true(read.pending);
	slow_frame_end(slow, 0);
	assert_int_equal(ready_result, 0);
	assert_ptr_equal(read.view.pixels, slow->pixels + 2 * slow->stride + 4);
	assert_int_equal(slow->open, 1);
	frame_read_stop(&read);
	assert_int_equal(slow->open, 0);
}

static void a_read_that_fails_is_over(void **state)
{
	const struct rect rect = { 0, 0, 8, 8 };
	struct frame_read read = { .ready = handle_ready };

	(void)state;
	slow->failure = -5;
	assert_int_equal(frame_read_start(&read, &slow->base, &rect), -5);
	frame_read_stop(&read);
	assert_int_equal(frame_read_start(&read, &slow->base, &rect), FRAME_PENDING);
	slow_frame_end(slow, -5);
	assert_int_equal(ready_result, -5);
	frame_read_stop(&read);
}

static void a_pending_read_can_be_given_up(void **state)
{
	const struct rect rect = { 0, 0, 8, 8 };
	struct frame_read read = { .ready = handle_ready };

	(void)state;
	assert_int_equal(frame_read_start(&read, &slow->base, &rect), FRAME_PENDING);
	frame_read_stop(&read);
	assert_int_equal(slow->pending, 0);
	assert_int_equal(ready_result, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_format_converts),
		cmocka_unit_test(a_part_converts_with_strides),
		cmocka_unit_test(a_wide_frame_converts),
		cmocka_unit_test(a_fresh_frame_is_zero),
		cmocka_unit_test(large_frames_go_whole),
		cmocka_unit_test(sizes_do_not_wrap),
		cmocka_unit_test(references_are_counted),
		cmocka_unit_test(a_quick_frame_is_read_at_once),
		cmocka_unit_test_setup_teardown(
			a_slow_frame_tells_when_it_is_ready, setup_slow, teardown_slow),
		cmocka_unit_test_setup_teardown(
			a_read_that_fails_is_over, setup_slow, teardown_slow),
		cmocka_unit_test_setup_teardown(
			a_pending_read_can_be_given_up, setup_slow, teardown_slow),
		cmocka_unit_test(blending_is_clipped),
		cmocka_unit_test(blending_is_premultiplied),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
