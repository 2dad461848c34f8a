/* SPDX-License-Identifier: MIT */
#include "vk_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Long for a software renderer; a lost device needs forever. */
#define FENCE_TIMEOUT_NS 60000000000ull

_Noreturn void vk_device_fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(2);
}

void vk_device_check(VkResult result, const char *call)
{
	if (result != VK_SUCCESS) {
		fprintf(stderr, "%s: %s failed (%d)\n", program_invocation_short_name, call,
			result);
		exit(2);
	}
}

static bool is_named(uint32_t number, const char *name, const char *wanted)
{
	char *end;
	unsigned long parsed = strtoul(wanted, &end, 10);

	return *wanted && *end == '\0' ? parsed == number : strstr(name, wanted) != NULL;
}

static void choose_gpu(struct vk_device *device, VkInstance instance, const char *wanted)
{
	VkPhysicalDevice gpus[16];
	uint32_t count = 16;
	VkResult result = vkEnumeratePhysicalDevices(instance, &count, gpus);

	if (result != VK_INCOMPLETE) {
		vk_device_check(result, "vkEnumeratePhysicalDevices");
	}
	for (uint32_t i = 0; i < count && !device->gpu; i++) {
		VkPhysicalDeviceProperties properties;

		vkGetPhysicalDeviceProperties(gpus[i], &properties);
		if (!wanted || is_named(i, properties.deviceName, wanted)) {
			device->gpu = gpus[i];
			printf("device: %s\n", properties.deviceName);
			printf("api: %u.%u.%u\n", VK_VERSION_MAJOR(properties.apiVersion),
				VK_VERSION_MINOR(properties.apiVersion),
				VK_VERSION_PATCH(properties.apiVersion));
		}
	}
	if (!device->gpu) {
		vk_device_fail(count ? "no device has that name or number" : "no Vulkan device");
	}
}

static void print_driver(VkPhysicalDevice gpu)
{
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &driver
	};

	vkGetPhysicalDeviceProperties2(gpu, &properties);
	printf("driver: %s %s\n", driver.driverName, driver.driverInfo);
}

static uint32_t find_family(VkPhysicalDevice gpu)
{
	VkQueueFamilyProperties families[16];
	uint32_t count = 16;

	vkGetPhysicalDeviceQueueFamilyProperties(gpu, &count, families);
	for (uint32_t i = 0; i < count; i++) {
		if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT &&
			families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) {
			return i;
		}
	}
	vk_device_fail("no queue both draws and computes");
}

void vk_device_open(struct vk_device *device, const char *wanted)
{
	const float priority = 1;
	VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = program_invocation_short_name,
		.apiVersion = VK_API_VERSION_1_1,
	};
	VkInstanceCreateInfo instance_info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application };
	VkDeviceQueueCreateInfo queue_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkDeviceCreateInfo device_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue_info,
	};
	VkInstance instance;

	vk_device_check(vkCreateInstance(&instance_info, NULL, &instance), "vkCreateInstance");
	choose_gpu(device, instance, wanted);
	print_driver(device->gpu);
	vkGetPhysicalDeviceMemoryProperties(device->gpu, &device->heaps);
	queue_info.queueFamilyIndex = find_family(device->gpu);
	vk_device_check(
		vkCreateDevice(device->gpu, &device_info, NULL, &device->handle), "vkCreateDevice");
	vkGetDeviceQueue(device->handle, queue_info.queueFamilyIndex, 0, &device->queue);
	VkCommandPoolCreateInfo pool_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
		.queueFamilyIndex = queue_info.queueFamilyIndex,
	};
	VkCommandBufferAllocateInfo commands_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	VkFenceCreateInfo fence_info = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };

	vk_device_check(
		vkCreateCommandPool(device->handle, &pool_info, NULL, &commands_info.commandPool),
		"vkCreateCommandPool");
	vk_device_check(vkAllocateCommandBuffers(device->handle, &commands_info, &device->commands),
		"vkAllocateCommandBuffers");
	vk_device_check(
		vkCreateFence(device->handle, &fence_info, NULL, &device->fence), "vkCreateFence");
}

uint32_t vk_device_find_type(const struct vk_device *device, uint32_t bits,
	VkMemoryPropertyFlags with, VkMemoryPropertyFlags without)
{
	for (uint32_t i = 0; i < device->heaps.memoryTypeCount; i++) {
		VkMemoryPropertyFlags flags = device->heaps.memoryTypes[i].propertyFlags;

		if (bits & 1u << i && (flags & with) == with && !(flags & without)) {
			return i;
		}
	}
	return UINT32_MAX;
}

VkImage vk_device_make_image(const struct vk_device *device, uint32_t width, uint32_t height,
	VkImageUsageFlags usage, VkDeviceMemory *memory)
{
	VkImageCreateInfo image_info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.extent = { width, height, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = VK_IMAGE_TILING_OPTIMAL,
		.usage = usage,
	};
	VkMemoryAllocateInfo memory_info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO };
	VkMemoryRequirements needs;
	VkImage image;

	vk_device_check(vkCreateImage(device->handle, &image_info, NULL, &image), "vkCreateImage");
	vkGetImageMemoryRequirements(device->handle, image, &needs);
	memory_info.memoryTypeIndex = vk_device_find_type(device, needs.memoryTypeBits, 0, 0);
	memory_info.allocationSize = needs.size;
	vk_device_check(
		vkAllocateMemory(device->handle, &memory_info, NULL, memory), "vkAllocateMemory");
	vk_device_check(vkBindImageMemory(device->handle, image, *memory, 0), "vkBindImageMemory");
	return image;
}

bool vk_device_make_buffer(const struct vk_device *device, uint32_t type, VkDeviceSize size,
	VkBufferUsageFlags usage, struct vk_buffer *buffer)
{
	VkBufferCreateInfo buffer_info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = size,
		.usage = usage,
	};
	VkMemoryAllocateInfo memory_info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.memoryTypeIndex = type,
	};
	VkMemoryRequirements needs;

	*buffer = (struct vk_buffer){ 0 };
	vk_device_check(vkCreateBuffer(device->handle, &buffer_info, NULL, &buffer->handle),
		"vkCreateBuffer");
	vkGetBufferMemoryRequirements(device->handle, buffer->handle, &needs);
	if (!(needs.memoryTypeBits & 1u << type)) {
		vkDestroyBuffer(device->handle, buffer->handle, NULL);
		return false;
	}
	memory_info.allocationSize = needs.size;
	vk_device_check(vkAllocateMemory(device->handle, &memory_info, NULL, &buffer->memory),
		"vkAllocateMemory");
	vk_device_check(vkBindBufferMemory(device->handle, buffer->handle, buffer->memory, 0),
		"vkBindBufferMemory");
	if (device->heaps.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
		void *words;

		vk_device_check(
			vkMapMemory(device->handle, buffer->memory, 0, VK_WHOLE_SIZE, 0, &words),
			"vkMapMemory");
		buffer->words = words;
	}
	return true;
}

void vk_device_drop_buffer(const struct vk_device *device, const struct vk_buffer *buffer)
{
	vkDestroyBuffer(device->handle, buffer->handle, NULL);
	vkFreeMemory(device->handle, buffer->memory, NULL);
}

void vk_device_begin(const struct vk_device *device)
{
	VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };

	vk_device_check(vkBeginCommandBuffer(device->commands, &info), "vkBeginCommandBuffer");
}

void vk_device_add_barrier(const struct vk_device *device)
{
	VkMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT |
			VK_ACCESS_HOST_READ_BIT,
	};

	vkCmdPipelineBarrier(device->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0,
		NULL, 0, NULL);
}

void vk_device_submit(const struct vk_device *device)
{
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &device->commands,
	};

	vk_device_add_barrier(device);
	vk_device_check(vkEndCommandBuffer(device->commands), "vkEndCommandBuffer");
	vk_device_check(vkQueueSubmit(device->queue, 1, &info, device->fence), "vkQueueSubmit");
	vk_device_check(
		vkWaitForFences(device->handle, 1, &device->fence, VK_TRUE, FENCE_TIMEOUT_NS),
		"vkWaitForFences");
	vk_device_check(vkResetFences(device->handle, 1, &device->fence), "vkResetFences");
}

void vk_device_change_layout(
	const struct vk_device *device, VkImage image, VkImageLayout from, VkImageLayout to)
{
	VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
		.oldLayout = from,
		.newLayout = to,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.image = image,
		.subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
	};

	vkCmdPipelineBarrier(device->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

void vk_device_invalidate(const struct vk_device *device, const struct vk_buffer *buffer)
{
	VkMappedMemoryRange range = {
		.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
		.memory = buffer->memory,
		.size = VK_WHOLE_SIZE,
	};

	vk_device_check(vkInvalidateMappedMemoryRanges(device->handle, 1, &range),
		"vkInvalidateMappedMemoryRanges");
}
