/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_ENDPOINT_H
#define DAEMON_ENDPOINT_H

/* A unix stream socket at which the daemon is reached, and the file that it made for it. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct endpoint {
	int socket; // non-blocking, close-on-exec; -1 when given away
	bool listening; // else connected
	char *path; // of the file that we made; NULL when there is none to remove
	dev_t device; // of that file, to know it again
	ino_t inode;
};

#define ENDPOINT_INIT { .socket = -1 }

/* The group that the file gets of itself: this process's, or its folder's. */
#define ENDPOINT_ANY_GROUP ((gid_t)(-1))

/*
 * Makes a listening socket whose file only the modes of mode_mask may touch (the umask applies
 * too). With a group the file belongs to it and has mode mode_mask, whatever the umask; nobody can
 * connect before that is so. A socket file that nobody listens on is replaced. Returns 0 or -errno
 * (logged).
 */
int endpoint_listen(struct endpoint *endpoint, const char *path, mode_t mode_mask, gid_t group);

/*
 * Takes an open socket (takes it also on failure), listening or connected; what says in messages
 * where it came from. Returns 0 or -errno (logged).
 */
int endpoint_adopt(struct endpoint *endpoint, int socket, const char *what);

/* Closes the socket, and removes the file if it is still the one that we made. */
void endpoint_finish(struct endpoint *endpoint);

/* The path that the socket is bound to, in buffer; empty when to none. */
void endpoint_bound_path(const struct endpoint *endpoint, char *buffer, size_t size);

#endif
