/* SPDX-License-Identifier: MIT */
#ifndef VHOST_PROTOCOL_H
#define VHOST_PROTOCOL_H

/*
 * The vhost-user wire (QEMU docs/interop/vhost-user.rst, release 11.1). Everything is in the byte
 * order of the machine. Only numbers and layouts live here; message.c says which are accepted.
 */

#include <assert.h>
#include <stdint.h>

/* Virtio feature bit that says GET/SET_PROTOCOL_FEATURES exist. */
#define VHOST_F_LOG_ALL           26
#define VHOST_F_PROTOCOL_FEATURES 30

enum vhost_protocol_feature {
	VHOST_PROTOCOL_F_MQ = 0,
	VHOST_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_PROTOCOL_F_CONFIG = 9,
	VHOST_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VHOST_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_PROTOCOL_F_STATUS = 16,
	VHOST_PROTOCOL_F_XEN_MMAP = 17,
	VHOST_PROTOCOL_F_DEVICE_STATE = 19,
	VHOST_PROTOCOL_F_SHMEM = 22,
};

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_LOG_BASE = 6,
	VHOST_SET_LOG_FD = 7,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SET_BACKEND_REQ_FD = 21,
	VHOST_GET_CONFIG = 24,
	VHOST_SET_CONFIG = 25,
	VHOST_GPU_SET_SOCKET = 33,
	VHOST_RESET_DEVICE = 34,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
	VHOST_SET_STATUS = 39,
	VHOST_GET_STATUS = 40,
	VHOST_GET_SHMEM_CONFIG = 44,
	VHOST_REQUEST_COUNT,
};

/* Requests on the descriptor of SET_BACKEND_REQ_FD, from the back end to the front end. */
enum vhost_backend_request {
	VHOST_BACKEND_CONFIG_CHANGE = 2,
	VHOST_BACKEND_SHMEM_MAP = 9,
	VHOST_BACKEND_SHMEM_UNMAP = 10,
};

enum vhost_flags {
	VHOST_FLAG_VERSION_MASK = 0x3,
	VHOST_FLAG_VERSION = 0x1,
	VHOST_FLAG_REPLY = 0x4,
	VHOST_FLAG_NEED_REPLY = 0x8,
};

struct vhost_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; // bytes that follow
};

/* SET_VRING_KICK, CALL and ERR: the payload's low byte is the index, bit 8 says "no descriptor". */
#define VHOST_VRING_INDEX_MASK 0xffu
#define VHOST_VRING_NO_FD      0x100u

/* SET_VRING_NUM, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_ENABLE */
struct vhost_vring_state {
	uint32_t index;
	uint32_t num;
};

/* SET_VRING_ADDR: addresses in the front end's own address space (of a region's user_addr). */
struct vhost_vring_addr {
	uint32_t index;
	uint32_t flags; // bit 0: log writes
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct vhost_memory_region {
	uint64_t guest_addr;
	uint64_t size; // bytes
	uint64_t user_addr;
	uint64_t mmap_offset; // of the region's first byte in its file
};

/* The most regions one SET_MEM_TABLE names; one descriptor each. */
#define VHOST_MEMORY_TABLE_MAX 8

struct vhost_memory_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_memory_region regions[VHOST_MEMORY_TABLE_MAX]; // only `count` travel
};

/* ADD_MEM_REG, REM_MEM_REG */
struct vhost_single_region {
	uint64_t padding;
	struct vhost_memory_region region;
};

/* GET_CONFIG and SET_CONFIG: `size` bytes of configuration follow. */
struct vhost_config_header {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
};

/* GET_SHMEM_CONFIG's answer: as large whatever the device has. */
#define VHOST_SHMEM_REGIONS_MAX 256

struct vhost_shmem_config {
	uint32_t count; // sizes that are not 0
	uint32_t padding;
	uint64_t sizes[VHOST_SHMEM_REGIONS_MAX]; // bytes; the index is the region's id
};

/* VHOST_BACKEND_SHMEM_MAP, which brings the file, and VHOST_BACKEND_SHMEM_UNMAP */
struct vhost_shmem_map {
	uint8_t region; // id of the shared memory region
	uint8_t padding[7];
	uint64_t fd_offset; // bytes in the file
	uint64_t offset; // bytes in the region
	uint64_t len;
	uint64_t flags; // VHOST_SHMEM_WRITABLE
};

#define VHOST_SHMEM_WRITABLE 0x1u

/* virtio-gpu's one region: VIRTIO_GPU_SHM_ID_HOST_VISIBLE */
#define VHOST_SHMEM_HOST_VISIBLE 1

/* The configuration space is 256 bytes at most. */
#define VHOST_CONFIG_MAX 256

static_assert(sizeof(struct vhost_header) == 12, "header");
static_assert(sizeof(struct vhost_vring_state) == 8, "vring state");
static_assert(sizeof(struct vhost_vring_addr) == 40, "vring address");
static_assert(sizeof(struct vhost_memory_region) == 32, "memory region");
static_assert(sizeof(struct vhost_memory_table) == 8 + 32 * VHOST_MEMORY_TABLE_MAX, "table");
static_assert(sizeof(struct vhost_single_region) == 40, "single region");
static_assert(sizeof(struct vhost_config_header) == 12, "config header");
static_assert(sizeof(struct vhost_shmem_config) == 2056, "shared memory regions");
static_assert(sizeof(struct vhost_shmem_map) == 40, "shared memory mapping");

#endif
