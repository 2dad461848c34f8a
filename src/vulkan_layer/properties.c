/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/properties.h"

#include <stdlib.h>
#include <string.h>

#include "vulkan_layer/chain.h"
#include "vulkan_layer/gpu.h"
#include "vulkan_layer/quota.h"

static const VkExtensionProperties added[] = {
	{ VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, VK_KHR_EXTERNAL_MEMORY_FD_SPEC_VERSION },
	{ VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_SPEC_VERSION },
};

#define ADDED (sizeof(added) / sizeof(added[0]))

bool properties_is_added(const char *extension)
{
	for (size_t i = 0; i < ADDED; i++) {
		if (strcmp(added[i].extensionName, extension) == 0) {
			return true;
		}
	}
	return false;
}

/* Vulkan's way to fill an array whose size the caller may or may not know. */
static VkResult hand_over(const VkExtensionProperties *list, uint32_t count, uint32_t *wanted,
	VkExtensionProperties *out)
{
	uint32_t copied = count < *wanted ? count : *wanted;

	if (!out) {
		*wanted = count;
		return VK_SUCCESS;
	}
	memcpy(out, list, copied * sizeof(*list));
	*wanted = copied;
	return copied < count ? VK_INCOMPLETE : VK_SUCCESS;
}

/* Returns the driver's list with ours in it, to be freed, or NULL. */
static VkExtensionProperties *whole_list(struct gpu *gpu, uint32_t *count)
{
	uint32_t below;
	VkExtensionProperties *list = gpu_extensions(gpu->instance, gpu->handle, &below);
	VkExtensionProperties *whole = list ? calloc(below + ADDED, sizeof(*whole)) : NULL;

	*count = 0;
	for (uint32_t i = 0; whole && i < below; i++) {
		if (!properties_is_added(list[i].extensionName)) {
			whole[(*count)++] = list[i];
		}
	}
	if (whole) {
		memcpy(&whole[*count], added, sizeof(added));
		*count += ADDED;
	}
	free(list);
	return whole;
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_extensions(VkPhysicalDevice handle,
	const char *layer, uint32_t *count, VkExtensionProperties *properties)
{
	struct gpu *gpu = gpu_of(handle);
	VkExtensionProperties *list;
	uint32_t list_count;
	VkResult result;

	if (layer && strcmp(layer, LAYER_NAME) == 0) {
		return hand_over(added, ADDED, count, properties);
	}
	if (!gpu) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	if (layer || !gpu->active) {
		return gpu->instance->next.EnumerateDeviceExtensionProperties(
			handle, layer, count, properties);
	}
	list = whole_list(gpu, &list_count);
	if (!list) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	result = hand_over(list, list_count, count, properties);
	free(list);
	return result;
}

/*
 * A renderer takes every mappable type for one that can leave the process. The types keep their numbers: what
 * the driver says of buffers and images is about those.
 */
static void hide_types(VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties *properties)
{
	const VkMemoryPropertyFlags mapping = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
		VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
	struct gpu *gpu = gpu_of(handle);
	uint32_t types = gpu ? gpu_types(gpu) : 0;

	if (types == 0) {
		return;
	}
	for (uint32_t i = 0; i < properties->memoryTypeCount; i++) {
		if (!(types & 1u << i)) {
			properties->memoryTypes[i].propertyFlags &= ~mapping;
		}
	}
}

/* No heap has more than the bound on all of them. */
static void limit_heaps(VkPhysicalDeviceMemoryProperties *properties)
{
	const VkDeviceSize limit = quota_limit();

	for (uint32_t i = 0; i < properties->memoryHeapCount; i++) {
		VkDeviceSize *size = &properties->memoryHeaps[i].size;

		*size = *size < limit ? *size : limit;
	}
}

/* Nor may it still grow by more than what is left, which processes share. A budget is never 0. */
static void limit_budgets(const VkPhysicalDeviceMemoryProperties2 *properties)
{
	const VkPhysicalDeviceMemoryProperties *memory = &properties->memoryProperties;
	VkPhysicalDeviceMemoryBudgetPropertiesEXT *budgets = NULL;
	VkDeviceSize left = 0;

	if (quota_is_set()) {
		budgets = chain_find(
			properties, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
		left = quota_left();
	}

	for (uint32_t i = 0; budgets && i < memory->memoryHeapCount; i++) {
		VkDeviceSize *budget = &budgets->heapBudget[i];
		VkDeviceSize room = memory->memoryHeaps[i].size;

		if (budgets->heapUsage[i] < room && left < room - budgets->heapUsage[i]) {
			room = budgets->heapUsage[i] + left;
		}
		*budget = *budget < room ? *budget : room;
		*budget = *budget ? *budget : 1;
	}
}

static VKAPI_ATTR void VKAPI_CALL get_memory_properties(
	VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties *properties)
{
	instance_of(handle)->next.GetPhysicalDeviceMemoryProperties(handle, properties);
	hide_types(handle, properties);
	limit_heaps(properties);
}

static VKAPI_ATTR void VKAPI_CALL get_memory_properties2(
	VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties2 *properties)
{
	instance_of(handle)->next.GetPhysicalDeviceMemoryProperties2(handle, properties);
	hide_types(handle, &properties->memoryProperties);
	limit_heaps(&properties->memoryProperties);
	limit_budgets(properties);
}

/* Whether the layer answers for handles of that type on that GPU. */
static bool is_ours(VkPhysicalDevice handle, VkExternalMemoryHandleTypeFlags type)
{
	struct gpu *gpu = type & FD_TYPES ? gpu_of(handle) : NULL;

	return gpu && gpu_types(gpu) != 0;
}

/* From what the driver says of imported host memory to what the layer makes of it. */
static bool translate(VkExternalMemoryProperties *memory)
{
	if (!(memory->externalMemoryFeatures & VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT)) {
		return false;
	}
	memory->externalMemoryFeatures |= VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT;
	memory->exportFromImportedHandleTypes = FD_TYPES;
	memory->compatibleHandleTypes = FD_TYPES;
	return true;
}

static VKAPI_ATTR void VKAPI_CALL get_buffer_properties(VkPhysicalDevice handle,
	const VkPhysicalDeviceExternalBufferInfo *info, VkExternalBufferProperties *properties)
{
	VkPhysicalDeviceExternalBufferInfo below = *info;
	bool ours = is_ours(handle, info->handleType);

	if (ours) {
		below.handleType = HOST_TYPE;
	}
	instance_of(handle)->next.GetPhysicalDeviceExternalBufferProperties(
		handle, &below, properties);
	if (ours && !translate(&properties->externalMemoryProperties)) {
		properties->externalMemoryProperties = (VkExternalMemoryProperties){
			.compatibleHandleTypes = info->handleType
		};
	}
}

static VKAPI_ATTR VkResult VKAPI_CALL get_image_properties(VkPhysicalDevice handle,
	const VkPhysicalDeviceImageFormatInfo2 *info, VkImageFormatProperties2 *properties)
{
	PFN_vkGetPhysicalDeviceImageFormatProperties2 next =
		instance_of(handle)->next.GetPhysicalDeviceImageFormatProperties2;
	VkPhysicalDeviceExternalImageFormatInfo *external = chain_find(
		info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO);
	VkExternalImageFormatProperties own = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES
	};
	VkExternalImageFormatProperties *answer = chain_find(
		properties, VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);
	VkExternalMemoryHandleTypeFlagBits type;
	VkResult result;

	if (!external || !is_ours(handle, external->handleType)) {
		return next(handle, info, properties);
	}
	if (!answer) {
		own.pNext = properties->pNext;
		properties->pNext = &own;
		answer = &own;
	}
	type = external->handleType;
	external->handleType = HOST_TYPE;
	result = next(handle, info, properties);
	external->handleType = type;
	if (answer == &own) {
		properties->pNext = own.pNext;
	}
	if (result == VK_SUCCESS && !translate(&answer->externalMemoryProperties)) {
		result = VK_ERROR_FORMAT_NOT_SUPPORTED;
	}
	return result;
}

struct command_list properties_commands(void)
{
	static const struct command commands[] = {
		COMMAND("EnumerateDeviceExtensionProperties", enumerate_extensions),
		COMMAND("GetPhysicalDeviceMemoryProperties", get_memory_properties),
		COMMAND("GetPhysicalDeviceMemoryProperties2", get_memory_properties2),
		COMMAND("GetPhysicalDeviceMemoryProperties2KHR", get_memory_properties2),
		COMMAND("GetPhysicalDeviceExternalBufferProperties", get_buffer_properties),
		COMMAND("GetPhysicalDeviceExternalBufferPropertiesKHR", get_buffer_properties),
		COMMAND("GetPhysicalDeviceImageFormatProperties2", get_image_properties),
		COMMAND("GetPhysicalDeviceImageFormatProperties2KHR", get_image_properties),
	};

	return (struct command_list){ commands, sizeof(commands) / sizeof(commands[0]) };
}
