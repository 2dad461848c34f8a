/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "run/options.h"
#include "run/program.h"
#include "run/server.h"
#include "run/vtest.h"

/*
 * How this works
 *
 * This process takes connections and waits for ends; all else is in the processes that it starts: the
 * program, and one for each connection. When the program ends so does this, while connections that others
 * still use (a program that went to the background) go on by themselves.
 */

struct run {
	struct server server;
	int signals; // signalfd
	pid_t program; // 0: none
	int status; // of the program, as waitpid gives it
	bool over;
};

static void print_variable(const char *name, const char *value)
{
	printf("%s=%s\n", name, value);
}

/* Blocks what is to be read instead. */
static int open_signals(void)
{
	static const int handled[] = { SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++) {
		sigaddset(&set, handled[i]);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void reap(struct run *run)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == run->program) {
			run->status = status;
			run->over = true;
		} else {
			run->server.clients--;
		}
	}
}

/* The terminal's own signals reach the program anyway; the others are handed on. */
static void handle_signal(struct run *run, uint32_t number)
{
	if (number == SIGCHLD) {
		reap(run);
	} else if (!run->program) {
		run->over = true;
	} else if (number == SIGTERM || number == SIGHUP) {
		kill(run->program, (int)number);
	}
}

static void handle_signals(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == sizeof(info)) {
		handle_signal(run, info.ssi_signo);
	}
}

static void wait_for_end(struct run *run)
{
	while (!run->over) {
		struct pollfd fds[2] = {
			{ .fd = run->signals, .events = POLLIN },
			{ .fd = run->server.listener, .events = POLLIN },
		};

		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			break;
		}
		if (fds[0].revents) {
			handle_signals(run);
		}
		if (fds[1].revents && !run->over) {
			server_accept(&run->server);
		}
	}
}

static int serve_others(const struct options *options)
{
	struct run run = { .server.listener = -1 };

	run.signals = open_signals();
	if (server_open(&run.server, options->listen, options) < 0) {
		return PROGRAM_FAILED;
	}
	log_info("listening at %s", options->listen);
	wait_for_end(&run);
	server_close(&run.server);
	return EXIT_SUCCESS;
}

/* A folder that only we may enter. */
static int make_folder(char path[static 80])
{
	const char *parent = getenv("XDG_RUNTIME_DIR");

	if (!parent || strlen(parent) > 48 || access(parent, W_OK) < 0) {
		parent = "/tmp";
	}
	snprintf(path, 80, "%s/virtio-gpu-run-XXXXXX", parent);
	if (!mkdtemp(path)) {
		log_errno(LOG_ERROR, errno, "cannot make a folder for the socket: %s", path);
		return -errno;
	}
	return 0;
}

/* A Mesa that looks at one path only has found nobody there, and drew in software, or not at all. */
static void hint(const struct run *run, bool has_namespace)
{
	if (run->server.options->gl && run->server.served == 0 && !has_namespace) {
		log_warn(
			"nothing was drawn: Mesa before 23.1 looks for its renderer at %s only, "
			"which could not be put in place; with --log-level=info the reason is told",
			VTEST_DEFAULT_PATH);
	}
}

static int run_at(struct run *run, const struct options *options, const char *path)
{
	bool has_namespace = false;

	if (server_open(&run->server, path, options) < 0) {
		return PROGRAM_FAILED;
	}
	run->program = program_start(options, path, &has_namespace);
	if (run->program < 0) {
		log_errno(LOG_ERROR, -run->program, "cannot start %s", options->program[0]);
		server_close(&run->server);
		return PROGRAM_FAILED;
	}
	wait_for_end(run);
	server_close(&run->server);
	hint(run, has_namespace);
	return program_exit_status(run->status);
}

static int run_program(const struct options *options)
{
	struct run run = { .server.listener = -1, .signals = open_signals() };
	char folder[80];
	char path[100];
	int status;

	if (program_check(options) < 0 || make_folder(folder) < 0) {
		return PROGRAM_FAILED;
	}
	snprintf(path, sizeof(path), "%s/vtest.sock", folder);
	status = run_at(&run, options, path);
	rmdir(folder);
	return status;
}

int main(int argc, char **argv)
{
	static struct options options;
	int result = options_read(&options, argc, argv);

	if (result != 0) {
		return result > 0 ? EXIT_SUCCESS : PROGRAM_FAILED;
	}
	log_init("virtio-gpu-run", NULL, options.log_level);
	if (options.print_env) {
		program_environment(&options, options.listen ? options.listen : VTEST_DEFAULT_PATH,
			print_variable);
		return EXIT_SUCCESS;
	}
	return options.listen ? serve_others(&options) : run_program(&options);
}
