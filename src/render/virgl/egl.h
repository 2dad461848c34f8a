/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_EGL_H
#define RENDER_VIRGL_EGL_H

/*
 * An EGL display without a window system, and its GL contexts, for libvirglrenderer's callbacks. The
 * display is opened here, not by the library, so that any vendor's libEGL serves.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame/frame.h"
#include "render/virgl/gpu.h"
#include "render/virgl/vendor.h"

struct egl;

#define EGL_ERROR_SIZE VENDOR_ERROR_SIZE

/*
 * Opens a display on the GPU (of which the route, and with it the number or the node, is looked at), or
 * with NULL on the first that there is: an EGL device that is no software renderer, else what the
 * surfaceless platform gives, else an EGL device that is one. Returns NULL on failure, and error says
 * what was wrong and what to do.
 */
struct egl *egl_open(const struct vendor_choice *choice, const struct gpu *gpu,
	char error[static EGL_ERROR_SIZE]);

/* Opens a display that draws in software. */
struct egl *egl_open_software(
	const struct vendor_choice *choice, char error[static EGL_ERROR_SIZE]);

void egl_close(struct egl *egl); // NULL is fine

/*
 * Fills in what EGL says it can draw with, before any of it is opened: devices in its order, then the
 * surfaceless platform. Returns 0 or -errno, and error says what was wrong.
 */
int egl_list(const struct vendor_choice *choice, struct gpu_list *list,
	char error[static EGL_ERROR_SIZE]);

/* What draws, as far as it tells; owned by the display. */
const struct gpu *egl_gpu(const struct egl *egl);

/* A function of GL, as eglGetProcAddress finds it; NULL: there is none. */
void (*egl_function(struct egl *egl, const char *name))(void);

/* A context that shares objects with all others; NULL when this version cannot be had. */
void *egl_create_context(struct egl *egl, int major, int minor);
void egl_destroy_context(struct egl *egl, void *context);

/*
 * The buffer of a texture's first level; its descriptor is the caller's. Asking does not hand over what
 * was drawn: egl_flush does, of the context that is current. Returns 0, or -ENOTSUP: the driver cannot
 * export it, or not as one buffer from its first byte on.
 */
int egl_export_texture(struct egl *egl, uint32_t texture, struct frame_dmabuf *dmabuf);
void egl_flush(struct egl *egl);

/* From any thread. Returns 0 or -1. */
int egl_make_current(struct egl *egl, void *context);

#endif
