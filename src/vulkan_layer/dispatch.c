/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vulkan_layer/chain.h"
#include "vulkan_layer/charge.h"
#include "vulkan_layer/gpu.h"
#include "vulkan_layer/memory.h"
#include "vulkan_layer/properties.h"
#include "vulkan_layer/quota.h"
#include "vulkan_layer/resources.h"
#include "vulkan_layer/semaphores.h"

#define EXPORTED __attribute__((visibility("default")))

static struct table instances = TABLE_INIT; // dispatch key: struct instance
static struct table devices = TABLE_INIT; // dispatch key: struct device

/* The loader's table, to which every dispatchable handle of the layers begins with a pointer. */
static uint64_t key_of(const void *handle)
{
	return (uint64_t)(uintptr_t)*(void *const *)handle;
}

struct instance *instance_of(const void *handle)
{
	return table_find(&instances, key_of(handle));
}

struct device *device_of(VkDevice handle)
{
	return table_find(&devices, key_of(handle));
}

struct gpu *gpu_of(VkPhysicalDevice handle)
{
	struct instance *instance = instance_of(handle);
	uint64_t key = (uint64_t)(uintptr_t)handle;
	struct gpu *gpu;

	pthread_mutex_lock(&instance->lock);
	gpu = table_find(&instance->gpus, key);
	if (!gpu) {
		gpu = gpu_create(instance, handle);
		if (gpu && !table_add(&instance->gpus, key, gpu)) {
			gpu_destroy(gpu);
			gpu = NULL;
		}
	}
	pthread_mutex_unlock(&instance->lock);
	return gpu;
}

static PFN_vkVoidFunction find_in(struct command_list list, const char *name)
{
	for (size_t i = 0; i < list.count; i++) {
		if (strcmp(list.commands[i].name, name) == 0) {
			return list.commands[i].function;
		}
	}
	return NULL;
}

/* The core name, or what it was before it came into the core. */
static PFN_vkVoidFunction find_next_of_instance(const struct instance *instance, const char *name)
{
	PFN_vkVoidFunction function = instance->get_proc(instance->handle, name);
	char older[96];

	if (!function) {
		snprintf(older, sizeof(older), "%sKHR", name);
		function = instance->get_proc(instance->handle, older);
	}
	return function;
}

static PFN_vkVoidFunction find_next_of_device(const struct device *device, const char *name)
{
	PFN_vkVoidFunction function = device->get_proc(device->handle, name);
	char older[96];

	if (!function) {
		snprintf(older, sizeof(older), "%sKHR", name);
		function = device->get_proc(device->handle, older);
	}
	return function;
}

/* The loader's own structures in a chain are told apart by their function. */
static VkLayerInstanceCreateInfo *instance_link(
	const VkInstanceCreateInfo *info, VkLayerFunction function)
{
	VkLayerInstanceCreateInfo *link = chain_find(
		info, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);

	while (link && link->function != function) {
		link = chain_find(link, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
	}
	return link;
}

static VkLayerDeviceCreateInfo *device_link(
	const VkDeviceCreateInfo *info, VkLayerFunction function)
{
	VkLayerDeviceCreateInfo *link = chain_find(
		info, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);

	while (link && link->function != function) {
		link = chain_find(link, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
	}
	return link;
}

static VkResult add_instance(VkInstance handle, PFN_vkGetInstanceProcAddr get_proc,
	const VkLayerInstanceCreateInfo *makes_devices)
{
	struct instance *instance = calloc(1, sizeof(*instance));

	if (!instance || !table_add(&instances, key_of(handle), instance)) {
		free(instance);
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	instance->handle = handle;
	instance->get_proc = get_proc;
	if (makes_devices) {
		instance->create_device = makes_devices->u.layerDevice.pfnLayerCreateDevice;
		instance->destroy_device = makes_devices->u.layerDevice.pfnLayerDestroyDevice;
	}
#define F(name) instance->next.name = (PFN_vk##name)find_next_of_instance(instance, "vk" #name);
	INSTANCE_FUNCTIONS(F)
#undef F
	pthread_mutex_init(&instance->lock, NULL);
	table_init(&instance->gpus);
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkInstance *handle)
{
	VkLayerInstanceCreateInfo *link = instance_link(info, VK_LAYER_LINK_INFO);
	PFN_vkGetInstanceProcAddr get_proc;
	PFN_vkCreateInstance next;
	VkResult result;

	if (!link || !quota_open()) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	get_proc = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	next = (PFN_vkCreateInstance)get_proc(NULL, "vkCreateInstance");
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = next(info, allocator, handle);
	if (result != VK_SUCCESS) {
		quota_close();
		return result;
	}
	result = add_instance(
		*handle, get_proc, instance_link(info, VK_LOADER_LAYER_CREATE_DEVICE_CALLBACK));
	if (result != VK_SUCCESS) {
		((PFN_vkDestroyInstance)get_proc(*handle, "vkDestroyInstance"))(*handle, allocator);
		quota_close();
	}
	return result;
}

static VKAPI_ATTR void VKAPI_CALL destroy_instance(
	VkInstance handle, const VkAllocationCallbacks *allocator)
{
	struct instance *instance = handle ? table_remove(&instances, key_of(handle)) : NULL;

	if (instance) {
		instance->next.DestroyInstance(handle, allocator);
		table_finish(&instance->gpus, gpu_destroy);
		pthread_mutex_destroy(&instance->lock);
		free(instance);
		quota_close();
	}
}

static bool asks_for(const VkDeviceCreateInfo *info, const char *extension)
{
	for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
		if (strcmp(info->ppEnabledExtensionNames[i], extension) == 0) {
			return true;
		}
	}
	return false;
}

/* Returns the names for the driver, to be freed, or NULL. */
static const char **swap_extensions(const VkDeviceCreateInfo *info, uint32_t *count)
{
	const char *host = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
	const char **names = calloc(info->enabledExtensionCount + 1, sizeof(*names));

	*count = 0;
	for (uint32_t i = 0; names && i < info->enabledExtensionCount; i++) {
		const char *name = info->ppEnabledExtensionNames[i];

		if (!properties_is_added(name) && strcmp(name, host) != 0) {
			names[(*count)++] = name;
		}
	}
	if (names) {
		names[(*count)++] = host;
	}
	return names;
}

/* What the layer does for a device, by what its application asks for. */
struct wish {
	bool memory; // with descriptors
	bool semaphores; // from sync files
	uint32_t queue; // for them: its index in the family
	uint32_t group_size; // how many GPUs the device is
};

static VkResult create_below(PFN_vkCreateDevice next, struct gpu *gpu, struct wish *wish,
	const VkDeviceCreateInfo *info, const VkAllocationCallbacks *allocator, VkDevice *handle)
{
	struct semaphores_queues queues = { 0 };
	VkDeviceCreateInfo own = *info;
	const char **names = NULL;
	VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;

	if (wish->memory) {
		names = swap_extensions(info, &own.enabledExtensionCount);
		own.ppEnabledExtensionNames = names;
	}
	if (wish->semaphores && semaphores_plan_queues(gpu, info, &queues)) {
		own.queueCreateInfoCount = queues.count;
		own.pQueueCreateInfos = queues.infos;
		wish->queue = queues.index;
	}
	if ((!wish->memory || names) && (!wish->semaphores || queues.infos)) {
		result = next(gpu->handle, &own, allocator, handle);
	}
	semaphores_drop_queues(&queues);
	free(names);
	return result;
}

static uint32_t group_size(const VkDeviceCreateInfo *info)
{
	const VkDeviceGroupDeviceCreateInfo *group = chain_find(
		info, VK_STRUCTURE_TYPE_DEVICE_GROUP_DEVICE_CREATE_INFO);

	return group && group->physicalDeviceCount > 1 ? group->physicalDeviceCount : 1;
}

/* What the loader puts into each handle that goes through it, a layer has to ask for. */
static void take_queue(
	struct device *device, const struct wish *wish, const VkLayerDeviceCreateInfo *sets_data)
{
	device->next.GetDeviceQueue(
		device->handle, device->gpu->signal_family, wish->queue, &device->signal_queue);
	if (sets_data) {
		sets_data->u.pfnSetDeviceLoaderData(device->handle, device->signal_queue);
	}
}

static VkResult add_device(VkDevice handle, struct gpu *gpu, const struct wish *wish,
	PFN_vkGetDeviceProcAddr get_proc, const VkLayerDeviceCreateInfo *sets_data)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device || !table_add(&devices, key_of(handle), device)) {
		free(device);
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	device->handle = handle;
	device->gpu = gpu;
	device->active = wish->memory;
	device->group_size = wish->group_size;
	device->get_proc = get_proc;
#define F(name) device->next.name = (PFN_vk##name)find_next_of_device(device, "vk" #name);
	DEVICE_FUNCTIONS(F)
#undef F
	table_init(&device->memories);
	table_init(&device->charges);
	table_init(&device->buffers);
	table_init(&device->images);
	pthread_mutex_init(&device->signal_lock, NULL);
	if (wish->semaphores) {
		take_queue(device, wish, sets_data);
	}
	return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice gpu_handle,
	const VkDeviceCreateInfo *info, const VkAllocationCallbacks *allocator, VkDevice *handle)
{
	VkLayerDeviceCreateInfo *link = device_link(info, VK_LAYER_LINK_INFO);
	struct gpu *gpu = gpu_of(gpu_handle);
	PFN_vkGetDeviceProcAddr get_proc;
	PFN_vkCreateDevice next;
	struct wish wish;
	VkResult result;

	if (!link || !gpu) {
		return link ? VK_ERROR_OUT_OF_HOST_MEMORY : VK_ERROR_INITIALIZATION_FAILED;
	}
	wish = (struct wish){
		.memory = gpu->active && asks_for(info, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME),
		.semaphores = gpu->signal_family != SEMAPHORES_NO_FAMILY &&
			asks_for(info, VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME),
		.group_size = group_size(info),
	};
	get_proc = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	next = (PFN_vkCreateDevice)link->u.pLayerInfo->pfnNextGetInstanceProcAddr(
		gpu->instance->handle, "vkCreateDevice");
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = create_below(next, gpu, &wish, info, allocator, handle);
	if (result != VK_SUCCESS) {
		return result;
	}
	result = add_device(
		*handle, gpu, &wish, get_proc, device_link(info, VK_LOADER_DATA_CALLBACK));
	if (result != VK_SUCCESS) {
		((PFN_vkDestroyDevice)get_proc(*handle, "vkDestroyDevice"))(*handle, allocator);
	}
	return result;
}

static VKAPI_ATTR void VKAPI_CALL destroy_device(
	VkDevice handle, const VkAllocationCallbacks *allocator)
{
	struct device *device = handle ? table_remove(&devices, key_of(handle)) : NULL;

	if (device) {
		device->next.DestroyDevice(handle, allocator);
		memory_finish(device);
		charge_finish(device);
		resources_finish(device);
		pthread_mutex_destroy(&device->signal_lock);
		free(device);
	}
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc(VkDevice handle, const char *name);

static struct command_list own_commands(void)
{
	static const struct command commands[] = {
		COMMAND("GetInstanceProcAddr", layer_get_instance_proc),
		COMMAND("CreateInstance", create_instance),
		COMMAND("DestroyInstance", destroy_instance),
		COMMAND("CreateDevice", create_device),
		COMMAND("GetDeviceProcAddr", get_device_proc),
		COMMAND("DestroyDevice", destroy_device),
	};

	return (struct command_list){ commands, sizeof(commands) / sizeof(commands[0]) };
}

/* The commands of a device of which there is something to do: NULL for all others. */
static PFN_vkVoidFunction find_of_device(const struct device *device, const char *name)
{
	PFN_vkVoidFunction function = NULL;

	if (quota_is_set()) {
		function = find_in(charge_commands(), name);
	}
	if (!function && device->active) {
		function = find_in(memory_commands(), name);
	}
	if (!function && device->active) {
		function = find_in(resources_commands(), name);
	}
	if (!function && device->signal_queue) {
		function = find_in(semaphores_commands(), name);
	}
	return function;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc(VkDevice handle, const char *name)
{
	struct device *device = device_of(handle);
	PFN_vkVoidFunction below = device->get_proc(handle, name);
	PFN_vkVoidFunction ours;

	if (strcmp(name, "vkGetDeviceProcAddr") == 0 || strcmp(name, "vkDestroyDevice") == 0) {
		return find_in(own_commands(), name);
	}
	ours = find_of_device(device, name);
	/* What the driver lacks it lacks, but for the commands of the extensions that are added. */
	if (ours && (below || strncmp(name, "vkGetMemoryFd", strlen("vkGetMemoryFd")) == 0)) {
		return ours;
	}
	return below;
}

/*
 * Commands of devices are found here too, but not answered here: the loader's own functions for them
 * go by each device's table, which get_device_proc() fills.
 */
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_get_instance_proc(
	VkInstance handle, const char *name)
{
	PFN_vkVoidFunction ours = find_in(own_commands(), name);
	struct instance *instance = handle ? instance_of(handle) : NULL;
	PFN_vkVoidFunction below;

	if (ours || !instance) {
		return ours;
	}
	below = instance->get_proc(handle, name);
	ours = find_in(properties_commands(), name);
	ours = ours ? ours : find_in(semaphores_gpu_commands(), name);
	return ours && below ? ours : below;
}

EXPORTED VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(
	VkNegotiateLayerInterface *interface)
{
	if (interface->loaderLayerInterfaceVersion < 2) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	interface->loaderLayerInterfaceVersion = 2;
	interface->pfnGetInstanceProcAddr = layer_get_instance_proc;
	interface->pfnGetDeviceProcAddr = get_device_proc;
	interface->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}
