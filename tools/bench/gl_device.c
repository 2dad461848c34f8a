/* SPDX-License-Identifier: MIT */
#include "bench/gl_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "frontend/commands_3d.h"

/* Rings, slots and the stream. */
#define MORE_MEMORY ((size_t)16 << 20)

#define CAPSET_SIZE 760 // of virglrenderer 0.10; later ones only add to it

static struct gl_device *to_device(struct gl_target *target)
{
	return container_of(target, struct gl_device, target);
}

static int to_error(int answer, int wanted)
{
	if (answer < 0) {
		return answer;
	}
	return answer == wanted ? 0 : -EIO;
}

static int expect_ok(int answer)
{
	return to_error(answer, VIRTIO_GPU_RESP_OK_NODATA);
}

static int create_context(struct gl_target *target)
{
	return expect_ok(fe_gpu_ctx_create(&to_device(target)->device.gpu, GL_TARGET_CONTEXT,
		VIRTIO_GPU_CAPSET_VIRGL2, "bench"));
}

static int destroy_context(struct gl_target *target)
{
	return expect_ok(fe_gpu_ctx_destroy(&to_device(target)->device.gpu, GL_TARGET_CONTEXT));
}

static int create(struct gl_target *target, const struct gl_resource *resource)
{
	struct gl_device *device = to_device(target);
	struct fe_gpu *gpu = &device->device.gpu;
	const struct virtio_gpu_resource_create_3d command = {
		.resource_id = resource->id,
		.target = resource->target,
		.format = resource->format,
		.bind = resource->bind,
		.width = resource->width,
		.height = resource->height,
		.depth = 1,
		.array_size = 1,
	};
	int error = expect_ok(fe_gpu_create_3d(gpu, &command));

	if (error == 0) {
		error = expect_ok(fe_gpu_attach_span(gpu, resource->id, &device->memory));
	}
	if (error == 0) {
		error = expect_ok(fe_gpu_ctx_attach(gpu, GL_TARGET_CONTEXT, resource->id));
	}
	return error;
}

static int destroy(struct gl_target *target, uint32_t id)
{
	return expect_ok(fe_gpu_unref(&to_device(target)->device.gpu, id));
}

static void prepare_submit(struct gl_device *device, const struct gl_operation *operation)
{
	size_t size = operation->word_count * sizeof(operation->words[0]);

	device->command.submit = (struct virtio_gpu_cmd_submit){ .size = (uint32_t)size };
	device->command.header.type = VIRTIO_GPU_CMD_SUBMIT_3D;
	device->command_size = sizeof(device->command.submit);
	memcpy(device->stream.host, operation->words, size);
	device->tail = (struct fe_buffer){ device->stream.addr, (uint32_t)size };
}

static void prepare_transfer(struct gl_device *device, const struct gl_operation *operation)
{
	const struct gl_resource *resource = &operation->resource;

	device->command.transfer = (struct virtio_gpu_transfer_host_3d){
		.box = { .w = resource->width, .h = resource->height, .d = 1 },
		.resource_id = resource->id,
		.stride = gl_resource_stride(resource),
	};
	device->command.header.type = operation->kind == GL_UPLOAD
		? VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D
		: VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D;
	device->command_size = sizeof(device->command.transfer);
	device->tail.len = 0;
}

static void prepare(struct gl_target *target, const struct gl_operation *operation)
{
	struct gl_device *device = to_device(target);

	if (operation->kind == GL_SUBMIT) {
		prepare_submit(device, operation);
	} else {
		prepare_transfer(device, operation);
	}
	device->command.header.flags = VIRTIO_GPU_FLAG_FENCE;
	device->command.header.ctx_id = GL_TARGET_CONTEXT;
}

static int begin(struct gl_target *target)
{
	struct gl_device *device = to_device(target);

	device->command.header.fence_id = ++device->begun;
	int slot = fe_gpu_submit_with(&device->device.gpu, WIRE_CONTROL_QUEUE, &device->command,
		device->command_size, device->tail, sizeof(struct virtio_gpu_ctrl_hdr));

	return slot < 0 ? slot : 0;
}

static void flush(struct gl_target *target)
{
	fe_gpu_flush(&to_device(target)->device.gpu, WIRE_CONTROL_QUEUE);
}

/* Each answer is OK, and they come in the order of their fences. */
static int check_answer(struct gl_device *device, const struct fe_gpu_answer *answer)
{
	const struct virtio_gpu_ctrl_hdr *header = answer->bytes;

	device->ended++;
	if (answer->type != VIRTIO_GPU_RESP_OK_NODATA || header->fence_id != device->ended ||
		!(header->flags & VIRTIO_GPU_FLAG_FENCE)) {
		fprintf(stderr, "virtio-gpu-bench: %s: answer 0x%x with fence %llu to fence %llu\n",
			device->target.name, answer->type, (unsigned long long)header->fence_id,
			(unsigned long long)device->ended);
		return -EIO;
	}
	return 0;
}

static int wait_for_end(struct gl_target *target, bool spin)
{
	struct gl_device *device = to_device(target);
	struct fe_gpu_answer answer;
	int error = device_wait(&device->device, WIRE_CONTROL_QUEUE, spin);
	int count = 0;

	while (error == 0 && fe_gpu_take(&device->device.gpu, WIRE_CONTROL_QUEUE, &answer)) {
		error = check_answer(device, &answer);
		count++;
	}
	return error < 0 ? error : count;
}

static const struct gl_target_ops device_ops = {
	.create_context = create_context,
	.destroy_context = destroy_context,
	.create = create,
	.destroy = destroy,
	.prepare = prepare,
	.begin = begin,
	.flush = flush,
	.wait = wait_for_end,
};

void gl_device_init(struct gl_device *device)
{
	device->target = (struct gl_target){ .ops = &device_ops };
	device->begun = 0;
	device->ended = 0;
	device_init(&device->device);
}

static int read_capset(struct gl_device *device)
{
	uint8_t capset[CAPSET_SIZE] = { 0 };
	int error = to_error(fe_gpu_get_capset(&device->device.gpu, VIRTIO_GPU_CAPSET_VIRGL2, 2,
				     capset, sizeof(capset)),
		VIRTIO_GPU_RESP_OK_CAPSET);

	if (error == 0) {
		gl_target_read_renderer(&device->target, capset, sizeof(capset));
	}
	return error;
}

int gl_device_start(struct gl_device *device, const struct options_backend *backend, int log_fd)
{
	const struct fe_gpu_options options = {
		.dialect = FE_DIALECT_OWN,
		.memory_size = GL_TARGET_MEMORY + MORE_MEMORY,
		.control_size = 256,
		.cursor_size = 16,
		.renderer = true,
	};

	gl_device_init(device);
	device->target.name = backend->name;
	int error = device_start(&device->device, backend, &options, -1, log_fd);

	if (error < 0) {
		return error;
	}
	if (!(device->device.gpu.session.features >> VIRTIO_GPU_F_VIRGL & 1)) {
		return gl_target_complain(&device->target, "offers no VirGL (--virgl?)", -ENOTSUP);
	}
	device->memory = fe_memory_alloc(&device->device.gpu.memory, GL_TARGET_MEMORY, 4096);
	device->stream = fe_memory_alloc(
		&device->device.gpu.memory, GL_STREAM_WORDS * sizeof(uint32_t), 4096);
	device->target.memory = device->memory.host;
	if (!device->target.memory || !device->stream.host) {
		return gl_target_complain(&device->target, "guest memory", -ENOMEM);
	}
	error = read_capset(device);
	return error < 0 ? gl_target_complain(&device->target, "reading the capset", error) : 0;
}

void gl_device_stop(struct gl_device *device)
{
	device_stop(&device->device);
}
