/* SPDX-License-Identifier: MIT */
/*
 * The layer's memory on a real driver: lavapipe, or the one whose manifest VULKAN_TEST_DRIVER names. What a GPU
 * writes, this process, another process, and another device must see by the descriptor, and the reverse.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vulkan/vulkan.h>

#include <cmocka.h>

#define DMA_BUF VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT
#define SKIPPED 77

enum {
	SIZE = 100000, // of a buffer: no multiple of a page
	WORDS = SIZE / 4,
	WIDTH = 32,
	HEIGHT = 16,
};

/* A device with what a test needs of it. */
struct device {
	VkDevice handle;
	VkQueue queue;
	VkCommandPool pool;
	PFN_vkGetMemoryFdKHR get_fd;
	PFN_vkGetMemoryFdPropertiesKHR get_fd_properties;
};

struct buffer {
	VkBuffer handle;
	VkDeviceMemory memory;
	VkDeviceSize size; // of the memory
	uint32_t *words;
};

static VkInstance instance;
static VkPhysicalDevice gpu;
static struct device first, second;

static struct device make_device(void)
{
	static const char *const extensions[] = { VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME };
	const float priority = 1;
	VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority };
	VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = 2,
		.ppEnabledExtensionNames = extensions };
	VkCommandPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO };
	struct device device;

	assert_int_equal(vkCreateDevice(gpu, &info, NULL, &device.handle), VK_SUCCESS);
	vkGetDeviceQueue(device.handle, 0, 0, &device.queue);
	assert_int_equal(vkCreateCommandPool(device.handle, &pool, NULL, &device.pool), VK_SUCCESS);
	device.get_fd = (PFN_vkGetMemoryFdKHR)vkGetDeviceProcAddr(
		device.handle, "vkGetMemoryFdKHR");
	device.get_fd_properties = (PFN_vkGetMemoryFdPropertiesKHR)vkGetDeviceProcAddr(
		device.handle, "vkGetMemoryFdPropertiesKHR");
	assert_non_null(device.get_fd);
	assert_non_null(device.get_fd_properties);
	return device;
}

static void drop_device(struct device *device)
{
	vkDestroyCommandPool(device->handle, device->pool, NULL);
	vkDestroyDevice(device->handle, NULL);
}

static int set_up(void **data)
{
	(void)data;
	first = make_device();
	second = make_device();
	return 0;
}

static int tear_down(void **data)
{
	(void)data;
	drop_device(&first);
	drop_device(&second);
	return 0;
}

static uint32_t choose_type(uint32_t bits)
{
	VkPhysicalDeviceMemoryProperties properties;

	vkGetPhysicalDeviceMemoryProperties(gpu, &properties);
	for (uint32_t i = 0; i < properties.memoryTypeCount; i++) {
		if (bits & 1u << i &&
			properties.memoryTypes[i].propertyFlags &
				VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) {
			return i;
		}
	}
	fail_msg("no coherent memory among types 0x%x", bits);
	return 0;
}

static void map(const struct device *device, struct buffer *buffer)
{
	void *words;

	assert_int_equal(vkMapMemory(device->handle, buffer->memory, 0, VK_WHOLE_SIZE, 0, &words),
		VK_SUCCESS);
	buffer->words = words;
}

/* Either exported (fd < 0), or imported by that descriptor, which it takes. is_external: the buffer says so. */
static struct buffer make_buffer(const struct device *device, int fd, bool is_external)
{
	VkExternalMemoryBufferCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = DMA_BUF
	};
	VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = is_external ? &external : NULL,
		.size = SIZE,
		.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO, .handleTypes = DMA_BUF
	};
	VkImportMemoryFdInfoKHR imported = { .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = DMA_BUF,
		.fd = fd };
	VkMemoryAllocateInfo memory = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = fd < 0 ? (const void *)&exported : (const void *)&imported };
	VkMemoryRequirements needs;
	struct buffer buffer;

	assert_int_equal(vkCreateBuffer(device->handle, &info, NULL, &buffer.handle), VK_SUCCESS);
	vkGetBufferMemoryRequirements(device->handle, buffer.handle, &needs);
	memory.allocationSize = buffer.size = needs.size;
	memory.memoryTypeIndex = choose_type(needs.memoryTypeBits);
	assert_int_equal(
		vkAllocateMemory(device->handle, &memory, NULL, &buffer.memory), VK_SUCCESS);
	assert_int_equal(
		vkBindBufferMemory(device->handle, buffer.handle, buffer.memory, 0), VK_SUCCESS);
	map(device, &buffer);
	return buffer;
}

static void drop_buffer(const struct device *device, struct buffer *buffer)
{
	vkDestroyBuffer(device->handle, buffer->handle, NULL);
	vkFreeMemory(device->handle, buffer->memory, NULL);
}

static int fd_of(const struct device *device, VkDeviceMemory memory)
{
	VkMemoryGetFdInfoKHR info = { .sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = memory,
		.handleType = DMA_BUF };
	int fd = -1;

	assert_int_equal(device->get_fd(device->handle, &info, &fd), VK_SUCCESS);
	assert_true(fd >= 0);
	return fd;
}

static uint32_t *map_fd(int fd)
{
	void *words = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(words, MAP_FAILED);
	return words;
}

static void check_words(const uint32_t *words, uint32_t expected)
{
	for (int i = 0; i < WORDS; i++) {
		if (words[i] != expected) {
			fail_msg("word %d is 0x%x, not 0x%x", i, words[i], expected);
		}
	}
}

static VkCommandBuffer begin(const struct device *device)
{
	VkCommandBufferAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = device->pool,
		.commandBufferCount = 1,
	};
	VkCommandBufferBeginInfo begin_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
	};
	VkCommandBuffer commands;

	assert_int_equal(vkAllocateCommandBuffers(device->handle, &info, &commands), VK_SUCCESS);
	assert_int_equal(vkBeginCommandBuffer(commands, &begin_info), VK_SUCCESS);
	return commands;
}

static void run(const struct device *device, VkCommandBuffer commands)
{
	VkMemoryBarrier barrier = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_HOST_READ_BIT };
	VkSubmitInfo info = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands };

	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
		0, 1, &barrier, 0, NULL, 0, NULL);
	assert_int_equal(vkEndCommandBuffer(commands), VK_SUCCESS);
	assert_int_equal(vkQueueSubmit(device->queue, 1, &info, VK_NULL_HANDLE), VK_SUCCESS);
	assert_int_equal(vkQueueWaitIdle(device->queue), VK_SUCCESS);
	vkFreeCommandBuffers(device->handle, device->pool, 1, &commands);
}

static void fill(const struct device *device, VkBuffer buffer, uint32_t word)
{
	VkCommandBuffer commands = begin(device);

	vkCmdFillBuffer(commands, buffer, 0, VK_WHOLE_SIZE, word);
	run(device, commands);
}

static void copy(const struct device *device, VkBuffer from, VkBuffer to)
{
	VkCommandBuffer commands = begin(device);
	VkBufferCopy region = { .size = SIZE };

	vkCmdCopyBuffer(commands, from, to, 1, &region);
	run(device, commands);
}

static void test_descriptor_names_the_memory(void **data)
{
	struct buffer buffer = make_buffer(&first, -1, true);
	int fd = fd_of(&first, buffer.memory), again = fd_of(&first, buffer.memory);
	struct stat status, status_again;

	(void)data;
	assert_int_not_equal(fd, again);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(fstat(again, &status_again), 0);
	assert_int_equal(status.st_ino, status_again.st_ino);
	assert_true((uint64_t)status.st_size >= buffer.size);
	assert_int_equal(status.st_size % sysconf(_SC_PAGESIZE), 0);
	close(fd);
	close(again);
	drop_buffer(&first, &buffer);
}

static void test_gpu_writes_and_descriptor_shows(void **data)
{
	struct buffer buffer = make_buffer(&first, -1, true);
	int fd = fd_of(&first, buffer.memory);
	uint32_t *words = map_fd(fd);

	(void)data;
	fill(&first, buffer.handle, 0x12345678);
	check_words(words, 0x12345678);
	check_words(buffer.words, 0x12345678);
	munmap(words, SIZE);
	close(fd);
	drop_buffer(&first, &buffer);
}

static void test_gpu_reads_what_the_descriptor_got(void **data)
{
	struct buffer from = make_buffer(&first, -1, true), to = make_buffer(&first, -1, true);
	int fd = fd_of(&first, from.memory);
	uint32_t *words = map_fd(fd);

	(void)data;
	for (int i = 0; i < WORDS; i++) {
		words[i] = 0xabcdef01;
	}
	copy(&first, from.handle, to.handle);
	check_words(to.words, 0xabcdef01);
	munmap(words, SIZE);
	close(fd);
	drop_buffer(&first, &from);
	drop_buffer(&first, &to);
}

/* Venus gives such memory to buffers and images that say nothing of it. */
static void test_buffer_that_says_nothing(void **data)
{
	struct buffer buffer = make_buffer(&first, -1, false);
	int fd = fd_of(&first, buffer.memory);
	uint32_t *words = map_fd(fd);

	(void)data;
	fill(&first, buffer.handle, 0x55aa55aa);
	check_words(words, 0x55aa55aa);
	munmap(words, SIZE);
	close(fd);
	drop_buffer(&first, &buffer);
}

/* In the other process: nothing of Vulkan and nothing of cmocka. */
static _Noreturn void answer(int fd)
{
	uint32_t *words = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (words == MAP_FAILED || words[0] != 0x11111111 || words[WORDS - 1] != 0x22222222) {
		_exit(1);
	}
	words[1] = 0x33333333;
	_exit(0);
}

static void test_another_process(void **data)
{
	struct buffer buffer = make_buffer(&first, -1, true);
	int fd = fd_of(&first, buffer.memory);
	int status;
	pid_t child;

	(void)data;
	buffer.words[0] = 0x11111111;
	buffer.words[WORDS - 1] = 0x22222222;
	child = fork();
	if (child == 0) {
		answer(fd);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(buffer.words[1], 0x33333333);
	close(fd);
	drop_buffer(&first, &buffer);
}

/* The one that exported goes first: the memory lives as long as somebody has it. */
static void test_another_device(void **data)
{
	struct buffer exported = make_buffer(&first, -1, true);
	int fd = fd_of(&first, exported.memory);
	VkMemoryFdPropertiesKHR properties = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_FD_PROPERTIES_KHR
	};
	struct buffer imported;
	int again;

	(void)data;
	assert_int_equal(
		second.get_fd_properties(second.handle, DMA_BUF, fd, &properties), VK_SUCCESS);
	choose_type(properties.memoryTypeBits);
	imported = make_buffer(&second, fd, true);
	fill(&second, imported.handle, 0x0badcafe);
	check_words(exported.words, 0x0badcafe);
	fill(&first, exported.handle, 0x00c0ffee);
	drop_buffer(&first, &exported);
	check_words(imported.words, 0x00c0ffee);
	again = fd_of(&second, imported.memory);
	drop_buffer(&second, &imported);
	assert_true(fcntl(fd, F_GETFD) < 0);
	assert_int_equal(map_fd(again)[5], 0x00c0ffee);
	close(again);
}

static VkResult ask_image(VkImageTiling tiling, VkExternalImageFormatProperties *answer)
{
	VkPhysicalDeviceExternalImageFormatInfo external = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_IMAGE_FORMAT_INFO,
		.handleType = DMA_BUF,
	};
	VkPhysicalDeviceImageFormatInfo2 info = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_IMAGE_FORMAT_INFO_2,
		.pNext = &external,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.type = VK_IMAGE_TYPE_2D,
		.tiling = tiling,
		.usage = VK_IMAGE_USAGE_TRANSFER_DST_BIT,
	};
	VkImageFormatProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_FORMAT_PROPERTIES_2, .pNext = answer
	};

	*answer = (VkExternalImageFormatProperties){
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_IMAGE_FORMAT_PROPERTIES
	};
	return vkGetPhysicalDeviceImageFormatProperties2(gpu, &info, &properties);
}

static VkImage make_image(VkImageTiling tiling)
{
	VkExternalMemoryImageCreateInfo external = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO, .handleTypes = DMA_BUF
	};
	VkImageCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.pNext = &external,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.extent = { WIDTH, HEIGHT, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = tiling,
		.usage = VK_IMAGE_USAGE_TRANSFER_DST_BIT,
	};
	VkImage image;

	assert_int_equal(vkCreateImage(first.handle, &info, NULL, &image), VK_SUCCESS);
	return image;
}

static VkDeviceMemory dedicate(VkImage image)
{
	VkMemoryDedicatedAllocateInfo dedicated = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO, .image = image
	};
	VkExportMemoryAllocateInfo exported = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.pNext = &dedicated,
		.handleTypes = DMA_BUF,
	};
	VkMemoryAllocateInfo memory = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &exported };
	VkMemoryRequirements needs;
	VkDeviceMemory handle;

	vkGetImageMemoryRequirements(first.handle, image, &needs);
	memory.allocationSize = needs.size;
	memory.memoryTypeIndex = choose_type(needs.memoryTypeBits);
	assert_int_equal(vkAllocateMemory(first.handle, &memory, NULL, &handle), VK_SUCCESS);
	assert_int_equal(vkBindImageMemory(first.handle, image, handle, 0), VK_SUCCESS);
	return handle;
}

static void clear(VkImage image)
{
	const VkClearColorValue color = { .float32 = { 1, 0, 1, 0 } };
	VkImageSubresourceRange range = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 };
	VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
		.newLayout = VK_IMAGE_LAYOUT_GENERAL,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.image = image,
		.subresourceRange = range,
	};
	VkCommandBuffer commands = begin(&first);

	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
		VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
	vkCmdClearColorImage(commands, image, VK_IMAGE_LAYOUT_GENERAL, &color, 1, &range);
	run(&first, commands);
}

static void test_image_in_shared_memory(void **data)
{
	const VkImageSubresource part = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0 };
	VkExternalImageFormatProperties answer;
	VkSubresourceLayout layout;
	VkDeviceMemory memory;
	const uint8_t *bytes;
	VkImage image;
	int fd;

	(void)data;
	if (ask_image(VK_IMAGE_TILING_LINEAR, &answer) != VK_SUCCESS) {
		print_message(
			"skipped: this driver has no linear image in memory of the process\n");
		skip();
	}
	assert_true(answer.externalMemoryProperties.externalMemoryFeatures &
		VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT);
	image = make_image(VK_IMAGE_TILING_LINEAR);
	memory = dedicate(image);
	fd = fd_of(&first, memory);
	vkGetImageSubresourceLayout(first.handle, image, &part, &layout);
	clear(image);
	bytes = mmap(NULL, layout.offset + layout.size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	for (VkDeviceSize y = 0; y < HEIGHT; y++) {
		const uint8_t *row = bytes + layout.offset + y * layout.rowPitch;

		for (int x = 0; x < WIDTH; x++) {
			assert_memory_equal(row + 4 * x, "\xff\x00\xff\x00", 4);
		}
	}
	munmap((void *)bytes, layout.offset + layout.size);
	close(fd);
	vkDestroyImage(first.handle, image, NULL);
	vkFreeMemory(first.handle, memory, NULL);
}

static unsigned int count_fds(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

static void test_nothing_leaks(void **data)
{
	unsigned int fds = count_fds();

	(void)data;
	for (int i = 0; i < 30; i++) {
		struct buffer exported = make_buffer(&first, -1, true);
		struct buffer imported = make_buffer(&second, fd_of(&first, exported.memory), true);

		drop_buffer(&first, &exported);
		drop_buffer(&second, &imported);
	}
	assert_int_equal(count_fds(), fds);
}

/* What of the driver decides, for the log of a machine that is far away. */
static void describe(void)
{
	VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &host
	};
	VkPhysicalDeviceMemoryProperties memory;
	VkExternalImageFormatProperties answer;

	vkGetPhysicalDeviceProperties2(gpu, &properties);
	print_message("GPU %s, alignment %llu\n", properties.properties.deviceName,
		(unsigned long long)host.minImportedHostPointerAlignment);
	vkGetPhysicalDeviceMemoryProperties(gpu, &memory);
	for (uint32_t i = 0; i < memory.memoryTypeCount; i++) {
		print_message("type %u: heap %u, flags 0x%x\n", i, memory.memoryTypes[i].heapIndex,
			memory.memoryTypes[i].propertyFlags);
	}
	for (int i = 0; i < 2; i++) {
		VkResult result = ask_image((VkImageTiling)i, &answer);

		print_message("image tiling %d: result %d, features 0x%x\n", i, result,
			answer.externalMemoryProperties.externalMemoryFeatures);
	}
}

static bool choose_driver(void)
{
	static const char *const lavapipes[] = { "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
		"/usr/share/vulkan/icd.d/lvp_icd.aarch64.json",
		"/usr/share/vulkan/icd.d/lvp_icd.json" };
	const char *driver = getenv("VULKAN_TEST_DRIVER");

	for (size_t i = 0; !driver && i < sizeof(lavapipes) / sizeof(lavapipes[0]); i++) {
		driver = access(lavapipes[i], R_OK) == 0 ? lavapipes[i] : NULL;
	}
	return driver && setenv("VK_DRIVER_FILES", driver, 1) == 0;
}

static bool open_gpu(void)
{
	VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_1 };
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application };
	uint32_t count = 1;
	VkResult result = vkCreateInstance(&info, NULL, &instance);

	if (result == VK_SUCCESS) {
		result = vkEnumeratePhysicalDevices(instance, &count, &gpu);
	}
	return (result == VK_SUCCESS || result == VK_INCOMPLETE) && count == 1;
}

static int note_driver(struct dl_phdr_info *info, size_t size, void *data)
{
	char *path = data;

	(void)size;
	if (strstr(info->dlpi_name, "libvulkan_")) {
		snprintf(path, PATH_MAX, "%s", info->dlpi_name);
	}
	return path[0] != '\0';
}

/*
 * Mesa's drivers stay when the loader lets go of them: what one has in its globals for as long as it is there (on
 * AMD's processors a list of caches) is no leak.
 */
static void keep_driver(void)
{
	char path[PATH_MAX] = "";

	if (dl_iterate_phdr(note_driver, path)) {
		dlopen(path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_descriptor_names_the_memory),
		TEST(test_gpu_writes_and_descriptor_shows),
		TEST(test_gpu_reads_what_the_descriptor_got),
		TEST(test_buffer_that_says_nothing),
		TEST(test_another_process),
		TEST(test_another_device),
		TEST(test_image_in_shared_memory),
		TEST(test_nothing_leaks),
	};
	int result;

	setenv("VIRTIO_GPUD_MEMORY_LAYER", "always", 1); // on a machine with /dev/udmabuf too
	if (!choose_driver()) {
		printf("skipped: no lavapipe (Debian: mesa-vulkan-drivers)\n");
		return SKIPPED;
	}
	if (!open_gpu()) {
		printf("no GPU of that driver\n");
		return EXIT_FAILURE;
	}
	keep_driver();
	describe();
	result = cmocka_run_group_tests(tests, NULL, NULL);
	vkDestroyInstance(instance, NULL);
	return result;
}
