/* SPDX-License-Identifier: MIT */
#include "daemon/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"

/*
 * How this works
 *
 * One VM is served at a time. Who connects meanwhile is accepted and held for WAIT_MS: a VMM that
 * was killed and started anew may be here before the end of the old connection was seen. Then it is
 * closed with a log line: QEMU talks to its back end before it starts anything and waits for ever,
 * so one that stayed in the backlog would hang without a word, while a closed one exits with an
 * error. While somebody is held, or when accept() fails for lack of descriptors, the listening
 * socket is not watched.
 *
 * A connection that went without a single message was no VM: a probe does not make --once end.
 */

#define WAIT_MS 1000

struct server {
	struct loop *loop;
	struct server_config config;
	int listener; // borrowed; -1 when serving one connection
	struct loop_fd *source;
	struct loop_timer *wait; // ends the holding, or the pause of accept()
	int held; // a connection that waits for its turn; -1
	struct bridge *bridge;
	struct server_stats stats;
	server_ended_fn ended;
	void *data;
};

static void watch(struct server *server, bool on)
{
	if (server->source) {
		loop_fd_set_events(server->source, on ? LOOP_READABLE : 0);
	}
}

static void serve_held(struct server *server);

static void handle_closed(void *data)
{
	struct server *server = data;
	bool was_vm = bridge_stats(server->bridge).session.messages > 0;

	log_info(was_vm ? "the VM is gone" : "a connection went without a message");
	bridge_destroy(server->bridge);
	server->bridge = NULL;
	if (!was_vm) {
		server->stats.served--;
	}
	if (server->listener < 0 || (was_vm && server->config.once)) {
		server->ended(server->data);
	} else if (server->held >= 0) {
		serve_held(server);
	}
}

static int serve(struct server *server, int socket)
{
	assert(!server->bridge);
	/* Logged first: from within bridge_create come lines about the connection. */
	log_info("a VM connects");
	server->bridge = bridge_create(
		server->loop, socket, &server->config.bridge, handle_closed, server);
	if (!server->bridge) {
		return -ENOMEM;
	}
	server->stats.served++;
	return 0;
}

static void serve_held(struct server *server)
{
	int socket = server->held;

	server->held = -1;
	loop_timer_stop(server->wait);
	watch(server, true);
	serve(server, socket);
}

static void handle_wait_ended(void *data)
{
	struct server *server = data;

	if (server->held >= 0) {
		log_warn(
			"refused a second connection: a VM is served, and one daemon serves one VM");
		server->stats.refused++;
		fd_close(&server->held);
	}
	watch(server, true);
}

static void pause_accepting(struct server *server)
{
	watch(server, false);
	loop_timer_start(server->wait, WAIT_MS);
}

static void handle_connection(void *data, int events)
{
	struct server *server = data;
	int socket = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (socket < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			log_errno(LOG_WARN, errno,
				"cannot accept a connection, trying again in %d ms", WAIT_MS);
			pause_accepting(server);
		}
		return;
	}
	if (server->bridge) {
		server->held = socket;
		pause_accepting(server);
	} else {
		serve(server, socket);
	}
}

struct server *server_create(
	struct loop *loop, const struct server_config *config, server_ended_fn ended, void *data)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server) {
		log_error("no memory to serve anybody");
		return NULL;
	}
	server->loop = loop;
	server->config = *config;
	server->listener = -1;
	server->held = -1;
	server->ended = ended;
	server->data = data;
	server->wait = loop_add_timer(loop, handle_wait_ended, server);
	if (!server->wait) {
		free(server);
		return NULL;
	}
	return server;
}

void server_destroy(struct server *server)
{
	if (!server) {
		return;
	}
	bridge_destroy(server->bridge);
	fd_close(&server->held);
	loop_remove_fd(server->source);
	loop_remove_timer(server->wait);
	free(server);
}

int server_listen(struct server *server, int socket)
{
	server->listener = socket;
	server->source = loop_add_fd(
		server->loop, socket, LOOP_READABLE, handle_connection, server);
	return server->source ? 0 : -ENOMEM;
}

int server_serve(struct server *server, int socket)
{
	return serve(server, socket);
}

const struct server_config *server_config(const struct server *server)
{
	return &server->config;
}

struct bridge *server_bridge(const struct server *server)
{
	return server->bridge;
}

struct server_stats server_stats(const struct server *server)
{
	return server->stats;
}
