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

#include "vk_compute_spirv.h"
#include "vk_device.h"

enum {
	GROUP = 64, // invocations of a work group, as in vk_compute.comp
	WIDTH = 64,
	HEIGHT = 32,
};

static struct vk_device device;
static VkDescriptorSetLayout set_layout;
static VkDescriptorSet set;
static VkPipelineLayout pipeline_layout;
static VkPipeline pipeline;
static uint32_t word_count = 1 << 16;
static uint32_t rounds = 3;

static void check_word(const char *what, uint32_t index, uint32_t seen, uint32_t expected)
{
	if (seen != expected) {
		fprintf(stderr, "vk_compute: %s: word %u is 0x%x, not 0x%x\n", what, index, seen,
			expected);
		exit(1);
	}
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

	vk_device_check(vkCreateDescriptorSetLayout(device.handle, &layout_info, NULL, &set_layout),
		"vkCreateDescriptorSetLayout");
	vk_device_check(
		vkCreateDescriptorPool(device.handle, &pool_info, NULL, &set_info.descriptorPool),
		"vkCreateDescriptorPool");
	vk_device_check(vkAllocateDescriptorSets(device.handle, &set_info, &set),
		"vkAllocateDescriptorSets");
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

	vk_device_check(vkCreatePipelineLayout(device.handle, &layout_info, NULL, &pipeline_layout),
		"vkCreatePipelineLayout");
	vk_device_check(vkCreateShaderModule(
				device.handle, &shader_info, NULL, &pipeline_info.stage.module),
		"vkCreateShaderModule");
	pipeline_info.layout = pipeline_layout;
	vk_device_check(vkCreateComputePipelines(
				device.handle, VK_NULL_HANDLE, 1, &pipeline_info, NULL, &pipeline),
		"vkCreateComputePipelines");
}

static VkDeviceSize buffer_size(void)
{
	return (VkDeviceSize)word_count * sizeof(uint32_t);
}

static bool make_buffer(uint32_t type, struct vk_buffer *buffer)
{
	return vk_device_make_buffer(&device, type, buffer_size(),
		VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
			VK_BUFFER_USAGE_TRANSFER_DST_BIT,
		buffer);
}

/* For memory that is not coherent; the others take it too. */
static void flush(const struct vk_buffer *buffer)
{
	VkMappedMemoryRange range = {
		.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
		.memory = buffer->memory,
		.size = VK_WHOLE_SIZE,
	};

	vk_device_check(
		vkFlushMappedMemoryRanges(device.handle, 1, &range), "vkFlushMappedMemoryRanges");
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

	vkUpdateDescriptorSets(device.handle, 1, &write, 0, NULL);
}

static void dispatch(uint32_t factor)
{
	vkCmdBindPipeline(device.commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
	vkCmdBindDescriptorSets(device.commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline_layout, 0,
		1, &set, 0, NULL);
	vkCmdPushConstants(device.commands, pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
		sizeof(factor), &factor);
	vkCmdDispatch(device.commands, (word_count + GROUP - 1) / GROUP, 1, 1);
}

static void copy(VkBuffer from, VkBuffer to)
{
	VkBufferCopy region = { .size = buffer_size() };

	vkCmdCopyBuffer(device.commands, from, to, 1, &region);
}

/* A word of a round before the device gets it. */
static uint32_t word_of(uint32_t round, uint32_t index)
{
	return (round + 1) * 0x9e3779b9u ^ index * 0x85ebca6bu;
}

static void fill(const struct vk_buffer *buffer, uint32_t round)
{
	for (uint32_t i = 0; i < word_count; i++) {
		buffer->words[i] = word_of(round, i);
	}
	flush(buffer);
}

static void check_buffer(
	const char *what, const struct vk_buffer *buffer, uint32_t round, uint32_t factor)
{
	vk_device_invalidate(&device, buffer);
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
		if (device.heaps.memoryTypes[type].propertyFlags & 1u << i) {
			strcat(text, text[0] ? " " : "");
			strcat(text, names[i]);
		}
	}
	return text;
}

static void run_memory(void)
{
	uint32_t used = 0;

	for (uint32_t type = 0; type < device.heaps.memoryTypeCount; type++) {
		struct vk_buffer buffer;

		if (!(device.heaps.memoryTypes[type].propertyFlags &
			    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) ||
			!make_buffer(type, &buffer)) {
			continue;
		}
		use_buffer(buffer.handle);
		for (uint32_t round = 0; round < rounds; round++) {
			fill(&buffer, round);
			vk_device_begin(&device);
			dispatch(round + 3);
			vk_device_submit(&device);
			check_buffer("memory", &buffer, round, round + 3);
		}
		vk_device_drop_buffer(&device, &buffer);
		printf("memory: type %u (%s): %u words right, %u rounds\n", type, flags_of(type),
			word_count, rounds);
		used++;
	}
	if (used == 0) {
		vk_device_fail("no mappable memory for a storage buffer");
	}
}

static uint32_t mappable_type(void)
{
	uint32_t type = vk_device_find_type(
		&device, UINT32_MAX, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT, 0);

	if (type == UINT32_MAX) {
		vk_device_fail("no mappable memory");
	}
	return type;
}

static void run_copy(void)
{
	uint32_t local = vk_device_find_type(&device, UINT32_MAX,
		VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
	struct vk_buffer near, far;

	if (local == UINT32_MAX) {
		local = mappable_type();
	}
	if (!make_buffer(local, &far) || !make_buffer(mappable_type(), &near)) {
		vk_device_fail("no memory for a storage buffer");
	}
	use_buffer(far.handle);
	for (uint32_t round = 0; round < rounds; round++) {
		fill(&near, round);
		vk_device_begin(&device);
		copy(near.handle, far.handle);
		vk_device_add_barrier(&device);
		dispatch(round + 5);
		vk_device_add_barrier(&device);
		copy(far.handle, near.handle);
		vk_device_submit(&device);
		check_buffer("copy", &near, round, round + 5);
	}
	vk_device_drop_buffer(&device, &near);
	vk_device_drop_buffer(&device, &far);
	printf("copy: type %u (%s): %u words right, %u rounds\n", local, flags_of(local),
		word_count, rounds);
}

static void clear_and_copy(VkImage image, VkBuffer buffer)
{
	const VkClearColorValue color = { .float32 = { 1, 0, 1, 0 } };
	VkImageSubresourceRange range = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 };
	VkBufferImageCopy region = {
		.imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
		.imageExtent = { WIDTH, HEIGHT, 1 },
	};

	vk_device_begin(&device);
	vk_device_change_layout(
		&device, image, VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
	vkCmdClearColorImage(
		device.commands, image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, &color, 1, &range);
	vk_device_change_layout(&device, image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
		VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL);
	vkCmdCopyImageToBuffer(
		device.commands, image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, buffer, 1, &region);
	vk_device_submit(&device);
}

static void run_image(void)
{
	uint32_t words = word_count;
	VkDeviceMemory memory;
	VkImage image = vk_device_make_image(&device, WIDTH, HEIGHT,
		VK_IMAGE_USAGE_TRANSFER_SRC_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT, &memory);
	struct vk_buffer buffer;

	word_count = WIDTH * HEIGHT;
	if (!make_buffer(mappable_type(), &buffer)) {
		vk_device_fail("no mappable memory for a copy");
	}
	clear_and_copy(image, buffer.handle);
	vk_device_invalidate(&device, &buffer);
	for (uint32_t i = 0; i < word_count; i++) {
		check_word("image", i, buffer.words[i], 0x00ff00ff);
	}
	vk_device_drop_buffer(&device, &buffer);
	vkDestroyImage(device.handle, image, NULL);
	vkFreeMemory(device.handle, memory, NULL);
	printf("image: %dx%d pixels right\n", WIDTH, HEIGHT);
	word_count = words;
}

static void run_info(void)
{
	for (uint32_t type = 0; type < device.heaps.memoryTypeCount; type++) {
		printf("type %u: heap %u, %s\n", type, device.heaps.memoryTypes[type].heapIndex,
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
			vk_device_fail("unknown option");
		}
	}
	vk_device_open(&device, wanted);
	make_set();
	make_pipeline();
	if (first == argc) {
		run_named(NULL);
	}
	for (; first < argc; first++) {
		if (!run_named(argv[first])) {
			vk_device_fail("there is no such part");
		}
	}
	vk_device_check(vkDeviceWaitIdle(device.handle), "vkDeviceWaitIdle");
	return 0;
}
