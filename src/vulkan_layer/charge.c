/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/charge.h"

#include <unistd.h>

#include "vulkan_layer/chain.h"
#include "vulkan_layer/gpu.h"
#include "vulkan_layer/memory.h"
#include "vulkan_layer/quota.h"

/* What drivers give away at least: many small objects are no way around the bound. */
#define STEP (UINT64_C(64) << 10)

/* Of a file that the object will keep alive, however little of it is asked for. 0: not known. */
static VkDeviceSize file_size(const VkMemoryAllocateInfo *info)
{
	const VkImportMemoryFdInfoKHR *imported = chain_find(
		info, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	off_t end = imported ? lseek(imported->fd, 0, SEEK_END) : 0;

	return end > 0 ? (VkDeviceSize)end : 0;
}

/* On each GPU of a group the object may be there once. UINT64_MAX: more than there can be. */
static uint64_t cost_of(const struct device *device, const VkMemoryAllocateInfo *info)
{
	VkDeviceSize step = device->active && device->gpu->alignment > STEP ? device->gpu->alignment
									    : STEP;
	VkDeviceSize size = info->allocationSize;
	VkDeviceSize file = file_size(info);
	uint64_t steps;

	size = size < file ? file : size;
	steps = size / step + (size % step > 0 || size == 0);
	return steps > UINT64_MAX / step / device->group_size ? UINT64_MAX
							      : steps * step * device->group_size;
}

static VkResult allocate(const struct device *device, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, VkDeviceMemory *memory)
{
	return device->active
		? memory_allocate(device->handle, info, allocator, memory)
		: device->next.AllocateMemory(device->handle, info, allocator, memory);
}

static void release(
	const struct device *device, VkDeviceMemory memory, const VkAllocationCallbacks *allocator)
{
	if (device->active) {
		memory_free(device->handle, memory, allocator);
	} else {
		device->next.FreeMemory(device->handle, memory, allocator);
	}
}

/* A table's value is a pointer: the cost is in it. It fits, as it is of a size that was allocated. */
static VkResult allocate_and_note(struct device *device, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, uint64_t cost, VkDeviceMemory *memory)
{
	VkResult result = allocate(device, info, allocator, memory);

	if (result == VK_SUCCESS &&
		!table_add(&device->charges, (uint64_t)*memory, (void *)(uintptr_t)cost)) {
		release(device, *memory, allocator);
		*memory = VK_NULL_HANDLE;
		result = VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice handle,
	const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator,
	VkDeviceMemory *memory)
{
	struct device *device = device_of(handle);
	uint64_t cost = cost_of(device, info);
	VkResult result;

	if (!quota_take(cost)) {
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	}
	result = allocate_and_note(device, info, allocator, cost, memory);
	if (result != VK_SUCCESS) {
		quota_give(cost);
	}
	return result;
}

static void give_back(void *cost)
{
	quota_give((uintptr_t)cost);
}

/* The handle is forgotten first, since the driver may give it away again at once; its bytes are free last. */
static VKAPI_ATTR void VKAPI_CALL free_memory(
	VkDevice handle, VkDeviceMemory memory, const VkAllocationCallbacks *allocator)
{
	struct device *device = device_of(handle);
	void *cost = table_remove(&device->charges, (uint64_t)memory);

	release(device, memory, allocator);
	give_back(cost);
}

void charge_finish(struct device *device)
{
	table_finish(&device->charges, give_back);
}

struct command_list charge_commands(void)
{
	static const struct command commands[] = {
		COMMAND("AllocateMemory", allocate_memory),
		COMMAND("FreeMemory", free_memory),
	};

	return (struct command_list){ commands, sizeof(commands) / sizeof(commands[0]) };
}
