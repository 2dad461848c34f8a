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
	VMM_DMABUF_UPDATE = 10, // -> empty
	VMM_GET_EDID = 11, // u32 output -> struct virtio_gpu_resp_edid; feature EDID
	VMM_DMABUF_SCANOUT2 = 12, // feature DMABUF2
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

static_assert(sizeof(struct vmm_header) == 12, "header");
static_assert(sizeof(struct vmm_cursor_pos) == 12, "CURSOR_POS");
static_assert(sizeof(struct vmm_cursor_update) == 12 + 8 + 64 * 64 * 4, "CURSOR_UPDATE");
static_assert(sizeof(struct vmm_scanout) == 12, "SCANOUT");
static_assert(sizeof(struct vmm_update) == 20, "UPDATE");

#endif
