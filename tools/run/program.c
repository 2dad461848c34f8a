/* SPDX-License-Identifier: MIT */
#include "run/program.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
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

/* Mesa's Vulkan driver for virtio-gpu, one file for each architecture. */
#define MESA_VULKAN PROGRAM_ICD_FOLDER "/virtio_icd.*.json"

/* The files, with colons between them. Returns 0 or -ENOENT. */
static int find_client_driver(const struct options *options, char *files, size_t size)
{
	size_t len = 0;
	glob_t found;

	if (options->client_driver) {
		snprintf(files, size, "%s", options->client_driver);
		return access(options->client_driver, R_OK) == 0 ? 0 : -ENOENT;
	}
	if (glob(MESA_VULKAN, 0, NULL, &found) != 0) {
		return -ENOENT;
	}
	files[0] = '\0';
	for (size_t i = 0; i < found.gl_pathc && len < size; i++) {
		len += (size_t)snprintf(
			files + len, size - len, "%s%s", i > 0 ? ":" : "", found.gl_pathv[i]);
	}
	globfree(&found);
	return len < size ? 0 : -ENOENT;
}

int program_check(const struct options *options)
{
	char files[4096];

	if (!options->vulkan || find_client_driver(options, files, sizeof(files)) == 0) {
		return 0;
	}
	if (options->client_driver) {
		log_errno(LOG_ERROR, errno, "--client-driver=%s", options->client_driver);
	} else {
		log_error("there is no Vulkan driver for the program (" MESA_VULKAN
			  "): install mesa-vulkan-drivers of Debian 13, of bookworm-backports, or "
			  "the like, or name the driver's file with --client-driver");
	}
	return -ENOENT;
}

static void gl_environment(void (*set)(const char *name, const char *value))
{
	set("GALLIUM_DRIVER", "virpipe");
	set("LIBGL_ALWAYS_SOFTWARE",
		"1"); // the only road in Mesa's loader that asks for GALLIUM_DRIVER
	/* Where a vendor's GL is installed, too, glvnd would take that. */
	set("__GLX_VENDOR_LIBRARY_NAME", "mesa");
	if (access(MESA_EGL, R_OK) == 0) {
		set("__EGL_VENDOR_LIBRARY_FILENAMES", MESA_EGL);
	}
}

/* Adds a word to a list with commas, which may be NULL; a list that is too long is given up. */
static void add_word(const char *list, const char *word, char *result, size_t size)
{
	if (!list || !*list) {
		snprintf(result, size, "%s", word);
	} else if (strstr(list, word)) {
		snprintf(result, size, "%s", list);
	} else if ((size_t)snprintf(result, size, "%s,%s", list, word) >= size) {
		snprintf(result, size, "%s", word);
	}
}

/* The Vulkan loader knows the first name since 1.3.207, and the second one still. */
static void vulkan_environment(
	const struct options *options, void (*set)(const char *name, const char *value))
{
	char files[4096];
	char debug[256];

	add_word(getenv("VN_DEBUG"), "vtest", debug, sizeof(debug));
	set("VN_DEBUG", debug);
	if (find_client_driver(options, files, sizeof(files)) == 0) {
		set("VK_DRIVER_FILES", files);
		set("VK_ICD_FILENAMES", files);
	}
}

void program_environment(const struct options *options, const char *socket_path,
	void (*set)(const char *name, const char *value))
{
	set("VTEST_SOCKET_NAME", socket_path);
	if (options->gl) {
		gl_environment(set);
	}
	if (options->vulkan) {
		vulkan_environment(options, set);
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
static _Noreturn void become(
	const struct options *options, const char *socket_path, int namespace_pipe)
{
	char **argv = options->program;
	sigset_t none;

	if (namespace_pipe >= 0) {
		int error = enter_namespace(socket_path);

		(void)!write(namespace_pipe, &error, sizeof(error));
		close(namespace_pipe);
	}
	program_environment(options, socket_path, set_variable);
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

pid_t program_start(const struct options *options, const char *socket_path, bool *has_namespace)
{
	int ends[2] = { -1, -1 };
	pid_t pid;

	*has_namespace = false;
	if (!options->no_namespace && pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	pid = fork();
	if (pid == 0) {
		become(options, socket_path, ends[1]);
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
