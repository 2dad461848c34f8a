/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/semaphores.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vulkan_layer/chain.h"
#include "vulkan_layer/gpu.h"

#define SYNC_FILE VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT

static bool imports_sync_files(const struct gpu *gpu)
{
	VkPhysicalDeviceExternalSemaphoreInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
		.handleType = SYNC_FILE,
	};
	VkExternalSemaphoreProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES
	};

	gpu->instance->next.GetPhysicalDeviceExternalSemaphoreProperties(
		gpu->handle, &info, &answer);
	return answer.externalSemaphoreFeatures & VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT;
}

uint32_t semaphores_choose_family(const struct gpu *gpu)
{
	VkQueueFamilyProperties families[16];
	uint32_t count = sizeof(families) / sizeof(families[0]);

	if (!gpu->instance->next.GetPhysicalDeviceExternalSemaphoreProperties ||
		imports_sync_files(gpu)) {
		return SEMAPHORES_NO_FAMILY;
	}
	gpu->instance->next.GetPhysicalDeviceQueueFamilyProperties(gpu->handle, &count, families);
	for (uint32_t i = 0; i < count; i++) {
		if (families[i].queueCount > 1) {
			return i;
		}
	}
	return SEMAPHORES_NO_FAMILY;
}

/* Returns the application's queues of the family, or where there is room for the first. */
static VkDeviceQueueCreateInfo *find_family(struct semaphores_queues *queues, uint32_t family)
{
	VkDeviceQueueCreateInfo *info = queues->infos;

	while (info < queues->infos + queues->count &&
		(info->queueFamilyIndex != family || info->flags != 0)) {
		info++;
	}
	return info;
}

bool semaphores_plan_queues(
	const struct gpu *gpu, const VkDeviceCreateInfo *info, struct semaphores_queues *queues)
{
	VkDeviceQueueCreateInfo *place;

	*queues = (struct semaphores_queues){
		.infos = calloc(info->queueCreateInfoCount + 1, sizeof(*queues->infos)),
		.count = info->queueCreateInfoCount,
	};
	if (!queues->infos) {
		return false;
	}
	memcpy(queues->infos, info->pQueueCreateInfos, queues->count * sizeof(*queues->infos));
	place = find_family(queues, gpu->signal_family);
	queues->index = place->queueCount;
	queues->priorities = calloc(queues->index + 1, sizeof(float));
	if (!queues->priorities) {
		semaphores_drop_queues(queues);
		return false;
	}
	if (queues->index > 0) {
		memcpy(queues->priorities, place->pQueuePriorities, queues->index * sizeof(float));
	}
	queues->priorities[queues->index] = 1;
	queues->count += place == queues->infos + queues->count;
	place->sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
	place->queueFamilyIndex = gpu->signal_family;
	place->queueCount = queues->index + 1;
	place->pQueuePriorities = queues->priorities;
	return true;
}

void semaphores_drop_queues(struct semaphores_queues *queues)
{
	free(queues->infos);
	free(queues->priorities);
	*queues = (struct semaphores_queues){ 0 };
}

static VKAPI_ATTR void VKAPI_CALL get_families(
	VkPhysicalDevice handle, uint32_t *count, VkQueueFamilyProperties *families)
{
	struct gpu *gpu = gpu_of(handle);

	instance_of(handle)->next.GetPhysicalDeviceQueueFamilyProperties(handle, count, families);
	if (families && gpu && gpu->signal_family < *count) {
		families[gpu->signal_family].queueCount--;
	}
}

static VKAPI_ATTR void VKAPI_CALL get_families2(
	VkPhysicalDevice handle, uint32_t *count, VkQueueFamilyProperties2 *families)
{
	struct gpu *gpu = gpu_of(handle);

	instance_of(handle)->next.GetPhysicalDeviceQueueFamilyProperties2(handle, count, families);
	if (families && gpu && gpu->signal_family < *count) {
		families[gpu->signal_family].queueFamilyProperties.queueCount--;
	}
}

/* Only binary ones: a sync file has no value. */
static bool is_timeline(const VkPhysicalDeviceExternalSemaphoreInfo *info)
{
	const VkSemaphoreTypeCreateInfo *type = chain_find(
		info, VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO);

	return type && type->semaphoreType != VK_SEMAPHORE_TYPE_BINARY;
}

static VKAPI_ATTR void VKAPI_CALL get_semaphore_properties(VkPhysicalDevice handle,
	const VkPhysicalDeviceExternalSemaphoreInfo *info,
	VkExternalSemaphoreProperties *properties)
{
	struct gpu *gpu = gpu_of(handle);

	instance_of(handle)->next.GetPhysicalDeviceExternalSemaphoreProperties(
		handle, info, properties);
	if (gpu && gpu->signal_family != SEMAPHORES_NO_FAMILY && info->handleType == SYNC_FILE &&
		!is_timeline(info)) {
		properties->externalSemaphoreFeatures |=
			VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT;
		properties->compatibleHandleTypes |= SYNC_FILE;
	}
}

/* A sync file can be read when it is signalled; the descriptor is ours on success. */
static VkResult wait_for_file(int fd)
{
	struct pollfd file = { .fd = fd, .events = POLLIN };
	int ready;

	do {
		ready = poll(&file, 1, -1);
	} while (ready < 0 && errno == EINTR);
	if (ready < 0 || !(file.revents & POLLIN)) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	close(fd);
	return VK_SUCCESS;
}

/* -1 stands for a file that is signalled. */
static VKAPI_ATTR VkResult VKAPI_CALL import_semaphore(
	VkDevice handle, const VkImportSemaphoreFdInfoKHR *info)
{
	struct device *device = device_of(handle);
	VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.signalSemaphoreCount = 1,
		.pSignalSemaphores = &info->semaphore,
	};
	VkResult result;

	if (info->handleType != SYNC_FILE) {
		return device->next.ImportSemaphoreFdKHR(handle, info);
	}
	result = info->fd >= 0 ? wait_for_file(info->fd) : VK_SUCCESS;
	if (result != VK_SUCCESS) {
		return result;
	}
	pthread_mutex_lock(&device->signal_lock);
	result = device->next.QueueSubmit(device->signal_queue, 1, &submit, VK_NULL_HANDLE);
	pthread_mutex_unlock(&device->signal_lock);
	return result;
}

struct command_list semaphores_gpu_commands(void)
{
	static const struct command commands[] = {
		COMMAND("GetPhysicalDeviceQueueFamilyProperties", get_families),
		COMMAND("GetPhysicalDeviceQueueFamilyProperties2", get_families2),
		COMMAND("GetPhysicalDeviceQueueFamilyProperties2KHR", get_families2),
		COMMAND("GetPhysicalDeviceExternalSemaphoreProperties", get_semaphore_properties),
		COMMAND("GetPhysicalDeviceExternalSemaphorePropertiesKHR",
			get_semaphore_properties),
	};

	return (struct command_list){ commands, sizeof(commands) / sizeof(commands[0]) };
}

struct command_list semaphores_commands(void)
{
	static const struct command commands[] = {
		COMMAND("ImportSemaphoreFdKHR", import_semaphore),
	};

	return (struct command_list){ commands, sizeof(commands) / sizeof(commands[0]) };
}
