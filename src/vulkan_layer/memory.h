/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_MEMORY_H
#define VULKAN_LAYER_MEMORY_H

/*
 * Memory objects. One that may be exported, or is imported by descriptor, is a memory file that the driver
 * imports as memory of this process; all others go down untouched.
 */

#include "vulkan_layer/dispatch.h"

/* The commands themselves, for a device that is active. */
VKAPI_ATTR VkResult VKAPI_CALL memory_allocate(VkDevice handle, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, VkDeviceMemory *memory);
VKAPI_ATTR void VKAPI_CALL memory_free(
	VkDevice handle, VkDeviceMemory memory_handle, const VkAllocationCallbacks *allocator);

struct command_list memory_commands(void);

/* Drops what the application left; the driver's device is gone. */
void memory_finish(struct device *device);

#endif
