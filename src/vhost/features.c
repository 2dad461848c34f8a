/* SPDX-License-Identifier: MIT */
#include "vhost/session_impl.h"

/*
 * What is offered is what is implemented, no more: QEMU acknowledges every protocol feature that it
 * knows, so an answer proves nothing. LOG_SHMFD and VHOST_F_LOG_ALL are left out on purpose: with them
 * QEMU would let the guest migrate, and its resources and screens would stay behind.
 */
static const uint64_t always_offered = 1ull << VHOST_PROTOCOL_F_MQ |
	1ull << VHOST_PROTOCOL_F_REPLY_ACK | 1ull << VHOST_PROTOCOL_F_BACKEND_REQ |
	1ull << VHOST_PROTOCOL_F_CONFIG | 1ull << VHOST_PROTOCOL_F_BACKEND_SEND_FD |
	1ull << VHOST_PROTOCOL_F_RESET_DEVICE | 1ull << VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS |
	1ull << VHOST_PROTOCOL_F_STATUS;

static uint64_t offered_protocol_features(const struct vhost_session *session)
{
	return always_offered | (session->config.window_size ? 1ull << VHOST_PROTOCOL_F_SHMEM : 0);
}

static uint64_t offered_features(const struct vhost_session *session)
{
	return session->ops->get_features(session->device) | 1ull << VHOST_F_PROTOCOL_FEATURES;
}

bool vhost_session_has(const struct vhost_session *session, enum vhost_protocol_feature feature)
{
	return session->protocol_features >> feature & 1;
}

int vhost_handle_get_features(struct vhost_session *session, struct vhost_message *message)
{
	const uint64_t features = offered_features(session);

	return vhost_message_reply(session, message, &features, sizeof(features));
}

/* QEMU adds bits that nobody offered (VIRTIO_F_RING_RESET): what was not offered is not taken. */
int vhost_handle_set_features(struct vhost_session *session, struct vhost_message *message)
{
	session->features = message->payload.u64 & offered_features(session);
	session->rings_need_enable = session->features >> VHOST_F_PROTOCOL_FEATURES & 1;
	session->ops->set_features(
		session->device, session->features & ~(1ull << VHOST_F_PROTOCOL_FEATURES));
	for (uint32_t i = 0; i < session->config.queue_count; i++) {
		struct vhost_queue *queue = &session->queues[i];

		/* A ring that runs takes up the features of the ring (event index, indirect). */
		vhost_queue_pause(queue);
		vhost_queue_enable(queue, queue->enabled || !session->rings_need_enable);
	}
	return 0;
}

int vhost_handle_get_protocol_features(struct vhost_session *session, struct vhost_message *message)
{
	const uint64_t features = offered_protocol_features(session);

	return vhost_message_reply(session, message, &features, sizeof(features));
}

int vhost_handle_set_protocol_features(struct vhost_session *session, struct vhost_message *message)
{
	session->protocol_features = message->payload.u64 & offered_protocol_features(session);
	return 0;
}
