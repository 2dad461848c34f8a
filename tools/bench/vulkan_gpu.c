/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_gpu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Long for a software renderer; a lost device needs forever. */
#define FENCE_TIMEOUT_NS UINT64_C(60000000000)

_Noreturn void vulkan_gpu_fail(const char *what)
{
	fprintf(stderr, "vulkan worker: %s\n", what);
	exit(1);
}

void vulkan_gpu_check(VkResult result, const char *call)
{
	if (result != VK_SUCCESS) {
		fprintf(stderr, "vulkan worker: vk%s failed (%d)\n", call, result);
		exit(1);
	}
}

static PFN_vkGetInstanceProcAddr load_library(void)
{
	void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);

	if (!library) {
		vulkan_gpu_fail(dlerror());
	}
	void *symbol = dlsym(library, "vkGetInstanceProcAddr");
	PFN_vkGetInstanceProcAddr get = NULL;

	if (!symbol) {
		vulkan_gpu_fail("libvulkan.so.1 has no vkGetInstanceProcAddr");
	}
	memcpy(&get, &symbol, sizeof(get));
	return get;
}

static void require(bool there, const char *name)
{
	if (!there) {
		fprintf(stderr, "vulkan worker: there is no vk%s\n", name);
		exit(1);
	}
}

static void make_instance(struct vulkan_gpu *gpu)
{
	PFN_vkGetInstanceProcAddr get = load_library();
	PFN_vkCreateInstance create = (PFN_vkCreateInstance)get(NULL, "vkCreateInstance");
	VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "virtio-gpu-bench",
		.apiVersion = VK_API_VERSION_1_1,
	};
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application };

	require(create, "CreateInstance");
	vulkan_gpu_check(create(&info, NULL, &gpu->instance), "CreateInstance");
#define LOAD(name) \
	gpu->vk.name = (PFN_vk##name)get(gpu->instance, "vk" #name); \
	require(gpu->vk.name, #name);
	VULKAN_INSTANCE_CALLS(LOAD)
#undef LOAD
}

/* A software renderer only if there is nothing else. */
static void choose_physical(struct vulkan_gpu *gpu)
{
	VkPhysicalDevice all[16];
	uint32_t count = 16;
	VkResult result = gpu->vk.EnumeratePhysicalDevices(gpu->instance, &count, all);

	if (result != VK_INCOMPLETE) {
		vulkan_gpu_check(result, "EnumeratePhysicalDevices");
	}
	for (uint32_t i = count; i-- > 0;) {
		VkPhysicalDeviceProperties properties;

		gpu->vk.GetPhysicalDeviceProperties(all[i], &properties);
		if (!gpu->physical || properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU) {
			gpu->physical = all[i];
		}
	}
	if (!gpu->physical) {
		vulkan_gpu_fail("there is no Vulkan device");
	}
}

static void describe(const struct vulkan_gpu *gpu, struct vulkan_hello *hello)
{
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES
	};
	VkPhysicalDeviceProperties2 all = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &driver };
	const VkPhysicalDeviceProperties *properties = &all.properties;

	gpu->vk.GetPhysicalDeviceProperties2(gpu->physical, &all);
	snprintf(hello->device, sizeof(hello->device), "%s", properties->deviceName);
	snprintf(hello->driver, sizeof(hello->driver), "%.100s %.100s, Vulkan %u.%u.%u",
		driver.driverName, driver.driverInfo, VK_VERSION_MAJOR(properties->apiVersion),
		VK_VERSION_MINOR(properties->apiVersion), VK_VERSION_PATCH(properties->apiVersion));
	hello->memory_type_count = gpu->heaps.memoryTypeCount;
	for (uint32_t i = 0; i < gpu->heaps.memoryTypeCount; i++) {
		hello->memory_flags[i] = gpu->heaps.memoryTypes[i].propertyFlags;
	}
}

static uint32_t find_family(const struct vulkan_gpu *gpu)
{
	VkQueueFamilyProperties families[16];
	uint32_t count = 16;

	gpu->vk.GetPhysicalDeviceQueueFamilyProperties(gpu->physical, &count, families);
	for (uint32_t i = 0; i < count; i++) {
		if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT &&
			families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) {
			return i;
		}
	}
	vulkan_gpu_fail("no queue both draws and computes");
}

static void make_device(struct vulkan_gpu *gpu, uint32_t family)
{
	const float priority = 1;
	VkDeviceQueueCreateInfo queue_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueFamilyIndex = family,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue_info,
	};

	vulkan_gpu_check(
		gpu->vk.CreateDevice(gpu->physical, &info, NULL, &gpu->device), "CreateDevice");
#define LOAD(name) \
	gpu->vk.name = (PFN_vk##name)gpu->vk.GetDeviceProcAddr(gpu->device, "vk" #name); \
	require(gpu->vk.name, #name);
	VULKAN_DEVICE_CALLS(LOAD)
#undef LOAD
	gpu->vk.GetDeviceQueue(gpu->device, family, 0, &gpu->queue);
}

static void make_slot(struct vulkan_gpu *gpu, VkCommandPool pool, struct vulkan_slot *slot)
{
	VkCommandBufferAllocateInfo commands_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = pool,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	VkFenceCreateInfo fence_info = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };

	vulkan_gpu_check(
		gpu->vk.AllocateCommandBuffers(gpu->device, &commands_info, &slot->commands),
		"AllocateCommandBuffers");
	vulkan_gpu_check(
		gpu->vk.CreateFence(gpu->device, &fence_info, NULL, &slot->fence), "CreateFence");
}

static void make_slots(struct vulkan_gpu *gpu, uint32_t family)
{
	VkCommandPoolCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
		.queueFamilyIndex = family,
	};
	VkCommandPool pool;

	vulkan_gpu_check(
		gpu->vk.CreateCommandPool(gpu->device, &info, NULL, &pool), "CreateCommandPool");
	for (size_t i = 0; i < VULKAN_IN_FLIGHT; i++) {
		make_slot(gpu, pool, &gpu->slots[i]);
	}
	make_slot(gpu, pool, &gpu->own);
}

void vulkan_gpu_open(struct vulkan_gpu *gpu, struct vulkan_hello *hello)
{
	*gpu = (struct vulkan_gpu){ 0 };
	*hello = (struct vulkan_hello){ 0 };
	make_instance(gpu);
	choose_physical(gpu);
	gpu->vk.GetPhysicalDeviceMemoryProperties(gpu->physical, &gpu->heaps);
	describe(gpu, hello);
	uint32_t family = find_family(gpu);

	make_device(gpu, family);
	make_slots(gpu, family);
}

uint32_t vulkan_gpu_find_type(const struct vulkan_gpu *gpu, VkMemoryPropertyFlags with)
{
	for (uint32_t i = 0; i < gpu->heaps.memoryTypeCount; i++) {
		if ((gpu->heaps.memoryTypes[i].propertyFlags & with) == with) {
			return i;
		}
	}
	return UINT32_MAX;
}

static bool allocate(struct vulkan_gpu *gpu, uint32_t type, struct vulkan_buffer *buffer)
{
	VkMemoryRequirements needs;
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.memoryTypeIndex = type,
	};

	gpu->vk.GetBufferMemoryRequirements(gpu->device, buffer->handle, &needs);
	info.allocationSize = needs.size;
	return type < gpu->heaps.memoryTypeCount && needs.memoryTypeBits & 1u << type &&
		gpu->vk.AllocateMemory(gpu->device, &info, NULL, &buffer->memory) == VK_SUCCESS;
}

static void map(struct vulkan_gpu *gpu, uint32_t type, struct vulkan_buffer *buffer)
{
	VkMemoryPropertyFlags flags = gpu->heaps.memoryTypes[type].propertyFlags;

	buffer->coherent = flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	if (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
		vulkan_gpu_check(gpu->vk.MapMemory(gpu->device, buffer->memory, 0, VK_WHOLE_SIZE, 0,
					 &buffer->bytes),
			"MapMemory");
	}
}

bool vulkan_gpu_make_buffer(
	struct vulkan_gpu *gpu, uint32_t type, VkDeviceSize size, struct vulkan_buffer *buffer)
{
	VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = size,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
			VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};

	*buffer = (struct vulkan_buffer){ 0 };
	vulkan_gpu_check(
		gpu->vk.CreateBuffer(gpu->device, &info, NULL, &buffer->handle), "CreateBuffer");
	if (!allocate(gpu, type, buffer)) {
		vulkan_gpu_drop_buffer(gpu, buffer);
		return false;
	}
	vulkan_gpu_check(gpu->vk.BindBufferMemory(gpu->device, buffer->handle, buffer->memory, 0),
		"BindBufferMemory");
	map(gpu, type, buffer);
	return true;
}

void vulkan_gpu_drop_buffer(struct vulkan_gpu *gpu, struct vulkan_buffer *buffer)
{
	gpu->vk.DestroyBuffer(gpu->device, buffer->handle, NULL);
	gpu->vk.FreeMemory(gpu->device, buffer->memory, NULL);
	*buffer = (struct vulkan_buffer){ 0 };
}

void vulkan_gpu_make_result_buffer(
	struct vulkan_gpu *gpu, VkDeviceSize size, struct vulkan_buffer *buffer)
{
	const VkMemoryPropertyFlags mappable = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
	uint32_t type = vulkan_gpu_find_type(gpu, mappable | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);

	if (type == UINT32_MAX) {
		type = vulkan_gpu_find_type(gpu, mappable);
	}
	if (type == UINT32_MAX || !vulkan_gpu_make_buffer(gpu, type, size, buffer)) {
		vulkan_gpu_fail("no mappable memory for results");
	}
}

static VkMappedMemoryRange whole(const struct vulkan_buffer *buffer)
{
	return (VkMappedMemoryRange){
		.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
		.memory = buffer->memory,
		.size = VK_WHOLE_SIZE,
	};
}

void vulkan_gpu_flush(struct vulkan_gpu *gpu, const struct vulkan_buffer *buffer)
{
	VkMappedMemoryRange range = whole(buffer);

	if (!buffer->coherent) {
		vulkan_gpu_check(gpu->vk.FlushMappedMemoryRanges(gpu->device, 1, &range),
			"FlushMappedMemoryRanges");
	}
}

void vulkan_gpu_invalidate(struct vulkan_gpu *gpu, const struct vulkan_buffer *buffer)
{
	VkMappedMemoryRange range = whole(buffer);

	if (!buffer->coherent) {
		vulkan_gpu_check(gpu->vk.InvalidateMappedMemoryRanges(gpu->device, 1, &range),
			"InvalidateMappedMemoryRanges");
	}
}

VkShaderModule vulkan_gpu_make_shader(struct vulkan_gpu *gpu, const uint32_t *code, size_t size)
{
	VkShaderModuleCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = size,
		.pCode = code,
	};
	VkShaderModule shader;

	vulkan_gpu_check(gpu->vk.CreateShaderModule(gpu->device, &info, NULL, &shader),
		"CreateShaderModule");
	return shader;
}

VkCommandBuffer vulkan_gpu_begin(struct vulkan_gpu *gpu, struct vulkan_slot *slot)
{
	VkCommandBufferBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};

	vulkan_gpu_check(gpu->vk.BeginCommandBuffer(slot->commands, &info), "BeginCommandBuffer");
	return slot->commands;
}

static void submit(struct vulkan_gpu *gpu, struct vulkan_slot *slot, uint32_t command_buffers)
{
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = command_buffers,
		.pCommandBuffers = &slot->commands,
	};

	vulkan_gpu_check(gpu->vk.QueueSubmit(gpu->queue, 1, &info, slot->fence), "QueueSubmit");
}

void vulkan_gpu_submit(struct vulkan_gpu *gpu, struct vulkan_slot *slot)
{
	vulkan_gpu_check(gpu->vk.EndCommandBuffer(slot->commands), "EndCommandBuffer");
	submit(gpu, slot, 1);
}

void vulkan_gpu_submit_nothing(struct vulkan_gpu *gpu, struct vulkan_slot *slot)
{
	submit(gpu, slot, 0);
}

void vulkan_gpu_wait(struct vulkan_gpu *gpu, struct vulkan_slot *slot)
{
	vulkan_gpu_check(
		gpu->vk.WaitForFences(gpu->device, 1, &slot->fence, VK_TRUE, FENCE_TIMEOUT_NS),
		"WaitForFences");
	vulkan_gpu_check(gpu->vk.ResetFences(gpu->device, 1, &slot->fence), "ResetFences");
}

void vulkan_gpu_add_barrier(struct vulkan_gpu *gpu, VkCommandBuffer commands)
{
	VkMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT |
			VK_ACCESS_HOST_READ_BIT,
	};

	gpu->vk.CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0,
		NULL, 0, NULL);
}
