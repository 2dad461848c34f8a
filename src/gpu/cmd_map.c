/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "gpu/decode.h"
#include "gpu/device_impl.h"
#include "gpu/encode.h"

/*
 * VIRTIO 1.3, 5.7.6.10 Device Operation: controlq (blob): RESOURCE_MAP_BLOB, RESOURCE_UNMAP_BLOB.
 *
 * How this works
 *
 * The transport has the VMM map the blob's file, and other commands go on meanwhile. What would be wrong is
 * found here, before anybody is asked: the place, an overlap, a second mapping. A resource that is destroyed
 * while it is being mapped is unmapped when that has ended.
 *
 * Mappings are of whole pages of this machine, which may be larger than the guest's.
 */

uint64_t gpu_window_size(const struct gpu_device *device)
{
	return device->transport_ops->window_size(device->transport);
}

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool overlaps(const struct gpu_device *device, uint64_t offset, uint64_t len)
{
	list_for_each(link, &device->mappings) {
		const struct gpu_mapping *other = container_of(link, struct gpu_mapping, link);

		if (checked_ranges_overlap(offset, len, other->offset, other->len)) {
			return true;
		}
	}
	return false;
}

/* Takes the place. Returns OK_NODATA or an error. */
static uint32_t find_place(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_resource *resource, uint64_t offset)
{
	uint64_t window = gpu_window_size(device);
	uint64_t page = page_size();
	uint64_t len;

	if (window == 0) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"resource %u: the VMM has no window to map it in", resource->id);
	}
	/* A size that cannot be rounded up fits into no window either. */
	len = checked_add_u64(resource->size, page - 1, &len) ? len & ~(page - 1) : UINT64_MAX;
	if (offset % page || !checked_range_within(offset, len, window)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: %llu bytes at 0x%llx are not whole pages of %llu bytes in a "
			"window of 0x%llx",
			resource->id, (unsigned long long)resource->size,
			(unsigned long long)offset, (unsigned long long)page,
			(unsigned long long)window);
	}
	if (overlaps(device, offset, len)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: another one is mapped at 0x%llx", resource->id,
			(unsigned long long)offset);
	}
	resource->mapping = (struct gpu_mapping){ .offset = offset, .len = len };
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static void enter(
	struct gpu_device *device, struct gpu_resource *resource, enum gpu_mapping_state state)
{
	resource->mapping.state = state;
	list_init(&resource->mapping.link);
	list_append(&device->mappings, &resource->mapping.link);
}

static void leave(struct gpu_resource *resource)
{
	resource->mapping.state = GPU_UNMAPPED;
	list_remove(&resource->mapping.link);
}

static bool is_gone(const struct gpu_resource *resource)
{
	return !resource->render;
}

static void handle_map_ended(struct gpu_device *device, struct gpu_request *request, int result)
{
	struct gpu_resource *resource = request->resource;

	if (result < 0) {
		leave(resource);
		return;
	}
	resource->mapping.state = GPU_MAPPED;
	if (is_gone(resource)) {
		gpu_window_drop(device, resource, NULL);
	}
}

static void handle_unmap_ended(struct gpu_device *device, struct gpu_request *request, int result)
{
	(void)device;
	(void)result; // the VMM says that nothing is mapped there
	leave(request->resource);
}

static void begin(struct gpu_request *request, struct gpu_resource *resource,
	void (*ended)(struct gpu_device *device, struct gpu_request *request, int result))
{
	request->resource = gpu_resource_ref(resource);
	request->ended = ended;
	gpu_request_begin(request);
}

uint32_t gpu_window_error(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_resource *resource, int error)
{
	if (error == -ENOSPC || error == -ENOMEM) {
		return gpu_out_of_memory(device, request,
			"resource %u: the VMM takes no more mappings", resource->id);
	}
	return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
		"resource %u: the VMM cannot do it: %s", resource->id, strerror(-error));
}

static uint32_t map(struct gpu_device *device, struct gpu_request *request,
	struct gpu_resource *resource, uint64_t token)
{
	struct gpu_window_map map = {
		.offset = resource->mapping.offset,
		.len = resource->mapping.len,
	};
	struct render_export export;
	int result = render_export_host_blob(resource->render, &export);

	if (result < 0) {
		return gpu_render_error(device, request, resource->id, result);
	}
	map.fd = export.fd;
	result = device->transport_ops->map(device->transport, &map, token);
	fd_close(&export.fd);
	if (result < 0) {
		return gpu_window_error(device, request, resource, result);
	}
	enter(device, resource, GPU_MAPPING);
	begin(request, resource, handle_map_ended);
	encode_map_info(&request->response, export.map_info);
	return VIRTIO_GPU_RESP_OK_MAP_INFO;
}

uint32_t gpu_cmd_resource_map_blob(struct gpu_device *device, struct gpu_request *request)
{
	const struct gpu_map_blob command = decode_map_blob(request->bytes);
	struct gpu_resource *resource = gpu_find_resource(device, request, command.resource_id);
	uint64_t token;
	uint32_t response;

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->kind != GPU_RESOURCE_HOST_BLOB || !resource->is_mappable ||
		resource->mapping.state != GPU_UNMAPPED) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u is %s", resource->id,
			resource->mapping.state != GPU_UNMAPPED
				? "mapped already"
				: "no blob of host memory that was made to be mapped");
	}
	response = find_place(device, request, resource, command.offset);
	if (response != VIRTIO_GPU_RESP_OK_NODATA) {
		return response;
	}
	token = gpu_request_token(device, request);
	if (!token) {
		return gpu_out_of_memory(device, request, "too many requests are pending");
	}
	return map(device, request, resource, token);
}

/* Returns RENDER_PENDING or -errno. */
static int unmap(struct gpu_device *device, struct gpu_resource *resource, uint64_t token)
{
	return device->transport_ops->unmap(
		device->transport, resource->mapping.offset, resource->mapping.len, token);
}

uint32_t gpu_cmd_resource_unmap_blob(struct gpu_device *device, struct gpu_request *request)
{
	struct gpu_resource *resource = gpu_find_resource(
		device, request, decode_id(request->bytes));
	uint64_t token;
	int result;

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (resource->mapping.state != GPU_MAPPED) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u is not mapped", resource->id);
	}
	token = gpu_request_token(device, request);
	if (!token) {
		return gpu_out_of_memory(device, request, "too many requests are pending");
	}
	result = unmap(device, resource, token);
	if (result < 0) {
		return gpu_window_error(device, request, resource, result);
	}
	resource->mapping.state = GPU_UNMAPPING;
	begin(request, resource, handle_unmap_ended);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

void gpu_window_forget(struct gpu_device *device)
{
	list_for_each_safe(link, following, &device->mappings) {
		struct gpu_mapping *mapping = container_of(link, struct gpu_mapping, link);

		leave(container_of(mapping, struct gpu_resource, mapping));
	}
}

void gpu_window_drop(
	struct gpu_device *device, struct gpu_resource *resource, struct gpu_request *request)
{
	uint64_t token = request ? gpu_request_token(device, request) : 0;

	/* While it is being mapped or unmapped, a request holds it and looks after it. */
	if (resource->mapping.state != GPU_MAPPED) {
		return;
	}
	leave(resource);
	if (unmap(device, resource, token) >= 0 && token) {
		gpu_request_begin(request);
	}
}
