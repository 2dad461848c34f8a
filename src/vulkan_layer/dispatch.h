/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_DISPATCH_H
#define VULKAN_LAYER_DISPATCH_H

/*
 * What the layer keeps of instances, GPUs and devices, and the functions of the layer below. Of the commands
 * that it answers itself each file lists its own: a name that is in no list goes straight down.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#include "vulkan_layer/table.h"

#define LAYER_NAME "VK_LAYER_VIRTIO_GPUD_exportable_memory"

/* The kinds of handles that the layer makes, one and the same descriptor. */
#define FD_TYPES \
	((VkExternalMemoryHandleTypeFlags)(VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT | \
		VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT))
/* The kind that the driver sees instead. */
#define HOST_TYPE VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT

#define INSTANCE_FUNCTIONS(F) \
	F(DestroyInstance) \
	F(EnumerateDeviceExtensionProperties) \
	F(GetPhysicalDeviceExternalBufferProperties) \
	F(GetPhysicalDeviceExternalSemaphoreProperties) \
	F(GetPhysicalDeviceImageFormatProperties2) \
	F(GetPhysicalDeviceMemoryProperties) \
	F(GetPhysicalDeviceMemoryProperties2) \
	F(GetPhysicalDeviceProperties2) \
	F(GetPhysicalDeviceQueueFamilyProperties) \
	F(GetPhysicalDeviceQueueFamilyProperties2)

#define DEVICE_FUNCTIONS(F) \
	F(AllocateMemory) \
	F(CreateBuffer) \
	F(CreateImage) \
	F(DestroyBuffer) \
	F(DestroyDevice) \
	F(DestroyImage) \
	F(FreeMemory) \
	F(GetBufferMemoryRequirements) \
	F(GetBufferMemoryRequirements2) \
	F(GetDeviceBufferMemoryRequirements) \
	F(GetDeviceImageMemoryRequirements) \
	F(GetDeviceQueue) \
	F(GetImageMemoryRequirements) \
	F(GetImageMemoryRequirements2) \
	F(GetMemoryHostPointerPropertiesEXT) \
	F(ImportSemaphoreFdKHR) \
	F(QueueSubmit)

struct instance {
	VkInstance handle;
	PFN_vkGetInstanceProcAddr get_proc;
	/* The loader's way for a layer to make a device of its own. NULL: an old loader. */
	PFN_vkLayerCreateDevice create_device;
	PFN_vkLayerDestroyDevice destroy_device;
	struct {
#define F(name) PFN_vk##name name;
		INSTANCE_FUNCTIONS(F)
#undef F
	} next;
	pthread_mutex_t lock; // of making a struct gpu
	struct table gpus; // VkPhysicalDevice: struct gpu
};

struct gpu;

struct device {
	VkDevice handle;
	struct gpu *gpu;
	/* The application asked for memory with descriptors, and the layer is the one to make it. */
	bool active;
	uint32_t group_size; // physical devices that it is of
	PFN_vkGetDeviceProcAddr get_proc;
	struct {
#define F(name) PFN_vk##name name;
		DEVICE_FUNCTIONS(F)
#undef F
	} next;
	struct table memories; // VkDeviceMemory: struct memory
	struct table
		charges; // VkDeviceMemory: the bytes that it counts for, where there is a bound
	struct table buffers,
		images; // those that may be bound to memory with a descriptor: the gpu
	VkQueue signal_queue; // of the layer's own (semaphores.h); NULL: none
	pthread_mutex_t signal_lock; // of its use
};

struct command {
	const char *name;
	PFN_vkVoidFunction function;
};

#define COMMAND(name, function) { "vk" name, (PFN_vkVoidFunction)(function) }

struct command_list {
	const struct command *commands;
	size_t count;
};

/* The key of a dispatchable handle is the same for an instance and its GPUs. */
struct instance *instance_of(const void *handle);
struct device *device_of(VkDevice handle);

/* Borrowed until the instance is destroyed; NULL when there is no memory. */
struct gpu *gpu_of(VkPhysicalDevice handle);

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_get_instance_proc(
	VkInstance handle, const char *name);

#endif
