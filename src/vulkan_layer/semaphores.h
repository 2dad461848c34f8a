/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_SEMAPHORES_H
#define VULKAN_LAYER_SEMAPHORES_H

/*
 * Semaphores from sync files (VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT), where the driver has none: NVIDIA's
 * without a DRM node. Mesa's Venus driver has neither swapchains nor Vulkan 1.3 without them.
 *
 * How this works: what is imported is a payload that is signalled, or will be. So the semaphore itself is signalled
 * instead, by a submission to a queue that the layer keeps back for itself: the application sees one less in its
 * family. That leaves the semaphore as an import would, if it was unsignalled before, as Vulkan demands of one
 * that is waited for next.
 */

#include "vulkan_layer/dispatch.h"

/* Returns the family of the queue to keep back, or SEMAPHORES_NO_FAMILY: not needed, or not possible. */
#define SEMAPHORES_NO_FAMILY UINT32_MAX
uint32_t semaphores_choose_family(const struct gpu *gpu);

/* The queues of a new device. */
struct semaphores_queues {
	VkDeviceQueueCreateInfo *infos;
	uint32_t count;
	float *priorities; // of the family that has one more
	uint32_t index; // of that one
};

/* The application's and one more of gpu->signal_family. Returns false when there is no memory. */
bool semaphores_plan_queues(
	const struct gpu *gpu, const VkDeviceCreateInfo *info, struct semaphores_queues *queues);
void semaphores_drop_queues(struct semaphores_queues *queues);

struct command_list semaphores_gpu_commands(void);
/* Of devices with a signal_queue. */
struct command_list semaphores_commands(void);

#endif
