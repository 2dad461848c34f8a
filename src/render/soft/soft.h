/* SPDX-License-Identifier: MIT */
#ifndef RENDER_SOFT_SOFT_H
#define RENDER_SOFT_SOFT_H

#include "render/render.h"

/*
 * The renderer that needs no GPU: images in private memory, guest blobs read where they are. All other
 * borrowed pointers must outlive it. Returns NULL when there is no memory (logged).
 */
struct renderer *soft_renderer_create(
	struct memory *memory, const struct render_listener_ops *listener, void *listener_data);

#endif
