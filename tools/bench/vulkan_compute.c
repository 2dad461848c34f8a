/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_work.h"
#include "bench/vulkan_work_spirv.h"

enum {
	GROUP = 64, // invocations of a work group, as in vulkan_work.comp
	WORDS = 1 << 18, // a large GPU's processors all have something to do
	CHECKED_STEP =
		31233, // words from one that is checked to the next: a processor turns slowly
};

static void make_set(struct vulkan_gpu *gpu, struct vulkan_compute *compute)
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
		.pSetLayouts = &compute->set_layout,
	};

	vulkan_gpu_check(gpu->vk.CreateDescriptorSetLayout(
				 gpu->device, &layout_info, NULL, &compute->set_layout),
		"CreateDescriptorSetLayout");
	vulkan_gpu_check(gpu->vk.CreateDescriptorPool(
				 gpu->device, &pool_info, NULL, &set_info.descriptorPool),
		"CreateDescriptorPool");
	vulkan_gpu_check(gpu->vk.AllocateDescriptorSets(gpu->device, &set_info, &compute->set),
		"AllocateDescriptorSets");
}

static void make_words(struct vulkan_gpu *gpu, struct vulkan_compute *compute)
{
	uint32_t type = vulkan_gpu_find_type(gpu, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);

	if (!vulkan_gpu_make_buffer(gpu, type, WORDS * sizeof(uint32_t), &compute->words)) {
		vulkan_gpu_fail("no memory of the device's own");
	}
	VkDescriptorBufferInfo info = { compute->words.handle, 0, VK_WHOLE_SIZE };
	VkWriteDescriptorSet write = {
		.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
		.dstSet = compute->set,
		.descriptorCount = 1,
		.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
		.pBufferInfo = &info,
	};

	gpu->vk.UpdateDescriptorSets(gpu->device, 1, &write, 0, NULL);
}

static void make_pipeline(struct vulkan_gpu *gpu, struct vulkan_compute *compute)
{
	VkPushConstantRange range = { VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(uint32_t) };
	VkPipelineLayoutCreateInfo layout_info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.setLayoutCount = 1,
		.pSetLayouts = &compute->set_layout,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &range,
	};
	VkComputePipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage = {
			.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
			.stage = VK_SHADER_STAGE_COMPUTE_BIT,
			.module = vulkan_gpu_make_shader(gpu, comp_spirv, sizeof(comp_spirv)),
			.pName = "main",
		},
	};

	vulkan_gpu_check(
		gpu->vk.CreatePipelineLayout(gpu->device, &layout_info, NULL, &compute->layout),
		"CreatePipelineLayout");
	info.layout = compute->layout;
	vulkan_gpu_check(gpu->vk.CreateComputePipelines(
				 gpu->device, VK_NULL_HANDLE, 1, &info, NULL, &compute->pipeline),
		"CreateComputePipelines");
}

void vulkan_compute_make(struct vulkan_gpu *gpu, struct vulkan_compute *compute)
{
	if (!compute->pipeline) {
		make_set(gpu, compute);
		make_words(gpu, compute);
		make_pipeline(gpu, compute);
	}
}

void vulkan_compute_record(struct vulkan_gpu *gpu, const struct vulkan_compute *compute,
	VkCommandBuffer commands, uint32_t turns)
{
	const struct vulkan_calls *vk = &gpu->vk;

	vk->CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, compute->pipeline);
	vk->CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, compute->layout, 0, 1,
		&compute->set, 0, NULL);
	vk->CmdPushConstants(
		commands, compute->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(turns), &turns);
	vk->CmdDispatch(commands, WORDS / GROUP, 1, 1);
	vulkan_gpu_add_barrier(gpu, commands);
}

void vulkan_compute_check(
	struct vulkan_gpu *gpu, const struct vulkan_compute *compute, uint32_t turns)
{
	struct vulkan_buffer result;
	VkBufferCopy region = { .size = WORDS * sizeof(uint32_t) };

	vulkan_gpu_make_result_buffer(gpu, region.size, &result);
	VkCommandBuffer commands = vulkan_gpu_begin(gpu, &gpu->own);

	vulkan_gpu_add_barrier(gpu, commands);
	gpu->vk.CmdCopyBuffer(commands, compute->words.handle, result.handle, 1, &region);
	/* Wiped behind the copy: the next check cannot find old results. */
	vulkan_gpu_add_barrier(gpu, commands);
	gpu->vk.CmdFillBuffer(commands, compute->words.handle, 0, VK_WHOLE_SIZE, 0);
	vulkan_gpu_add_barrier(gpu, commands);
	vulkan_gpu_submit(gpu, &gpu->own);
	vulkan_gpu_wait(gpu, &gpu->own);
	vulkan_gpu_invalidate(gpu, &result);
	const uint32_t *words = result.bytes;

	for (uint32_t i = 0; i < WORDS; i += CHECKED_STEP) {
		vulkan_work_check("compute", i, words[i], vulkan_work_turn(i, turns));
	}
	vulkan_gpu_drop_buffer(gpu, &result);
}
