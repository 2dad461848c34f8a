/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

/*
 * The control socket: clients send lines and get one line back for each (docs/control.md). This
 * file moves lines and descriptors; what they mean is the handler's.
 */

#include <stddef.h>

#include "base/loop.h"

struct control;

/* The answer to one line. */
struct control_reply {
	char *text; // malloc'ed, without a newline; NULL: no memory, and the client is dropped
	int fd; // travels with the answer's first byte; -1 for none
};

/* The reply is taken. line has no newline and no end mark. */
typedef struct control_reply (*control_handle_fn)(void *data, const char *line, size_t len);

/* Serves those who connect to the listening socket (borrowed). Returns NULL on failure (logged). */
struct control *control_create(struct loop *loop, int socket, control_handle_fn handle, void *data);
void control_destroy(struct control *control); // NULL is fine

#define CONTROL_CLIENT_MAX 8 // more are told so and closed
#define CONTROL_LINE_MAX   4096 // bytes of a request, its newline included

#endif
