/* SPDX-License-Identifier: MIT */
#ifndef RENDER_RENDER_3D_H
#define RENDER_RENDER_3D_H

/*
 * What a renderer of GL or Vulkan does beyond render.h: capsets, contexts with their command streams,
 * textures and buffers, and fences. Command streams name resources by the guest's numbers, so here, and
 * only here, a renderer is told these.
 *
 * Not every renderer has this: render_has_3d.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "render/render.h"

struct render_context;

/* A protocol that guests may speak (VIRTIO 1.3, 5.7.6.8, GET_CAPSET_INFO). */
struct render_capset {
	uint32_t id; // VIRTIO_GPU_CAPSET_*
	uint32_t max_version;
	uint32_t max_size; // bytes of its description
};

/* RESOURCE_CREATE_3D; targets, formats and bindings are Gallium's (virgl_hw.h). */
struct render_texture_info {
	uint32_t id; // the guest's number
	uint32_t target;
	uint32_t format;
	uint32_t bind;
	uint32_t width;
	uint32_t height;
	uint32_t depth;
	uint32_t array_size;
	uint32_t last_level;
	uint32_t nr_samples;
	uint32_t flags;
	uint32_t frame_format; // DRM_FORMAT_* of the same layout; 0: it cannot be shown
};

struct render_box {
	uint32_t x, y, z;
	uint32_t width, height, depth;
};

/* TRANSFER_TO_HOST_3D, TRANSFER_FROM_HOST_3D: between backing and the resource. */
struct render_transfer_3d {
	uint32_t context_id; // 0: none
	struct render_box box;
	uint64_t offset; // bytes into the backing
	uint32_t level;
	uint32_t stride; // bytes; 0: as the box needs
	uint32_t layer_stride;
	bool to_host;
};

/* RESOURCE_CREATE_BLOB of memory that the context's renderer has: BLOB_MEM_HOST3D and HOST3D_GUEST. */
struct render_host_blob_info {
	uint32_t id; // the guest's number
	uint32_t flags; // VIRTIO_GPU_BLOB_FLAG_*
	uint64_t blob_id; // how the context names the memory
	uint64_t size; // bytes, not 0
};

/* Host memory as a file that other processes can map. */
struct render_export {
	int fd; // the receiver's
	uint32_t map_info; // VIRTIO_GPU_MAP_CACHE_*
	bool is_dmabuf; // a GPU's buffer, else anonymous memory
};

bool render_has_3d(const struct renderer *renderer);

/* Capset number `index`, from 0 on. Returns 0, or -ENOENT after the last. */
int render_get_capset(struct renderer *renderer, uint32_t index, struct render_capset *capset);

/* Writes the capset's description, of a version up to max_version: max_size bytes. */
void render_fill_capset(struct renderer *renderer, uint32_t id, uint32_t version, void *bytes);

/* 0 and *resource, -ENOMEM, or -EINVAL: the renderer knows no such thing. */
int render_create_texture(struct renderer *renderer, const struct render_texture_info *info,
	struct render_resource **resource);

/* 0, -EINVAL (a level, a box, a stride or the backing does not fit), or another -errno. */
int render_transfer_3d(struct render_resource *resource, const struct render_transfer_3d *transfer);

/*
 * Memory of the context as a resource, which outlives the context: 0, *resource and *held, -ENOMEM, -EINVAL (no
 * such memory, or less of it), -ENOTSUP (contexts of this capset have none), or -EIO. *held: the bytes of host
 * memory that the resource keeps, which are more than info's size where that is a part of the memory.
 */
int render_create_host_blob(struct render_context *context,
	const struct render_host_blob_info *info, uint64_t *held,
	struct render_resource **resource);

/*
 * A file whose first bytes are the blob's. 0, -ENOTSUP (the memory cannot leave the renderer), or
 * another -errno.
 */
int render_export_host_blob(struct render_resource *resource, struct render_export *export);

/* Copies the rectangle of a frame of the same size and format into the texture. */
int render_upload(struct render_resource *resource, const struct rect *rect, struct frame *frame);

/* A context that speaks the capset (0: VirGL). id is the guest's number; name need not end in 0. */
int render_create_context(struct renderer *renderer, uint32_t id, uint32_t capset_id,
	const char *name, uint32_t name_len, struct render_context **context);
void render_context_destroy(struct render_context *context); // NULL is fine

/* Lets the context's commands name the resource, or no longer. Twice is fine. */
void render_context_attach(struct render_context *context, struct render_resource *resource);
void render_context_detach(struct render_context *context, struct render_resource *resource);

/* Runs a command stream of size bytes, a multiple of 4, aligned; its bytes may be written over. */
int render_context_submit(struct render_context *context, void *commands, size_t size);

/*
 * Ends, with operation_done, when all that was begun before is done: RENDER_PENDING, or -errno. Fences
 * end in the order in which they were made.
 */
int render_create_fence(struct renderer *renderer, uint64_t token);

/*
 * The same for what one ring of a context was given (VIRTIO 1.3, 5.7.6.7, VIRTIO_GPU_FLAG_INFO_RING_IDX):
 * RENDER_PENDING, -EINVAL (there is no such ring), -EIO (the context is lost). Fences of a ring end in order;
 * with -EIO when the context's renderer died, and with 0 when the context is destroyed.
 */
int render_create_ring_fence(struct render_context *context, uint32_t ring, uint64_t token);

/* The VM is paused, and its clock with it, or goes on. */
void render_pause(struct renderer *renderer, bool paused);

#endif
