/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_VULKAN_H
#define RENDER_VIRGL_VULKAN_H

/*
 * Which Vulkan GPUs there are, and what Venus needs of each: memory that is mapped into the guest must leave
 * the render server's process by descriptor, which a driver either does by itself, or lets our layer
 * (src/vulkan_layer) do, or does not do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "render/virgl/gpu.h"

enum vulkan_memory {
	VULKAN_MEMORY_NONE, // Venus cannot work
	VULKAN_MEMORY_DRIVER, // no layer is needed
	VULKAN_MEMORY_LAYER, // the layer is needed
};

/* Texts that are not known are empty. */
struct vulkan_gpu {
	char name[128];
	char driver[160]; // "NVIDIA 580.65.06"
	char pci[GPU_PCI_SIZE];
	char uuid[GPU_UUID_SIZE];
	uint32_t vendor_id, device_id;
	uint32_t version; // as Vulkan codes it: VK_API_VERSION_*
	bool software;
	/* VK_KHR_external_memory_fd, VK_EXT_external_memory_dma_buf, VK_EXT_external_memory_host */
	bool has_fd, has_dma_buf, has_host;
	bool no_fork; // the driver works in the process that loads it only, not in one forked from that
	bool claims_dma_buf; // the driver says that buffers can be exported as dma-bufs
	enum vulkan_memory memory;
	char reason[160]; // why not by the driver, or, with VULKAN_MEMORY_NONE, why not at all
};

#define VULKAN_GPU_MAX 16

struct vulkan_list {
	struct vulkan_gpu gpus[VULKAN_GPU_MAX];
	uint32_t count;
};

#define VULKAN_ERROR_SIZE 256

/*
 * Asks the drivers, in a process of its own: for a process with one thread. driver: the manifest (JSON) of the
 * only driver to ask; NULL: all that the loader finds. Memory is allocated for trial on each GPU. Returns 0,
 * also for an empty list, or -errno, and error says what was wrong.
 */
int vulkan_probe(
	const char *driver, struct vulkan_list *list, char error[static VULKAN_ERROR_SIZE]);

/* What the render server is to be started with. */
struct vulkan_plan {
	bool possible; // there is a GPU on which Venus can work
	bool layer; // name the layer (VK_INSTANCE_LAYERS)
	bool overrule; // and set VIRTIO_GPUD_MEMORY_LAYER=always: a driver claims what it does not do
};

struct vulkan_plan vulkan_plan(const struct vulkan_list *list);

#define VULKAN_FOLDER_SIZE 4096

/*
 * Finds the folder of the layer's manifest, which the Vulkan loader takes: beside program, in a build folder or
 * where both are installed, or else where this build is installed. program: the daemon's path; NULL: this
 * process's. Returns false when the layer is nowhere, as in a build without Vulkan's headers.
 */
bool vulkan_find_layer(const char *program, char folder[static VULKAN_FOLDER_SIZE]);

struct virgl_server_config;

/*
 * Tries, in a process of its own, whether the layer keeps config's limit on memory: a loader that passes over the
 * layer says nothing. Returns 0 or -errno, and error says what was wrong.
 */
int vulkan_try_limit(
	const struct virgl_server_config *config, char error[static VULKAN_ERROR_SIZE]);

#define VULKAN_TEXT_SIZE 768

/* Writes "llvmpipe (...), llvmpipe Mesa 22.3.6 (...), Vulkan 1.3.230, software: Venus needs the layer (...)". */
void vulkan_describe(const struct vulkan_gpu *gpu, char text[static VULKAN_TEXT_SIZE]);

/* Writes a line for each: its number and what vulkan_describe() says. */
void vulkan_list_print(const struct vulkan_list *list, FILE *file);

#endif
