/* SPDX-License-Identifier: MIT */
#ifndef RUN_VTEST_H
#define RUN_VTEST_H

/*
 * vtest: what Mesa's virgl and Venus drivers say on a unix socket in place of a virtio-gpu device. Source:
 * virglrenderer's vtest_protocol.h and vtest_renderer.c (0.10.4, 1.1.0, 1.3.0). Numbers are 32 bits,
 * little-endian. A message is a header of two numbers, then its body.
 */

#include <stdint.h>

#define VTEST_DEFAULT_PATH "/tmp/.virgl_test" // where drivers look that know no VTEST_SOCKET_NAME

enum vtest_limits {
	VTEST_VERSION = 3, // the highest spoken here
	VTEST_RINGS = 64, // of a context, with fences in an order of their own
};

/* length counts numbers of the body; for CREATE_RENDERER, bytes. */
struct vtest_header {
	uint32_t length;
	uint32_t command;
};

enum vtest_command {
	VTEST_GET_CAPS = 1,
	VTEST_RESOURCE_CREATE = 2,
	VTEST_RESOURCE_UNREF = 3,
	VTEST_TRANSFER_GET = 4,
	VTEST_TRANSFER_PUT = 5,
	VTEST_SUBMIT_CMD = 6,
	VTEST_RESOURCE_BUSY_WAIT = 7,
	VTEST_CREATE_RENDERER = 8,
	VTEST_GET_CAPS2 = 9,
	VTEST_PING_PROTOCOL_VERSION = 10,
	VTEST_PROTOCOL_VERSION = 11,
	/* since version 2 */
	VTEST_RESOURCE_CREATE2 = 12,
	VTEST_TRANSFER_GET2 = 13,
	VTEST_TRANSFER_PUT2 = 14,
	/* since version 3 */
	VTEST_GET_PARAM = 15,
	VTEST_GET_CAPSET = 16,
	VTEST_CONTEXT_INIT = 17,
	VTEST_RESOURCE_CREATE_BLOB = 18,
	VTEST_SYNC_CREATE = 19,
	VTEST_SYNC_UNREF = 20,
	VTEST_SYNC_READ = 21,
	VTEST_SYNC_WRITE = 22,
	VTEST_SYNC_WAIT = 23,
	VTEST_SUBMIT_CMD2 = 24,
	VTEST_COMMAND_COUNT = 25,
};

/* RESOURCE_CREATE, RESOURCE_CREATE2. Targets, formats and bindings are Gallium's. */
struct vtest_resource_create {
	uint32_t handle; // since version 3 it is 0, and the answer names one
	uint32_t target;
	uint32_t format;
	uint32_t bind;
	uint32_t width;
	uint32_t height;
	uint32_t depth;
	uint32_t array_size;
	uint32_t last_level;
	uint32_t nr_samples;
	uint32_t
		data_size; // RESOURCE_CREATE2: bytes of shared memory; 0: none. Not in RESOURCE_CREATE
};

struct vtest_box {
	uint32_t x, y, z;
	uint32_t width, height, depth;
};

/* TRANSFER_GET, TRANSFER_PUT: the bytes come on the socket, data_size of them. */
struct vtest_transfer {
	uint32_t handle;
	uint32_t level;
	uint32_t stride;
	uint32_t layer_stride;
	struct vtest_box box;
	uint32_t data_size;
};

/* TRANSFER_GET2, TRANSFER_PUT2: they are in the resource's shared memory, from offset on. */
struct vtest_transfer2 {
	uint32_t handle;
	uint32_t level;
	struct vtest_box box;
	uint32_t data_size; // not looked at
	uint32_t offset;
};

enum vtest_busy_wait_flags {
	VTEST_BUSY_WAIT_FLAG_WAIT = 1,
};

struct vtest_busy_wait {
	uint32_t handle; // 0 right after a PING: to learn whether that was known
	uint32_t flags;
};

enum vtest_params {
	VTEST_PARAM_MAX_RINGS = 1,
};

struct vtest_get_capset {
	uint32_t id;
	uint32_t version;
};

/* 64-bit numbers are not aligned in messages, so they come as halves. */
struct vtest_u64 {
	uint32_t low;
	uint32_t high;
};

/* Values are those of virtio-gpu: VIRTIO_GPU_BLOB_MEM_*. */
enum vtest_blob_types {
	VTEST_BLOB_TYPE_GUEST = 1,
	VTEST_BLOB_TYPE_HOST3D = 2,
	VTEST_BLOB_TYPE_HOST3D_GUEST = 3,
};

/* RESOURCE_CREATE_BLOB: the answer is its number, and a file to map from its beginning. */
struct vtest_create_blob {
	uint32_t type;
	uint32_t flags; // VIRTIO_GPU_BLOB_FLAG_USE_*
	struct vtest_u64 size; // bytes
	struct vtest_u64 blob_id; // the context's name of the memory
};

struct vtest_sync_value {
	uint32_t id;
	struct vtest_u64 value;
};

enum vtest_sync_wait_flags {
	VTEST_SYNC_WAIT_FLAG_ANY = 1,
};

/* Followed by vtest_sync_value, as many as there is room for. */
struct vtest_sync_wait {
	uint32_t flags;
	uint32_t timeout; // milliseconds
};

enum vtest_batch_flags {
	VTEST_BATCH_FLAG_RING = 1, // sync objects are set when the ring's work so far is done
};

/* SUBMIT_CMD2: their number, then these, then what they point at. Offsets and sizes are in numbers. */
struct vtest_batch {
	uint32_t flags;
	uint32_t cmd_offset;
	uint32_t cmd_size;
	uint32_t sync_offset;
	uint32_t sync_count;
	uint32_t ring; // with FLAG_RING
	uint32_t reserved[2];
};

static inline uint64_t vtest_u64(struct vtest_u64 value)
{
	return value.low | (uint64_t)value.high << 32;
}

#endif
