/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_EGL_H
#define RENDER_VIRGL_EGL_H

/*
 * An EGL display without a window system, and its GL contexts, for libvirglrenderer's callbacks. The
 * display is opened here, not by the library, so that any vendor's libEGL serves (glvnd's variables
 * choose one). Loaded when first asked for.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame/frame.h"

struct egl;

/* How a display is found. */
struct egl_config {
	const char *render_node; // a DRM render node, by GBM; NULL: an EGL device, else surfaceless
	bool allow_software; // draw in software though a GPU was asked for
};

/* Returns NULL on failure (logged). */
struct egl *egl_open(const struct egl_config *config);
void egl_close(struct egl *egl); // NULL is fine

/* "llvmpipe (LLVM 15.0.6, 256 bits), OpenGL 4.5": what draws. */
const char *egl_description(const struct egl *egl);
const char *egl_route(const struct egl *egl); // "EGL device", "surfaceless", "render node PATH"
bool egl_is_software(const struct egl *egl);

/* Writes "renderD128 renderD129", or "none", into text. Is there one? */
bool egl_list_render_nodes(char *text, size_t size);

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
