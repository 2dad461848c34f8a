/* SPDX-License-Identifier: MIT */
#include "frontend/backend.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "frontend/pump.h"
#include "frontend/session.h"

enum {
	WORDS_MAX = 64,
	START_MS = 60000, // a GL driver under valgrind, on a busy machine
	STOP_MS = 5000,
};

extern char **environ;

/* Is "%s" at place a descriptor's number rather than a path? */
static bool wants_fd(const char *command, const char *place)
{
	return place - command >= 3 &&
		(memcmp(place - 3, "fd=", 3) == 0 || memcmp(place - 3, "fd ", 3) == 0);
}

/* The command with value in the place of "%s"; malloc'ed. */
static char *fill_in(const char *command, const char *place, const char *value)
{
	size_t size = strlen(command) + strlen(value) + 1;
	char *line = malloc(size);

	if (line && place) {
		snprintf(line, size, "%.*s%s%s", (int)(place - command), command, value, place + 2);
	} else if (line) {
		memcpy(line, command, strlen(command) + 1);
	}
	return line;
}

static void split(char *line, char *words[WORDS_MAX])
{
	size_t count = 0;
	char *rest = NULL;

	for (char *word = strtok_r(line, " ", &rest); word && count < WORDS_MAX - 1;
		word = strtok_r(NULL, " ", &rest)) {
		words[count++] = word;
	}
	words[count] = NULL;
}

/* Children inherit the caller's processors: set them around the start. */
static int spawn_on(pid_t *pid, char **words, const posix_spawn_file_actions_t *actions, int cpu)
{
	cpu_set_t before;
	cpu_set_t wanted;

	CPU_ZERO(&wanted);
	if (cpu >= 0) {
		CPU_SET((size_t)cpu, &wanted);
		sched_getaffinity(0, sizeof(before), &before);
		sched_setaffinity(0, sizeof(wanted), &wanted);
	}
	int error = posix_spawnp(pid, words[0], actions, NULL, words, environ);
	if (cpu >= 0) {
		sched_setaffinity(0, sizeof(before), &before);
	}
	return -error;
}

static int spawn_words(struct fe_backend *backend, char **words, int child_fd, int log_fd, int cpu)
{
	posix_spawn_file_actions_t actions;

	if (!words[0]) {
		return -EINVAL;
	}
	posix_spawn_file_actions_init(&actions);
	if (child_fd >= 0) {
		// onto itself: takes close-on-exec off in the child
		posix_spawn_file_actions_adddup2(&actions, child_fd, child_fd);
	}
	if (log_fd >= 0) {
		posix_spawn_file_actions_adddup2(&actions, log_fd, STDOUT_FILENO);
		posix_spawn_file_actions_adddup2(&actions, log_fd, STDERR_FILENO);
	}
	backend->spawned_ns = fe_now_ns();
	int error = spawn_on(&backend->pid, words, &actions, cpu);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

static int spawn_line(struct fe_backend *backend, char *line, int log_fd, int cpu)
{
	char *words[WORDS_MAX];

	split(line, words);
	return spawn_words(backend, words, -1, log_fd, cpu);
}

/* Makes the socket that the child inherits: *child_fd is its end, number its name. */
static int open_pair(struct fe_backend *backend, int *child_fd, char number[static 16])
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	snprintf(number, 16, "%d", ends[1]);
	backend->socket = ends[0];
	*child_fd = ends[1];
	return 0;
}

/* The words with number in the place of "%s", which is in *filled then (malloc'ed). */
static void fill_in_words(
	char *const words[], char *copy[WORDS_MAX], const char *number, char **filled)
{
	size_t count = 0;

	for (; words[count] && count < WORDS_MAX - 1; count++) {
		const char *place = strstr(words[count], "%s");

		copy[count] = words[count];
		if (place && !*filled) {
			*filled = fill_in(words[count], place, number);
			copy[count] = *filled;
		}
	}
	copy[count] = NULL;
}

static int start_inherited(struct fe_backend *backend, char *const words[], int log_fd, int cpu)
{
	char *copy[WORDS_MAX];
	char *filled = NULL;
	char number[16];
	int child_fd;
	int error = open_pair(backend, &child_fd, number);

	if (error < 0) {
		return error;
	}
	fill_in_words(words, copy, number, &filled);
	error = filled ? spawn_words(backend, copy, child_fd, log_fd, cpu) : -ENOMEM;
	free(filled);
	fd_close(&child_fd);
	backend->ready_ns = fe_now_ns();
	return error;
}

static int start_line_inherited(
	struct fe_backend *backend, const char *command, int log_fd, int cpu)
{
	char *words[WORDS_MAX];
	char *line = strdup(command);

	if (!line) {
		return -ENOMEM;
	}
	split(line, words);
	int error = start_inherited(backend, words, log_fd, cpu);
	free(line);
	return error;
}

int fe_backend_start_inherited(struct fe_backend *backend, char *const words[], int log_fd)
{
	*backend = (struct fe_backend){ .socket = -1 };
	int error = start_inherited(backend, words, log_fd, -1);
	if (error < 0) {
		fe_backend_stop(backend);
	}
	return error;
}

/* Connects, and gives up early when the child has ended. */
static int connect_to(struct fe_backend *backend, int timeout_ms)
{
	uint64_t end = fe_now_ns() + (uint64_t)timeout_ms * 1000000u;
	int status;

	for (;;) {
		int fd = fe_session_connect(backend->path, 0);

		if (fd >= 0) {
			backend->socket = fd;
			backend->ready_ns = fe_now_ns();
			return 0;
		}
		if (fd != -ENOENT && fd != -ECONNREFUSED) {
			return fd;
		}
		if (fe_backend_has_ended(backend, &status)) {
			return -ECHILD;
		}
		if (fe_now_ns() >= end) {
			return -ETIMEDOUT;
		}
		usleep(100);
	}
}

static int start_listening(
	struct fe_backend *backend, const char *command, const char *place, int log_fd, int cpu)
{
	static unsigned int serial;
	const char *folder = getenv("TMPDIR");

	snprintf(backend->path, sizeof(backend->path), "%s/fe-%ld-%u.sock",
		folder ? folder : "/tmp", (long)getpid(), serial++);
	unlink(backend->path);
	char *line = fill_in(command, place, backend->path);
	int error = line ? spawn_line(backend, line, log_fd, cpu) : -ENOMEM;
	free(line);
	return error < 0 ? error : connect_to(backend, START_MS);
}

int fe_backend_start(struct fe_backend *backend, const char *command, int log_fd, int cpu)
{
	const char *place = strstr(command, "%s");

	*backend = (struct fe_backend){ .socket = -1 };
	int error = place && wants_fd(command, place)
		? start_line_inherited(backend, command, log_fd, cpu)
		: start_listening(backend, command, place, log_fd, cpu);
	if (error < 0) {
		fe_backend_stop(backend);
	}
	return error;
}

int fe_backend_reconnect(struct fe_backend *backend, int timeout_ms)
{
	fd_close(&backend->socket);
	return connect_to(backend, timeout_ms);
}

bool fe_backend_has_ended(struct fe_backend *backend, int *status)
{
	if (backend->pid == 0 || waitpid(backend->pid, status, WNOHANG) != backend->pid) {
		return false;
	}
	backend->pid = 0;
	return true;
}

int fe_backend_wait(struct fe_backend *backend, int timeout_ms)
{
	uint64_t end = fe_now_ns() + (uint64_t)timeout_ms * 1000000u;
	int status = 0;

	while (backend->pid > 0 && !fe_backend_has_ended(backend, &status)) {
		if (fe_now_ns() >= end) {
			return -ETIMEDOUT;
		}
		usleep(500);
	}
	return status;
}

int fe_backend_stop(struct fe_backend *backend)
{
	int status = 0;

	fd_close(&backend->socket);
	if (backend->pid > 0) {
		kill(backend->pid, SIGTERM);
		status = fe_backend_wait(backend, STOP_MS);
	}
	if (backend->pid > 0) {
		kill(backend->pid, SIGKILL);
		waitpid(backend->pid, &status, 0);
		backend->pid = 0;
	}
	if (backend->path[0] != '\0') {
		unlink(backend->path);
		backend->path[0] = '\0';
	}
	return status;
}
