/* SPDX-License-Identifier: MIT */
#include "vhost/session_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

/* What each message must look like (vhost-user, Front-end message types), and who handles it. */
struct message_type {
	const char *name;
	uint16_t size_min; // bytes of payload
	uint16_t size_max;
	uint32_t (*size)(const union vhost_payload *payload); // where its content decides
	uint8_t fds_min;
	uint8_t fds_max;
	bool replies; // with something of its own, not with REPLY_ACK
	vhost_message_fn handle;
};

static int handle_set_owner(struct vhost_session *session, struct vhost_message *message)
{
	(void)session;
	(void)message;
	return 0;
}

/* Deprecated; the specification leaves the choice between ignoring it and this. */
static int handle_reset_owner(struct vhost_session *session, struct vhost_message *message)
{
	(void)message;
	for (uint32_t i = 0; i < session->config.queue_count; i++) {
		vhost_queue_enable(&session->queues[i], false);
	}
	return 0;
}

static int handle_get_queue_num(struct vhost_session *session, struct vhost_message *message)
{
	const uint64_t count = session->config.queue_count;

	return vhost_message_reply(session, message, &count, sizeof(count));
}

static int handle_gpu_set_socket(struct vhost_session *session, struct vhost_message *message)
{
	session->ops->set_gpu_socket(session->device, vhost_message_take_fd(message));
	return 0;
}

static int handle_reset_device(struct vhost_session *session, struct vhost_message *message)
{
	(void)message;
	vhost_session_reset(session);
	return 0;
}

/* VIRTIO 1.3, 2.1 Device Status Field: 0 resets the device. */
static int handle_set_status(struct vhost_session *session, struct vhost_message *message)
{
	if (message->payload.u64 > UINT8_MAX) {
		return vhost_message_refuse(message, -EINVAL, "0x%llx has more than eight bits",
			(unsigned long long)message->payload.u64);
	}
	session->status = (uint8_t)message->payload.u64;
	if (session->status == 0) {
		vhost_session_reset(session);
	}
	return 0;
}

static int handle_get_status(struct vhost_session *session, struct vhost_message *message)
{
	const uint64_t status = session->status;

	return vhost_message_reply(session, message, &status, sizeof(status));
}

#define EMPTY .size_min = 0, .size_max = 0
#define PAYLOAD(m) \
	.size_min = sizeof(((union vhost_payload *)0)->m), \
	.size_max = sizeof(((union vhost_payload *)0)->m)
#define FDS(a, b) .fds_min = (a), .fds_max = (b)

static const struct message_type types[VHOST_REQUEST_COUNT] = {
	[VHOST_GET_FEATURES] = { "GET_FEATURES", EMPTY, .replies = true,
		.handle = vhost_handle_get_features },
	[VHOST_SET_FEATURES] = { "SET_FEATURES", PAYLOAD(u64),
		.handle = vhost_handle_set_features },
	[VHOST_SET_OWNER] = { "SET_OWNER", EMPTY, .handle = handle_set_owner },
	[VHOST_RESET_OWNER] = { "RESET_OWNER", EMPTY, .handle = handle_reset_owner },
	[VHOST_SET_MEM_TABLE] = { "SET_MEM_TABLE", .size_min = 8,
		.size_max = sizeof(struct vhost_memory_table), .size = vhost_memory_table_size,
		FDS(0, VHOST_MEMORY_TABLE_MAX), .handle = vhost_handle_set_mem_table },
	[VHOST_SET_VRING_NUM] = { "SET_VRING_NUM", PAYLOAD(state),
		.handle = vhost_handle_set_vring_num },
	[VHOST_SET_VRING_ADDR] = { "SET_VRING_ADDR", PAYLOAD(addr),
		.handle = vhost_handle_set_vring_addr },
	[VHOST_SET_VRING_BASE] = { "SET_VRING_BASE", PAYLOAD(state),
		.handle = vhost_handle_set_vring_base },
	[VHOST_GET_VRING_BASE] = { "GET_VRING_BASE", PAYLOAD(state), .replies = true,
		.handle = vhost_handle_get_vring_base },
	[VHOST_SET_VRING_KICK] = { "SET_VRING_KICK", PAYLOAD(u64), FDS(0, 1),
		.handle = vhost_handle_set_vring_kick },
	[VHOST_SET_VRING_CALL] = { "SET_VRING_CALL", PAYLOAD(u64), FDS(0, 1),
		.handle = vhost_handle_set_vring_call },
	[VHOST_SET_VRING_ERR] = { "SET_VRING_ERR", PAYLOAD(u64), FDS(0, 1),
		.handle = vhost_handle_set_vring_err },
	[VHOST_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", EMPTY, .replies = true,
		.handle = vhost_handle_get_protocol_features },
	[VHOST_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", PAYLOAD(u64),
		.handle = vhost_handle_set_protocol_features },
	[VHOST_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", EMPTY, .replies = true,
		.handle = handle_get_queue_num },
	[VHOST_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", PAYLOAD(state),
		.handle = vhost_handle_set_vring_enable },
	[VHOST_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", EMPTY, FDS(1, 1),
		.handle = vhost_handle_set_backend_req_fd },
	[VHOST_GET_CONFIG] = { "GET_CONFIG", .size_min = sizeof(struct vhost_config_header),
		.size_max = sizeof(struct vhost_config_space), .size = vhost_config_space_size,
		.replies = true, .handle = vhost_handle_get_config },
	[VHOST_SET_CONFIG] = { "SET_CONFIG", .size_min = sizeof(struct vhost_config_header),
		.size_max = sizeof(struct vhost_config_space), .size = vhost_config_space_size,
		.handle = vhost_handle_set_config },
	[VHOST_GPU_SET_SOCKET] = { "GPU_SET_SOCKET", EMPTY, FDS(1, 1),
		.handle = handle_gpu_set_socket },
	[VHOST_RESET_DEVICE] = { "RESET_DEVICE", EMPTY, .handle = handle_reset_device },
	[VHOST_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", EMPTY, .replies = true,
		.handle = vhost_handle_get_max_mem_slots },
	[VHOST_ADD_MEM_REG] = { "ADD_MEM_REG", PAYLOAD(region), FDS(1, 1),
		.handle = vhost_handle_add_mem_reg },
	/* Older front ends send a descriptor along, which is not looked at. */
	[VHOST_REM_MEM_REG] = { "REM_MEM_REG", PAYLOAD(region), FDS(0, 1),
		.handle = vhost_handle_rem_mem_reg },
	[VHOST_SET_STATUS] = { "SET_STATUS", PAYLOAD(u64), .handle = handle_set_status },
	[VHOST_GET_SHMEM_CONFIG] = { "GET_SHMEM_CONFIG", EMPTY, .replies = true,
		.handle = vhost_handle_get_shmem_config },
	[VHOST_GET_STATUS] = { "GET_STATUS", EMPTY, .replies = true, .handle = handle_get_status },
};

static const struct message_type *find_type(uint32_t request)
{
	return request < VHOST_REQUEST_COUNT && types[request].handle ? &types[request] : NULL;
}

const char *vhost_message_name(uint32_t request)
{
	const struct message_type *type = find_type(request);

	return type ? type->name : "unknown message";
}

static int refuse(uint32_t request, int error, const char *format, va_list args)
{
	static struct log_limit limit = LOG_LIMIT_INIT;
	char text[160];

	vsnprintf(text, sizeof(text), format, args);
	if (error == -EBADMSG) {
		log_limited(&limit, LOG_ERROR, "%s: %s; this ends the session",
			vhost_message_name(request), text);
	} else {
		log_limited(&limit, LOG_ERROR, "%s: %s: %s", vhost_message_name(request), text,
			strerror(-error));
	}
	return error;
}

int vhost_message_refuse(const struct vhost_message *message, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	refuse(message->header.request, error, format, args);
	va_end(args);
	return error;
}

static int refuse_header(const struct vhost_header *header, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse_header(const struct vhost_header *header, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	refuse(header->request, -EBADMSG, format, args);
	va_end(args);
	return -EBADMSG;
}

int vhost_message_check_header(const struct vhost_header *header)
{
	const struct message_type *type = find_type(header->request);

	if ((header->flags & VHOST_FLAG_VERSION_MASK) != VHOST_FLAG_VERSION) {
		return refuse_header(
			header, "version %u, not 1", header->flags & VHOST_FLAG_VERSION_MASK);
	}
	if (header->flags & VHOST_FLAG_REPLY) {
		return refuse_header(header, "an answer that was not asked for");
	}
	if (!type) {
		return refuse_header(header, "number %u", header->request);
	}
	if (header->size < type->size_min || header->size > type->size_max) {
		return refuse_header(header, "%u bytes, not %u to %u", header->size, type->size_min,
			type->size_max);
	}
	return 0;
}

static int check_body(const struct message_type *type, const struct vhost_message *message)
{
	if (message->too_many_fds || message->fd_count < type->fds_min ||
		message->fd_count > type->fds_max) {
		return vhost_message_refuse(message, -EBADMSG, "%zu descriptors, not %u to %u",
			message->fd_count, type->fds_min, type->fds_max);
	}
	if (type->size && type->size(&message->payload) != message->header.size) {
		return vhost_message_refuse(message, -EBADMSG,
			"%u bytes are not what it says it has", message->header.size);
	}
	return 0;
}

int vhost_message_reply(struct vhost_session *session, const struct vhost_message *message,
	const void *payload, uint32_t size)
{
	int error = vhost_wire_send(&session->wire, message->header.request,
		VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, payload, size);

	/* Who hung up before the answer did not do so in the middle of a message. */
	return error == -EPIPE ? -ECONNRESET : error;
}

/* REPLY_ACK: 0 for success, anything else for failure. */
static int acknowledge(
	struct vhost_session *session, const struct vhost_message *message, int result)
{
	const uint64_t failed = result < 0;

	if (!(message->header.flags & VHOST_FLAG_NEED_REPLY) ||
		!vhost_session_has(session, VHOST_PROTOCOL_F_REPLY_ACK)) {
		return 0;
	}
	return vhost_message_reply(session, message, &failed, sizeof(failed));
}

int vhost_message_handle(struct vhost_session *session, struct vhost_message *message)
{
	const struct message_type *type = find_type(message->header.request);
	int result = check_body(type, message);

	if (result < 0) {
		return result;
	}
	result = type->handle(session, message);
	if (type->replies || result == -EBADMSG) {
		return result;
	}
	return acknowledge(session, message, result);
}

int vhost_message_take_fd(struct vhost_message *message)
{
	int fd = message->fd_count > 0 ? message->fds[0] : -1;

	if (message->fd_count > 0) {
		message->fds[0] = -1;
	}
	return fd;
}
