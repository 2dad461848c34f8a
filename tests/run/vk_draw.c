/* SPDX-License-Identifier: MIT */
/*
 * A Vulkan program for tests and measurements: it draws a known picture off-screen, without a window system,
 * copies it to mapped memory and checks it there.
 *
 *	vk_draw [--device=NUMBER|NAME] [--size=WxH] [--frames=N] [--output=FILE.ppm]
 *
 * The picture: 8 x 8 tiles on the left half, each in a color of its own, and a triangle with a red, a green and
 * a blue corner on the right, on a cleared ground. Tiles change with each frame; a frame is drawn, copied, waited
 * for and checked before the next. The last one is written to FILE.
 *
 * Exit status 1: a wrong pixel, 2: no Vulkan, no such device, or a call that failed.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vk_device.h"
#include "vk_draw_spirv.h"

enum {
	SIDE = 8, // tiles in a row, as in vk_draw.vert
	TILES = SIDE * SIDE,
	MIN_SIZE = 64, // smaller tiles have no pixel whose color is certain
	MAX_SIZE = 4096,
};

/* Red, green, blue and alpha as they lie in memory. */
struct color {
	uint8_t channels[4];
};

static const struct color ground = { { 51, 102, 153, 255 } };

static struct vk_device device;
static uint32_t width = 640;
static uint32_t height = 480;
static VkImage image;
static VkDeviceMemory image_memory;
static struct vk_buffer copied;
static VkRenderPass pass;
static VkFramebuffer framebuffer;
static VkPipelineLayout layout;
static VkPipeline pipeline;

static void make_target(void)
{
	uint32_t type = vk_device_find_type(&device, UINT32_MAX,
		VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 0);

	if (type == UINT32_MAX) {
		type = vk_device_find_type(
			&device, UINT32_MAX, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT, 0);
	}
	if (type == UINT32_MAX ||
		!vk_device_make_buffer(&device, type, (VkDeviceSize)width * height * 4,
			VK_BUFFER_USAGE_TRANSFER_DST_BIT, &copied)) {
		vk_device_fail("no mappable memory for the picture");
	}
	image = vk_device_make_image(&device, width, height,
		VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT,
		&image_memory);
}

static void make_pass(void)
{
	VkAttachmentDescription attachment = {
		.format = VK_FORMAT_R8G8B8A8_UNORM,
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

	vk_device_check(
		vkCreateRenderPass(device.handle, &info, NULL, &pass), "vkCreateRenderPass");
}

static void make_framebuffer(void)
{
	VkImageViewCreateInfo view_info = {
		.sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
		.image = image,
		.viewType = VK_IMAGE_VIEW_TYPE_2D,
		.format = VK_FORMAT_R8G8B8A8_UNORM,
		.subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
	};
	VkImageView view;
	VkFramebufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_FRAMEBUFFER_CREATE_INFO,
		.renderPass = pass,
		.attachmentCount = 1,
		.pAttachments = &view,
		.width = width,
		.height = height,
		.layers = 1,
	};

	vk_device_check(
		vkCreateImageView(device.handle, &view_info, NULL, &view), "vkCreateImageView");
	vk_device_check(vkCreateFramebuffer(device.handle, &info, NULL, &framebuffer),
		"vkCreateFramebuffer");
}

static VkPipelineShaderStageCreateInfo make_stage(
	VkShaderStageFlagBits stage, const uint32_t *code, size_t size)
{
	VkShaderModuleCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = size,
		.pCode = code,
	};
	VkPipelineShaderStageCreateInfo made = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
		.stage = stage,
		.pName = "main",
	};

	vk_device_check(vkCreateShaderModule(device.handle, &info, NULL, &made.module),
		"vkCreateShaderModule");
	return made;
}

static void make_layout(void)
{
	VkPushConstantRange range = { VK_SHADER_STAGE_VERTEX_BIT, 0, sizeof(float) };
	VkPipelineLayoutCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &range,
	};

	vk_device_check(vkCreatePipelineLayout(device.handle, &info, NULL, &layout),
		"vkCreatePipelineLayout");
}

static void make_pipeline(void)
{
	VkPipelineShaderStageCreateInfo stages[] = {
		make_stage(VK_SHADER_STAGE_VERTEX_BIT, vert_spirv, sizeof(vert_spirv)),
		make_stage(VK_SHADER_STAGE_FRAGMENT_BIT, frag_spirv, sizeof(frag_spirv)),
	};
	VkPipelineVertexInputStateCreateInfo input = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO,
	};
	VkPipelineInputAssemblyStateCreateInfo assembly = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
		.topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_STRIP,
	};
	VkViewport viewport = { 0, 0, (float)width, (float)height, 0, 1 };
	VkRect2D scissor = { { 0, 0 }, { width, height } };
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
		.layout = layout,
		.renderPass = pass,
	};

	vk_device_check(
		vkCreateGraphicsPipelines(device.handle, VK_NULL_HANDLE, 1, &info, NULL, &pipeline),
		"vkCreateGraphicsPipelines");
}

/* The blue of a frame's tiles: 16 steps, each exact. */
static uint8_t shade_of(uint32_t frame)
{
	return (uint8_t)(frame % 16 * 17);
}

static float fraction(uint8_t channel)
{
	return (float)channel / 255.0f;
}

static void record_pass(uint32_t frame)
{
	const float shade = fraction(shade_of(frame));
	VkClearValue clear = { .color.float32 = { fraction(ground.channels[0]),
				       fraction(ground.channels[1]), fraction(ground.channels[2]),
				       1 } };
	VkRenderPassBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_RENDER_PASS_BEGIN_INFO,
		.renderPass = pass,
		.framebuffer = framebuffer,
		.renderArea = { { 0, 0 }, { width, height } },
		.clearValueCount = 1,
		.pClearValues = &clear,
	};

	vkCmdBeginRenderPass(device.commands, &info, VK_SUBPASS_CONTENTS_INLINE);
	vkCmdBindPipeline(device.commands, VK_PIPELINE_BIND_POINT_GRAPHICS, pipeline);
	vkCmdPushConstants(
		device.commands, layout, VK_SHADER_STAGE_VERTEX_BIT, 0, sizeof(shade), &shade);
	vkCmdDraw(device.commands, 4, TILES, 0, 0);
	vkCmdDraw(device.commands, 3, 1, 0, TILES);
	vkCmdEndRenderPass(device.commands);
}

static void draw(uint32_t frame)
{
	VkBufferImageCopy region = {
		.imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
		.imageExtent = { width, height, 1 },
	};

	vk_device_begin(&device);
	record_pass(frame);
	vk_device_add_barrier(&device);
	vkCmdCopyImageToBuffer(device.commands, image, VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
		copied.handle, 1, &region);
	vk_device_submit(&device);
	vk_device_invalidate(&device, &copied);
}

/* At most `slack` off in each channel; x and y from 0 to 1. */
static void check_pixel(uint32_t frame, double x, double y, struct color expected, int slack)
{
	uint32_t column = (uint32_t)(x * width), row = (uint32_t)(y * height);
	struct color seen;

	memcpy(&seen, &copied.words[row * width + column], sizeof(seen));
	for (int i = 0; i < 4; i++) {
		if (abs(seen.channels[i] - expected.channels[i]) > slack) {
			fprintf(stderr,
				"vk_draw: frame %" PRIu32 ": pixel %" PRIu32 ",%" PRIu32
				" is %u,%u,%u,%u, not %u,%u,%u,%u\n",
				frame, column, row, seen.channels[0], seen.channels[1],
				seen.channels[2], seen.channels[3], expected.channels[0],
				expected.channels[1], expected.channels[2], expected.channels[3]);
			exit(1);
		}
	}
}

static void check_tiles(uint32_t frame)
{
	const double side = SIDE;

	for (int i = 0; i < TILES; i++) {
		int column = i % SIDE, row = i / SIDE;
		struct color color = { { (uint8_t)(column * 34), (uint8_t)(row * 34),
			shade_of(frame), 255 } };

		check_pixel(frame, (column + 0.5) / side / 2, (row + 0.5) / side, color, 0);
		check_pixel(frame, column / side / 2, row / side, ground, 0);
	}
}

/* Corners in the picture: 3/4,1/10 red, 19/20,9/10 green, 11/20,9/10 blue. */
static void check_triangle(uint32_t frame)
{
	const struct color middle = { { 85, 85, 85, 255 } };
	const struct color red = { { 229, 13, 13, 255 } };
	const struct color green = { { 13, 229, 13, 255 } };
	const struct color blue = { { 13, 13, 229, 255 } };
	const int slack = 12; // the pixel next to the place, in small pictures

	check_pixel(frame, 0.75, 0.1 + 0.8 * 2 / 3, middle, slack);
	check_pixel(frame, 0.75, 0.1 + 0.8 * 0.1, red, slack);
	check_pixel(frame, 0.95 - 0.2 * 0.15, 0.9 - 0.8 * 0.05, green, slack);
	check_pixel(frame, 0.55 + 0.2 * 0.15, 0.9 - 0.8 * 0.05, blue, slack);
	check_pixel(frame, 0.75, 0.05, ground, 0);
	check_pixel(frame, 0.6, 0.2, ground, 0);
	check_pixel(frame, 0.9, 0.2, ground, 0);
	check_pixel(frame, 0.75, 0.95, ground, 0);
}

static void write_picture(const char *path)
{
	FILE *file = fopen(path, "wb");

	if (!file) {
		perror(path);
		exit(2);
	}
	fprintf(file, "P6\n%" PRIu32 " %" PRIu32 "\n255\n", width, height);
	for (uint32_t i = 0; i < width * height; i++) {
		fwrite(&copied.words[i], 3, 1, file);
	}
	if (fclose(file) != 0) {
		perror(path);
		exit(2);
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The first frame, for which the driver compiles, is not among those that are timed. */
static void run(uint32_t frames)
{
	double start = 0;

	for (uint32_t frame = 0; frame < frames; frame++) {
		draw(frame);
		check_tiles(frame);
		check_triangle(frame);
		if (frame == 0) {
			start = now();
		}
	}
	printf("draw: %" PRIu32 "x%" PRIu32 " pixels right, %" PRIu32 " frames\n", width, height,
		frames);
	if (frames > 1) {
		printf("draw: %.1f frames/s\n", (frames - 1) / (now() - start));
	}
}

int main(int argc, char **argv)
{
	const char *wanted = NULL, *output = NULL;
	uint32_t frames = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--device=", 9) == 0) {
			wanted = argv[i] + 9;
		} else if (strncmp(argv[i], "--output=", 9) == 0) {
			output = argv[i] + 9;
		} else if (sscanf(argv[i], "--size=%" SCNu32 "x%" SCNu32, &width, &height) != 2 &&
			sscanf(argv[i], "--frames=%" SCNu32, &frames) != 1) {
			vk_device_fail("unknown option");
		}
	}
	if (width < MIN_SIZE || height < MIN_SIZE || width > MAX_SIZE || height > MAX_SIZE ||
		frames == 0) {
		vk_device_fail("a size from 64x64 to 4096x4096 and at least one frame, please");
	}
	vk_device_open(&device, wanted);
	make_target();
	make_pass();
	make_framebuffer();
	make_layout();
	make_pipeline();
	run(frames);
	if (output) {
		write_picture(output);
	}
	vk_device_check(vkDeviceWaitIdle(device.handle), "vkDeviceWaitIdle");
	return 0;
}
