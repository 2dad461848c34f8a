/* SPDX-License-Identifier: MIT */
#include "render/virgl/doorbells.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	CREATE_RING = 188, // VkCommandTypeEXT
	DESTROY_RING = 189,
	NOTIFY_RING = 190,
};

static struct doorbells bells;

static int setup(void **state)
{
	(void)state;
	bells = (struct doorbells){ 0 };
	return 0;
}

/* A stream as drivers send it. size: how much of it comes. */
static bool note(uint32_t command, uint64_t ring, size_t size)
{
	const struct doorbell stream = { .command = command, .ring = ring, .seqno = 1234 };
	uint8_t *bytes = malloc(size ? size : 1); // just so long, for a sanitizer
	bool due;

	assert_non_null(bytes);
	memcpy(bytes, &stream, size);
	due = doorbells_note(&bells, bytes, size);
	free(bytes);
	return due;
}

static bool ring(uint64_t number)
{
	return note(NOTIFY_RING, number, sizeof(struct doorbell));
}

static void destroy(uint64_t number)
{
	assert_false(note(DESTROY_RING, number, 16));
}

static void expect_due(uint64_t number)
{
	struct doorbell doorbell;

	assert_true(doorbells_next(&bells, &doorbell));
	assert_int_equal(doorbell.command, NOTIFY_RING);
	assert_int_equal(doorbell.command_flags, 0);
	assert_int_equal(doorbell.ring, number);
	assert_int_equal(doorbell.flags, 0);
}

static void expect_none(void)
{
	struct doorbell doorbell;

	assert_false(doorbells_next(&bells, &doorbell));
}

static void each_is_due_once(void **state)
{
	(void)state;
	expect_none();
	assert_false(doorbells_age(&bells));
	assert_true(ring(7));
	assert_true(ring(UINT64_MAX));
	assert_true(ring(7));
	expect_none();
	assert_true(doorbells_age(&bells));
	expect_due(7);
	expect_due(UINT64_MAX);
	expect_none();
	assert_false(doorbells_age(&bells));
	assert_true(ring(UINT64_MAX));
	assert_true(doorbells_age(&bells));
	expect_due(UINT64_MAX);
	expect_none();
}

/* Else it could come before what it is for. */
static void it_is_due_after_the_last_time(void **state)
{
	(void)state;
	ring(7);
	assert_true(doorbells_age(&bells));
	ring(7);
	expect_none();
	assert_true(doorbells_age(&bells));
	assert_true(doorbells_age(&bells));
	expect_due(7);
	expect_none();
}

static void none_of_a_destroyed_ring_is_due(void **state)
{
	(void)state;
	ring(1);
	ring(2);
	ring(3);
	destroy(1);
	destroy(4); // never rung
	assert_true(doorbells_age(&bells));
	expect_due(3);
	expect_due(2);
	destroy(2);
	assert_true(doorbells_resume(&bells));
	expect_due(3);
	expect_none();
	destroy(3);
	assert_false(doorbells_resume(&bells));
	assert_false(doorbells_age(&bells));
	expect_none();
}

static void after_a_pause_all_are_due(void **state)
{
	(void)state;
	assert_false(doorbells_resume(&bells));
	expect_none();
	ring(1);
	ring(2);
	assert_true(doorbells_age(&bells));
	expect_due(1);
	expect_due(2);
	ring(3);
	assert_true(doorbells_resume(&bells));
	assert_true(doorbells_age(&bells));
	expect_due(1);
	expect_due(2);
	expect_due(3);
	expect_none();
}

static void other_streams_are_none(void **state)
{
	(void)state;
	for (size_t size = 0; size < sizeof(struct doorbell); size++) {
		assert_false(note(NOTIFY_RING, 1, size));
	}
	assert_false(note(CREATE_RING, 1, sizeof(struct doorbell)));
	assert_false(doorbells_age(&bells));
	ring(1);
	for (size_t size = 0; size < 16; size++) {
		assert_false(note(DESTROY_RING, 1, size));
	}
	assert_true(doorbells_age(&bells));
	expect_due(1);
}

static void there_is_a_bound(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < DOORBELLS_MAX; i++) {
		assert_true(ring(i));
	}
	assert_false(ring(DOORBELLS_MAX));
	assert_true(ring(DOORBELLS_MAX - 1));
	destroy(0);
	assert_true(ring(DOORBELLS_MAX));
	assert_false(ring(0));
	assert_true(doorbells_age(&bells));
	for (uint32_t i = 0; i < DOORBELLS_MAX; i++) {
		struct doorbell doorbell;

		assert_true(doorbells_next(&bells, &doorbell));
		assert_in_range(doorbell.ring, 1, DOORBELLS_MAX);
	}
	expect_none();
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_is_due_once),
		TEST(it_is_due_after_the_last_time),
		TEST(none_of_a_destroyed_ring_is_due),
		TEST(after_a_pause_all_are_due),
		TEST(other_streams_are_none),
		TEST(there_is_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
