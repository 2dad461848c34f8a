/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_VULKAN_H
#define SUPPORT_FAKE_VULKAN_H

/*
 * A Vulkan driver that does nothing and keeps what it was asked: one GPU, with the memory types of a vendor's
 * card that has no DRM node. The loader loads it like any other; a test that loads it too, by the same path,
 * gets at its state.
 */

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <vulkan/vulkan.h>

/* Its memory types. */
enum {
	FAKE_LOCAL, // the GPU's own
	FAKE_COHERENT, // the host's
	FAKE_CACHED, // the host's
	FAKE_BAR, // the GPU's own, mappable: no memory of the process can be imported as such
	FAKE_TYPES,
};

struct fake_vulkan {
	/* To be set before an instance is made. */
	bool has_host_extension;
	bool exports_dmabufs; // it says so
	bool makes_dmabufs; // and does it, if memory files will do
	bool crashes; // when it is asked for its GPUs
	uint32_t version; // Vulkan's
	VkDeviceSize alignment;
	uint32_t importable_types; // bits
	VkDeviceSize heap_usage
		[2]; // what VK_EXT_memory_budget says; the budgets are halves of the heaps
	VkResult allocation_result;
	VkResult device_result;
	VkDriverId driver_id;
	bool has_semaphore_fd; // the extension
	bool imports_sync_files;
	uint32_t more_queues; // than one, in its family

	/* What was asked of it last. */
	uint32_t devices; // that are there now
	uint32_t allocations; // that are there now
	uint32_t extension_count;
	char extensions[16][VK_MAX_EXTENSION_NAME_SIZE];
	VkMemoryAllocateInfo allocation; // pNext says nothing
	const void *host_pointer; // NULL: nothing was imported
	bool is_dedicated, has_flags, has_export, has_import_fd;
	VkExternalMemoryHandleTypeFlags buffer_types, image_types;
	uint32_t queue_infos, queue_count; // of the device; the latter in the last of the former
	uint32_t queue_index; // of the queue that was asked for
	uint32_t submissions; // that signal semaphores
	VkSemaphore signalled;
	uint32_t imports; // of semaphores
};

/* The name by which a test finds it. */
#define FAKE_VULKAN_STATE "fake_vulkan_state"

/* For a test: the state of the driver that FAKE_VULKAN names, or NULL (said). It stays loaded. */
static inline struct fake_vulkan *fake_vulkan_load(void)
{
	void *library = dlopen(getenv("FAKE_VULKAN"), RTLD_NOW);

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return NULL;
	}
	return dlsym(library, FAKE_VULKAN_STATE);
}

#endif
