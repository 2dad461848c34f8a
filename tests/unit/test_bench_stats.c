/* SPDX-License-Identifier: MIT */
#include "bench/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_median_leaves_out_what_is_missing(void **state)
{
	(void)state;
	assert_true(stats_median((double[]){ 5, NAN, 1, 3 }, 4) == 3);
	assert_true(stats_median((double[]){ 4, 1, 3, 2 }, 4) == 2.5);
	assert_true(isnan(stats_median((double[]){ NAN }, 1)));
	assert_true(isnan(stats_median(NULL, 0)));
}

static void test_quantile_is_nearest_rank(void **state)
{
	uint32_t values[100];

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		values[i] = 100 - i;
	}
	assert_int_equal(stats_quantile(values, 100, 0.99), 99);
	assert_int_equal(stats_quantile(values, 100, 0.50), 50);
	assert_int_equal(stats_quantile(values, 100, 1.00), 100);
	assert_int_equal(stats_quantile(values, 1, 0.01), 1);
	assert_int_equal(stats_quantile(values, 0, 0.5), 0);
}

static void test_interval_holds_the_median(void **state)
{
	const double even[] = { 2, 2, 2, 2, 2, 2, 2, 2, 2 };
	const double spread[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

	(void)state;
	struct stats_interval interval = stats_bootstrap(even, 9);
	assert_true(interval.low == 2 && interval.median == 2 && interval.high == 2);
	interval = stats_bootstrap(spread, 9);
	assert_true(interval.median == 5);
	// exact 95 % bounds of a resampled median of nine are the third and the seventh value
	assert_true(interval.low >= 2 && interval.low <= 3);
	assert_true(interval.high >= 7 && interval.high <= 8);
}

static void test_ratio_is_paired(void **state)
{
	// the machine was slow in some rounds, for both alike
	const double a[] = { 10, 1, 20, 4, NAN, 6 };
	const double b[] = { 5, 0.5, 10, 2, 1, 0 };

	(void)state;
	struct stats_interval ratio = stats_ratio(a, b, 6);
	assert_true(ratio.low == 2 && ratio.median == 2 && ratio.high == 2);
}

static void test_difference_is_paired(void **state)
{
	const double a[] = { 12, 102, 32, NAN, 52 };
	const double b[] = { 10, 100, 30, 7, 50 };

	(void)state;
	struct stats_interval difference = stats_difference(a, b, 5);
	assert_true(difference.low == 2 && difference.median == 2 && difference.high == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_median_leaves_out_what_is_missing),
		cmocka_unit_test(test_quantile_is_nearest_rank),
		cmocka_unit_test(test_interval_holds_the_median),
		cmocka_unit_test(test_ratio_is_paired),
		cmocka_unit_test(test_difference_is_paired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
