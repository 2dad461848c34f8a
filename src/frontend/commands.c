/* SPDX-License-Identifier: MIT */
#include "frontend/gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The virtio-gpu commands (VIRTIO 1.3, 5.7.6), each sent and waited for. */

static int control(struct fe_gpu *gpu, const void *command, size_t size)
{
	return fe_gpu_call(gpu, WIRE_CONTROL_QUEUE, command, size, NULL, 0);
}

struct virtio_gpu_rect fe_rect(uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	return (struct virtio_gpu_rect){ x, y, width, height };
}

int fe_gpu_get_display_info(struct fe_gpu *gpu, struct virtio_gpu_resp_display_info *info)
{
	struct virtio_gpu_ctrl_hdr command = { .type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO };

	return fe_gpu_call(gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command), info, sizeof(*info));
}

int fe_gpu_get_edid(struct fe_gpu *gpu, uint32_t scanout, struct virtio_gpu_resp_edid *edid)
{
	struct virtio_gpu_cmd_get_edid command = { .hdr.type = VIRTIO_GPU_CMD_GET_EDID,
		.scanout = scanout };

	return fe_gpu_call(gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command), edid, sizeof(*edid));
}

int fe_gpu_create_2d(
	struct fe_gpu *gpu, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	struct virtio_gpu_resource_create_2d command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
		.resource_id = id,
		.format = format,
		.width = width,
		.height = height,
	};

	return control(gpu, &command, sizeof(command));
}

int fe_gpu_unref(struct fe_gpu *gpu, uint32_t id)
{
	struct virtio_gpu_resource_unref command = { .hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNREF,
		.resource_id = id };

	return control(gpu, &command, sizeof(command));
}

/* Sends a fixed part and a scatter list behind it. */
static int control_with_entries(struct fe_gpu *gpu, const void *command, size_t size,
	const struct virtio_gpu_mem_entry *entries, uint32_t count)
{
	size_t tail = count * sizeof(*entries);
	char *bytes = malloc(size + tail);

	if (!bytes) {
		return -ENOMEM;
	}
	memcpy(bytes, command, size);
	if (tail > 0) {
		memcpy(bytes + size, entries, tail);
	}
	int answer = control(gpu, bytes, size + tail);
	free(bytes);
	return answer;
}

int fe_gpu_attach(
	struct fe_gpu *gpu, uint32_t id, const struct virtio_gpu_mem_entry *entries, uint32_t count)
{
	struct virtio_gpu_resource_attach_backing command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
		.resource_id = id,
		.nr_entries = count,
	};

	return control_with_entries(gpu, &command, sizeof(command), entries, count);
}

int fe_gpu_attach_span(struct fe_gpu *gpu, uint32_t id, const struct fe_span *span)
{
	struct virtio_gpu_mem_entry entry = { .addr = span->addr, .length = (uint32_t)span->size };

	return fe_gpu_attach(gpu, id, &entry, 1);
}

int fe_gpu_detach(struct fe_gpu *gpu, uint32_t id)
{
	struct virtio_gpu_resource_detach_backing command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, .resource_id = id
	};

	return control(gpu, &command, sizeof(command));
}

int fe_gpu_set_scanout(
	struct fe_gpu *gpu, uint32_t scanout, uint32_t id, struct virtio_gpu_rect rect)
{
	struct virtio_gpu_set_scanout command = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT,
		.r = rect,
		.scanout_id = scanout,
		.resource_id = id,
	};

	return control(gpu, &command, sizeof(command));
}

struct virtio_gpu_transfer_to_host_2d fe_gpu_make_transfer(
	uint32_t id, struct virtio_gpu_rect rect, uint64_t offset)
{
	return (struct virtio_gpu_transfer_to_host_2d){
		.hdr.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
		.r = rect,
		.offset = offset,
		.resource_id = id,
	};
}

int fe_gpu_transfer(struct fe_gpu *gpu, uint32_t id, struct virtio_gpu_rect rect, uint64_t offset)
{
	struct virtio_gpu_transfer_to_host_2d command = fe_gpu_make_transfer(id, rect, offset);

	return control(gpu, &command, sizeof(command));
}

struct virtio_gpu_resource_flush fe_gpu_make_flush(uint32_t id, struct virtio_gpu_rect rect)
{
	return (struct virtio_gpu_resource_flush){
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH, .r = rect, .resource_id = id
	};
}

int fe_gpu_resource_flush(struct fe_gpu *gpu, uint32_t id, struct virtio_gpu_rect rect)
{
	struct virtio_gpu_resource_flush command = fe_gpu_make_flush(id, rect);

	return control(gpu, &command, sizeof(command));
}

int fe_gpu_assign_uuid(struct fe_gpu *gpu, uint32_t id, uint8_t uuid[static WIRE_UUID_SIZE])
{
	struct virtio_gpu_resource_assign_uuid command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, .resource_id = id
	};
	struct virtio_gpu_resp_resource_uuid response;
	int answer = fe_gpu_call(
		gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command), &response, sizeof(response));

	if (answer == VIRTIO_GPU_RESP_OK_RESOURCE_UUID) {
		memcpy(uuid, response.uuid, WIRE_UUID_SIZE);
	}
	return answer;
}

int fe_gpu_create_blob(struct fe_gpu *gpu, uint32_t id, uint32_t blob_mem, uint32_t blob_flags,
	uint64_t size, const struct virtio_gpu_mem_entry *entries, uint32_t count)
{
	const struct virtio_gpu_resource_create_blob blob = {
		.resource_id = id,
		.blob_mem = blob_mem,
		.blob_flags = blob_flags,
		.nr_entries = count,
		.size = size,
	};

	return fe_gpu_create_context_blob(gpu, 0, &blob, entries);
}

int fe_gpu_create_context_blob(struct fe_gpu *gpu, uint32_t context,
	const struct virtio_gpu_resource_create_blob *blob,
	const struct virtio_gpu_mem_entry *entries)
{
	struct virtio_gpu_resource_create_blob command = *blob;

	command.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB;
	command.hdr.ctx_id = context;
	return control_with_entries(gpu, &command, sizeof(command), entries, blob->nr_entries);
}

int fe_gpu_map_blob(
	struct fe_gpu *gpu, uint32_t id, uint64_t offset, struct virtio_gpu_resp_map_info *info)
{
	struct virtio_gpu_resource_map_blob command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB,
		.resource_id = id,
		.offset = offset,
	};

	return fe_gpu_call(gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command), info, sizeof(*info));
}

int fe_gpu_unmap_blob(struct fe_gpu *gpu, uint32_t id)
{
	struct virtio_gpu_resource_unmap_blob command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, .resource_id = id
	};

	return control(gpu, &command, sizeof(command));
}

int fe_gpu_set_scanout_blob(struct fe_gpu *gpu, const struct virtio_gpu_set_scanout_blob *blob)
{
	struct virtio_gpu_set_scanout_blob command = *blob;

	command.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB;
	return control(gpu, &command, sizeof(command));
}

int fe_gpu_get_capset_info(
	struct fe_gpu *gpu, uint32_t index, struct virtio_gpu_resp_capset_info *info)
{
	struct virtio_gpu_get_capset_info command = { .hdr.type = VIRTIO_GPU_CMD_GET_CAPSET_INFO,
		.capset_index = index };

	return fe_gpu_call(gpu, WIRE_CONTROL_QUEUE, &command, sizeof(command), info, sizeof(*info));
}

int fe_gpu_update_cursor(struct fe_gpu *gpu, uint32_t scanout, uint32_t x, uint32_t y, uint32_t id,
	uint32_t hot_x, uint32_t hot_y)
{
	struct virtio_gpu_update_cursor command = {
		.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR,
		.pos = { .scanout_id = scanout, .x = x, .y = y },
		.resource_id = id,
		.hot_x = hot_x,
		.hot_y = hot_y,
	};

	return fe_gpu_call(gpu, WIRE_CURSOR_QUEUE, &command, sizeof(command), NULL, 0);
}

struct virtio_gpu_update_cursor fe_gpu_make_move(
	uint32_t scanout, uint32_t x, uint32_t y, uint32_t id)
{
	return (struct virtio_gpu_update_cursor){
		.hdr.type = VIRTIO_GPU_CMD_MOVE_CURSOR,
		.pos = { .scanout_id = scanout, .x = x, .y = y },
		.resource_id = id,
	};
}

int fe_gpu_move_cursor(struct fe_gpu *gpu, uint32_t scanout, uint32_t x, uint32_t y, uint32_t id)
{
	struct virtio_gpu_update_cursor command = fe_gpu_make_move(scanout, x, y, id);

	return fe_gpu_call(gpu, WIRE_CURSOR_QUEUE, &command, sizeof(command), NULL, 0);
}
