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

static void commands_read_the_same_words(void **state)
{
	const struct options_kind *const kinds[] = { &options_of_transport, &options_of_gl,
		&options_of_vulkan };

	(void)state;
	for (int i = 0; i < 3; i++) {
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

static void only_vulkan_reads_its_own_words(void **state)
{
	(void)state;
	assert_int_equal(READ(options_of_vulkan, "--backend", "a=x %s", "--driver", "d",
				 "--client-driver", "c", "--layer", "l", "--render-server", "r",
				 "--daemon", "v %s", "--worker", "w"),
		0);
	assert_string_equal(options.vulkan.driver, "d");
	assert_string_equal(options.vulkan.client_driver, "c");
	assert_string_equal(options.vulkan.layer, "l");
	assert_string_equal(options.vulkan.render_server, "r");
	assert_string_equal(options.vulkan.daemon, "v %s");
	assert_string_equal(options.vulkan.worker, "w");
	assert_int_equal(READ(options_of_vulkan, "--backend", "a=x %s"), 0);
	assert_null(options.vulkan.driver);
	assert_string_equal(options.vulkan.daemon, ""); // there is no daemon beside the test
	assert_int_equal(READ(options_of_gl, "--driver", "d"), -EINVAL);
	assert_int_equal(READ(options_of_transport, "--daemon", "v %s"), -EINVAL);
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
		cmocka_unit_test(commands_read_the_same_words),
		cmocka_unit_test(only_vulkan_reads_its_own_words),
		cmocka_unit_test(wrong_words_are_refused),
		cmocka_unit_test(without_a_back_end_nothing_is_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
