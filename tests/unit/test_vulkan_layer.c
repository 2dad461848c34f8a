/* SPDX-License-Identifier: MIT */
/* The layer, through the real loader, on a driver that keeps what reached it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vulkan/vulkan.h>

#include <cmocka.h>

#include "support/fake_vulkan.h"

#define DMA_BUF    VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define OPAQUE     VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
#define HOST       VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT
#define BOTH       (DMA_BUF | OPAQUE)
#define IMPORTABLE VK_EXTERNAL_MEMORY_FEATURE_IMPORTABLE_BIT
#define EXPORTABLE VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT
#define BIT(type)  (1u << (type))
#define PAGE       4096u

static struct fake_vulkan *fake;
static VkInstance instance;
static VkPhysicalDevice gpu;
static VkDevice device;

static PFN_vkGetMemoryFdKHR get_fd;
static PFN_vkGetMemoryFdPropertiesKHR get_fd_properties;

/* A driver as the vendor's: set up before each test, and changed by it before it opens the GPU. */
static int set_up(void **data)
{
	(void)data;
	*fake = (struct fake_vulkan){
		.version = VK_API_VERSION_1_3,
		.has_host_extension = true,
		.alignment = PAGE,
		.importable_types = BIT(FAKE_COHERENT) | BIT(FAKE_CACHED),
	};
	unsetenv("VIRTIO_GPUD_MEMORY_LAYER");
	return 0;
}

static void open_gpu(void)
{
	VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_3 };
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application };
	uint32_t count = 1;

	assert_int_equal(vkCreateInstance(&info, NULL, &instance), VK_SUCCESS);
	assert_int_equal(vkEnumeratePhysicalDevices(instance, &count, &gpu), VK_SUCCESS);
}

static VkResult make_device(uint32_t count, const char *const *extensions)
{
	const float priority = 1;
	VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority };
	VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = count,
		.ppEnabledExtensionNames = extensions };

	return vkCreateDevice(gpu, &info, NULL, &device);
}

static void open_device(void)
{
	static const char *const extensions[] = { VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME, VK_KHR_SWAPCHAIN_EXTENSION_NAME };

	open_gpu();
	assert_int_equal(make_device(3, extensions), VK_SUCCESS);
	get_fd = (PFN_vkGetMemoryFdKHR)vkGetDeviceProcAddr(device, "vkGetMemoryFdKHR");
	get_fd_properties = (PFN_vkGetMemoryFdPropertiesKHR)vkGetDeviceProcAddr(
		device, "vkGetMemoryFdPropertiesKHR");
	assert_non_null(get_fd);
	assert_non_null(get_fd_properties);
}

static int tear_down(void **data)
{
	(void)data;
	vkDestroyDevice(device, NULL);
	vkDestroyInstance(instance, NULL);
	device = VK_NULL_HANDLE;
	instance = VK_NULL_HANDLE;
	assert_int_equal(fake->devices, 0);
	return 0;
}

static unsigned int count_extension(const char *name)
{
	VkExtensionProperties list[32];
	uint32_t count = 32;
	unsigned int found = 0;

	assert_int_equal(vkEnumerateDeviceExtensionProperties(gpu, NULL, &count, list), VK_SUCCESS);
	for (uint32_t i = 0; i < count; i++) {
		found += strcmp(list[i].extensionName, name) == 0;
	}
	return found;
}

static VkMemoryPropertyFlags flags_of(uint32_t type)
{
	VkPhysicalDeviceMemoryProperties properties;
	VkPhysicalDeviceMemoryProperties2 properties2 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2
	};

	vkGetPhysicalDeviceMemoryProperties(gpu, &properties);
	vkGetPhysicalDeviceMemoryProperties2(gpu, &properties2);
	assert_memory_equal(&properties, &properties2.memoryProperties, sizeof(properties));
	assert_int_equal(properties.memoryTypeCount, FAKE_TYPES);
	return properties.memoryTypes[type].propertyFlags;
}

static VkExternalMemoryProperties buffer_properties(
	VkExternalMemoryHandleTypeFlagBits type, VkBufferUsageFlags usage)
{
	VkPhysicalDeviceExternalBufferInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
		.usage = usage,
		.handleType = type,
	};
	VkExternalBufferProperties properties = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES
	};

	vkGetPhysicalDeviceExternalBufferProperties(gpu, &info, &properties);
	return properties.externalMemoryProperties;
}

static VkResult image_properties(VkImageTiling tiling, VkExternalMemoryHandleTypeFlagBits type,
	VkExternalMemoryProperties *answer)
{
	VkPhysicalDeviceExternalImageFormatInfo external = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		.handleType = type,
	};
	VkPhysicalDeviceImageFormatInfo2 info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		.pNext = &external,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.type = VK_IMAGE_TYPE_2D,
		.tiling = tiling,
		.usage = VK_IMAGE_USAGE_TRANSFER_DST_BIT,
	};
	VkExternalImageFormatProperties out = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES
	};
	VkImageFormatProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2,
		.pNext = answer ? &out : NULL,
	};
	VkResult result = vkGetPhysicalDeviceImageFormatProperties2(gpu, &info, &properties);

	assert_int_equal(external.handleType, type);
	assert_ptr_equal(properties.pNext, answer ? &out : NULL);
	if (answer) {
		*answer = out.externalMemoryProperties;
	}
	return result;
}

static VkResult export(uint32_t type, VkDeviceSize size, VkDeviceMemory *memory)
{
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, .handleTypes = DMA_BUF
	};
	VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &exported,
		.allocationSize = size,
		.memoryTypeIndex = type };
	VkResult result = vkAllocateMemory(device, &info, NULL, memory);

	assert_ptr_equal(info.pNext, &exported);
	assert_int_equal(exported.handleTypes, DMA_BUF);
	return result;
}

static VkResult import(uint32_t type, int fd, VkDeviceSize size, VkDeviceMemory *memory)
{
	VkImportMemoryFdInfoKHR imported = { .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = DMA_BUF,
		.fd = fd };
	VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &imported,
		.allocationSize = size,
		.memoryTypeIndex = type };

	return vkAllocateMemory(device, &info, NULL, memory);
}

static int fd_of(VkDeviceMemory memory)
{
	VkMemoryGetFdInfoKHR info = { .sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = memory,
		.handleType = DMA_BUF };
	int fd = -1;

	assert_int_equal(get_fd(device, &info, &fd), VK_SUCCESS);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* What stderr gets while fn runs. */
static void catch_stderr(void (*fn)(void), char *text, size_t size)
{
	int file = memfd_create("stderr", 0);
	int kept = dup(STDERR_FILENO);
	ssize_t got;

	fflush(stderr);
	dup2(file, STDERR_FILENO);
	fn();
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	got = pread(file, text, size - 1, 0);
	text[got > 0 ? got : 0] = '\0';
	close(file);
	close(kept);
}

static unsigned int count_lines(const char *text, const char *part)
{
	unsigned int count = 0;

	while ((text = strstr(text, part))) {
		text += strlen(part);
		count++;
	}
	return count;
}

static void test_extensions_are_added_once(void **data)
{
	(void)data;
	open_gpu();
	assert_int_equal(count_extension(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME), 1);
	assert_int_equal(count_extension(VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME), 1);
	assert_int_equal(count_extension(VK_KHR_SWAPCHAIN_EXTENSION_NAME), 1);
}

static void test_short_list_is_incomplete(void **data)
{
	VkExtensionProperties list[2];
	uint32_t count = 2, whole;

	(void)data;
	open_gpu();
	assert_int_equal(vkEnumerateDeviceExtensionProperties(gpu, NULL, &whole, NULL), VK_SUCCESS);
	assert_int_equal(whole, 5);
	assert_int_equal(
		vkEnumerateDeviceExtensionProperties(gpu, NULL, &count, list), VK_INCOMPLETE);
	assert_int_equal(count, 2);
}

/* The driver is asked for what it has, and for none of what the layer does. */
static void test_driver_sees_its_own_extensions(void **data)
{
	bool has_host = false, has_swapchain = false;

	(void)data;
	open_device();
	assert_int_equal(fake->extension_count, 2);
	for (uint32_t i = 0; i < 2; i++) {
		const char *name = fake->extensions[i];

		has_host |= strcmp(name, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) == 0;
		has_swapchain |= strcmp(name, VK_KHR_SWAPCHAIN_EXTENSION_NAME) == 0;
	}
	assert_true(has_host && has_swapchain);
}

static void test_refused_type_is_hidden(void **data)
{
	(void)data;
	open_gpu();
	assert_int_equal(flags_of(FAKE_LOCAL), VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
	assert_int_equal(flags_of(FAKE_COHERENT),
		VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
	assert_int_equal(flags_of(FAKE_BAR), VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
}

static void test_buffers_can_be_exported(void **data)
{
	VkExternalMemoryProperties answer;

	(void)data;
	open_gpu();
	for (int i = 0; i < 2; i++) {
		answer = buffer_properties(i ? OPAQUE : DMA_BUF, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
		assert_int_equal(answer.externalMemoryFeatures, IMPORTABLE | EXPORTABLE);
		assert_int_equal(answer.exportFromImportedHandleTypes, BOTH);
		assert_int_equal(answer.compatibleHandleTypes, BOTH);
	}
	answer = buffer_properties(HOST, VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
	assert_int_equal(answer.externalMemoryFeatures, IMPORTABLE);
	answer = buffer_properties(DMA_BUF, VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT);
	assert_int_equal(answer.externalMemoryFeatures, 0);
	assert_int_equal(answer.compatibleHandleTypes, DMA_BUF);
}

static void test_images_as_the_driver_has_them(void **data)
{
	VkExternalMemoryProperties answer;

	(void)data;
	open_gpu();
	assert_int_equal(image_properties(VK_IMAGE_TILING_LINEAR, DMA_BUF, &answer), VK_SUCCESS);
	assert_int_equal(answer.externalMemoryFeatures, IMPORTABLE | EXPORTABLE);
	assert_int_equal(answer.compatibleHandleTypes, BOTH);
	assert_int_equal(image_properties(VK_IMAGE_TILING_LINEAR, DMA_BUF, NULL), VK_SUCCESS);
	assert_int_equal(image_properties(VK_IMAGE_TILING_OPTIMAL, DMA_BUF, &answer),
		VK_ERROR_FORMAT_NOT_SUPPORTED);
	assert_int_equal(image_properties(VK_IMAGE_TILING_OPTIMAL, DMA_BUF, NULL),
		VK_ERROR_FORMAT_NOT_SUPPORTED);
	assert_int_equal(image_properties(VK_IMAGE_TILING_OPTIMAL, HOST, &answer), VK_SUCCESS);
}

/* The driver refuses what is not aligned as it says. */
static void test_size_and_address_are_aligned(void **data)
{
	VkDeviceMemory memory, again;

	(void)data;
	fake->alignment = 1 << 20;
	open_device();
	assert_int_equal(export(FAKE_COHERENT, (1 << 20) + 1, &memory), VK_SUCCESS);
	assert_int_equal(fake->allocation.allocationSize, 2 << 20);
	assert_int_equal(fake->allocation.memoryTypeIndex, FAKE_COHERENT);
	assert_non_null(fake->host_pointer);
	assert_false(fake->has_export || fake->has_import_fd);
	assert_int_equal(import(FAKE_COHERENT, fd_of(memory), 2 << 20, &again), VK_SUCCESS);
	vkFreeMemory(device, memory, NULL);
	vkFreeMemory(device, again, NULL);
	assert_int_equal(fake->allocations, 0);
}

static void test_descriptor_is_that_memory(void **data)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	VkDeviceMemory memory;
	char *mapped;
	int fd;

	(void)data;
	open_device();
	assert_int_equal(export(FAKE_CACHED, 100, &memory), VK_SUCCESS);
	fd = fd_of(memory);
	assert_int_equal(lseek(fd, 0, SEEK_END), PAGE);
	assert_int_equal(fcntl(fd, F_GET_SEALS), seals);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mapped, MAP_FAILED);
	mapped[99] = 'x';
	assert_int_equal(((const char *)fake->host_pointer)[99], 'x');
	vkFreeMemory(device, memory, NULL);
	assert_int_equal(mapped[99], 'x');
	munmap(mapped, PAGE);
	close(fd);
}

/* A dedicated size must be exact, and other structures of the chain reach the driver. */
static void check_dedicated(VkDeviceSize size, bool expected)
{
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, .handleTypes = BOTH
	};
	VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO, .pNext = &exported
	};
	VkMemoryAllocateFlagsInfo flags = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
		.pNext = &dedicated };
	VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &flags,
		.allocationSize = size,
		.memoryTypeIndex = FAKE_COHERENT };
	VkDeviceMemory memory;

	assert_int_equal(vkAllocateMemory(device, &info, NULL, &memory), VK_SUCCESS);
	assert_int_equal(fake->is_dedicated, expected);
	assert_true(fake->has_flags);
	assert_false(fake->has_export);
	assert_ptr_equal(info.pNext, &flags);
	assert_ptr_equal(flags.pNext, &dedicated);
	assert_ptr_equal(dedicated.pNext, &exported);
	vkFreeMemory(device, memory, NULL);
}

static void test_dedicated_allocations(void **data)
{
	(void)data;
	open_device();
	check_dedicated(2 * PAGE, true);
	check_dedicated(2 * PAGE - 1, false);
}

static void test_memory_of_the_gpu_stays_there(void **data)
{
	VkDeviceMemory memory;

	(void)data;
	open_device();
	assert_int_equal(export(FAKE_LOCAL, PAGE, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(export(FAKE_BAR, PAGE, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(export(FAKE_COHERENT, UINT64_MAX, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	/* Its heap has 1 GiB. */
	assert_int_equal(
		export(FAKE_COHERENT, (1u << 30) + 1, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_int_equal(fake->allocation.sType, 0);
}

/* The second has the first one's handle. */
static void test_plain_memory_goes_down_as_it_is(void **data)
{
	VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = 77,
		.memoryTypeIndex = FAKE_COHERENT };
	VkMemoryGetFdInfoKHR fd_info = { .sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.handleType = DMA_BUF };
	VkDeviceMemory memory;
	int fd = -1;

	(void)data;
	open_device();
	assert_int_equal(export(FAKE_COHERENT, 77, &memory), VK_SUCCESS);
	vkFreeMemory(device, memory, NULL);
	assert_int_equal(vkAllocateMemory(device, &info, NULL, &memory), VK_SUCCESS);
	assert_int_equal(fake->allocation.allocationSize, 77);
	assert_null(fake->host_pointer);
	fd_info.memory = memory;
	assert_int_not_equal(get_fd(device, &fd_info, &fd), VK_SUCCESS);
	assert_int_equal(fd, -1);
	vkFreeMemory(device, memory, NULL);
	vkFreeMemory(device, VK_NULL_HANDLE, NULL);
}

static void test_import_takes_the_descriptor(void **data)
{
	VkDeviceMemory memory, again;
	int fd;

	(void)data;
	open_device();
	assert_int_equal(export(FAKE_COHERENT, PAGE, &memory), VK_SUCCESS);
	((char *)fake->host_pointer)[7] = 'y';
	fd = fd_of(memory);
	vkFreeMemory(device, memory, NULL);
	assert_int_equal(import(FAKE_CACHED, fd, PAGE, &again), VK_SUCCESS);
	assert_false(fake->has_import_fd);
	assert_int_equal(((const char *)fake->host_pointer)[7], 'y');
	assert_true(is_open(fd));
	vkFreeMemory(device, again, NULL);
	assert_false(is_open(fd));
}

static void test_refused_import_leaves_the_descriptor(void **data)
{
	VkDeviceMemory memory;
	int fd;

	(void)data;
	open_device();
	assert_int_equal(export(FAKE_COHERENT, PAGE, &memory), VK_SUCCESS);
	fd = fd_of(memory);
	assert_int_equal(
		import(FAKE_COHERENT, fd, PAGE + 1, &memory), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_int_equal(import(FAKE_BAR, fd, PAGE, &memory), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	fake->allocation_result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
	assert_int_equal(import(FAKE_COHERENT, fd, PAGE, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
	assert_true(is_open(fd));
	close(fd);
}

/* Memory that somebody may shrink would end the process, one day. */
static void test_foreign_descriptors(void **data)
{
	VkMemoryFdPropertiesKHR properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR
	};
	int unsealed = memfd_create("unsealed", MFD_ALLOW_SEALING);
	VkDeviceMemory memory;
	int ends[2];

	(void)data;
	open_device();
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(ftruncate(unsealed, PAGE), 0);
	assert_int_equal(
		import(FAKE_COHERENT, unsealed, PAGE, &memory), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_int_equal(
		import(FAKE_COHERENT, ends[0], PAGE, &memory), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_int_equal(get_fd_properties(device, DMA_BUF, unsealed, &properties),
		VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_int_equal(fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	fake->importable_types = BIT(FAKE_COHERENT) | BIT(FAKE_LOCAL);
	assert_int_equal(get_fd_properties(device, DMA_BUF, unsealed, &properties), VK_SUCCESS);
	assert_int_equal(properties.memoryTypeBits, BIT(FAKE_COHERENT));
	assert_int_equal(import(FAKE_COHERENT, unsealed, PAGE, &memory), VK_SUCCESS);
	vkFreeMemory(device, memory, NULL);
	close(ends[0]);
	close(ends[1]);
}

static VkBuffer make_buffer(VkExternalMemoryHandleTypeFlags types)
{
	VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO, .handleTypes = types
	};
	VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = types ? &external : NULL,
		.size = 100,
		.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT };
	VkBuffer buffer;

	assert_int_equal(vkCreateBuffer(device, &info, NULL, &buffer), VK_SUCCESS);
	assert_int_equal(external.handleTypes, types);
	return buffer;
}

static void check_buffer(VkExternalMemoryHandleTypeFlags types, uint32_t expected_bits)
{
	VkBuffer buffer = make_buffer(types);
	VkBufferMemoryRequirementsInfo2 info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2, .buffer = buffer
	};
	VkMemoryRequirements2 needs2 = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };
	VkMemoryRequirements needs;

	vkGetBufferMemoryRequirements(device, buffer, &needs);
	vkGetBufferMemoryRequirements2(device, &info, &needs2);
	assert_int_equal(needs.memoryTypeBits, expected_bits);
	assert_int_equal(needs2.memoryRequirements.memoryTypeBits, expected_bits);
	vkDestroyBuffer(device, buffer, NULL);
}

static void check_image(VkExternalMemoryHandleTypeFlags types, uint32_t expected_bits)
{
	VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO, .handleTypes = types
	};
	VkImageCreateInfo info = { .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external };
	VkImageMemoryRequirementsInfo2 asked = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_REQUIREMENTS_INFO_2
	};
	VkDeviceImageMemoryRequirements planned = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_IMAGE_MEMORY_REQUIREMENTS, .pCreateInfo = &info
	};
	VkMemoryRequirements2 needs2 = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };
	VkMemoryRequirements needs;

	assert_int_equal(vkCreateImage(device, &info, NULL, &asked.image), VK_SUCCESS);
	vkGetImageMemoryRequirements(device, asked.image, &needs);
	assert_int_equal(needs.memoryTypeBits, expected_bits);
	vkGetImageMemoryRequirements2(device, &asked, &needs2);
	assert_int_equal(needs2.memoryRequirements.memoryTypeBits, expected_bits);
	vkGetDeviceImageMemoryRequirements(device, &planned, &needs2);
	assert_int_equal(needs2.memoryRequirements.memoryTypeBits, expected_bits);
	assert_int_equal(external.handleTypes, types);
	vkDestroyImage(device, asked.image, NULL);
}

static void test_resources_ask_for_importable_types(void **data)
{
	const uint32_t all = BIT(FAKE_TYPES) - 1;
	const uint32_t importable = BIT(FAKE_COHERENT) | BIT(FAKE_CACHED);

	(void)data;
	open_device();
	check_buffer(DMA_BUF, importable);
	assert_int_equal(fake->buffer_types, HOST);
	check_buffer(0, all);
	assert_int_equal(fake->buffer_types, 0);
	check_image(0, all);
	check_image(BOTH, importable);
	assert_int_equal(fake->image_types, HOST);
	check_image(HOST, all);
	assert_int_equal(fake->image_types, HOST);
}

static void test_planned_buffers(void **data)
{
	VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = OPAQUE,
	};
	VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = &external };
	VkDeviceBufferMemoryRequirements planned = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_BUFFER_MEMORY_REQUIREMENTS, .pCreateInfo = &info
	};
	VkMemoryRequirements2 needs = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2 };

	(void)data;
	open_device();
	vkGetDeviceBufferMemoryRequirements(device, &planned, &needs);
	assert_int_equal(
		needs.memoryRequirements.memoryTypeBits, BIT(FAKE_COHERENT) | BIT(FAKE_CACHED));
	assert_int_equal(external.handleTypes, OPAQUE);
	info.pNext = NULL;
	vkGetDeviceBufferMemoryRequirements(device, &planned, &needs);
	assert_int_equal(needs.memoryRequirements.memoryTypeBits, BIT(FAKE_TYPES) - 1);
}

static void ask_twice(void)
{
	open_gpu();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(count_extension(VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME), 0);
		assert_int_equal(flags_of(FAKE_BAR),
			VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
				VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
	}
}

static void test_driver_without_host_memory(void **data)
{
	char text[4096];

	(void)data;
	fake->has_host_extension = false;
	catch_stderr(ask_twice, text, sizeof(text));
	assert_int_equal(
		count_lines(text, "fake GPU: the driver has no VK_EXT_external_memory_host"), 1);
	assert_int_equal(buffer_properties(DMA_BUF, 0).externalMemoryFeatures, 0);
}

static void open_and_ask(void)
{
	open_gpu();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(buffer_properties(DMA_BUF, 0).externalMemoryFeatures, 0);
		flags_of(FAKE_BAR);
	}
}

static void test_driver_that_imports_no_file(void **data)
{
	char text[4096];

	(void)data;
	fake->importable_types = BIT(FAKE_LOCAL);
	catch_stderr(open_and_ask, text, sizeof(text));
	assert_int_equal(count_lines(text,
				 "fake GPU: the driver imports no mapped memory file "
				 "(vkGetMemoryHostPointerPropertiesEXT: 0, "),
		1);
}

static void test_device_that_cannot_be_made(void **data)
{
	char text[4096];

	(void)data;
	fake->device_result = VK_ERROR_INITIALIZATION_FAILED;
	catch_stderr(open_and_ask, text, sizeof(text));
	assert_int_equal(count_lines(text,
				 "fake GPU: the driver imports no mapped memory file "
				 "(vkCreateDevice: -3, "),
		1);
}

static VkExternalSemaphoreFeatureFlags semaphore_features(
	VkExternalSemaphoreHandleTypeFlagBits type, bool timeline)
{
	VkSemaphoreTypeCreateInfo kind = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
		.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE };
	VkPhysicalDeviceExternalSemaphoreInfo info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
		.pNext = timeline ? &kind : NULL,
		.handleType = type
	};
	VkExternalSemaphoreProperties answer = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES
	};

	vkGetPhysicalDeviceExternalSemaphoreProperties(gpu, &info, &answer);
	assert_int_equal(answer.compatibleHandleTypes, answer.externalSemaphoreFeatures ? type : 0);
	return answer.externalSemaphoreFeatures;
}

#define SYNC_FILE VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_SYNC_FD_BIT

static uint32_t count_queues(void)
{
	VkQueueFamilyProperties family;
	VkQueueFamilyProperties2 family2 = { .sType = VK_STRUCTURE_TYPE_QUEUE_FAMILY_PROPERTIES_2 };
	uint32_t count = 1;

	vkGetPhysicalDeviceQueueFamilyProperties(gpu, &count, &family);
	vkGetPhysicalDeviceQueueFamilyProperties2(gpu, &count, &family2);
	assert_int_equal(count, 1);
	assert_int_equal(family.queueCount, family2.queueFamilyProperties.queueCount);
	return family.queueCount;
}

static void make_device_with_semaphores(void)
{
	static const char *const extensions[] = { VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME };

	assert_int_equal(make_device(1, extensions), VK_SUCCESS);
}

static VkResult import_semaphore(VkExternalSemaphoreHandleTypeFlagBits type, int fd)
{
	VkImportSemaphoreFdInfoKHR info = { .sType = VK_STRUCTURE_TYPE_IMPORT_SEMAPHORE_FD_INFO_KHR,
		.semaphore = (VkSemaphore)0x77,
		.flags = VK_SEMAPHORE_IMPORT_TEMPORARY_BIT,
		.handleType = type,
		.fd = fd };
	PFN_vkImportSemaphoreFdKHR function = (PFN_vkImportSemaphoreFdKHR)vkGetDeviceProcAddr(
		device, "vkImportSemaphoreFdKHR");

	assert_non_null(function);
	return function(device, &info);
}

/* One queue is kept back, and the application has the others. */
static void test_semaphores_from_sync_files(void **data)
{
	(void)data;
	fake->has_semaphore_fd = true;
	fake->more_queues = 1;
	open_gpu();
	assert_int_equal(
		semaphore_features(SYNC_FILE, false), VK_EXTERNAL_SEMAPHORE_FEATURE_IMPORTABLE_BIT);
	assert_int_equal(semaphore_features(SYNC_FILE, true), 0);
	assert_int_equal(count_queues(), 1);
	make_device_with_semaphores();
	assert_int_equal(fake->queue_infos, 1);
	assert_int_equal(fake->queue_count, 2);
	assert_int_equal(fake->queue_index, 1);
	assert_int_equal(import_semaphore(SYNC_FILE, -1), VK_SUCCESS);
	assert_int_equal(fake->submissions, 1);
	assert_true(fake->signalled == (VkSemaphore)0x77);
	assert_int_equal(
		import_semaphore(VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT, 5), VK_SUCCESS);
	assert_int_equal(fake->imports, 1);
	assert_int_equal(fake->submissions, 1);
}

/* The end of a pipe that can be read stands for a sync file that is signalled. */
static void test_sync_file_is_waited_for_and_taken(void **data)
{
	int ends[2];

	(void)data;
	fake->has_semaphore_fd = true;
	fake->more_queues = 1;
	open_gpu();
	make_device_with_semaphores();
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(import_semaphore(SYNC_FILE, ends[0]), VK_SUCCESS);
	assert_false(is_open(ends[0]));
	close(ends[1]);
	assert_int_equal(import_semaphore(SYNC_FILE, ends[0]), VK_ERROR_INVALID_EXTERNAL_HANDLE);
	assert_int_equal(fake->submissions, 1);
}

static void test_device_without_semaphores_has_its_queues_only(void **data)
{
	(void)data;
	fake->has_semaphore_fd = true;
	fake->more_queues = 1;
	open_device();
	assert_int_equal(fake->queue_count, 1);
}

/* Where there is no queue to keep back, or no need, nothing changes. */
static void test_semaphores_as_the_driver_has_them(void **data)
{
	(void)data;
	fake->has_semaphore_fd = true;
	open_gpu();
	assert_int_equal(semaphore_features(SYNC_FILE, false), 0);
	assert_int_equal(count_queues(), 1);
	tear_down(NULL);
	fake->more_queues = 1;
	fake->imports_sync_files = true;
	open_gpu();
	assert_int_equal(count_queues(), 2);
	make_device_with_semaphores();
	assert_int_equal(fake->queue_count, 1);
	assert_int_equal(import_semaphore(SYNC_FILE, -1), VK_SUCCESS);
	assert_int_equal(fake->imports, 1);
	assert_int_equal(fake->submissions, 0);
}

/* A driver that does by itself what is needed is left alone. */
static void test_driver_with_dmabufs(void **data)
{
	static const char *const extensions[] = { VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME };
	VkMemoryGetFdInfoKHR info = { .sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR };
	VkDeviceMemory memory;
	int fd;

	(void)data;
	fake->exports_dmabufs = true;
	open_gpu();
	assert_int_equal(flags_of(FAKE_BAR),
		VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
			VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
	assert_int_equal(make_device(1, extensions), VK_SUCCESS);
	assert_int_equal(fake->extension_count, 1);
	assert_int_equal(export(FAKE_BAR, 100, &memory), VK_SUCCESS);
	assert_true(fake->has_export);
	assert_null(fake->host_pointer);
	get_fd = (PFN_vkGetMemoryFdKHR)vkGetDeviceProcAddr(device, "vkGetMemoryFdKHR");
	assert_int_equal(get_fd(device, &info, &fd), VK_SUCCESS);
	assert_int_equal(fd, -7);
	vkFreeMemory(device, memory, NULL);
}

static void test_driver_with_dmabufs_overruled(void **data)
{
	(void)data;
	fake->exports_dmabufs = true;
	setenv("VIRTIO_GPUD_MEMORY_LAYER", "always", 1);
	open_gpu();
	assert_int_equal(flags_of(FAKE_BAR), VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
	assert_int_equal(count_extension(VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME), 1);
}

/* Without the extension there is no descriptor to be had, and the layer has no part in the device. */
static void test_device_that_asks_for_nothing(void **data)
{
	VkDeviceMemory memory;

	(void)data;
	open_gpu();
	assert_int_equal(make_device(0, NULL), VK_SUCCESS);
	assert_int_equal(fake->extension_count, 0);
	assert_int_equal(export(FAKE_COHERENT, 100, &memory), VK_SUCCESS);
	assert_null(fake->host_pointer);
	vkFreeMemory(device, memory, NULL);
}

static unsigned int count_fds(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++) {
		count += is_open(fd);
	}
	return count;
}

static unsigned int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];
	unsigned int count = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		count += strstr(line, "memfd:virtio-gpud-vulkan") != NULL;
	}
	fclose(maps);
	return count;
}

/* proc(5), /proc/pid/statm: of address space. */
static long count_pages(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	long pages = 0;

	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%ld", &pages), 1);
	fclose(statm);
	return pages;
}

static void test_nothing_leaks(void **data)
{
	unsigned int fds;
	VkDeviceMemory memory;
	long pages;

	(void)data;
	fake->alignment = 16 << 20;
	open_device();
	fds = count_fds();
	pages = count_pages();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(export(FAKE_COHERENT, 100, &memory), VK_SUCCESS);
		close(fd_of(memory));
		vkFreeMemory(device, memory, NULL);
		fake->allocation_result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
		assert_int_equal(
			export(FAKE_COHERENT, 100, &memory), VK_ERROR_OUT_OF_DEVICE_MEMORY);
		fake->allocation_result = VK_SUCCESS;
	}
	assert_int_equal(count_fds(), fds);
	assert_int_equal(count_mappings(), 0);
	assert_in_range(count_pages(), 0, pages + (long)(fake->alignment / PAGE));
	/* What an application leaves goes with its device. */
	assert_int_equal(export(FAKE_COHERENT, 100, &memory), VK_SUCCESS);
	assert_int_equal(count_mappings(), 1);
	vkDestroyDevice(device, NULL);
	device = VK_NULL_HANDLE;
	assert_int_equal(count_mappings(), 0);
	assert_int_equal(count_fds(), fds);
}

static int load_fake(void **data)
{
	(void)data;
	fake = fake_vulkan_load();
	return fake ? 0 : -1;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_extensions_are_added_once),
		TEST(test_short_list_is_incomplete),
		TEST(test_driver_sees_its_own_extensions),
		TEST(test_refused_type_is_hidden),
		TEST(test_buffers_can_be_exported),
		TEST(test_images_as_the_driver_has_them),
		TEST(test_size_and_address_are_aligned),
		TEST(test_descriptor_is_that_memory),
		TEST(test_dedicated_allocations),
		TEST(test_memory_of_the_gpu_stays_there),
		TEST(test_plain_memory_goes_down_as_it_is),
		TEST(test_import_takes_the_descriptor),
		TEST(test_refused_import_leaves_the_descriptor),
		TEST(test_foreign_descriptors),
		TEST(test_resources_ask_for_importable_types),
		TEST(test_planned_buffers),
		TEST(test_driver_without_host_memory),
		TEST(test_driver_that_imports_no_file),
		TEST(test_device_that_cannot_be_made),
		TEST(test_semaphores_from_sync_files),
		TEST(test_sync_file_is_waited_for_and_taken),
		TEST(test_device_without_semaphores_has_its_queues_only),
		TEST(test_semaphores_as_the_driver_has_them),
		TEST(test_driver_with_dmabufs),
		TEST(test_driver_with_dmabufs_overruled),
		TEST(test_device_that_asks_for_nothing),
		TEST(test_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, load_fake, NULL);
}
