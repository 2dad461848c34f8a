/* SPDX-License-Identifier: MIT */
#ifndef GPU_TEXTURE_H
#define GPU_TEXTURE_H

/* What a texture or a buffer costs the host: for the bound on memory, before a renderer is asked. */

#include <stdbool.h>
#include <stdint.h>

#include "render/render_3d.h"

/* Gallium's, as VirGL has them on the wire. */
enum gpu_texture_target {
	GPU_TEXTURE_BUFFER = 0,
	GPU_TEXTURE_2D = 2,
	GPU_TEXTURE_3D = 3,
	GPU_TEXTURE_CUBE = 4,
};

/*
 * The bytes of all levels, layers, faces and samples, in whole pages. It is what drivers hold at least, and
 * seldom exceed by much; it is never less than the pixels. False: more than a number can say.
 */
bool gpu_texture_size(const struct render_texture_info *info, uint64_t *bytes);

#endif
