/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vulkan/vulkan.h>

#include "base/child.h"
#include "render/virgl/probe.h"
#include "render/virgl/server.h"
#include "render/virgl/symbols.h"
#include "render/virgl/vulkan.h"
#include "render/virgl/vulkan_trial.h"

#define LIBRARY "libvulkan.so.1"

#define FIND(instance, name) ((PFN_vk##name)vulkan.get_proc(instance, "vk" #name))

/* What a child leaves. */
struct found {
	struct vulkan_list list;
	char error[VULKAN_ERROR_SIZE]; // empty: none
};

static struct {
	PFN_vkGetInstanceProcAddr get_proc;
} vulkan;

static bool load(char *error)
{
	static const struct symbol functions[] = { { "vkGetInstanceProcAddr", 0 } };
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const char *missing = library ? symbols_find(library, functions, 1, &vulkan) : NULL;

	if (!library) {
		snprintf(error, VULKAN_ERROR_SIZE, "%s (on Debian: package libvulkan1)", dlerror());
	} else if (missing) {
		snprintf(error, VULKAN_ERROR_SIZE, LIBRARY " has no %s", missing);
	}
	return library && !missing;
}

/* Drivers are asked, not what a user's layers make of them. */
static void choose_driver(const char *driver)
{
	unsetenv("VK_INSTANCE_LAYERS");
	setenv("VK_LOADER_LAYERS_DISABLE", "~all~", 1);
	if (driver) {
		setenv("VK_DRIVER_FILES", driver, 1);
		setenv("VK_ICD_FILENAMES", driver, 1); // its older name
	}
}

static VkResult make_instance(VkInstance *instance)
{
	VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "virtio-gpud",
		.apiVersion = VK_API_VERSION_1_1,
	};
	VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};

	return FIND(NULL, CreateInstance)(&info, NULL, instance);
}

/* Says why, if it returns false. */
static bool list_gpus(VkInstance *instance, VkPhysicalDevice handles[static VULKAN_GPU_MAX],
	uint32_t *count, char *error)
{
	VkResult answer = make_instance(instance);

	*count = 0;
	if (answer == VK_ERROR_INCOMPATIBLE_DRIVER) {
		return true; // so the loader says that there is no driver
	}
	if (answer == VK_SUCCESS) {
		*count = VULKAN_GPU_MAX;
		answer = FIND(*instance, EnumeratePhysicalDevices)(*instance, count, handles);
	}
	if (answer != VK_SUCCESS && answer != VK_INCOMPLETE) {
		snprintf(error, VULKAN_ERROR_SIZE, "Vulkan cannot be started (%d)", answer);
		return false;
	}
	return true;
}

static VkExtensionProperties *list_extensions(
	VkInstance instance, VkPhysicalDevice handle, uint32_t *count)
{
	PFN_vkEnumerateDeviceExtensionProperties enumerate = FIND(
		instance, EnumerateDeviceExtensionProperties);
	VkExtensionProperties *list = NULL;

	*count = 0;
	if (enumerate(handle, NULL, count, NULL) == VK_SUCCESS) {
		list = calloc(*count + 1, sizeof(*list));
	}
	if (!list || enumerate(handle, NULL, count, list) != VK_SUCCESS) {
		*count = 0;
	}
	return list;
}

static bool has(const VkExtensionProperties *list, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(list[i].extensionName, name) == 0) {
			return true;
		}
	}
	return false;
}

/* Versions that Vulkan 1.1 does not know are in extensions of it: a driver ignores what it does not know. */
static void ask_identity(
	VkInstance instance, VkPhysicalDevice handle, bool has_pci, struct vulkan_gpu *gpu)
{
	VkPhysicalDevicePCIBusInfoPropertiesEXT pci = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT
	};
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
		.pNext = has_pci ? &pci : NULL,
	};
	VkPhysicalDeviceIDProperties id = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES, .pNext = &driver
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id
	};

	FIND(instance, GetPhysicalDeviceProperties2)(handle, &properties);
	gpu_format_uuid(id.deviceUUID, gpu->uuid);
	gpu->no_fork = driver.driverID == VK_DRIVER_ID_NVIDIA_PROPRIETARY;
	if (driver.driverName[0]) {
		snprintf(gpu->driver, sizeof(gpu->driver), "%.60s %.90s", driver.driverName,
			driver.driverInfo);
	}
	if (has_pci) {
		snprintf(gpu->pci, sizeof(gpu->pci), "%04x:%02x:%02x.%x", pci.pciDomain & 0xffff,
			pci.pciBus & 0xff, pci.pciDevice & 0xff, pci.pciFunction & 0xf);
	}
}

static void ask_gpu(VkInstance instance, VkPhysicalDevice handle, struct vulkan_gpu *gpu)
{
	struct vulkan_trial trial = { vulkan.get_proc, instance, handle };
	uint32_t count;
	VkExtensionProperties *list = list_extensions(instance, handle, &count);
	VkPhysicalDeviceProperties properties;

	*gpu = (struct vulkan_gpu){
		.has_fd = has(list, count, VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME),
		.has_dma_buf = has(list, count, VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME),
		.has_host = has(list, count, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME),
	};
	FIND(instance, GetPhysicalDeviceProperties)(handle, &properties);
	snprintf(gpu->name, sizeof(gpu->name), "%.127s", properties.deviceName);
	gpu->vendor_id = properties.vendorID;
	gpu->device_id = properties.deviceID;
	gpu->version = properties.apiVersion;
	gpu->software = properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
	if (gpu->version >= VK_API_VERSION_1_1) {
		ask_identity(instance, handle, has(list, count, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME),
			gpu);
	}
	vulkan_try_memory(&trial, gpu);
	free(list);
}

static void ask_all(void *result, void *driver)
{
	struct found *found = result;
	VkPhysicalDevice handles[VULKAN_GPU_MAX];
	VkInstance instance;
	uint32_t count;

	choose_driver(driver);
	if (!load(found->error) || !list_gpus(&instance, handles, &count, found->error)) {
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		ask_gpu(instance, handles[i], &found->list.gpus[i]);
	}
	found->list.count = count;
}

int vulkan_probe(const char *driver, struct vulkan_list *list, char error[static VULKAN_ERROR_SIZE])
{
	struct found *found = calloc(1, sizeof(*found));
	int result, killer;

	*list = (struct vulkan_list){ .count = 0 };
	/* The loader passes over it in silence. */
	if (driver && access(driver, R_OK) < 0) {
		result = -errno;
		snprintf(error, VULKAN_ERROR_SIZE, "no driver's manifest %.160s: %s", driver,
			strerror(-result));
		free(found);
		return result;
	}
	if (!found) {
		snprintf(error, VULKAN_ERROR_SIZE, "no memory for a list of GPUs");
		return -ENOMEM;
	}
	result = child_run(
		ask_all, (void *)driver, found, sizeof(*found), PROBE_SECONDS * 1000, &killer);
	if (result < 0) {
		probe_explain(error, VULKAN_ERROR_SIZE, result, killer);
	} else if (found->error[0]) {
		result = -ENODEV;
		snprintf(error, VULKAN_ERROR_SIZE, "%s", found->error);
	} else {
		*list = found->list;
	}
	free(found);
	return result;
}

/* The layer shows no heap that is larger than the limit. Below this one there is none without it. */
#define TRIAL_LIMIT 4096

static bool is_limited(VkInstance instance, VkPhysicalDevice handle)
{
	VkPhysicalDeviceMemoryProperties properties;
	bool is_limited = true;

	FIND(instance, GetPhysicalDeviceMemoryProperties)(handle, &properties);
	for (uint32_t i = 0; i < properties.memoryHeapCount; i++) {
		is_limited &= properties.memoryHeaps[i].size <= TRIAL_LIMIT;
	}
	return is_limited;
}

static void try_limit(void *result, void *data)
{
	const struct virgl_server_config *config = data;
	VkPhysicalDevice handles[VULKAN_GPU_MAX];
	VkInstance instance;
	uint32_t count;
	char *error = result;

	if (virgl_server_imitate(config) < 0) {
		snprintf(error, VULKAN_ERROR_SIZE, "no memory for a trial");
		return;
	}
	if (!load(error) || !list_gpus(&instance, handles, &count, error)) {
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!is_limited(instance, handles[i])) {
			snprintf(error, VULKAN_ERROR_SIZE,
				"the Vulkan loader does not load virtio-gpud's memory layer (too old a "
				"loader, or a VK_LOADER_LAYERS_DISABLE in the environment?)");
		}
	}
}

int vulkan_try_limit(const struct virgl_server_config *config, char error[static VULKAN_ERROR_SIZE])
{
	struct virgl_server_config trial = *config;
	char found[VULKAN_ERROR_SIZE] = "";
	int result, killer;

	trial.max_memory = TRIAL_LIMIT;
	result = child_run(try_limit, &trial, found, sizeof(found), PROBE_SECONDS * 1000, &killer);
	if (result < 0) {
		probe_explain(error, VULKAN_ERROR_SIZE, result, killer);
	} else if (found[0]) {
		memcpy(error, found, sizeof(found));
		result = -ENODEV;
	}
	return result;
}
