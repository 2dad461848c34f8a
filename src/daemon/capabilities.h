/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_CAPABILITIES_H
#define DAEMON_CAPABILITIES_H

#include <stdio.h>

/*
 * Answers --print-capabilities: one JSON object (QEMU docs/interop/vhost-user.json,
 * VHostUserBackendCapabilitiesGPU) with only what this build can do on this host. Returns 0 or
 * -errno of writing.
 */
int capabilities_print(FILE *file);

#endif
