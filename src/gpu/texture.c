/* SPDX-License-Identifier: MIT */
#include "gpu/texture.h"

#include "base/checked.h"
#include "render/format.h"

/*
 * How this works
 *
 * GPUs have no pixels of three channels: they take the place of four.
 *
 * A format that is not known is charged as the largest that there is. Mostly the renderer refuses it.
 */

#define PAGE 4096u

/* No driver has textures of more levels: the largest size has 32 bits. */
#define LEVELS_MAX 32u

static struct render_block block_of(uint32_t format)
{
	struct render_block block;

	if (!render_format_block(format, &block)) {
		return (struct render_block){ 1, 1, 32, false }; // R64G64B64A64
	}
	block.bytes += block.bytes % 3 == 0 ? block.bytes / 3 : 0;
	block.bytes += block.unpacked ? 4 * block.width * block.height : 0;
	return block;
}

/* A side of a level, in blocks. */
static uint64_t blocks(uint32_t pixels, uint32_t level, uint32_t block)
{
	uint64_t side = pixels >> level ? pixels >> level : 1;

	return (side + block - 1) / block;
}

static bool add_level(const struct render_texture_info *info, const struct render_block *block,
	uint32_t level, uint64_t *sum)
{
	uint64_t depth = blocks(info->depth, info->target == GPU_TEXTURE_3D ? level : 0, 1);
	uint64_t bytes;

	return checked_mul_u64(blocks(info->width, level, block->width),
		       blocks(info->height, level, block->height), &bytes) &&
		checked_mul_u64(bytes, block->bytes, &bytes) &&
		checked_mul_u64(bytes, depth, &bytes) && checked_add_u64(*sum, bytes, sum);
}

static uint32_t layer_count(const struct render_texture_info *info)
{
	uint32_t least = info->target == GPU_TEXTURE_CUBE ? 6 : 1;

	return info->array_size > least ? info->array_size : least;
}

static bool pixels_size(const struct render_texture_info *info, uint64_t *bytes)
{
	const struct render_block block = block_of(info->format);
	uint64_t sum = 0;

	for (uint32_t level = 0; level < LEVELS_MAX && level <= info->last_level; level++) {
		if (!add_level(info, &block, level, &sum)) {
			return false;
		}
	}
	return checked_mul_u64(sum, layer_count(info), &sum) &&
		checked_mul_u64(sum, info->nr_samples ? info->nr_samples : 1, bytes);
}

bool gpu_texture_size(const struct render_texture_info *info, uint64_t *bytes)
{
	uint64_t size = info->width;

	if (info->target != GPU_TEXTURE_BUFFER && !pixels_size(info, &size)) {
		return false;
	}
	if (!checked_add_u64(size, PAGE - 1, &size)) {
		return false;
	}
	*bytes = size / PAGE * PAGE;
	return true;
}
