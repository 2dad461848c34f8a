/* SPDX-License-Identifier: MIT */
#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct options options;

static int read_words(const struct options_kind *kind, char **words)
{
	char *arguments[16] = { (char *)kind->command };
	int count = 1;

	for (; *words; words++) {
		arguments[count++] = *words;
	}
	optind = 0; // getopt begins anew
	return options_read(&options, kind, count, arguments);
}

#define READ(kind, ...) read_words(&(kind), (char *[]){ __VA_ARGS__, NULL })

static void both_commands_read_the_same_words(void **state)
{
	const struct options_kind *const kinds[] = { &options_of_transport, &options_of_gl };

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(READ(*kinds[i], "--backend", "a=x --socket-path=%s", "--cpus",
					 "2,4,6", "--rounds", "3", "--operations", "7", "--bars"),
			0);
		assert_int_equal(options.backend_count, 1);
		assert_string_equal(options.backends[0].name, "a");
		assert_string_equal(options.backends[0].command, "x --socket-path=%s");
		assert_int_equal(options.driver_cpu, 2);
		assert_int_equal(options.backend_cpu, 4);
		assert_int_equal(options.display_cpu, 6);
		assert_int_equal(options.rounds, 3);
		assert_int_equal(options.operations, 7);
		assert_true(options.bars);
		assert_false(options.poll);
	}
}

static void wrong_words_are_refused(void **state)
{
	(void)state;
	assert_int_equal(READ(options_of_gl, "--backend", "no command"), -EINVAL);
	assert_int_equal(READ(options_of_gl, "--backend", "a=no socket"), -EINVAL);
	assert_int_equal(READ(options_of_gl, "--cpus", "1,2"), -EINVAL);
	assert_int_equal(READ(options_of_gl, "--rounds", "0"), -EINVAL);
	assert_int_equal(READ(options_of_gl, "--seconds-per-cell", "0"), -EINVAL);
	assert_int_equal(READ(options_of_gl, "--operations", "70000"), -EINVAL);
	assert_int_equal(READ(options_of_gl, "more"), -EINVAL);
	assert_int_equal(READ(options_of_gl, "--help"), 1);
}

/* There is no daemon beside the test, and for gl no other back end is known. */
static void without_a_back_end_nothing_is_measured(void **state)
{
	(void)state;
	assert_int_equal(READ(options_of_gl, "--bars"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_commands_read_the_same_words),
		cmocka_unit_test(wrong_words_are_refused),
		cmocka_unit_test(without_a_back_end_nothing_is_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
