/* SPDX-License-Identifier: MIT */
/*
 * A Vulkan program for tests and measurements: it computes with whatever device it finds, without a window
 * system, and checks in mapped memory what the device wrote.
 *
 *	vk_compute [--device=NUMBER|NAME] [--words=N] [--rounds=N] [info|memory|copy|image]...
 *
 * Parts: info (device and driver are named; nothing is computed), memory (in each mappable memory type the
 * program writes words, the device computes with them, the program reads them), copy (the device computes in
 * memory of its own, if it has such, and copies from and to mapped memory), image (an image is cleared and
 * copied to mapped memory). Without a name: all. NAME is any part of the device's name.
 *
 * Exit status 1: a wrong word, 2: no Vulkan, no such device, or a call that failed.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#include "vk_compute_spirv.h"

enum {
	GROUP = 64, // invocations of a work group, as in vk_compute.comp
	WIDTH = 64,
	HEIGHT = 32,
};

/* Long for a software renderer; a lost device needs forever. */
#define FENCE_TIMEOUT_NS 60000000000ull

struct buffer {
	VkBuffer handle;
	VkDeviceMemory memory;
	uint32_t *words; // NULL: not mapped
};

static VkPhysicalDevice gpu;
static VkPhysicalDeviceMemoryProperties heaps;
static VkDevice device;
static VkQueue queue;
static VkCommandBuffer commands;
static VkFence fence;
static VkDescriptorSetLayout set_layout;
static VkDescriptorSet set;
static VkPipelineLayout pipeline_layout;
static VkPipeline pipeline;
static uint32_t word_count = 1 << 16;
static uint32_t rounds = 3;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "vk_compute: %s\n", what);
	exit(2);
}

static void check(VkResult result, const char *call)
{
	if (result != VK_SUCCESS) {
		fprintf(stderr, "vk_compute: %s failed (%d)\n", call, result);
		exit(2);
	}
}

static void check_word(const char *what, uint32_t index, uint32_t seen, uint32_t expected)
{
	if (seen != expected) {
		fprintf(stderr, "vk_compute: %s: word %u is 0x%x, not 0x%x\n", what, index, seen,
			expected);
		exit(1);
	}
}

static bool is_named(uint32_t number, const char *name, const char *wanted)
{
	char *end;
	unsigned long parsed = strtoul(wanted, &end, 10);

	return *wanted && *end == '\0' ? parsed == number : strstr(name, wanted) != NULL;
}

static void choose_gpu(VkInstance instance, const char *wanted)
{
	VkPhysicalDevice gpus[16];
	uint32_t count = 16;
	VkResult result = vkEnumeratePhysicalDevices(instance, &count, gpus);

	if (result != VK_INCOMPLETE) {
		check(result, "vkEnumeratePhysicalDevices");
	}
	for (uint32_t i = 0; i < count && !gpu; i++) {
		VkPhysicalDeviceProperties properties;

		vkGetPhysicalDeviceProperties(gpus[i], &properties);
		if (!wanted || is_named(i, properties.deviceName, wanted)) {
			gpu = gpus[i];
			printf("device: %s\n", properties.deviceName);
			printf("api: %u.%u.%u\n", VK_VERSION_MAJOR(properties.apiVersion),
				VK_VERSION_MINOR(properties.apiVersion),
				VK_VERSION_PATCH(properties.apiVersion));
		}
	}
	if (!gpu) {
		fail(count ? "no device has that name or number" : "no Vulkan device");
	}
}

static void print_driver(void)
{
	VkPhysicalDeviceDriverProperties driver = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &driver
	};

	vkGetPhysicalDeviceProperties2(gpu, &properties);
	printf("driver: %s %s\n", driver.driverName, driver.driverInfo);
}

static uint32_t find_family(void)
{
	VkQueueFamilyProperties families[16];
	uint32_t count = 16;

	vkGetPhysicalDeviceQueueFamilyProperties(gpu, &count, families);
	for (uint32_t i = 0; i < count; i++) {
		if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT &&
			families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) {
			return i;
		}
	}
	fail("no queue both draws and computes");
}

static void open_device(const char *wanted)
{
	const float priority = 1;
	VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pApplicationName = "vk_compute",
		.apiVersion = VK_API_VERSION_1_1,
	};
	VkInstanceCreateInfo instance_info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application };
	VkDeviceQueueCreateInfo queue_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkDeviceCreateInfo device_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue_info,
	};
	VkInstance instance;

	check(vkCreateInstance(&instance_info, NULL, &instance), "vkCreateInstance");
	choose_gpu(instance, wanted);
	print_driver();
	vkGetPhysicalDeviceMemoryProperties(gpu, &heaps);
	queue_info.queueFamilyIndex = find_family();
	check(vkCreateDevice(gpu, &device_info, NULL, &device), "vkCreateDevice");
	vkGetDeviceQueue(device, queue_info.queueFamilyIndex, 0, &queue);
	VkCommandPoolCreateInfo pool_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
		.queueFamilyIndex = queue_info.queueFamilyIndex,
	};
	VkCommandBufferAllocateInfo commands_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	VkFenceCreateInfo fence_info = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };

	check(vkCreateCommandPool(device, &pool_info, NULL, &commands_info.commandPool),
		"vkCreateCommandPool");
	check(vkAllocateCommandBuffers(device, &commands_info, &commands),
		"vkAllocateCommandBuffers");
	check(vkCreateFence(device, &fence_info, NULL, &fence), "vkCreateFence");
}

static void make_set(void)
{
	VkDescriptorSetLayoutBinding binding = {
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		.descriptorCount = 1,
		.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
	};
	VkDescriptorSetLayoutCreateInfo layout_info = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
		.bindingCount = 1,
		.pBindings = &binding,
	};
	VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1 };
	VkDescriptorPoolCreateInfo pool_info = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
		.maxSets = 1,
		.poolSizeCount = 1,
		.pPoolSizes = &size,
	};
	VkDescriptorSetAllocateInfo set_info = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
		.descriptorSetCount = 1,
		.pSetLayouts = &set_layout,
	};

	check(vkCreateDescriptorSetLayout(device, &layout_info, NULL, &set_layout),
		"vkCreateDescriptorSetLayout");
	check(vkCreateDescriptorPool(device, &pool_info, NULL, &set_info.descriptorPool),
		"vkCreateDescriptorPool");
	check(vkAllocateDescriptorSets(device, &set_info, &set), "vkAllocateDescriptorSets");
}

static void make_pipeline(void)
{
	VkPushConstantRange range = { VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(uint32_t) };
	VkPipelineLayoutCreateInfo layout_info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &set_layout,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &range,
	};
	VkShaderModuleCreateInfo shader_info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = sizeof(compute_spirv),
		.pCode = compute_spirv,
	};
	VkComputePipelineCreateInfo pipeline_info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage = {
			.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
			.stage = VK_SHADER_STAGE_COMPUTE_BIT,
			.pName = "main",
		},
	};

	check(vkCreatePipelineLayout(device, &layout_info, NULL, &pipeline_layout),
		"vkCreatePipelineLayout");
	check(vkCreateShaderModule(device, &shader_info, NULL, &pipeline_info.stage.module),
		"vkCreateShaderModule");
	pipeline_info.layout = pipeline_layout;
	check(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &pipeline_info, NULL, &pipeline),
		"vkCreateComputePipelines");
}

static VkDeviceSize buffer_size(void)
{
	return (VkDeviceSize)word_count * sizeof(uint32_t);
}

static bool make_buffer(uint32_t type, struct buffer *buffer)
{
	VkBufferCreateInfo buffer_info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = buffer_size(),
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
			VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	VkMemoryAllocateInfo memory_info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.memoryTypeIndex = type,
	};
	VkMemoryRequirements needs;

	*buffer = (struct buffer){ 0 };
	check(vkCreateBuffer(device, &buffer_info, NULL, &buffer->handle), "vkCreateBuffer");
	vkGetBufferMemoryRequirements(device, buffer->handle, &needs);
	if (!(needs.memoryTypeBits & 1u << type)) {
		vkDestroyBuffer(device, buffer->handle, NULL);
		return false;
	}
	memory_info.allocationSize = needs.size;
	check(vkAllocateMemory(device, &memory_info, NULL, &buffer->memory), "vkAllocateMemory");
	check(vkBindBufferMemory(device, buffer->handle, buffer->memory, 0), "vkBindBufferMemory");
	if (heaps.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
		void *words;

		check(vkMapMemory(device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &words),
			"vkMapMemory");
		buffer->words = words;
	}
	return true;
}

static void drop_buffer(struct buffer *buffer)
{
	vkDestroyBuffer(device, buffer->handle, NULL);
	vkFreeMemory(device, buffer->memory, NULL);
}

/* For memory that is not coherent; the others take it too. */
static void flush(const struct buffer *buffer)
{
	VkMappedMemoryRange range = {
		.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
		.memory = buffer->memory,
		.size = VK_WHOLE_SIZE,
	};

	check(vkFlushMappedMemoryRanges(device, 1, &range), "vkFlushMappedMemoryRanges");
}

static void invalidate(const struct buffer *buffer)
{
	VkMappedMemoryRange range = {
		.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
		.memory = buffer->memory,
		.size = VK_WHOLE_SIZE,
	};

	check(vkInvalidateMappedMemoryRanges(device, 1, &range), "vkInvalidateMappedMemoryRanges");
}

static void begin(void)
{
	VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };

	check(vkBeginCommandBuffer(commands, &info), "vkBeginCommandBuffer");
}

/* All that comes later sees all that was written before. */
static void add_barrier(void)
{
	VkMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT |
			VK_ACCESS_HOST_READ_BIT,
	};

	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0,
		NULL, 0, NULL);
}

static void submit(void)
{
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};

	add_barrier();
	check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
	check(vkQueueSubmit(queue, 1, &info, fence), "vkQueueSubmit");
	check(vkWaitForFences(device, 1, &fence, VK_TRUE, FENCE_TIMEOUT_NS), "vkWaitForFences");
	check(vkResetFences(device, 1, &fence), "vkResetFences");
}

static void use_buffer(VkBuffer buffer)
{
	VkDescriptorBufferInfo info = { buffer, 0, VK_WHOLE_SIZE };
	VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.dstSet = set,
		.descriptorCount = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		.pBufferInfo = &info,
	};

	vkUpdateDescriptorSets(device, 1, &write, 0, NULL);
}

static void dispatch(uint32_t factor)
{
	vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
	vkCmdBindDescriptorSets(
		commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline_layout, 0, 1, &set, 0, NULL);
	vkCmdPushConstants(
		commands, pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(factor), &factor);
	vkCmdDispatch(commands, (word_count + GROUP - 1) / GROUP, 1, 1);
}

static void copy(VkBuffer from, VkBuffer to)
{
	VkBufferCopy region = { .size = buffer_size() };

	vkCmdCopyBuffer(commands, from, to, 1, &region);
}

/* A word of a round before the device gets it. */
static uint32_t word_of(uint32_t round, uint32_t index)
{
	return (round + 1) * 0x9e3779b9u ^ index * 0x85ebca6bu;
}

static void fill(const struct buffer *buffer, uint32_t round)
{
	for (uint32_t i = 0; i < word_count; i++) {
		buffer->words[i] = word_of(round, i);
	}
	flush(buffer);
}

static void check_buffer(
	const char *what, const struct buffer *buffer, uint32_t round, uint32_t factor)
{
	invalidate(buffer);
	for (uint32_t i = 0; i < word_count; i++) {
		check_word(what, i, buffer->words[i], word_of(round, i) * factor + i);
	}
}

static const char *flags_of(uint32_t type)
{
	static const char *const names[] = { "device-local", "host-visible", "host-coherent",
		"host-cached" };
	static char text[64];

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (heaps.memoryTypes[type].propertyFlags & 1u << i) {
			strcat(text, text[0] ? " " : "");
			strcat(text, names[i]);
		}
	}
	return text;
}

static void run_memory(void)
{
	uint32_t used = 0;

	for (uint32_t type = 0; type < heaps.memoryTypeCount; type++) {
		struct buffer buffer;

		if (!(heaps.memoryTypes[type].propertyFlags &
			    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) ||
			!make_buffer(type, &buffer)) {
			continue;
		}
		use_buffer(buffer.handle);
		for (uint32_t round = 0; round < rounds; round++) {
			fill(&buffer, round);
			begin();
			dispatch(round + 3);
			submit();
			check_buffer("memory", &buffer, round, round + 3);
		}
		drop_buffer(&buffer);
		printf("memory: type %u (%s): %u words right, %u rounds\n", type, flags_of(type),
			word_count, rounds);
		used++;
	}
	if (used == 0) {
		fail("no mappable memory for a storage buffer");
	}
}

static uint32_t find_type(VkMemoryPropertyFlags with, VkMemoryPropertyFlags without)
{
	for (uint32_t i = 0; i < heaps.memoryTypeCount; i++) {
		VkMemoryPropertyFlags flags = heaps.memoryTypes[i].propertyFlags;

		if ((flags & with) == with && !(flags & without)) {
			return i;
		}
	}
	return UINT32_MAX;
}

static uint32_t mappable_type(void)
{
	uint32_t type = find_type(VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT, 0);

	if (type == UINT32_MAX) {
		fail("no mappable memory");
	}
	return type;
}

static void run_copy(void)
{
	uint32_t local = find_type(
		VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
	struct buffer near, far;

	if (local == UINT32_MAX) {
		local = mappable_type();
	}
	if (!make_buffer(local, &far) || !make_buffer(mappable_type(), &near)) {
		fail("no memory for a storage buffer");
	}
	use_buffer(far.handle);
	for (uint32_t round = 0; round < rounds; round++) {
		fill(&near, round);
		begin();
		copy(near.handle, far.handle);
		add_barrier();
		dispatch(round + 5);
		add_barrier();
		copy(far.handle, near.handle);
		submit();
		check_buffer("copy", &near, round, round + 5);
	}
	drop_buffer(&near);
	drop_buffer(&far);
	printf("copy: type %u (%s): %u words right, %u rounds\n", local, flags_of(local),
		word_count, rounds);
}

static VkImage make_image(VkDeviceMemory *memory)
{
	VkImageCreateInfo image_info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.extent = { WIDTH, HEIGHT, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = VK_IMAGE_TILING_OPTIMAL,
		.usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT,
	};
	VkMemoryAllocateInfo memory_info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO };
	VkMemoryRequirements needs;
	VkImage image;

	check(vkCreateImage(device, &image_info, NULL, &image), "vkCreateImage");
	vkGetImageMemoryRequirements(device, image, &needs);
	while (!(needs.memoryTypeBits & 1u << memory_info.memoryTypeIndex)) {
		memory_info.memoryTypeIndex++;
	}
	memory_info.allocationSize = needs.size;
	check(vkAllocateMemory(device, &memory_info, NULL, memory), "vkAllocateMemory");
	check(vkBindImageMemory(device, image, *memory, 0), "vkBindImageMemory");
	return image;
}

static void change_layout(VkImage image, VkImageLayout from, VkImageLayout to)
{
	VkImageMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
		.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
		.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
		.oldLayout = from,
		.newLayout = to,
		.srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
		.image = image,
		.subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
	};

	vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
		VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
}

static void clear_and_copy(VkImage image, VkBuffer buffer)
{
	const VkClearColorValue color = { .float32 = { 1, 0, 1, 0 } };
	VkImageSubresourceRange range = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 };
	VkBufferImageCopy region = {
		.imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
		.imageExtent = { WIDTH, HEIGHT, 1 },
	};

	begin();
	change_layout(image, VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
	vkCmdClearColorImage(
		commands, image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, &color, 1, &range);
	change_layout(
		image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
	vkCmdCopyImageToBuffer(
		commands, image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, buffer, 1, &region);
	submit();
}

static void run_image(void)
{
	uint32_t words = word_count;
	VkDeviceMemory memory;
	VkImage image = make_image(&memory);
	struct buffer buffer;

	word_count = WIDTH * HEIGHT;
	if (!make_buffer(mappable_type(), &buffer)) {
		fail("no mappable memory for a copy");
	}
	clear_and_copy(image, buffer.handle);
	invalidate(&buffer);
	for (uint32_t i = 0; i < word_count; i++) {
		check_word("image", i, buffer.words[i], 0x00ff00ff);
	}
	drop_buffer(&buffer);
	vkDestroyImage(device, image, NULL);
	vkFreeMemory(device, memory, NULL);
	printf("image: %dx%d pixels right\n", WIDTH, HEIGHT);
	word_count = words;
}

static void run_info(void)
{
	for (uint32_t type = 0; type < heaps.memoryTypeCount; type++) {
		printf("type %u: heap %u, %s\n", type, heaps.memoryTypes[type].heapIndex,
			flags_of(type));
	}
}

static const struct part {
	const char *name;
	void (*run)(void);
} parts[] = {
	{ "info", run_info },
	{ "memory", run_memory },
	{ "copy", run_copy },
	{ "image", run_image },
};

static bool run_named(const char *name)
{
	bool any = false;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!name || strcmp(parts[i].name, name) == 0) {
			parts[i].run();
			any = true;
		}
	}
	return any;
}

int main(int argc, char **argv)
{
	const char *wanted = NULL;
	int first = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
		if (strncmp(argv[first], "--device=", 9) == 0) {
			wanted = argv[first] + 9;
		} else if (strncmp(argv[first], "--words=", 8) == 0) {
			word_count = (uint32_t)atoi(argv[first] + 8);
		} else if (strncmp(argv[first], "--rounds=", 9) == 0) {
			rounds = (uint32_t)atoi(argv[first] + 9);
		} else {
			fail("unknown option");
		}
	}
	open_device(wanted);
	make_set();
	make_pipeline();
	if (first == argc) {
		run_named(NULL);
	}
	for (; first < argc; first++) {
		if (!run_named(argv[first])) {
			fail("there is no such part");
		}
	}
	check(vkDeviceWaitIdle(device), "vkDeviceWaitIdle");
	return 0;
}
