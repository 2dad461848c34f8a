/* SPDX-License-Identifier: MIT */
#include "frontend/gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/*
 * How this works
 *
 * Every ring entry has a slot: guest memory for a request and a response. A slot is taken at submit,
 * its number is the token in the ring, and it is free again when the answer is taken; the answer's
 * bytes stay as they are until somebody submits. Requests that do not fit (scatter lists) get guest
 * memory of their own for as long as they are in flight.
 */

#define NO_SLOT UINT32_MAX

int fe_gpu_init(struct fe_gpu *gpu, const struct fe_gpu_options *options)
{
	*gpu = (struct fe_gpu){ .options = *options, .timeout_ms = FE_GPU_TIMEOUT_MS };
	if (gpu->options.memory_size == 0) {
		gpu->options.memory_size = 64u << 20;
	}
	if (gpu->options.control_size == 0) {
		gpu->options.control_size = 64;
	}
	if (gpu->options.cursor_size == 0) {
		gpu->options.cursor_size = 16;
	}
	fe_memory_init(&gpu->memory);
	fe_display_init(&gpu->display);
	fe_window_init(&gpu->window);
	fe_session_init(&gpu->session, -1, &gpu->pump);
	fe_display_attach(&gpu->display, &gpu->pump);
	int region = fe_memory_add_region(
		&gpu->memory, UINT64_C(0x100000000), gpu->options.memory_size);
	return region < 0 ? region : 0;
}

static void free_slots(struct fe_gpu *gpu)
{
	for (uint32_t i = 0; i < gpu->slot_count; i++) {
		fe_memory_free(&gpu->memory, &gpu->slots[i].buffer);
		fe_memory_free(&gpu->memory, &gpu->slots[i].large);
	}
	free(gpu->slots);
	gpu->slots = NULL;
	gpu->slot_count = 0;
	gpu->free_slot = NO_SLOT;
}

static void free_rings(struct fe_gpu *gpu)
{
	free_slots(gpu);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		fe_queue_finish(&gpu->queues[i]);
	}
}

void fe_gpu_finish(struct fe_gpu *gpu)
{
	fe_window_close(&gpu->window);
	fe_session_close(&gpu->session);
	fe_display_finish(&gpu->display);
	free_rings(gpu);
	fe_memory_finish(&gpu->memory);
	gpu->pump.count = 0;
}

static int make_slots(struct fe_gpu *gpu)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		count += gpu->queues[i].size;
	}
	gpu->slots = calloc(count, sizeof(*gpu->slots));
	if (!gpu->slots) {
		return -ENOMEM;
	}
	gpu->slot_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct fe_gpu_slot *slot = &gpu->slots[i];

		slot->buffer = fe_memory_alloc(
			&gpu->memory, FE_GPU_REQUEST_ROOM + FE_GPU_RESPONSE_ROOM, 64);
		if (slot->buffer.size == 0) {
			return -ENOMEM;
		}
		slot->next_free = i + 1 == count ? NO_SLOT : i + 1;
	}
	gpu->free_slot = 0;
	return 0;
}

int fe_gpu_make_rings(struct fe_gpu *gpu)
{
	const uint16_t sizes[WIRE_QUEUE_COUNT] = { gpu->options.control_size,
		gpu->options.cursor_size };
	uint64_t features = gpu->session.features;

	free_rings(gpu);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		int error = fe_queue_init(&gpu->queues[i], &gpu->memory, sizes[i]);

		if (error < 0) {
			return error;
		}
		gpu->queues[i].indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
		gpu->queues[i].event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	}
	return make_slots(gpu);
}

/* Notes where we are, so that a failure can be told. */
static bool step(struct fe_gpu *gpu, int *error, const char *name)
{
	if (*error < 0) {
		return false;
	}
	gpu->failed_at = name;
	return true;
}

static bool has_protocol(const struct fe_gpu *gpu, int bit)
{
	return gpu->session.protocol_features >> bit & 1;
}

static int negotiate_protocol(struct fe_gpu *gpu)
{
	const uint64_t known = (1u << VHOST_PROTOCOL_F_MQ) | (1u << VHOST_PROTOCOL_F_REPLY_ACK) |
		(1u << VHOST_PROTOCOL_F_BACKEND_REQ) | (1u << VHOST_PROTOCOL_F_CONFIG) |
		(1u << VHOST_PROTOCOL_F_BACKEND_SEND_FD) | (1u << VHOST_PROTOCOL_F_RESET_DEVICE) |
		(1u << VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | (1u << VHOST_PROTOCOL_F_STATUS) |
		(1u << VHOST_PROTOCOL_F_SHMEM);
	struct fe_session *session = &gpu->session;
	uint64_t queues = 0;
	int error = fe_session_get_protocol_features(session, &gpu->protocol_offered);

	if (step(gpu, &error, "SET_PROTOCOL_FEATURES")) {
		error = fe_session_set_protocol_features(session,
			gpu->protocol_offered & known & ~gpu->options.protocol_features_off);
	}
	session->ack = gpu->options.ack;
	if (has_protocol(gpu, VHOST_PROTOCOL_F_MQ) && step(gpu, &error, "GET_QUEUE_NUM")) {
		error = fe_session_get_queue_num(session, &queues);
	}
	if (has_protocol(gpu, VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS) &&
		step(gpu, &error, "GET_MAX_MEM_SLOTS")) {
		error = fe_session_get_max_mem_slots(session, &gpu->max_memory_slots);
	}
	if (has_protocol(gpu, VHOST_PROTOCOL_F_BACKEND_REQ) &&
		step(gpu, &error, "SET_BACKEND_REQ_FD")) {
		error = fe_session_set_backend_req(session);
	}
	return error;
}

static bool wants_window(const struct fe_gpu *gpu)
{
	return gpu->options.window.kind != FE_WINDOW_NONE &&
		has_protocol(gpu, VHOST_PROTOCOL_F_SHMEM) &&
		has_protocol(gpu, VHOST_PROTOCOL_F_REPLY_ACK) &&
		has_protocol(gpu, VHOST_PROTOCOL_F_BACKEND_REQ) &&
		has_protocol(gpu, VHOST_PROTOCOL_F_BACKEND_SEND_FD);
}

int fe_gpu_negotiate(struct fe_gpu *gpu, int socket)
{
	struct fe_session *session = &gpu->session;
	int error = 0;

	fe_window_close(&gpu->window);
	fe_session_close(session);
	fe_session_init(session, socket, &gpu->pump);
	gpu->max_memory_slots = 0;
	if (step(gpu, &error, "GET_FEATURES")) {
		error = fe_session_get_features(session, &gpu->offered);
	}
	if ((gpu->offered >> VHOST_F_PROTOCOL_FEATURES & 1) &&
		step(gpu, &error, "GET_PROTOCOL_FEATURES")) {
		error = negotiate_protocol(gpu);
	}
	if (step(gpu, &error, "SET_OWNER")) {
		error = fe_session_set_owner(session);
	}
	if (wants_window(gpu) && step(gpu, &error, "GET_SHMEM_CONFIG")) {
		error = fe_window_open(&gpu->window, &gpu->options.window, session, &gpu->memory);
	}
	/* As a driver that probes: what is offered may need the window. */
	if (has_protocol(gpu, VHOST_PROTOCOL_F_CONFIG) && step(gpu, &error, "GET_CONFIG")) {
		error = fe_session_get_config(session, 0, &gpu->config, sizeof(gpu->config));
	}
	return error;
}

int fe_gpu_send_memory(struct fe_gpu *gpu)
{
	int error = 0;

	if (gpu->max_memory_slots == 0 && gpu->window.size > 0) {
		return fe_window_send_table(&gpu->window);
	}
	if (gpu->max_memory_slots == 0) {
		return fe_session_set_mem_table(&gpu->session, &gpu->memory);
	}
	for (size_t i = 0; error == 0 && i < gpu->memory.count; i++) {
		if (gpu->memory.regions[i].fd >= 0) {
			error = fe_session_add_mem_reg(&gpu->session, &gpu->memory.regions[i]);
		}
	}
	return error;
}

static int forget_memory(struct fe_gpu *gpu)
{
	int error = 0;

	for (size_t i = 0; error == 0 && gpu->max_memory_slots > 0 && i < gpu->memory.count; i++) {
		if (gpu->memory.regions[i].fd >= 0) {
			error = fe_session_rem_mem_reg(&gpu->session, &gpu->memory.regions[i]);
		}
	}
	return error;
}

int fe_gpu_start_ring(struct fe_gpu *gpu, uint32_t index, uint32_t base)
{
	struct fe_session *session = &gpu->session;
	struct fe_queue *queue = &gpu->queues[index];
	int error = 0;

	if (step(gpu, &error, "first SET_VRING_CALL")) {
		error = fe_session_set_vring_call(session, index, queue->call);
	}
	if (step(gpu, &error, "SET_VRING_NUM")) {
		error = fe_session_set_vring_num(session, index, queue->size);
	}
	if (step(gpu, &error, "SET_VRING_BASE")) {
		error = fe_session_set_vring_base(session, index, base);
	}
	if (step(gpu, &error, "SET_VRING_ADDR")) {
		error = fe_session_set_vring_addr(session, index, queue);
	}
	if (step(gpu, &error, "SET_VRING_ERR")) {
		error = fe_session_set_vring_err(session, index, queue->err);
	}
	if (step(gpu, &error, "SET_VRING_KICK")) {
		error = fe_session_set_vring_kick(session, index, queue->kick);
	}
	if (step(gpu, &error, "SET_VRING_CALL")) {
		error = fe_session_set_vring_call(session, index, queue->call);
	}
	return error;
}

static int send_display_socket(struct fe_gpu *gpu)
{
	if (gpu->options.display_socket > 0) {
		return fe_session_gpu_set_socket(&gpu->session, gpu->options.display_socket);
	}
	int fd = fe_display_open(&gpu->display);

	if (fd < 0) {
		return fd;
	}
	int error = fe_session_gpu_set_socket(&gpu->session, fd);
	fd_close(&fd);
	return error;
}

static int start_rings(struct fe_gpu *gpu, const uint32_t *bases)
{
	int error = 0;

	for (uint32_t i = 0; error == 0 && i < WIRE_QUEUE_COUNT; i++) {
		error = fe_gpu_start_ring(gpu, i, bases[i]);
	}
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT && step(gpu, &error, "SET_VRING_ENABLE"); i++) {
		error = fe_session_set_vring_enable(&gpu->session, i, true);
	}
	return error;
}

/* 3.1.1: ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK */
static int set_running(struct fe_gpu *gpu)
{
	return has_protocol(gpu, VHOST_PROTOCOL_F_STATUS)
		? fe_session_set_status(&gpu->session, 1 | 2 | 8 | 4)
		: 0;
}

static int run_from(struct fe_gpu *gpu, const uint32_t *bases)
{
	int error = 0;

	if (gpu->options.dialect == FE_DIALECT_VMM && step(gpu, &error, "GPU_SET_SOCKET")) {
		error = send_display_socket(gpu);
	}
	if (step(gpu, &error, "SET_FEATURES")) {
		error = fe_session_set_features(&gpu->session, gpu->session.features);
	}
	if (step(gpu, &error, "memory")) {
		error = fe_gpu_send_memory(gpu);
	}
	if (step(gpu, &error, "rings")) {
		error = start_rings(gpu, bases);
	}
	if (step(gpu, &error, "SET_STATUS")) {
		error = set_running(gpu);
	}
	if (step(gpu, &error, "GET_FEATURES behind the rings")) {
		error = fe_session_get_features(&gpu->session, &gpu->offered);
	}
	return error;
}

int fe_gpu_run(struct fe_gpu *gpu)
{
	const uint32_t bases[WIRE_QUEUE_COUNT] = { 0 };

	return run_from(gpu, bases);
}

/* What a driver would accept of what is offered. */
static uint64_t choose_features(const struct fe_gpu *gpu)
{
	const uint64_t for_3d = (1u << VIRTIO_GPU_F_VIRGL) | (1u << VIRTIO_GPU_F_CONTEXT_INIT);
	const uint64_t known = (1u << VIRTIO_GPU_F_EDID) | (1u << VIRTIO_GPU_F_RESOURCE_UUID) |
		(1u << VIRTIO_GPU_F_RESOURCE_BLOB) | (1u << VIRTIO_RING_F_INDIRECT_DESC) |
		(1u << VIRTIO_RING_F_EVENT_IDX) | (1u << VHOST_F_PROTOCOL_FEATURES) |
		(gpu->options.renderer ? for_3d : 0) | (UINT64_C(1) << 32); // VIRTIO_F_VERSION_1

	return gpu->offered & known & ~gpu->options.features_off;
}

int fe_gpu_start(struct fe_gpu *gpu, int socket)
{
	int error = fe_gpu_negotiate(gpu, socket);

	if (error < 0) {
		return error;
	}
	gpu->session.features = choose_features(gpu);
	if (step(gpu, &error, "making rings")) {
		error = fe_gpu_make_rings(gpu);
	}
	return error < 0 ? error : fe_gpu_run(gpu);
}

int fe_gpu_stop(struct fe_gpu *gpu, uint32_t bases[static WIRE_QUEUE_COUNT])
{
	int error = 0;

	fe_display_close(&gpu->display);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT && step(gpu, &error, "SET_VRING_ENABLE 0"); i++) {
		error = fe_session_set_vring_enable(&gpu->session, i, false);
	}
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT && step(gpu, &error, "GET_VRING_BASE"); i++) {
		error = fe_session_get_vring_base(&gpu->session, i, &bases[i]);
	}
	if (step(gpu, &error, "REM_MEM_REG")) {
		error = forget_memory(gpu);
	}
	return error;
}

int fe_gpu_cont(struct fe_gpu *gpu, const uint32_t bases[static WIRE_QUEUE_COUNT])
{
	return run_from(gpu, bases);
}

int fe_gpu_reset(struct fe_gpu *gpu)
{
	uint32_t bases[WIRE_QUEUE_COUNT];
	int error = fe_gpu_stop(gpu, bases);

	fe_window_reset(&gpu->window);
	if (has_protocol(gpu, VHOST_PROTOCOL_F_RESET_DEVICE) && step(gpu, &error, "RESET_DEVICE")) {
		error = fe_session_reset_device(&gpu->session);
	} else if (has_protocol(gpu, VHOST_PROTOCOL_F_STATUS) && step(gpu, &error, "status 0")) {
		error = fe_session_set_status(&gpu->session, 0);
	}
	if (step(gpu, &error, "making rings")) {
		error = fe_gpu_make_rings(gpu);
	}
	return error < 0 ? error : fe_gpu_run(gpu);
}

static uint64_t place_request(
	struct fe_gpu *gpu, struct fe_gpu_slot *slot, const void *command, size_t size)
{
	if (size <= FE_GPU_REQUEST_ROOM) {
		memcpy(slot->buffer.host, command, size);
		return slot->buffer.addr;
	}
	slot->large = fe_memory_alloc(&gpu->memory, size, 16);
	if (slot->large.size == 0) {
		return 0;
	}
	memcpy(slot->large.host, command, size);
	return slot->large.addr;
}

static void release_slot(struct fe_gpu *gpu, uint32_t index)
{
	fe_memory_free(&gpu->memory, &gpu->slots[index].large);
	gpu->slots[index].next_free = gpu->free_slot;
	gpu->free_slot = index;
}

int fe_gpu_submit_with(struct fe_gpu *gpu, uint32_t queue, const void *command, size_t size,
	struct fe_buffer tail, uint32_t response_size)
{
	uint32_t index = gpu->free_slot;

	if (index == NO_SLOT || response_size > FE_GPU_RESPONSE_ROOM) {
		return -ENOSPC;
	}
	struct fe_gpu_slot *slot = &gpu->slots[index];
	const struct fe_buffer out[2] = {
		{ place_request(gpu, slot, command, size), (uint32_t)size },
		tail,
	};
	const struct fe_buffer in = { slot->buffer.addr + FE_GPU_REQUEST_ROOM, response_size };

	gpu->free_slot = slot->next_free;
	slot->response_size = response_size;
	memset((char *)slot->buffer.host + FE_GPU_REQUEST_ROOM, 0, response_size);
	int head = out[0].addr == 0 ? -ENOSPC
				    : fe_queue_add(&gpu->queues[queue], out, tail.len > 0 ? 2 : 1,
					      &in, response_size > 0 ? 1 : 0, index);
	if (head < 0) {
		release_slot(gpu, index);
		return head;
	}
	return (int)index;
}

int fe_gpu_submit(struct fe_gpu *gpu, uint32_t queue, const void *command, size_t size,
	uint32_t response_size)
{
	return fe_gpu_submit_with(
		gpu, queue, command, size, (struct fe_buffer){ 0 }, response_size);
}

void fe_gpu_flush(struct fe_gpu *gpu, uint32_t queue)
{
	fe_queue_kick(&gpu->queues[queue]);
}

bool fe_gpu_take(struct fe_gpu *gpu, uint32_t queue, struct fe_gpu_answer *answer)
{
	struct fe_used used;

	if (!fe_queue_take(&gpu->queues[queue], &used)) {
		return false;
	}
	*answer = (struct fe_gpu_answer){ .queue = queue, .len = used.len };
	if (used.token >= gpu->slot_count) {
		return true; // a chain that a test made itself
	}
	struct fe_gpu_slot *slot = &gpu->slots[used.token];
	const struct virtio_gpu_ctrl_hdr *header = (const void *)((const char *)slot->buffer.host +
		FE_GPU_REQUEST_ROOM);

	answer->slot = (uint32_t)used.token;
	answer->bytes = header;
	answer->type = slot->response_size >= sizeof(*header) ? header->type : 0;
	release_slot(gpu, answer->slot);
	return true;
}

static int wait_spinning(
	struct fe_gpu *gpu, uint32_t queue, struct fe_gpu_answer *answer, int timeout_ms)
{
	uint64_t end = fe_now_ns() + (uint64_t)timeout_ms * 1000000u;

	fe_queue_disable_call(&gpu->queues[queue]);
	for (uint32_t turn = 1; !fe_gpu_take(gpu, queue, answer); turn++) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
		if (turn % 4096 == 0 && fe_now_ns() >= end) {
			return -ETIMEDOUT;
		}
	}
	return 0;
}

int fe_gpu_wait(struct fe_gpu *gpu, uint32_t queue, struct fe_gpu_answer *answer, int timeout_ms)
{
	struct fe_queue *q = &gpu->queues[queue];

	if (gpu->spin) {
		return wait_spinning(gpu, queue, answer, timeout_ms);
	}
	while (!fe_gpu_take(gpu, queue, answer)) {
		if (fe_queue_enable_call(q)) {
			continue;
		}
		if (fd_event_clear(q->err)) {
			return -EIO;
		}
		int error = fe_pump_wait(&gpu->pump, q->call, timeout_ms);
		if (error < 0) {
			return fd_event_clear(q->err) ? -EIO : error;
		}
		fd_event_clear(q->call);
	}
	return 0;
}

int fe_gpu_call(struct fe_gpu *gpu, uint32_t queue, const void *command, size_t size,
	void *response, uint32_t response_size)
{
	struct fe_gpu_answer answer;
	uint32_t room = response ? response_size : sizeof(struct virtio_gpu_ctrl_hdr);
	int slot = fe_gpu_submit(gpu, queue, command, size, room);

	if (slot < 0) {
		return slot;
	}
	fe_gpu_flush(gpu, queue);
	int error = fe_gpu_wait(gpu, queue, &answer, gpu->timeout_ms);
	if (error < 0) {
		return error;
	}
	if (answer.slot != (uint32_t)slot) {
		return -EBADMSG;
	}
	if (response) {
		memcpy(response, answer.bytes, response_size);
	}
	return (int)answer.type;
}
