/* SPDX-License-Identifier: MIT */
#include "gpu/device_impl.h"

bool gpu_device_scanout_status(
	const struct gpu_device *device, uint32_t index, struct gpu_scanout_status *status)
{
	const struct gpu_scanout *scanout;

	if (index >= gpu_scanout_count(device)) {
		return false;
	}
	scanout = &device->scanouts[index];
	*status = (struct gpu_scanout_status){
		.resource_id = scanout->resource ? scanout->resource->id : 0,
		.rect = scanout->rect,
		.format = scanout->view ? scanout->view->frame->format : 0,
		.cursor_visible = scanout->cursor != NULL,
		.cursor_x = scanout->cursor_x,
		.cursor_y = scanout->cursor_y,
	};
	return true;
}

const struct gpu_device_stats *gpu_device_command_stats(
	const struct gpu_device *device, size_t index)
{
	return index <= GPU_COMMAND_COUNT ? &device->commands[index] : NULL;
}

const struct gpu_device_stats *gpu_device_error_stats(const struct gpu_device *device, size_t index)
{
	return index < GPU_ERROR_COUNT ? &device->errors[index] : NULL;
}

struct gpu_device_totals gpu_device_totals(const struct gpu_device *device)
{
	return (struct gpu_device_totals){
		.request_bytes = device->request_bytes,
		.transfer_bytes = device->transfer_bytes,
		.flushed_pixels = device->flushed_pixels,
		.memory_used = device->limits.used_memory,
		.memory_peak = device->limits.peak_memory,
		.resources = device->limits.resources,
		.pending = device->requests.used,
	};
}
