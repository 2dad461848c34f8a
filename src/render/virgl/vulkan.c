/* SPDX-License-Identifier: MIT */
#include "render/virgl/vulkan.h"

struct vulkan_plan vulkan_plan(const struct vulkan_list *list)
{
	struct vulkan_plan plan = { .possible = false };

	for (uint32_t i = 0; i < list->count; i++) {
		const struct vulkan_gpu *gpu = &list->gpus[i];

		plan.possible |= gpu->memory != VULKAN_MEMORY_NONE;
		plan.layer |= gpu->memory == VULKAN_MEMORY_LAYER;
		plan.overrule |= gpu->memory == VULKAN_MEMORY_LAYER && gpu->claims_dma_buf;
	}
	return plan;
}

/* Bits of VK_MAKE_API_VERSION: this file is built without Vulkan's headers too. */
static void describe_version(uint32_t version, char text[static 32])
{
	snprintf(
		text, 32, "%u.%u.%u", version >> 22 & 0x7f, version >> 12 & 0x3ff, version & 0xfff);
}

static void describe_fit(const struct vulkan_gpu *gpu, char *text, size_t size)
{
	switch (gpu->memory) {
	case VULKAN_MEMORY_DRIVER:
		snprintf(text, size, "Venus works");
		break;
	case VULKAN_MEMORY_LAYER:
		snprintf(text, size, "Venus needs the memory layer (%s)", gpu->reason);
		break;
	case VULKAN_MEMORY_NONE:
		snprintf(text, size, "Venus cannot work: %s", gpu->reason);
		break;
	}
}

void vulkan_describe(const struct vulkan_gpu *gpu, char text[static VULKAN_TEXT_SIZE])
{
	char version[32], fit[256];

	describe_version(gpu->version, version);
	describe_fit(gpu, fit, sizeof(fit));
	snprintf(text, VULKAN_TEXT_SIZE, "%s%s%s, Vulkan %s, %s%s%s%s%s: %s", gpu->name,
		gpu->driver[0] ? ", " : "", gpu->driver, version,
		gpu->software ? "software" : "hardware", gpu->pci[0] ? ", PCI " : "", gpu->pci,
		gpu->uuid[0] ? ", UUID " : "", gpu->uuid, fit);
}

void vulkan_list_print(const struct vulkan_list *list, FILE *file)
{
	char text[VULKAN_TEXT_SIZE];

	for (uint32_t i = 0; i < list->count; i++) {
		vulkan_describe(&list->gpus[i], text);
		fprintf(file, "Vulkan GPU %u: %s\n", i, text);
	}
}
