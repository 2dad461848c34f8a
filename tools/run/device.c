/* SPDX-License-Identifier: MIT */
#include "run/device.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "frontend/commands_3d.h"

enum {
	RING_SIZE = 256,
	SLOTS = RING_SIZE + 16, // as many as fe_gpu has: the cursor ring's, too
	START_MS = 30000, // a GL driver that starts for the first time compiles and probes
	MEMORY_SIZE = 16 << 20, // input chunks, rings, slots
	ANSWER_ROOM = sizeof(struct virtio_gpu_ctrl_hdr),
};

static const char *name_of(uint32_t command)
{
	switch (command) {
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_3D:
		return "RESOURCE_CREATE_3D";
	case VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING:
		return "RESOURCE_ATTACH_BACKING";
	case VIRTIO_GPU_CMD_SUBMIT_3D:
		return "SUBMIT_3D";
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D:
		return "TRANSFER_TO_HOST_3D";
	case VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D:
		return "TRANSFER_FROM_HOST_3D";
	case VIRTIO_GPU_CMD_CTX_CREATE:
		return "CTX_CREATE";
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
		return "RESOURCE_CREATE_BLOB";
	case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
		return "RESOURCE_MAP_BLOB";
	case VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB:
		return "RESOURCE_UNMAP_BLOB";
	default:
		return "a command";
	}
}

static const char *reason_of(uint32_t type)
{
	switch (type) {
	case VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY:
		return "out of memory (its --max-memory or --max-resources, or the host's)";
	case VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID:
		return "no such resource, or one that is there already";
	case VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID:
		return "no such context";
	case VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER:
		return "a number in it is wrong";
	default:
		return "unspecified";
	}
}

static int lost(const struct device *device)
{
	log_error(
		"the daemon has ended%s", device->backend.pid ? ": see its last words above" : "");
	return -ECONNRESET;
}

static int start_session(struct device *device)
{
	int error;

	device->gpu.session.timeout_ms = START_MS;
	error = fe_gpu_start(&device->gpu, device->backend.socket);
	device->backend.socket = -1; // the session's
	if (error < 0) {
		log_error("the daemon does not start: %s: %s", device->gpu.failed_at,
			strerror(-error));
		return error;
	}
	if (!(device->gpu.session.features >> VIRTIO_GPU_F_VIRGL & 1)) {
		log_error("the daemon offers neither OpenGL nor Vulkan: start it with "
			  "--capset=virgl or --capset=venus");
		return -ENOTSUP;
	}
	if (device->gpu.max_memory_slots == 0 ||
		!(device->gpu.session.protocol_features >> VHOST_PROTOCOL_F_REPLY_ACK & 1)) {
		log_error("the daemon takes no memory while it runs, or does not say when (no "
			  "CONFIGURE_MEM_SLOTS or REPLY_ACK)");
		return -ENOTSUP;
	}
	return 0;
}

static int init_gpu(struct device *device)
{
	const struct fe_gpu_options options = {
		.dialect = FE_DIALECT_OWN,
		.memory_size = MEMORY_SIZE,
		.control_size = RING_SIZE,
		.renderer = true,
		.window = { .kind = FE_WINDOW_FILES },
	};
	int error;

	*device = (struct device){ .backend.socket = -1 };
	error = fe_gpu_init(&device->gpu, &options);
	if (error < 0) {
		log_error("no memory for the rings: %s", strerror(-error));
		return error;
	}
	device->pending = calloc(SLOTS, sizeof(*device->pending));
	return device->pending ? 0 : -ENOMEM;
}

int device_start(struct device *device, char *const words[])
{
	int error = init_gpu(device);

	if (error == 0) {
		error = fe_backend_start_inherited(&device->backend, words, -1);
		if (error < 0) {
			log_error("cannot start %s: %s", words[0], strerror(-error));
		}
	}
	return error < 0 ? error : start_session(device);
}

int device_connect(struct device *device, const char *path)
{
	int error = init_gpu(device);

	if (error < 0) {
		return error;
	}
	device->backend.socket = fe_session_connect(path, 0);
	if (device->backend.socket < 0) {
		log_error("cannot connect to the daemon at %s: %s", path,
			strerror(-device->backend.socket));
		return device->backend.socket;
	}
	return start_session(device);
}

static struct device_pending take_pending(struct device *device, uint32_t slot)
{
	struct device_pending pending = device->pending[slot];

	device->pending[slot] = (struct device_pending){ 0 };
	device->in_flight--;
	return pending;
}

void device_hang_up(struct device *device)
{
	fe_session_close(&device->gpu.session);
	for (uint32_t slot = 0; device->in_flight > 0 && slot < SLOTS; slot++) {
		if (device->pending[slot].command) {
			struct device_pending pending = take_pending(device, slot);

			if (pending.done) {
				pending.done(pending.data);
			}
		}
	}
}

void device_stop(struct device *device)
{
	device_hang_up(device);
	fe_gpu_finish(&device->gpu);
	fe_backend_wait(&device->backend, FE_GPU_TIMEOUT_MS);
	fe_backend_stop(&device->backend);
	free(device->pending);
	device->pending = NULL;
}

/*
 * Commands come by another road and could arrive before this: so a word is asked for, but not waited for
 * until it matters.
 */
int device_add_memory(struct device *device, const struct fe_region *region, uint64_t *when)
{
	const struct vhost_single_region message = { .region = fe_session_describe(region) };
	int error = fe_session_send(&device->gpu.session, VHOST_ADD_MEM_REG,
		VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY, &message, sizeof(message), &region->fd,
		1);

	if (error == 0) {
		*when = ++device->added;
	}
	return error;
}

int device_confirm_memory(struct device *device, uint64_t when)
{
	while (device->confirmed < when) {
		struct vhost_header header;
		uint64_t failed = 0;
		int error = fe_session_receive(
			&device->gpu.session, &header, &failed, sizeof(failed));

		if (error < 0) {
			return error == -ECONNRESET ? lost(device) : error;
		}
		if (header.request != VHOST_ADD_MEM_REG || failed) {
			log_error("the daemon takes no more memory (its --max-resources)");
			return -ENOMEM;
		}
		device->confirmed++;
	}
	return 0;
}

void device_remove_memory(struct device *device, const struct fe_region *region)
{
	fe_session_rem_mem_reg(&device->gpu.session, region);
}

/*
 * A transfer that the renderer refuses leaves stale pixels, and is the client's own fault. A blob that cannot be
 * had is told to the client, and all that was sent for it is in vain.
 */
static bool is_fatal(uint32_t command)
{
	switch (command) {
	case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D:
	case VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D:
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
	case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
	case VIRTIO_GPU_CMD_RESOURCE_UNREF:
	case VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE:
		return false;
	default:
		return true;
	}
}

static bool is_in_vain(uint32_t command, uint32_t answer)
{
	return answer == VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID && !is_fatal(command);
}

static void finish(struct device *device, const struct fe_gpu_answer *answer)
{
	struct device_pending pending = take_pending(device, answer->slot);

	if (answer->type < VIRTIO_GPU_RESP_OK_NODATA ||
		answer->type >= VIRTIO_GPU_RESP_ERR_UNSPEC) {
		log_write(is_in_vain(pending.command, answer->type) ? LOG_DEBUG : LOG_WARN,
			"the daemon refused %s: %s", name_of(pending.command),
			reason_of(answer->type));
		if (is_fatal(pending.command) && device->error == 0) {
			device->error = -EREMOTEIO;
		}
	}
	if (pending.done) {
		pending.done(pending.data);
	}
}

int device_reap(struct device *device)
{
	struct fe_gpu_answer answer;

	while (fe_gpu_take(&device->gpu, WIRE_CONTROL_QUEUE, &answer)) {
		finish(device, &answer);
	}
	return device->error;
}

void device_kick(struct device *device)
{
	fe_gpu_flush(&device->gpu, WIRE_CONTROL_QUEUE);
}

/* The descriptor that becomes readable when a command has ended; -1: one has. */
static int wait_fd(struct device *device)
{
	struct fe_queue *queue = &device->gpu.queues[WIRE_CONTROL_QUEUE];

	fd_event_clear(queue->call);
	return fe_queue_enable_call(queue) ? -1 : queue->call;
}

static bool spin(struct device *device)
{
	const struct fe_queue *queue = &device->gpu.queues[WIRE_CONTROL_QUEUE];
	uint64_t end = fe_now_ns() + (uint64_t)device->spin_us * 1000u;

	do {
		for (int i = 0; i < 64; i++) {
			if (fe_queue_has_used(queue)) {
				return true;
			}
#if defined(__x86_64__)
			__builtin_ia32_pause();
#endif
		}
	} while (fe_now_ns() < end);
	return false;
}

/* But for what was asked the daemon says nothing here: readable is its end. */
static int hear(struct device *device)
{
	return device->confirmed < device->added
		? device_confirm_memory(device, device->confirmed + 1)
		: lost(device);
}

int device_wait_with(struct device *device, int other)
{
	struct fe_gpu *gpu = &device->gpu;
	struct pollfd fds[4] = {
		{ .fd = wait_fd(device), .events = POLLIN },
		{ .fd = gpu->window.channel, .events = POLLIN },
		{ .fd = gpu->session.socket, .events = POLLIN },
		{ .fd = other, .events = POLLIN },
	};
	int error = 0;

	if (poll(fds, 4, fds[0].fd < 0 ? 0 : -1) < 0 && errno != EINTR) {
		return -errno;
	}
	if (fds[1].revents) {
		fe_window_serve(&gpu->window);
	}
	if (fds[2].revents) {
		error = hear(device);
	}
	if (error == 0) {
		error = device_reap(device);
	}
	return error < 0 ? error : fds[3].revents != 0;
}

int device_take_file(struct device *device, uint64_t place, uint64_t size, const bool *ended)
{
	const struct fe_window *window = &device->gpu.window;
	uint64_t fd_offset = 0;
	int error = device_reap(device);
	int fd;

	device_kick(device);
	while ((fd = fe_window_take_fd(window, place, size, &fd_offset)) == -ENOENT && error == 0 &&
		!*ended) {
		error = device_wait_with(device, -1);
	}
	if (error == 0 && fd >= 0 && fd_offset > 0) {
		log_error("the daemon shows a blob that is not the beginning of its file");
		error = -EBADMSG;
	}
	if (error < 0) {
		fd_close(&fd);
		return error;
	}
	return fd == -ENOENT ? -ENODATA : fd;
}

/* Waits for at least one more command to end, and takes all that have. */
static int wait_for_one(struct device *device)
{
	return device->spin_us > 0 && spin(device) ? device_reap(device)
						   : device_wait_with(device, -1);
}

int device_wait(struct device *device, uint32_t in_flight)
{
	int error = device_reap(device);

	if (device->in_flight > in_flight) {
		device_kick(device);
	}
	while (error == 0 && device->in_flight > in_flight) {
		error = wait_for_one(device);
	}
	return error;
}

int device_wait_until(struct device *device, const bool *done)
{
	int error = device_reap(device);

	device_kick(device);
	while (error == 0 && !*done) {
		error = wait_for_one(device);
	}
	return error;
}

void device_set(void *data)
{
	*(bool *)data = true;
}

int device_send(struct device *device, const void *command, size_t size, struct fe_buffer tail,
	device_done_fn done, void *data)
{
	const struct virtio_gpu_ctrl_hdr *header = command;
	int error = device_reap(device);
	int slot = -ENOSPC;

	while (error == 0 && slot == -ENOSPC) {
		slot = fe_gpu_submit_with(
			&device->gpu, WIRE_CONTROL_QUEUE, command, size, tail, ANSWER_ROOM);
		if (slot == -ENOSPC) {
			assert(device->in_flight > 0);
			error = device_wait(device, device->in_flight - 1);
		}
	}
	if (error < 0) {
		return error;
	}
	assert(slot >= 0 && (uint32_t)slot < SLOTS);
	device->pending[slot] = (struct device_pending){ header->type, done, data };
	device->in_flight++;
	return 0;
}

/* What a question came to: nothing else is under way then. */
static int check_answer(const struct device *device, int type)
{
	if (type < 0) {
		return lost(device);
	}
	return type < VIRTIO_GPU_RESP_ERR_UNSPEC ? 0 : -EINVAL;
}

int device_find_capset(struct device *device, uint32_t id, struct virtio_gpu_resp_capset_info *info)
{
	int error = device_wait(device, 0);

	for (uint32_t i = 0; error == 0 && i < device->gpu.config.num_capsets; i++) {
		error = check_answer(device, fe_gpu_get_capset_info(&device->gpu, i, info));
		if (error == 0 && info->capset_id == id) {
			return 0;
		}
		error = error == -EINVAL ? 0 : error;
	}
	return error < 0 ? error : -ENOENT;
}

int device_get_capset(
	struct device *device, uint32_t id, uint32_t version, void *bytes, uint32_t size)
{
	int error = device_wait(device, 0);

	return error < 0
		? error
		: check_answer(device, fe_gpu_get_capset(&device->gpu, id, version, bytes, size));
}

int device_create_context(
	struct device *device, uint32_t capset_id, const char *name, uint32_t name_len)
{
	struct virtio_gpu_ctx_create command = {
		.hdr = { .type = VIRTIO_GPU_CMD_CTX_CREATE, .ctx_id = DEVICE_CONTEXT },
		.context_init = capset_id,
	};

	command.nlen = name_len < sizeof(command.debug_name) ? name_len
							     : sizeof(command.debug_name);
	memcpy(command.debug_name, name, command.nlen);
	device->has_context = true;
	return device_send(device, &command, sizeof(command), (struct fe_buffer){ 0 }, NULL, NULL);
}
