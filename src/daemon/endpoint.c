/* SPDX-License-Identifier: MIT */
#include "daemon/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/*
 * How this works
 *
 * A socket file outlives the process that made it, so one may lie in the way. connect() tells a
 * stale one (ECONNREFUSED) from a live one. The probe is a datagram socket: the kernel looks for
 * the socket behind the file before it compares the types, so a live stream socket answers
 * EPROTOTYPE and its owner never sees a connection. (A connection would make a back end with --once
 * exit.)
 *
 * bind() makes the file and listen() lets clients in: until then connect() fails for everybody. So
 * the file gets its group between the two, and no other group can slip in.
 */

/* One VM is served at a time; a second one waits here until it is accepted. */
#define BACKLOG 16

static int make_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path)) {
		log_error(
			"%s: the path has %zu bytes, a unix socket's path at most %zu: use a shorter one",
			path, strlen(path), sizeof(address->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address->sun_path, path);
	return 0;
}

/* Returns 0 when somebody is behind the file, -ECONNREFUSED when nobody is, or another -errno. */
static int probe(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = 0;

	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		result = errno == EPROTOTYPE ? 0 : -errno;
	}
	fd_close(&fd);
	return result;
}

/* Clears the way for bind(). Returns 0 or -errno (logged). */
static int remove_stale_file(const struct sockaddr_un *address)
{
	const char *path = address->sun_path;
	struct stat status;
	int result;

	if (lstat(path, &status) < 0) {
		return 0; // bind says what else is wrong
	}
	if (!S_ISSOCK(status.st_mode)) {
		log_error("%s: is there and is no socket: remove it or choose another path", path);
		return -EEXIST;
	}
	result = probe(address);
	if (result == 0) {
		log_error("%s: another process listens there: end it or choose another path", path);
		return -EADDRINUSE;
	}
	if (result != -ECONNREFUSED) {
		log_errno(LOG_ERROR, -result, "%s: cannot find out whether somebody listens there",
			path);
		return result;
	}
	if (unlink(path) < 0) {
		result = -errno;
		log_errno(LOG_ERROR, errno, "%s: cannot remove the stale socket file", path);
		return result;
	}
	log_info("%s: replaced a stale socket file", path);
	return 0;
}

static int make_file(
	struct endpoint *endpoint, const struct sockaddr_un *address, mode_t mode_mask, gid_t group)
{
	mode_t old_mask = umask(0);
	mode_t kept_mask = group == ENDPOINT_ANY_GROUP ? old_mask : 0;
	int result;

	/* The umask gives the file its mode from the first moment on; chmod would come late. */
	umask(kept_mask | (~mode_mask & 0777));
	result = bind(endpoint->socket, (const struct sockaddr *)address, sizeof(*address));
	umask(old_mask);
	return result < 0 ? -errno : 0;
}

/*
 * Returns 0 or -errno (logged). Not by setegid() around bind(): that takes no supplementary group,
 * and a folder with the setgid bit overrides it. Follows no link that somebody put there.
 */
static int give_file(const char *path, gid_t group)
{
	int result;

	if (group == ENDPOINT_ANY_GROUP || lchown(path, (uid_t)-1, group) == 0) {
		return 0;
	}
	result = -errno;
	if (result == -EPERM) {
		log_error("%s: cannot be given to group %u: this process must run as root or as a "
			  "member of the group (a new member is one from the next login on)",
			path, group);
	} else {
		log_errno(LOG_ERROR, -result, "%s: cannot be given to group %u", path, group);
	}
	return result;
}

/* Remembers the file, so that endpoint_finish removes that one and no other. */
static int remember_file(struct endpoint *endpoint, const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0) {
		return -errno;
	}
	endpoint->device = status.st_dev;
	endpoint->inode = status.st_ino;
	endpoint->path = strdup(path);
	return endpoint->path ? 0 : -ENOMEM;
}

/* Returns 0 or -errno (logged). */
static int open_socket(
	struct endpoint *endpoint, const struct sockaddr_un *address, mode_t mode_mask, gid_t group)
{
	const char *path = address->sun_path;
	int result;

	endpoint->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	result = endpoint->socket < 0 ? -errno : make_file(endpoint, address, mode_mask, group);
	if (result == 0) {
		result = remember_file(endpoint, path);
	}
	if (result < 0) {
		log_errno(LOG_ERROR, -result, "%s: cannot make the socket", path);
	}
	return result;
}

/* Returns 0 or -errno (logged). */
static int let_in(struct endpoint *endpoint)
{
	int result = listen(endpoint->socket, BACKLOG) < 0 ? -errno : 0;

	if (result < 0) {
		log_errno(LOG_ERROR, -result, "%s: cannot listen", endpoint->path);
	}
	endpoint->listening = result == 0;
	return result;
}

int endpoint_listen(struct endpoint *endpoint, const char *path, mode_t mode_mask, gid_t group)
{
	struct sockaddr_un address;
	int result;

	*endpoint = (struct endpoint)ENDPOINT_INIT;
	result = make_address(&address, path);
	if (result == 0) {
		result = remove_stale_file(&address);
	}
	if (result == 0) {
		result = open_socket(endpoint, &address, mode_mask, group);
	}
	if (result == 0) {
		result = give_file(path, group);
	}
	if (result == 0) {
		result = let_in(endpoint);
	}
	if (result < 0) {
		endpoint_finish(endpoint);
	}
	return result;
}

static int socket_option(int socket, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(socket, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static bool is_connected(int socket)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);

	return getpeername(socket, (struct sockaddr *)&peer, &len) == 0;
}

int endpoint_adopt(struct endpoint *endpoint, int socket, const char *what)
{
	*endpoint = (struct endpoint){ .socket = socket };
	if (fcntl(socket, F_GETFD) < 0) {
		log_error(
			"%s: not open: the process that starts this one must leave it open", what);
		endpoint->socket = -1;
		return -EBADF;
	}
	if (socket_option(socket, SO_DOMAIN) != AF_UNIX ||
		socket_option(socket, SO_TYPE) != SOCK_STREAM) {
		log_error("%s: not a unix stream socket", what);
		endpoint_finish(endpoint);
		return -ENOTSOCK;
	}
	endpoint->listening = socket_option(socket, SO_ACCEPTCONN) == 1;
	if (!endpoint->listening && !is_connected(socket)) {
		log_error("%s: the socket is neither connected nor listening", what);
		endpoint_finish(endpoint);
		return -ENOTCONN;
	}
	fcntl(socket, F_SETFD, FD_CLOEXEC);
	return fd_set_nonblocking(socket);
}

void endpoint_finish(struct endpoint *endpoint)
{
	struct stat status;

	fd_close(&endpoint->socket);
	if (endpoint->path && lstat(endpoint->path, &status) == 0 &&
		status.st_dev == endpoint->device && status.st_ino == endpoint->inode) {
		unlink(endpoint->path);
	}
	free(endpoint->path);
	endpoint->path = NULL;
}

void endpoint_bound_path(const struct endpoint *endpoint, char *buffer, size_t size)
{
	struct sockaddr_un address = { 0 };
	socklen_t len = sizeof(address);

	buffer[0] = '\0';
	/* sun_path need not end in a zero byte (unix(7)). */
	if (getsockname(endpoint->socket, (struct sockaddr *)&address, &len) == 0) {
		snprintf(buffer, size, "%.*s", (int)sizeof(address.sun_path), address.sun_path);
	}
}
