/* SPDX-License-Identifier: MIT */
/*
 * A Vulkan device for test programs: one queue that draws and computes, one command buffer, one fence. Whatever
 * fails ends the program with status 2 and the failing call's name.
 */
#ifndef VK_DEVICE_H
#define VK_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan.h>

struct vk_device {
	VkPhysicalDevice gpu;
	VkPhysicalDeviceMemoryProperties heaps;
	VkDevice handle;
	VkQueue queue;
	VkCommandBuffer commands;
	VkFence fence;
};

struct vk_buffer {
	VkBuffer handle;
	VkDeviceMemory memory;
	uint32_t *words; // NULL: not mapped
};

_Noreturn void vk_device_fail(const char *what);
void vk_device_check(VkResult result, const char *call);

/* Opens the device with that number, or any part of that name; the first if `wanted` is NULL. Prints which it is. */
void vk_device_open(struct vk_device *device, const char *wanted);

/* The first of the memory types in `bits` with all flags of `with` and none of `without`, or UINT32_MAX. */
uint32_t vk_device_find_type(const struct vk_device *device, uint32_t bits,
	VkMemoryPropertyFlags with, VkMemoryPropertyFlags without);

/* A 2D image of one level, in 8 bits of red, green, blue and alpha, with memory of its own. */
VkImage vk_device_make_image(const struct vk_device *device, uint32_t width, uint32_t height,
	VkImageUsageFlags usage, VkDeviceMemory *memory);

/*
 * A buffer of `size` bytes in memory of that type, mapped if the type can be. False: such a buffer cannot be in it.
 */
bool vk_device_make_buffer(const struct vk_device *device, uint32_t type, VkDeviceSize size,
	VkBufferUsageFlags usage, struct vk_buffer *buffer);
void vk_device_drop_buffer(const struct vk_device *device, const struct vk_buffer *buffer);

/* Begins the command buffer; vk_device_submit() ends it, and returns when the device has done it. */
void vk_device_begin(const struct vk_device *device);
void vk_device_submit(const struct vk_device *device);

/* All commands that come later see all that was written before. */
void vk_device_add_barrier(const struct vk_device *device);
void vk_device_change_layout(
	const struct vk_device *device, VkImage image, VkImageLayout from, VkImageLayout to);

/* For mapped memory that is not coherent; the others take it too. */
void vk_device_invalidate(const struct vk_device *device, const struct vk_buffer *buffer);

#endif
