/* SPDX-License-Identifier: MIT */
#include "gpu/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device_impl.h"
#include "gpu/encode.h"

/*
 * A driver has at most as many requests in flight as its rings have entries (1024 each); the table has
 * room for far more, and what a token's low bits can tell.
 */
#define SLOT_BITS   16u
#define SLOT_MAX    (1u << SLOT_BITS)
#define FIRST_SLOTS 16u

void gpu_request_table_finish(struct gpu_request_table *table)
{
	assert(table->used == 0);
	free(table->slots);
	*table = (struct gpu_request_table){ 0 };
}

static bool grow(struct gpu_request_table *table)
{
	uint32_t count = table->slot_count ? table->slot_count * 2 : FIRST_SLOTS;
	struct gpu_request **slots;

	if (count > SLOT_MAX) {
		return false;
	}
	slots = realloc(table->slots, count * sizeof(struct gpu_request *));
	if (!slots) {
		return false;
	}
	memset(slots + table->slot_count, 0,
		(count - table->slot_count) * sizeof(struct gpu_request *));
	table->slots = slots;
	table->slot_count = count;
	return true;
}

uint64_t gpu_request_token(struct gpu_device *device, struct gpu_request *request)
{
	struct gpu_request_table *table = &device->requests;
	uint32_t slot = table->search_from;

	if (request->token) {
		return request->token;
	}
	if (table->used == table->slot_count && !grow(table)) {
		return 0;
	}
	while (table->slots[slot]) {
		slot++;
	}
	table->slots[slot] = request;
	table->search_from = slot + 1;
	table->used++;
	request->token = ++table->serial << SLOT_BITS | slot;
	return request->token;
}

static uint32_t slot_of(uint64_t token)
{
	return (uint32_t)(token & (SLOT_MAX - 1));
}

struct gpu_request *gpu_request_find(const struct gpu_device *device, uint64_t token)
{
	const struct gpu_request_table *table = &device->requests;
	uint32_t slot = slot_of(token);

	if (slot >= table->slot_count || !table->slots[slot] ||
		table->slots[slot]->token != token) {
		return NULL;
	}
	return table->slots[slot];
}

static void drop_token(struct gpu_request_table *table, struct gpu_request *request)
{
	uint32_t slot = slot_of(request->token);

	if (!request->token) {
		return;
	}
	assert(table->slots[slot] == request);
	table->slots[slot] = NULL;
	table->used--;
	if (slot < table->search_from) {
		table->search_from = slot;
	}
	request->token = 0;
}

static void count_response(struct gpu_device *device, const struct gpu_request *request)
{
	uint32_t error = request->response_type - VIRTIO_GPU_RESP_ERR_UNSPEC;

	if (error < GPU_ERROR_COUNT) {
		device->commands[request->command].errors++;
		device->errors[error].count++;
	}
}

static void complete(struct gpu_device *device, struct gpu_request *request)
{
	bool has_header = request->len >= sizeof(struct virtio_gpu_ctrl_hdr);

	drop_token(&device->requests, request);
	list_remove(&request->link);
	if (request->resource) {
		gpu_resource_unref(request->resource);
		request->resource = NULL;
	}
	if (request->charged) {
		gpu_limits_give(&device->limits, request->charged);
		request->charged = 0;
	}
	request->response_len = encode_header(
		&request->response, request->response_type, has_header ? request->bytes : NULL);
	if (request->capset) {
		request->capset->hdr = request->response.header;
		request->response_len += request->response_type == VIRTIO_GPU_RESP_OK_CAPSET
			? request->capset_size
			: 0;
	}
	device->transport_ops->complete(device->transport, request);
}

void gpu_request_begin(struct gpu_request *request)
{
	assert(request->waiting_for > 0 && request->token);
	request->waiting_for++;
}

void gpu_request_end(struct gpu_device *device, struct gpu_request *request)
{
	assert(request->waiting_for > 0);
	if (--request->waiting_for == 0) {
		count_response(device, request);
		complete(device, request);
	}
}

void gpu_request_abort_all(struct gpu_device *device)
{
	struct gpu_request_table *table = &device->requests;

	for (uint32_t i = 0; table->used && i < table->slot_count; i++) {
		struct gpu_request *request = table->slots[i];

		if (request) {
			request->waiting_for = 0;
			request->response_type = VIRTIO_GPU_RESP_ERR_UNSPEC;
			complete(device, request);
		}
	}
}
