/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"

/*
 * Standard error is a socket of datagrams while a test logs: one write(2) is one datagram, so lines are
 * told apart as they were written.
 */
struct capture {
	int saved_stderr;
	int reader;
	char line[2048]; // the last one read
};

static void begin_capture(struct capture *capture)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
	capture->saved_stderr = dup(STDERR_FILENO);
	assert_true(capture->saved_stderr >= 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	capture->reader = ends[0];
}

/* Gives standard error back; what was captured can still be read. */
static void end_capture(struct capture *capture)
{
	assert_int_equal(dup2(capture->saved_stderr, STDERR_FILENO), STDERR_FILENO);
	close(capture->saved_stderr);
}

/* The next line that was written, or NULL when there is none. */
static const char *next_line(struct capture *capture)
{
	ssize_t len = recv(capture->reader, capture->line, sizeof(capture->line) - 1, MSG_DONTWAIT);

	if (len < 0) {
		return NULL;
	}
	capture->line[len] = '\0';
	return capture->line;
}

static void assert_next_line(struct capture *capture, const char *expected)
{
	const char *line = next_line(capture);

	assert_non_null(line);
	assert_string_equal(line, expected);
}

static void assert_no_line(struct capture *capture)
{
	const char *line = next_line(capture);

	if (line) {
		fail_msg("a line too many: %s", line);
	}
	close(capture->reader);
}

static int reset_logger(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_init("virtio-gpud", NULL, LOG_INFO);
	return 0;
}

static void log_all_levels(void)
{
	log_error("one");
	log_warn("two");
	log_info("three");
	log_debug("four");
}

static void levels_above_the_chosen_one_are_left_out(void **state)
{
	static const char *const lines[LOG_LEVEL_COUNT] = { "prog: one\n", "prog: two\n",
		"prog: three\n", "prog: four\n" };

	(void)state;
	for (int level = 0; level < LOG_LEVEL_COUNT; level++) {
		struct capture capture;

		log_init("prog", NULL, (enum log_level)level);
		begin_capture(&capture);
		log_all_levels();
		end_capture(&capture);
		for (int i = 0; i <= level; i++) {
			assert_next_line(&capture, lines[i]);
			assert_true(log_is_enabled((enum log_level)i));
		}
		assert_no_line(&capture);
		for (int i = level + 1; i < LOG_LEVEL_COUNT; i++) {
			assert_false(log_is_enabled((enum log_level)i));
		}
	}
}

static void debug_costs_nothing_when_off(void **state)
{
	int evaluated = 0;
	struct capture capture;

	(void)state;
	begin_capture(&capture);
	log_debug("%d", ++evaluated);
	end_capture(&capture);
	assert_no_line(&capture);
	assert_int_equal(evaluated, 0);
}

static void level_names_are_read(void **state)
{
	static const char *const wrong[] = { "", "Error", "errors", "err", "warning", "info ",
		"trace", "3" };
	static const char *const names[LOG_LEVEL_COUNT] = { "error", "warn", "info", "debug" };
	enum log_level level = LOG_DEBUG;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(log_level_parse(wrong[i], &level), -EINVAL);
		assert_int_equal(level, LOG_DEBUG);
	}
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		assert_int_equal(log_level_parse(names[i], &level), 0);
		assert_int_equal(level, i);
	}
}

static void name_stands_in_each_line(void **state)
{
	struct capture capture;

	(void)state;
	begin_capture(&capture);
	log_init("prog", "vm-1", LOG_INFO);
	log_warn("disk %d of %s", 3, "five");
	log_init("prog", NULL, LOG_INFO);
	log_warn("nameless");
	end_capture(&capture);
	assert_next_line(&capture, "prog[vm-1]: disk 3 of five\n");
	assert_next_line(&capture, "prog: nameless\n");
	assert_no_line(&capture);
}

static void errno_text_is_added(void **state)
{
	struct capture capture;

	(void)state;
	begin_capture(&capture);
	log_errno(LOG_ERROR, ENOENT, "cannot open %s", "there");
	end_capture(&capture);
	assert_next_line(&capture, "virtio-gpud: cannot open there: No such file or directory\n");
	assert_no_line(&capture);
}

static void set_journal_stream(uint64_t device, uint64_t inode)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)device,
		(unsigned long long)inode);
	assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
}

static void journal_gets_priorities(void **state)
{
	struct capture capture;
	struct stat status;

	(void)state;
	begin_capture(&capture);
	fstat(STDERR_FILENO, &status);
	set_journal_stream(status.st_dev, status.st_ino);
	log_init("prog", "vm", LOG_DEBUG);
	log_all_levels();
	end_capture(&capture);
	assert_next_line(&capture, "<3>prog[vm]: one\n");
	assert_next_line(&capture, "<4>prog[vm]: two\n");
	assert_next_line(&capture, "<6>prog[vm]: three\n");
	assert_next_line(&capture, "<7>prog[vm]: four\n");
	assert_no_line(&capture);
}

/* A child inherits JOURNAL_STREAM, and may have another standard error. */
static void other_streams_get_none(void **state)
{
	struct capture capture;
	struct stat status;

	(void)state;
	begin_capture(&capture);
	fstat(STDERR_FILENO, &status);
	set_journal_stream(status.st_dev, status.st_ino + 1);
	log_init("prog", NULL, LOG_INFO);
	log_info("inode");
	set_journal_stream(status.st_dev + 1, status.st_ino);
	log_init("prog", NULL, LOG_INFO);
	log_info("device");
	setenv("JOURNAL_STREAM", "words", 1);
	log_init("prog", NULL, LOG_INFO);
	log_info("words");
	end_capture(&capture);
	assert_next_line(&capture, "prog: inode\n");
	assert_next_line(&capture, "prog: device\n");
	assert_next_line(&capture, "prog: words\n");
	assert_no_line(&capture);
}

static void assert_cut(const char *line, const char *start)
{
	size_t len = strlen(line);

	assert_in_range(len, 1000, 1024);
	assert_memory_equal(line, start, strlen(start));
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static void long_lines_are_cut(void **state)
{
	struct capture capture;
	char text[1500];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	begin_capture(&capture);
	log_error("%s", text);
	log_init("prog", text, LOG_INFO);
	log_error("words");
	log_init("prog", text + sizeof(text) - 1 - 1020, LOG_INFO); // the prefix just has no room
	log_error("words");
	end_capture(&capture);
	assert_cut(next_line(&capture), "virtio-gpud: xxx");
	assert_cut(next_line(&capture), "prog[xxx");
	assert_cut(next_line(&capture), "prog[xxx");
	assert_no_line(&capture);
	log_init("prog", NULL, LOG_INFO);
}

/* A call between a failure and the look at errno. */
static void errno_is_kept(void **state)
{
	struct log_limit limit = LOG_LIMIT_INIT;
	int saved_stderr = dup(STDERR_FILENO);
	int kept[3];

	(void)state;
	/* Nobody can write there: write(2) fails with EBADF. */
	close(STDERR_FILENO);
	errno = ENOSPC;
	log_error("words");
	kept[0] = errno;
	log_debug("words");
	kept[1] = errno;
	limit.suppressed = 1;
	log_limited(&limit, LOG_ERROR, "words");
	kept[2] = errno;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	assert_int_equal(kept[0], ENOSPC);
	assert_int_equal(kept[1], ENOSPC);
	assert_int_equal(kept[2], ENOSPC);
}

static void log_numbers(struct log_limit *limit, int from, int to)
{
	for (int i = from; i <= to; i++) {
		log_limited(limit, LOG_WARN, "number %d", i);
	}
}

static void limit_leaves_out_and_says_so(void **state)
{
	struct log_limit limit = { .burst = 2, .interval_ms = 60000 };
	struct capture capture;

	(void)state;
	begin_capture(&capture);
	log_numbers(&limit, 1, 5);
	limit.window_start_ms -= 60000; // a minute later
	log_numbers(&limit, 6, 8);
	end_capture(&capture);
	assert_next_line(&capture, "virtio-gpud: number 1\n");
	assert_next_line(&capture, "virtio-gpud: number 2\n");
	assert_next_line(&capture, "virtio-gpud: (3 similar messages left out)\n");
	assert_next_line(&capture, "virtio-gpud: number 6\n");
	assert_next_line(&capture, "virtio-gpud: number 7\n");
	assert_no_line(&capture);
	assert_int_equal(limit.suppressed, 1);
}

static void limit_is_silent_when_nothing_was_left_out(void **state)
{
	struct log_limit limit = { .burst = 2, .interval_ms = 60000 };
	struct capture capture;

	(void)state;
	begin_capture(&capture);
	log_numbers(&limit, 1, 2);
	limit.window_start_ms -= 60000;
	log_numbers(&limit, 3, 4);
	limit.window_start_ms -= 30000; // not yet, unless the test takes as long again
	log_numbers(&limit, 5, 5);
	end_capture(&capture);
	assert_next_line(&capture, "virtio-gpud: number 1\n");
	assert_next_line(&capture, "virtio-gpud: number 2\n");
	assert_next_line(&capture, "virtio-gpud: number 3\n");
	assert_next_line(&capture, "virtio-gpud: number 4\n");
	assert_no_line(&capture);
}

/* What is not written anyway uses nothing up, and is not told later. */
static void limit_does_not_count_levels_that_are_off(void **state)
{
	struct log_limit limit = { .burst = 1, .interval_ms = 60000 };
	struct capture capture;

	(void)state;
	begin_capture(&capture);
	for (int i = 0; i < 3; i++) {
		log_limited(&limit, LOG_DEBUG, "quiet %d", i);
	}
	log_numbers(&limit, 1, 1);
	end_capture(&capture);
	assert_next_line(&capture, "virtio-gpud: number 1\n");
	assert_no_line(&capture);
	assert_int_equal(limit.suppressed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(levels_above_the_chosen_one_are_left_out, reset_logger),
		cmocka_unit_test_setup(debug_costs_nothing_when_off, reset_logger),
		cmocka_unit_test_setup(level_names_are_read, reset_logger),
		cmocka_unit_test_setup(name_stands_in_each_line, reset_logger),
		cmocka_unit_test_setup(errno_text_is_added, reset_logger),
		cmocka_unit_test_setup(journal_gets_priorities, reset_logger),
		cmocka_unit_test_setup(other_streams_get_none, reset_logger),
		cmocka_unit_test_setup(long_lines_are_cut, reset_logger),
		cmocka_unit_test_setup(errno_is_kept, reset_logger),
		cmocka_unit_test_setup(limit_leaves_out_and_says_so, reset_logger),
		cmocka_unit_test_setup(limit_is_silent_when_nothing_was_left_out, reset_logger),
		cmocka_unit_test_setup(limit_does_not_count_levels_that_are_off, reset_logger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
