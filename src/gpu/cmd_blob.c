/* SPDX-License-Identifier: MIT */
#include "gpu/decode.h"
#include "gpu/device_impl.h"

/*
 * VIRTIO 1.3, 5.7.6.8 Device Operation: controlq, RESOURCE_CREATE_BLOB.
 *
 * A blob of guest memory is the first renderer's, and needs no context. One of host memory is what a context
 * of the second renderer already has, and gets a number here; with BLOB_MEM_HOST3D_GUEST it has pages of the
 * guest, too.
 */

static const uint32_t known_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE |
	VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE | VIRTIO_GPU_BLOB_FLAG_USE_CROSS_DEVICE;

static bool is_of_host(const struct gpu_create_blob *command)
{
	return command->blob_mem != VIRTIO_GPU_BLOB_MEM_GUEST;
}

/* Blobs of host memory come with VIRTIO_GPU_F_VIRGL alone. Only guest pages are told by entries. */
static bool memory_is_right(const struct gpu_device *device, const struct gpu_create_blob *command)
{
	bool has_3d = device->features >> VIRTIO_GPU_F_VIRGL & 1 && device->renderer_3d;

	switch (command->blob_mem) {
	case VIRTIO_GPU_BLOB_MEM_GUEST:
		return true;
	case VIRTIO_GPU_BLOB_MEM_HOST3D:
		return has_3d && command->entry_count == 0;
	case VIRTIO_GPU_BLOB_MEM_HOST3D_GUEST:
		return has_3d;
	default:
		return false;
	}
}

static uint32_t check_blob(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_create_blob *command)
{
	if (!memory_is_right(device, command) || command->blob_flags & ~known_flags ||
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

static uint32_t create_of_guest(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_resource *resource, const struct gpu_create_blob *command)
{
	const struct render_blob_info info = { .size = command->size };
	int result = render_create_blob(device->renderer, &info, &resource->render);

	return result < 0 ? gpu_render_error(device, request, resource->id, result)
			  : VIRTIO_GPU_RESP_OK_NODATA;
}

/* A blob may be a small part of memory that it keeps whole. */
static uint32_t charge_rest(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_resource *resource, uint64_t held)
{
	uint64_t rest = held > resource->charged ? held - resource->charged : 0;

	if (!gpu_limits_take(&device->limits, rest)) {
		return gpu_out_of_memory(device, request,
			"resource %u: no room for the %llu bytes that its memory has (max-memory reached)",
			resource->id, (unsigned long long)held);
	}
	resource->charged += rest;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t create_of_host(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_resource *resource, const struct gpu_create_blob *command)
{
	struct gpu_context *context = gpu_find_context(
		device, request, decode_context_id(request->bytes));
	const struct render_host_blob_info info = {
		.id = resource->id,
		.flags = command->blob_flags,
		.blob_id = command->blob_id,
		.size = command->size,
	};
	uint64_t held;
	int result;

	if (!context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	result = render_create_host_blob(context->render, &info, &held, &resource->render);
	if (result < 0) {
		return gpu_context_error(device, request, context->id, result);
	}
	return charge_rest(device, request, resource, held);
}

static uint32_t fill_blob(struct gpu_device *device, struct gpu_request *request,
	struct gpu_resource *resource, const struct gpu_create_blob *command)
{
	uint32_t response = is_of_host(command)
		? create_of_host(device, request, resource, command)
		: create_of_guest(device, request, resource, command);

	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
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
	/* A guest's pages are its own; what is held here is charged with the list and the view. */
	response = gpu_begin_create(device, request, command.resource_id,
		is_of_host(&command) ? GPU_RESOURCE_HOST_BLOB : GPU_RESOURCE_BLOB,
		is_of_host(&command) ? command.size : 0, &resource);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	resource->size = command.size;
	resource->is_mappable = command.blob_flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE;
	response = fill_blob(device, request, resource, &command);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		gpu_destroy_resource(device, resource, NULL);
	}
	return response;
}
