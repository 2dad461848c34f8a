/* SPDX-License-Identifier: MIT */
#ifndef RENDER_FORMAT_H
#define RENDER_FORMAT_H

/* What VirGL's pixel formats look like in memory. */

#include <stdbool.h>
#include <stdint.h>

/*
 * A format is a block of pixels and its bytes; one pixel, but for the compressed ones and a few others.
 */
struct render_block {
	uint32_t width; // pixels
	uint32_t height; // more than 1: compressed
	uint32_t bytes;
	bool unpacked; // few GPUs know it (ETC, ASTC): drivers keep the pixels, too, in four bytes each
};

/* The block of a format, as struct render_texture_info has it. False: the format is not known. */
bool render_format_block(uint32_t format, struct render_block *block);

#endif
