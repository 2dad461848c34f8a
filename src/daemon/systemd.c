/* SPDX-License-Identifier: MIT */
#include "daemon/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/values.h"

/* SD_LISTEN_FDS_START of sd_listen_fds(3). */
#define FIRST_FD 3

/* Are the descriptors meant for this process, not for a parent that forgot to clean up? */
static bool listen_pid_is_ours(void)
{
	const char *text = getenv("LISTEN_PID");
	uint64_t pid;

	return text && value_parse_number(text, 1, INT32_MAX, &pid) == 0 && (pid_t)pid == getpid();
}

static int read_socket_count(void)
{
	const char *text = getenv("LISTEN_FDS");
	uint64_t count;

	if (!text || !listen_pid_is_ours()) {
		return 0;
	}
	if (value_parse_number(text, 0, INT32_MAX - FIRST_FD, &count) < 0) {
		log_error("LISTEN_FDS=%s is not a number of descriptors", text);
		return -EINVAL;
	}
	if (count > 1) {
		log_error(
			"systemd passed %s sockets: the socket unit must have one ListenStream= line",
			text);
		return -EINVAL;
	}
	return (int)count;
}

int systemd_take_socket(int *fd)
{
	int count = read_socket_count();

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (count == 1) {
		*fd = FIRST_FD;
		fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC);
	}
	return count;
}

/* Returns the address's length, or 0 when path is none that sd_notify(3) allows. */
static socklen_t make_address(struct sockaddr_un *address, const char *path)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(address->sun_path)) {
		return 0;
	}
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, path, len);
	if (path[0] == '@') {
		/* An abstract name: a zero byte first, and the length says where it ends. */
		address->sun_path[0] = '\0';
	}
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void systemd_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t len;
	int fd;

	if (!path) {
		return;
	}
	len = make_address(&address, path);
	if (!len) {
		log_warn("NOTIFY_SOCKET=%s is no address of a unix socket: systemd is not told",
			path);
		return;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
		sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
			(struct sockaddr *)&address, len) < 0) {
		log_errno(LOG_WARN, errno, "cannot tell %s to NOTIFY_SOCKET=%s", state, path);
	}
	fd_close(&fd);
}
