/* SPDX-License-Identifier: MIT */
#ifndef GPU_DECODE_H
#define GPU_DECODE_H

/*
 * From a request's bytes to numbers of this machine. Pure functions; the bytes are a private copy that
 * is at least as long as the command's structure (the dispatcher has looked), of any alignment.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/rect.h"
#include "gpu/wire.h"
#include "render/render_3d.h"

uint32_t decode_type(const uint8_t *bytes);

struct gpu_create_2d {
	uint32_t resource_id;
	uint32_t format; // VIRTIO_GPU_FORMAT_*
	uint32_t width;
	uint32_t height;
};
struct gpu_create_2d decode_create_2d(const uint8_t *bytes);

/* The field after the header of UNREF, DETACH_BACKING, ASSIGN_UUID, GET_EDID, GET_CAPSET(_INFO). */
uint32_t decode_id(const uint8_t *bytes);

struct gpu_set_scanout {
	struct rect rect;
	uint32_t scanout_id;
	uint32_t resource_id;
};
struct gpu_set_scanout decode_set_scanout(const uint8_t *bytes);

struct gpu_set_scanout_blob {
	struct rect rect;
	uint32_t scanout_id;
	uint32_t resource_id;
	uint32_t width;
	uint32_t height;
	uint32_t format; // VIRTIO_GPU_FORMAT_*
	uint32_t stride; // of the first plane: all formats have one
	uint32_t offset;
};
struct gpu_set_scanout_blob decode_set_scanout_blob(const uint8_t *bytes);

struct gpu_flush {
	struct rect rect;
	uint32_t resource_id;
};
struct gpu_flush decode_flush(const uint8_t *bytes);

struct gpu_transfer_2d {
	struct rect rect;
	uint64_t offset;
	uint32_t resource_id;
};
struct gpu_transfer_2d decode_transfer_2d(const uint8_t *bytes);

struct gpu_attach_backing {
	uint32_t resource_id;
	uint32_t entry_count;
};
struct gpu_attach_backing decode_attach_backing(const uint8_t *bytes);

struct gpu_create_blob {
	uint32_t resource_id;
	uint32_t blob_mem;
	uint32_t blob_flags;
	uint32_t entry_count;
	uint64_t size;
	uint64_t blob_id;
};
struct gpu_create_blob decode_create_blob(const uint8_t *bytes);

struct gpu_map_blob {
	uint32_t resource_id;
	uint64_t offset; // in the window
};
struct gpu_map_blob decode_map_blob(const uint8_t *bytes);

/* One entry of a scatter list. */
struct gpu_entry {
	uint64_t addr; // guest physical
	uint32_t len; // bytes
};
struct gpu_entry decode_entry(const uint8_t *entries, uint32_t index);

struct gpu_cursor {
	uint32_t scanout_id;
	uint32_t x;
	uint32_t y;
	uint32_t resource_id;
	uint32_t hot_x;
	uint32_t hot_y;
};
struct gpu_cursor decode_cursor(const uint8_t *bytes);

/* The header's ctx_id: the context of a 3D command. */
uint32_t decode_context_id(const uint8_t *bytes);

/* Does the header ask for a fence, and for one of a ring of its context? Which? */
bool decode_is_fenced(const uint8_t *bytes);
bool decode_names_ring(const uint8_t *bytes);
uint32_t decode_ring(const uint8_t *bytes);

/* The second field of GET_CAPSET: the version. */
uint32_t decode_capset_version(const uint8_t *bytes);

struct gpu_ctx_create {
	uint32_t context_init; // the low byte is a capset's id
	uint32_t name_len; // at most WIRE_CONTEXT_NAME_SIZE
	char name[WIRE_CONTEXT_NAME_SIZE]; // need not end in 0
};
struct gpu_ctx_create decode_ctx_create(const uint8_t *bytes);

/* RESOURCE_CREATE_3D; frame_format is that of the same VIRTIO_GPU_FORMAT_*. */
struct render_texture_info decode_create_3d(const uint8_t *bytes);

struct gpu_transfer_3d {
	uint32_t resource_id;
	struct render_transfer_3d transfer;
};
struct gpu_transfer_3d decode_transfer_3d(const uint8_t *bytes);

struct gpu_submit {
	uint32_t size; // bytes of the command stream that follows
	uint32_t fence_count; // 0: in-fences are a private extension
};
struct gpu_submit decode_submit(const uint8_t *bytes);

/* DRM_FORMAT_* of a VIRTIO_GPU_FORMAT_*; 0 (DRM_FORMAT_INVALID) when it is none. */
uint32_t decode_format(uint32_t format);

#endif
