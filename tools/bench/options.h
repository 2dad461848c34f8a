/* SPDX-License-Identifier: MIT */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

/* The command line of `virtio-gpu-bench transport`, `gl` and `vulkan`. */

#include <stdbool.h>
#include <stddef.h>

enum options_limits {
	OPTIONS_BACKENDS = 8,
	OPTIONS_COMMAND_SIZE = 2048,
};

struct options_backend {
	char name[32];
	char command[OPTIONS_COMMAND_SIZE]; // with %s for a socket's path or descriptor
	bool guest; // vulkan: command is a socket's path, at the other end of which a guest's worker reads
};

/* Of `vulkan` alone. NULL: the Vulkan loader, or the server, decides. */
struct options_vulkan {
	const char *driver; // JSON file of the machine's Vulkan driver
	const char *client_driver; // of Mesa's virtio driver, which speaks to back ends
	const char *layer; // folder of the memory layer's JSON file
	const char *render_server;
	const char *daemon; // command of a daemon with Venus, with %s for its socket; NULL: ours
	const char *worker; // words before `vulkan-worker'; NULL: this program
	const char *guest; // NAME=SOCKET; NULL: none
};

struct options {
	struct options_backend backends[OPTIONS_BACKENDS];
	size_t backend_count;
	int driver_cpu; // -1: not pinned
	int backend_cpu;
	int display_cpu; // gl, vulkan: the back end's second
	int rounds;
	double seconds_per_cell;
	long operations; // so many in each cell, however long it takes; 0: by time
	bool poll; // also rows in which the driver looks at the used ring instead of sleeping
	bool bars;
	const char *json; // file; NULL: none
	const char *only; // run rows whose name contains this; NULL: all
	const char *note; // for the header; NULL: none
	struct options_vulkan vulkan;
	char default_daemon
		[OPTIONS_COMMAND_SIZE]; // vulkan.daemon, when it is not given and ours is there
};

/* What differs between the commands. */
struct options_kind {
	const char *command; // argv[0]
	const char *usage;
	const char *program; // ours, beside this one, when no back end is given
	const char *arguments; // its own
	const char *reference; // a whole command line likewise; NULL: none
	bool vulkan; // has the options of struct options_vulkan
};

extern const struct options_kind options_of_transport;
extern const struct options_kind options_of_gl;
extern const struct options_kind options_of_vulkan;

/*
 * Reads the arguments behind argv[0]; without --backend, fills in the daemon next to the program and
 * the reference where they exist. Says on stderr what is wrong. Returns 0, 1 after --help, -EINVAL.
 */
int options_read(struct options *options, const struct options_kind *kind, int argc, char **argv);

#endif
