/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

/* The command line. One table in options.c is the source of what is parsed and of --help. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/log.h"
#include "daemon/bridge.h"
#include "render/virgl/virgl.h"

enum options_action {
	OPTIONS_SERVE,
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_PRINT_CAPABILITIES,
	OPTIONS_LIST_GPUS,
};

/* Strings are borrowed from argv. */
struct options {
	enum options_action action;
	const char *socket_path; // NULL: not given
	gid_t socket_group; // ENDPOINT_ANY_GROUP: not given
	int fd; // -1: not given
	bool once;
	const char *control_path; // NULL: no control socket
	const char *name; // NULL: the socket file's name
	enum log_level log_level;
	struct virgl_config render; // OpenGL and Vulkan: whether and how
	struct bridge_config bridge; // virgl is set when the renderer was opened
};

#define OPTIONS_ERROR_SIZE 512
#define OPTIONS_NAME_MAX   64 // characters of --name: it stands in every log line

/*
 * Reads the command line; a group's name is looked up. Returns 0; or -EINVAL (a mistake) or
 * -ENOTSUP (this build or host cannot do it), and error says what was wrong, where, and what to do.
 * With --print-capabilities nothing else is looked at.
 */
int options_parse(
	struct options *options, int argc, char **argv, char error[static OPTIONS_ERROR_SIZE]);

void options_print_help(FILE *file);

/* The name of an option, by index; NULL after the last. For tests of what documents them. */
const char *options_name(size_t index);

#endif
