/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_RESOURCES_H
#define VULKAN_LAYER_RESOURCES_H

/*
 * Buffers and images that are made for memory with a descriptor: the driver makes them for memory of this
 * process, and they need a type of memory that takes it.
 */

#include "vulkan_layer/dispatch.h"

struct command_list resources_commands(void);

void resources_finish(struct device *device);

#endif
