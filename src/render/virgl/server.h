/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_SERVER_H
#define RENDER_VIRGL_SERVER_H

/*
 * virglrenderer's render server: a program that runs the Vulkan driver, in a process for each context. A
 * driver that crashes takes its context along, and nobody else.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

struct virgl_server;

struct virgl_server_config {
	const char *path; // of the program; NULL: where distributions put it
	const char *driver; // an ICD's JSON file; NULL: whatever the Vulkan loader finds
	const char *layer; // the folder of the memory layer's JSON file; NULL: without the layer
	bool overrule; // the layer acts also for drivers that say that they need none
	uint64_t
		max_memory; // bytes of Vulkan for all contexts, which the layer sees to; 0: no limit
};

/* The program that would be started: config's, or the one that is found. NULL: there is none. */
const char *virgl_server_find(const struct virgl_server_config *config);

/* Says that there is none, and what to do. Returns -ENOENT. */
int virgl_server_complain(const struct virgl_server_config *config);

/* Makes it ready to start; only config's layer is copied, the rest is borrowed. Returns NULL on failure (logged). */
struct virgl_server *virgl_server_create(
	struct loop *loop, const struct virgl_server_config *config);
void virgl_server_destroy(struct virgl_server *server); // ends the program; NULL is fine

/* Starts the program; it must not run. Returns a connected socket (SOCK_SEQPACKET), the caller's, or -errno (logged). */
int virgl_server_start(struct virgl_server *server);

/* Gives this process, a child for trials, what the program would have in its environment. Returns 0 or -errno. */
int virgl_server_imitate(const struct virgl_server_config *config);

/* Is there a limit on Vulkan memory? */
bool virgl_server_has_limit(const struct virgl_server *server);

bool virgl_server_is_running(struct virgl_server *server);

/* For one that seems to end: waits for that, at most for half a second. */
void virgl_server_wait(const struct virgl_server *server);

/* Its pidfd, borrowed; -1: it does not run, or the system has none. */
int virgl_server_process(const struct virgl_server *server);

/* The process that it forked last; 0: none, or the system does not tell. */
pid_t virgl_server_last_child(const struct virgl_server *server);

#endif
