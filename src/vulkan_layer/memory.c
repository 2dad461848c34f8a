/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "vulkan_layer/chain.h"
#include "vulkan_layer/gpu.h"
#include "vulkan_layer/pages.h"

struct memory {
	struct pages pages;
};

static bool is_type_ours(const struct device *device, uint32_t type)
{
	return type < VK_MAX_MEMORY_TYPES && gpu_types_of_device(device->gpu, device) & 1u << type;
}

/* Returns 0 when there is no such number. */
static VkDeviceSize round_up(const struct device *device, VkDeviceSize size)
{
	VkDeviceSize rest = size % device->gpu->alignment;
	VkDeviceSize missing = rest ? device->gpu->alignment - rest : 0;

	return size > INT64_MAX - missing ? 0 : size + missing;
}

/* The driver would see to that, if it were its own memory. */
static bool is_in_heap(const struct device *device, uint32_t type, VkDeviceSize size)
{
	VkPhysicalDeviceMemoryProperties memory;

	device->gpu->instance->next.GetPhysicalDeviceMemoryProperties(device->gpu->handle, &memory);
	return size <= memory.memoryHeaps[memory.memoryTypes[type].heapIndex].size;
}

/*
 * The driver's part. The structures of the application's chain that speak of descriptors are cut out, and so is
 * the one that dedicates the memory where the size had to grow: a dedicated size must be exact.
 */
static VkResult allocate_below(const struct device *device, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, const struct pages *pages, VkDeviceMemory *handle)
{
	VkMemoryAllocateInfo own = *info;
	VkImportMemoryHostPointerInfoEXT host = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.handleType = HOST_TYPE,
		.pHostPointer = pages->address,
	};
	struct chain_cut imported = chain_cut(&own, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	struct chain_cut exported = chain_cut(&own, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
	struct chain_cut dedicated = { .before = NULL };
	VkResult result;

	if (pages->size != info->allocationSize) {
		dedicated = chain_cut(&own, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
	}
	own.allocationSize = pages->size;
	host.pNext = own.pNext;
	own.pNext = &host;
	result = device->next.AllocateMemory(device->handle, &own, allocator, handle);
	own.pNext = host.pNext;
	chain_restore(dedicated);
	chain_restore(exported);
	chain_restore(imported);
	return result;
}

static VkResult keep(struct device *device, const struct pages *pages, VkDeviceMemory handle)
{
	struct memory *memory = malloc(sizeof(*memory));

	if (!memory) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	memory->pages = *pages;
	if (!table_add(&device->memories, (uint64_t)handle, memory)) {
		free(memory);
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	return VK_SUCCESS;
}

/* The pages stay the caller's on failure. */
static VkResult allocate_on(struct device *device, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, const struct pages *pages, VkDeviceMemory *handle)
{
	VkResult result = allocate_below(device, info, allocator, pages, handle);

	if (result != VK_SUCCESS) {
		return result;
	}
	result = keep(device, pages, *handle);
	if (result != VK_SUCCESS) {
		device->next.FreeMemory(device->handle, *handle, allocator);
		*handle = VK_NULL_HANDLE;
	}
	return result;
}

static VkResult allocate_exportable(struct device *device, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, VkDeviceMemory *handle)
{
	VkDeviceSize size = round_up(device, info->allocationSize);
	struct pages pages;
	VkResult result;

	/* Memory of the GPU alone cannot leave the process; no query has promised it. */
	if (!is_type_ours(device, info->memoryTypeIndex) || size == 0 ||
		!is_in_heap(device, info->memoryTypeIndex, size)) {
		return VK_ERROR_OUT_OF_DEVICE_MEMORY;
	}
	if (pages_create(size, device->gpu->alignment, &pages) < 0) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	result = allocate_on(device, info, allocator, &pages, handle);
	if (result != VK_SUCCESS) {
		pages_destroy(&pages);
	}
	return result;
}

static VkResult allocate_imported(struct device *device, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, int fd, VkDeviceMemory *handle)
{
	VkDeviceSize size = round_up(device, info->allocationSize);
	struct pages pages;
	VkResult result;
	int error;

	if (!is_type_ours(device, info->memoryTypeIndex) || size == 0) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	error = pages_import(fd, size, device->gpu->alignment, &pages);
	if (error < 0) {
		return error == -ENOMEM ? VK_ERROR_OUT_OF_HOST_MEMORY
					: VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	result = allocate_on(device, info, allocator, &pages, handle);
	if (result != VK_SUCCESS) {
		pages_release(&pages);
	}
	return result;
}

VKAPI_ATTR VkResult VKAPI_CALL memory_allocate(VkDevice handle, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, VkDeviceMemory *memory)
{
	struct device *device = device_of(handle);
	const VkImportMemoryFdInfoKHR *imported = chain_find(
		info, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	const VkExportMemoryAllocateInfo *exported = chain_find(
		info, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);

	if (imported && imported->handleType & FD_TYPES) {
		return allocate_imported(device, info, allocator, imported->fd, memory);
	}
	if (exported && exported->handleTypes & FD_TYPES) {
		return allocate_exportable(device, info, allocator, memory);
	}
	return device->next.AllocateMemory(handle, info, allocator, memory);
}

static void drop(void *data)
{
	struct memory *memory = data;

	pages_destroy(&memory->pages);
	free(memory);
}

/* The handle is forgotten first, since the driver may give it away again at once; the pages go last. */
VKAPI_ATTR void VKAPI_CALL memory_free(
	VkDevice handle, VkDeviceMemory memory_handle, const VkAllocationCallbacks *allocator)
{
	struct device *device = device_of(handle);
	struct memory *memory = table_remove(&device->memories, (uint64_t)memory_handle);

	device->next.FreeMemory(handle, memory_handle, allocator);
	if (memory) {
		drop(memory);
	}
}

static VKAPI_ATTR VkResult VKAPI_CALL get_memory_fd(
	VkDevice handle, const VkMemoryGetFdInfoKHR *info, int *fd)
{
	struct memory *memory = table_find(&device_of(handle)->memories, (uint64_t)info->memory);

	if (!memory) {
		return VK_ERROR_OUT_OF_HOST_MEMORY; // not allocated for it: no other code is there
	}
	*fd = fcntl(memory->pages.fd, F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? VK_ERROR_TOO_MANY_OBJECTS : VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL get_fd_properties(VkDevice handle,
	VkExternalMemoryHandleTypeFlagBits type, int fd, VkMemoryFdPropertiesKHR *properties)
{
	struct device *device = device_of(handle);
	VkMemoryHostPointerPropertiesEXT answer = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT
	};
	struct pages pages;
	VkResult result;

	if (!(type & FD_TYPES) ||
		pages_import(fd, device->gpu->alignment, device->gpu->alignment, &pages) < 0) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	result = device->next.GetMemoryHostPointerPropertiesEXT(
		handle, HOST_TYPE, pages.address, &answer);
	pages_release(&pages);
	if (result == VK_SUCCESS) {
		properties->memoryTypeBits = answer.memoryTypeBits &
			gpu_types_of_device(device->gpu, device);
	}
	return result;
}

void memory_finish(struct device *device)
{
	table_finish(&device->memories, drop);
}

struct command_list memory_commands(void)
{
	static const struct command commands[] = {
		COMMAND("AllocateMemory", memory_allocate),
		COMMAND("FreeMemory", memory_free),
		COMMAND("GetMemoryFdKHR", get_memory_fd),
		COMMAND("GetMemoryFdPropertiesKHR", get_fd_properties),
	};

	return (struct command_list){ commands, sizeof(commands) / sizeof(commands[0]) };
}
