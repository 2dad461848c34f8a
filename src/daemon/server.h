/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

/* Serves VMs, one at a time, from a listening socket or from one connected one. */

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "daemon/bridge.h"

struct server;

struct server_config {
	const char *name; // of the daemon; borrowed
	bool once; // end with the first VM
	struct bridge_config bridge;
};

/*
 * Nothing more will be served: the one connection closed, or the first VM went and --once was
 * given.
 */
typedef void (*server_ended_fn)(void *data);

/* Returns NULL on failure (logged). */
struct server *server_create(
	struct loop *loop, const struct server_config *config, server_ended_fn ended, void *data);
void server_destroy(struct server *server); // NULL is fine

/* Serves those who connect to the socket (borrowed until server_destroy). 0 or -errno (logged). */
int server_listen(struct server *server, int socket);

/* Serves the connected socket (taken, also on failure) and ends with it. 0 or -errno (logged). */
int server_serve(struct server *server, int socket);

const struct server_config *server_config(const struct server *server);

/* The VM served now; NULL when there is none. */
struct bridge *server_bridge(const struct server *server);

struct server_stats {
	uint64_t served; // VMs, the present one included
	uint64_t refused; // connections closed because a VM was being served
};
struct server_stats server_stats(const struct server *server);

#endif
