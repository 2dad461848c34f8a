/* SPDX-License-Identifier: MIT */
#include "gpu/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "gpu/device_impl.h"

const char *gpu_error_name(uint32_t response)
{
	static const char *const names[GPU_ERROR_COUNT] = {
		"ERR_UNSPEC",
		"ERR_OUT_OF_MEMORY",
		"ERR_INVALID_SCANOUT_ID",
		"ERR_INVALID_RESOURCE_ID",
		"ERR_INVALID_CONTEXT_ID",
		"ERR_INVALID_PARAMETER",
	};
	uint32_t index = response - VIRTIO_GPU_RESP_ERR_UNSPEC;

	return index < GPU_ERROR_COUNT ? names[index] : "ERR_?";
}

static void write_line(struct gpu_device *device, const struct gpu_request *request,
	enum log_level level, const char *format, va_list arguments)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, arguments);
	log_write(level, "%s: %s", device->commands[request->command].name, text);
}

uint32_t gpu_guest_error(struct gpu_device *device, const struct gpu_request *request,
	uint32_t response, const char *format, ...)
{
	va_list arguments;

	if (log_is_enabled(LOG_DEBUG) && log_limit_pass(&device->guest_errors, LOG_DEBUG)) {
		va_start(arguments, format);
		write_line(device, request, LOG_DEBUG, format, arguments);
		va_end(arguments);
	}
	return response;
}

uint32_t gpu_out_of_memory(
	struct gpu_device *device, const struct gpu_request *request, const char *format, ...)
{
	va_list arguments;

	if (log_is_enabled(LOG_WARN) && log_limit_pass(&device->host_errors, LOG_WARN)) {
		va_start(arguments, format);
		write_line(device, request, LOG_WARN, format, arguments);
		va_end(arguments);
	}
	return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
}

uint32_t gpu_render_error(struct gpu_device *device, const struct gpu_request *request,
	uint32_t resource_id, int error)
{
	switch (error) {
	case -ENOMEM:
		return gpu_out_of_memory(
			device, request, "resource %u: no memory on the host", resource_id);
	case -EINVAL:
	case -EFAULT:
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: its backing does not hold that", resource_id);
	default:
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_UNSPEC,
			"resource %u: the renderer failed: %s", resource_id, strerror(-error));
	}
}
