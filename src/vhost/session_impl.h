/* SPDX-License-Identifier: MIT */
#ifndef VHOST_SESSION_IMPL_H
#define VHOST_SESSION_IMPL_H

/* What the files of vhost/ share. */

#include "vhost/session.h"
#include "vhost/wire.h"

/* An index is eight bits in SET_VRING_KICK, CALL and ERR. */
#define VHOST_QUEUE_MAX 256

/* One ring, as the front end described it. queue.c says when it runs. */
struct vhost_queue {
	struct vhost_session *session;
	uint32_t index;
	uint16_t size; // SET_VRING_NUM; 0: not set
	uint16_t base; // next request to pop; while the ring runs, virtq knows it
	bool goes_on; // SET_VRING_BASE gave an index other than 0: it need not be kicked again
	struct vhost_vring_addr addr;
	bool addr_set;
	bool enabled;
	bool started; // by a kick, until GET_VRING_BASE
	bool broken;
	bool call_missed; // the driver was to be notified, without a descriptor for it
	int kick_fd; // -1: none, as the next two
	int call_fd;
	int err_fd;
	struct loop_fd *kick; // watches kick_fd while enabled and not broken
	struct virtq *ring; // NULL while it does not run
};

/*
 * What tells a reset from a pause after all rings were stopped (session.c). Valid from then on until a
 * ring starts.
 */
struct vhost_suspension {
	bool valid;
	bool config_read; // a driver that goes on would not probe
	bool rewound; // a ring that had moved was set back to index 0
	bool resumed; // a ring was given an index to go on from
};

struct vhost_session {
	struct loop *loop;
	struct memory *memory;
	const struct vhost_device_ops *ops;
	void *device;
	struct vhost_session_config config;
	struct vhost_wire wire;
	struct vhost_wire channel; // of SET_BACKEND_REQ_FD; closed without it
	uint64_t features; // SET_FEATURES; 0 before
	uint64_t protocol_features;
	bool rings_need_enable; // VHOST_F_PROTOCOL_FEATURES was chosen, or nothing yet
	uint8_t status;
	bool config_change_due; // it changed while suspended
	struct loop_deferred *end; // at the end of the turn: memory was lost
	struct vhost_suspension suspension;
	struct vhost_session_stats stats;
	struct vhost_queue *queues; // config.queue_count
};

/*
 * A message's handler: returns 0, or -errno after a line in the log. -EBADMSG ends the session, as any
 * error does where the message has a reply of its own; the rest is told with REPLY_ACK if asked for.
 */
typedef int (*vhost_message_fn)(struct vhost_session *session, struct vhost_message *message);

/* message.c */
int vhost_message_check_header(const struct vhost_header *header);
int vhost_message_handle(struct vhost_session *session, struct vhost_message *message);
const char *vhost_message_name(uint32_t request);
/* Sends the answer to a message. Returns 0 or -errno. */
int vhost_message_reply(struct vhost_session *session, const struct vhost_message *message,
	const void *payload, uint32_t size);
/* Writes "NAME: ..." into the log, not too often, and returns error. */
int vhost_message_refuse(const struct vhost_message *message, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The message's first descriptor, now the caller's; -1 when it has none. */
int vhost_message_take_fd(struct vhost_message *message);

/* session.c */
bool vhost_session_is_started(const struct vhost_session *session); // is any ring?
void vhost_session_pause_queues(struct vhost_session *session);
/* The first ring is about to run, or the last one was stopped. */
void vhost_session_resume(struct vhost_session *session);
void vhost_session_suspend(struct vhost_session *session);
void vhost_session_note_base(
	struct vhost_session *session, const struct vhost_queue *queue, uint16_t base);
void vhost_session_reset(struct vhost_session *session);
/* Ends the session at the end of the turn if guest memory was lost. */
void vhost_session_check_memory(struct vhost_session *session);

/* queue.c */
void vhost_queue_init(struct vhost_queue *queue, struct vhost_session *session, uint32_t index);
void vhost_queue_finish(struct vhost_queue *queue); // without telling the device
void vhost_queue_enable(struct vhost_queue *queue, bool enable);
void vhost_queue_pause(struct vhost_queue *queue); // until vhost_queue_update
void vhost_queue_update(struct vhost_queue *queue); // runs what should run
void vhost_queue_stop(struct vhost_queue *queue);
void vhost_queue_reset(struct vhost_queue *queue);
int vhost_handle_set_vring_num(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_vring_addr(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_vring_base(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_get_vring_base(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_vring_kick(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_vring_call(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_vring_err(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_vring_enable(struct vhost_session *session, struct vhost_message *message);

/* memory_messages.c */
uint32_t vhost_memory_table_size(const union vhost_payload *payload);
int vhost_handle_set_mem_table(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_get_max_mem_slots(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_add_mem_reg(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_rem_mem_reg(struct vhost_session *session, struct vhost_message *message);

/* backend_channel.c */
int vhost_handle_set_backend_req_fd(struct vhost_session *session, struct vhost_message *message);
/* Sends what waited for the end of the suspension. */
void vhost_channel_resume(struct vhost_session *session);

/* features.c */
bool vhost_session_has(const struct vhost_session *session, enum vhost_protocol_feature feature);
int vhost_handle_get_features(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_features(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_get_protocol_features(
	struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_protocol_features(
	struct vhost_session *session, struct vhost_message *message);

/* config_messages.c */
uint32_t vhost_config_space_size(const union vhost_payload *payload);
int vhost_handle_get_config(struct vhost_session *session, struct vhost_message *message);
int vhost_handle_set_config(struct vhost_session *session, struct vhost_message *message);

#endif
