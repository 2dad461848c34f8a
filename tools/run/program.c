/* SPDX-License-Identifier: MIT */
#include "run/program.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "run/vtest.h"

/*
 * How this works
 *
 * Mesa since 23.1 looks for its renderer where VTEST_SOCKET_NAME says, older ones at one path in /tmp only,
 * which all users of the machine share. So the program gets a mount namespace of its own, in which our
 * socket lies over that path. Where the path does not exist an empty file is made to lie it over. Users
 * who are not root need a user namespace for it, with their own number in it.
 */

/* glvnd's description of Mesa's EGL (Debian: libegl-mesa0). */
#define MESA_EGL "/usr/share/glvnd/egl_vendor.d/50_mesa.json"

void program_environment(const char *socket_path, void (*set)(const char *name, const char *value))
{
	set("GALLIUM_DRIVER", "virpipe");
	set("LIBGL_ALWAYS_SOFTWARE",
		"1"); // the only road in Mesa's loader that asks for GALLIUM_DRIVER
	set("VTEST_SOCKET_NAME", socket_path);
	/* Where a vendor's GL is installed, too, glvnd would take that. */
	set("__GLX_VENDOR_LIBRARY_NAME", "mesa");
	if (access(MESA_EGL, R_OK) == 0) {
		set("__EGL_VENDOR_LIBRARY_FILENAMES", MESA_EGL);
	}
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));
	int error = written < 0 ? -errno : 0;

	fd_close(&fd);
	return error;
}

static int enter_user_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];
	int error;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		return -errno;
	}
	snprintf(map, sizeof(map), "%u %u 1", (unsigned int)uid, (unsigned int)uid);
	error = write_file("/proc/self/uid_map", map);
	if (error == 0) {
		error = write_file("/proc/self/setgroups", "deny"); // user_namespaces(7)
	}
	snprintf(map, sizeof(map), "%u %u 1", (unsigned int)gid, (unsigned int)gid);
	return error < 0 ? error : write_file("/proc/self/gid_map", map);
}

static int make_place(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		return errno == EEXIST ? 0 : -errno;
	}
	fd_close(&fd);
	return 0;
}

static int enter_namespace(const char *socket_path)
{
	int error = make_place(VTEST_DEFAULT_PATH);

	if (error < 0) {
		return error;
	}
	error = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 ? 0 : enter_user_namespace();
	if (error < 0) {
		return error;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
		mount(socket_path, VTEST_DEFAULT_PATH, NULL, MS_BIND, NULL) < 0) {
		return -errno;
	}
	return 0;
}

static void set_variable(const char *name, const char *value)
{
	setenv(name, value, 1);
}

/* In the new process. */
static _Noreturn void become(char **argv, const char *socket_path, int namespace_pipe)
{
	sigset_t none;

	if (namespace_pipe >= 0) {
		int error = enter_namespace(socket_path);

		(void)!write(namespace_pipe, &error, sizeof(error));
		close(namespace_pipe);
	}
	program_environment(socket_path, set_variable);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	log_errno(LOG_ERROR, errno, "cannot run %s", argv[0]);
	_exit(errno == ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_RUN);
}

/* Waits for the new process's word. */
static bool entered_namespace(int pipe_fd)
{
	int error = -EPIPE;

	if (read(pipe_fd, &error, sizeof(error)) < 0) {
		error = -errno;
	}
	if (error < 0) {
		log_errno(LOG_INFO, -error, "no namespace for %s", VTEST_DEFAULT_PATH);
	}
	return error == 0;
}

pid_t program_start(char **argv, const char *socket_path, bool wants_namespace, bool *has_namespace)
{
	int ends[2] = { -1, -1 };
	pid_t pid;

	*has_namespace = false;
	if (wants_namespace && pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	pid = fork();
	if (pid == 0) {
		become(argv, socket_path, ends[1]);
	}
	if (pid < 0) {
		pid = -errno;
	}
	fd_close(&ends[1]);
	if (pid > 0 && ends[0] >= 0) {
		*has_namespace = entered_namespace(ends[0]);
	}
	fd_close(&ends[0]);
	return pid;
}

int program_exit_status(int status)
{
	return WIFSIGNALED(status) ? PROGRAM_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}
