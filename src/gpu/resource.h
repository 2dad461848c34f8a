/* SPDX-License-Identifier: MIT */
#ifndef GPU_RESOURCE_H
#define GPU_RESOURCE_H

/*
 * A guest's resources, and the table that finds them by the number the guest gave.
 *
 * A resource lives in the table from its CREATE to its UNREF, and a little longer while operations on it
 * have not ended; then its renderer's part is gone already.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "frame/frame.h"
#include "gpu/device.h"
#include "gpu/limits.h"
#include "gpu/window.h"
#include "render/render.h"

/* A frame of a resource, with what it costs. Shared by the resource and the scanouts that show it. */
struct gpu_view {
	uint32_t refs;
	struct frame *frame;
	struct render_blob_layout layout; // of a blob
	struct gpu_limits *limits;
	uint64_t charged; // bytes of the limits
};

struct gpu_view *gpu_view_ref(struct gpu_view *view);
void gpu_view_unref(struct gpu_view *view); // NULL is fine

enum gpu_resource_kind {
	GPU_RESOURCE_IMAGE, // RESOURCE_CREATE_2D
	GPU_RESOURCE_BLOB, // RESOURCE_CREATE_BLOB of guest memory
	GPU_RESOURCE_HOST_BLOB, // the same of host memory: of the second renderer
	GPU_RESOURCE_TEXTURE, // RESOURCE_CREATE_3D: of the second renderer
};

struct gpu_resource {
	struct gpu_resource *next; // in its bucket
	struct list link; // gpu_resource_table.all
	uint32_t id; // the guest's; not 0
	uint32_t refs; // the table, and each request with an operation on it
	enum gpu_resource_kind kind;
	uint32_t width; // of an image or texture, pixels
	uint32_t height;
	uint32_t format; // DRM_FORMAT_*, of an image; of a texture 0 when it cannot be shown
	uint32_t wire_format; // of an image: as the guest named it
	uint64_t size; // of a blob, bytes
	bool is_mappable; // a blob: made with VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE
	struct gpu_mapping mapping; // of a host blob
	struct render_resource *render; // NULL after UNREF
	struct render_resource
		*shadow; // of an image, in the second renderer; NULL: no context has it
	uint64_t charged; // bytes of the limits, backing's not counted
	bool has_backing;
	uint64_t backing_len; // bytes
	uint64_t backing_charged; // bytes of the limits
	uint64_t attach_token; // of the request that attached it; 0 after DETACH and UNREF
	uint32_t busy; // transfers that have not ended
	struct list waiting; // gpu_request.link: flushes that wait for them
	struct list attachments; // gpu_attachment.in_resource
	uint32_t scanouts; // bit mask of those that show it
	struct gpu_view *view; // the last one made; NULL before
	bool has_uuid;
	uint8_t uuid[WIRE_UUID_SIZE];
};

/* Its pixels have a size only where it is shown. */
static inline bool gpu_resource_is_blob(const struct gpu_resource *resource)
{
	return resource->kind == GPU_RESOURCE_BLOB || resource->kind == GPU_RESOURCE_HOST_BLOB;
}

struct gpu_resource_table {
	struct gpu_resource **buckets;
	uint32_t bucket_bits;
	struct list all; // gpu_resource.link
	uint32_t count;
	uint64_t seed;
};

/* Returns 0 or -ENOMEM. */
int gpu_resource_table_init(struct gpu_resource_table *table);
void gpu_resource_table_finish(struct gpu_resource_table *table); // must be empty

/* NULL when there is none. Borrowed. */
struct gpu_resource *gpu_resource_find(const struct gpu_resource_table *table, uint32_t id);

/* A resource in the table, with one reference; the id must be free. NULL when there is no memory. */
struct gpu_resource *gpu_resource_create(
	struct gpu_resource_table *table, uint32_t id, enum gpu_resource_kind kind);

/* Out of the table, whose reference goes. */
void gpu_resource_remove(struct gpu_resource_table *table, struct gpu_resource *resource);

/* Any resource of the table; NULL when it is empty. */
struct gpu_resource *gpu_resource_any(const struct gpu_resource_table *table);

struct gpu_resource *gpu_resource_ref(struct gpu_resource *resource);
void gpu_resource_unref(struct gpu_resource *resource);

/* A resource's UUID: made when it is first asked for (RFC 4122, version 4). False: no randomness. */
bool gpu_resource_uuid(struct gpu_resource *resource, uint8_t uuid[static WIRE_UUID_SIZE]);

#endif
