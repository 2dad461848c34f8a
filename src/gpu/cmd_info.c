/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "gpu/decode.h"
#include "gpu/device_impl.h"
#include "gpu/encode.h"

/* VIRTIO 1.3, 5.7.6.8 Device Operation: controlq: what a driver asks before it draws. */

static uint32_t no_token(struct gpu_device *device, const struct gpu_request *request)
{
	return gpu_out_of_memory(device, request, "too many requests are pending");
}

uint32_t gpu_cmd_get_display_info(struct gpu_device *device, struct gpu_request *request)
{
	struct display_info info = { 0 };
	uint64_t token = gpu_request_token(device, request);
	int result = 0;

	if (!token) {
		return no_token(device, request);
	}
	if (device->display) {
		result = display_query_info(device->display, token, &info);
	}
	if (result == DISPLAY_PENDING) {
		gpu_request_begin(request);
	} else if (result == 0) {
		encode_display_info(&request->response, &info, gpu_scanout_count(device));
	} else {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"the display does not tell: %s", strerror(-result));
	}
	return VIRTIO_GPU_RESP_OK_DISPLAY_INFO;
}

static uint32_t edid_error(
	struct gpu_device *device, const struct gpu_request *request, uint32_t output, int error)
{
	if (error == -EINVAL) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID,
			"there is no scanout %u", output);
	}
	return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
		"scanout %u has no EDID: %s", output, strerror(-error));
}

uint32_t gpu_cmd_get_edid(struct gpu_device *device, struct gpu_request *request)
{
	struct display_edid edid = { 0 };
	uint32_t output = decode_id(request->bytes);
	uint64_t token;
	int result;

	if (output >= gpu_scanout_count(device)) {
		return edid_error(device, request, output, -EINVAL);
	}
	token = gpu_request_token(device, request);
	if (!token) {
		return no_token(device, request);
	}
	result = device->display ? display_query_edid(device->display, output, token, &edid)
				 : -ENOTSUP;
	if (result == DISPLAY_PENDING) {
		gpu_request_begin(request);
	} else if (result == 0) {
		encode_edid(&request->response, &edid);
	} else {
		return edid_error(device, request, output, result);
	}
	return VIRTIO_GPU_RESP_OK_EDID;
}

/* A driver of Vulkan works by memory that it shares with the host: without a window it has no use. */
static bool is_offered(const struct gpu_device *device, const struct render_capset *capset)
{
	return capset->id != WIRE_CAPSET_VENUS || gpu_window_size(device) > 0;
}

int gpu_get_capset(const struct gpu_device *device, uint32_t index, struct render_capset *capset)
{
	for (uint32_t i = 0; device->renderer_3d; i++) {
		int error = render_get_capset(device->renderer_3d, i, capset);

		if (error < 0 || (is_offered(device, capset) && index-- == 0)) {
			return error;
		}
	}
	return -ENOENT;
}

/* 5.7.6.8: by index, which must be less than num_capsets. */
uint32_t gpu_cmd_get_capset_info(struct gpu_device *device, struct gpu_request *request)
{
	uint32_t index = decode_id(request->bytes);
	struct render_capset capset;

	if (gpu_get_capset(device, index, &capset) < 0) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"there is no capset index %u", index);
	}
	encode_capset_info(&request->response, &capset);
	return VIRTIO_GPU_RESP_OK_CAPSET_INFO;
}

bool gpu_find_capset(const struct gpu_device *device, uint32_t id, struct render_capset *capset)
{
	for (uint32_t i = 0; gpu_get_capset(device, i, capset) == 0; i++) {
		if (capset->id == id) {
			return true;
		}
	}
	return false;
}

/* 5.7.6.8: by id. */
uint32_t gpu_cmd_get_capset(struct gpu_device *device, struct gpu_request *request)
{
	uint32_t id = decode_id(request->bytes);
	uint32_t version = decode_capset_version(request->bytes);
	struct render_capset capset;

	if (!gpu_find_capset(device, id, &capset) || version > capset.max_version) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"there is no capset %u of version %u", id, version);
	}
	request->capset = calloc(1, sizeof(*request->capset) + capset.max_size);
	if (!request->capset) {
		return gpu_out_of_memory(
			device, request, "capset %u: no memory for %u bytes", id, capset.max_size);
	}
	render_fill_capset(device->renderer_3d, id, version, request->capset->capset_data);
	request->capset_size = capset.max_size;
	return VIRTIO_GPU_RESP_OK_CAPSET;
}

/* Asked again, a resource keeps its UUID: it names the same object. */
uint32_t gpu_cmd_resource_assign_uuid(struct gpu_device *device, struct gpu_request *request)
{
	uint8_t uuid[WIRE_UUID_SIZE];
	struct gpu_resource *resource = gpu_find_resource(
		device, request, decode_id(request->bytes));

	if (!resource) {
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!gpu_resource_uuid(resource, uuid)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"the host has no random numbers yet");
	}
	encode_uuid(&request->response, uuid);
	return VIRTIO_GPU_RESP_OK_RESOURCE_UUID;
}
