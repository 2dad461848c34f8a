/* SPDX-License-Identifier: MIT */
#include "render/virgl/awake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Far beyond the time that it stays awake, and well within. */
#define LONG  UINT64_C(1000000000)
#define SHORT UINT64_C(1000)

static uint64_t now = LONG;

static bool begin(struct awake *awake)
{
	return awake_begin(awake, true, now);
}

/* A fence that takes too long. */
static bool begin_in_vain(struct awake *awake)
{
	bool tried = begin(awake);

	now += LONG;
	assert_false(awake_goes_on(awake, now));
	return tried;
}

static void it_stays_awake_until_the_fence_ends(void **state)
{
	struct awake awake = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_true(begin(&awake));
		now += SHORT;
		assert_true(awake_goes_on(&awake, now));
		awake_end(&awake);
		assert_false(awake_goes_on(&awake, now));
	}
}

static void it_sleeps_when_there_are_several(void **state)
{
	struct awake awake = { 0 };

	(void)state;
	assert_true(begin(&awake));
	assert_false(awake_begin(&awake, false, now));
	assert_false(awake_goes_on(&awake, now));
	now += LONG;
	assert_false(awake_goes_on(&awake, now));
	assert_true(begin(&awake)); // that was not in vain
}

static void in_vain_it_lets_more_and_more_fences_pass(void **state)
{
	struct awake awake = { 0 };
	int tried = 0;

	(void)state;
	for (int i = 0; i < 1 + 2 + 4 + 8; i++) {
		tried += begin_in_vain(&awake);
	}
	assert_int_equal(tried, 4);
	tried = 0;
	for (int i = 0; i < 128 * 100; i++) {
		tried += begin_in_vain(&awake);
	}
	assert_true(tried >= 99 && tried <= 105); // it never gives up for good
}

static void a_fence_that_ends_soon_makes_it_try_again(void **state)
{
	struct awake awake = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		begin_in_vain(&awake);
	}
	while (!begin(&awake)) {
		awake_end(&awake); // asleep: says nothing about its time
	}
	awake_end(&awake);
	assert_true(begin(&awake));
	assert_true(begin_in_vain(&awake));
	assert_false(begin(&awake)); // one is let pass, as after the first time
	assert_true(begin(&awake));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_stays_awake_until_the_fence_ends),
		cmocka_unit_test(it_sleeps_when_there_are_several),
		cmocka_unit_test(in_vain_it_lets_more_and_more_fences_pass),
		cmocka_unit_test(a_fence_that_ends_soon_makes_it_try_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
