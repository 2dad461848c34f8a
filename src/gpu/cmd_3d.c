/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>

#include "gpu/decode.h"
#include "gpu/device_impl.h"
#include "gpu/texture.h"

/*
 * VIRTIO 1.3, 5.7.6.8 Device Operation: controlq (3d): contexts, their command streams, and textures.
 *
 * How this works
 *
 * What RESOURCE_CREATE_3D makes belongs to the second renderer. What CREATE_2D made stays with the first;
 * when it is attached to a context the second one gets a shadow of it, which follows each transfer.
 *
 * Shadows are VirGL's: for another protocol, or where the renderer has no VirGL, an image is attached without the
 * second renderer knowing of it. A blob of guest memory has no size in pixels and no format, so it is attached without the second renderer
 * knowing: drivers attach each object to each context that opens it, also where no command names it.
 */

/* Gallium's, as VirGL has them on the wire. */
enum {
	BIND_RENDER_TARGET = 1 << 1,
	BIND_SAMPLER_VIEW = 1 << 3,
};

struct gpu_context *gpu_find_context(
	struct gpu_device *device, const struct gpu_request *request, uint32_t id)
{
	struct gpu_context *context = gpu_context_find(&device->contexts, id);

	if (!context) {
		gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID,
			"there is no context %u", id);
	}
	return context;
}

uint32_t gpu_context_error(struct gpu_device *device, const struct gpu_request *request,
	uint32_t context_id, int error)
{
	if (error == -ENOMEM) {
		return gpu_out_of_memory(
			device, request, "context %u: no memory on the host", context_id);
	}
	return gpu_guest_error(device, request,
		error == -EINVAL ? VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
				 : VIRTIO_GPU_RESP_ERR_UNSPEC,
		"context %u: the renderer refused it: %s", context_id, strerror(-error));
}

/* 0 is VirGL's, also without VIRTIO_GPU_F_CONTEXT_INIT; the field was padding before that. */
static uint32_t capset_of(const struct gpu_device *device, const struct gpu_ctx_create *command)
{
	bool chosen = device->features >> VIRTIO_GPU_F_CONTEXT_INIT & 1;

	return chosen ? command->context_init & 0xff : 0;
}

static uint32_t create_context(struct gpu_device *device, const struct gpu_request *request,
	uint32_t id, uint32_t capset, const struct gpu_ctx_create *command)
{
	struct gpu_context *context = gpu_context_create(
		&device->contexts, id, capset, command->name, command->name_len);
	int result;

	if (!context && errno == EDQUOT) {
		return gpu_out_of_memory(device, request,
			"context %u: no room for one more (max-memory reached)", id);
	}
	if (!context) {
		return gpu_context_error(device, request, id, -ENOMEM);
	}
	result = render_create_context(device->renderer_3d, id, capset, command->name,
		command->name_len, &context->render);
	if (result < 0) {
		gpu_context_destroy(&device->contexts, context);
		return gpu_context_error(device, request, id, result);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_cmd_ctx_create(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_ctx_create command = decode_ctx_create(request->bytes);
	uint32_t id = decode_context_id(request->bytes);
	uint32_t capset = capset_of(device, &command);
	struct render_capset known;

	if (id == 0 || gpu_context_find(&device->contexts, id)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID,
			"context id %u is %s", id, id ? "in use" : "reserved");
	}
	if (command.name_len > WIRE_CONTEXT_NAME_SIZE ||
		(capset && !gpu_find_capset(device, capset, &known))) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"context %u: a name of %u bytes, capset %u", id, command.name_len, capset);
	}
	return create_context(device, request, id, capset, &command);
}

void gpu_destroy_contexts(struct gpu_device *device)
{
	struct list *link;

	while ((link = list_first(&device->contexts.all))) {
		gpu_context_destroy(
			&device->contexts, container_of(link, struct gpu_context, link));
	}
}

uint32_t gpu_cmd_ctx_destroy(struct gpu_device *device, struct gpu_request *request)
{
	struct gpu_context *context = gpu_find_context(
		device, request, decode_context_id(request->bytes));

	if (!context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	gpu_context_destroy(&device->contexts, context);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_update_shadow(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_resource *resource, const struct rect *rect)
{
	struct frame *frame;
	int result;

	if (!resource->shadow || rect_is_empty(rect)) {
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	frame = render_get_frame(resource->render, NULL);
	if (!frame) {
		return gpu_render_error(device, request, resource->id, -errno);
	}
	result = render_upload(resource->shadow, rect, frame);
	frame_unref(frame);
	if (result < 0) {
		return gpu_render_error(device, request, resource->id, result);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static bool speaks_virgl(const struct gpu_device *device, const struct gpu_context *context)
{
	struct render_capset capset;

	return context->capset <= VIRTIO_GPU_CAPSET_VIRGL2 &&
		(gpu_find_capset(device, VIRTIO_GPU_CAPSET_VIRGL, &capset) ||
			gpu_find_capset(device, VIRTIO_GPU_CAPSET_VIRGL2, &capset));
}

static uint32_t create_shadow(
	struct gpu_device *device, const struct gpu_request *request, struct gpu_resource *resource)
{
	const struct render_texture_info info = {
		.id = resource->id,
		.target = GPU_TEXTURE_2D,
		.format = resource->wire_format,
		.bind = BIND_RENDER_TARGET | BIND_SAMPLER_VIEW,
		.width = resource->width,
		.height = resource->height,
		.depth = 1,
		.array_size = 1,
		.frame_format = resource->format,
	};
	const struct rect whole = { 0, 0, resource->width, resource->height };
	uint64_t cost = frame_size(resource->width, resource->height);
	int result;

	if (!gpu_limits_take(&device->limits, cost)) {
		return gpu_out_of_memory(device, request,
			"resource %u: no room for %llu bytes (max-memory reached)", resource->id,
			(unsigned long long)cost);
	}
	result = render_create_texture(device->renderer_3d, &info, &resource->shadow);
	if (result < 0) {
		gpu_limits_give(&device->limits, cost);
		return gpu_render_error(device, request, resource->id, result);
	}
	resource->charged += cost;
	return gpu_update_shadow(device, request, resource, &whole);
}

/* The resource as the second renderer knows it; NULL: it does not. */
static struct render_resource *renderer_part(const struct gpu_resource *resource)
{
	return resource->kind == GPU_RESOURCE_TEXTURE || resource->kind == GPU_RESOURCE_HOST_BLOB
		? resource->render
		: resource->shadow;
}

/* What CTX_ATTACH_RESOURCE and CTX_DETACH_RESOURCE name. Returns OK_NODATA or an error. */
static uint32_t find_context_and_resource(struct gpu_device *device,
	const struct gpu_request *request, struct gpu_context **context,
	struct gpu_resource **resource)
{
	*context = gpu_find_context(device, request, decode_context_id(request->bytes));
	if (!*context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	*resource = gpu_find_resource(device, request, decode_id(request->bytes));
	return *resource ? VIRTIO_GPU_RESP_OK_NODATA : VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
}

uint32_t gpu_cmd_ctx_attach_resource(struct gpu_device *device, struct gpu_request *request)
{
	struct gpu_context *context;
	struct gpu_resource *resource;
	uint32_t response = find_context_and_resource(device, request, &context, &resource);

	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	if (resource->kind == GPU_RESOURCE_IMAGE && !resource->shadow &&
		speaks_virgl(device, context)) {
		response = create_shadow(device, request, resource);
	}
	if (response != VIRTIO_GPU_RESP_OK_NODATA || gpu_attachment_find(context, resource)) {
		return response;
	}
	if (!gpu_attachment_create(&device->contexts, context, resource)) {
		return gpu_out_of_memory(device, request,
			"context %u: no room to attach resource %u (max-memory reached)",
			context->id, resource->id);
	}
	if (renderer_part(resource)) {
		render_context_attach(context->render, renderer_part(resource));
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_cmd_ctx_detach_resource(struct gpu_device *device, struct gpu_request *request)
{
	struct gpu_context *context;
	struct gpu_resource *resource;
	uint32_t response = find_context_and_resource(device, request, &context, &resource);
	struct gpu_attachment *attachment;

	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	attachment = gpu_attachment_find(context, resource);
	if (attachment) {
		if (renderer_part(resource)) {
			render_context_detach(context->render, renderer_part(resource));
		}
		gpu_attachment_destroy(&device->contexts, attachment);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_cmd_resource_create_3d(struct gpu_device *device, struct gpu_request *request)
{
	const struct render_texture_info info = decode_create_3d(request->bytes);
	struct gpu_resource *resource;
	uint64_t size = UINT64_MAX;
	uint32_t response;
	int result;

	if (!gpu_texture_size(&info, &size)) {
		size = UINT64_MAX; // more than any bound
	}
	response = gpu_begin_create(
		device, request, info.id, GPU_RESOURCE_TEXTURE, size, &resource);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	result = render_create_texture(device->renderer_3d, &info, &resource->render);
	if (result < 0) {
		gpu_destroy_resource(device, resource, NULL);
		if (result != -EINVAL) {
			return gpu_render_error(device, request, info.id, result);
		}
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: no texture of target %u, format %u, %ux%ux%u", info.id,
			info.target, info.format, info.width, info.height, info.depth);
	}
	resource->width = info.width;
	resource->height = info.height;
	resource->format = info.target == GPU_TEXTURE_2D && info.nr_samples <= 1 ? info.frame_format
										 : 0;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t transfer(struct gpu_device *device, struct gpu_request *request, bool to_host)
{
	struct gpu_transfer_3d command = decode_transfer_3d(request->bytes);
	struct gpu_resource *resource = gpu_find_resource(device, request, command.resource_id);
	uint32_t context_id = command.transfer.context_id;
	int result;

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (context_id && !gpu_find_context(device, request, context_id)) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	if (resource->kind != GPU_RESOURCE_TEXTURE || !resource->has_backing) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u is no texture with backing", resource->id);
	}
	command.transfer.to_host = to_host;
	result = render_transfer_3d(resource->render, &command.transfer);
	if (result < 0) {
		return gpu_render_error(device, request, resource->id, result);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t gpu_cmd_transfer_to_host_3d(struct gpu_device *device, struct gpu_request *request)
{
	return transfer(device, request, true);
}

uint32_t gpu_cmd_transfer_from_host_3d(struct gpu_device *device, struct gpu_request *request)
{
	return transfer(device, request, false);
}
