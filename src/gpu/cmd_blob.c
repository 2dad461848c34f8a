/* SPDX-License-Identifier: MIT */
#include "gpu/decode.h"
#include "gpu/device_impl.h"

/* VIRTIO 1.3, 5.7.6.8 Device Operation: controlq, RESOURCE_CREATE_BLOB. */

static const uint32_t known_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE |
	VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE | VIRTIO_GPU_BLOB_FLAG_USE_CROSS_DEVICE;

/* Blobs of host memory come with VIRTIO_GPU_F_VIRGL alone. */
static uint32_t check_blob(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_create_blob *command)
{
	if (command->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST || command->blob_flags & ~known_flags ||
		command->size == 0) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: no blob of %llu bytes, memory %u, flags 0x%x",
			command->resource_id, (unsigned long long)command->size, command->blob_mem,
			command->blob_flags);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* Did the attachment fail after the command seemed done? Then there is no such blob. */
static void handle_create_ended(struct gpu_device *device, struct gpu_request *request, int result)
{
	if (result < 0 && request->resource->attach_token == request->token) {
		gpu_destroy_resource(device, request->resource, NULL);
	}
}

/* 5.7.6.8: nr_entries may be zero; then ATTACH_BACKING may follow. */
static uint32_t attach_first(struct gpu_device *device, struct gpu_request *request,
	struct gpu_resource *resource, const struct gpu_create_blob *command)
{
	static const size_t fixed = sizeof(struct virtio_gpu_resource_create_blob);
	uint32_t response;

	response = gpu_attach_entries(device, request, resource, request->bytes + fixed,
		command->entry_count, resource->size);
	if (request->ended) {
		request->ended = handle_create_ended;
	}
	return response;
}

static uint32_t fill_blob(struct gpu_device *device, struct gpu_request *request,
	struct gpu_resource *resource, const struct gpu_create_blob *command)
{
	const struct render_blob_info info = { .size = command->size };
	int result = render_create_blob(device->renderer, &info, &resource->render);

	if (result < 0) {
		return gpu_render_error(device, request, resource->id, result);
	}
	if (command->entry_count == 0 &&
		request->len == sizeof(struct virtio_gpu_resource_create_blob)) {
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	return attach_first(device, request, resource, command);
}

uint32_t gpu_cmd_resource_create_blob(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_create_blob command = decode_create_blob(request->bytes);
	struct gpu_resource *resource;
	uint32_t response = check_blob(device, request, &command);

	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	/* The pages are the guest's own; what is held here is charged with the list and the view. */
	response = gpu_begin_create(
		device, request, command.resource_id, GPU_RESOURCE_BLOB, 0, &resource);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	resource->size = command.size;
	response = fill_blob(device, request, resource, &command);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		gpu_destroy_resource(device, resource, NULL);
	}
	return response;
}
