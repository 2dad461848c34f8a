/* SPDX-License-Identifier: MIT */

/*
 * The vhost-user session alone, with a device that only checks how it is used.
 *
 * How this works: the input is a script. Its first byte chooses the session's configuration; then
 * each step is a byte and its arguments: bytes for the socket in chunks of any size, with
 * descriptors of any kind attached to any chunk; whole messages, so that most of them get past the
 * frame; notifications; what the guest writes into its rings; and what the device does on its own.
 * Guest memory is a file whose addresses the input chooses freely, so no address of this process is
 * in it, and an input does the same every time.
 *
 * What must hold besides what the sanitizers watch: the device is called in an order that
 * vhost_device_ops allows, what it asks of the window ends once, `closed` comes once at most, and once
 * certainly when the peer hung up, answers are well formed, and no descriptor stays open.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"
#include "fuzz/input.h"
#include "fuzz/target.h"
#include "memory/mmap.h"
#include "vhost/session.h"

enum {
	STEPS_MAX = 128,
	TURNS = 6, // of the loop after a step: more than what one step can cause
	QUEUES_MAX = 3,
	HELD_MAX = 8,
	CHUNK_MAX = 96,
	PAYLOAD_MAX = 300,
	REPLIES_MAX = 8192,
	FILE_SIZE = 64 << 10,
	CONFIG_SIZE = 16,
	WINDOW_SIZE = 1 << 20,
	TOKENS = STEPS_MAX, // of the window: one a step
	/* Where put_request expects a ring, which the input may describe so, or not. */
	RING_ENTRIES = 16,
	RING_STRIDE = 0x4000,
	RING_AVAIL = 0x1000,
	RING_BUFFER = 0x3000,
};

enum descriptor_kind {
	KIND_KICK,
	KIND_OTHER_KICK,
	KIND_CALL,
	KIND_MEMORY,
	KIND_OTHER_MEMORY,
	KIND_SOCKET,
	KIND_PIPE,
	KIND_NULL, // cannot be watched, nor mapped
	KIND_COUNT,
};

struct held_request {
	struct virtq_request virtq;
	uint32_t queue;
	bool taken;
};

struct play {
	struct input *input;
	struct loop *loop;
	struct memory *memory;
	struct vhost_session *session;
	struct vhost_session_config config;
	bool destroy_when_closed;
	bool at_once; // the device answers within queue_kicked
	bool reads; // the peer reads after each step

	bool closed;
	bool pending[TOKENS]; // what was asked of the window and has not ended
	uint32_t token; // next
	bool asking; // the device asks just now
	struct virtq *rings[QUEUES_MAX]; // that run
	struct held_request held[HELD_MAX];

	int socket; // the peer's; -1 after it hung up
	int fds[KIND_COUNT]; // what the peer can send
	int channel; // the other end of KIND_SOCKET
	int pipe; // the other end of KIND_PIPE
	uint8_t *file; // KIND_MEMORY
	uint8_t replies[REPLIES_MAX];
	size_t replies_len;
};

/* An oracle's word: the fuzzer takes the abort for a find. */
/* The device. */

static const uint64_t device_features = 1ull << VIRTIO_F_VERSION_1 |
	1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX | 2;

/* No call comes after `closed`. */
static struct play *to_play(void *device)
{
	struct play *play = device;

	demand(!play->closed, "a call after closed");
	return play;
}

static void demand_no_ring(const struct play *play, const char *what)
{
	for (uint32_t i = 0; i < QUEUES_MAX; i++) {
		demand(!play->rings[i], what);
	}
}

static uint64_t handle_get_features(void *device)
{
	to_play(device);
	return device_features;
}

static void handle_set_features(void *device, uint64_t features)
{
	to_play(device);
	demand(!(features & ~device_features), "a feature that was not offered");
}

static size_t handle_get_config(void *device, uint8_t config[static VHOST_CONFIG_MAX])
{
	to_play(device);
	for (uint8_t i = 0; i < CONFIG_SIZE; i++) {
		config[i] = i;
	}
	return CONFIG_SIZE;
}

static int handle_set_config(void *device, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	uint8_t space[CONFIG_SIZE];

	to_play(device);
	demand(offset <= CONFIG_SIZE && size <= CONFIG_SIZE - offset,
		"a write beyond the configuration space");
	memcpy(space + offset, bytes, size);
	return size % 2 ? -EINVAL : 0;
}

static void answer(struct play *play, struct held_request *held)
{
	static const uint8_t bytes[64] = { 1, 2, 3 };

	held->taken = false;
	virtq_push(play->rings[held->queue], &held->virtq, bytes, sizeof(bytes));
	if (virtq_publish(play->rings[held->queue])) {
		vhost_session_call(play->session, held->queue);
	}
}

static struct held_request *find_free(struct play *play)
{
	for (size_t i = 0; i < HELD_MAX; i++) {
		if (!play->held[i].taken) {
			return &play->held[i];
		}
	}
	return NULL;
}

static void fail_queue(struct play *play, uint32_t index)
{
	play->rings[index] = NULL;
	vhost_session_fail_queue(play->session, index);
}

static void serve(struct play *play, uint32_t index)
{
	struct held_request *held;
	int result = 0;

	while ((held = find_free(play))) {
		result = virtq_pop(play->rings[index], &held->virtq, 256);
		if (result <= 0) {
			break;
		}
		held->queue = index;
		held->taken = true;
		if (play->at_once) {
			answer(play, held);
		}
	}
	if (held && result < 0) {
		fail_queue(play, index);
	}
}

static void handle_queue_started(void *device, uint32_t index, struct virtq *queue)
{
	struct play *play = to_play(device);

	demand(index < play->config.queue_count, "a queue that does not exist starts");
	demand(!play->rings[index], "a queue starts twice");
	demand(queue, "a queue starts without a ring");
	play->rings[index] = queue;
	/* As the bridge does: what ended while it stood still. */
	for (size_t i = 0; play->at_once && i < HELD_MAX; i++) {
		if (play->held[i].taken && play->held[i].queue == index) {
			answer(play, &play->held[i]);
		}
	}
	virtq_enable_notification(queue);
}

static void handle_queue_kicked(void *device, uint32_t index)
{
	struct play *play = to_play(device);

	demand(index < play->config.queue_count && play->rings[index],
		"a queue that does not run is kicked");
	serve(play, index);
}

static void handle_queue_stopped(void *device, uint32_t index)
{
	struct play *play = to_play(device);

	demand(index < play->config.queue_count && play->rings[index],
		"a queue that does not run stops");
	play->rings[index] = NULL;
}

static void handle_suspended(void *device)
{
	demand_no_ring(to_play(device), "suspended with a queue that runs");
}

static void handle_reset(void *device)
{
	struct play *play = to_play(device);

	demand_no_ring(play, "reset with a queue that runs");
	for (size_t i = 0; i < HELD_MAX; i++) {
		play->held[i].taken = false;
	}
	memset(play->pending, 0, sizeof(play->pending));
}

static void handle_window_operation_done(void *device, uint64_t token, int result)
{
	struct play *play = to_play(device);

	demand(!play->asking, "an operation of the window ends while it is asked for");
	demand(token < TOKENS && play->pending[token], "an operation of the window ends twice");
	demand(result == 0 || result == -EIO, "how an operation of the window ends");
	play->pending[token] = false;
}

static void handle_set_gpu_socket(void *device, int socket)
{
	to_play(device);
	demand(fcntl(socket, F_GETFD) >= 0, "a display socket that is not open");
	close(socket);
}

static void handle_closed(void *device)
{
	struct play *play = to_play(device);

	demand_no_ring(play, "closed with a queue that runs");
	play->closed = true;
	if (play->destroy_when_closed) {
		vhost_session_destroy(play->session);
		play->session = NULL;
	}
}

static const struct vhost_device_ops device_ops = {
	.get_features = handle_get_features,
	.set_features = handle_set_features,
	.get_config = handle_get_config,
	.set_config = handle_set_config,
	.queue_started = handle_queue_started,
	.queue_kicked = handle_queue_kicked,
	.queue_stopped = handle_queue_stopped,
	.suspended = handle_suspended,
	.reset = handle_reset,
	.set_gpu_socket = handle_set_gpu_socket,
	.window_operation_done = handle_window_operation_done,
	.closed = handle_closed,
};

/* The peer. */

static void check_reply(const struct vhost_header *header)
{
	demand(header->flags == (VHOST_FLAG_VERSION | VHOST_FLAG_REPLY), "flags of an answer");
	demand(header->request < VHOST_REQUEST_COUNT, "an answer to no request");
	demand(header->size <= sizeof(struct vhost_shmem_config), "an answer too large");
}

static void take_replies(struct play *play)
{
	struct vhost_header header;
	size_t at = 0;
	ssize_t got;

	if (play->socket < 0) {
		return;
	}
	got = recv(play->socket, play->replies + play->replies_len, REPLIES_MAX - play->replies_len,
		MSG_DONTWAIT);
	play->replies_len += got > 0 ? (size_t)got : 0;
	while (play->replies_len - at >= sizeof(header)) {
		memcpy(&header, play->replies + at, sizeof(header));
		check_reply(&header);
		if (play->replies_len - at - sizeof(header) < header.size) {
			break;
		}
		at += sizeof(header) + header.size;
	}
	memmove(play->replies, play->replies + at, play->replies_len - at);
	play->replies_len -= at;
}

static void settle(struct play *play)
{
	for (int i = 0; i < TURNS; i++) {
		loop_run_once(play->loop, false);
		if (play->reads) {
			take_replies(play);
		}
	}
}

static size_t take_descriptors(struct play *play, int fds[static FD_MESSAGE_MAX])
{
	uint8_t how = input_u8(play->input);
	size_t count = how < 0x80 ? 0 : how < 0xe0 ? 1 : how < 0xf8 ? 2 : how < 0xfe ? 9 : 32;

	for (size_t i = 0; i < count; i++) {
		fds[i] = play->fds[input_u8(play->input) % KIND_COUNT];
	}
	return count;
}

static void send_bytes(
	struct play *play, const uint8_t *bytes, size_t size, const int *fds, size_t fd_count)
{
	const struct iovec iov = { .iov_base = (void *)bytes, .iov_len = size };

	/* What does not fit is lost: another stream than was meant, and as good. */
	fd_send(play->socket, &iov, 1, fds, fd_count);
}

/* Bytes without a frame around them. */
static void step_chunk(struct play *play)
{
	uint8_t bytes[CHUNK_MAX];
	int fds[FD_MESSAGE_MAX];
	size_t size = 1 + input_u8(play->input) % CHUNK_MAX;
	size_t fd_count = take_descriptors(play, fds);

	input_take(play->input, bytes, size);
	send_bytes(play, bytes, size, fds, fd_count);
}

static void step_message(struct play *play)
{
	struct vhost_header header = { .request = input_u8(play->input) % VHOST_REQUEST_COUNT };
	uint8_t bytes[sizeof(header) + PAYLOAD_MAX];
	uint8_t flags = input_u8(play->input);
	int fds[FD_MESSAGE_MAX];
	size_t fd_count;

	header.flags = VHOST_FLAG_VERSION | (flags & VHOST_FLAG_NEED_REPLY);
	header.size = input_u16(play->input) % PAYLOAD_MAX;
	fd_count = take_descriptors(play, fds);
	memcpy(bytes, &header, sizeof(header));
	input_take(play->input, bytes + sizeof(header), header.size);
	send_bytes(play, bytes, sizeof(header) + header.size, fds, fd_count);
}

static void step_kick(struct play *play)
{
	static const enum descriptor_kind kinds[] = { KIND_KICK, KIND_OTHER_KICK, KIND_CALL };

	fd_event_signal(play->fds[kinds[input_u8(play->input) % 3]]);
}

/* Several things become ready in one turn of the loop. */
static void step_together(struct play *play)
{
	step_kick(play);
	if (input_u8(play->input) & 1) {
		shutdown(play->socket, SHUT_WR);
	}
}

/* A good chain of one descriptor, or of two, at the end of a ring that lies where rings should. */
static void step_request(struct play *play)
{
	uint32_t base = input_u8(play->input) % QUEUES_MAX * RING_STRIDE;
	struct vring_desc *desc = (void *)(play->file + base);
	struct vring_avail *avail = (void *)(play->file + base + RING_AVAIL);
	uint16_t head = input_u8(play->input) % (RING_ENTRIES - 1);
	uint8_t how = input_u8(play->input);

	desc[head] = (struct vring_desc){ base + RING_BUFFER, how, how & 1 ? VRING_DESC_F_NEXT : 0,
		(uint16_t)(head + 1) };
	desc[head + 1] = (struct vring_desc){ base + RING_BUFFER + 0x100, how, VRING_DESC_F_WRITE,
		0 };
	avail->ring[avail->idx % RING_ENTRIES] = head;
	avail->idx++;
}

static void step_guest_memory(struct play *play)
{
	uint16_t at = input_u16(play->input);
	uint8_t size = input_u8(play->input);

	input_take(play->input, play->file + at % (FILE_SIZE - 256), size);
}

/* The device answers what it took, where it can. */
static void step_answers(struct play *play)
{
	for (size_t i = 0; i < HELD_MAX; i++) {
		if (play->held[i].taken && play->rings[play->held[i].queue]) {
			answer(play, &play->held[i]);
		}
	}
}

static void step_config_changed(struct play *play)
{
	vhost_session_config_changed(play->session);
}

static void step_fail_queue(struct play *play)
{
	uint8_t index = input_u8(play->input) % QUEUES_MAX;

	if (play->rings[index]) {
		fail_queue(play, index);
	}
}

/* Takes one request of the back end, if there is one whole. */
static bool take_request(struct play *play, struct vhost_header *header)
{
	uint8_t payload[sizeof(struct vhost_shmem_map)];
	int fds[FD_MESSAGE_MAX];
	size_t count = 0;
	bool too_many = false;
	ssize_t got = fd_receive(play->channel, header, sizeof(*header), fds, &count, &too_many);

	/* Rubbish comes too, where the channel was also given away as something else. */
	if (got == sizeof(*header) && header->size <= sizeof(payload)) {
		recv(play->channel, payload, header->size, MSG_DONTWAIT);
	}
	fd_close_all(fds, count);
	return got == sizeof(*header);
}

static void step_read(struct play *play)
{
	struct vhost_header header;

	take_replies(play);
	for (int i = 0; i < STEPS_MAX && take_request(play, &header); i++) {
	}
}

/* The window. */

/* Pages, mostly. */
static uint64_t input_offset(struct play *play, uint8_t pages)
{
	uint8_t number = input_u8(play->input);

	return number < 0xf0 ? number % pages * UINT64_C(4096) : input_u64(play->input);
}

static void note_asked(struct play *play, int result)
{
	play->asking = false;
	demand(result == VHOST_PENDING || result < 0, "what asking the window says");
	play->pending[play->token++] = result == VHOST_PENDING;
}

static void step_map(struct play *play)
{
	uint8_t kind = input_u8(play->input);
	struct vhost_window_map map = { .fd = play->fds[kind % KIND_COUNT],
		.writable = kind & 0x80 };

	map.offset = input_offset(play, 16);
	map.len = input_offset(play, 4);
	map.fd_offset = input_offset(play, 8);
	play->asking = true;
	note_asked(play, vhost_session_map(play->session, &map, play->token));
}

static void step_unmap(struct play *play)
{
	uint64_t offset = input_offset(play, 16);
	uint64_t len = input_offset(play, 4);

	play->asking = true;
	note_asked(play, vhost_session_unmap(play->session, offset, len, play->token));
}

/* Answers requests, in order. */
static void step_serve(struct play *play)
{
	uint8_t how = input_u8(play->input);
	struct {
		struct vhost_header header;
		uint8_t value[8];
	} answer = { .value = { how & 1 } };

	for (int i = 0; i <= how >> 5 && take_request(play, &answer.header); i++) {
		answer.header.flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY;
		answer.header.size = sizeof(answer.value);
		send(play->channel, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* Answers on the channel for back-end requests, asked for or not. */
static void step_channel(struct play *play)
{
	uint8_t bytes[32];
	size_t size = 1 + input_u8(play->input) % sizeof(bytes);

	input_take(play->input, bytes, size);
	send(play->channel, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The peer makes its file smaller: what is touched there from now on is lost. */
static void step_shrink(struct play *play)
{
	demand(ftruncate(play->fds[KIND_OTHER_MEMORY], 0) == 0, "the file does not shrink");
}

static void step_mode(struct play *play)
{
	uint8_t mode = input_u8(play->input);

	play->reads = mode & 1;
	play->at_once = mode & 2;
}

static void one_step(struct play *play)
{
	static void (*const steps[])(struct play *play) = { step_chunk, step_message, step_kick,
		step_request, step_guest_memory, step_answers, step_config_changed, step_fail_queue,
		step_read, step_channel, step_mode, step_shrink, step_together, step_map,
		step_unmap, step_serve };
	uint8_t which = input_u8(play->input);

	steps[which % (sizeof(steps) / sizeof(steps[0]))](play);
	settle(play);
}

/* Both ends. */

static void make_peer(struct play *play)
{
	int pair[2];
	int pipe_fds[2];

	play->fds[KIND_KICK] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	play->fds[KIND_OTHER_KICK] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	play->fds[KIND_CALL] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	play->fds[KIND_MEMORY] = memfd_create("memory", MFD_CLOEXEC);
	play->fds[KIND_OTHER_MEMORY] = memfd_create("other", MFD_CLOEXEC);
	play->fds[KIND_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	demand(ftruncate(play->fds[KIND_MEMORY], FILE_SIZE) == 0 &&
			ftruncate(play->fds[KIND_OTHER_MEMORY], FILE_SIZE) == 0,
		"no memory file");
	play->file = mmap(
		NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, play->fds[KIND_MEMORY], 0);
	demand(play->file != MAP_FAILED, "no memory");
	demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0 &&
			pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0,
		"no descriptors");
	play->channel = pair[0];
	play->fds[KIND_SOCKET] = pair[1];
	play->fds[KIND_PIPE] = pipe_fds[0];
	play->pipe = pipe_fds[1];
}

static void free_peer(struct play *play)
{
	munmap(play->file, FILE_SIZE);
	fd_close_all(play->fds, KIND_COUNT);
	fd_close(&play->socket);
	fd_close(&play->channel);
	fd_close(&play->pipe);
}

static void make_session(struct play *play, uint8_t how)
{
	int pair[2];

	play->config.queue_count = 1 + (how & 3) % QUEUES_MAX;
	play->config.max_memory_slots = how & 0x20 ? 2 : 8;
	play->config.window_size = WINDOW_SIZE;
	play->destroy_when_closed = how & 0x04;
	play->reads = !(how & 0x10);
	play->at_once = !(how & 0x40);
	play->loop = loop_create();
	play->memory = memory_create(&memory_mmap_ops, play->config.max_memory_slots);
	demand(play->loop && play->memory &&
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ==
				0,
		"no session");
	play->socket = pair[0];
	if (how & 0x80) {
		/* So that few answers are more than the socket takes. */
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &(int){ 0 }, sizeof(int));
	}
	play->session = vhost_session_create(
		play->loop, play->memory, pair[1], &play->config, &device_ops, play);
	demand(play->session, "no session");
}

/* Hangs up first, or leaves the session to be ended in the middle. */
static void free_session(struct play *play, bool hang_up)
{
	if (hang_up) {
		fd_close(&play->socket);
		for (int i = 0; i < STEPS_MAX && !play->closed; i++) {
			loop_run_once(play->loop, false);
		}
		demand(play->closed, "the session outlives its socket");
	}
	play->closed = true; // destroying tells the device nothing
	vhost_session_destroy(play->session);
	for (size_t i = 0; i < HELD_MAX; i++) {
		virtq_request_finish(&play->held[i].virtq);
	}
	memory_destroy(play->memory);
	loop_run_once(play->loop, false);
	loop_destroy(play->loop);
}

static void run(struct play *play)
{
	uint8_t how = input_u8(play->input);

	make_peer(play);
	make_session(play, how);
	for (int i = 0; i < STEPS_MAX && play->input->left > 0 && !play->closed; i++) {
		one_step(play);
	}
	free_session(play, how & 0x08);
	free_peer(play);
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
	(void)count;
	(void)words;
	memory_mmap_install_sigbus_handler();
	target_open_first_loop();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { bytes, size };
	struct play *play = calloc(1, sizeof(*play));
	int before = target_count_open();

	demand(play, "no memory");
	play->input = &input;
	run(play);
	free(play);
	demand(target_count_open() == before, "a descriptor stays open");
	return 0;
}
