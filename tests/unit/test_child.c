/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/child.h"

/* Longer than any of these children needs. */
#define LONG_MS 60000

static void double_it(void *result, void *data)
{
	int *number = result;

	*number = *number * 2 + *(int *)data;
}

static void results_come_back(void **state)
{
	int number = 20, more = 2, killer = 99;

	(void)state;
	assert_int_equal(child_run(double_it, &more, &number, sizeof(number), LONG_MS, &killer), 0);
	assert_int_equal(number, 42);
	assert_int_equal(killer, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // none is left
}

#define LARGE (1u << 20)

static void fill(void *result, void *data)
{
	(void)data;
	memset(result, 0x5a, LARGE);
}

/* More than a pipe holds. */
static void large_results_come_back(void **state)
{
	uint8_t *bytes = calloc(1, LARGE);
	int killer;

	(void)state;
	assert_int_equal(child_run(fill, NULL, bytes, LARGE, LONG_MS, &killer), 0);
	for (size_t i = 0; i < LARGE; i++) {
		assert_int_equal(bytes[i], 0x5a);
	}
	free(bytes);
}

static void die(void *result, void *data)
{
	*(int *)result = 1;
	raise(*(int *)data);
}

static void a_crash_stays_there(void **state)
{
	int number = 7, signals[] = { SIGABRT, SIGKILL, SIGTERM }, killer;

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		assert_int_equal(
			child_run(die, &signals[i], &number, sizeof(number), LONG_MS, &killer),
			-EPIPE);
		assert_int_equal(killer, signals[i]);
		assert_int_equal(number, 7);
	}
}

static void leave(void *result, void *data)
{
	(void)result;
	(void)data;
	_exit(0);
}

static void an_early_end_is_noticed(void **state)
{
	int number = 7, killer = 99;

	(void)state;
	assert_int_equal(child_run(leave, NULL, &number, sizeof(number), LONG_MS, &killer), -EPIPE);
	assert_int_equal(killer, 0);
	assert_int_equal(number, 7);
}

static void hang(void *result, void *data)
{
	(void)result;
	(void)data;
	for (;;) {
		pause();
	}
}

static void a_hung_child_is_ended(void **state)
{
	int number = 7, killer;

	(void)state;
	assert_int_equal(child_run(hang, NULL, &number, sizeof(number), 1, &killer), -ETIMEDOUT);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void print(void *result, void *data)
{
	*(ssize_t *)result = write(STDOUT_FILENO, data, strlen(data));
}

/* A driver's chatter would be taken for the program's output. */
static void what_it_prints_is_dropped(void **state)
{
	int saved = dup(STDOUT_FILENO), ends[2], killer;
	ssize_t written = 0;
	char byte;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	assert_int_equal(
		child_run(print, (void *)"chatter", &written, sizeof(written), LONG_MS, &killer),
		0);
	dup2(saved, STDOUT_FILENO); // the last writing end goes
	close(saved);
	assert_int_equal(written, 7);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}

static void handle_term(int number)
{
	(void)number;
}

/* What the program does at a signal is not for the child to do. */
static void handlers_are_not_inherited(void **state)
{
	int number = 7, term = SIGTERM, killer;

	(void)state;
	signal(SIGTERM, handle_term);
	assert_int_equal(child_run(die, &term, &number, sizeof(number), LONG_MS, &killer), -EPIPE);
	signal(SIGTERM, SIG_DFL);
	assert_int_equal(killer, SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_come_back),
		cmocka_unit_test(large_results_come_back),
		cmocka_unit_test(a_crash_stays_there),
		cmocka_unit_test(an_early_end_is_noticed),
		cmocka_unit_test(a_hung_child_is_ended),
		cmocka_unit_test(what_it_prints_is_dropped),
		cmocka_unit_test(handlers_are_not_inherited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
