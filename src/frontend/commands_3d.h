/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_COMMANDS_3D_H
#define FRONTEND_COMMANDS_3D_H

/*
 * The 3D commands (VIRTIO 1.3, 5.7.6.8 "controlq (3d)"), each sent and waited for. They return the answer's type
 * or -errno. The device must have been started with VIRTIO_GPU_F_VIRGL (fe_gpu_options.renderer).
 */

#include "frontend/gpu.h"

int fe_gpu_ctx_create(struct fe_gpu *gpu, uint32_t context, uint32_t capset, const char *name);
int fe_gpu_ctx_destroy(struct fe_gpu *gpu, uint32_t context);
int fe_gpu_ctx_attach(struct fe_gpu *gpu, uint32_t context, uint32_t id);

/* The header is filled in here, the rest is the caller's. */
int fe_gpu_create_3d(struct fe_gpu *gpu, const struct virtio_gpu_resource_create_3d *resource);

/*
 * Makes the answer wait until the work before it is done: all of it, or (ring 0 and up) what the context
 * put into one of its rings. FE_NO_RING: all.
 */
#define FE_NO_RING (-1)
void fe_gpu_set_fence(struct virtio_gpu_ctrl_hdr *header, int ring, uint64_t fence_id);

/*
 * Puts a command stream, which lies in guest memory, into the ring, fenced (not yet published: see
 * fe_gpu_submit_with). Returns the slot or -ENOSPC.
 */
int fe_gpu_submit_3d(
	struct fe_gpu *gpu, uint32_t context, struct fe_buffer stream, int ring, uint64_t fence_id);

/* Copies the first size bytes of the capset (zero where it is shorter). */
int fe_gpu_get_capset(
	struct fe_gpu *gpu, uint32_t id, uint32_t version, void *capset, uint32_t size);

#endif
