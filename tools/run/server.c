/* SPDX-License-Identifier: MIT */
#include "run/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "run/client.h"

static int make_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path)) {
		log_error("%s: longer than the %zu bytes of a socket's path", path,
			sizeof(address->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address->sun_path, path);
	return 0;
}

/* Removes a socket that nobody listens at. */
static int remove_stale(const struct sockaddr_un *address)
{
	struct stat status;
	int fd, error;

	if (lstat(address->sun_path, &status) < 0) {
		return 0;
	}
	if (!S_ISSOCK(status.st_mode)) {
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	error = connect(fd, (const void *)address, sizeof(*address)) == 0 ? EADDRINUSE : errno;
	fd_close(&fd);
	if (error != ECONNREFUSED) {
		return -error;
	}
	return unlink(address->sun_path) < 0 ? -errno : 0;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int error = bind(fd, (const void *)address, sizeof(*address)) < 0 ? -errno : 0;

	umask(before);
	return error;
}

int server_open(struct server *server, const char *path, const struct options *options)
{
	struct sockaddr_un address;
	int error = make_address(&address, path);

	*server = (struct server){ .options = options, .listener = -1 };
	if (error < 0) {
		return error;
	}
	error = remove_stale(&address);
	if (error == 0) {
		server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		error = server->listener < 0 ? -errno : bind_private(server->listener, &address);
	}
	if (error == 0) {
		strcpy(server->path, path);
		error = listen(server->listener, SOMAXCONN) < 0 ? -errno : 0;
	}
	if (error < 0) {
		log_error("cannot listen at %s: %s", path, strerror(-error));
		server_close(server);
	}
	return error;
}

void server_close(struct server *server)
{
	fd_close(&server->listener);
	if (server->path[0]) {
		unlink(server->path);
		server->path[0] = '\0';
	}
}

/* Whoever has our rights anyway, and root. */
static bool is_welcome(int fd)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		return false;
	}
	if (peer.uid != geteuid() && peer.uid != 0) {
		log_warn("a client of user %u is turned away: only user %u may connect",
			(unsigned int)peer.uid, (unsigned int)geteuid());
		return false;
	}
	return true;
}

/* virtio-gpud beside this program, as in a build folder and after an install; else by PATH. */
static const char *find_daemon(char path[static 4096])
{
	ssize_t len = readlink("/proc/self/exe", path, 4000);
	char *slash;

	path[len > 0 ? len : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		strcpy(slash + 1, "virtio-gpud");
		if (access(path, X_OK) == 0) {
			return path;
		}
	}
	return "virtio-gpud";
}

static int start_device(struct device *device, const struct options *options)
{
	static char fd_option[] = "--fd=%s";
	static char gl_option[] = "--capset=virgl";
	static char vulkan_option[] = "--capset=venus";
	static char both_option[] = "--capset=virgl,venus";
	static char level_option[32];
	static char path[4096];
	char *words[OPTIONS_DAEMON_WORDS + 6] = { NULL };
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	size_t count = 0;

	if (options->daemon) {
		return device_connect(device, options->daemon);
	}
	snprintf(level_option, sizeof(level_option), "--log-level=%s", levels[options->log_level]);
	words[count++] = options->daemon_program ? (char *)options->daemon_program
						 : (char *)find_daemon(path);
	words[count++] = fd_option;
	words[count++] = !options->vulkan ? gl_option : options->gl ? both_option : vulkan_option;
	words[count++] = level_option;
	for (uint32_t i = 0; i < options->daemon_option_count; i++) {
		words[count++] = options->daemon_options[i];
	}
	return device_start(device, words);
}

/* Small files that a client shares stay open to be used again, see resource.h. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* The new process: one client, then the end. */
static _Noreturn void serve(int fd, const struct options *options)
{
	static struct device device;
	sigset_t none;
	int error;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_IGN); // the terminal's; the client decides
	allow_descriptors();
	error = start_device(&device, options);
	if (error == 0) {
		device.spin_us = options->spin_us;
		error = client_serve(fd, &device, options->max_memory);
	}
	close(fd);
	device_stop(&device);
	exit(error < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

void server_accept(struct server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t pid;

	if (fd < 0) {
		return;
	}
	if (!is_welcome(fd)) {
		close(fd);
		return;
	}
	if (server->clients >= server->options->max_clients) {
		log_warn("a client is turned away: there are %u (--max-clients)", server->clients);
		close(fd);
		return;
	}
	server->served++;
	pid = fork();
	if (pid == 0) {
		fd_close(&server->listener);
		serve(fd, server->options);
	}
	if (pid < 0) {
		log_error("cannot start a process for a client: %s", strerror(errno));
	} else {
		server->clients++;
	}
	close(fd);
}
