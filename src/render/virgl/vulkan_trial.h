/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_VULKAN_TRIAL_H
#define RENDER_VIRGL_VULKAN_TRIAL_H

/*
 * Tries on a GPU what Venus will do: to have mappable memory of which another process gets a descriptor that it
 * can map. What a driver says of itself is not enough: it speaks of buffers, and means some memory.
 */

#include <vulkan/vulkan.h>

#include "render/virgl/vulkan.h"

struct vulkan_trial {
	PFN_vkGetInstanceProcAddr get_proc;
	VkInstance instance;
	VkPhysicalDevice handle;
};

/* The extensions are filled in; fills in the rest that is about memory. */
void vulkan_try_memory(const struct vulkan_trial *trial, struct vulkan_gpu *gpu);

#endif
