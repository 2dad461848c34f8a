/* SPDX-License-Identifier: MIT */
#include "gpu/decode.h"

#include <assert.h>
#include <drm_fourcc.h>
#include <endian.h>
#include <stddef.h>
#include <string.h>

static struct rect to_rect(const struct virtio_gpu_rect *wire)
{
	return (struct rect){
		.x = le32toh(wire->x),
		.y = le32toh(wire->y),
		.width = le32toh(wire->width),
		.height = le32toh(wire->height),
	};
}

static uint32_t load_u32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return le32toh(value);
}

uint32_t decode_type(const uint8_t *bytes)
{
	return load_u32(bytes + offsetof(struct virtio_gpu_ctrl_hdr, type));
}

uint32_t decode_id(const uint8_t *bytes)
{
	return load_u32(bytes + sizeof(struct virtio_gpu_ctrl_hdr));
}

uint32_t decode_context_id(const uint8_t *bytes)
{
	return load_u32(bytes + offsetof(struct virtio_gpu_ctrl_hdr, ctx_id));
}

bool decode_is_fenced(const uint8_t *bytes)
{
	return load_u32(bytes + offsetof(struct virtio_gpu_ctrl_hdr, flags)) &
		VIRTIO_GPU_FLAG_FENCE;
}

bool decode_names_ring(const uint8_t *bytes)
{
	return load_u32(bytes + offsetof(struct virtio_gpu_ctrl_hdr, flags)) &
		VIRTIO_GPU_FLAG_INFO_RING_IDX;
}

uint32_t decode_ring(const uint8_t *bytes)
{
	return bytes[offsetof(struct virtio_gpu_ctrl_hdr, ring_idx)];
}

uint32_t decode_capset_version(const uint8_t *bytes)
{
	return load_u32(bytes + offsetof(struct virtio_gpu_get_capset, capset_version));
}

struct gpu_ctx_create decode_ctx_create(const uint8_t *bytes)
{
	struct virtio_gpu_ctx_create wire;
	struct gpu_ctx_create command;

	memcpy(&wire, bytes, sizeof(wire));
	command.context_init = le32toh(wire.context_init);
	command.name_len = le32toh(wire.nlen);
	static_assert(sizeof(command.name) == sizeof(wire.debug_name), "a name fits");
	memcpy(command.name, wire.debug_name, sizeof(command.name));
	return command;
}

struct render_texture_info decode_create_3d(const uint8_t *bytes)
{
	struct virtio_gpu_resource_create_3d wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct render_texture_info){
		.id = le32toh(wire.resource_id),
		.target = le32toh(wire.target),
		.format = le32toh(wire.format),
		.bind = le32toh(wire.bind),
		.width = le32toh(wire.width),
		.height = le32toh(wire.height),
		.depth = le32toh(wire.depth),
		.array_size = le32toh(wire.array_size),
		.last_level = le32toh(wire.last_level),
		.nr_samples = le32toh(wire.nr_samples),
		.flags = le32toh(wire.flags),
		.frame_format = decode_format(le32toh(wire.format)),
	};
}

struct gpu_transfer_3d decode_transfer_3d(const uint8_t *bytes)
{
	struct virtio_gpu_transfer_host_3d wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_transfer_3d){
		.resource_id = le32toh(wire.resource_id),
		.transfer = {
			.context_id = le32toh(wire.hdr.ctx_id),
			.box = { le32toh(wire.box.x), le32toh(wire.box.y), le32toh(wire.box.z),
				le32toh(wire.box.w), le32toh(wire.box.h), le32toh(wire.box.d) },
			.offset = le64toh(wire.offset),
			.level = le32toh(wire.level),
			.stride = le32toh(wire.stride),
			.layer_stride = le32toh(wire.layer_stride),
		},
	};
}

struct gpu_submit decode_submit(const uint8_t *bytes)
{
	struct virtio_gpu_cmd_submit wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_submit){ le32toh(wire.size), le32toh(wire.padding) };
}

struct gpu_create_2d decode_create_2d(const uint8_t *bytes)
{
	struct virtio_gpu_resource_create_2d wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_create_2d){
		.resource_id = le32toh(wire.resource_id),
		.format = le32toh(wire.format),
		.width = le32toh(wire.width),
		.height = le32toh(wire.height),
	};
}

struct gpu_set_scanout decode_set_scanout(const uint8_t *bytes)
{
	struct virtio_gpu_set_scanout wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_set_scanout){
		.rect = to_rect(&wire.r),
		.scanout_id = le32toh(wire.scanout_id),
		.resource_id = le32toh(wire.resource_id),
	};
}

struct gpu_set_scanout_blob decode_set_scanout_blob(const uint8_t *bytes)
{
	struct virtio_gpu_set_scanout_blob wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_set_scanout_blob){
		.rect = to_rect(&wire.r),
		.scanout_id = le32toh(wire.scanout_id),
		.resource_id = le32toh(wire.resource_id),
		.width = le32toh(wire.width),
		.height = le32toh(wire.height),
		.format = le32toh(wire.format),
		.stride = le32toh(wire.strides[0]),
		.offset = le32toh(wire.offsets[0]),
	};
}

struct gpu_flush decode_flush(const uint8_t *bytes)
{
	struct virtio_gpu_resource_flush wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_flush){
		.rect = to_rect(&wire.r),
		.resource_id = le32toh(wire.resource_id),
	};
}

struct gpu_transfer_2d decode_transfer_2d(const uint8_t *bytes)
{
	struct virtio_gpu_transfer_to_host_2d wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_transfer_2d){
		.rect = to_rect(&wire.r),
		.offset = le64toh(wire.offset),
		.resource_id = le32toh(wire.resource_id),
	};
}

struct gpu_attach_backing decode_attach_backing(const uint8_t *bytes)
{
	struct virtio_gpu_resource_attach_backing wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_attach_backing){
		.resource_id = le32toh(wire.resource_id),
		.entry_count = le32toh(wire.nr_entries),
	};
}

struct gpu_create_blob decode_create_blob(const uint8_t *bytes)
{
	struct virtio_gpu_resource_create_blob wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_create_blob){
		.resource_id = le32toh(wire.resource_id),
		.blob_mem = le32toh(wire.blob_mem),
		.blob_flags = le32toh(wire.blob_flags),
		.entry_count = le32toh(wire.nr_entries),
		.size = le64toh(wire.size),
		.blob_id = le64toh(wire.blob_id),
	};
}

struct gpu_map_blob decode_map_blob(const uint8_t *bytes)
{
	struct virtio_gpu_resource_map_blob wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_map_blob){
		.resource_id = le32toh(wire.resource_id),
		.offset = le64toh(wire.offset),
	};
}

struct gpu_entry decode_entry(const uint8_t *entries, uint32_t index)
{
	struct virtio_gpu_mem_entry wire;

	memcpy(&wire, entries + index * sizeof(wire), sizeof(wire));
	return (struct gpu_entry){ .addr = le64toh(wire.addr), .len = le32toh(wire.length) };
}

struct gpu_cursor decode_cursor(const uint8_t *bytes)
{
	struct virtio_gpu_update_cursor wire;

	memcpy(&wire, bytes, sizeof(wire));
	return (struct gpu_cursor){
		.scanout_id = le32toh(wire.pos.scanout_id),
		.x = le32toh(wire.pos.x),
		.y = le32toh(wire.pos.y),
		.resource_id = le32toh(wire.resource_id),
		.hot_x = le32toh(wire.hot_x),
		.hot_y = le32toh(wire.hot_y),
	};
}

/*
 * VIRTIO 1.3, 5.7.6.8 Device Operation: controlq, enum virtio_gpu_formats: these names tell the order of
 * bytes in memory, DRM's the order in a little-endian word, so the two read backwards to each other.
 */
uint32_t decode_format(uint32_t format)
{
	switch (format) {
	case VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM:
		return DRM_FORMAT_ARGB8888;
	case VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM:
		return DRM_FORMAT_XRGB8888;
	case VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM:
		return DRM_FORMAT_BGRA8888;
	case VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM:
		return DRM_FORMAT_BGRX8888;
	case VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM:
		return DRM_FORMAT_ABGR8888;
	case VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM:
		return DRM_FORMAT_RGBX8888;
	case VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM:
		return DRM_FORMAT_RGBA8888;
	case VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM:
		return DRM_FORMAT_XBGR8888;
	default:
		return DRM_FORMAT_INVALID;
	}
}
