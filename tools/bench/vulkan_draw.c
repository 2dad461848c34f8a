/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_work.h"
#include "bench/vulkan_work_spirv.h"

enum {
	SIDE = 16, // tiles in a row, as in vulkan_work.vert
	TILES = SIDE * SIDE,
	PIXELS = 1024, // in a row
	TILE_PIXELS = PIXELS / SIDE,
	CHECKED_STEP = 37, // tiles from one that is checked to the next: a processor turns slowly
};

/* A number for each pixel, which can be compared exactly. */
static const VkFormat format = VK_FORMAT_R32_UINT;

static const VkShaderStageFlags stage_flags = VK_SHADER_STAGE_VERTEX_BIT |
	VK_SHADER_STAGE_FRAGMENT_BIT;

struct push {
	uint32_t turns;
	uint32_t tile;
};

static void make_image(struct vulkan_gpu *gpu, struct vulkan_draw *draw)
{
	VkImageCreateInfo image_info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
		.imageType = VK_IMAGE_TYPE_2D,
		.format = format,
		.extent = { PIXELS, PIXELS, 1 },
		.mipLevels = 1,
		.arrayLayers = 1,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.tiling = VK_IMAGE_TILING_OPTIMAL,
		.usage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT,
	};
	VkMemoryAllocateInfo memory_info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO };
	VkMemoryRequirements needs;
	VkDeviceMemory memory;

	vulkan_gpu_check(
		gpu->vk.CreateImage(gpu->device, &image_info, NULL, &draw->image), "CreateImage");
	gpu->vk.GetImageMemoryRequirements(gpu->device, draw->image, &needs);
	while (!(needs.memoryTypeBits & 1u << memory_info.memoryTypeIndex)) {
		memory_info.memoryTypeIndex++;
	}
	memory_info.allocationSize = needs.size;
	vulkan_gpu_check(
		gpu->vk.AllocateMemory(gpu->device, &memory_info, NULL, &memory), "AllocateMemory");
	vulkan_gpu_check(
		gpu->vk.BindImageMemory(gpu->device, draw->image, memory, 0), "BindImageMemory");
}

static void make_pass(struct vulkan_gpu *gpu, struct vulkan_draw *draw)
{
	VkAttachmentDescription attachment = {
		.format = format,
		.samples = VK_SAMPLE_COUNT_1_BIT,
		.loadOp = VK_ATTACHMENT_LOAD_OP_CLEAR,
		.storeOp = VK_ATTACHMENT_STORE_OP_STORE,
		.stencilLoadOp = VK_ATTACHMENT_LOAD_OP_DONT_CARE,
		.stencilStoreOp = VK_ATTACHMENT_STORE_OP_DONT_CARE,
		.initialLayout = VK_IMAGE_LAYOUT_UNDEFINED,
		.finalLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
	};
	VkAttachmentReference reference = { 0, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL };
	VkSubpassDescription subpass = {
		.pipelineBindPoint = VK_PIPELINE_BIND_POINT_GRAPHICS,
		.colorAttachmentCount = 1,
		.pColorAttachments = &reference,
	};
	VkRenderPassCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_RENDER_PASS_CREATE_INFO,
		.attachmentCount = 1,
		.pAttachments = &attachment,
		.subpassCount = 1,
		.pSubpasses = &subpass,
	};

	vulkan_gpu_check(gpu->vk.CreateRenderPass(gpu->device, &info, NULL, &draw->pass),
		"CreateRenderPass");
}

static void make_framebuffer(struct vulkan_gpu *gpu, struct vulkan_draw *draw)
{
	VkImageViewCreateInfo view_info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
		.image = draw->image,
		.viewType = VK_IMAGE_VIEW_TYPE_2D,
		.format = format,
		.subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
	};
	VkImageView view;
	VkFramebufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_FRAMEBUFFER_CREATE_INFO,
		.renderPass = draw->pass,
		.attachmentCount = 1,
		.pAttachments = &view,
		.width = PIXELS,
		.height = PIXELS,
		.layers = 1,
	};

	vulkan_gpu_check(
		gpu->vk.CreateImageView(gpu->device, &view_info, NULL, &view), "CreateImageView");
	vulkan_gpu_check(gpu->vk.CreateFramebuffer(gpu->device, &info, NULL, &draw->framebuffer),
		"CreateFramebuffer");
}

static void make_layout(struct vulkan_gpu *gpu, struct vulkan_draw *draw)
{
	VkPushConstantRange range = { stage_flags, 0, sizeof(struct push) };
	VkPipelineLayoutCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &range,
	};

	vulkan_gpu_check(gpu->vk.CreatePipelineLayout(gpu->device, &info, NULL, &draw->layout),
		"CreatePipelineLayout");
}

static void make_pipeline(struct vulkan_gpu *gpu, struct vulkan_draw *draw)
{
	VkPipelineShaderStageCreateInfo stages[] = {
		{
			.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
			.stage = VK_SHADER_STAGE_VERTEX_BIT,
			.module = vulkan_gpu_make_shader(gpu, vert_spirv, sizeof(vert_spirv)),
			.pName = "main",
		},
		{
			.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
			.stage = VK_SHADER_STAGE_FRAGMENT_BIT,
			.module = vulkan_gpu_make_shader(gpu, frag_spirv, sizeof(frag_spirv)),
			.pName = "main",
		},
	};
	VkPipelineVertexInputStateCreateInfo input = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO,
	};
	VkPipelineInputAssemblyStateCreateInfo assembly = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
		.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_STRIP,
	};
	VkViewport viewport = { 0, 0, PIXELS, PIXELS, 0, 1 };
	VkRect2D scissor = { { 0, 0 }, { PIXELS, PIXELS } };
	VkPipelineViewportStateCreateInfo viewports = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
		.viewportCount = 1,
		.pViewports = &viewport,
		.scissorCount = 1,
		.pScissors = &scissor,
	};
	VkPipelineRasterizationStateCreateInfo raster = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO,
		.polygonMode = VK_POLYGON_MODE_FILL,
		.cullMode = VK_CULL_MODE_NONE,
		.lineWidth = 1,
	};
	VkPipelineMultisampleStateCreateInfo samples = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
		.rasterizationSamples = VK_SAMPLE_COUNT_1_BIT,
	};
	VkPipelineColorBlendAttachmentState all_channels = { .colorWriteMask = 0xf };
	VkPipelineColorBlendStateCreateInfo blend = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
		.attachmentCount = 1,
		.pAttachments = &all_channels,
	};
	VkGraphicsPipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO,
		.stageCount = 2,
		.pStages = stages,
		.pVertexInputState = &input,
		.pInputAssemblyState = &assembly,
		.pViewportState = &viewports,
		.pRasterizationState = &raster,
		.pMultisampleState = &samples,
		.pColorBlendState = &blend,
		.layout = draw->layout,
		.renderPass = draw->pass,
	};

	vulkan_gpu_check(gpu->vk.CreateGraphicsPipelines(
				 gpu->device, VK_NULL_HANDLE, 1, &info, NULL, &draw->pipeline),
		"CreateGraphicsPipelines");
}

void vulkan_draw_make(struct vulkan_gpu *gpu, struct vulkan_draw *draw)
{
	if (!draw->pipeline) {
		make_image(gpu, draw);
		make_pass(gpu, draw);
		make_framebuffer(gpu, draw);
		make_layout(gpu, draw);
		make_pipeline(gpu, draw);
	}
}

static void begin_pass(
	struct vulkan_gpu *gpu, const struct vulkan_draw *draw, VkCommandBuffer commands)
{
	VkClearValue clear = { .color.uint32 = { 0 } };
	VkRenderPassBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO,
		.renderPass = draw->pass,
		.framebuffer = draw->framebuffer,
		.renderArea = { { 0, 0 }, { PIXELS, PIXELS } },
		.clearValueCount = 1,
		.pClearValues = &clear,
	};

	gpu->vk.CmdBeginRenderPass(commands, &info, VK_SUBPASS_CONTENTS_INLINE);
	gpu->vk.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, draw->pipeline);
}

void vulkan_draw_record(struct vulkan_gpu *gpu, const struct vulkan_draw *draw,
	VkCommandBuffer commands, uint32_t turns)
{
	begin_pass(gpu, draw, commands);
	for (uint32_t tile = 0; tile < TILES; tile++) {
		const struct push push = { turns, tile };

		gpu->vk.CmdPushConstants(
			commands, draw->layout, stage_flags, 0, sizeof(push), &push);
		gpu->vk.CmdDraw(commands, 4, 1, 0, 0);
	}
	gpu->vk.CmdEndRenderPass(commands);
	vulkan_gpu_add_barrier(gpu, commands);
}

static void check_tile(const uint32_t *words, uint32_t tile, uint32_t turns)
{
	uint32_t x = tile % SIDE * TILE_PIXELS + TILE_PIXELS / 2;
	uint32_t y = tile / SIDE * TILE_PIXELS + TILE_PIXELS / 2;
	size_t index = (size_t)y * PIXELS + x;

	vulkan_work_check("drawn picture", index, words[index],
		vulkan_work_turn(y << 16 ^ x ^ tile << 8, turns));
}

void vulkan_draw_check(struct vulkan_gpu *gpu, const struct vulkan_draw *draw, uint32_t turns)
{
	struct vulkan_buffer result;
	VkBufferImageCopy region = {
		.imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
		.imageExtent = { PIXELS, PIXELS, 1 },
	};

	vulkan_gpu_make_result_buffer(gpu, PIXELS * PIXELS * sizeof(uint32_t), &result);
	VkCommandBuffer commands = vulkan_gpu_begin(gpu, &gpu->own);

	gpu->vk.CmdCopyImageToBuffer(commands, draw->image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
		result.handle, 1, &region);
	vulkan_gpu_add_barrier(gpu, commands);
	vulkan_gpu_submit(gpu, &gpu->own);
	vulkan_gpu_wait(gpu, &gpu->own);
	vulkan_gpu_invalidate(gpu, &result);
	for (uint32_t tile = 0; tile < TILES; tile += CHECKED_STEP) {
		check_tile(result.bytes, tile, turns);
	}
	vulkan_gpu_drop_buffer(gpu, &result);
}
