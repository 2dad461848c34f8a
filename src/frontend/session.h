/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_SESSION_H
#define FRONTEND_SESSION_H

/*
 * A vhost-user connection, front-end side. Every message is a function; fe_session_send and
 * fe_session_send_bytes say anything else, right or wrong. Functions return 0 (or what they say) or
 * -errno: -ETIMEDOUT when no answer came within timeout_ms, -ECONNRESET when the back end hung up,
 * -EBADMSG for an answer of a wrong shape, -EREMOTEIO when REPLY_ACK carried a refusal.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontend/memory.h"
#include "frontend/pump.h"
#include "frontend/queue.h"
#include "vhost/protocol.h"

enum fe_session_limits {
	FE_SESSION_TIMEOUT_MS = 5000,
};

struct fe_session {
	int socket; // -1 when closed
	int backend_requests; // our end of SET_BACKEND_REQ_FD; -1: none
	int timeout_ms; // of each answer
	struct fe_pump *pump; // borrowed, served while waiting; may be NULL
	uint64_t features; // last SET_FEATURES
	uint64_t protocol_features; // last SET_PROTOCOL_FEATURES
	bool ack; // ask for a REPLY_ACK wherever a message has no answer of its own
};

/* Uses a connected socket (taken). */
void fe_session_init(struct fe_session *session, int socket, struct fe_pump *pump);

/* Connects to a unix socket, trying again until timeout_ms is over. Returns a descriptor or -errno. */
int fe_session_connect(const char *path, int timeout_ms);

/* Closes all. Can be called twice. */
void fe_session_close(struct fe_session *session);

/*
 * Sends exactly these bytes and descriptors (borrowed): pieces, several messages at once, rubbish.
 * fds travel with the first byte.
 */
int fe_session_send_bytes(struct fe_session *session, const void *bytes, size_t size,
	const int *fds, size_t fd_count);

/* Sends one message. flags is VHOST_FLAG_VERSION in proper ones. fds are borrowed. */
int fe_session_send(struct fe_session *session, uint32_t request, uint32_t flags,
	const void *payload, uint32_t size, const int *fds, size_t fd_count);

/*
 * Reads one message: at most capacity bytes of payload; one that is larger is -EMSGSIZE. Descriptors
 * that come with it are closed.
 */
int fe_session_receive(
	struct fe_session *session, struct vhost_header *header, void *payload, uint32_t capacity);

/* Sends a message without descriptors and reads its answer, which must have exactly reply_size. */
int fe_session_ask(struct fe_session *session, uint32_t request, const void *payload, uint32_t size,
	void *reply, uint32_t reply_size);

/*
 * Sends a message that has no answer of its own; with session->ack and REPLY_ACK it asks for one and
 * waits. Anything but 0 in it becomes -EREMOTEIO.
 */
int fe_session_tell(struct fe_session *session, uint32_t request, const void *payload,
	uint32_t size, const int *fds, size_t fd_count);

/* Waits until the back end hangs up; -ETIMEDOUT if it does not, -EBUSY if it says something. */
int fe_session_wait_closed(struct fe_session *session, int timeout_ms);

/* Is the back end silent for so long? True also means that it did not hang up. */
bool fe_session_is_silent(struct fe_session *session, int timeout_ms);

/* The messages. u64 ones. */
int fe_session_get_features(struct fe_session *session, uint64_t *features);
int fe_session_set_features(struct fe_session *session, uint64_t features);
int fe_session_get_protocol_features(struct fe_session *session, uint64_t *features);
int fe_session_set_protocol_features(struct fe_session *session, uint64_t features);
int fe_session_set_owner(struct fe_session *session);
int fe_session_reset_owner(struct fe_session *session);
int fe_session_get_queue_num(struct fe_session *session, uint64_t *count);
int fe_session_get_max_mem_slots(struct fe_session *session, uint64_t *count);
int fe_session_reset_device(struct fe_session *session);
int fe_session_set_status(struct fe_session *session, uint8_t status);
int fe_session_get_status(struct fe_session *session, uint64_t *status);

/* Memory. The table takes count regions from the first on (removed ones are left out). */
struct vhost_memory_region fe_session_describe(const struct fe_region *region);
int fe_session_set_mem_table(struct fe_session *session, const struct fe_memory *memory);
int fe_session_add_mem_reg(struct fe_session *session, const struct fe_region *region);
int fe_session_rem_mem_reg(struct fe_session *session, const struct fe_region *region);

/* Rings. */
int fe_session_set_vring_num(struct fe_session *session, uint32_t index, uint32_t num);
int fe_session_set_vring_base(struct fe_session *session, uint32_t index, uint32_t base);
int fe_session_get_vring_base(struct fe_session *session, uint32_t index, uint32_t *base);
int fe_session_set_vring_addr(
	struct fe_session *session, uint32_t index, const struct fe_queue *queue);
int fe_session_set_vring_kick(struct fe_session *session, uint32_t index, int fd); // -1: none
int fe_session_set_vring_call(struct fe_session *session, uint32_t index, int fd);
int fe_session_set_vring_err(struct fe_session *session, uint32_t index, int fd);
int fe_session_set_vring_enable(struct fe_session *session, uint32_t index, bool enable);

/* Configuration space. size bytes from offset; the answer must have the size asked for. */
int fe_session_get_config(struct fe_session *session, uint32_t offset, void *config, uint32_t size);
int fe_session_set_config(
	struct fe_session *session, uint32_t offset, const void *bytes, uint32_t size);

/* Hands over the display socket (borrowed: close it afterwards). */
int fe_session_gpu_set_socket(struct fe_session *session, int fd);

/* The shared memory regions; see also window.h. */
int fe_session_get_shmem_config(struct fe_session *session, struct vhost_shmem_config *config);

/* Makes the channel for requests of the back end and hands its other end over. */
int fe_session_set_backend_req(struct fe_session *session);

/*
 * Reads one request of the back end from that channel. *fd becomes the first descriptor (the
 * caller's) or -1; fd may be NULL.
 */
int fe_session_backend_receive(struct fe_session *session, struct vhost_header *header,
	void *payload, uint32_t capacity, int *fd, int timeout_ms);

/* Answers it with a number. */
int fe_session_backend_reply(
	struct fe_session *session, const struct vhost_header *request, uint64_t value);

#endif
