/* SPDX-License-Identifier: MIT */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include <jansson.h>

/*
 * Asks the daemon behind a control socket: sends request (borrowed) as a line and waits for the
 * answer. Returns the answer's object (a new reference), or NULL (a message was printed). fd gets
 * the descriptor that came along, the caller's, or -1.
 */
json_t *client_ask(const char *path, const json_t *request, int *fd);

#endif
