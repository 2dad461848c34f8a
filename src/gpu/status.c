/* SPDX-License-Identifier: MIT */
#include "gpu/decode.h"
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
	struct gpu_device_totals totals = {
		.request_bytes = device->request_bytes,
		.transfer_bytes = device->transfer_bytes,
		.flushed_pixels = device->flushed_pixels,
		.memory_used = device->limits.used_memory,
		.memory_peak = device->limits.peak_memory,
		.resources = device->limits.resources,
		.contexts = device->contexts.count,
		.window_size = gpu_window_size(device),
		.pending = device->requests.used,
	};

	list_for_each(link, &device->mappings) {
		totals.mappings++;
		totals.mapped_bytes += container_of(link, struct gpu_mapping, link)->len;
	}
	return totals;
}

static struct gpu_context_status status_of(const struct gpu_context *context)
{
	return (struct gpu_context_status){
		.id = context->id,
		.capset = context->capset,
		.name = context->name,
		.submits = context->submits,
		.submit_bytes = context->submit_bytes,
		.sub_contexts = context->sub_context_count,
		.resources = context->resources,
		.resource_bytes = context->resource_bytes,
	};
}

/* A request with a fence is its context's until it is answered. */
static void count_fence(
	const struct gpu_request *request, struct gpu_context_status *contexts, size_t count)
{
	uint32_t id = decode_context_id(request->bytes);

	for (size_t i = 0; i < count && decode_is_fenced(request->bytes); i++) {
		if (contexts[i].id == id) {
			contexts[i].fences++;
			return;
		}
	}
}

size_t gpu_device_context_status(
	const struct gpu_device *device, struct gpu_context_status *contexts, size_t max)
{
	const struct gpu_request_table *requests = &device->requests;
	size_t count = 0;

	list_for_each(link, &device->contexts.all) {
		if (count == max) {
			break;
		}
		contexts[count++] = status_of(container_of(link, struct gpu_context, link));
	}
	for (uint32_t i = 0; i < requests->slot_count; i++) {
		if (requests->slots[i]) {
			count_fence(requests->slots[i], contexts, count);
		}
	}
	return count;
}
