/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_GPU_H
#define RENDER_VIRGL_GPU_H

/* What can draw on this host, and how a user names it. Pure functions on a list; no driver is asked. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* How a display is opened on it. */
enum gpu_route {
	GPU_EGL_DEVICE, // EGL_EXT_platform_device
	GPU_RENDER_NODE, // GBM
	GPU_SURFACELESS, // EGL_MESA_platform_surfaceless: the driver chooses
};

#define GPU_PCI_SIZE  16 // "0000:01:00.0"; domains have up to 8 digits
#define GPU_UUID_SIZE 37 // lower case, without "GPU-"

/* Texts that are not known are empty. */
struct gpu {
	enum gpu_route route;
	uint32_t device; // EGL's number of it, with GPU_EGL_DEVICE
	char node[64]; // "/dev/dri/renderD128"
	char pci[GPU_PCI_SIZE];
	char uuid[GPU_UUID_SIZE];
	char driver[64]; // "NVIDIA 550.54.15"
	char renderer[128]; // GL_RENDERER
	char version[128]; // GL_VERSION
	bool software;
	char error[256]; // why it cannot be used; empty: it can
};

#define GPU_MAX 32

struct gpu_list {
	struct gpu gpus[GPU_MAX];
	uint32_t count;
};

enum gpu_name_kind {
	GPU_NAME_INDEX,
	GPU_NAME_PCI,
	GPU_NAME_UUID,
};

struct gpu_name {
	enum gpu_name_kind kind;
	uint32_t index;
	char text[GPU_UUID_SIZE]; // of a PCI address or UUID, as struct gpu has it
};

/*
 * Reads "1", "0000:01:00.0", "01:00.0", or a UUID with or without "GPU-", in either case. Returns 0 or
 * -EINVAL.
 */
int gpu_name_parse(struct gpu_name *name, const char *text);

/* Returns the first that is meant, borrowed from the list, or NULL. */
const struct gpu *gpu_list_find(const struct gpu_list *list, const struct gpu_name *name);

/* The one that is taken when none is asked for, or NULL. */
const struct gpu *gpu_list_default(const struct gpu_list *list);

/* Adds a copy; nothing is added beyond GPU_MAX. */
void gpu_list_add(struct gpu_list *list, const struct gpu *gpu);

#define GPU_ROUTE_SIZE 96

/* Writes "EGL device 0", "render node /dev/dri/renderD128" or "surfaceless". */
void gpu_describe_route(const struct gpu *gpu, char *text, size_t size);

/* Writes "0 = NVIDIA H100 (EGL device 0, PCI 0000:01:00.0), 1 = ..." or "none", for a message about a wrong choice. */
void gpu_list_describe(const struct gpu_list *list, char *text, size_t size);

/* Writes a table. */
void gpu_list_print(const struct gpu_list *list, FILE *file);

/* Writes 16 bytes as a UUID; zeros, which say nothing, as the empty text. */
void gpu_format_uuid(const uint8_t bytes[static 16], char uuid[static GPU_UUID_SIZE]);

#endif
