/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_GPU_H
#define VULKAN_LAYER_GPU_H

/*
 * What a GPU's driver does, and so whether the layer has work there.
 *
 * How this works: the layer is active on a GPU whose driver imports memory of the process
 * (VK_EXT_external_memory_host) and does not hand out dma-bufs by itself, which is asked as virglrenderer asks
 * it. VIRTIO_GPUD_MEMORY_LAYER=always makes it active on the latter too. Which types of memory can be imported
 * only a device tells. They are asked for before the application makes one, so the layer makes one for
 * the question; not within a call for which the loader holds its lock.
 */

#include "vulkan_layer/dispatch.h"

struct gpu {
	struct instance *instance;
	VkPhysicalDevice handle;
	char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
	bool active;
	uint32_t signal_family; // of queues (semaphores.h)
	VkDeviceSize alignment; // of addresses and sizes, at least a page
	pthread_mutex_t lock;
	bool is_probed;
	uint32_t types; // bits of mappable memory types that take the layer's pages
};

/* Returns NULL when there is no memory. */
struct gpu *gpu_create(struct instance *instance, VkPhysicalDevice handle);
void gpu_destroy(void *gpu);

/* Returns the driver's own list, to be freed, or NULL. */
VkExtensionProperties *gpu_extensions(
	struct instance *instance, VkPhysicalDevice handle, uint32_t *count);

/*
 * Returns the types; 0 on a GPU that is not active. Makes a device when they are not known yet: not to be
 * called within vkCreateInstance, vkCreateDevice or an enumeration.
 */
uint32_t gpu_types(struct gpu *gpu);

/* Returns the same, asked of a device that is there. */
uint32_t gpu_types_of_device(struct gpu *gpu, const struct device *device);

/* A line on stderr, of which one or two a GPU are to be expected. */
void gpu_report(const struct gpu *gpu, const char *text);

#endif
