/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/values.h"

#define UNTOUCHED 77

static void number_takes_digits_alone(void **state)
{
	static const char *const wrong[] = { "", " ", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.5",
		"1e3", "K", "1K", "\xd9\xa1" };
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		value = UNTOUCHED;
		assert_int_equal(value_parse_number(wrong[i], 0, UINT64_MAX, &value), -EINVAL);
		assert_int_equal(value, UNTOUCHED);
	}
	assert_int_equal(value_parse_number("0", 0, 10, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(value_parse_number("0010", 0, 10, &value), 0);
	assert_int_equal(value, 10);
}

static void number_keeps_its_range(void **state)
{
	uint64_t value = UNTOUCHED;

	(void)state;
	assert_int_equal(value_parse_number("4", 5, 9, &value), -ERANGE);
	assert_int_equal(value_parse_number("10", 5, 9, &value), -ERANGE);
	assert_int_equal(value, UNTOUCHED);
	assert_int_equal(value_parse_number("5", 5, 9, &value), 0);
	assert_int_equal(value_parse_number("9", 5, 9, &value), 0);
	assert_int_equal(value, 9);
}

static void number_does_not_wrap(void **state)
{
	uint64_t value = UNTOUCHED;

	(void)state;
	assert_int_equal(value_parse_number("18446744073709551615", 0, UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(
		value_parse_number("18446744073709551616", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(
		value_parse_number("36893488147419103233", 0, UINT64_MAX, &value), -ERANGE);
}

static void size_takes_one_suffix(void **state)
{
	static const char *const wrong[] = { "", "K", "1KK", "1KiB", "1T", "1 K", "-1K", "1Kx" };
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		value = UNTOUCHED;
		assert_int_equal(value_parse_size(wrong[i], 0, UINT64_MAX, &value), -EINVAL);
		assert_int_equal(value, UNTOUCHED);
	}
	assert_int_equal(value_parse_size("7", 0, UINT64_MAX, &value), 0);
	assert_true(value == 7);
	assert_int_equal(value_parse_size("2K", 0, UINT64_MAX, &value), 0);
	assert_true(value == 2048);
	assert_int_equal(value_parse_size("3m", 0, UINT64_MAX, &value), 0);
	assert_true(value == 3u << 20);
	assert_int_equal(value_parse_size("5G", 0, UINT64_MAX, &value), 0);
	assert_true(value == 5ull << 30);
}

static void size_does_not_wrap(void **state)
{
	uint64_t value = UNTOUCHED;

	(void)state;
	assert_int_equal(value_parse_size("17179869184G", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(value_parse_size("18014398509481985K", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(value, UNTOUCHED);
	assert_int_equal(value_parse_size("17179869183G", 0, UINT64_MAX, &value), 0);
}

static void mode_takes_two_numbers(void **state)
{
	static const char *const wrong[] = { "", "x", "1", "1x", "x1", "1X1", "1x1x1", "1x-1",
		"1 x1", "1x1@60" };
	uint32_t width = UNTOUCHED, height = UNTOUCHED;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(value_parse_mode(wrong[i], 100, &width, &height), -EINVAL);
	}
	assert_int_equal(value_parse_mode("0x5", 100, &width, &height), -ERANGE);
	assert_int_equal(value_parse_mode("5x0", 100, &width, &height), -ERANGE);
	assert_int_equal(value_parse_mode("101x5", 100, &width, &height), -ERANGE);
	assert_int_equal(value_parse_mode("5x101", 100, &width, &height), -ERANGE);
	assert_int_equal(width, UNTOUCHED);
	assert_int_equal(height, UNTOUCHED);
	assert_int_equal(value_parse_mode("100x1", 100, &width, &height), 0);
	assert_int_equal(width, 100);
	assert_int_equal(height, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_takes_digits_alone),
		cmocka_unit_test(number_keeps_its_range),
		cmocka_unit_test(number_does_not_wrap),
		cmocka_unit_test(size_takes_one_suffix),
		cmocka_unit_test(size_does_not_wrap),
		cmocka_unit_test(mode_takes_two_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
