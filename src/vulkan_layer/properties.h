/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_PROPERTIES_H
#define VULKAN_LAYER_PROPERTIES_H

/* Queries of a GPU: extensions, memory types, and which buffers and images may be in shared memory. */

#include "vulkan_layer/dispatch.h"

/* The extensions that the layer adds, and that no driver below needs to see. */
bool properties_is_added(const char *extension);

struct command_list properties_commands(void);

#endif
