/* SPDX-License-Identifier: MIT */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* Signals that the program handles go to handlers that only it can serve. */
static void forget_signals(void)
{
	static const int handled[] = { SIGTERM, SIGINT, SIGBUS, SIGSEGV };
	sigset_t none;

	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++) {
		signal(handled[i], SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void drop_messages(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
	}
	if (null >= 0 && !log_is_enabled(LOG_DEBUG)) {
		dup2(null, STDERR_FILENO);
	}
}

static _Noreturn void run_in_child(child_fn fn, void *data, void *result, size_t size, int pipe)
{
	const struct rlimit no_core = { 0, 0 };
	const uint8_t *bytes = result;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	forget_signals();
	drop_messages();
	fn(result, data);
	while (size > 0) {
		ssize_t written = write(pipe, bytes, size);

		if (written < 0) {
			_exit(EXIT_FAILURE);
		}
		bytes += written;
		size -= (size_t)written;
	}
	/* Not exit(): handlers of drivers, and of the program's own libraries, stay out of it. */
	_exit(EXIT_SUCCESS);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns 0, -ETIMEDOUT, or -EPIPE when the stream ended early. */
static int read_all(int pipe, uint8_t *bytes, size_t size, unsigned int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	while (size > 0) {
		struct pollfd ready = { .fd = pipe, .events = POLLIN };
		int64_t left = end - now_ms();
		ssize_t got;

		if (left <= 0) {
			return -ETIMEDOUT;
		}
		if (poll(&ready, 1, (int)left) <= 0) {
			continue; // interrupted, or the time is up
		}
		got = read(pipe, bytes, size);
		if (got <= 0) {
			return -EPIPE;
		}
		bytes += got;
		size -= (size_t)got;
	}
	return 0;
}

int child_run(
	child_fn fn, void *data, void *result, size_t size, unsigned int timeout_ms, int *killer)
{
	void *copy = malloc(size);
	int ends[2] = { -1, -1 };
	int status, error;
	pid_t child;

	*killer = 0;
	if (!copy || pipe2(ends, O_CLOEXEC) < 0) {
		error = copy ? -errno : -ENOMEM;
		free(copy);
		return error;
	}
	child = fork();
	if (child == 0) {
		run_in_child(fn, data, result, size, ends[1]);
	}
	error = child < 0 ? -errno : 0;
	fd_close(&ends[1]);
	if (child > 0) {
		error = read_all(ends[0], copy, size, timeout_ms);
		if (error != -EPIPE) {
			kill(child, SIGKILL); // done, or hung: nothing in it is needed any more
		}
		while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
		}
		if (error == -EPIPE && WIFSIGNALED(status)) {
			*killer = WTERMSIG(status);
		}
	}
	if (error == 0) {
		memcpy(result, copy, size);
	}
	fd_close(&ends[0]);
	free(copy);
	return error;
}
