/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_COMMANDS_H
#define DAEMON_COMMANDS_H

/* What the lines of the control socket mean: JSON in, JSON out (docs/control.md). */

#include "daemon/control.h"
#include "daemon/server.h"

/* A control_handle_fn; server is the struct server. */
struct control_reply commands_handle(void *server, const char *line, size_t len);

#endif
