/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_PROBE_H
#define RENDER_VIRGL_PROBE_H

#include "render/virgl/egl.h"
#include "render/virgl/gpu.h"

/*
 * Finds what can draw here. Drivers are asked in processes of their own, so that one which crashes or
 * hangs is a line of the list and not the end of the daemon; for a process with one thread.
 */

/* A driver that compiles, or wakes a GPU, takes seconds; this is for one that never answers. */
#define PROBE_SECONDS 30

/* Writes why child_run() failed, with a driver in the child. */
void probe_explain(char *error, size_t size, int result, int killer);

/*
 * Fills in what is known before a GPU is opened. Returns 0 or -errno, and error says what was wrong.
 */
int probe_list(const struct vendor_choice *choice, struct gpu_list *list,
	char error[static EGL_ERROR_SIZE]);

/*
 * Opens one, of which the route, and with it the number or the node, is given: fills in the rest, or
 * why it cannot be used. An EGL device that cannot be opened is tried by its render node.
 */
void probe_gpu(const struct vendor_choice *choice, struct gpu *gpu);

/* Opens all. */
void probe_all(const struct vendor_choice *choice, struct gpu_list *list);

#endif
