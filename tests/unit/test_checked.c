/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/checked.h"

#define UNTOUCHED 77u

static void sum_fits_or_is_no_answer(void **state)
{
	uint64_t sum = UNTOUCHED;

	(void)state;
	assert_false(checked_add_u64(UINT64_MAX, 1, &sum));
	assert_false(checked_add_u64(1, UINT64_MAX, &sum));
	assert_false(checked_add_u64(UINT64_MAX, UINT64_MAX, &sum));
	assert_false(checked_add_u64(1ull << 63, 1ull << 63, &sum));
	assert_true(sum == UNTOUCHED);
	assert_true(checked_add_u64(2, 3, &sum));
	assert_true(sum == 5);
	assert_true(checked_add_u64(UINT64_MAX, 0, &sum));
	assert_true(sum == UINT64_MAX);
	assert_true(checked_add_u64(1, UINT64_MAX - 1, &sum));
	assert_true(sum == UINT64_MAX);
}

static void product_fits_or_is_no_answer(void **state)
{
	uint64_t product = UNTOUCHED;

	(void)state;
	assert_false(checked_mul_u64(1ull << 32, 1ull << 32, &product));
	assert_false(checked_mul_u64(UINT64_MAX, 2, &product));
	assert_false(checked_mul_u64(2, UINT64_MAX, &product));
	/* 3 * 0x5555555555555556 is 2^64 + 2, which would be a small number */
	assert_false(checked_mul_u64(3, 0x5555555555555556ull, &product));
	assert_true(product == UNTOUCHED);
	assert_true(checked_mul_u64(3, 0x5555555555555555ull, &product));
	assert_true(product == UINT64_MAX);
	assert_true(checked_mul_u64(UINT64_MAX, 1, &product));
	assert_true(product == UINT64_MAX);
	assert_true(checked_mul_u64(6, 7, &product));
	assert_true(product == 42);
}

static void product_with_zero_is_zero(void **state)
{
	uint64_t product = UNTOUCHED;

	(void)state;
	assert_true(checked_mul_u64(0, UINT64_MAX, &product));
	assert_true(product == 0);
	product = UNTOUCHED;
	assert_true(checked_mul_u64(UINT64_MAX, 0, &product));
	assert_true(product == 0);
}

static void results_may_be_an_operand(void **state)
{
	uint64_t value = 10;

	(void)state;
	assert_true(checked_add_u64(value, 5, &value));
	assert_true(checked_mul_u64(value, 4, &value));
	assert_true(value == 60);
}

static void range_ends_at_the_size(void **state)
{
	(void)state;
	assert_true(checked_range_within(0, 100, 100));
	assert_true(checked_range_within(99, 1, 100));
	assert_true(checked_range_within(100, 0, 100));
	assert_true(checked_range_within(0, 0, 0));
	assert_true(checked_range_within(UINT64_MAX, 0, UINT64_MAX));
	assert_false(checked_range_within(0, 101, 100));
	assert_false(checked_range_within(99, 2, 100));
	assert_false(checked_range_within(101, 0, 100));
	assert_false(checked_range_within(0, 1, 0));
}

static void range_does_not_wrap(void **state)
{
	(void)state;
	assert_false(checked_range_within(UINT64_MAX, 2, 100));
	assert_false(checked_range_within(2, UINT64_MAX, 100));
	assert_false(checked_range_within(UINT64_MAX, UINT64_MAX, UINT64_MAX));
	assert_false(checked_range_within(1, UINT64_MAX, UINT64_MAX));
}

/* Either order gives the same. */
static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	bool result = checked_ranges_overlap(a, a_len, b, b_len);

	assert_int_equal(checked_ranges_overlap(b, b_len, a, a_len), result);
	return result;
}

static void overlap_is_a_shared_byte(void **state)
{
	(void)state;
	assert_true(overlap(10, 10, 19, 5));
	assert_true(overlap(10, 10, 12, 2));
	assert_true(overlap(10, 10, 10, 1));
	assert_true(overlap(10, 10, 5, 30));
	assert_false(overlap(10, 10, 20, 5));
	assert_false(overlap(10, 10, 300, 5));
	assert_true(overlap(0, UINT64_MAX, UINT64_MAX - 1, 1));
	assert_false(overlap(0, UINT64_MAX, UINT64_MAX, 1));
	assert_true(overlap(UINT64_MAX, 1, UINT64_MAX, 1));
}

static void power_of_two_has_one_bit(void **state)
{
	(void)state;
	assert_false(checked_is_power_of_two(0));
	for (unsigned bit = 0; bit < 64; bit++) {
		assert_true(checked_is_power_of_two(1ull << bit));
		if (bit > 0) {
			assert_false(checked_is_power_of_two(1ull << bit | 1));
		}
	}
	assert_false(checked_is_power_of_two(3ull << 62));
	assert_false(checked_is_power_of_two(UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_fits_or_is_no_answer),
		cmocka_unit_test(product_fits_or_is_no_answer),
		cmocka_unit_test(product_with_zero_is_zero),
		cmocka_unit_test(results_may_be_an_operand),
		cmocka_unit_test(range_ends_at_the_size),
		cmocka_unit_test(range_does_not_wrap),
		cmocka_unit_test(overlap_is_a_shared_byte),
		cmocka_unit_test(power_of_two_has_one_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
