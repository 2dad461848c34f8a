/* SPDX-License-Identifier: MIT */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * The log of the program: one line a message on stderr, or with a syslog <N> prefix when stderr is
 * the journal (JOURNAL_STREAM names it). Every line carries the name given to log_init. Logging
 * keeps errno. One thread logs.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum log_level {
	LOG_ERROR, // the program, the session or a ring cannot go on
	LOG_WARN, // the host lacks something, or a bound was reached
	LOG_INFO, // what a user would ask about: start, VMM connected, VMM gone
	LOG_DEBUG, // all else, guests' mistakes included
	LOG_LEVEL_COUNT,
};

/*
 * Sets the name that stands in every line (borrowed; program[name]: ...) and the level. program
 * and name must stay valid. name may be NULL.
 */
void log_init(const char *program, const char *name, enum log_level level);

/* Reads "error", "warn", "info" or "debug". Returns 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *level);

bool log_is_enabled(enum log_level level);

/* Writes one line, lower case, without a newline at its end. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { \
		if (log_is_enabled(LOG_DEBUG)) { \
			log_write(LOG_DEBUG, __VA_ARGS__); \
		} \
	} while (0)

/* As log_write, with ": " and the text of error, a positive errno value, added. */
#define log_errno(level, error, format, ...) \
	log_write(level, format ": %s", ##__VA_ARGS__, strerror(error))

/*
 * A rate limit for messages that a guest or a front end can cause: at most `burst` lines in each
 * `interval_ms`; the first line after a silent time says how many were left out. Keep one per
 * kind of message, zero-initialised but for the two numbers.
 */
struct log_limit {
	uint32_t burst;
	uint32_t interval_ms;
	uint64_t window_start_ms; // CLOCK_MONOTONIC
	uint32_t written;
	uint32_t suppressed;
};

#define LOG_LIMIT_INIT { .burst = 5, .interval_ms = 5000 }

/* Should a line be written now? Also writes "(N similar messages left out)" when due. */
bool log_limit_pass(struct log_limit *limit, enum log_level level);

#define log_limited(limit, level, ...) \
	do { \
		if (log_is_enabled(level) && log_limit_pass(limit, level)) { \
			log_write(level, __VA_ARGS__); \
		} \
	} while (0)

#endif
