/* SPDX-License-Identifier: MIT */
#ifndef RUN_OPTIONS_H
#define RUN_OPTIONS_H

/* The command line of virtio-gpu-run. */

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

enum options_limits {
	OPTIONS_DAEMON_WORDS = 32,
	OPTIONS_CLIENTS_MAX = 1024,
};

struct options {
	char **program; // argv of the program; NULL: none
	const char *listen; // socket to serve for others; NULL: none
	bool print_env;
	bool gl; // OpenGL by VirGL
	bool vulkan; // Vulkan by Venus; one of the two at least
	const char *
		client_driver; // JSON file of the program's Vulkan driver; NULL: where Mesa puts it
	const char *daemon; // socket of a running daemon; NULL: one of our own for each client
	const char *daemon_program; // path of virtio-gpud; NULL: beside us, or found by PATH
	char *daemon_options[OPTIONS_DAEMON_WORDS + 1]; // handed on, NULL at the end
	uint32_t daemon_option_count;
	uint64_t max_memory; // bytes, of each client
	uint32_t max_clients; // at a time
	uint32_t spin_us; // look so long before sleeping
	bool has_poll_us; // the daemon's --poll-us was given
	bool no_namespace;
	enum log_level log_level;
};

/* Returns 0; 1: all is said and done; -EINVAL: said on stderr. Values point into argv. */
int options_read(struct options *options, int argc, char **argv);

#endif
