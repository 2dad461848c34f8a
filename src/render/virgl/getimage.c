/* SPDX-License-Identifier: MIT */
#include "render/virgl/getimage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "render/format.h"

/*
 * How this works
 *
 * libvirglrenderer (0.10.4 to 1.1.0) reads what can be drawn to with glReadPixels. Of other textures it lets
 * glGetTexImage give it the whole level, and then takes the box from the beginning of what it got: it looks
 * at the size of the box, at its place only in z. It also takes layers to be as many rows of blocks apart as
 * they have rows of pixels. So it is asked for one layer at a time, from its beginning in full width, and
 * the box is cut out here.
 *
 * What can be drawn to is what the capset says (virgl_hw.h, struct virgl_caps_v1, which no package has): after
 * a version of 4 bytes come masks of 512 formats to sample, and to draw to. Depth and stencil are in neither
 * mask, so they are read so, too; it is right for them as well.
 */

#define CAPS_DRAWN (4 + sizeof(struct virgl_formats)) // bytes

/* Gallium's, as VirGL has it on the wire. */
enum {
	TARGET_BUFFER = 0,
};

/* One layer's rows of blocks, from the first to the box's last. */
struct layer {
	uint8_t *bytes;
	size_t size; // of the memory: no less than the whole level, see level_size
	size_t stride;
	uint32_t width; // pixels
	uint32_t height;
};

/* Where the box lies in a layer, and its rows in guest memory. */
struct cut {
	size_t skipped; // bytes in the layer
	size_t len; // of a row
	uint32_t rows;
	uint64_t offset; // of the first in guest memory
	uint64_t stride;
	uint64_t layer_stride;
};

/* A place in guest memory that only goes forward. */
struct cursor {
	const struct iovec *piece;
	uint64_t start; // of the piece
};

void virgl_getimage_init(struct virgl_library *library, const struct render_capset *capset,
	struct virgl_formats *drawn)
{
	uint8_t *caps = calloc(1, capset->max_size);

	/* Without it all is read the long way. */
	*drawn = (struct virgl_formats){ 0 };
	if (caps && capset->max_size >= CAPS_DRAWN + sizeof(*drawn)) {
		library->fill_caps(capset->id, capset->max_version, caps);
		memcpy(drawn, caps + CAPS_DRAWN, sizeof(*drawn));
	}
	free(caps);
}

bool virgl_getimage_is_used(
	const struct virgl_formats *drawn, const struct render_texture_info *info)
{
	struct render_block block;
	uint32_t word = info->format / 32;

	if (info->target == TARGET_BUFFER || !render_format_block(info->format, &block)) {
		return false;
	}
	return word >= VIRGL_FORMAT_WORDS || !(drawn->mask[word] >> info->format % 32 & 1);
}

static uint32_t level_side(uint32_t side, uint32_t level)
{
	return side >> level ? side >> level : 1;
}

static uint32_t blocks(uint32_t pixels, uint32_t block)
{
	return pixels / block + (pixels % block != 0);
}

/*
 * Since 1.1.0 the library refuses memory that is smaller than all layers of the level, though it writes into one
 * of them alone. What it does not touch costs nothing.
 */
static int level_size(const struct render_texture_info *info, const struct render_block *block,
	uint32_t level, struct layer *layer)
{
	uint64_t layers = (uint64_t)level_side(info->depth, level) *
		(info->array_size ? info->array_size : 1);
	uint64_t size;

	if (!checked_mul_u64(layer->stride, blocks(layer->height, block->height), &size) ||
		!checked_mul_u64(size, layers, &size) || size > SIZE_MAX) {
		return -EINVAL;
	}
	layer->size = (size_t)size;
	return 0;
}

/* Finds the box in its level. Its place in z is the library's to check. */
static int find_layer(const struct render_texture_info *info, const struct render_block *block,
	const struct render_transfer_3d *transfer, struct layer *layer)
{
	const struct render_box *box = &transfer->box;

	if (transfer->level > info->last_level || transfer->level >= 32) {
		return -EINVAL;
	}
	layer->width = level_side(info->width, transfer->level);
	layer->height = level_side(info->height, transfer->level);
	if (!checked_range_within(box->x, box->width, layer->width) ||
		!checked_range_within(box->y, box->height, layer->height) ||
		box->x % block->width || box->y % block->height) {
		return -EINVAL;
	}
	layer->stride = (size_t)blocks(layer->width, block->width) * block->bytes;
	return level_size(info, block, transfer->level, layer);
}

/* As the library has it: a stride of 0 is the level's, one of layers, too. */
static int find_cut(const struct render_block *block, const struct render_transfer_3d *transfer,
	const struct layer *layer, uint64_t backing_len, struct cut *cut)
{
	const struct render_box *box = &transfer->box;
	uint64_t last, end;

	cut->skipped = box->y / block->height * layer->stride +
		(size_t)(box->x / block->width) * block->bytes;
	cut->len = (size_t)blocks(box->width, block->width) * block->bytes;
	cut->rows = blocks(box->height, block->height);
	cut->offset = transfer->offset;
	cut->stride = transfer->stride ? transfer->stride : layer->stride;
	cut->layer_stride = transfer->layer_stride
		? transfer->layer_stride
		: cut->stride * blocks(layer->height, block->height);
	if (cut->stride < cut->len || cut->layer_stride < cut->stride * cut->rows ||
		!checked_mul_u64(cut->layer_stride, box->depth - 1, &last) ||
		!checked_add_u64(last, cut->stride * (cut->rows - 1) + cut->len, &end) ||
		!checked_range_within(cut->offset, end, backing_len)) {
		return -EINVAL;
	}
	return 0;
}

/* The bytes from offset on lie within the memory, and no earlier than those of the last call. */
static void put(struct cursor *cursor, uint64_t offset, const uint8_t *from, size_t len)
{
	while (len) {
		uint64_t at = offset - cursor->start;
		size_t part;

		if (at >= cursor->piece->iov_len) {
			cursor->start += cursor->piece->iov_len;
			cursor->piece++;
			continue;
		}
		part = cursor->piece->iov_len - (size_t)at;
		part = len < part ? len : part;
		memcpy((uint8_t *)cursor->piece->iov_base + at, from, part);
		offset += part;
		from += part;
		len -= part;
	}
}

static int read_layer(struct virgl_library *library, const struct render_texture_info *info,
	const struct render_transfer_3d *transfer, uint32_t z, const struct layer *layer)
{
	struct virgl_box box = { 0, 0, z, layer->width, transfer->box.y + transfer->box.height, 1 };
	struct iovec iov = { layer->bytes, layer->size };

	return library->transfer_read_iov(info->id, transfer->context_id, transfer->level,
		       (uint32_t)layer->stride, 0, &box, 0, &iov, 1)
		? -EINVAL
		: 0;
}

static int read_layers(struct virgl_library *library, const struct render_texture_info *info,
	const struct memory_mapping *backing, const struct render_transfer_3d *transfer,
	const struct layer *layer, const struct cut *cut)
{
	struct cursor cursor = { .piece = backing->iov };

	for (uint32_t i = 0; i < transfer->box.depth; i++) {
		uint64_t offset = cut->offset + i * cut->layer_stride;
		const uint8_t *from = layer->bytes + cut->skipped;
		int error = read_layer(library, info, transfer, transfer->box.z + i, layer);

		if (error < 0) {
			return error;
		}
		for (uint32_t row = 0; row < cut->rows; row++) {
			put(&cursor, offset, from, cut->len);
			offset += cut->stride;
			from += layer->stride;
		}
	}
	return 0;
}

int virgl_getimage_read(struct virgl_library *library, const struct render_texture_info *info,
	const struct memory_mapping *backing, const struct render_transfer_3d *transfer)
{
	struct render_block block;
	struct layer layer;
	struct cut cut;
	int error;

	if (!render_format_block(info->format, &block) ||
		find_layer(info, &block, transfer, &layer) < 0) {
		return -EINVAL;
	}
	if (!transfer->box.width || !transfer->box.height || !transfer->box.depth) {
		return 0;
	}
	if (find_cut(&block, transfer, &layer, backing->len, &cut) < 0) {
		return -EINVAL;
	}
	/* Zeros, for whatever GL should leave out. */
	layer.bytes = calloc(1, layer.size);
	if (!layer.bytes) {
		return -ENOMEM;
	}
	error = read_layers(library, info, backing, transfer, &layer, &cut);
	free(layer.bytes);
	return error;
}
