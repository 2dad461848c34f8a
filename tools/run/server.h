/* SPDX-License-Identifier: MIT */
#ifndef RUN_SERVER_H
#define RUN_SERVER_H

/*
 * The socket that vtest clients connect to. Each connection is served by a process of its own, with a
 * daemon of its own: clients share neither resources nor limits nor a GL driver's crash.
 */

#include <stdint.h>

#include "run/options.h"

struct server {
	const struct options *options; // borrowed
	int listener; // -1: none
	char path[108];
	uint32_t clients; // processes that serve
	uint32_t served; // connections so far
};

/* Listens at path, mode 0600; a socket there that nobody serves is replaced. Returns 0 or -errno (logged). */
int server_open(struct server *server, const char *path, const struct options *options);

/* Closes and removes the socket. Connections go on. Twice is fine. */
void server_close(struct server *server);

/* Takes a connection, if there is one, and forks for it; does not return in the new process. */
void server_accept(struct server *server);

#endif
