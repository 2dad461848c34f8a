/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_GETIMAGE_H
#define RENDER_VIRGL_GETIMAGE_H

/*
 * Reads from textures that cannot be drawn to (compressed ones, and some others), of which libvirglrenderer
 * can do whole levels only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "memory/memory.h"
#include "render/render_3d.h"
#include "render/virgl/library.h"

#define VIRGL_FORMAT_WORDS 16

/* A bit for each format. */
struct virgl_formats {
	uint32_t mask[VIRGL_FORMAT_WORDS];
};

/* Finds what can be drawn to here. */
void virgl_getimage_init(struct virgl_library *library, const struct render_capset *capset,
	struct virgl_formats *drawn);

/* Must such a texture be read by virgl_getimage_read? */
bool virgl_getimage_is_used(
	const struct virgl_formats *drawn, const struct render_texture_info *info);

/*
 * Copies the box from the texture to the backing, by way of one layer's bytes; of these there are no more
 * than the texture is charged. Returns 0, -ENOMEM, or -EINVAL: the level, the box (which begins where a
 * block does), a stride or the backing does not fit.
 */
int virgl_getimage_read(struct virgl_library *library, const struct render_texture_info *info,
	const struct memory_mapping *backing, const struct render_transfer_3d *transfer);

#endif
