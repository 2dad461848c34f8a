/* SPDX-License-Identifier: MIT */
#ifndef RUN_CLIENT_H
#define RUN_CLIENT_H

/* Serves one vtest client with one device, until it hangs up or breaks a rule. */

#include <stdint.h>

#include "run/device.h"

/*
 * socket and device are borrowed; max_bytes bounds the memory that the client shares. Returns 0 when the
 * client hung up between two messages, or -errno (logged): -EPROTO: its own fault.
 */
int client_serve(int socket, struct device *device, uint64_t max_bytes);

#endif
