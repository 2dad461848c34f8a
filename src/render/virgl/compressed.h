/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_COMPRESSED_H
#define RENDER_VIRGL_COMPRESSED_H

/* Reads from compressed textures, of which libvirglrenderer can do whole levels only. */

#include <stdbool.h>
#include <stdint.h>

#include "memory/memory.h"
#include "render/render_3d.h"
#include "render/virgl/library.h"

bool virgl_compressed_is(uint32_t format);

/*
 * Copies the box from a texture of such a format to the backing, by way of one layer's bytes; of these
 * there are no more than the texture is charged. Returns 0, -ENOMEM, or -EINVAL: the level, the box (which
 * begins where a block does), a stride or the backing does not fit.
 */
int virgl_compressed_read(struct virgl_library *library, const struct render_texture_info *info,
	const struct memory_mapping *backing, const struct render_transfer_3d *transfer);

#endif
