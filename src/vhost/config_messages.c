/* SPDX-License-Identifier: MIT */
#include "vhost/session_impl.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"

/* UINT32_MAX, which no message has, when it is larger than a configuration space can be. */
uint32_t vhost_config_space_size(const union vhost_payload *payload)
{
	const struct vhost_config_header *header = &payload->config.header;

	if (header->size > VHOST_CONFIG_MAX) {
		return UINT32_MAX;
	}
	return (uint32_t)sizeof(*header) + header->size;
}

/*
 * The answer has the size that was asked for, though the device's space be smaller: a front end whose
 * structure grew gets zeros. No payload at all means that it cannot be had.
 */
int vhost_handle_get_config(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_config_header *header = &message->payload.config.header;
	struct vhost_config_space answer = { .header = *header };
	uint8_t config[VHOST_CONFIG_MAX] = { 0 };

	session->suspension.config_read = true;
	if (!checked_range_within(header->offset, header->size, VHOST_CONFIG_MAX)) {
		return vhost_message_reply(session, message, NULL, 0);
	}
	session->ops->get_config(session->device, config);
	memcpy(answer.bytes, config + header->offset, header->size);
	return vhost_message_reply(
		session, message, &answer, (uint32_t)sizeof(*header) + header->size);
}

int vhost_handle_set_config(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_config_space *space = &message->payload.config;
	uint8_t config[VHOST_CONFIG_MAX];
	size_t config_size = session->ops->get_config(session->device, config);
	int error;

	/* Flags say where the bytes come from: 0 the driver, 1 a migration, which is not offered. */
	if (space->header.flags != 0) {
		return vhost_message_refuse(
			message, -EINVAL, "flags %u are not supported", space->header.flags);
	}
	if (!checked_range_within(space->header.offset, space->header.size, config_size)) {
		return vhost_message_refuse(message, -EINVAL, "%u bytes at %u of %zu",
			space->header.size, space->header.offset, config_size);
	}
	error = session->ops->set_config(
		session->device, space->header.offset, space->bytes, space->header.size);
	if (error < 0) {
		return vhost_message_refuse(
			message, error, "%u bytes at %u", space->header.size, space->header.offset);
	}
	return 0;
}
