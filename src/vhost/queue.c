/* SPDX-License-Identifier: MIT */
#include "vhost/session_impl.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"

/*
 * How this works
 *
 * A ring has two states that are independent of each other (vhost-user, Ring states): started, by the
 * first notification, until GET_VRING_BASE; and enabled, by SET_VRING_ENABLE. It runs, that is, a virtq
 * exists and the device may use it, when it is both, was described whole, and is not broken. Each
 * message changes the description and calls vhost_queue_update, which starts what should run.
 *
 * A ring that goes on from an index other than 0 has been notified before, and what was asked for then
 * may be answered only now: it starts when it is enabled, without another notification.
 *
 * The notification's descriptor is watched only while the ring is enabled, so that one which comes
 * earlier waits in its counter. GET_VRING_BASE closes it: a front end brings a new one to start again.
 */

static void destroy_ring(struct vhost_queue *queue)
{
	queue->base = virtq_next_avail(queue->ring);
	virtq_destroy(queue->ring);
	queue->ring = NULL;
}

static void unwatch_kick(struct vhost_queue *queue)
{
	loop_remove_fd(queue->kick);
	queue->kick = NULL;
}

/* Until it is set up anew. */
static void break_queue(struct vhost_queue *queue)
{
	queue->broken = true;
	unwatch_kick(queue);
	if (queue->err_fd >= 0) {
		fd_event_signal(queue->err_fd);
	}
}

static bool translate(struct vhost_queue *queue, uint64_t user_addr, uint64_t len, uint64_t *addr)
{
	return memory_user_to_guest(queue->session->memory, user_addr, len, addr);
}

/* Sizes: see virtq_create, which checks whole ranges. */
static bool locate_ring(struct vhost_queue *queue, struct virtq_config *config)
{
	return translate(queue, queue->addr.desc, 1, &config->desc) &&
		translate(queue, queue->addr.avail, 1, &config->avail) &&
		translate(queue, queue->addr.used, 1, &config->used);
}

static void create_ring(struct vhost_queue *queue)
{
	const struct vhost_session *session = queue->session;
	struct virtq_config config = {
		.size = queue->size,
		.next_avail = queue->base,
		.event_idx = session->features >> VIRTIO_RING_F_EVENT_IDX & 1,
		.indirect = session->features >> VIRTIO_RING_F_INDIRECT_DESC & 1,
	};

	errno = EFAULT;
	queue->ring = locate_ring(queue, &config) ? virtq_create(session->memory, &config) : NULL;
	if (!queue->ring) {
		log_errno(LOG_ERROR, errno, "queue %u: the ring cannot be used", queue->index);
		break_queue(queue);
		return;
	}
	session->ops->queue_started(session->device, queue->index, queue->ring);
	session->ops->queue_kicked(session->device, queue->index);
}

static void start_queue(struct vhost_queue *queue)
{
	if (!vhost_session_is_started(queue->session)) {
		vhost_session_resume(queue->session);
	}
	queue->started = true;
	vhost_queue_update(queue);
}

static void handle_kick(void *data, int events)
{
	struct vhost_queue *queue = data;
	struct vhost_session *session = queue->session;

	(void)events;
	if (!fd_event_clear(queue->kick_fd)) {
		if (errno == EAGAIN) {
			return; // the front end took the notification back
		}
		log_errno(LOG_ERROR, errno, "queue %u: cannot read notifications", queue->index);
		vhost_queue_pause(queue);
		break_queue(queue);
		return;
	}
	session->stats.kicks++;
	if (!queue->started) {
		start_queue(queue);
	} else if (queue->ring) {
		session->ops->queue_kicked(session->device, queue->index);
	}
	vhost_session_check_memory(session);
}

static void watch_kick(struct vhost_queue *queue)
{
	if (queue->kick || queue->kick_fd < 0) {
		return;
	}
	queue->kick = loop_add_fd(
		queue->session->loop, queue->kick_fd, LOOP_READABLE, handle_kick, queue);
	if (!queue->kick) {
		break_queue(queue);
	}
}

void vhost_queue_update(struct vhost_queue *queue)
{
	if (!queue->enabled || queue->broken || queue->kick_fd < 0) {
		return;
	}
	watch_kick(queue);
	if (queue->goes_on && !queue->started) {
		start_queue(queue);
		return;
	}
	if (queue->started && !queue->broken && queue->size && queue->addr_set && !queue->ring) {
		create_ring(queue);
	}
}

void vhost_queue_pause(struct vhost_queue *queue)
{
	if (queue->ring) {
		queue->session->ops->queue_stopped(queue->session->device, queue->index);
		destroy_ring(queue);
	}
}

void vhost_queue_enable(struct vhost_queue *queue, bool enable)
{
	queue->enabled = enable;
	if (enable) {
		vhost_queue_update(queue);
	} else {
		vhost_queue_pause(queue);
		unwatch_kick(queue);
	}
}

static void drop_kick(struct vhost_queue *queue)
{
	unwatch_kick(queue);
	fd_close(&queue->kick_fd);
}

void vhost_queue_stop(struct vhost_queue *queue)
{
	vhost_queue_pause(queue);
	drop_kick(queue);
	queue->started = false;
	queue->goes_on = false;
	queue->broken = false;
}

/*
 * Call and error descriptors stay: QEMU brings the latter once, before it resets the device for the
 * first time.
 */
void vhost_queue_reset(struct vhost_queue *queue)
{
	vhost_queue_stop(queue);
	queue->size = 0;
	queue->base = 0;
	queue->addr_set = false;
	queue->enabled = !queue->session->rings_need_enable;
	queue->call_missed = false;
}

void vhost_queue_init(struct vhost_queue *queue, struct vhost_session *session, uint32_t index)
{
	*queue = (struct vhost_queue){
		.session = session,
		.index = index,
		.kick_fd = -1,
		.call_fd = -1,
		.err_fd = -1,
	};
}

void vhost_queue_finish(struct vhost_queue *queue)
{
	if (queue->ring) {
		destroy_ring(queue);
	}
	drop_kick(queue);
	fd_close(&queue->call_fd);
	fd_close(&queue->err_fd);
}

static void signal_call(struct vhost_queue *queue)
{
	queue->session->stats.calls++;
	fd_event_signal(queue->call_fd);
}

void vhost_session_call(struct vhost_session *session, uint32_t index)
{
	struct vhost_queue *queue = &session->queues[index];

	assert(index < session->config.queue_count);
	if (queue->call_fd >= 0) {
		signal_call(queue);
	} else {
		queue->call_missed = true;
	}
	/* Work that was polled for, or ended later, may be what hit lost memory: no kick looks at it. */
	vhost_session_check_memory(session);
}

void vhost_session_fail_queue(struct vhost_session *session, uint32_t index)
{
	struct vhost_queue *queue = &session->queues[index];

	assert(index < session->config.queue_count);
	if (queue->ring) {
		destroy_ring(queue);
	}
	break_queue(queue);
}

/* NULL when there is no such queue (logged). */
static struct vhost_queue *find_queue(
	struct vhost_session *session, const struct vhost_message *message, uint64_t index)
{
	if (index >= session->config.queue_count) {
		vhost_message_refuse(message, -EINVAL, "queue %u of %u", (unsigned int)index,
			session->config.queue_count);
		return NULL;
	}
	return &session->queues[index];
}

int vhost_handle_set_vring_num(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_vring_state *state = &message->payload.state;
	struct vhost_queue *queue = find_queue(session, message, state->index);

	if (!queue) {
		return -EINVAL;
	}
	if (!checked_is_power_of_two(state->num) || state->num > VIRTQ_SIZE_MAX) {
		return vhost_message_refuse(message, -EINVAL,
			"queue %u: %u entries are no power of two up to %u", state->index,
			state->num, VIRTQ_SIZE_MAX);
	}
	if (queue->ring) {
		return vhost_message_refuse(message, -EBUSY, "queue %u runs", state->index);
	}
	queue->size = (uint16_t)state->num;
	vhost_queue_update(queue);
	return 0;
}

int vhost_handle_set_vring_addr(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_vring_addr *addr = &message->payload.addr;
	struct vhost_queue *queue = find_queue(session, message, addr->index);

	if (!queue) {
		return -EINVAL;
	}
	vhost_queue_pause(queue);
	queue->addr = *addr;
	queue->addr_set = true;
	queue->broken = false;
	vhost_queue_update(queue);
	return 0;
}

int vhost_handle_set_vring_base(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_vring_state *state = &message->payload.state;
	struct vhost_queue *queue = find_queue(session, message, state->index);

	if (!queue) {
		return -EINVAL;
	}
	if (state->num > UINT16_MAX) {
		return vhost_message_refuse(
			message, -EINVAL, "queue %u: index %u", state->index, state->num);
	}
	if (queue->ring) {
		return vhost_message_refuse(message, -EBUSY, "queue %u runs", state->index);
	}
	vhost_session_note_base(session, queue, (uint16_t)state->num);
	queue->base = (uint16_t)state->num;
	queue->goes_on = state->num != 0;
	vhost_queue_update(queue);
	return 0;
}

/* Answered at once, whatever is under way: the front end waits for it in its main loop. */
int vhost_handle_get_vring_base(struct vhost_session *session, struct vhost_message *message)
{
	struct vhost_vring_state state = message->payload.state;
	struct vhost_queue *queue = find_queue(session, message, state.index);
	bool was_started = vhost_session_is_started(session);

	if (!queue) {
		return -EINVAL;
	}
	vhost_queue_stop(queue);
	if (was_started && !vhost_session_is_started(session)) {
		vhost_session_suspend(session);
	}
	state.num = queue->base;
	return vhost_message_reply(session, message, &state, sizeof(state));
}

int vhost_handle_set_vring_enable(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_vring_state *state = &message->payload.state;
	struct vhost_queue *queue = find_queue(session, message, state->index);

	if (!queue) {
		return -EINVAL;
	}
	if (state->num > 1) {
		return vhost_message_refuse(message, -EINVAL, "queue %u: %u is neither 0 nor 1",
			state->index, state->num);
	}
	vhost_queue_enable(queue, state->num);
	vhost_channel_send(session);
	return 0;
}

/*
 * The descriptor of SET_VRING_KICK, CALL and ERR, made non-blocking, or -1 where the message says that
 * there is none. Returns 0 or -errno (logged).
 */
static int take_vring_fd(struct vhost_message *message, int *fd)
{
	bool none = message->payload.u64 & VHOST_VRING_NO_FD;
	int error;

	*fd = -1;
	if (message->fd_count != (none ? 0 : 1)) {
		return vhost_message_refuse(message, -EBADMSG, "%zu descriptors, not %d",
			message->fd_count, none ? 0 : 1);
	}
	if (none) {
		return 0;
	}
	error = fd_set_nonblocking(message->fds[0]);
	if (error < 0) {
		return vhost_message_refuse(message, error, "the descriptor cannot be used");
	}
	*fd = vhost_message_take_fd(message);
	return 0;
}

/* The queue that SET_VRING_KICK, CALL or ERR names, and its descriptor or -1. Returns 0 or -errno. */
static int take_vring(struct vhost_session *session, struct vhost_message *message,
	struct vhost_queue **queue, int *fd)
{
	*queue = find_queue(session, message, message->payload.u64 & VHOST_VRING_INDEX_MASK);
	return *queue ? take_vring_fd(message, fd) : -EINVAL;
}

/* Without a descriptor the ring would have to be polled for ever, which is not done. */
int vhost_handle_set_vring_kick(struct vhost_session *session, struct vhost_message *message)
{
	struct vhost_queue *queue;
	int fd;
	int error = take_vring(session, message, &queue, &fd);

	if (error < 0) {
		return error;
	}
	if (fd < 0) {
		return vhost_message_refuse(message, -ENOTSUP,
			"queue %u: rings without a descriptor are not supported", queue->index);
	}
	drop_kick(queue);
	queue->kick_fd = fd;
	vhost_queue_update(queue);
	return 0;
}

int vhost_handle_set_vring_call(struct vhost_session *session, struct vhost_message *message)
{
	struct vhost_queue *queue;
	int fd;
	int error = take_vring(session, message, &queue, &fd);

	if (error < 0) {
		return error;
	}
	fd_close(&queue->call_fd);
	queue->call_fd = fd;
	if (fd >= 0 && queue->call_missed) {
		queue->call_missed = false;
		signal_call(queue);
	}
	return 0;
}

int vhost_handle_set_vring_err(struct vhost_session *session, struct vhost_message *message)
{
	struct vhost_queue *queue;
	int fd;
	int error = take_vring(session, message, &queue, &fd);

	if (error < 0) {
		return error;
	}
	fd_close(&queue->err_fd);
	queue->err_fd = fd;
	return 0;
}
