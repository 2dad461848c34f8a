/* SPDX-License-Identifier: MIT */
#include "render/virgl/server_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

enum {
	LINE_SIZE = 512, // longer ones are cut into several
	/* A report of a sanitizer is to be seen whole. */
	BURST = 100,
	INTERVAL_MS = 60000,
};

struct virgl_server_log {
	struct loop_fd *source;
	int ends[2];
	char line[LINE_SIZE];
	size_t length;
	struct log_limit limit;
};

static void write_line(struct virgl_server_log *log)
{
	log->line[log->length] = '\0';
	if (log->length > 0) {
		log_limited(&log->limit, LOG_WARN, "render server: %s", log->line);
	}
	log->length = 0;
}

static void take(struct virgl_server_log *log, char character)
{
	if (character == '\n') {
		write_line(log);
		return;
	}
	log->line[log->length++] = character >= ' ' && character <= '~' ? character : '?';
	if (log->length == LINE_SIZE - 1) {
		write_line(log);
	}
}

/* At most so much in a turn of the loop, in which others have their turn too. */
static bool read_some(struct virgl_server_log *log)
{
	char bytes[4096];
	ssize_t got = read(log->ends[0], bytes, sizeof(bytes));

	for (ssize_t i = 0; i < got; i++) {
		take(log, bytes[i]);
	}
	return got > 0;
}

static void handle_readable(void *data, int events)
{
	(void)events;
	read_some(data);
}

struct virgl_server_log *virgl_server_log_create(struct loop *loop)
{
	struct virgl_server_log *log = calloc(1, sizeof(*log));

	if (!log || pipe2(log->ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		log_errno(LOG_ERROR, log ? errno : ENOMEM, "%s", "no pipe for the render server");
		free(log);
		return NULL;
	}
	log->limit = (struct log_limit){ .burst = BURST, .interval_ms = INTERVAL_MS };
	log->source = loop_add_fd(loop, log->ends[0], LOOP_READABLE, handle_readable, log);
	if (!log->source) {
		virgl_server_log_destroy(log);
		return NULL;
	}
	return log;
}

void virgl_server_log_destroy(struct virgl_server_log *log)
{
	if (!log) {
		return;
	}
	fd_close(&log->ends[1]);
	/* A pipe's worth at most: a process that is still there could go on. */
	for (int i = 0; i < 16 && read_some(log); i++) {
	}
	write_line(log);
	loop_remove_fd(log->source);
	fd_close(&log->ends[0]);
	free(log);
}

int virgl_server_log_fd(const struct virgl_server_log *log)
{
	return log->ends[1];
}
