/* SPDX-License-Identifier: MIT */
#include "frontend/commands_3d.h"

#include <errno.h>
#include <string.h>

static int control(struct fe_gpu *gpu, const void *command, size_t size)
{
	return fe_gpu_call(gpu, WIRE_CONTROL_QUEUE, command, size, NULL, 0);
}

int fe_gpu_ctx_create(struct fe_gpu *gpu, uint32_t context, uint32_t capset, const char *name)
{
	struct virtio_gpu_ctx_create command = {
		.hdr = { .type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = context },
		.context_init = capset,
	};

	command.nlen = (uint32_t)strnlen(name, sizeof(command.debug_name));
	memcpy(command.debug_name, name, command.nlen);
	return control(gpu, &command, sizeof(command));
}

int fe_gpu_ctx_destroy(struct fe_gpu *gpu, uint32_t context)
{
	struct virtio_gpu_ctx_destroy command = {
		.hdr = { .type = VIRTIO_GPU_CMD_CTX_DESTROY, .ctx_id = context },
	};

	return control(gpu, &command, sizeof(command));
}

int fe_gpu_ctx_attach(struct fe_gpu *gpu, uint32_t context, uint32_t id)
{
	struct virtio_gpu_ctx_resource command = {
		.hdr = { .type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = context },
		.resource_id = id,
	};

	return control(gpu, &command, sizeof(command));
}

int fe_gpu_create_3d(struct fe_gpu *gpu, const struct virtio_gpu_resource_create_3d *resource)
{
	struct virtio_gpu_resource_create_3d command = *resource;

	command.hdr = (struct virtio_gpu_ctrl_hdr){ .type = VIRTIO_GPU_CMD_RESOURCE_CREATE_3D };
	return control(gpu, &command, sizeof(command));
}

void fe_gpu_set_fence(struct virtio_gpu_ctrl_hdr *header, int ring, uint64_t fence_id)
{
	header->flags |= VIRTIO_GPU_FLAG_FENCE;
	header->fence_id = fence_id;
	if (ring != FE_NO_RING) {
		header->flags |= VIRTIO_GPU_FLAG_INFO_RING_IDX;
		header->ring_idx = (uint8_t)ring;
	}
}

int fe_gpu_submit_3d(
	struct fe_gpu *gpu, uint32_t context, struct fe_buffer stream, int ring, uint64_t fence_id)
{
	struct virtio_gpu_cmd_submit command = {
		.hdr = { .type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = context },
		.size = stream.len,
	};

	fe_gpu_set_fence(&command.hdr, ring, fence_id);
	return fe_gpu_submit_with(gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command), stream,
		sizeof(struct virtio_gpu_ctrl_hdr));
}

int fe_gpu_get_capset(
	struct fe_gpu *gpu, uint32_t id, uint32_t version, void *capset, uint32_t size)
{
	struct virtio_gpu_get_capset command = {
		.hdr.type = VIRTIO_GPU_CMD_GET_CAPSET,
		.capset_id = id,
		.capset_version = version,
	};
	uint8_t response[FE_GPU_RESPONSE_ROOM];
	const uint32_t head = sizeof(struct virtio_gpu_ctrl_hdr);

	if (size > sizeof(response) - head) {
		return -ENOSPC;
	}
	int answer = fe_gpu_call(
		gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command), response, head + size);

	if (answer == VIRTIO_GPU_RESP_OK_CAPSET) {
		memcpy(capset, response + head, size);
	}
	return answer;
}
