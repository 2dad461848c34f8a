/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/resources.h"

#include "vulkan_layer/chain.h"
#include "vulkan_layer/gpu.h"

/* The driver's kind of handle in the place of ours. Returns whether ours was there. */
static bool swap_types(
	VkExternalMemoryHandleTypeFlags *types, VkExternalMemoryHandleTypeFlags *kept)
{
	*kept = *types;
	if (!(*types & FD_TYPES)) {
		return false;
	}
	*types = (*types & ~FD_TYPES) | HOST_TYPE;
	return true;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_buffer(VkDevice handle, const VkBufferCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkBuffer *buffer)
{
	struct device *device = device_of(handle);
	VkExternalMemoryBufferCreateInfo *external = chain_find(
		info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
	VkExternalMemoryHandleTypeFlags types;
	VkResult result;

	if (!external || !swap_types(&external->handleTypes, &types)) {
		return device->next.CreateBuffer(handle, info, allocator, buffer);
	}
	result = device->next.CreateBuffer(handle, info, allocator, buffer);
	external->handleTypes = types;
	if (result == VK_SUCCESS && !table_add(&device->buffers, (uint64_t)*buffer, device->gpu)) {
		device->next.DestroyBuffer(handle, *buffer, allocator);
		*buffer = VK_NULL_HANDLE;
		result = VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_image(VkDevice handle, const VkImageCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkImage *image)
{
	struct device *device = device_of(handle);
	VkExternalMemoryImageCreateInfo *external = chain_find(
		info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
	VkExternalMemoryHandleTypeFlags types;
	VkResult result;

	if (!external || !swap_types(&external->handleTypes, &types)) {
		return device->next.CreateImage(handle, info, allocator, image);
	}
	result = device->next.CreateImage(handle, info, allocator, image);
	external->handleTypes = types;
	if (result == VK_SUCCESS && !table_add(&device->images, (uint64_t)*image, device->gpu)) {
		device->next.DestroyImage(handle, *image, allocator);
		*image = VK_NULL_HANDLE;
		result = VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	return result;
}

static VKAPI_ATTR void VKAPI_CALL destroy_buffer(
	VkDevice handle, VkBuffer buffer, const VkAllocationCallbacks *allocator)
{
	struct device *device = device_of(handle);

	table_remove(&device->buffers, (uint64_t)buffer);
	device->next.DestroyBuffer(handle, buffer, allocator);
}

static VKAPI_ATTR void VKAPI_CALL destroy_image(
	VkDevice handle, VkImage image, const VkAllocationCallbacks *allocator)
{
	struct device *device = device_of(handle);

	table_remove(&device->images, (uint64_t)image);
	device->next.DestroyImage(handle, image, allocator);
}

/* The driver may also name types that such a resource could have, but imported memory cannot. */
static void narrow(const struct device *device, VkMemoryRequirements *requirements)
{
	requirements->memoryTypeBits &= gpu_types_of_device(device->gpu, device);
}

static VKAPI_ATTR void VKAPI_CALL get_buffer_requirements(
	VkDevice handle, VkBuffer buffer, VkMemoryRequirements *requirements)
{
	struct device *device = device_of(handle);

	device->next.GetBufferMemoryRequirements(handle, buffer, requirements);
	if (table_find(&device->buffers, (uint64_t)buffer)) {
		narrow(device, requirements);
	}
}

static VKAPI_ATTR void VKAPI_CALL get_buffer_requirements2(VkDevice handle,
	const VkBufferMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *requirements)
{
	struct device *device = device_of(handle);

	device->next.GetBufferMemoryRequirements2(handle, info, requirements);
	if (table_find(&device->buffers, (uint64_t)info->buffer)) {
		narrow(device, &requirements->memoryRequirements);
	}
}

static VKAPI_ATTR void VKAPI_CALL get_image_requirements(
	VkDevice handle, VkImage image, VkMemoryRequirements *requirements)
{
	struct device *device = device_of(handle);

	device->next.GetImageMemoryRequirements(handle, image, requirements);
	if (table_find(&device->images, (uint64_t)image)) {
		narrow(device, requirements);
	}
}

static VKAPI_ATTR void VKAPI_CALL get_image_requirements2(VkDevice handle,
	const VkImageMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *requirements)
{
	struct device *device = device_of(handle);

	device->next.GetImageMemoryRequirements2(handle, info, requirements);
	if (table_find(&device->images, (uint64_t)info->image)) {
		narrow(device, &requirements->memoryRequirements);
	}
}

static VKAPI_ATTR void VKAPI_CALL get_planned_buffer_requirements(VkDevice handle,
	const VkDeviceBufferMemoryRequirements *info, VkMemoryRequirements2 *requirements)
{
	struct device *device = device_of(handle);
	VkExternalMemoryBufferCreateInfo *external = chain_find(
		info->pCreateInfo, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);
	VkExternalMemoryHandleTypeFlags types;
	bool ours = external && swap_types(&external->handleTypes, &types);

	device->next.GetDeviceBufferMemoryRequirements(handle, info, requirements);
	if (ours) {
		external->handleTypes = types;
		narrow(device, &requirements->memoryRequirements);
	}
}

static VKAPI_ATTR void VKAPI_CALL get_planned_image_requirements(VkDevice handle,
	const VkDeviceImageMemoryRequirements *info, VkMemoryRequirements2 *requirements)
{
	struct device *device = device_of(handle);
	VkExternalMemoryImageCreateInfo *external = chain_find(
		info->pCreateInfo, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);
	VkExternalMemoryHandleTypeFlags types;
	bool ours = external && swap_types(&external->handleTypes, &types);

	device->next.GetDeviceImageMemoryRequirements(handle, info, requirements);
	if (ours) {
		external->handleTypes = types;
		narrow(device, &requirements->memoryRequirements);
	}
}

void resources_finish(struct device *device)
{
	table_finish(&device->buffers, NULL);
	table_finish(&device->images, NULL);
}

struct command_list resources_commands(void)
{
	static const struct command commands[] = {
		COMMAND("CreateBuffer", create_buffer),
		COMMAND("DestroyBuffer", destroy_buffer),
		COMMAND("CreateImage", create_image),
		COMMAND("DestroyImage", destroy_image),
		COMMAND("GetBufferMemoryRequirements", get_buffer_requirements),
		COMMAND("GetBufferMemoryRequirements2", get_buffer_requirements2),
		COMMAND("GetBufferMemoryRequirements2KHR", get_buffer_requirements2),
		COMMAND("GetImageMemoryRequirements", get_image_requirements),
		COMMAND("GetImageMemoryRequirements2", get_image_requirements2),
		COMMAND("GetImageMemoryRequirements2KHR", get_image_requirements2),
		COMMAND("GetDeviceBufferMemoryRequirements", get_planned_buffer_requirements),
		COMMAND("GetDeviceBufferMemoryRequirementsKHR", get_planned_buffer_requirements),
		COMMAND("GetDeviceImageMemoryRequirements", get_planned_image_requirements),
		COMMAND("GetDeviceImageMemoryRequirementsKHR", get_planned_image_requirements),
	};

	return (struct command_list){ commands, sizeof(commands) / sizeof(commands[0]) };
}
