/* SPDX-License-Identifier: MIT */
#include "support/fake_vulkan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vulkan/vk_icd.h>

#define EXPORTED __attribute__((visibility("default")))

/* Vulkan's handles of this driver: the loader writes into the first word of each. */
struct object {
	VK_LOADER_DATA loader;
};

static struct object gpu = { { ICD_LOADER_MAGIC } };
static struct object queue = { { ICD_LOADER_MAGIC } };
static uint64_t last_handle;

EXPORTED struct fake_vulkan fake_vulkan_state;
EXPORTED PFN_vkVoidFunction vk_icdGetInstanceProcAddr(VkInstance instance, const char *name);
EXPORTED VkResult vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version);

static const void *find(const void *structure, VkStructureType type)
{
	const VkBaseInStructure *link = structure;

	while (link && link->sType != type) {
		link = link->pNext;
	}
	return link;
}

static void *find_out(void *structure, VkStructureType type)
{
	return (void *)find(structure, type);
}

static void *make_object(void)
{
	struct object *object = calloc(1, sizeof(*object));

	if (!object) {
		abort();
	}
	set_loader_magic_value(object);
	return object;
}

static VkResult create_instance(const VkInstanceCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkInstance *instance)
{
	(void)info;
	(void)allocator;
	*instance = make_object();
	return VK_SUCCESS;
}

static void destroy_instance(VkInstance instance, const VkAllocationCallbacks *allocator)
{
	(void)allocator;
	free(instance);
}

static VkResult enumerate_version(uint32_t *version)
{
	*version = VK_API_VERSION_1_3;
	return VK_SUCCESS;
}

static VkResult enumerate_instance_extensions(
	const char *layer, uint32_t *count, VkExtensionProperties *properties)
{
	(void)layer;
	(void)properties;
	*count = 0;
	return VK_SUCCESS;
}

static VkResult enumerate_gpus(VkInstance instance, uint32_t *count, VkPhysicalDevice *gpus)
{
	(void)instance;
	if (fake_vulkan_state.crashes) {
		abort();
	}
	if (gpus && *count > 0) {
		gpus[0] = (VkPhysicalDevice)&gpu;
	}
	*count = 1;
	return VK_SUCCESS;
}

static VkResult enumerate_extensions(VkPhysicalDevice handle, const char *layer, uint32_t *count,
	VkExtensionProperties *properties)
{
	const char *names[] = { VK_KHR_SWAPCHAIN_EXTENSION_NAME,
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
		VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME };
	const bool is_there[] = { true, true, true, fake_vulkan_state.has_host_extension,
		fake_vulkan_state.exports_dmabufs, fake_vulkan_state.has_semaphore_fd };
	uint32_t found = 0;

	(void)handle;
	(void)layer;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!is_there[i]) {
			continue;
		}
		if (properties && found < *count) {
			properties[found] = (VkExtensionProperties){ .specVersion = 1 };
			snprintf(properties[found].extensionName,
				sizeof(properties[found].extensionName), "%s", names[i]);
		}
		found++;
	}
	*count = found;
	return VK_SUCCESS;
}

static void get_properties(VkPhysicalDevice handle, VkPhysicalDeviceProperties *properties)
{
	(void)handle;
	*properties = (VkPhysicalDeviceProperties){
		.apiVersion = fake_vulkan_state.version,
		.vendorID = 0x1af4,
		.deviceID = 0x1050,
		.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
		.deviceName = "fake GPU",
	};
}

static void get_properties2(VkPhysicalDevice handle, VkPhysicalDeviceProperties2 *properties)
{
	VkPhysicalDeviceExternalMemoryHostPropertiesEXT *host = find_out(
		properties, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT);
	VkPhysicalDevicePCIBusInfoPropertiesEXT *pci = find_out(
		properties, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT);
	VkPhysicalDeviceIDProperties *id = find_out(
		properties, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES);
	VkPhysicalDeviceDriverProperties *driver = find_out(
		properties, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES);

	get_properties(handle, &properties->properties);
	if (host) {
		host->minImportedHostPointerAlignment = fake_vulkan_state.alignment;
	}
	if (pci) {
		pci->pciDomain = 1;
		pci->pciBus = 0x2a;
		pci->pciDevice = 3;
		pci->pciFunction = 1;
	}
	if (id) {
		memset(id->deviceUUID, 0xab, VK_UUID_SIZE);
	}
	if (driver) {
		strcpy(driver->driverName, "fake");
		strcpy(driver->driverInfo, "1.2");
		driver->driverID = fake_vulkan_state.driver_id;
	}
}

static void get_features(VkPhysicalDevice handle, VkPhysicalDeviceFeatures *features)
{
	(void)handle;
	*features = (VkPhysicalDeviceFeatures){ 0 };
}

static void get_families(
	VkPhysicalDevice handle, uint32_t *count, VkQueueFamilyProperties *families)
{
	(void)handle;
	if (families && *count > 0) {
		families[0] = (VkQueueFamilyProperties){
			.queueFlags = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT,
			.queueCount = 1 + fake_vulkan_state.more_queues,
		};
	}
	*count = 1;
}

static void get_families2(
	VkPhysicalDevice handle, uint32_t *count, VkQueueFamilyProperties2 *families)
{
	get_families(handle, count, families ? &families->queueFamilyProperties : NULL);
}

static void get_semaphore_properties(VkPhysicalDevice handle,
	const VkPhysicalDeviceExternalSemaphoreInfo *info,
	VkExternalSemaphoreProperties *properties)
{
	bool works = info->handleType == VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT ||
		fake_vulkan_state.imports_sync_files;

	(void)handle;
	properties->exportFromImportedHandleTypes = 0;
	properties->compatibleHandleTypes = works ? info->handleType : 0;
	properties->externalSemaphoreFeatures = works ? VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT
						      : 0;
}

static VkResult import_semaphore(VkDevice device, const VkImportSemaphoreFdInfoKHR *info)
{
	(void)device;
	(void)info;
	fake_vulkan_state.imports++;
	return VK_SUCCESS;
}

static VkResult submit(VkQueue handle, uint32_t count, const VkSubmitInfo *infos, VkFence fence)
{
	(void)handle;
	(void)fence;
	if (count == 1 && infos[0].signalSemaphoreCount == 1) {
		fake_vulkan_state.submissions++;
		fake_vulkan_state.signalled = infos[0].pSignalSemaphores[0];
	}
	return VK_SUCCESS;
}

static void get_memory_properties(
	VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties *properties)
{
	const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
	const VkMemoryPropertyFlags coherent = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
		VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

	(void)handle;
	*properties = (VkPhysicalDeviceMemoryProperties){
		.memoryTypeCount = FAKE_TYPES,
		.memoryTypes = {
			[FAKE_LOCAL] = { local, 0 },
			[FAKE_COHERENT] = { coherent, 1 },
			[FAKE_CACHED] = { coherent | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 1 },
			[FAKE_BAR] = { local | coherent, 0 },
		},
		.memoryHeapCount = 2,
		.memoryHeaps = {
			{ 1ull << 30, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT },
			{ 1ull << 30, 0 },
		},
	};
}

static void get_memory_properties2(
	VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties2 *properties)
{
	VkPhysicalDeviceMemoryBudgetPropertiesEXT *budgets = find_out(
		properties, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);

	get_memory_properties(handle, &properties->memoryProperties);
	for (uint32_t i = 0; budgets && i < properties->memoryProperties.memoryHeapCount; i++) {
		budgets->heapUsage[i] = fake_vulkan_state.heap_usage[i];
		budgets->heapBudget[i] = properties->memoryProperties.memoryHeaps[i].size / 2;
	}
}

static VkExternalMemoryProperties answer(VkExternalMemoryHandleTypeFlags type)
{
	VkExternalMemoryProperties memory = { .compatibleHandleTypes = type };

	if (type == VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT) {
		memory.externalMemoryFeatures = VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT;
	}
	if (type == VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT &&
		fake_vulkan_state.exports_dmabufs) {
		memory.externalMemoryFeatures = VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT |
			VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT;
		memory.exportFromImportedHandleTypes = type;
	}
	return memory;
}

static void get_buffer_properties(VkPhysicalDevice handle,
	const VkPhysicalDeviceExternalBufferInfo *info, VkExternalBufferProperties *properties)
{
	(void)handle;
	properties->externalMemoryProperties = answer(info->handleType);
	/* For a test that a driver's refusal is passed on. */
	if (info->usage & VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT) {
		properties->externalMemoryProperties = (VkExternalMemoryProperties){ 0 };
	}
}

/* Imported memory of the process holds linear images alone. */
static VkResult get_image_properties(VkPhysicalDevice handle,
	const VkPhysicalDeviceImageFormatInfo2 *info, VkImageFormatProperties2 *properties)
{
	const VkPhysicalDeviceExternalImageFormatInfo *external = find(
		info, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO);
	VkExternalImageFormatProperties *out = find_out(
		properties, VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES);

	(void)handle;
	properties->imageFormatProperties = (VkImageFormatProperties){ .maxMipLevels = 1 };
	if (external && out) {
		out->externalMemoryProperties = answer(external->handleType);
		if (info->tiling != VK_IMAGE_TILING_LINEAR) {
			out->externalMemoryProperties.externalMemoryFeatures = 0;
		}
	}
	return VK_SUCCESS;
}

static VkResult create_device(VkPhysicalDevice handle, const VkDeviceCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkDevice *device)
{
	(void)handle;
	(void)allocator;
	fake_vulkan_state.extension_count = info->enabledExtensionCount;
	for (uint32_t i = 0; i < info->enabledExtensionCount && i < 16; i++) {
		snprintf(fake_vulkan_state.extensions[i], sizeof(fake_vulkan_state.extensions[i]),
			"%s", info->ppEnabledExtensionNames[i]);
	}
	fake_vulkan_state.queue_infos = info->queueCreateInfoCount;
	fake_vulkan_state.queue_count =
		info->pQueueCreateInfos[info->queueCreateInfoCount - 1].queueCount;
	if (fake_vulkan_state.device_result == VK_SUCCESS) {
		*device = make_object();
		fake_vulkan_state.devices++;
	}
	return fake_vulkan_state.device_result;
}

static void destroy_device(VkDevice device, const VkAllocationCallbacks *allocator)
{
	(void)allocator;
	free(device);
	fake_vulkan_state.devices--;
}

static void get_queue(VkDevice device, uint32_t family, uint32_t index, VkQueue *handle)
{
	(void)device;
	(void)family;
	fake_vulkan_state.queue_index = index;
	*handle = (VkQueue)&queue;
}

static VkResult allocate_memory(VkDevice device, const VkMemoryAllocateInfo *info,
	const VkAllocationCallbacks *allocator, VkDeviceMemory *memory)
{
	const VkImportMemoryHostPointerInfoEXT *host = find(
		info, VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT);

	(void)device;
	(void)allocator;
	fake_vulkan_state.allocation = *info;
	fake_vulkan_state.host_pointer = host ? host->pHostPointer : NULL;
	fake_vulkan_state.is_dedicated = find(
		info, VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO);
	fake_vulkan_state.has_flags = find(info, VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO);
	fake_vulkan_state.has_export = find(info, VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO);
	fake_vulkan_state.has_import_fd = find(info, VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR);
	if (host &&
		((uintptr_t)host->pHostPointer % fake_vulkan_state.alignment != 0 ||
			info->allocationSize % fake_vulkan_state.alignment != 0)) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	if (fake_vulkan_state.allocation_result == VK_SUCCESS) {
		fake_vulkan_state.allocations++;
		*memory = (VkDeviceMemory)++last_handle;
	}
	return fake_vulkan_state.allocation_result;
}

/* Like a driver's memory allocator: the last handle is the next one again. */
static void give_back(uint64_t handle)
{
	last_handle -= handle && handle == last_handle ? 1 : 0;
}

static void free_memory(
	VkDevice device, VkDeviceMemory memory, const VkAllocationCallbacks *allocator)
{
	(void)device;
	(void)allocator;
	fake_vulkan_state.allocations -= memory ? 1 : 0;
	give_back((uint64_t)memory);
}

static VkResult create_buffer(VkDevice device, const VkBufferCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkBuffer *buffer)
{
	const VkExternalMemoryBufferCreateInfo *external = find(
		info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO);

	(void)device;
	(void)allocator;
	fake_vulkan_state.buffer_types = external ? external->handleTypes : 0;
	*buffer = (VkBuffer)++last_handle;
	return VK_SUCCESS;
}

static VkResult create_image(VkDevice device, const VkImageCreateInfo *info,
	const VkAllocationCallbacks *allocator, VkImage *image)
{
	const VkExternalMemoryImageCreateInfo *external = find(
		info, VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO);

	(void)device;
	(void)allocator;
	fake_vulkan_state.image_types = external ? external->handleTypes : 0;
	*image = (VkImage)++last_handle;
	return VK_SUCCESS;
}

static void destroy_buffer(VkDevice device, VkBuffer buffer, const VkAllocationCallbacks *allocator)
{
	(void)device;
	(void)allocator;
	give_back((uint64_t)buffer);
}

static void destroy_image(VkDevice device, VkImage image, const VkAllocationCallbacks *allocator)
{
	(void)device;
	(void)allocator;
	give_back((uint64_t)image);
}

static const VkMemoryRequirements requirements = { 100000, 256, (1u << FAKE_TYPES) - 1 };

static void get_buffer_requirements(VkDevice device, VkBuffer buffer, VkMemoryRequirements *out)
{
	(void)device;
	(void)buffer;
	*out = requirements;
}

static void get_image_requirements(VkDevice device, VkImage image, VkMemoryRequirements *out)
{
	(void)device;
	(void)image;
	*out = requirements;
}

static void get_buffer_requirements2(
	VkDevice device, const VkBufferMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *out)
{
	(void)device;
	(void)info;
	out->memoryRequirements = requirements;
}

static void get_image_requirements2(
	VkDevice device, const VkImageMemoryRequirementsInfo2 *info, VkMemoryRequirements2 *out)
{
	(void)device;
	(void)info;
	out->memoryRequirements = requirements;
}

static void get_planned_buffer_requirements(
	VkDevice device, const VkDeviceBufferMemoryRequirements *info, VkMemoryRequirements2 *out)
{
	(void)device;
	(void)info;
	out->memoryRequirements = requirements;
}

static void get_planned_image_requirements(
	VkDevice device, const VkDeviceImageMemoryRequirements *info, VkMemoryRequirements2 *out)
{
	(void)device;
	(void)info;
	out->memoryRequirements = requirements;
}

static VkResult get_host_pointer_properties(VkDevice device,
	VkExternalMemoryHandleTypeFlagBits type, const void *pointer,
	VkMemoryHostPointerPropertiesEXT *properties)
{
	(void)device;
	if (type != VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT ||
		(uintptr_t)pointer % fake_vulkan_state.alignment != 0) {
		return VK_ERROR_INVALID_EXTERNAL_HANDLE;
	}
	properties->memoryTypeBits = fake_vulkan_state.importable_types;
	return VK_SUCCESS;
}

/* The driver's own: a test sees by the number whom it reached. */
static VkResult get_memory_fd(VkDevice device, const VkMemoryGetFdInfoKHR *info, int *fd)
{
	(void)device;
	(void)info;
	*fd = fake_vulkan_state.makes_dmabufs ? memfd_create("fake", MFD_CLOEXEC) : -7;
	return *fd == -7 || ftruncate(*fd, 4096) == 0 ? VK_SUCCESS : VK_ERROR_TOO_MANY_OBJECTS;
}

/* What the loader wants of any driver, and no test calls. */
static void do_nothing(void)
{
}

static PFN_vkVoidFunction get_device_function(VkDevice device, const char *name)
{
	return vk_icdGetInstanceProcAddr((VkInstance)(void *)device, name);
}

PFN_vkVoidFunction vk_icdGetInstanceProcAddr(VkInstance instance, const char *name)
{
	static const struct {
		const char *name;
		PFN_vkVoidFunction function;
	} functions[] = {
#define F(name, function) { "vk" name, (PFN_vkVoidFunction)(function) }
		F("CreateInstance", create_instance),
		F("DestroyInstance", destroy_instance),
		F("EnumerateInstanceVersion", enumerate_version),
		F("EnumerateInstanceExtensionProperties", enumerate_instance_extensions),
		F("EnumeratePhysicalDevices", enumerate_gpus),
		F("EnumeratePhysicalDeviceGroups", do_nothing),
		F("EnumerateDeviceExtensionProperties", enumerate_extensions),
		F("GetPhysicalDeviceProperties", get_properties),
		F("GetPhysicalDeviceProperties2", get_properties2),
		F("GetPhysicalDeviceFeatures", get_features),
		F("GetPhysicalDeviceQueueFamilyProperties", get_families),
		F("GetPhysicalDeviceQueueFamilyProperties2", get_families2),
		F("GetPhysicalDeviceExternalSemaphoreProperties", get_semaphore_properties),
		F("ImportSemaphoreFdKHR", import_semaphore),
		F("QueueSubmit", submit),
		F("GetPhysicalDeviceMemoryProperties", get_memory_properties),
		F("GetPhysicalDeviceMemoryProperties2", get_memory_properties2),
		F("GetPhysicalDeviceExternalBufferProperties", get_buffer_properties),
		F("GetPhysicalDeviceImageFormatProperties2", get_image_properties),
		F("GetPhysicalDeviceFormatProperties", do_nothing),
		F("GetPhysicalDeviceImageFormatProperties", do_nothing),
		F("GetPhysicalDeviceSparseImageFormatProperties", do_nothing),
		F("CreateDevice", create_device),
		F("GetDeviceProcAddr", get_device_function),
		F("DestroyDevice", destroy_device),
		F("GetDeviceQueue", get_queue),
		F("AllocateMemory", allocate_memory),
		F("FreeMemory", free_memory),
		F("CreateBuffer", create_buffer),
		F("DestroyBuffer", destroy_buffer),
		F("CreateImage", create_image),
		F("DestroyImage", destroy_image),
		F("GetBufferMemoryRequirements", get_buffer_requirements),
		F("GetBufferMemoryRequirements2", get_buffer_requirements2),
		F("GetImageMemoryRequirements", get_image_requirements),
		F("GetImageMemoryRequirements2", get_image_requirements2),
		F("GetDeviceBufferMemoryRequirements", get_planned_buffer_requirements),
		F("GetDeviceImageMemoryRequirements", get_planned_image_requirements),
		F("GetMemoryHostPointerPropertiesEXT", get_host_pointer_properties),
		F("GetMemoryFdKHR", get_memory_fd),
#undef F
	};

	(void)instance;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strcmp(functions[i].name, name) == 0) {
			return functions[i].function;
		}
	}
	return NULL;
}

VkResult vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version)
{
	*version = *version < 5 ? *version : 5;
	return VK_SUCCESS;
}
