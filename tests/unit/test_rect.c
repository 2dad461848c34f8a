/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rect.h"

static void assert_rect_equal(struct rect actual, struct rect expected)
{
	assert_int_equal(actual.x, expected.x);
	assert_int_equal(actual.y, expected.y);
	assert_int_equal(actual.width, expected.width);
	assert_int_equal(actual.height, expected.height);
}

static bool within(uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	return rect_within(&(struct rect){ x, y, width, height }, 640, 480);
}

static void empty_has_no_pixel(void **state)
{
	(void)state;
	assert_true(rect_is_empty(&(struct rect){ 0, 0, 0, 0 }));
	assert_true(rect_is_empty(&(struct rect){ 3, 4, 0, 5 }));
	assert_true(rect_is_empty(&(struct rect){ 3, 4, 5, 0 }));
	assert_false(rect_is_empty(&(struct rect){ 0, 0, 1, 1 }));
}

static void within_touches_the_edges(void **state)
{
	(void)state;
	assert_true(within(0, 0, 640, 480));
	assert_true(within(639, 479, 1, 1));
	assert_true(within(0, 0, 0, 0));
	assert_true(within(640, 480, 0, 0));
	assert_true(within(600, 0, 40, 480));
	assert_true(within(0, 400, 640, 80));
}

static void within_leaves_out_one_pixel_more(void **state)
{
	(void)state;
	assert_false(within(0, 0, 641, 480));
	assert_false(within(0, 0, 640, 481));
	assert_false(within(1, 0, 640, 480));
	assert_false(within(0, 1, 640, 480));
	assert_false(within(641, 0, 0, 0));
	assert_false(within(0, 481, 0, 0));
}

static void within_does_not_wrap(void **state)
{
	(void)state;
	assert_false(within(UINT32_MAX, 0, 2, 1));
	assert_false(within(0, UINT32_MAX, 1, 2));
	assert_false(within(2, 0, UINT32_MAX, 1));
	assert_false(within(0, 2, 1, UINT32_MAX));
	assert_false(within(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX));
	assert_true(rect_within(
		&(struct rect){ UINT32_MAX, UINT32_MAX, 0, 0 }, UINT32_MAX, UINT32_MAX));
	assert_false(rect_within(&(struct rect){ 0, 0, 1, 1 }, 0, 0));
}

/* Either order gives the same. */
static void assert_intersection(struct rect a, struct rect b, struct rect expected)
{
	assert_rect_equal(rect_intersect(&a, &b), expected);
	assert_rect_equal(rect_intersect(&b, &a), expected);
}

static void intersection_is_what_both_have(void **state)
{
	const struct rect screen = { 0, 0, 100, 50 };

	(void)state;
	assert_intersection(screen, screen, screen);
	assert_intersection(screen, (struct rect){ 10, 20, 5, 6 }, (struct rect){ 10, 20, 5, 6 });
	assert_intersection(
		screen, (struct rect){ 90, 45, 100, 100 }, (struct rect){ 90, 45, 10, 5 });
	/* a cross: neither has a corner of the other */
	assert_intersection((struct rect){ 0, 10, 100, 5 }, (struct rect){ 30, 0, 7, 50 },
		(struct rect){ 30, 10, 7, 5 });
	assert_intersection((struct rect){ 5, 5, UINT32_MAX - 5, UINT32_MAX - 5 },
		(struct rect){ 0, 0, UINT32_MAX, UINT32_MAX },
		(struct rect){ 5, 5, UINT32_MAX - 5, UINT32_MAX - 5 });
}

static void intersection_of_strangers_is_all_zero(void **state)
{
	const struct rect middle = { 10, 10, 10, 10 };
	const struct rect none = { 0, 0, 0, 0 };

	(void)state;
	assert_intersection(middle, (struct rect){ 0, 10, 10, 10 }, none); // they touch
	assert_intersection(middle, (struct rect){ 10, 0, 10, 10 }, none);
	assert_intersection(middle, (struct rect){ 50, 12, 3, 3 }, none);
	assert_intersection(middle, (struct rect){ 12, 50, 3, 3 }, none);
	assert_intersection(middle, (struct rect){ 12, 12, 0, 3 }, none);
	assert_intersection(middle, (struct rect){ 12, 12, 3, 0 }, none);
}

static void assert_union(struct rect a, struct rect b, struct rect expected)
{
	assert_rect_equal(rect_union(&a, &b), expected);
	assert_rect_equal(rect_union(&b, &a), expected);
}

static void union_is_around_both(void **state)
{
	const struct rect middle = { 10, 20, 30, 40 };

	(void)state;
	assert_union(middle, middle, middle);
	assert_union(middle, (struct rect){ 15, 25, 1, 1 }, middle);
	assert_union(middle, (struct rect){ 0, 70, 1, 5 }, (struct rect){ 0, 20, 40, 55 });
	assert_union(middle, (struct rect){ 70, 0, 5, 1 }, (struct rect){ 10, 0, 65, 60 });
	assert_union((struct rect){ 0, 0, 1, 1 },
		(struct rect){ UINT32_MAX - 1, UINT32_MAX - 1, 1, 1 },
		(struct rect){ 0, 0, UINT32_MAX, UINT32_MAX });
}

static void union_ignores_what_is_empty(void **state)
{
	const struct rect middle = { 10, 20, 30, 40 };

	(void)state;
	assert_union(middle, (struct rect){ 0, 0, 0, 0 }, middle);
	assert_union(middle, (struct rect){ 100, 100, 0, 7 }, middle);
	assert_union(middle, (struct rect){ 100, 100, 7, 0 }, middle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_has_no_pixel),
		cmocka_unit_test(within_touches_the_edges),
		cmocka_unit_test(within_leaves_out_one_pixel_more),
		cmocka_unit_test(within_does_not_wrap),
		cmocka_unit_test(intersection_is_what_both_have),
		cmocka_unit_test(intersection_of_strangers_is_all_zero),
		cmocka_unit_test(union_is_around_both),
		cmocka_unit_test(union_ignores_what_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
