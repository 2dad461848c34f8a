/* SPDX-License-Identifier: MIT */
#include "render/virgl/vulkan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST "virtio_gpud_memory.json"

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

static bool is_layer_in(const char *base, int len, const char *below, char *folder)
{
	char manifest[VULKAN_FOLDER_SIZE + sizeof(MANIFEST)];

	if (snprintf(folder, VULKAN_FOLDER_SIZE, "%.*s%s", len, base, below) >=
		VULKAN_FOLDER_SIZE) {
		return false;
	}
	snprintf(manifest, sizeof(manifest), "%s/" MANIFEST, folder);
	return access(manifest, R_OK) == 0;
}

static bool is_layer_beside(const char *program, char *folder)
{
	const char *slash = strrchr(program, '/');
	int len = slash ? (int)(slash + 1 - program) : 0;

	return slash &&
		(is_layer_in(program, len, "src/vulkan_layer", folder) ||
			is_layer_in(program, len, "../share/virtio-gpud/vulkan", folder));
}

bool vulkan_find_layer(const char *program, char folder[static VULKAN_FOLDER_SIZE])
{
	char self[VULKAN_FOLDER_SIZE];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[len > 0 ? len : 0] = '\0';
	if (program) {
		return is_layer_beside(program, folder);
	}
	/* A program that is run by an ld.so that is not the system's has that for its own file. */
	return is_layer_beside(self, folder) || is_layer_beside(program_invocation_name, folder) ||
		is_layer_in("", 0, VULKAN_LAYER_FOLDER, folder);
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
