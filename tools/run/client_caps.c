/* SPDX-License-Identifier: MIT */
#include "run/client_impl.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

static int read_capset(struct client *client, uint32_t id, uint32_t version,
	uint8_t bytes[static DEVICE_CAPSET_MAX], uint32_t *size)
{
	struct virtio_gpu_resp_capset_info info;
	int error = device_find_capset(client->device, id, &info);

	if (error < 0) {
		return error;
	}
	if (version > info.capset_max_version || info.capset_max_size > DEVICE_CAPSET_MAX) {
		return -ENOENT;
	}
	*size = info.capset_max_size;
	return device_get_capset(client->device, id, version, bytes, *size);
}

/* These two count bytes, and one more; the command is the capset's number. */
static int send_caps(struct client *client, uint32_t id)
{
	struct {
		struct vtest_header header;
		uint8_t bytes[DEVICE_CAPSET_MAX];
	} answer;
	uint32_t size = 0;
	int error = read_capset(client, id, 1, answer.bytes, &size);

	if (error < 0) {
		log_error("the daemon has no VirGL capset %u", id);
		return error;
	}
	answer.header = (struct vtest_header){ size + 1, id };
	return client_reply(client, &answer, sizeof(answer.header) + size);
}

int client_run_get_caps(struct client *client, const void *body, uint32_t length)
{
	(void)body;
	(void)length;
	return send_caps(client, VIRTIO_GPU_CAPSET_VIRGL);
}

int client_run_get_caps2(struct client *client, const void *body, uint32_t length)
{
	(void)body;
	(void)length;
	return send_caps(client, VIRTIO_GPU_CAPSET_VIRGL2);
}

int client_run_get_capset(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_get_capset *wanted = body;
	struct {
		struct vtest_header header;
		uint32_t known;
		uint8_t bytes[DEVICE_CAPSET_MAX];
	} answer;
	uint32_t size = 0;
	int error = read_capset(client, wanted->id, wanted->version, answer.bytes, &size);

	(void)length;
	if (error == -ENOENT || size % 4 != 0) {
		return client_reply_number(client, VTEST_GET_CAPSET, 0);
	}
	if (error < 0) {
		return error;
	}
	answer.header = (struct vtest_header){ 1 + size / 4, VTEST_GET_CAPSET };
	answer.known = 1;
	return client_reply(client, &answer, sizeof(answer.header) + sizeof(answer.known) + size);
}

int client_run_ping(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_header answer = { 0, VTEST_PING_PROTOCOL_VERSION };

	(void)body;
	(void)length;
	return client_reply(client, &answer, sizeof(answer));
}

/* 1 was withdrawn: whoever wants it gets 0. */
int client_run_protocol_version(struct client *client, const void *body, uint32_t length)
{
	uint32_t wanted = *(const uint32_t *)body;

	(void)length;
	client->version = wanted < VTEST_VERSION ? wanted : VTEST_VERSION;
	if (client->version == 1) {
		client->version = 0;
	}
	return client_reply_number(client, VTEST_PROTOCOL_VERSION, client->version);
}

int client_run_get_param(struct client *client, const void *body, uint32_t length)
{
	bool known = *(const uint32_t *)body == VTEST_PARAM_MAX_RINGS;
	const uint32_t answer[4] = { 2, VTEST_GET_PARAM, known, known ? VTEST_RINGS : 0 };

	(void)length;
	return client_reply(client, answer, sizeof(answer));
}

int client_run_context_init(struct client *client, const void *body, uint32_t length)
{
	uint32_t capset_id = *(const uint32_t *)body;

	(void)length;
	if (capset_id == 0 || (client->device->has_context && capset_id != client->capset_id)) {
		return client_refuse(
			client, "CONTEXT_INIT with a capset that cannot be", capset_id);
	}
	client->capset_id = capset_id;
	return client_need_context(client);
}
