/* SPDX-License-Identifier: MIT */

/*
 * A whole session against the real bridge, in one process.
 *
 * How this works: the input is a script. Its first bytes choose the daemon's configuration and the
 * dialect; then each step is a byte and its arguments: commands, kicks, stop, cont, reset, memory that
 * comes and goes, answers of the VMM's display and on the back end's channel, and, among them, messages and rings that break the
 * rules. After each step the daemon's loop runs until nothing is ready, and what it said is taken off
 * the sockets. Both ends are in one thread and nothing sleeps, so an input does the same every time.
 *
 * What must hold besides what the sanitizers watch: the device stays within its memory, answers no more
 * than was asked, breaks no rule of the display's protocol, and leaves no descriptor open. Not reached
 * here: what only time brings about (a viewer that stalls for 100 ms, an answer that comes too late).
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "daemon/bridge.h"
#include "frame/frame.h"
#include "frontend/display.h"
#include "frontend/memory.h"
#include "frontend/queue.h"
#include "frontend/session.h"
#include "fuzz/gpu_script.h"
#include "fuzz/input.h"
#include "fuzz/target.h"

enum {
	STEPS_MAX = 96,
	TURNS_MAX = 32, // of the loop after one step
	RING_SIZE = 32,
	MAX_MEMORY = 4 << 20,
	MAX_RESOURCES = 8,
	MEMORY_SIZE = 256 << 10,
	ARENA_SIZE = 128 << 10, // for commands, answers and backing pages
	EXTRA_SIZE = 64 << 10, // of a second region
	SLOT_SIZE = 2048, // of the arena: request and answer
	ANSWER_AT = 1024,
	REPLIES_MAX = 4096,
};

#define MEMORY_AT UINT64_C(0x100000000)
#define EXTRA_AT  (MEMORY_AT + MEMORY_SIZE) // next to it: lists may cross over

struct play {
	struct input *input;
	struct loop *loop;
	struct bridge *bridge;
	bool closed; // the daemon gave the session up
	bool running; // rings were set up
	bool unruly; // the rings are no longer ours to count in

	struct fe_session session;
	struct fe_memory memory;
	struct fe_queue queues[WIRE_QUEUE_COUNT];
	struct fe_display display;
	struct fe_span arena;
	uint32_t slot; // next of the arena
	uint32_t bases[WIRE_QUEUE_COUNT]; // as GET_VRING_BASE said
	uint32_t asked[WIRE_QUEUE_COUNT];
	uint8_t replies[REPLIES_MAX];
	size_t replies_len;
};

/* An oracle's word: the fuzzer takes the abort for a find. */
static void handle_closed(void *data)
{
	struct play *play = data;

	play->closed = true;
}

/* The one answer whose content we need: where a ring stopped. */
static void take_reply(struct play *play, const struct vhost_header *header, const uint8_t *payload)
{
	struct vhost_vring_state state;

	if (header->request != VHOST_GET_VRING_BASE || header->size != sizeof(state)) {
		return;
	}
	memcpy(&state, payload, sizeof(state));
	if (state.index < WIRE_QUEUE_COUNT) {
		play->bases[state.index] = state.num;
	}
}

static void take_replies(struct play *play)
{
	struct vhost_header header;
	ssize_t got = recv(play->session.socket, play->replies + play->replies_len,
		REPLIES_MAX - play->replies_len, MSG_DONTWAIT);
	size_t at = 0;

	play->replies_len += got > 0 ? (size_t)got : 0;
	while (play->replies_len - at >= sizeof(header)) {
		memcpy(&header, play->replies + at, sizeof(header));
		demand(header.size <= REPLIES_MAX - sizeof(header), "an answer too large");
		if (play->replies_len - at - sizeof(header) < header.size) {
			break;
		}
		take_reply(play, &header, play->replies + at + sizeof(header));
		at += sizeof(header) + header.size;
	}
	memmove(play->replies, play->replies + at, play->replies_len - at);
	play->replies_len -= at;
}

static void take_answers(struct play *play)
{
	struct fe_used used;

	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		uint32_t limit = RING_SIZE;

		while (play->running && limit-- && fe_queue_take(&play->queues[i], &used)) {
			demand(play->unruly || play->asked[i] > 0, "more answers than commands");
			demand(play->unruly || used.len <= SLOT_SIZE - ANSWER_AT,
				"more written than there was room");
			play->asked[i] -= play->asked[i] > 0;
		}
	}
}

static void check_device(struct play *play)
{
	struct gpu_device_totals totals = gpu_device_totals(bridge_device(play->bridge));

	/* What frees memory may run over the limit by a little (gpu_limits_force). */
	demand(totals.memory_used <= MAX_MEMORY + (64 << 10), "more memory held than allowed");
	demand(totals.resources <= MAX_RESOURCES, "more resources than allowed");
}

/* Lets the daemon do all that it can do now. */
static void settle(struct play *play)
{
	for (int i = 0; i < TURNS_MAX && !play->closed; i++) {
		uint64_t messages = play->display.messages;

		loop_run_once(play->loop, false);
		take_replies(play);
		if (!play->display.paused && play->display.socket >= 0) {
			fe_display_serve(&play->display);
		}
		if (i > 4 && play->display.messages == messages) {
			break;
		}
	}
	take_answers(play);
	demand(play->display.violations == 0, play->display.violation);
	if (!play->closed) {
		check_device(play);
	}
}

static void set_up_ring(struct play *play, uint32_t index, uint32_t base)
{
	struct fe_session *session = &play->session;
	struct fe_queue *queue = &play->queues[index];

	fe_session_set_vring_num(session, index, queue->size);
	fe_session_set_vring_base(session, index, base);
	fe_session_set_vring_addr(session, index, queue);
	fe_session_set_vring_err(session, index, queue->err);
	fe_session_set_vring_kick(session, index, queue->kick);
	fe_session_set_vring_call(session, index, queue->call);
	fe_session_set_vring_enable(session, index, true);
}

static void send_display_socket(struct play *play)
{
	int fd = fe_display_open(&play->display);

	if (fd >= 0) {
		fe_session_gpu_set_socket(&play->session, fd);
		fd_close(&fd);
	}
}

static void send_memory(struct play *play, bool by_slot)
{
	if (!by_slot) {
		fe_session_set_mem_table(&play->session, &play->memory);
		return;
	}
	for (size_t i = 0; i < play->memory.count; i++) {
		if (play->memory.regions[i].fd >= 0) {
			fe_session_add_mem_reg(&play->session, &play->memory.regions[i]);
		}
	}
}

/* Mostly what an orderly front end sends; the bits leave steps out or choose among them. */
static void start(struct play *play, uint32_t how)
{
	const uint64_t all = UINT64_C(1) << VIRTIO_F_VERSION_1 | 1u << VHOST_F_PROTOCOL_FEATURES |
		1u << VIRTIO_RING_F_INDIRECT_DESC | 1u << VIRTIO_RING_F_EVENT_IDX |
		1u << VIRTIO_GPU_F_EDID | 1u << VIRTIO_GPU_F_RESOURCE_UUID |
		1u << VIRTIO_GPU_F_RESOURCE_BLOB;
	uint64_t features = all;

	features &= ~(how & 1 ? UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX : 0);
	features &= ~(how & 2 ? UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC : 0);
	features &= ~(how & 4 ? UINT64_C(1) << VIRTIO_GPU_F_RESOURCE_BLOB : 0);
	if (!(how & 8)) {
		send_display_socket(play);
	}
	fe_session_set_features(&play->session, features);
	send_memory(play, how & 16);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		play->queues[i].event_idx = !(how & 1);
		play->queues[i].indirect = !(how & 2);
		set_up_ring(play, i, play->bases[i]);
	}
	if (how & 32) {
		fe_session_set_status(&play->session, 15);
	}
}

/* As fe_gpu_negotiate, without waiting for answers. */
static void negotiate(struct play *play)
{
	const uint64_t features = 1u << VHOST_PROTOCOL_F_MQ | 1u << VHOST_PROTOCOL_F_REPLY_ACK |
		1u << VHOST_PROTOCOL_F_BACKEND_REQ | 1u << VHOST_PROTOCOL_F_CONFIG |
		1u << VHOST_PROTOCOL_F_BACKEND_SEND_FD | 1u << VHOST_PROTOCOL_F_RESET_DEVICE |
		1u << VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS | 1u << VHOST_PROTOCOL_F_STATUS |
		1u << VHOST_PROTOCOL_F_SHMEM;
	struct fe_session *session = &play->session;

	fe_session_send(session, VHOST_GET_FEATURES, VHOST_FLAG_VERSION, NULL, 0, NULL, 0);
	fe_session_send(session, VHOST_GET_PROTOCOL_FEATURES, VHOST_FLAG_VERSION, NULL, 0, NULL, 0);
	fe_session_set_protocol_features(session, features);
	fe_session_set_backend_req(session);
	fe_session_set_owner(session);
	fe_session_send(session, VHOST_GET_SHMEM_CONFIG, VHOST_FLAG_VERSION, NULL, 0, NULL, 0);
	settle(play);
}

static void empty_rings(struct play *play)
{
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		fe_queue_reset(&play->queues[i]);
		play->bases[i] = 0;
		play->asked[i] = 0;
	}
	play->unruly = false;
}

static void stop(struct play *play)
{
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		struct vhost_vring_state state = { .index = i };

		fe_session_send(&play->session, VHOST_GET_VRING_BASE, VHOST_FLAG_VERSION, &state,
			sizeof(state), NULL, 0);
	}
	settle(play);
}

/* Stop and go on: with what was there, or as a driver that starts anew. */
static void step_restart(struct play *play)
{
	uint32_t how = input_u8(play->input);

	if (how & 0x40) {
		fe_display_close(&play->display);
	}
	stop(play);
	if (how & 0x80) {
		fe_session_reset_device(&play->session);
		settle(play);
		empty_rings(play);
	}
	for (size_t i = 0; how & 16 && i < play->memory.count; i++) {
		if (play->memory.regions[i].fd >= 0) {
			fe_session_rem_mem_reg(&play->session, &play->memory.regions[i]);
		}
	}
	start(play, how);
}

/* A chain of one to three buffers for the request, one or none for the answer. */
static void put_command(struct play *play, uint32_t index, const uint8_t *command, size_t size)
{
	uint64_t at = play->arena.addr + (uint64_t)play->slot * SLOT_SIZE;
	uint8_t how = input_u8(play->input);
	size_t pieces = how % 4 == 3 && size > 2 ? 3 : 1;
	struct fe_buffer in = { at + ANSWER_AT, how & 0x80 ? how : SLOT_SIZE - ANSWER_AT };
	struct fe_buffer out[3];
	uint32_t done = 0;

	memcpy((uint8_t *)play->arena.host + (size_t)play->slot * SLOT_SIZE, command, size);
	for (size_t i = 0; i < pieces; i++) {
		uint32_t rest = (uint32_t)size - done;
		uint32_t len = i + 1 == pieces ? rest : (uint32_t)(how >> 2) % (rest + 1);

		out[i] = (struct fe_buffer){ at + done, len };
		done += len;
	}
	play->slot = (play->slot + 1) % (ARENA_SIZE / SLOT_SIZE);
	if (fe_queue_add(&play->queues[index], out, pieces, &in, how & 0x40 ? 0 : 1, 0) >= 0) {
		play->asked[index]++;
	}
}

static void step_command(struct play *play)
{
	const struct gpu_script_memory memory = { play->arena.addr,
		MEMORY_SIZE - (uint32_t)(play->arena.addr - MEMORY_AT) + EXTRA_SIZE };
	uint8_t command[GPU_SCRIPT_MAX];
	uint32_t index;
	size_t size = gpu_script_make(play->input, &memory, command, &index);

	put_command(play, index, command, size);
	/* Batches: not every command is told at once. */
	if (input_u8(play->input) & 3) {
		fe_queue_kick(&play->queues[index]);
	}
}

/* Writes over descriptors, indices and flags. */
static void step_ring(struct play *play)
{
	struct fe_queue *queue = &play->queues[input_u8(play->input) % WIRE_QUEUE_COUNT];
	uint16_t index = input_u8(play->input) % RING_SIZE;
	uint8_t kind = input_u8(play->input) % 6;
	uint64_t addr;

	play->unruly = true;
	switch (kind) {
	case 0:
	case 1:
		addr = kind == 0 ? play->arena.addr + input_u16(play->input)
				 : input_u64(play->input);
		fe_queue_write_desc(queue, index, addr, input_number(play->input),
			input_u8(play->input) % 8, input_u16(play->input) % (RING_SIZE + 2));
		fe_queue_push_head(queue, input_u8(play->input) % (RING_SIZE + 1));
		break;
	case 2:
		queue->avail_idx = (uint16_t)(queue->avail_idx + input_u16(play->input));
		break;
	case 3:
		queue->avail->flags = input_u16(play->input);
		break;
	case 4:
		input_take(play->input, (uint8_t *)queue->ring.host + index * 16, 16);
		break;
	default:
		fe_queue_push_head(queue, input_u16(play->input));
		break;
	}
	fe_queue_publish(queue);
	fe_queue_force_kick(queue);
}

/* Any message, with any payload and up to four descriptors. */
static void step_message(struct play *play)
{
	uint32_t request = input_u8(play->input);
	uint32_t flags = input_u8(play->input);
	uint8_t size = input_u8(play->input);
	uint8_t count = input_u8(play->input) % 5;
	uint8_t payload[256];
	int fds[4];

	input_take(play->input, payload, size);
	for (uint8_t i = 0; i < count % 4; i++) {
		fds[i] = i & 1 ? play->queues[0].kick : play->memory.regions[0].fd;
	}
	flags = flags < 0xc0 ? VHOST_FLAG_VERSION | (flags & VHOST_FLAG_NEED_REPLY) : flags;
	fe_session_send(&play->session, request < 0xc0 ? request % VHOST_REQUEST_COUNT : request,
		flags, payload, size, fds, count % 4);
	play->unruly = true;
}

/* A known message whose numbers are nearly right. */
static void step_vring(struct play *play)
{
	struct fe_session *session = &play->session;
	uint8_t index = input_u8(play->input) % 4;
	uint32_t number = input_number(play->input);
	struct fe_queue *queue = &play->queues[index % WIRE_QUEUE_COUNT];

	switch (input_u8(play->input) % 9) {
	case 0:
		fe_session_set_vring_num(session, index, number);
		break;
	case 1:
		fe_session_set_vring_base(session, index, number);
		break;
	case 2:
		fe_session_set_vring_addr(session, index, queue);
		break;
	case 3:
		fe_session_set_vring_kick(session, index, number & 1 ? queue->kick : -1);
		break;
	case 4:
		fe_session_set_vring_call(session, index, number & 1 ? queue->call : -1);
		break;
	case 5:
		fe_session_set_vring_err(session, index, number & 1 ? queue->err : -1);
		break;
	case 6:
		fe_session_set_vring_enable(session, index, number & 1);
		break;
	case 7:
		fe_session_set_status(session, (uint8_t)number);
		break;
	default:
		fe_session_set_features(session, input_u64(play->input));
		break;
	}
	play->unruly = true;
}

/* Bytes without a frame around them: pieces of messages, several at once. */
static void step_bytes(struct play *play)
{
	uint8_t bytes[64];
	size_t size = input_u8(play->input) % sizeof(bytes);

	input_take(play->input, bytes, size);
	if (size > 0) {
		fe_session_send_bytes(&play->session, bytes, size, NULL, 0);
	}
	play->unruly = true;
}

static void step_config(struct play *play)
{
	uint8_t bytes[VHOST_CONFIG_MAX];
	uint32_t offset = input_number(play->input);
	uint32_t size = input_u8(play->input);

	input_take(play->input, bytes, size);
	if (input_u8(play->input) & 1) {
		fe_session_set_config(&play->session, offset, bytes, size);
		return;
	}
	uint8_t message[sizeof(struct vhost_config_header) + VHOST_CONFIG_MAX] = { 0 };
	const struct vhost_config_header header = { offset, size, 0 };

	memcpy(message, &header, sizeof(header));
	fe_session_send(&play->session, VHOST_GET_CONFIG, VHOST_FLAG_VERSION, message,
		(uint32_t)sizeof(header) + size, NULL, 0);
}

/* The second region comes and goes, with whatever the guest keeps there. */
static void step_region(struct play *play)
{
	size_t last = play->memory.count - 1;

	if (last > 0 && play->memory.regions[last].fd >= 0) {
		fe_session_rem_mem_reg(&play->session, &play->memory.regions[last]);
		settle(play);
		fe_memory_remove_region(&play->memory, last);
	} else if (play->memory.count < 8 &&
		fe_memory_add_region(&play->memory, EXTRA_AT, EXTRA_SIZE) >= 0) {
		fe_session_add_mem_reg(
			&play->session, &play->memory.regions[play->memory.count - 1]);
	}
}

/* How the VMM's display behaves from here on. */
static void step_display(struct play *play)
{
	struct fe_display *display = &play->display;
	uint8_t bytes[48];
	size_t size;

	switch (input_u8(play->input) % 7) {
	case 0:
		display->paused = !display->paused;
		break;
	case 1:
		display->silent = input_u32(play->input);
		break;
	case 2:
		fe_display_close(display);
		break;
	case 3:
		send_display_socket(play);
		break;
	case 4:
		fe_display_set_outputs(display, input_u8(play->input) % 5,
			input_number(play->input) % 2048, input_number(play->input) % 2048);
		break;
	case 5:
		input_take(play->input, &display->info, sizeof(display->info));
		break;
	default:
		/* Answers that nobody asked for, in pieces. */
		size = 1 + input_u8(play->input) % (sizeof(bytes) - 1);
		input_take(play->input, bytes, size);
		if (display->socket >= 0) {
			send(display->socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		break;
	}
}

/* What the front end says to the back end's requests, asked for or not, whole or in pieces. */
static void step_channel(struct play *play)
{
	uint8_t how = input_u8(play->input);
	const struct vhost_header request = { .request = how % 16 };
	uint8_t bytes[32];
	size_t size;

	if (play->session.backend_requests < 0 || how >= 0xf0) {
		fe_session_set_backend_req(&play->session);
	} else if (how < 0x80) {
		fe_session_backend_reply(&play->session, &request, how >> 4 & 1);
	} else {
		size = 1 + input_u8(play->input) % sizeof(bytes);
		input_take(play->input, bytes, size);
		send(play->session.backend_requests, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* What the control socket can ask for at any time. */
static void step_control(struct play *play)
{
	struct gpu_device *device = bridge_device(play->bridge);
	uint8_t what = input_u8(play->input);
	struct gpu_scanout_status status;

	if (what & 1) {
		frame_unref(gpu_device_screenshot(device, what >> 2 & 3, what & 2));
	}
	for (uint32_t i = 0; i < 4; i++) {
		gpu_device_scanout_status(device, i, &status);
	}
	bridge_stats(play->bridge);
}

static void step_pixels(struct play *play)
{
	uint16_t at = input_u16(play->input);
	uint8_t size = input_u8(play->input);

	input_take(play->input, (uint8_t *)play->arena.host + at % (ARENA_SIZE - 256), size);
}

static void one_step(struct play *play)
{
	static void (*const steps[])(struct play *play) = { step_command, step_command,
		step_command, step_command, step_command, step_command, step_command, step_restart,
		step_ring, step_message, step_vring, step_bytes, step_config, step_region,
		step_display, step_control, step_pixels, step_channel };
	uint8_t which = input_u8(play->input);

	steps[which % (sizeof(steps) / sizeof(steps[0]))](play);
	settle(play);
}

static bool make_guest(struct play *play)
{
	fe_memory_init(&play->memory);
	fe_display_init(&play->display);
	if (fe_memory_add_region(&play->memory, MEMORY_AT, MEMORY_SIZE) < 0) {
		return false;
	}
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		if (fe_queue_init(&play->queues[i], &play->memory, RING_SIZE) < 0) {
			return false;
		}
	}
	play->arena = fe_memory_alloc(&play->memory, ARENA_SIZE, 4096);
	return play->arena.size > 0;
}

static void free_guest(struct play *play)
{
	fe_session_close(&play->session);
	fe_display_finish(&play->display);
	fe_memory_free(&play->memory, &play->arena);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		fe_queue_finish(&play->queues[i]);
	}
	fe_memory_finish(&play->memory);
}

static bool make_daemon(struct play *play, uint8_t how)
{
	const struct bridge_config config = {
		.max_memory = MAX_MEMORY,
		.max_resources = MAX_RESOURCES,
		.max_request = 64 << 10,
		.poll_us = how & 1 ? 20 : 0,
		.host_visible = 1 << 20,
		.outputs = 1 + (how >> 1) % 3,
		.width = 64,
		.height = 48,
	};
	int ends[2];

	play->loop = loop_create();
	if (!play->loop ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		return false;
	}
	fe_session_init(&play->session, ends[0], NULL);
	play->bridge = bridge_create(play->loop, ends[1], &config, handle_closed, play);
	return play->bridge;
}

/* Hangs up first, or leaves the daemon to be ended in the middle. */
static void end(struct play *play, bool hang_up)
{
	if (hang_up) {
		fe_session_close(&play->session);
		for (int i = 0; i < TURNS_MAX && !play->closed; i++) {
			loop_run_once(play->loop, false);
		}
		demand(play->closed, "the session outlives its socket");
	}
	bridge_destroy(play->bridge);
	loop_destroy(play->loop);
}

static void run(struct play *play)
{
	uint8_t how = input_u8(play->input);

	if (!make_guest(play) || !make_daemon(play, how)) {
		abort();
	}
	if (how < 0xf0) {
		negotiate(play);
		start(play, input_u8(play->input));
		play->running = true;
		settle(play);
	}
	for (int i = 0; i < STEPS_MAX && play->input->left > 0 && !play->closed; i++) {
		one_step(play);
	}
	end(play, how & 0x08);
	free_guest(play);
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
	(void)count;
	(void)words;
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
	play->session.socket = -1;
	play->session.backend_requests = -1;
	run(play);
	free(play);
	demand(target_count_open() == before, "a descriptor stays open");
	return 0;
}
