/* SPDX-License-Identifier: MIT */
#ifndef VHOST_SESSION_IMPL_H
#define VHOST_SESSION_IMPL_H

/* What the files of vhost/ share. */

#include "base/list.h"
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

/* Does the front end name mappings in its memory table, too? */
enum vhost_listing {
	VHOST_LISTING_UNKNOWN,
	VHOST_LISTING_NO, // crosvm
	VHOST_LISTING_YES, // QEMU
};

/* How far a map or an unmap has come (window.c). */
enum vhost_stage {
	VHOST_STAGE_NONE, // mapped
	VHOST_STAGE_WAITING, // to be sent
	VHOST_STAGE_ASKED, // sent
	VHOST_STAGE_ACKED, // mapped, and not named by the memory table yet
	VHOST_STAGE_ENDED, // the device is to be told
	VHOST_STAGE_COUNT,
};

/* The host-visible window and what is in it (window.c). */
struct vhost_window {
	bool wanted; // GET_SHMEM_CONFIG came
	enum vhost_listing listing;
	struct list mappings; // vhost_mapping.link, in the order in which the front end gets them
	struct list stages[VHOST_STAGE_COUNT]; // vhost_mapping.step: the same
	uint32_t counts[VHOST_STAGE_COUNT];
	uint32_t count; // of all
	struct list listed; // listed_region.link: regions of the memory table that are mappings
	uint32_t listed_count;
	struct loop_deferred *turn; // tells and sends; NULL without a window
	struct loop_timer *limit; // of those that are acked
};

struct vhost_session {
	struct loop *loop;
	struct memory *memory;
	const struct vhost_device_ops *ops;
	void *device;
	struct vhost_session_config config;
	struct vhost_wire wire;
	struct vhost_wire channel; // of SET_BACKEND_REQ_FD; closed without it
	struct vhost_window window;
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

/*
 * May the front end be asked for something? Not while it stops the device, either, for which it disables
 * the rings first: QEMU 11.1 follows a NULL pointer when it finds a request after that.
 */
bool vhost_session_takes_requests(const struct vhost_session *session);
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
/* Nothing more can be said on it (logged; error is an errno value). */
void vhost_channel_close(struct vhost_session *session, const char *why, int error);
/* Sends what waited, if it may go out now. */
void vhost_channel_send(struct vhost_session *session);
/* The same at the end of the suspension. */
void vhost_channel_resume(struct vhost_session *session);

/* window.c */
int vhost_window_init(struct vhost_session *session); // 0 or -ENOMEM
void vhost_window_finish(struct vhost_session *session); // can be called twice
void vhost_window_suspend(struct vhost_session *session);
void vhost_window_resume(struct vhost_session *session);
void vhost_window_reset(struct vhost_session *session);
/* The channel came, or can be written again; or broke. */
void vhost_window_send(struct vhost_session *session);
void vhost_window_lose_channel(struct vhost_session *session);
/* An answer to SHMEM_MAP or SHMEM_UNMAP. Returns 0, or -EBADMSG when none was asked for. */
int vhost_window_take_answer(struct vhost_session *session, const struct vhost_message *answer);
/*
 * If the region's file is a mapping's, the region is no guest memory: notes it on `listed` and returns 1.
 * Returns 0 when it is not, or -errno.
 */
int vhost_window_list(struct vhost_session *session, struct list *listed,
	const struct vhost_memory_region *region, int fd);
/* The table has these from now on (moved from the list), or none of `listed` (freed). */
void vhost_window_replace_listed(struct vhost_session *session, struct list *listed);
void vhost_window_drop_listed(struct list *listed);
/* Forgets a region that was noted. Returns false when it was not. */
bool vhost_window_unlist(struct vhost_session *session, const struct vhost_memory_region *region);
int vhost_handle_get_shmem_config(struct vhost_session *session, struct vhost_message *message);

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
