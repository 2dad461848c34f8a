/* SPDX-License-Identifier: MIT */
#include "render/virgl/vulkan_trial.h"

#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DMA_BUF VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define HOST    VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT

#define FIND(trial, name) ((PFN_vk##name)(trial)->get_proc((trial)->instance, "vk" #name))

/* A device made for the trial, and what is called of it. */
struct device {
	VkDevice handle;
	PFN_vkAllocateMemory allocate;
	PFN_vkFreeMemory free;
	PFN_vkGetMemoryFdKHR get_fd; // NULL without its extension, as is the next
	PFN_vkGetMemoryHostPointerPropertiesEXT ask_pointer;
	PFN_vkDestroyDevice destroy;
};

__attribute__((format(printf, 2, 3))) static void set_reason(
	struct vulkan_gpu *gpu, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(gpu->reason, sizeof(gpu->reason), format, args);
	va_end(args);
}

static VkResult open_device(const struct vulkan_trial *trial, uint32_t count,
	const char *const *names, struct device *device)
{
	const float priority = 0;
	VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = count,
		.ppEnabledExtensionNames = names,
	};
	PFN_vkGetDeviceProcAddr find = FIND(trial, GetDeviceProcAddr);
	VkResult result = FIND(trial, CreateDevice)(trial->handle, &info, NULL, &device->handle);

	if (result == VK_SUCCESS) {
		VkDevice handle = device->handle;

		device->allocate = (PFN_vkAllocateMemory)find(handle, "vkAllocateMemory");
		device->free = (PFN_vkFreeMemory)find(handle, "vkFreeMemory");
		device->get_fd = (PFN_vkGetMemoryFdKHR)find(handle, "vkGetMemoryFdKHR");
		device->ask_pointer = (PFN_vkGetMemoryHostPointerPropertiesEXT)find(
			handle, "vkGetMemoryHostPointerPropertiesEXT");
		device->destroy = (PFN_vkDestroyDevice)find(handle, "vkDestroyDevice");
	}
	return result;
}

/* Bits of the types that the guest would be offered to map. */
static uint32_t mappable_types(const struct vulkan_trial *trial)
{
	VkPhysicalDeviceMemoryProperties properties;
	uint32_t types = 0;

	FIND(trial, GetPhysicalDeviceMemoryProperties)(trial->handle, &properties);
	for (uint32_t i = 0; i < properties.memoryTypeCount; i++) {
		if (properties.memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
			types |= 1u << i;
		}
	}
	return types;
}

/* By the question that virglrenderer, and the layer, ask. */
static bool claims_dma_buf(const struct vulkan_trial *trial)
{
	VkPhysicalDeviceExternalBufferInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
		.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
		.handleType = DMA_BUF,
	};
	VkExternalBufferProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES
	};
	const VkExternalMemoryProperties *memory = &answer.externalMemoryProperties;

	FIND(trial, GetPhysicalDeviceExternalBufferProperties)(trial->handle, &info, &answer);
	return memory->externalMemoryFeatures & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT &&
		memory->exportFromImportedHandleTypes & DMA_BUF;
}

static bool can_be_mapped(int fd, size_t size)
{
	void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (address == MAP_FAILED) {
		return false;
	}
	munmap(address, size);
	return true;
}

static bool leaves_the_process(const struct device *device, uint32_t type, struct vulkan_gpu *gpu)
{
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = DMA_BUF,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &exported,
		.allocationSize = (VkDeviceSize)sysconf(_SC_PAGESIZE),
		.memoryTypeIndex = type,
	};
	VkMemoryGetFdInfoKHR fd_info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.handleType = DMA_BUF,
	};
	VkResult result = device->allocate(device->handle, &info, NULL, &fd_info.memory);
	bool mapped = false;
	int fd = -1;

	if (result != VK_SUCCESS) {
		set_reason(
			gpu, "memory type %u cannot be allocated for a dma-buf (%d)", type, result);
		return false;
	}
	result = device->get_fd(device->handle, &fd_info, &fd);
	if (result == VK_SUCCESS) {
		mapped = can_be_mapped(fd, (size_t)info.allocationSize);
		close(fd);
	}
	device->free(device->handle, fd_info.memory, NULL);
	if (!mapped) {
		set_reason(gpu, "memory type %u gives no dma-buf that can be mapped", type);
	}
	return mapped;
}

/* Each mappable type must do: virglrenderer asks for none in particular. */
static bool try_driver(const struct vulkan_trial *trial, struct vulkan_gpu *gpu)
{
	static const char *const names[] = { VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME };
	uint32_t types = mappable_types(trial);
	struct device device;
	bool works = true;
	VkResult result;

	gpu->claims_dma_buf = gpu->has_fd && gpu->has_dma_buf && claims_dma_buf(trial);
	if (!gpu->claims_dma_buf) {
		set_reason(gpu, "the driver hands out no dma-bufs");
		return false;
	}
	result = open_device(trial, 2, names, &device);
	if (result != VK_SUCCESS) {
		set_reason(gpu, "vkCreateDevice failed (%d)", result);
		return false;
	}
	for (uint32_t i = 0; i < VK_MAX_MEMORY_TYPES && works; i++) {
		works = !(types & 1u << i) || leaves_the_process(&device, i, gpu);
	}
	device.destroy(device.handle, NULL);
	return works;
}

static size_t import_size(const struct vulkan_trial *trial)
{
	VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &host
	};
	VkDeviceSize page = (VkDeviceSize)sysconf(_SC_PAGESIZE);

	FIND(trial, GetPhysicalDeviceProperties2)(trial->handle, &properties);
	return (size_t)(host.minImportedHostPointerAlignment > page
			? host.minImportedHostPointerAlignment
			: page);
}

static VkResult import(const struct device *device, uint32_t types, void *pages, size_t size)
{
	VkImportMemoryHostPointerInfoEXT host = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
		.handleType = HOST,
		.pHostPointer = pages,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &host,
		.allocationSize = size,
	};
	VkDeviceMemory memory;
	VkResult result;

	while (!(types & 1u << info.memoryTypeIndex)) {
		info.memoryTypeIndex++;
	}
	result = device->allocate(device->handle, &info, NULL, &memory);
	if (result == VK_SUCCESS) {
		device->free(device->handle, memory, NULL);
	}
	return result;
}

/* With a memory file of that size, as the layer does it. */
static bool try_import(const struct device *device, uint32_t mappable, void *pages, size_t size,
	struct vulkan_gpu *gpu)
{
	VkMemoryHostPointerPropertiesEXT answer = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT
	};
	VkResult result = device->ask_pointer(device->handle, HOST, pages, &answer);

	if (result != VK_SUCCESS || !(answer.memoryTypeBits & mappable)) {
		set_reason(gpu,
			"it imports no mapped memory file (vkGetMemoryHostPointerPropertiesEXT: "
			"%d, types 0x%x of 0x%x)",
			result, answer.memoryTypeBits, mappable);
		return false;
	}
	result = import(device, answer.memoryTypeBits & mappable, pages, size);
	if (result != VK_SUCCESS) {
		set_reason(gpu, "it fails to import a mapped memory file (vkAllocateMemory: %d)",
			result);
	}
	return result == VK_SUCCESS;
}

static bool try_layer_on(
	const struct vulkan_trial *trial, const struct device *device, struct vulkan_gpu *gpu)
{
	size_t size = import_size(trial);
	int fd = memfd_create("virtio-gpud-probe", MFD_CLOEXEC);
	uint8_t *pages = MAP_FAILED;
	bool works = false;

	/* Twice the size: there is an address in the first half that is a multiple of it. */
	if (fd >= 0 && ftruncate(fd, (off_t)size * 2) == 0) {
		pages = mmap(NULL, size * 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	if (pages == MAP_FAILED) {
		set_reason(gpu, "no memory file of %zu bytes for a trial", size * 2);
	} else {
		works = try_import(device, mappable_types(trial),
			pages + (size - (uintptr_t)pages % size) % size, size, gpu);
		munmap(pages, size * 2);
	}
	if (fd >= 0) {
		close(fd);
	}
	return works;
}

/* The reason why the driver does not do it alone stays, unless the layer does not do it either. */
static bool try_layer(const struct vulkan_trial *trial, struct vulkan_gpu *gpu)
{
	static const char *const names[] = { VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME };
	struct device device;
	VkResult result;
	bool works;

	if (!gpu->has_host) {
		set_reason(gpu,
			"the driver hands out no mappable memory, and has no " VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME
			" for the memory layer");
		return false;
	}
	result = open_device(trial, 1, names, &device);
	if (result != VK_SUCCESS) {
		set_reason(gpu, "vkCreateDevice failed (%d)", result);
		return false;
	}
	works = try_layer_on(trial, &device, gpu);
	device.destroy(device.handle, NULL);
	return works;
}

void vulkan_try_memory(const struct vulkan_trial *trial, struct vulkan_gpu *gpu)
{
	gpu->memory = VULKAN_MEMORY_NONE;
	if (gpu->version < VK_API_VERSION_1_1) {
		set_reason(gpu, "its driver is older than Vulkan 1.1");
	} else if (try_driver(trial, gpu)) {
		gpu->memory = VULKAN_MEMORY_DRIVER;
	} else if (try_layer(trial, gpu)) {
		gpu->memory = VULKAN_MEMORY_LAYER;
	}
}
