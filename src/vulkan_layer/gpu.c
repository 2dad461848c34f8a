/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vulkan_layer/pages.h"
#include "vulkan_layer/semaphores.h"

void gpu_report(const struct gpu *gpu, const char *text)
{
	fprintf(stderr, "virtio-gpud's memory layer: %s: %s\n", gpu->name, text);
}

VkExtensionProperties *gpu_extensions(
	struct instance *instance, VkPhysicalDevice handle, uint32_t *count)
{
	VkExtensionProperties *list = NULL;

	*count = 0;
	if (instance->next.EnumerateDeviceExtensionProperties(handle, NULL, count, NULL) ==
		VK_SUCCESS) {
		list = calloc(*count + 1, sizeof(*list));
	}
	if (list &&
		instance->next.EnumerateDeviceExtensionProperties(handle, NULL, count, list) !=
			VK_SUCCESS) {
		free(list);
		list = NULL;
	}
	return list;
}

static bool has_extension(const VkExtensionProperties *list, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(list[i].extensionName, name) == 0) {
			return true;
		}
	}
	return false;
}

/* virglrenderer's question before it makes mappable memory by the driver. */
static bool hands_out_dmabufs(const struct gpu *gpu)
{
	VkPhysicalDeviceExternalBufferInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
		.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
		.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT,
	};
	VkExternalBufferProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES
	};
	const VkExternalMemoryProperties *memory = &answer.externalMemoryProperties;

	gpu->instance->next.GetPhysicalDeviceExternalBufferProperties(gpu->handle, &info, &answer);
	return memory->externalMemoryFeatures & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT &&
		memory->exportFromImportedHandleTypes &
		VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT;
}

static void ask_properties(struct gpu *gpu)
{
	VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &host
	};
	VkDeviceSize page = (VkDeviceSize)sysconf(_SC_PAGESIZE);

	gpu->instance->next.GetPhysicalDeviceProperties2(gpu->handle, &properties);
	snprintf(gpu->name, sizeof(gpu->name), "%s", properties.properties.deviceName);
	gpu->alignment = host.minImportedHostPointerAlignment > page
		? host.minImportedHostPointerAlignment
		: page;
}

static bool is_forced(void)
{
	const char *value = getenv("VIRTIO_GPUD_MEMORY_LAYER");

	return value && strcmp(value, "always") == 0;
}

static void decide(struct gpu *gpu)
{
	uint32_t count;
	VkExtensionProperties *list = gpu_extensions(gpu->instance, gpu->handle, &count);
	bool is_served = has_extension(
				 list, count, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME) &&
		hands_out_dmabufs(gpu);

	gpu->active = has_extension(list, count, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) &&
		(!is_served || is_forced());
	if (gpu->active &&
		has_extension(list, count, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME)) {
		gpu->signal_family = semaphores_choose_family(gpu);
	}
	if (!gpu->active && !is_served) {
		gpu_report(gpu,
			"the driver has no " VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME
			", so its memory is left as it is");
	}
	free(list);
}

struct gpu *gpu_create(struct instance *instance, VkPhysicalDevice handle)
{
	struct gpu *gpu = calloc(1, sizeof(*gpu));

	if (!gpu) {
		return NULL;
	}
	*gpu = (struct gpu){
		.instance = instance, .handle = handle, .signal_family = SEMAPHORES_NO_FAMILY
	};
	pthread_mutex_init(&gpu->lock, NULL);
	/* An instance of Vulkan 1.0 without the extensions cannot ask, and its application not use it. */
	if (instance->next.GetPhysicalDeviceProperties2 &&
		instance->next.GetPhysicalDeviceExternalBufferProperties) {
		ask_properties(gpu);
		decide(gpu);
	}
	return gpu;
}

void gpu_destroy(void *data)
{
	struct gpu *gpu = data;

	pthread_mutex_destroy(&gpu->lock);
	free(gpu);
}

static uint32_t mappable_types(const struct gpu *gpu)
{
	VkPhysicalDeviceMemoryProperties memory;
	uint32_t types = 0;

	gpu->instance->next.GetPhysicalDeviceMemoryProperties(gpu->handle, &memory);
	for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
		if (memory.memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
			types |= 1u << i;
		}
	}
	return types;
}

/* Of the question which types of memory take the layer's pages. */
struct answer {
	uint32_t types; // mappable ones; 0: none
	const char *call; // the one that said so
	int result; // its VkResult, or of the kernel's -errno
};

static struct answer ask_types(
	const struct gpu *gpu, VkDevice device, PFN_vkGetMemoryHostPointerPropertiesEXT ask)
{
	VkMemoryHostPointerPropertiesEXT properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT
	};
	struct pages pages;
	int error = pages_create(gpu->alignment, gpu->alignment, &pages);
	VkResult result = VK_ERROR_EXTENSION_NOT_PRESENT;

	if (error < 0) {
		return (struct answer){ 0, "memfd_create", error };
	}
	if (ask) {
		result = ask(device, HOST_TYPE, pages.address, &properties);
	}
	pages_destroy(&pages);
	return (struct answer){
		.types = result == VK_SUCCESS ? properties.memoryTypeBits & mappable_types(gpu) : 0,
		.call = "vkGetMemoryHostPointerPropertiesEXT",
		.result = result,
	};
}

/* By a device of the layer's own. */
static struct answer probe_types(const struct gpu *gpu)
{
	static const char *const extensions[] = { VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME };
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
		.enabledExtensionCount = 1,
		.ppEnabledExtensionNames = extensions,
	};
	struct instance *instance = gpu->instance;
	PFN_vkGetDeviceProcAddr get_proc = NULL;
	VkDevice device = VK_NULL_HANDLE;
	VkResult result = VK_ERROR_INITIALIZATION_FAILED;
	struct answer answer;

	if (instance->create_device) {
		result = instance->create_device(instance->handle, gpu->handle, &info, NULL,
			&device, layer_get_instance_proc, &get_proc);
	}
	if (result != VK_SUCCESS) {
		return (struct answer){ 0, "vkCreateDevice", result };
	}
	answer = ask_types(gpu, device,
		(PFN_vkGetMemoryHostPointerPropertiesEXT)get_proc(
			device, "vkGetMemoryHostPointerPropertiesEXT"));
	instance->destroy_device(
		device, NULL, (PFN_vkDestroyDevice)get_proc(device, "vkDestroyDevice"));
	return answer;
}

static bool find_types(struct gpu *gpu, uint32_t *types)
{
	bool is_known;

	pthread_mutex_lock(&gpu->lock);
	is_known = !gpu->active || gpu->is_probed;
	*types = gpu->types;
	pthread_mutex_unlock(&gpu->lock);
	return is_known;
}

static void report_no_types(const struct gpu *gpu, const struct answer *answer)
{
	char text[256];

	snprintf(text, sizeof(text),
		"the driver imports no mapped memory file (%s: %d, no mappable memory type), so "
		"its memory cannot leave this process",
		answer->call, answer->result);
	gpu_report(gpu, text);
}

/* Two threads may have asked at once; the answers are the same. */
static void keep_types(struct gpu *gpu, const struct answer *answer)
{
	bool is_first;

	pthread_mutex_lock(&gpu->lock);
	is_first = !gpu->is_probed;
	gpu->is_probed = true;
	gpu->types = answer->types;
	pthread_mutex_unlock(&gpu->lock);
	if (is_first && answer->types == 0) {
		report_no_types(gpu, answer);
	}
}

uint32_t gpu_types(struct gpu *gpu)
{
	uint32_t types;

	if (!find_types(gpu, &types)) {
		struct answer answer = probe_types(gpu);

		keep_types(gpu, &answer);
		types = answer.types;
	}
	return types;
}

uint32_t gpu_types_of_device(struct gpu *gpu, const struct device *device)
{
	uint32_t types;

	if (!find_types(gpu, &types)) {
		struct answer answer = ask_types(
			gpu, device->handle, device->next.GetMemoryHostPointerPropertiesEXT);

		keep_types(gpu, &answer);
		types = answer.types;
	}
	return types;
}
