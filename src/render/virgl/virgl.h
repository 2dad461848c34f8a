/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_VIRGL_H
#define RENDER_VIRGL_VIRGL_H

/*
 * OpenGL (VirGL) and Vulkan (Venus) for guests, by libvirglrenderer. The library is one for a process, and is opened at most once;
 * one VM after another is given a renderer of it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/loop.h"
#include "memory/memory.h"
#include "render/render_3d.h"

struct virgl;

struct virgl_config {
	bool gl; // offer VirGL
	bool vulkan; // offer Venus
	const char *render_node; // the GPU, "/dev/dri/renderD128"; NULL: not named
	const char *gpu; // an index, PCI address or UUID of one; NULL: not named
	bool allow_software; // draw in software where the GPU that was named cannot
	const char *egl_library; // NULL: the system's
	const char *gl_library; // NULL: the system's
	const char *
		render_server; // virglrenderer's program that draws with Vulkan; NULL: the system's
	const char *vulkan_driver; // the JSON file of an ICD; NULL: what the Vulkan loader finds
	uint64_t max_vulkan_memory; // bytes that the guest can allocate with Vulkan; 0: no limit
};

/*
 * Can the libraries be loaded here (says nothing about a GPU), and *render_node: can one be chosen by
 * name? Loads them for a moment.
 */
bool virgl_is_possible(bool *render_node);

/*
 * Writes a table of what can draw here; the node, the GPU and allow_software are not looked at. Returns
 * 0, or -errno (logged) when nothing can be asked.
 */
int virgl_list_gpus(const struct virgl_config *config, FILE *file);

/* The same for what Vulkan finds, and what Venus would need of it. Returns 0 or -errno of the file. */
int virgl_list_vulkan(const struct virgl_config *config, FILE *file);

/* Loads the library, finds a GPU and starts. Returns NULL on failure (logged). */
struct virgl *virgl_open(struct loop *loop, const struct virgl_config *config);
void virgl_close(struct virgl *virgl); // no renderer of it may be left; NULL is fine

/* "VirGL on llvmpipe (...), OpenGL 4.5 (surfaceless); Venus by ...", for the log. */
const char *virgl_description(const struct virgl *virgl);

/* The renderer of one VM; there can be one at a time. Returns NULL on failure (logged). */
struct renderer *virgl_renderer_of(struct virgl *virgl, struct memory *memory,
	const struct render_listener_ops *listener, void *listener_data);

#endif
