/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_VMM_PROTOCOL_H
#define DISPLAY_VMM_PROTOCOL_H

/*
 * The vhost-user-gpu wire (QEMU docs/interop/vhost-user-gpu.rst, release 11.1): the socket that
 * GPU_SET_SOCKET hands over. Requests go from the back end to the front end, in the byte order of
 * the machine; the front end only answers. A reply carries its request's number.
 */

#include <assert.h>
#include <stdint.h>

enum vmm_request {
	VMM_GET_PROTOCOL_FEATURES = 1, // -> u64
	VMM_SET_PROTOCOL_FEATURES = 2, // u64, no reply
	VMM_GET_DISPLAY_INFO = 3, // -> struct virtio_gpu_resp_display_info
	VMM_CURSOR_POS = 4, // struct vmm_cursor_pos
	VMM_CURSOR_POS_HIDE = 5, // struct vmm_cursor_pos
	VMM_CURSOR_UPDATE = 6, // struct vmm_cursor_update
	VMM_SCANOUT = 7, // struct vmm_scanout; 0x0 switches the output off
	VMM_UPDATE = 8, // struct vmm_update, then width * height pixels x8r8g8b8
	VMM_DMABUF_SCANOUT = 9,
	VMM_DMABUF_UPDATE = 10, // struct vmm_update -> empty
	VMM_GET_EDID = 11, // u32 output -> struct virtio_gpu_resp_edid; feature EDID
	VMM_DMABUF_SCANOUT2 = 12, // struct vmm_dmabuf_scanout; feature DMABUF2
};

enum vmm_protocol_feature {
	VMM_PROTOCOL_F_EDID = 0,
	VMM_PROTOCOL_F_DMABUF2 = 1,
};

/* The one flag. There are no version bits. */
#define VMM_FLAG_REPLY 0x4

struct vmm_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; // bytes that follow
};

struct vmm_cursor_pos {
	uint32_t output;
	uint32_t x;
	uint32_t y;
};

#define VMM_CURSOR_SIZE 64

struct vmm_cursor_update {
	struct vmm_cursor_pos pos;
	uint32_t hot_x;
	uint32_t hot_y;
	uint32_t pixels[VMM_CURSOR_SIZE * VMM_CURSOR_SIZE]; // a8r8g8b8
};

struct vmm_scanout {
	uint32_t output;
	uint32_t width;
	uint32_t height;
};

struct vmm_update {
	uint32_t output;
	uint32_t x;
	uint32_t y;
	uint32_t width;
	uint32_t height;
};

/* DMABUF_SCANOUT2; with the buffer's descriptor, or without one: the output is off. */
struct vmm_dmabuf_scanout {
	uint32_t output;
	uint32_t x; // the part of the buffer
	uint32_t y;
	uint32_t width;
	uint32_t height;
	uint32_t fd_width; // of the buffer
	uint32_t fd_height;
	uint32_t fd_stride; // bytes
	uint32_t fd_flags; // VMM_DMABUF_*
	int32_t fd_format; // DRM_FORMAT_*
	uint64_t fd_modifier; // DRM_FORMAT_MOD_*; not in DMABUF_SCANOUT
};

#define VMM_DMABUF_Y_0_TOP 0x1 // the first row is the picture's last, whatever the name says

static_assert(sizeof(struct vmm_header) == 12, "header");
static_assert(sizeof(struct vmm_cursor_pos) == 12, "CURSOR_POS");
static_assert(sizeof(struct vmm_cursor_update) == 12 + 8 + 64 * 64 * 4, "CURSOR_UPDATE");
static_assert(sizeof(struct vmm_scanout) == 12, "SCANOUT");
static_assert(sizeof(struct vmm_update) == 20, "UPDATE");
static_assert(sizeof(struct vmm_dmabuf_scanout) == 48, "DMABUF_SCANOUT2");

#endif
