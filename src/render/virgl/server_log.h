/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_SERVER_LOG_H
#define RENDER_VIRGL_SERVER_LOG_H

/*
 * What the render server and its processes say on stderr, in the daemon's log. A guest can make them say a lot, and
 * chooses some of the words: lines are bounded, printable, and left out when there are many. Nobody waits for
 * a log that is slow: what does not fit into the pipe is lost.
 */

#include "base/loop.h"

struct virgl_server_log;

/* Returns NULL on failure (logged). */
struct virgl_server_log *virgl_server_log_create(struct loop *loop);
void virgl_server_log_destroy(struct virgl_server_log *log); // writes what is there; NULL is fine

/* What a program is to have as its stderr; borrowed. */
int virgl_server_log_fd(const struct virgl_server_log *log);

#endif
