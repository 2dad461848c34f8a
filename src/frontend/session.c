/* SPDX-License-Identifier: MIT */
#include "frontend/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "frontend/wire.h"

void fe_session_init(struct fe_session *session, int socket, struct fe_pump *pump)
{
	*session = (struct fe_session){
		.socket = socket,
		.backend_requests = -1,
		.timeout_ms = FE_SESSION_TIMEOUT_MS,
		.pump = pump,
	};
}

static int connect_once(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, (const void *)address, sizeof(*address)) < 0) {
		int error = errno;

		fd_close(&fd);
		return -error;
	}
	return fd;
}

int fe_session_connect(const char *path, int timeout_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	uint64_t end = fe_now_ns() + (uint64_t)timeout_ms * 1000000u;

	if (strlen(path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	for (;;) {
		int fd = connect_once(&address);

		if ((fd != -ENOENT && fd != -ECONNREFUSED) || fe_now_ns() >= end) {
			return fd;
		}
		usleep(200);
	}
}

void fe_session_close(struct fe_session *session)
{
	fd_close(&session->socket);
	fd_close(&session->backend_requests);
}

int fe_session_send_bytes(
	struct fe_session *session, const void *bytes, size_t size, const int *fds, size_t fd_count)
{
	return fe_wire_write(session->socket, bytes, size, fds, fd_count);
}

int fe_session_send(struct fe_session *session, uint32_t request, uint32_t flags,
	const void *payload, uint32_t size, const int *fds, size_t fd_count)
{
	struct vhost_header header = { request, flags, size };
	struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)payload, size } };

	return fe_wire_writev(session->socket, iov, size > 0 ? 2 : 1, fds, fd_count);
}

int fe_session_receive(
	struct fe_session *session, struct vhost_header *header, void *payload, uint32_t capacity)
{
	int error = fe_wire_read(
		session->socket, session->pump, header, sizeof(*header), NULL, session->timeout_ms);

	if (error < 0) {
		return error;
	}
	if (header->size > capacity) {
		return -EMSGSIZE;
	}
	return fe_wire_read(
		session->socket, session->pump, payload, header->size, NULL, session->timeout_ms);
}

static int receive_reply(
	struct fe_session *session, uint32_t request, void *reply, uint32_t reply_size)
{
	struct vhost_header header;
	int error = fe_session_receive(session, &header, reply, reply_size);

	if (error < 0) {
		return error;
	}
	bool good = header.request == request && header.size == reply_size &&
		(header.flags & (VHOST_FLAG_VERSION_MASK | VHOST_FLAG_REPLY)) ==
			(VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	return good ? 0 : -EBADMSG;
}

int fe_session_ask(struct fe_session *session, uint32_t request, const void *payload, uint32_t size,
	void *reply, uint32_t reply_size)
{
	int error = fe_session_send(session, request, VHOST_FLAG_VERSION, payload, size, NULL, 0);

	return error < 0 ? error : receive_reply(session, request, reply, reply_size);
}

int fe_session_tell(struct fe_session *session, uint32_t request, const void *payload,
	uint32_t size, const int *fds, size_t fd_count)
{
	bool ack = session->ack &&
		(session->protocol_features & (UINT64_C(1) << VHOST_PROTOCOL_F_REPLY_ACK));
	uint32_t flags = VHOST_FLAG_VERSION | (ack ? (uint32_t)VHOST_FLAG_NEED_REPLY : 0);
	uint64_t answer = 0;

	int error = fe_session_send(session, request, flags, payload, size, fds, fd_count);
	if (error == 0 && ack) {
		error = receive_reply(session, request, &answer, sizeof(answer));
	}
	return error == 0 && answer != 0 ? -EREMOTEIO : error;
}

int fe_session_wait_closed(struct fe_session *session, int timeout_ms)
{
	uint8_t byte;
	int error = fe_wire_read(session->socket, session->pump, &byte, 1, NULL, timeout_ms);

	if (error == 0) {
		return -EBUSY;
	}
	return error == -ECONNRESET ? 0 : error;
}

bool fe_session_is_silent(struct fe_session *session, int timeout_ms)
{
	return fe_pump_wait(session->pump, session->socket, timeout_ms) == -ETIMEDOUT;
}

static int ask_u64(struct fe_session *session, uint32_t request, uint64_t *value)
{
	return fe_session_ask(session, request, NULL, 0, value, sizeof(*value));
}

static int tell_u64(struct fe_session *session, uint32_t request, uint64_t value)
{
	return fe_session_tell(session, request, &value, sizeof(value), NULL, 0);
}

int fe_session_get_features(struct fe_session *session, uint64_t *features)
{
	return ask_u64(session, VHOST_GET_FEATURES, features);
}

int fe_session_set_features(struct fe_session *session, uint64_t features)
{
	session->features = features;
	return tell_u64(session, VHOST_SET_FEATURES, features);
}

int fe_session_get_protocol_features(struct fe_session *session, uint64_t *features)
{
	return ask_u64(session, VHOST_GET_PROTOCOL_FEATURES, features);
}

int fe_session_set_protocol_features(struct fe_session *session, uint64_t features)
{
	session->protocol_features = features;
	return tell_u64(session, VHOST_SET_PROTOCOL_FEATURES, features);
}

int fe_session_set_owner(struct fe_session *session)
{
	return fe_session_tell(session, VHOST_SET_OWNER, NULL, 0, NULL, 0);
}

int fe_session_reset_owner(struct fe_session *session)
{
	return fe_session_tell(session, VHOST_RESET_OWNER, NULL, 0, NULL, 0);
}

int fe_session_get_queue_num(struct fe_session *session, uint64_t *count)
{
	return ask_u64(session, VHOST_GET_QUEUE_NUM, count);
}

int fe_session_get_max_mem_slots(struct fe_session *session, uint64_t *count)
{
	return ask_u64(session, VHOST_GET_MAX_MEM_SLOTS, count);
}

int fe_session_reset_device(struct fe_session *session)
{
	return fe_session_tell(session, VHOST_RESET_DEVICE, NULL, 0, NULL, 0);
}

int fe_session_set_status(struct fe_session *session, uint8_t status)
{
	return tell_u64(session, VHOST_SET_STATUS, status);
}

int fe_session_get_status(struct fe_session *session, uint64_t *status)
{
	return ask_u64(session, VHOST_GET_STATUS, status);
}

struct vhost_memory_region fe_session_describe(const struct fe_region *region)
{
	return (struct vhost_memory_region){
		.guest_addr = region->guest_addr,
		.size = region->size,
		.user_addr = (uintptr_t)region->host,
		.mmap_offset = region->mmap_offset,
	};
}

int fe_session_set_mem_table(struct fe_session *session, const struct fe_memory *memory)
{
	struct vhost_memory_table table = { 0 };
	int fds[VHOST_MEMORY_TABLE_MAX];

	for (size_t i = 0; i < memory->count && table.count < VHOST_MEMORY_TABLE_MAX; i++) {
		if (memory->regions[i].fd >= 0) {
			fds[table.count] = memory->regions[i].fd;
			table.regions[table.count++] = fe_session_describe(&memory->regions[i]);
		}
	}
	uint32_t size = (uint32_t)(8 + table.count * sizeof(table.regions[0]));
	return fe_session_tell(session, VHOST_SET_MEM_TABLE, &table, size, fds, table.count);
}

int fe_session_add_mem_reg(struct fe_session *session, const struct fe_region *region)
{
	struct vhost_single_region message = { .region = fe_session_describe(region) };

	return fe_session_tell(
		session, VHOST_ADD_MEM_REG, &message, sizeof(message), &region->fd, 1);
}

int fe_session_rem_mem_reg(struct fe_session *session, const struct fe_region *region)
{
	struct vhost_single_region message = { .region = fe_session_describe(region) };

	return fe_session_tell(session, VHOST_REM_MEM_REG, &message, sizeof(message), NULL, 0);
}

static int tell_state(struct fe_session *session, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_vring_state state = { index, num };

	return fe_session_tell(session, request, &state, sizeof(state), NULL, 0);
}

int fe_session_set_vring_num(struct fe_session *session, uint32_t index, uint32_t num)
{
	return tell_state(session, VHOST_SET_VRING_NUM, index, num);
}

int fe_session_set_vring_base(struct fe_session *session, uint32_t index, uint32_t base)
{
	return tell_state(session, VHOST_SET_VRING_BASE, index, base);
}

int fe_session_set_vring_enable(struct fe_session *session, uint32_t index, bool enable)
{
	return tell_state(session, VHOST_SET_VRING_ENABLE, index, enable);
}

int fe_session_get_vring_base(struct fe_session *session, uint32_t index, uint32_t *base)
{
	struct vhost_vring_state state = { index, 0 };
	int error = fe_session_ask(
		session, VHOST_GET_VRING_BASE, &state, sizeof(state), &state, sizeof(state));

	if (error == 0 && state.index != index) {
		error = -EBADMSG;
	}
	*base = state.num;
	return error;
}

int fe_session_set_vring_addr(
	struct fe_session *session, uint32_t index, const struct fe_queue *queue)
{
	struct vhost_vring_addr addr = {
		.index = index,
		.desc = (uintptr_t)queue->desc,
		.used = (uintptr_t)queue->used,
		.avail = (uintptr_t)queue->avail,
	};

	return fe_session_tell(session, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static int tell_fd(struct fe_session *session, uint32_t request, uint32_t index, int fd)
{
	uint64_t payload = index | (fd < 0 ? VHOST_VRING_NO_FD : 0);

	return fe_session_tell(session, request, &payload, sizeof(payload), &fd, fd < 0 ? 0 : 1);
}

int fe_session_set_vring_kick(struct fe_session *session, uint32_t index, int fd)
{
	return tell_fd(session, VHOST_SET_VRING_KICK, index, fd);
}

int fe_session_set_vring_call(struct fe_session *session, uint32_t index, int fd)
{
	return tell_fd(session, VHOST_SET_VRING_CALL, index, fd);
}

int fe_session_set_vring_err(struct fe_session *session, uint32_t index, int fd)
{
	return tell_fd(session, VHOST_SET_VRING_ERR, index, fd);
}

struct config_message {
	struct vhost_config_header header;
	uint8_t bytes[VHOST_CONFIG_MAX];
};

int fe_session_get_config(struct fe_session *session, uint32_t offset, void *config, uint32_t size)
{
	struct config_message message = { .header = { .offset = offset, .size = size } };
	uint32_t total = (uint32_t)sizeof(message.header) + size;

	if (size > sizeof(message.bytes)) {
		return -EMSGSIZE;
	}
	int error = fe_session_ask(session, VHOST_GET_CONFIG, &message, total, &message, total);
	if (error == 0) {
		memcpy(config, message.bytes, size);
	}
	return error;
}

int fe_session_set_config(
	struct fe_session *session, uint32_t offset, const void *bytes, uint32_t size)
{
	struct config_message message = { .header = { .offset = offset, .size = size } };

	if (size > sizeof(message.bytes)) {
		return -EMSGSIZE;
	}
	memcpy(message.bytes, bytes, size);
	return fe_session_tell(session, VHOST_SET_CONFIG, &message,
		(uint32_t)sizeof(message.header) + size, NULL, 0);
}

int fe_session_gpu_set_socket(struct fe_session *session, int fd)
{
	return fe_session_tell(session, VHOST_GPU_SET_SOCKET, NULL, 0, &fd, 1);
}

int fe_session_get_shmem_config(struct fe_session *session, struct vhost_shmem_config *config)
{
	return fe_session_ask(session, VHOST_GET_SHMEM_CONFIG, NULL, 0, config, sizeof(*config));
}

int fe_session_set_backend_req(struct fe_session *session)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	fd_close(&session->backend_requests);
	session->backend_requests = ends[0];
	int error = fe_session_tell(session, VHOST_SET_BACKEND_REQ_FD, NULL, 0, &ends[1], 1);
	fd_close(&ends[1]);
	return error;
}

int fe_session_backend_receive(struct fe_session *session, struct vhost_header *header,
	void *payload, uint32_t capacity, int *fd, int timeout_ms)
{
	int error = fe_wire_read(
		session->backend_requests, session->pump, header, sizeof(*header), fd, timeout_ms);

	if (error < 0) {
		return error;
	}
	if (header->size > capacity) {
		return -EMSGSIZE;
	}
	return fe_wire_read(
		session->backend_requests, session->pump, payload, header->size, NULL, timeout_ms);
}

int fe_session_backend_reply(
	struct fe_session *session, const struct vhost_header *request, uint64_t value)
{
	struct vhost_header header = { request->request, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
		sizeof(value) };
	struct iovec iov[2] = { { &header, sizeof(header) }, { &value, sizeof(value) } };

	return fe_wire_writev(session->backend_requests, iov, 2, NULL, 0);
}
