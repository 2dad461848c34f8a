/* SPDX-License-Identifier: MIT */
#include "run/client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "run/input.h"
#include "run/resource.h"
#include "run/sync.h"
#include "run/vtest.h"

/*
 * How this works
 *
 * One client is served by one thread that does one thing after another: it reads a message, turns it into
 * commands, reads the next. Commands run on meanwhile; it waits for them only where the client waits for an
 * answer that depends on them. Streams and transfers are published to the daemon at once; what has time, such as
 * the end of a resource, when this process goes to sleep or something else is published.
 *
 * A sleeping process is woken late, so before it sleeps it looks for bytes and answers for spin_us.
 *
 * Everything in a message is copied out of the input before it is looked at, except command streams,
 * which the daemon copies. Any error ends the client: vtest has no other way to tell one.
 */

enum {
	MESSAGE_MAX = (int)INPUT_MESSAGE_MAX < (int)DEVICE_REQUEST_MAX ? (int)INPUT_MESSAGE_MAX
								       : (int)DEVICE_REQUEST_MAX,
};

struct client {
	int socket;
	struct device *device;
	struct input input;
	struct resources resources;
	struct syncs syncs;
	uint32_t version;
	uint32_t capset_id; // as CONTEXT_INIT said; 0: VirGL
	char name[64];
	uint32_t name_len;
};

/* A batch under way whose end sets sync objects. */
struct batch_end {
	struct client *client;
	struct input_chunk *chunk; // NULL: no commands
	size_t count;
	struct vtest_sync_value values[];
};

typedef int (*command_fn)(struct client *client, const void *body, uint32_t length);

struct command {
	const char *name;
	uint32_t size; // bytes of the body that are handed to the function
	bool needs_context;
	command_fn run;
};

static int refuse(struct client *client, const char *what, uint32_t value)
{
	log_error("client %.*s: %s (%u)", (int)client->name_len, client->name, what, value);
	return -EPROTO;
}

/* Sync objects end waits while nothing comes: then commands' ends must be looked for, too. */
static int wait_for_bytes(struct client *client)
{
	while (client->device->in_flight > 0 && syncs_are_awaited(&client->syncs)) {
		struct pollfd fds[2] = {
			{ .fd = client->socket, .events = POLLIN },
			{ .fd = device_wait_fd(client->device), .events = POLLIN },
		};
		int error = 0;

		if (fds[1].fd >= 0 && poll(fds, 2, -1) < 0 && errno != EINTR) {
			return -errno;
		}
		error = device_reap(client->device);
		if (error < 0 || fds[0].revents) {
			return error;
		}
	}
	return 0;
}

/* Reads what there is: bytes, 0 at the end of the stream, or -errno. Looks for it before it sleeps. */
static ssize_t fill(struct client *client)
{
	ssize_t got = input_fill(&client->input, client->device->spin_us);
	int error;

	if (got != -EAGAIN) {
		return got;
	}
	device_kick(client->device);
	error = wait_for_bytes(client);
	return error < 0 ? error : input_fill(&client->input, INPUT_WAIT);
}

/* Waits for size bytes of input. Returns 1, 0 at the end of the stream, or -errno. */
static int need(struct client *client, size_t size)
{
	struct input *input = &client->input;

	while (!input_reserve(input, size)) {
		int error = device_wait(client->device, client->device->in_flight - 1);

		if (error < 0) {
			return error;
		}
	}
	while (input_available(input) < size) {
		ssize_t got = fill(client);

		if (got == 0 || (got < 0 && got != -EINTR)) {
			return (int)got;
		}
	}
	return 1;
}

static int need_all(struct client *client, size_t size)
{
	int got = need(client, size);

	return got == 0 ? refuse(client, "it hung up in the middle of a message", 0) : got;
}

static int reply(struct client *client, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t sent = send(client->socket, at, size, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR) {
			return -errno;
		}
		if (sent > 0) {
			at += sent;
			size -= (size_t)sent;
		}
	}
	return 0;
}

/* An answer of one number. */
static int reply_number(struct client *client, uint32_t command, uint32_t value)
{
	const uint32_t message[3] = { 1, command, value };

	return reply(client, message, sizeof(message));
}

/* Clients read a descriptor with one byte of its own. */
static int reply_fd(struct client *client, int fd)
{
	char byte = 0;
	const struct iovec iov = { &byte, 1 };
	ssize_t sent = fd_send(client->socket, &iov, 1, &fd, 1);

	return sent < 0 ? (int)sent : 0;
}

/* Capability bits of VirGL's second capset: struct virgl_caps_v2 of virgl_hw.h. */
#define CAPS_V2_CAPABILITY_BITS 392

/*
 * Buffers that stay mapped would be blobs of host memory, for which the device must lend memory to
 * clients: not yet.
 */
#define CAPABILITY_ARB_BUFFER_STORAGE (1u << 31)

static int read_capset(struct client *client, uint32_t id, uint32_t version,
	uint8_t bytes[static DEVICE_CAPSET_MAX], uint32_t *size)
{
	struct virtio_gpu_resp_capset_info info;
	uint32_t bits;
	int error = device_find_capset(client->device, id, &info);

	if (error < 0) {
		return error;
	}
	if (version > info.capset_max_version || info.capset_max_size > DEVICE_CAPSET_MAX) {
		return -ENOENT;
	}
	*size = info.capset_max_size;
	error = device_get_capset(client->device, id, version, bytes, *size);
	if (error == 0 && id == 2 && *size >= CAPS_V2_CAPABILITY_BITS + sizeof(bits)) {
		memcpy(&bits, bytes + CAPS_V2_CAPABILITY_BITS, sizeof(bits));
		bits &= ~CAPABILITY_ARB_BUFFER_STORAGE;
		memcpy(bytes + CAPS_V2_CAPABILITY_BITS, &bits, sizeof(bits));
	}
	return error;
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
	return reply(client, &answer, sizeof(answer.header) + size);
}

static int run_get_caps(struct client *client, const void *body, uint32_t length)
{
	(void)body;
	(void)length;
	return send_caps(client, VIRTIO_GPU_CAPSET_VIRGL);
}

static int run_get_caps2(struct client *client, const void *body, uint32_t length)
{
	(void)body;
	(void)length;
	return send_caps(client, VIRTIO_GPU_CAPSET_VIRGL2);
}

static int run_get_capset(struct client *client, const void *body, uint32_t length)
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
		return reply_number(client, VTEST_GET_CAPSET, 0);
	}
	if (error < 0) {
		return error;
	}
	answer.header = (struct vtest_header){ 1 + size / 4, VTEST_GET_CAPSET };
	answer.known = 1;
	return reply(client, &answer, sizeof(answer.header) + sizeof(answer.known) + size);
}

static int run_ping(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_header answer = { 0, VTEST_PING_PROTOCOL_VERSION };

	(void)body;
	(void)length;
	return reply(client, &answer, sizeof(answer));
}

/* 1 was withdrawn: whoever wants it gets 0. */
static int run_protocol_version(struct client *client, const void *body, uint32_t length)
{
	uint32_t wanted = *(const uint32_t *)body;

	(void)length;
	client->version = wanted < VTEST_VERSION ? wanted : VTEST_VERSION;
	if (client->version == 1) {
		client->version = 0;
	}
	return reply_number(client, VTEST_PROTOCOL_VERSION, client->version);
}

static int run_get_param(struct client *client, const void *body, uint32_t length)
{
	bool known = *(const uint32_t *)body == VTEST_PARAM_MAX_SYNC_QUEUE_COUNT;
	const uint32_t answer[4] = { 2, VTEST_GET_PARAM, known, known ? VTEST_SYNC_QUEUES : 0 };

	(void)length;
	return reply(client, answer, sizeof(answer));
}

static int run_context_init(struct client *client, const void *body, uint32_t length)
{
	uint32_t capset_id = *(const uint32_t *)body;

	(void)length;
	if (capset_id == 0 || (client->device->has_context && capset_id != client->capset_id)) {
		return refuse(client, "CONTEXT_INIT with a capset that cannot be", capset_id);
	}
	client->capset_id = capset_id;
	return 0;
}

/* The number of a new resource, which the client names before version 3. */
static int choose_id(struct client *client, struct vtest_resource_create *info)
{
	if (client->version >= 3) {
		if (info->handle != 0) {
			return refuse(client, "a new resource with a number", info->handle);
		}
		info->handle = client->resources.last_id + 1;
	}
	if (info->handle == 0 || resources_find(&client->resources, info->handle)) {
		return refuse(client, "a new resource with a number that is in use", info->handle);
	}
	return 0;
}

static int create(struct client *client, struct vtest_resource_create *info, uint32_t command)
{
	struct resource *resource;
	int error = choose_id(client, info);

	if (error == 0) {
		error = resources_create(&client->resources, info, &resource);
	}
	if (error == 0 && client->version >= 3) {
		error = reply_number(client, command, info->handle);
	}
	if (error == 0 && resource->memory) {
		error = reply_fd(client, resource->memory->region.fd);
		resources_given(&client->resources, resource);
	}
	return error;
}

static int run_resource_create(struct client *client, const void *body, uint32_t length)
{
	struct vtest_resource_create info = { 0 };

	(void)length;
	memcpy(&info, body, offsetof(struct vtest_resource_create, data_size));
	return create(client, &info, VTEST_RESOURCE_CREATE);
}

static int run_resource_create2(struct client *client, const void *body, uint32_t length)
{
	struct vtest_resource_create info = *(const struct vtest_resource_create *)body;

	(void)length;
	return create(client, &info, VTEST_RESOURCE_CREATE2);
}

static int run_resource_create_blob(struct client *client, const void *body, uint32_t length)
{
	(void)length;
	return refuse(client, "it wants a blob, which this version does not have: type",
		*(const uint32_t *)body);
}

/* One that is not there is no error, as with virgl_test_server. */
static int run_resource_unref(struct client *client, const void *body, uint32_t length)
{
	struct resource *resource = resources_find(&client->resources, *(const uint32_t *)body);

	(void)length;
	return resource ? resources_unref(&client->resources, resource) : 0;
}

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

static int run_submit(struct client *client, const void *body, uint32_t length)
{
	struct input_chunk *chunk;
	uint64_t addr;
	int error;

	(void)body;
	if (length > MESSAGE_MAX / 4) {
		return refuse(client, "a command stream that is too long", length);
	}
	error = need_all(client, length * 4);
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

static struct virtio_gpu_transfer_host_3d make_transfer(
	uint32_t type, uint32_t id, uint32_t level, const struct vtest_box *box)
{
	return (struct virtio_gpu_transfer_host_3d){
		.hdr = { .type = type, .ctx_id = DEVICE_CONTEXT },
		.box = { box->x, box->y, box->z, box->width, box->height, box->depth },
		.resource_id = id,
		.level = level,
	};
}

static int send_transfer(struct client *client, const struct virtio_gpu_transfer_host_3d *command)
{
	int error = device_send(
		client->device, command, sizeof(*command), (struct fe_buffer){ 0 }, NULL, NULL);

	device_kick(client->device);
	return error;
}

static int transfer_shared(
	struct client *client, const struct vtest_transfer2 *transfer, uint32_t type)
{
	struct resource *resource = resources_find(&client->resources, transfer->handle);
	struct virtio_gpu_transfer_host_3d command = make_transfer(
		type, transfer->handle, transfer->level, &transfer->box);

	if (!resource || !resource->memory || transfer->offset >= resource->size) {
		return refuse(client, "a transfer with memory that is not there: resource",
			transfer->handle);
	}
	command.offset = transfer->offset;
	return send_transfer(client, &command);
}

static int run_transfer_get2(struct client *client, const void *body, uint32_t length)
{
	(void)length;
	return transfer_shared(client, body, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D);
}

static int run_transfer_put2(struct client *client, const void *body, uint32_t length)
{
	(void)length;
	return transfer_shared(client, body, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D);
}

/* Finds the resource and has memory ready, which nobody uses, for the bytes on the socket. */
static int begin_inline(
	struct client *client, const struct vtest_transfer *transfer, struct resource **found)
{
	struct resource *resource = resources_find(&client->resources, transfer->handle);

	if (!resource || !resource->is_inline || transfer->data_size == 0) {
		return refuse(
			client, "a transfer that is not possible: resource", transfer->handle);
	}
	*found = resource;
	return resources_map_inline(&client->resources, resource, transfer->data_size);
}

static int send_inline(struct client *client, const struct vtest_transfer *transfer, uint32_t type)
{
	struct virtio_gpu_transfer_host_3d command = make_transfer(
		type, transfer->handle, transfer->level, &transfer->box);

	command.stride = transfer->stride;
	command.layer_stride = transfer->layer_stride;
	return send_transfer(client, &command);
}

static int run_transfer_get(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_transfer *transfer = body;
	struct resource *resource;
	int error = begin_inline(client, transfer, &resource);

	(void)length;
	if (error == 0) {
		error = send_inline(client, transfer, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D);
	}
	if (error == 0) {
		error = device_wait(client->device, 0);
	}
	return error < 0 ? error : reply(client, resource->memory->mapping, transfer->data_size);
}

/* The bytes are not padded. */
static int read_inline(struct client *client, uint8_t *to, uint32_t size)
{
	while (size > 0) {
		int error = need_all(client, 1);
		size_t there = input_available(&client->input);
		uint32_t part = there < size ? (uint32_t)there : size;

		if (error < 0) {
			return error;
		}
		memcpy(to, input_at(&client->input), part);
		input_take(&client->input, part);
		to += part;
		size -= part;
	}
	return 0;
}

static int run_transfer_put(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_transfer *transfer = body;
	struct resource *resource;
	int error = begin_inline(client, transfer, &resource);

	(void)length;
	if (error == 0) {
		error = read_inline(client, resource->memory->mapping, transfer->data_size);
	}
	return error < 0 ? error
			 : send_inline(client, transfer, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D);
}

/* All that is under way counts, whatever the resource: so does virgl_test_server. */
static int run_busy_wait(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_busy_wait *wait = body;
	int error;

	(void)length;
	device_kick(client->device);
	error = wait->flags & VTEST_BUSY_WAIT_FLAG_WAIT ? device_wait(client->device, 0)
							: device_reap(client->device);
	return error < 0
		? error
		: reply_number(client, VTEST_RESOURCE_BUSY_WAIT, client->device->in_flight > 0);
}

static int run_sync_create(struct client *client, const void *body, uint32_t length)
{
	uint32_t id = syncs_create(&client->syncs, vtest_u64(*(const struct vtest_u64 *)body));

	(void)length;
	return id ? reply_number(client, VTEST_SYNC_CREATE, id)
		  : refuse(client, "too many sync objects", SYNC_MAX);
}

static int run_sync_unref(struct client *client, const void *body, uint32_t length)
{
	(void)length;
	syncs_unref(&client->syncs, *(const uint32_t *)body);
	return 0;
}

static int run_sync_read(struct client *client, const void *body, uint32_t length)
{
	uint32_t id = *(const uint32_t *)body;
	uint64_t value;
	int error = device_reap(client->device);

	(void)length;
	if (error < 0) {
		return error;
	}
	if (!syncs_read(&client->syncs, id, &value)) {
		return refuse(client, "there is no sync object", id);
	}
	const uint32_t answer[4] = { 2, VTEST_SYNC_READ, (uint32_t)value, (uint32_t)(value >> 32) };
	return reply(client, answer, sizeof(answer));
}

static int run_sync_write(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_sync_value *sync = body;

	(void)length;
	return syncs_write(&client->syncs, sync->id, vtest_u64(sync->value))
		? 0
		: refuse(client, "there is no sync object", sync->id);
}

/* A body of the length that the header says, copied: it is read twice. The caller's; NULL: *error. */
static void *copy_body(struct client *client, uint32_t length, size_t head, int *error)
{
	void *copy = NULL;

	if (length > MESSAGE_MAX / 4 || length * 4 < head) {
		*error = refuse(client, "a message of a wrong length", length);
		return NULL;
	}
	*error = need_all(client, length * 4);
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
		return refuse(
			client, "a wait for sync objects that is not possible", (uint32_t)-fd);
	}
	error = reply(client, &answer, sizeof(answer));
	if (error == 0) {
		error = reply_fd(client, fd);
	}
	fd_close(&fd);
	return error;
}

static int run_sync_wait(struct client *client, const void *body, uint32_t length)
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
			: refuse(client, "a wait of a wrong length", length);
	}
	free(wait);
	return error;
}

static int signal_syncs(struct client *client, const struct vtest_sync_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!syncs_write(&client->syncs, values[i].id, vtest_u64(values[i].value))) {
			return refuse(client, "there is no sync object", values[i].id);
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
		return refuse(client, "more batches than there is room for", count);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct vtest_batch *batch = &batches[i];
		int error;

		if (!lies_within(batch->cmd_offset, batch->cmd_size, length) ||
			!lies_within(batch->sync_offset, (uint64_t)batch->sync_count * 3, length) ||
			batch->sync_queue_index >= VTEST_SYNC_QUEUES) {
			return refuse(client, "a batch that points outside its message", i);
		}
		error = send_batch(client, batch, (const void *)(message + batch->sync_offset));
		if (error < 0) {
			return error;
		}
	}
	return 0;
}

static int run_submit2(struct client *client, const void *body, uint32_t length)
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

#define WORDS(count) ((count) * 4)

static const struct command commands[VTEST_COMMAND_COUNT] = {
	[VTEST_GET_CAPS] = { "GET_CAPS", 0, false, run_get_caps },
	[VTEST_RESOURCE_CREATE] = { "RESOURCE_CREATE", WORDS(10), true, run_resource_create },
	[VTEST_RESOURCE_UNREF] = { "RESOURCE_UNREF", WORDS(1), true, run_resource_unref },
	[VTEST_TRANSFER_GET] = { "TRANSFER_GET", WORDS(11), true, run_transfer_get },
	[VTEST_TRANSFER_PUT] = { "TRANSFER_PUT", WORDS(11), true, run_transfer_put },
	[VTEST_SUBMIT_CMD] = { "SUBMIT_CMD", 0, true, run_submit },
	[VTEST_RESOURCE_BUSY_WAIT] = { "RESOURCE_BUSY_WAIT", WORDS(2), false, run_busy_wait },
	[VTEST_GET_CAPS2] = { "GET_CAPS2", 0, false, run_get_caps2 },
	[VTEST_PING_PROTOCOL_VERSION] = { "PING_PROTOCOL_VERSION", 0, false, run_ping },
	[VTEST_PROTOCOL_VERSION] = { "PROTOCOL_VERSION", WORDS(1), false, run_protocol_version },
	[VTEST_RESOURCE_CREATE2] = { "RESOURCE_CREATE2", WORDS(11), true, run_resource_create2 },
	[VTEST_TRANSFER_GET2] = { "TRANSFER_GET2", WORDS(10), true, run_transfer_get2 },
	[VTEST_TRANSFER_PUT2] = { "TRANSFER_PUT2", WORDS(10), true, run_transfer_put2 },
	[VTEST_GET_PARAM] = { "GET_PARAM", WORDS(1), false, run_get_param },
	[VTEST_GET_CAPSET] = { "GET_CAPSET", WORDS(2), false, run_get_capset },
	[VTEST_CONTEXT_INIT] = { "CONTEXT_INIT", WORDS(1), false, run_context_init },
	[VTEST_RESOURCE_CREATE_BLOB] = { "RESOURCE_CREATE_BLOB", WORDS(6), true,
		run_resource_create_blob },
	[VTEST_SYNC_CREATE] = { "SYNC_CREATE", WORDS(2), true, run_sync_create },
	[VTEST_SYNC_UNREF] = { "SYNC_UNREF", WORDS(1), true, run_sync_unref },
	[VTEST_SYNC_READ] = { "SYNC_READ", WORDS(1), true, run_sync_read },
	[VTEST_SYNC_WRITE] = { "SYNC_WRITE", WORDS(3), true, run_sync_write },
	[VTEST_SYNC_WAIT] = { "SYNC_WAIT", 0, true, run_sync_wait },
	[VTEST_SUBMIT_CMD2] = { "SUBMIT_CMD2", 0, true, run_submit2 },
};

enum {
	BODY_MAX = WORDS(11),
};

static int run_command(struct client *client, const struct vtest_header *header)
{
	uint32_t body[BODY_MAX / 4];
	const struct command *command = header->command < VTEST_COMMAND_COUNT
		? &commands[header->command]
		: NULL;
	int error;

	if (!command || !command->run) {
		return refuse(client, "there is no command of the number", header->command);
	}
	/* Lengths of fixed messages are not to be trusted: Mesa's of TRANSFER_PUT2 counts bytes that never come. */
	error = command->size > 0 ? need_all(client, command->size) : 0;
	if (error < 0) {
		return error;
	}
	memcpy(body, input_at(&client->input), command->size);
	input_take(&client->input, command->size);
	if (command->needs_context && !client->device->has_context) {
		error = device_create_context(
			client->device, client->capset_id, client->name, client->name_len);
		if (error < 0) {
			return error;
		}
	}
	log_debug("client %.*s: %s", (int)client->name_len, client->name, command->name);
	return command->run(client, body, header->length);
}

/* Returns 1, 0 at the end of the stream, or -errno. */
static int read_header(struct client *client, struct vtest_header *header)
{
	int got = need(client, sizeof(*header));

	if (got == 0 && input_available(&client->input) > 0) {
		return refuse(client, "it hung up in the middle of a header", 0);
	}
	if (got > 0) {
		memcpy(header, input_at(&client->input), sizeof(*header));
		input_take(&client->input, sizeof(*header));
	}
	return got;
}

/* The name is for people: whatever is not plain text in it becomes a question mark. */
static void keep_name(struct client *client, const char *name, uint32_t size)
{
	while (client->name_len < size && client->name_len < sizeof(client->name) &&
		name[client->name_len]) {
		unsigned char letter = (unsigned char)name[client->name_len];

		client->name[client->name_len++] = letter < ' ' || letter > '~' ? '?'
										: (char)letter;
	}
}

/* CREATE_RENDERER comes first, and once; its length counts bytes. */
static int greet(struct client *client)
{
	struct vtest_header header;
	int got = read_header(client, &header);

	if (got <= 0) {
		return got;
	}
	if (header.command != VTEST_CREATE_RENDERER || header.length > INPUT_MESSAGE_MAX) {
		return refuse(client, "it does not begin with its name, but with", header.command);
	}
	got = header.length > 0 ? need_all(client, header.length) : 1;
	if (got > 0) {
		keep_name(client, input_at(&client->input), header.length);
		input_take(&client->input, header.length);
	}
	return got;
}

static int run_commands(struct client *client)
{
	struct vtest_header header;
	int got = greet(client);

	while (got > 0) {
		got = read_header(client, &header);
		if (got > 0) {
			int error = run_command(client, &header);

			got = error < 0 ? error : 1;
		}
	}
	return got;
}

int client_serve(int socket, struct device *device, uint64_t max_bytes)
{
	struct client *client = calloc(1, sizeof(*client));
	int error;

	if (!client) {
		return -ENOMEM;
	}
	client->socket = socket;
	client->device = device;
	resources_init(&client->resources, device, max_bytes);
	syncs_init(&client->syncs);
	error = input_init(&client->input, socket, &device->gpu.memory);
	if (error == 0) {
		error = run_commands(client);
	}
	device_hang_up(device); // ends of commands point into what is freed now
	syncs_finish(&client->syncs);
	resources_finish(&client->resources);
	input_finish(&client->input);
	free(client);
	return error;
}
