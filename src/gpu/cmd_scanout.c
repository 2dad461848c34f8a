/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "gpu/decode.h"
#include "gpu/device_impl.h"

/* VIRTIO 1.3, 5.7.6.8 Device Operation: controlq: what is shown where, and flushing it. */

/* Returns a new reference, or NULL. */
static struct gpu_view *make_view(struct gpu_device *device, struct gpu_resource *resource,
	const struct render_blob_layout *layout, uint64_t cost)
{
	struct gpu_view *view = calloc(1, sizeof(*view));

	if (!view) {
		return NULL;
	}
	view->frame = render_get_frame(resource->render, layout);
	if (!view->frame) {
		int error = errno;

		free(view);
		errno = error;
		return NULL;
	}
	view->refs = 1;
	view->limits = &device->limits;
	view->charged = cost;
	if (layout) {
		view->layout = *layout;
	}
	return view;
}

static bool layout_is_same(const struct render_blob_layout *a, const struct render_blob_layout *b)
{
	return a->width == b->width && a->height == b->height && a->format == b->format &&
		a->stride == b->stride && a->offset == b->offset;
}

/* Blobs and textures are shown from a private copy; an image is one. */
static uint64_t view_cost(
	const struct gpu_resource *resource, const struct render_blob_layout *layout)
{
	if (layout) {
		return frame_size(layout->width, layout->height);
	}
	return resource->kind == GPU_RESOURCE_TEXTURE
		? frame_size(resource->width, resource->height)
		: 0;
}

/*
 * Makes resource->view one of this layout (NULL for an image). It is kept, as drivers flip between
 * resources by SET_SCANOUT for each picture; the private copy that a blob's view needs is charged.
 */
static uint32_t ensure_view(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_resource *resource, const struct render_blob_layout *layout)
{
	uint64_t cost = view_cost(resource, layout);
	struct gpu_view *view;

	if (resource->view && (!layout || layout_is_same(&resource->view->layout, layout))) {
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	if (!gpu_limits_take(&device->limits, cost)) {
		return gpu_out_of_memory(device, request,
			"resource %u: no room for a view of %llu bytes (max-memory reached)",
			resource->id, (unsigned long long)cost);
	}
	view = make_view(device, resource, layout, cost);
	if (!view) {
		gpu_limits_give(&device->limits, cost);
		return gpu_render_error(device, request, resource->id, -errno);
	}
	gpu_view_unref(resource->view);
	resource->view = view;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t check_scanout(
	struct gpu_device *device, const struct gpu_request *request, uint32_t scanout_id)
{
	if (scanout_id >= gpu_scanout_count(device)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID,
			"there is no scanout %u", scanout_id);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* 5.7.6.8, SET_SCANOUT: the rectangle must be covered by the resource. An empty one shows nothing. */
static uint32_t check_shown(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_resource *resource, const struct rect *rect, uint32_t width,
	uint32_t height)
{
	if (rect_is_empty(rect) || !rect_within(rect, width, height)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: rectangle %ux%u+%u+%u is no part of %ux%u", resource->id,
			rect->width, rect->height, rect->x, rect->y, width, height);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t show(struct gpu_device *device, const struct gpu_request *request,
	uint32_t scanout_id, struct gpu_resource *resource, const struct rect *rect,
	const struct render_blob_layout *layout)
{
	uint32_t response = ensure_view(device, request, resource, layout);

	if (response == VIRTIO_GPU_RESP_OK_NODATA) {
		gpu_scanout_show(device, scanout_id, resource, resource->view, rect);
	}
	return response;
}

static uint32_t wrong_kind(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_resource *resource, const char *wanted)
{
	return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
		"resource %u is no %s", resource->id, wanted);
}

uint32_t gpu_cmd_set_scanout(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_set_scanout command = decode_set_scanout(request->bytes);
	struct gpu_resource *resource;
	uint32_t response = check_scanout(device, request, command.scanout_id);

	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	if (command.resource_id == 0) {
		gpu_scanout_disable(device, command.scanout_id);
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	resource = gpu_find_resource(device, request, command.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	/* A blob has no width: SET_SCANOUT_BLOB tells it. */
	if (gpu_resource_is_blob(resource) || !resource->format) {
		return wrong_kind(device, request, resource, "image that can be shown");
	}
	response = check_shown(
		device, request, resource, &command.rect, resource->width, resource->height);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	return show(device, request, command.scanout_id, resource, &command.rect, NULL);
}

/* Does the image that the layout describes lie within the blob? */
static bool layout_fits(const struct render_blob_layout *layout, uint64_t size)
{
	uint64_t row = (uint64_t)layout->width * FRAME_PIXEL_SIZE;
	uint64_t last;

	return layout->width && layout->height && row <= layout->stride &&
		checked_mul_u64(layout->stride, layout->height - 1, &last) &&
		checked_add_u64(last, layout->offset, &last) &&
		checked_range_within(last, row, size);
}

static uint32_t check_layout(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_resource *resource, const struct render_blob_layout *layout)
{
	if (!layout->format || !layout_fits(layout, resource->size)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: %ux%u, stride %u, offset %llu does not fit into %llu bytes "
			"(or its format is wrong)",
			resource->id, layout->width, layout->height, layout->stride,
			(unsigned long long)layout->offset, (unsigned long long)resource->size);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t show_blob(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_resource *resource, const struct gpu_set_scanout_blob *command)
{
	const struct render_blob_layout layout = {
		.width = command->width,
		.height = command->height,
		.format = decode_format(command->format),
		.stride = command->stride,
		.offset = command->offset,
	};
	uint32_t response = check_layout(device, request, resource, &layout);

	if (response == VIRTIO_GPU_RESP_OK_NODATA) {
		response = check_shown(
			device, request, resource, &command->rect, layout.width, layout.height);
	}
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	return show(device, request, command->scanout_id, resource, &command->rect, &layout);
}

uint32_t gpu_cmd_set_scanout_blob(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_set_scanout_blob command = decode_set_scanout_blob(request->bytes);
	struct gpu_resource *resource;
	uint32_t response = check_scanout(device, request, command.scanout_id);

	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	if (command.resource_id == 0) {
		gpu_scanout_disable(device, command.scanout_id);
		return VIRTIO_GPU_RESP_OK_NODATA;
	}
	resource = gpu_find_resource(device, request, command.resource_id);
	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!gpu_resource_is_blob(resource)) {
		return wrong_kind(device, request, resource, "blob");
	}
	return show_blob(device, request, resource, &command);
}

/*
 * A blob has no size in pixels but where it is shown, so there only wrapping is wrong; what lies outside
 * is clipped. An empty rectangle flushes nothing.
 */
static bool flush_is_within(const struct gpu_resource *resource, const struct rect *rect)
{
	bool is_image = !gpu_resource_is_blob(resource);

	return rect_within(rect, is_image ? resource->width : UINT32_MAX,
		is_image ? resource->height : UINT32_MAX);
}

void gpu_run_waiting_flushes(struct gpu_device *device, struct gpu_resource *resource)
{
	struct list *link;

	while (!resource->busy && (link = list_first(&resource->waiting))) {
		struct gpu_request *request = container_of(link, struct gpu_request, link);
		const struct gpu_flush command = decode_flush(request->bytes);

		list_remove(link);
		gpu_scanout_flush(device, resource, &command.rect, request);
		gpu_request_end(device, request);
	}
}

uint32_t gpu_cmd_resource_flush(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_flush command = decode_flush(request->bytes);
	const struct rect *rect = &command.rect;
	struct gpu_resource *resource = gpu_find_resource(device, request, command.resource_id);

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!flush_is_within(resource, rect)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: rectangle %ux%u+%u+%u is outside %ux%u", resource->id,
			rect->width, rect->height, rect->x, rect->y, resource->width,
			resource->height);
	}
	if (!resource->busy) {
		gpu_scanout_flush(device, resource, rect, request);
	} else if (gpu_request_token(device, request)) {
		/* What was transferred before must be seen: gpu_run_waiting_flushes goes on. */
		gpu_request_begin(request);
		list_append(&resource->waiting, &request->link);
	} else {
		return gpu_out_of_memory(device, request, "too many requests are pending");
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}
