/* SPDX-License-Identifier: MIT */
#include "daemon/setup.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/loop.h"
#include "daemon/commands.h"
#include "daemon/control.h"
#include "daemon/endpoint.h"
#include "daemon/server.h"
#include "daemon/systemd.h"

/*
 * The modes that the socket files may have at most. Who reaches the vhost-user socket is a VM; the
 * umask or --socket-group decides whether a group may. Who reaches the control socket sees the
 * guest's screen, so a VMM's group has no business there.
 */
#define SOCKET_MODE_MASK  0660
#define CONTROL_MODE_MASK 0600

struct setup {
	const struct options *options;
	char name[OPTIONS_NAME_MAX + 1];
	struct loop *loop;
	struct virgl *virgl; // NULL: a 2D device
	struct loop_signal *terminate;
	struct loop_signal *interrupt;
	struct endpoint endpoint;
	struct endpoint control_endpoint;
	struct server *server;
	struct control *control;
};

static void handle_signal(void *data)
{
	struct setup *setup = data;

	log_info("told to end by a signal");
	loop_stop(setup->loop);
}

static void handle_ended(void *data)
{
	struct setup *setup = data;

	loop_stop(setup->loop);
}

/* Returns 0, or -errno (logged), and the descriptor that the service manager passed, or -1. */
static int take_passed_socket(const struct options *options, int *fd)
{
	int count = systemd_take_socket(fd);

	if (count < 0) {
		return count;
	}
	if (count == 0) {
		*fd = -1;
		return 0;
	}
	if (options->socket_path || options->fd >= 0) {
		log_error("systemd passed a socket and %s is given too: leave one of them out",
			options->socket_path ? "--socket-path" : "--fd");
		return -EINVAL;
	}
	if (options->socket_group != ENDPOINT_ANY_GROUP) {
		log_error(
			"systemd passed a socket, and --socket-group has no use with its file: leave it "
			"out, and put SocketGroup= into the socket unit");
		return -EINVAL;
	}
	return 0;
}

static int open_endpoint(struct setup *setup)
{
	const struct options *options = setup->options;
	char what[32];
	int passed;
	int result = take_passed_socket(options, &passed);

	if (result < 0) {
		return result;
	}
	if (passed >= 0) {
		return endpoint_adopt(&setup->endpoint, passed, "the socket from systemd");
	}
	if (options->fd >= 0) {
		snprintf(what, sizeof(what), "--fd=%d", options->fd);
		return endpoint_adopt(&setup->endpoint, options->fd, what);
	}
	if (options->socket_path) {
		return endpoint_listen(&setup->endpoint, options->socket_path, SOCKET_MODE_MASK,
			options->socket_group);
	}
	log_error("no socket to serve: give --socket-path=PATH or --fd=N ('virtio-gpud --help')");
	return -EINVAL;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void set_name(struct setup *setup, const char *name)
{
	snprintf(setup->name, sizeof(setup->name), "%.*s", OPTIONS_NAME_MAX, name);
	for (char *c = setup->name; *c; c++) {
		if (iscntrl((unsigned char)*c)) {
			*c = '?';
		}
	}
	log_init("virtio-gpud", setup->name, setup->options->log_level);
}

/* The name before the socket is open, so that what goes wrong there has it already. */
static void choose_name(struct setup *setup)
{
	const struct options *options = setup->options;
	char name[32];

	if (options->name) {
		set_name(setup, options->name);
	} else if (options->socket_path) {
		set_name(setup, last_part(options->socket_path));
	} else {
		snprintf(name, sizeof(name), "fd-%d", options->fd >= 0 ? options->fd : 3);
		set_name(setup, name);
	}
}

/* A socket that was passed may have a file, whose name is better than the descriptor's number. */
static void improve_name(struct setup *setup)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];

	if (setup->options->name || setup->options->socket_path || !setup->endpoint.listening) {
		return;
	}
	endpoint_bound_path(&setup->endpoint, path, sizeof(path));
	if (*last_part(path)) {
		set_name(setup, last_part(path));
	}
}

static int open_control(struct setup *setup)
{
	const char *path = setup->options->control_path;
	int result;

	if (!path) {
		return 0;
	}
	result = endpoint_listen(
		&setup->control_endpoint, path, CONTROL_MODE_MASK, ENDPOINT_ANY_GROUP);
	if (result < 0) {
		return result;
	}
	setup->control = control_create(
		setup->loop, setup->control_endpoint.socket, commands_handle, setup->server);
	return setup->control ? 0 : -ENOMEM;
}

static int open_loop(struct setup *setup)
{
	setup->loop = loop_create();
	if (!setup->loop) {
		return -ENOMEM;
	}
	/* Before any file is made: a signal from here on removes them again. */
	setup->terminate = loop_add_signal(setup->loop, SIGTERM, handle_signal, setup);
	setup->interrupt = loop_add_signal(setup->loop, SIGINT, handle_signal, setup);
	return setup->terminate && setup->interrupt ? 0 : -ENOMEM;
}

/* Before any socket is there: what is asked for and impossible ends the start, early. */
static int open_virgl(struct setup *setup)
{
	const struct virgl_config *render = &setup->options->render;

	if (!render->gl && !render->vulkan) {
		return 0;
	}
	setup->virgl = virgl_open(setup->loop, render);
	return setup->virgl ? 0 : -ENODEV;
}

static int open_server(struct setup *setup)
{
	struct server_config config = {
		.name = setup->name,
		.once = setup->options->once,
		.bridge = setup->options->bridge,
	};

	config.bridge.virgl = setup->virgl;
	setup->server = server_create(setup->loop, &config, handle_ended, setup);
	return setup->server ? 0 : -ENOMEM;
}

static int start_serving(struct setup *setup)
{
	int socket = setup->endpoint.socket;

	if (setup->endpoint.listening) {
		return server_listen(setup->server, socket);
	}
	setup->endpoint.socket = -1;
	return server_serve(setup->server, socket);
}

static void log_offer(const struct setup *setup)
{
	const struct bridge_config *bridge = &setup->options->bridge;
	const struct virgl_config *render = &setup->options->render;

	log_info("%s %s: 2D%s%s; display headless, %u output%s of %ux%u, unless the VMM brings its "
		 "own%s%s%s%s",
		PROJECT_VERSION, setup->endpoint.listening ? "listens" : "serves one VM",
		setup->virgl ? ", " : "", setup->virgl ? virgl_description(setup->virgl) : "",
		bridge->outputs, bridge->outputs == 1 ? "" : "s", bridge->width, bridge->height,
		render->gl && render->vulkan ? "" : "; not offered: ",
		render->gl ? "" : "OpenGL (--capset=virgl)",
		render->gl || render->vulkan ? "" : ", ",
		render->vulkan ? "" : "Vulkan (--capset=venus)");
}

static int open_all(struct setup *setup)
{
	int result = open_loop(setup);

	if (result == 0) {
		result = open_virgl(setup);
	}
	if (result == 0) {
		result = open_endpoint(setup);
	}
	if (result == 0) {
		improve_name(setup);
		result = open_server(setup);
	}
	if (result == 0) {
		result = open_control(setup);
	}
	if (result == 0) {
		log_offer(setup);
		result = start_serving(setup);
	}
	return result;
}

static void close_all(struct setup *setup)
{
	control_destroy(setup->control);
	server_destroy(setup->server);
	endpoint_finish(&setup->control_endpoint);
	endpoint_finish(&setup->endpoint);
	virgl_close(setup->virgl);
	loop_remove_signal(setup->terminate);
	loop_remove_signal(setup->interrupt);
	loop_destroy(setup->loop);
}

int setup_and_run(const struct options *options)
{
	struct setup setup = {
		.options = options,
		.endpoint = ENDPOINT_INIT,
		.control_endpoint = ENDPOINT_INIT,
	};
	int result;

	choose_name(&setup);
	result = open_all(&setup);
	if (result == 0) {
		systemd_notify("READY=1");
		loop_run(setup.loop);
		systemd_notify("STOPPING=1");
	}
	close_all(&setup);
	return result;
}
