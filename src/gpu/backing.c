/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/decode.h"
#include "gpu/device_impl.h"

/*
 * How this works
 *
 * A scatter list names guest physical ranges; a renderer wants spans of regions. An entry that crosses
 * regions becomes several spans, so their number is not known before. The list grows as needed, up to
 * SPANS_MAX: a guest with one page a region could otherwise make a short list mean millions.
 */

#define SPANS_MAX   (4u * WIRE_ENTRIES_MAX)
#define SPANS_LOCAL 16u

/* What a span costs as long as it is attached: itself, a piece of a mapping, and its start. */
#define SPAN_COST (sizeof(struct memory_span) + sizeof(struct iovec) + sizeof(uint64_t))

struct span_list {
	struct memory_span *spans;
	size_t count;
	size_t capacity;
	uint64_t len; // bytes in all
	struct memory_span local[SPANS_LOCAL];
};

static void finish_list(struct span_list *list)
{
	if (list->spans != list->local) {
		free(list->spans);
	}
}

static int grow_list(struct span_list *list, size_t capacity)
{
	struct memory_span *spans;

	if (capacity > SPANS_MAX) {
		return -ENOMEM;
	}
	spans = malloc(capacity * sizeof(*spans));
	if (!spans) {
		return -ENOMEM;
	}
	if (list->count) {
		memcpy(spans, list->spans, list->count * sizeof(*spans));
	}
	finish_list(list);
	list->spans = spans;
	list->capacity = capacity;
	return 0;
}

static int init_list(struct span_list *list, uint32_t entry_count)
{
	list->spans = list->local;
	list->capacity = SPANS_LOCAL;
	list->count = 0;
	list->len = 0;
	return entry_count > SPANS_LOCAL ? grow_list(list, entry_count) : 0;
}

static int add_entry(struct span_list *list, struct memory *memory, const struct gpu_entry *entry)
{
	int result;

	for (;;) {
		result = memory_resolve(memory, entry->addr, entry->len, list->spans + list->count,
			list->capacity - list->count);
		if (result != -ENOSPC) {
			break;
		}
		result = grow_list(list, list->capacity * 2);
		if (result < 0) {
			return result;
		}
	}
	if (result < 0) {
		return result;
	}
	list->count += (size_t)result;
	list->len += entry->len; // at most 2^16 times 2^32
	return 0;
}

/* Returns OK_NODATA, or an error. */
static uint32_t add_entries(struct gpu_device *device, const struct gpu_request *request,
	struct span_list *list, const uint8_t *entries, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct gpu_entry entry = decode_entry(entries, i);
		int result = add_entry(list, device->memory, &entry);

		if (result == -ENOMEM) {
			return gpu_out_of_memory(
				device, request, "the scatter list has too many pieces");
		}
		if (result < 0) {
			return gpu_guest_error(device, request,
				VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				"entry %u: %u bytes at 0x%llx are not all guest memory", i,
				entry.len, (unsigned long long)entry.addr);
		}
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static void drop_backing(struct gpu_device *device, struct gpu_resource *resource)
{
	resource->has_backing = false;
	resource->backing_len = 0;
	gpu_limits_give(&device->limits, resource->backing_charged);
	resource->backing_charged = 0;
}

/* The renderer could not, after all? The resource may be gone by now, or have other backing. */
static void handle_attach_ended(struct gpu_device *device, struct gpu_request *request, int result)
{
	if (result < 0 && request->resource->attach_token == request->token) {
		drop_backing(device, request->resource);
	}
}

static uint32_t attach(struct gpu_device *device, struct gpu_request *request,
	struct gpu_resource *resource, const struct span_list *list)
{
	uint64_t token = gpu_request_token(device, request);
	uint64_t cost = list->count * SPAN_COST;
	int result;

	if (!token || !gpu_limits_take(&device->limits, cost)) {
		return gpu_out_of_memory(device, request,
			"resource %u: no room for a scatter list of %zu pieces (max-memory reached)",
			resource->id, list->count);
	}
	resource->backing_charged = cost;
	result = render_attach_backing(resource->render, list->spans, list->count, token);
	if (result < 0) {
		drop_backing(device, resource);
		return gpu_render_error(device, request, resource->id, result);
	}
	resource->has_backing = true;
	resource->backing_len = list->len;
	resource->attach_token = token;
	if (result == RENDER_PENDING) {
		request->resource = gpu_resource_ref(resource);
		request->ended = handle_attach_ended;
		gpu_request_begin(request);
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

/* Does the request carry exactly this many entries? */
static bool entries_fit(const struct gpu_request *request, const uint8_t *entries, uint32_t count)
{
	size_t left = request->len - (size_t)(entries - request->bytes);

	return left % sizeof(struct virtio_gpu_mem_entry) == 0 &&
		left / sizeof(struct virtio_gpu_mem_entry) == count;
}

uint32_t gpu_attach_entries(struct gpu_device *device, struct gpu_request *request,
	struct gpu_resource *resource, const uint8_t *entries, uint32_t count, uint64_t min_len)
{
	struct span_list list;
	uint32_t response;

	if (!entries_fit(request, entries, count)) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: %u entries are not what %zu bytes hold", resource->id, count,
			request->len);
	}
	if (count > WIRE_ENTRIES_MAX || init_list(&list, count) < 0) {
		return gpu_out_of_memory(device, request,
			"resource %u: a scatter list of %u entries is too long", resource->id,
			count);
	}
	response = add_entries(device, request, &list, entries, count);
	if (response == VIRTIO_GPU_RESP_OK_NODATA && list.len < min_len) {
		response = gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"resource %u: a backing of %llu bytes is too short", resource->id,
			(unsigned long long)list.len);
	}
	if (response == VIRTIO_GPU_RESP_OK_NODATA) {
		response = attach(device, request, resource, &list);
	}
	finish_list(&list);
	return response;
}
