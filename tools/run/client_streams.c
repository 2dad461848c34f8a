/* SPDX-License-Identifier: MIT */
#include "run/client_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* A batch under way whose end sets sync objects. */
struct batch_end {
	struct client *client;
	struct input_chunk *chunk; // NULL: no commands
	size_t count;
	struct vtest_sync_value values[];
};

static void handle_stream_done(void *data)
{
	input_release(data);
}

static struct virtio_gpu_cmd_submit make_submit(uint32_t size)
{
	return (struct virtio_gpu_cmd_submit){
		.hdr = {
			.type = VIRTIO_GPU_CMD_SUBMIT_3D,
			.flags = VIRTIO_GPU_FLAG_FENCE,
			.ctx_id = DEVICE_CONTEXT,
		},
		.size = size,
	};
}

static int submit(
	struct client *client, uint64_t addr, uint32_t size, device_done_fn done, void *data)
{
	const struct virtio_gpu_cmd_submit command = make_submit(size);
	int error = device_send(client->device, &command, sizeof(command),
		(struct fe_buffer){ addr, size }, done, data);

	device_kick(client->device);
	return error;
}

int client_run_submit(struct client *client, const void *body, uint32_t length)
{
	struct input_chunk *chunk;
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
	chunk = input_hold(&client->input);
	input_take(&client->input, length * 4);
	error = submit(client, addr, length * 4, handle_stream_done, chunk);
	if (error < 0) {
		input_release(chunk);
	}
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
	const struct vtest_sync_value *sync = body;

	(void)length;
	return syncs_write(&client->syncs, sync->id, vtest_u64(sync->value))
		? 0
		: client_refuse(client, "there is no sync object", sync->id);
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

static int signal_syncs(struct client *client, const struct vtest_sync_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!syncs_write(&client->syncs, values[i].id, vtest_u64(values[i].value))) {
			return client_refuse(client, "there is no sync object", values[i].id);
		}
	}
	return 0;
}

/* Objects may have gone meanwhile. */
static void handle_batch_done(void *data)
{
	struct batch_end *end = data;

	for (size_t i = 0; i < end->count; i++) {
		syncs_write(
			&end->client->syncs, end->values[i].id, vtest_u64(end->values[i].value));
	}
	if (end->chunk) {
		input_release(end->chunk);
	}
	free(end);
}

/* The part of a batch whose end is waited for. */
static int send_batch(struct client *client, const struct vtest_batch *batch,
	const struct vtest_sync_value *values)
{
	bool later = batch->flags & VTEST_BATCH_FLAG_SYNC_QUEUE;
	size_t count = later ? batch->sync_count : 0;
	struct batch_end *end = malloc(sizeof(*end) + count * sizeof(*values));
	int error;

	if (!end) {
		return -ENOMEM;
	}
	*end = (struct batch_end){ client, input_hold(&client->input), count };
	memcpy(end->values, values, count * sizeof(*values));
	error = submit(client, input_addr(&client->input) + batch->cmd_offset * 4,
		batch->cmd_size * 4, handle_batch_done, end);
	if (error < 0) {
		input_release(end->chunk);
		free(end);
		return error;
	}
	return later ? 0 : signal_syncs(client, values, batch->sync_count);
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
			batch->sync_queue_index >= VTEST_SYNC_QUEUES) {
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
