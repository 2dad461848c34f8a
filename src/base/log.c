/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A line longer than this is cut: a log line is for reading. */
#define LINE_SIZE 1024

static struct {
	const char *program;
	const char *name;
	enum log_level level;
	bool to_journal;
} logger = { .program = "virtio-gpud", .level = LOG_INFO };

static const char *const level_names[LOG_LEVEL_COUNT] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

/* The priorities of syslog(3), which journald reads from a <N> prefix (sd-daemon(3)). */
static const int level_priorities[LOG_LEVEL_COUNT] = {
	[LOG_ERROR] = 3,
	[LOG_WARN] = 4,
	[LOG_INFO] = 6,
	[LOG_DEBUG] = 7,
};

/* systemd.exec(5), $JOURNAL_STREAM: "device:inode" of the stream that leads to the journal. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat status;
	unsigned long long device, inode;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2) {
		return false;
	}
	return fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
		status.st_ino == inode;
}

void log_init(const char *program, const char *name, enum log_level level)
{
	logger.program = program;
	logger.name = name;
	logger.level = level;
	logger.to_journal = stderr_is_journal();
}

int log_level_parse(const char *text, enum log_level *level)
{
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool log_is_enabled(enum log_level level)
{
	return level <= logger.level;
}

static size_t format_prefix(char *line, size_t size, enum log_level level)
{
	char priority[8] = "";
	int len;

	if (logger.to_journal) {
		snprintf(priority, sizeof(priority), "<%d>", level_priorities[level]);
	}
	if (logger.name) {
		len = snprintf(line, size, "%s%s[%s]: ", priority, logger.program, logger.name);
	} else {
		len = snprintf(line, size, "%s%s: ", priority, logger.program);
	}
	return (size_t)len < size ? (size_t)len : size - 1;
}

void log_write(enum log_level level, const char *format, ...)
{
	int saved_errno = errno;
	char line[LINE_SIZE];
	size_t used;
	va_list args;
	ssize_t ignored;

	if (!log_is_enabled(level)) {
		return;
	}
	used = format_prefix(line, sizeof(line) - 1, level);
	va_start(args, format);
	vsnprintf(line + used, sizeof(line) - 1 - used, format, args);
	va_end(args);
	used = strlen(line);
	line[used] = '\n';
	/* One write(2) a line, so that lines of several processes do not mix. */
	ignored = write(STDERR_FILENO, line, used + 1);
	(void)ignored;
	errno = saved_errno;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool log_limit_pass(struct log_limit *limit, enum log_level level)
{
	uint64_t now = now_ms();

	if (now - limit->window_start_ms >= limit->interval_ms) {
		limit->window_start_ms = now;
		limit->written = 0;
		if (limit->suppressed) {
			log_write(level, "(%" PRIu32 " similar messages left out)",
				limit->suppressed);
			limit->suppressed = 0;
		}
	}
	if (limit->written == limit->burst) {
		limit->suppressed++;
		return false;
	}
	limit->written++;
	return true;
}
