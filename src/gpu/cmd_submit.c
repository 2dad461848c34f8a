/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>

#include "gpu/decode.h"
#include "gpu/device_impl.h"
#include "gpu/sub_context.h"

/*
 * VIRTIO 1.3, 5.7.6.8 Device Operation: controlq (3d), SUBMIT_3D.
 *
 * A stream is the renderer's to check and run. Before, one look at its commands finds those that make what
 * the renderer does not bound.
 */

static uint32_t no_room(struct gpu_device *device, const struct gpu_request *request,
	const struct gpu_context *context, int error)
{
	if (error == -ENOMEM) {
		return gpu_context_error(device, request, context->id, error);
	}
	return gpu_out_of_memory(device, request,
		"context %u: no room for its sub-contexts (max-memory reached)", context->id);
}

static uint32_t look_through(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_context *context, struct gpu_stream stream,
	struct gpu_sub_context_changes *changes)
{
	struct gpu_stream_command command;

	while (gpu_stream_next(&stream, &command)) {
		int error = 0;

		switch (command.number) {
		case GPU_STREAM_CREATE_SUB_CONTEXT:
		case GPU_STREAM_DESTROY_SUB_CONTEXT:
			error = gpu_sub_contexts_note(
				&device->contexts, context, &command, changes);
			break;
		/* Textures for blobs of VirGL's memory, which it has none of: nothing else can use them. */
		case GPU_STREAM_CREATE_RESOURCE:
			return gpu_guest_error(device, request,
				VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
				"context %u: its stream makes a resource, but there are no blobs "
				"of host memory",
				context->id);
		default:
			break;
		}
		if (error < 0) {
			return no_room(device, request, context, error);
		}
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t run_stream(struct gpu_device *device, const struct gpu_request *request,
	struct gpu_context *context, uint8_t *bytes, uint32_t size)
{
	struct gpu_sub_context_changes changes = { 0 };
	/* Only VirGL's commands are known here. */
	uint32_t response = context->capset > VIRTIO_GPU_CAPSET_VIRGL2
		? VIRTIO_GPU_RESP_OK_NODATA
		: look_through(
			  device, request, context, (struct gpu_stream){ bytes, size }, &changes);
	enum gpu_stream_outcome outcome = GPU_STREAM_REFUSED;

	if (response == VIRTIO_GPU_RESP_OK_NODATA) {
		int result = size ? render_context_submit(context->render, bytes, size) : 0;

		outcome = result < 0 ? GPU_STREAM_FAILED : GPU_STREAM_RAN;
		if (result < 0) {
			response = gpu_context_error(device, request, context->id, result);
		}
	}
	gpu_sub_contexts_settle(&device->contexts, context, &changes, outcome);
	if (outcome == GPU_STREAM_RAN) {
		context->submits++;
		context->submit_bytes += size;
	}
	return response;
}

uint32_t gpu_cmd_submit_3d(struct gpu_device *device, struct gpu_request *request)
{
	static const size_t fixed = sizeof(struct virtio_gpu_cmd_submit);
	const struct gpu_submit command = decode_submit(request->bytes);
	struct gpu_context *context = gpu_find_context(
		device, request, decode_context_id(request->bytes));
	/* The copy is this request's own: the renderer may write over it. */
	uint8_t *stream = (uint8_t *)request->bytes + fixed;

	if (!context) {
		return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
	}
	if (command.size != request->len - fixed || command.size % 4 || command.fence_count) {
		return gpu_guest_error(device, request, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER,
			"context %u: a stream of %u bytes in %zu, %u fences to wait for",
			context->id, command.size, request->len - fixed, command.fence_count);
	}
	assert((uintptr_t)stream % 4 == 0);
	return run_stream(device, request, context, stream, command.size);
}
