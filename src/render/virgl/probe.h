/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_PROBE_H
#define RENDER_VIRGL_PROBE_H

#include "render/virgl/egl.h"
#include "render/virgl/gpu.h"

/*
 * Finds what can draw here. Each GPU's driver is asked in a process of its own, so that one which
 * crashes or hangs is a line of the list and not the end of the daemon; for a process with one thread.
 * Returns 0 or -errno, and error says what was wrong.
 */
int probe_gpus(const struct vendor_choice *choice, struct gpu_list *list,
	char error[static EGL_ERROR_SIZE]);

/*
 * Asks the driver of one GPU in the same way, of which the route, and with it the number or the node, is
 * given: fills in the rest, or why it cannot be used.
 */
void probe_gpu(const struct vendor_choice *choice, struct gpu *gpu);

#endif
