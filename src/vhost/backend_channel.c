/* SPDX-License-Identifier: MIT */
#include "vhost/session.h"

#include <errno.h>

#include "base/log.h"
#include "vhost/session_impl.h"

/*
 * How this works
 *
 * Requests to the front end go out without waiting; answers are read when they come. An answer names its
 * request's number, and the front end answers in order: the window has a list of what it asked for
 * (window.c), and what is refused of the rest is only told to the log. Waiting here would lock both sides up: the front end may wait for
 * our answer on the other socket before it looks at this one. A channel that breaks is closed and the
 * session goes on without it.
 */

/* Answers in one turn of the loop. */
#define ANSWERS_A_TURN 16

void vhost_channel_close(struct vhost_session *session, const char *why, int error)
{
	log_errno(LOG_WARN, error, "back-end requests: %s; the channel is closed", why);
	vhost_wire_close(&session->channel);
	vhost_window_lose_channel(session);
}

static int take_answer(struct vhost_session *session, const struct vhost_message *answer)
{
	static struct log_limit limit = LOG_LIMIT_INIT;

	if (!(answer->header.flags & VHOST_FLAG_REPLY) ||
		answer->header.size != sizeof(answer->payload.u64)) {
		return -EBADMSG;
	}
	if (answer->header.request == VHOST_BACKEND_SHMEM_MAP ||
		answer->header.request == VHOST_BACKEND_SHMEM_UNMAP) {
		return vhost_window_take_answer(session, answer);
	}
	if (answer->payload.u64) {
		log_limited(&limit, LOG_WARN, "the front end refused back-end request %u",
			answer->header.request);
	}
	return 0;
}

/* Returns 1 after an answer, 0 when none is whole, or -errno. */
static int read_answer(struct vhost_session *session)
{
	struct vhost_wire *channel = &session->channel;
	int result = vhost_wire_read_header(channel);

	if (result != 1) {
		return result;
	}
	if (channel->in.header.size > sizeof(channel->in.payload.u64)) {
		return -EBADMSG;
	}
	result = vhost_wire_read_payload(channel);
	if (result != 1) {
		return result;
	}
	result = take_answer(session, &channel->in);
	vhost_wire_next(channel);
	return result < 0 ? result : 1;
}

static int read_answers(struct vhost_session *session)
{
	int result = 1;

	/* What is left makes the socket readable again. */
	for (int i = 0; i < ANSWERS_A_TURN && result == 1; i++) {
		result = read_answer(session);
	}
	return result < 0 ? result : 0;
}

static void handle_channel(void *data, int events)
{
	struct vhost_session *session = data;
	int result = 0;

	if (events & LOOP_WRITABLE) {
		result = vhost_wire_flush(&session->channel);
		vhost_window_send(session);
	}
	if (result == 0 && (events & LOOP_READABLE)) {
		result = read_answers(session);
	}
	if (result < 0) {
		vhost_channel_close(session, "cannot talk to the front end", -result);
	}
}

int vhost_handle_set_backend_req_fd(struct vhost_session *session, struct vhost_message *message)
{
	int error;

	vhost_wire_close(&session->channel);
	vhost_window_lose_channel(session);
	error = vhost_wire_open(&session->channel, session->loop, vhost_message_take_fd(message),
		handle_channel, session);
	if (error < 0) {
		return vhost_message_refuse(message, error, "the descriptor cannot be watched");
	}
	vhost_window_send(session);
	return 0;
}

static int send_config_change(struct vhost_session *session)
{
	bool acks = vhost_session_has(session, VHOST_PROTOCOL_F_REPLY_ACK);
	uint32_t flags = VHOST_FLAG_VERSION | (acks ? (uint32_t)VHOST_FLAG_NEED_REPLY : 0);
	int error = vhost_wire_send(&session->channel, VHOST_BACKEND_CONFIG_CHANGE, flags, NULL, 0);

	if (error == -ENOBUFS) {
		/* Earlier ones wait unread: each of them makes the front end look at what is now. */
		return 0;
	}
	if (error < 0) {
		vhost_channel_close(session, "cannot send", -error);
		return -ENOTSUP;
	}
	return 0;
}

int vhost_session_config_changed(struct vhost_session *session)
{
	if (session->channel.fd < 0) {
		return -ENOTSUP;
	}
	if (!vhost_session_takes_requests(session)) {
		session->config_change_due = true;
		return -EBUSY;
	}
	return send_config_change(session);
}

static void send_due(struct vhost_session *session)
{
	if (session->config_change_due) {
		session->config_change_due = false;
		if (session->channel.fd >= 0) {
			send_config_change(session);
		}
	}
}

void vhost_channel_send(struct vhost_session *session)
{
	if (vhost_session_takes_requests(session)) {
		send_due(session);
		vhost_window_send(session);
	}
}

void vhost_channel_resume(struct vhost_session *session)
{
	send_due(session);
	vhost_window_resume(session);
}
