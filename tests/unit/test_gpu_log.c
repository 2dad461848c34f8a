/* SPDX-License-Identifier: MIT */
/* What is logged: guests' mistakes at debug, bounds at warn, in the field's terms, and not too often. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "support/gpu_fixture.h"

/* What is written to stderr between begin and end. */
struct capture {
	FILE *file;
	int stderr_fd;
	char text[4096];
};

static void begin_capture(struct capture *capture, enum log_level level)
{
	log_init("test", NULL, level);
	capture->file = tmpfile();
	assert_non_null(capture->file);
	capture->stderr_fd = dup(STDERR_FILENO);
	assert_true(capture->stderr_fd >= 0);
	assert_true(dup2(fileno(capture->file), STDERR_FILENO) >= 0);
}

static void end_capture(struct capture *capture)
{
	size_t len;

	assert_true(dup2(capture->stderr_fd, STDERR_FILENO) >= 0);
	close(capture->stderr_fd);
	rewind(capture->file);
	len = fread(capture->text, 1, sizeof(capture->text) - 1, capture->file);
	capture->text[len] = '\0';
	fclose(capture->file);
	log_init("test", NULL, LOG_ERROR);
}

static unsigned int count_lines(const char *text)
{
	unsigned int lines = 0;

	for (; *text; text++) {
		lines += *text == '\n';
	}
	return lines;
}

static void mistakes_are_named(void **state)
{
	struct capture capture;

	assert_int_equal(create_2d(*state, 12, FORMAT_BGRX, 640, 480), OK);
	begin_capture(&capture, LOG_DEBUG);
	transfer(*state, 12, 630, 470, 11, 10, 0);
	flush(*state, 13, 0, 0, 1, 1);
	set_scanout(*state, 4, 12, 0, 0, 1, 1);
	end_capture(&capture);
	assert_non_null(strstr(capture.text,
		"TRANSFER_TO_HOST_2D: resource 12: rectangle 11x10+630+470 is outside 640x480"));
	assert_non_null(strstr(capture.text, "RESOURCE_FLUSH: there is no resource 13"));
	assert_non_null(strstr(capture.text, "SET_SCANOUT: there is no scanout 4"));
	assert_int_equal(count_lines(capture.text), 3);
}

static void a_guest_cannot_fill_the_log(void **state)
{
	struct capture capture;

	begin_capture(&capture, LOG_DEBUG);
	for (uint32_t i = 0; i < 1000; i++) {
		flush(*state, 13, 0, 0, 1, 1);
	}
	end_capture(&capture);
	assert_in_range(count_lines(capture.text), 1, 20);
}

static void mistakes_are_silent_above_debug(void **state)
{
	struct capture capture;

	begin_capture(&capture, LOG_INFO);
	flush(*state, 13, 0, 0, 1, 1);
	create_2d(*state, 0, FORMAT_BGRX, 0, 0);
	end_capture(&capture);
	assert_string_equal(capture.text, "");
}

static void bounds_are_warned_of(void **state)
{
	struct capture capture;

	begin_capture(&capture, LOG_WARN);
	for (uint32_t i = 0; i < 1000; i++) {
		assert_int_equal(create_2d(*state, 1, FORMAT_BGRX, 1u << 15, 1u << 15), ERR_MEMORY);
	}
	end_capture(&capture);
	assert_non_null(strstr(capture.text,
		"RESOURCE_CREATE_2D: resource 1: no room for 4294967296 bytes (max-memory "
		"reached)"));
	assert_in_range(count_lines(capture.text), 1, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_SOFT(mistakes_are_named),
		TEST_SOFT(a_guest_cannot_fill_the_log),
		TEST_SOFT(mistakes_are_silent_above_debug),
		TEST_SOFT(bounds_are_warned_of),
	};

	return cmocka_run_group_tests_name("gpu_log", tests, NULL, NULL);
}
