/* SPDX-License-Identifier: MIT */
#ifndef GPU_WIRE_H
#define GPU_WIRE_H

/*
 * What a virtio-gpu driver and this device say to each other (VIRTIO 1.3, 5.7 GPU Device). The
 * structures are the kernel's (linux/virtio_gpu.h, BSD licensed, of linux-libc-dev); all fields are
 * little-endian. Their sizes are the protocol, so they are pinned here.
 */

#include <assert.h>
#include <linux/virtio_gpu.h>
#include <linux/virtio_ids.h>

/* What may come in a queue's request, and what the device bounds. */
enum wire_limits {
	WIRE_CONTROL_QUEUE = 0, // 5.7.2 Virtqueues
	WIRE_CURSOR_QUEUE = 1,
	WIRE_QUEUE_COUNT = 2,
	WIRE_CURSOR_SIZE = 64, // pixels, width and height; 5.7.6.6 Configure mouse cursor
	WIRE_EDID_SIZE = 1024, // bytes of the field edid
	WIRE_UUID_SIZE = 16,
	WIRE_ENTRIES_MAX = 16384, // of one scatter list: Linux and QEMU go no further
	WIRE_CONTEXT_NAME_SIZE = 64,
};

/* Not in the header of linux-libc-dev 6.1; 5.7.6.8 Device Operation: controlq, GET_CAPSET_INFO. */
#define WIRE_CAPSET_VENUS        4
#define WIRE_CAPSET_CROSS_DOMAIN 5
#define WIRE_CAPSET_DRM          6

/*
 * The configuration space: struct virtio_gpu_config as it is since Linux 7.2. In older headers it ends
 * before blob_alignment, which belongs to a feature that is not offered.
 */
struct wire_config {
	__le32 events_read;
	__le32 events_clear;
	__le32 num_scanouts;
	__le32 num_capsets;
	__le32 blob_alignment;
};

static_assert(sizeof(struct wire_config) == 20, "config");
static_assert(sizeof(struct virtio_gpu_ctrl_hdr) == 24, "ctrl_hdr");
static_assert(sizeof(struct virtio_gpu_rect) == 16, "rect");
static_assert(sizeof(struct virtio_gpu_resp_display_info) == 408, "GET_DISPLAY_INFO");
static_assert(sizeof(struct virtio_gpu_resource_create_2d) == 40, "RESOURCE_CREATE_2D");
static_assert(sizeof(struct virtio_gpu_resource_unref) == 32, "RESOURCE_UNREF");
static_assert(sizeof(struct virtio_gpu_set_scanout) == 48, "SET_SCANOUT");
static_assert(sizeof(struct virtio_gpu_resource_flush) == 48, "RESOURCE_FLUSH");
static_assert(sizeof(struct virtio_gpu_transfer_to_host_2d) == 56, "TRANSFER_TO_HOST_2D");
static_assert(sizeof(struct virtio_gpu_resource_attach_backing) == 32, "ATTACH_BACKING");
static_assert(sizeof(struct virtio_gpu_mem_entry) == 16, "ATTACH_BACKING entry");
static_assert(sizeof(struct virtio_gpu_resource_detach_backing) == 32, "DETACH_BACKING");
static_assert(sizeof(struct virtio_gpu_cmd_get_edid) == 32, "GET_EDID");
static_assert(sizeof(struct virtio_gpu_resp_edid) == 1056, "GET_EDID answer");
static_assert(sizeof(struct virtio_gpu_resource_assign_uuid) == 32, "RESOURCE_ASSIGN_UUID");
static_assert(sizeof(struct virtio_gpu_resp_resource_uuid) == 40, "RESOURCE_ASSIGN_UUID answer");
static_assert(sizeof(struct virtio_gpu_resource_create_blob) == 56, "RESOURCE_CREATE_BLOB");
static_assert(sizeof(struct virtio_gpu_resource_map_blob) == 40, "RESOURCE_MAP_BLOB");
static_assert(sizeof(struct virtio_gpu_resp_map_info) == 32, "RESOURCE_MAP_BLOB answer");
static_assert(sizeof(struct virtio_gpu_resource_unmap_blob) == 32, "RESOURCE_UNMAP_BLOB");
static_assert(sizeof(struct virtio_gpu_set_scanout_blob) == 96, "SET_SCANOUT_BLOB");
static_assert(sizeof(struct virtio_gpu_get_capset_info) == 32, "GET_CAPSET_INFO");
static_assert(sizeof(struct virtio_gpu_resp_capset_info) == 40, "GET_CAPSET_INFO answer");
static_assert(sizeof(struct virtio_gpu_get_capset) == 32, "GET_CAPSET");
static_assert(sizeof(struct virtio_gpu_resp_capset) == 24, "GET_CAPSET answer");
static_assert(sizeof(struct virtio_gpu_update_cursor) == 56, "UPDATE_CURSOR");
static_assert(sizeof(struct virtio_gpu_ctx_create) == 96, "CTX_CREATE");
static_assert(sizeof(struct virtio_gpu_ctx_destroy) == 24, "CTX_DESTROY");
static_assert(sizeof(struct virtio_gpu_ctx_resource) == 32, "CTX_ATTACH_RESOURCE");
static_assert(sizeof(struct virtio_gpu_resource_create_3d) == 72, "RESOURCE_CREATE_3D");
static_assert(sizeof(struct virtio_gpu_transfer_host_3d) == 72, "TRANSFER_TO_HOST_3D");
static_assert(sizeof(struct virtio_gpu_cmd_submit) == 32, "SUBMIT_3D");

#endif
