/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>

#include "base/checked.h"
#include "gpu/decode.h"
#include "gpu/device_impl.h"

/* VIRTIO 1.3, 5.7.6.8 Device Operation: controlq: images and their backing. */

struct gpu_resource *gpu_find_resource(
	struct gpu_device *device, const struct gpu_request *request, uint32_t resource_id)
{
	struct gpu_resource *resource = gpu_resource_find(&device->resources, resource_id);

	if (!resource) {
		gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID,
			"there is no resource %u", resource_id);
	}
	return resource;
}

uint32_t gpu_begin_create(struct gpu_device *device, const struct gpu_request *request,
	uint32_t resource_id, enum gpu_resource_kind kind, uint64_t bytes,
	struct gpu_resource **resource)
{
	/* 5.7.6.8, SET_SCANOUT: 0 means no resource, so none can have that id. */
	if (resource_id == 0 || gpu_resource_find(&device->resources, resource_id)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID,
			"resource id %u is %s", resource_id, resource_id ? "in use" : "reserved");
	}
	if (device->limits.resources >= device->limits.max_resources) {
		return gpu_out_of_memory(device, request,
			"resource %u: there are %u already (max-resources reached)", resource_id,
			device->limits.resources);
	}
	if (!gpu_limits_take(&device->limits, bytes)) {
		return gpu_out_of_memory(device, request,
			"resource %u: no room for %llu bytes (max-memory reached)", resource_id,
			(unsigned long long)bytes);
	}
	*resource = gpu_resource_create(&device->resources, resource_id, kind);
	if (!*resource) {
		gpu_limits_give(&device->limits, bytes);
		return gpu_out_of_memory(
			device, request, "resource %u: no memory on the host", resource_id);
	}
	(*resource)->charged = bytes;
	device->limits.resources++;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* What the resource took from the limits goes back now, or with the request that still holds it. */
static void give_charge(struct gpu_device *device, struct gpu_request *request, uint64_t *charged)
{
	if (request) {
		request->charged += *charged;
	} else {
		gpu_limits_give(&device->limits, *charged);
	}
	*charged = 0;
}

/* Flushes that wait for the resource's transfers have nothing to show any more. */
static void end_waiting_flushes(struct gpu_device *device, struct gpu_resource *resource)
{
	struct list *link;

	while ((link = list_first(&resource->waiting))) {
		list_remove(link);
		gpu_request_end(device, container_of(link, struct gpu_request, link));
	}
}

void gpu_destroy_resource(
	struct gpu_device *device, struct gpu_resource *resource, struct gpu_request *request)
{
	uint64_t token = request ? gpu_request_token(device, request) : 0;

	gpu_scanout_disable_all_of(device, resource);
	end_waiting_flushes(device, resource);
	gpu_attachments_drop(&device->contexts, resource);
	gpu_window_drop(device, resource, request);
	gpu_view_unref(resource->view);
	resource->view = NULL;
	if (resource->render &&
		render_resource_destroy(resource->render, token) == RENDER_PENDING && token) {
		gpu_request_begin(request);
	}
	resource->render = NULL;
	if (resource->shadow) {
		render_resource_destroy(resource->shadow, token);
		resource->shadow = NULL;
	}
	give_charge(device, request, &resource->charged);
	give_charge(device, request, &resource->backing_charged);
	resource->attach_token = 0;
	device->limits.resources--;
	gpu_resource_remove(&device->resources, resource);
}

uint32_t gpu_cmd_resource_create_2d(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_create_2d command = decode_create_2d(request->bytes);
	const struct render_image_info info = {
		.width = command.width,
		.height = command.height,
		.format = decode_format(command.format),
	};
	struct gpu_resource *resource;
	uint32_t response;
	int result;

	if (!info.format || !info.width || !info.height) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: no image can be %ux%u of format %u", command.resource_id,
			info.width, info.height, command.format);
	}
	response = gpu_begin_create(device, request, command.resource_id, GPU_RESOURCE_IMAGE,
		frame_size(info.width, info.height), &resource);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	resource->width = info.width;
	resource->height = info.height;
	resource->format = info.format;
	resource->wire_format = command.format;
	result = render_create_image(device->renderer, &info, &resource->render);
	if (result < 0) {
		response = gpu_render_error(device, request, resource->id, result);
		gpu_destroy_resource(device, resource, NULL);
	}
	return response;
}

uint32_t gpu_cmd_resource_unref(struct gpu_device *device, struct gpu_request *request)
{
	struct gpu_resource *resource = gpu_find_resource(
		device, request, decode_id(request->bytes));

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	gpu_destroy_resource(device, resource, request);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_cmd_resource_attach_backing(struct gpu_device *device, struct gpu_request *request)
{
	static const size_t fixed = sizeof(struct virtio_gpu_resource_attach_backing);
	const struct gpu_attach_backing command = decode_attach_backing(request->bytes);
	struct gpu_resource *resource = gpu_find_resource(device, request, command.resource_id);

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->has_backing) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"resource %u has backing already", resource->id);
	}
	return gpu_attach_entries(device, request, resource, request->bytes + fixed,
		command.entry_count, gpu_resource_is_blob(resource) ? resource->size : 1);
}

uint32_t gpu_cmd_resource_detach_backing(struct gpu_device *device, struct gpu_request *request)
{
	struct gpu_resource *resource = gpu_find_resource(
		device, request, decode_id(request->bytes));
	uint64_t token;

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!resource->has_backing) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"resource %u has no backing", resource->id);
	}
	token = gpu_request_token(device, request);
	if (!token) {
		return gpu_out_of_memory(device, request, "too many requests are pending");
	}
	if (render_detach_backing(resource->render, token) == RENDER_PENDING) {
		gpu_request_begin(request);
	}
	resource->has_backing = false;
	resource->backing_len = 0;
	resource->attach_token = 0;
	give_charge(device, request, &resource->backing_charged);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* The guest's rows are as far apart as the image's own. */
static bool backing_holds(
	const struct gpu_resource *resource, const struct gpu_transfer_2d *command)
{
	uint64_t stride = (uint64_t)resource->width * FRAME_PIXEL_SIZE;
	uint64_t len = (uint64_t)command->rect.width * FRAME_PIXEL_SIZE;
	uint64_t last;

	return checked_mul_u64(stride, command->rect.height - 1, &last) &&
		checked_add_u64(last, command->offset, &last) &&
		checked_range_within(last, len, resource->backing_len);
}

static uint32_t check_transfer(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_resource *resource, const struct gpu_transfer_2d *command)
{
	const struct rect *rect = &command->rect;

	if (!rect_within(rect, resource->width, resource->height)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: rectangle %ux%u+%u+%u is outside %ux%u", resource->id,
			rect->width, rect->height, rect->x, rect->y, resource->width,
			resource->height);
	}
	if (!resource->has_backing) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"resource %u has no backing", resource->id);
	}
	if (!rect_is_empty(rect) && !backing_holds(resource, command)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: rectangle %ux%u+%u+%u at offset %llu is outside %llu bytes "
			"of backing",
			resource->id, rect->width, rect->height, rect->x, rect->y,
			(unsigned long long)command->offset,
			(unsigned long long)resource->backing_len);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* Flushes that came after it go on when it has been answered. */
static void handle_transfer_ended(
	struct gpu_device *device, struct gpu_request *request, int result)
{
	const struct gpu_transfer_2d command = decode_transfer_2d(request->bytes);
	struct gpu_resource *resource = request->resource;

	resource->busy--;
	if (result == 0 && resource->render) {
		request->response_type = gpu_update_shadow(
			device, request, resource, &command.rect);
	}
}

static uint32_t transfer(struct gpu_device *device, struct gpu_request *request,
	struct gpu_resource *resource, const struct gpu_transfer_2d *command)
{
	const struct render_transfer parameters = { command->rect, command->offset };
	uint64_t token = gpu_request_token(device, request);
	int result;

	if (!token) {
		return gpu_out_of_memory(device, request, "too many requests are pending");
	}
	result = render_transfer_to_host(resource->render, &parameters, token);
	if (result < 0) {
		return gpu_render_error(device, request, resource->id, result);
	}
	device->transfer_bytes += (uint64_t)command->rect.width * command->rect.height *
		FRAME_PIXEL_SIZE;
	if (result == RENDER_PENDING) {
		gpu_request_begin(request);
		request->resource = gpu_resource_ref(resource);
		request->ended = handle_transfer_ended;
		resource->busy++;
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	return gpu_update_shadow(device, request, resource, &command->rect);
}

uint32_t gpu_cmd_transfer_to_host_2d(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_transfer_2d command = decode_transfer_2d(request->bytes);
	struct gpu_resource *resource = gpu_find_resource(device, request, command.resource_id);
	uint32_t response;

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	/* A blob is shared memory. Linux (6.12) sends transfers for a guest's all the same. */
	if (gpu_resource_is_blob(resource)) {
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	if (resource->kind != GPU_RESOURCE_IMAGE) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u is no image", resource->id);
	}
	response = check_transfer(device, request, resource, &command);
	/* An empty rectangle moves nothing; QEMU takes it too. */
	if (response != VIRTIO_GPU_RESP_OK_NODATA || rect_is_empty(&command.rect)) {
		return response;
	}
	return transfer(device, request, resource, &command);
}
