/* SPDX-License-Identifier: MIT */
#include "run/client_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* The end of a batch sets sync objects. */
struct batch_end {
	struct syncs *syncs;
	size_t count;
	struct batch_value {
		struct sync *sync; // a reference
		uint64_t value;
	} values[];
};

static void handle_stream_done(void *data)
{
	input_release(data);
}

/* Hands over a stream where it lies, with flags of the command's header. */
static int submit(struct client *client, uint64_t addr, uint32_t size, uint32_t flags)
{
	const struct virtio_gpu_cmd_submit command = {
		.hdr = {
			.type = VIRTIO_GPU_CMD_SUBMIT_3D,
			.flags = flags,
			.ctx_id = DEVICE_CONTEXT,
		},
		.size = size,
	};
	struct input_chunk *chunk = input_hold(&client->input);
	int error = device_send(client->device, &command, sizeof(command),
		(struct fe_buffer){ addr, size }, handle_stream_done, chunk);

	if (error < 0) {
		input_release(chunk);
	}
	device_kick(client->device);
	return error;
}

int client_run_submit(struct client *client, const void *body, uint32_t length)
{
	uint64_t addr;
	int error;

	(void)body;
	if (length > MESSAGE_MAX / 4) {
		return client_refuse(client, "a command stream that is too long", length);
	}
	error = client_need_all(client, length * 4);
	if (error < 0) {
		return error;
	}
	addr = input_addr(&client->input);
	error = submit(client, addr, length * 4, VIRTIO_GPU_FLAG_FENCE);
	input_take(&client->input, length * 4);
	return error;
}

int client_run_sync_create(struct client *client, const void *body, uint32_t length)
{
	uint32_t id = syncs_create(&client->syncs, vtest_u64(*(const struct vtest_u64 *)body));

	(void)length;
	return id ? client_reply_number(client, VTEST_SYNC_CREATE, id)
		  : client_refuse(client, "too many sync objects", SYNC_MAX);
}

int client_run_sync_unref(struct client *client, const void *body, uint32_t length)
{
	(void)length;
	syncs_unref(&client->syncs, *(const uint32_t *)body);
	return 0;
}

int client_run_sync_read(struct client *client, const void *body, uint32_t length)
{
	uint32_t id = *(const uint32_t *)body;
	uint64_t value;
	int error = device_reap(client->device);

	(void)length;
	if (error < 0) {
		return error;
	}
	if (!syncs_read(&client->syncs, id, &value)) {
		return client_refuse(client, "there is no sync object", id);
	}
	const uint32_t answer[4] = { 2, VTEST_SYNC_READ, (uint32_t)value, (uint32_t)(value >> 32) };
	return client_reply(client, answer, sizeof(answer));
}

int client_run_sync_write(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_sync_value *wanted = body;
	struct sync *sync = syncs_hold(&client->syncs, wanted->id);

	(void)length;
	if (!sync) {
		return client_refuse(client, "there is no sync object", wanted->id);
	}
	syncs_set(&client->syncs, sync, vtest_u64(wanted->value));
	syncs_release(&client->syncs, sync);
	return 0;
}

/* A body of the length that the header says, copied: it is read twice. The caller's; NULL: *error. */
static void *copy_body(struct client *client, uint32_t length, size_t head, int *error)
{
	void *copy = NULL;

	if (length > MESSAGE_MAX / 4 || length * 4 < head) {
		*error = client_refuse(client, "a message of a wrong length", length);
		return NULL;
	}
	*error = client_need_all(client, length * 4);
	if (*error >= 0) {
		copy = malloc(length * 4);
		*error = copy ? 0 : -ENOMEM;
	}
	if (copy) {
		memcpy(copy, input_at(&client->input), length * 4);
	}
	return copy;
}

static int answer_sync_wait(struct client *client, const struct vtest_sync_wait *wait, size_t count)
{
	const struct vtest_header answer = { 0, VTEST_SYNC_WAIT };
	int fd = syncs_wait(&client->syncs, (const void *)(wait + 1), count,
		wait->flags & VTEST_SYNC_WAIT_FLAG_ANY, wait->timeout);
	int error;

	if (fd < 0) {
		return client_refuse(
			client, "a wait for sync objects that is not possible", (uint32_t)-fd);
	}
	error = client_reply(client, &answer, sizeof(answer));
	if (error == 0) {
		error = client_reply_fd(client, fd);
	}
	fd_close(&fd);
	return error;
}

int client_run_sync_wait(struct client *client, const void *body, uint32_t length)
{
	size_t rest = length * 4 - sizeof(struct vtest_sync_wait);
	int error;
	struct vtest_sync_wait *wait = copy_body(
		client, length, sizeof(struct vtest_sync_wait), &error);

	(void)body;
	if (!wait) {
		return error;
	}
	input_take(&client->input, length * 4);
	error = device_reap(client->device);
	if (error == 0) {
		error = rest % sizeof(struct vtest_sync_value) == 0
			? answer_sync_wait(client, wait, rest / sizeof(struct vtest_sync_value))
			: client_refuse(client, "a wait of a wrong length", length);
	}
	free(wait);
	return error;
}

static void set_and_free(struct batch_end *end, bool set)
{
	for (size_t i = 0; i < end->count; i++) {
		if (set) {
			syncs_set(end->syncs, end->values[i].sync, end->values[i].value);
		}
		syncs_release(end->syncs, end->values[i].sync);
	}
	free(end);
}

static void handle_batch_done(void *data)
{
	set_and_free(data, true);
}

/* NULL: *error. */
static struct batch_end *make_end(
	struct client *client, const struct vtest_sync_value *values, size_t count, int *error)
{
	struct batch_end *end = malloc(sizeof(*end) + count * sizeof(end->values[0]));

	*error = end ? 0 : -ENOMEM;
	if (end) {
		*end = (struct batch_end){ .syncs = &client->syncs };
	}
	while (end && end->count < count) {
		const struct vtest_sync_value *value = &values[end->count];
		struct sync *sync = syncs_hold(&client->syncs, value->id);

		if (!sync) {
			*error = client_refuse(client, "there is no sync object", value->id);
			set_and_free(end, false);
			return NULL;
		}
		end->values[end->count++] = (struct batch_value){ sync, vtest_u64(value->value) };
	}
	return end;
}

/*
 * The ring's fence comes behind the commands, in a command of its own: it can take as long as the client
 * likes, for instance until it has sent more, and holds none of the input meanwhile.
 */
static int send_fence(struct client *client, uint32_t ring, struct batch_end *end)
{
	const struct virtio_gpu_cmd_submit command = {
		.hdr = {
			.type = VIRTIO_GPU_CMD_SUBMIT_3D,
			.flags = VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX,
			.ctx_id = DEVICE_CONTEXT,
			.ring_idx = (uint8_t)ring,
		},
	};
	int error = device_send(client->device, &command, sizeof(command), (struct fe_buffer){ 0 },
		handle_batch_done, end);

	if (error < 0) {
		set_and_free(end, false);
	}
	device_kick(client->device);
	return error;
}

/* Without a ring, objects are set when the commands before have been taken: so has one behind them. */
static int set_at_once(struct client *client, struct batch_end *end)
{
	const struct virtio_gpu_cmd_submit command = {
		.hdr = { .type = VIRTIO_GPU_CMD_SUBMIT_3D, .ctx_id = DEVICE_CONTEXT },
	};
	int error;

	client->is_taken = false;
	error = device_send(client->device, &command, sizeof(command), (struct fe_buffer){ 0 },
		device_set, &client->is_taken);
	if (error == 0) {
		error = device_wait_until(client->device, &client->is_taken);
	}
	set_and_free(end, error == 0);
	return error;
}

static int send_batch(struct client *client, const struct vtest_batch *batch,
	const struct vtest_sync_value *values)
{
	struct batch_end *end;
	int error = 0;

	if (batch->cmd_size > 0) {
		error = submit(client, input_addr(&client->input) + (uint64_t)batch->cmd_offset * 4,
			batch->cmd_size * 4, 0);
	}
	if (error < 0 || batch->sync_count == 0) {
		return error;
	}
	end = make_end(client, values, batch->sync_count, &error);
	if (!end) {
		return error;
	}
	return batch->flags & VTEST_BATCH_FLAG_RING ? send_fence(client, batch->ring, end)
						    : set_at_once(client, end);
}

static bool lies_within(uint32_t offset, uint64_t size, uint32_t length)
{
	return offset <= length && size <= length - offset;
}

static int run_batches(struct client *client, const uint32_t *message, uint32_t length)
{
	const struct vtest_batch *batches = (const void *)(message + 1);
	uint32_t count = message[0];

	if (!lies_within(1, (uint64_t)count * (sizeof(*batches) / 4), length)) {
		return client_refuse(client, "more batches than there is room for", count);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct vtest_batch *batch = &batches[i];
		int error;

		if (!lies_within(batch->cmd_offset, batch->cmd_size, length) ||
			!lies_within(batch->sync_offset, (uint64_t)batch->sync_count * 3, length) ||
			batch->ring >= VTEST_RINGS ||
			batch->flags & ~(uint32_t)VTEST_BATCH_FLAG_RING) {
			return client_refuse(client, "a batch that points outside its message", i);
		}
		error = send_batch(client, batch, (const void *)(message + batch->sync_offset));
		if (error < 0) {
			return error;
		}
	}
	return 0;
}

int client_run_submit2(struct client *client, const void *body, uint32_t length)
{
	int error;
	uint32_t *message = copy_body(client, length, sizeof(*message), &error);

	(void)body;
	if (!message) {
		return error;
	}
	error = run_batches(client, message, length);
	free(message);
	if (error == 0) {
		input_take(&client->input, length * 4);
	}
	return error;
}
