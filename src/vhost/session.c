/* SPDX-License-Identifier: MIT */
#include "vhost/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "vhost/session_impl.h"

/*
 * How this works
 *
 * Messages are handled in the order in which they come, some in one turn of the loop. A message that
 * breaks the protocol ends the session; what a well-formed message asks for in vain is told by REPLY_ACK.
 *
 * Stop is not reset. When the last ring stops, the device is suspended: nothing is written, notified or
 * sent, and all of its state stays. RESET_DEVICE or a status of 0 resets it at once. But QEMU's generic
 * device, and every front end without those features, sends the same for "the VM is paused" and for
 * "the driver went": GET_VRING_BASE. Only the restart tells them apart, so the device is reset when the
 * first ring starts again, if since the stop
 *
 *   - the configuration space was read, which a driver does when it probes, or a ring was set back to
 *     index 0 from another, and
 *   - no ring was given an index other than 0 to go on from.
 *
 * Both are needed: an index that has just wrapped is 0, too. Until then the screens stay as they are.
 */

/* Messages in one turn of the loop; the rings are looked at in between. */
#define MESSAGES_A_TURN 16

bool vhost_session_is_started(const struct vhost_session *session)
{
	for (uint32_t i = 0; i < session->config.queue_count; i++) {
		if (session->queues[i].started) {
			return true;
		}
	}
	return false;
}

bool vhost_session_takes_requests(const struct vhost_session *session)
{
	for (uint32_t i = 0; i < session->config.queue_count; i++) {
		if (session->queues[i].started && !session->queues[i].enabled) {
			return false;
		}
	}
	return vhost_session_is_started(session);
}

void vhost_session_pause_queues(struct vhost_session *session)
{
	for (uint32_t i = 0; i < session->config.queue_count; i++) {
		vhost_queue_pause(&session->queues[i]);
	}
}

static void reset_device(struct vhost_session *session)
{
	session->suspension = (struct vhost_suspension){ 0 };
	session->config_change_due = false;
	vhost_window_reset(session);
	session->ops->reset(session->device);
}

void vhost_session_suspend(struct vhost_session *session)
{
	session->suspension = (struct vhost_suspension){ .valid = true };
	vhost_window_suspend(session);
	session->ops->suspended(session->device);
}

void vhost_session_note_base(
	struct vhost_session *session, const struct vhost_queue *queue, uint16_t base)
{
	session->suspension.rewound |= base == 0 && queue->base != 0;
	session->suspension.resumed |= base != 0;
}

void vhost_session_resume(struct vhost_session *session)
{
	const struct vhost_suspension *suspension = &session->suspension;

	if (suspension->valid && !suspension->resumed &&
		(suspension->config_read || suspension->rewound)) {
		log_debug("a driver starts anew: the device is reset");
		reset_device(session);
	}
	session->suspension.valid = false;
	vhost_channel_resume(session);
}

void vhost_session_reset(struct vhost_session *session)
{
	bool was_started = vhost_session_is_started(session);

	for (uint32_t i = 0; i < session->config.queue_count; i++) {
		vhost_queue_reset(&session->queues[i]);
	}
	if (was_started) {
		vhost_session_suspend(session);
	}
	session->status = 0;
	reset_device(session);
}

static void close_all(struct vhost_session *session)
{
	for (uint32_t i = 0; i < session->config.queue_count; i++) {
		vhost_queue_finish(&session->queues[i]);
	}
	vhost_window_finish(session);
	vhost_wire_close(&session->channel);
	vhost_wire_close(&session->wire);
}

/* The session may be gone when this returns. */
static void end_session(struct vhost_session *session)
{
	vhost_session_pause_queues(session);
	close_all(session);
	/* It may be scheduled, and a session ends once, though the device keep it for a while. */
	loop_remove_deferred(session->end);
	session->end = NULL;
	session->ops->closed(session->device);
}

static void handle_lost_memory(void *data)
{
	log_error("guest memory vanished: the front end made its file smaller; this ends the "
		  "session");
	end_session(data);
}

void vhost_session_check_memory(struct vhost_session *session)
{
	if (memory_is_damaged(session->memory)) {
		loop_deferred_schedule(session->end);
	}
}

/* Returns 1 after a message, 0 when none is whole yet, or -errno: the session is over. */
static int handle_message(struct vhost_session *session)
{
	struct vhost_wire *wire = &session->wire;
	int result = vhost_wire_read_header(wire);

	if (result != 1) {
		return result;
	}
	result = vhost_message_check_header(&wire->in.header);
	if (result < 0) {
		return result;
	}
	result = vhost_wire_read_payload(wire);
	if (result != 1) {
		return result;
	}
	session->stats.messages++;
	result = vhost_message_handle(session, &wire->in);
	vhost_wire_next(wire);
	return result < 0 ? result : 1;
}

static int handle_messages(struct vhost_session *session)
{
	int result = 1;

	for (int i = 0; i < MESSAGES_A_TURN && result == 1; i++) {
		result = handle_message(session);
	}
	return result;
}

static void log_end(int error)
{
	switch (error) {
	case -EBADMSG: // logged where it was seen
	case -ECONNRESET: // it hung up, as it may
		break;
	case -ENOBUFS:
		log_error("the front end does not read our answers; this ends the session");
		break;
	case -EPIPE:
		log_error("the front end hung up in the middle of a message");
		break;
	default:
		log_error("cannot talk to the front end: %s", strerror(-error));
		break;
	}
}

static void handle_socket(void *data, int events)
{
	struct vhost_session *session = data;
	int result = events & LOOP_WRITABLE ? vhost_wire_flush(&session->wire) : 0;

	if (result >= 0 && (events & LOOP_READABLE)) {
		result = handle_messages(session);
	}
	if (result < 0) {
		log_end(result);
		end_session(session);
		return;
	}
	vhost_session_check_memory(session);
}

static void check_ops(const struct vhost_device_ops *ops)
{
	assert(ops->get_features && ops->set_features && ops->get_config && ops->set_config &&
		ops->queue_started && ops->queue_kicked && ops->queue_stopped && ops->suspended &&
		ops->reset && ops->set_gpu_socket && ops->closed);
}

struct vhost_session *vhost_session_create(struct loop *loop, struct memory *memory, int socket,
	const struct vhost_session_config *config, const struct vhost_device_ops *ops, void *device)
{
	struct vhost_session *session = calloc(1, sizeof(*session));

	check_ops(ops);
	assert(config->queue_count > 0 && config->queue_count <= VHOST_QUEUE_MAX);
	assert(config->window_size == 0 || ops->window_operation_done);
	if (!session) {
		goto fail;
	}
	*session = (struct vhost_session){
		.loop = loop,
		.memory = memory,
		.ops = ops,
		.device = device,
		.config = *config,
		.rings_need_enable = true,
	};
	vhost_wire_init(&session->wire);
	vhost_wire_init(&session->channel);
	if (vhost_window_init(session) < 0) {
		goto fail;
	}
	session->end = loop_add_deferred(loop, handle_lost_memory, session);
	session->queues = calloc(config->queue_count, sizeof(*session->queues));
	if (!session->end || !session->queues) {
		goto fail;
	}
	for (uint32_t i = 0; i < config->queue_count; i++) {
		vhost_queue_init(&session->queues[i], session, i);
	}
	if (vhost_wire_open(&session->wire, loop, socket, handle_socket, session) < 0) {
		vhost_session_destroy(session);
		return NULL;
	}
	return session;

fail:
	log_error("no memory for a vhost-user session");
	fd_close(&socket);
	if (session) {
		session->config.queue_count = 0; // none was made
		vhost_session_destroy(session);
	}
	return NULL;
}

void vhost_session_destroy(struct vhost_session *session)
{
	if (!session) {
		return;
	}
	close_all(session);
	loop_remove_deferred(session->end);
	free(session->queues);
	free(session);
}

uint64_t vhost_session_features(const struct vhost_session *session)
{
	return session->features;
}

struct vhost_session_stats vhost_session_stats(const struct vhost_session *session)
{
	return session->stats;
}
