/* SPDX-License-Identifier: MIT */
#ifndef RENDER_NULL_NULL_H
#define RENDER_NULL_NULL_H

#include "render/render.h"

/*
 * The renderer that draws nothing: it takes every resource and shows no pixels (get_frame gives ENOTSUP).
 * Documentation of the interface, and the limit that the others are measured against.
 */
struct renderer *null_renderer_create(
	const struct render_listener_ops *listener, void *listener_data);

#endif
