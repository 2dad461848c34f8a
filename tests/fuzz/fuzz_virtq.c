/* SPDX-License-Identifier: MIT */

/*
 * The walk through a split ring, in memory that changes meanwhile.
 *
 * The input is a script: its first bytes choose the ring, the rest are steps that write descriptors,
 * tables and indices as a driver might, or pop, push and publish as the device does. There are two ways
 * in which the memory changes under the walk:
 *
 *   - before each mapping that the walk makes (of a table, of a buffer), a few writes that the script
 *     chose land in the ring. That is the same in every run, so what it finds can be run again.
 *   - in one run of 16, a second thread writes bytes of the input all over the ring while the script
 *     runs. Nothing is the same there; it finds what happens between any two instructions.
 *
 * The ring and the buffers end at pages that nobody may touch, and what pop hands out is held against
 * what it promises.
 */

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "input.h"
#include "support/array_memory.h"
#include "virtio/virtq.h"

/* Guest addresses. RAM is two regions that touch, and the tables lie across the border. */
#define RING      UINT64_C(0x1000)
#define RAM       UINT64_C(0x100000)
#define RAM_SIZE  0x8000u
#define MORE      (RAM + RAM_SIZE)
#define MORE_SIZE 0x4000u
#define TABLE     (MORE - 0x40)

#define STEPS_MAX   4096u
#define MAX_REQUEST 0x3000u
#define HELD_MAX    8u

struct fuzz {
	struct input input;
	struct memory *memory;
	struct virtq_config config;
	struct virtq *queue;
	uint8_t *ring; // all three parts, one behind the other
	size_t ring_len;
	uint8_t *ram;
	uint8_t *more;
	struct virtq_request held[HELD_MAX];
	bool is_held[HELD_MAX];
	uint8_t writes_a_map; // how often memory changes before a mapping
};

/* The thread that writes while the script runs; it sleeps meanwhile. */
static struct {
	bool started;
	sem_t begin;
	sem_t ended;
	atomic_bool run;
	atomic_bool runs;
	const struct fuzz *fuzz;
	const uint8_t *pattern;
	size_t pattern_len;
} scribbler;

static void scribble_once(uint32_t *seed)
{
	const struct fuzz *fuzz = scribbler.fuzz;
	uint8_t value;

	*seed = *seed * 1664525u + 1013904223u;
	value = scribbler.pattern[(*seed >> 16) % scribbler.pattern_len];
	__atomic_store_n(&fuzz->ring[(*seed >> 8) % fuzz->ring_len], value, __ATOMIC_RELAXED);
	__atomic_store_n(&fuzz->ram[RAM_SIZE - 1 - (*seed >> 24) % 0x40], value, __ATOMIC_RELAXED);
	__atomic_store_n(&fuzz->more[*seed >> 24], value, __ATOMIC_RELAXED);
}

/* libFuzzer's timer interrupts. */
static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0) {
		assert(errno == EINTR);
	}
}

static void *scribble(void *data)
{
	uint32_t seed = 1;

	(void)data;
	for (;;) {
		wait_for(&scribbler.begin);
		atomic_store(&scribbler.runs, true);
		while (atomic_load(&scribbler.run)) {
			scribble_once(&seed);
		}
		sem_post(&scribbler.ended);
	}
	return NULL;
}

/* Returns when the thread writes. */
static void start_scribbling(const struct fuzz *fuzz)
{
	pthread_t thread;

	scribbler.fuzz = fuzz;
	scribbler.pattern = fuzz->input.bytes;
	scribbler.pattern_len = fuzz->input.left;
	atomic_store(&scribbler.run, true);
	atomic_store(&scribbler.runs, false);
	if (!scribbler.started) {
		sem_init(&scribbler.begin, 0, 0);
		sem_init(&scribbler.ended, 0, 0);
		scribbler.started = pthread_create(&thread, NULL, scribble, NULL) == 0;
		assert(scribbler.started);
	}
	sem_post(&scribbler.begin);
	while (!atomic_load(&scribbler.runs)) {
		sched_yield();
	}
}

static void stop_scribbling(void)
{
	atomic_store(&scribbler.run, false);
	wait_for(&scribbler.ended);
}

/* An address that a driver might name: mostly of RAM, near its borders. */
static uint64_t choose_address(struct input *input)
{
	uint8_t which = input_u8(input);

	switch (which & 7) {
	case 0:
		return MORE - (which >> 3);
	case 1:
		return MORE + MORE_SIZE - (which >> 3);
	case 2:
		return TABLE;
	case 3:
		return RING + which;
	case 4:
		return input_u64(input);
	default:
		return RAM + input_u16(input) % (RAM_SIZE + MORE_SIZE);
	}
}

static struct vring_desc choose_descriptor(struct input *input)
{
	uint8_t how = input_u8(input);
	uint16_t flags = how & 7; // NEXT, WRITE and INDIRECT
	uint32_t len = how & 8 ? input_number(input) : input_u8(input);
	uint64_t addr = choose_address(input);
	uint16_t next = how & 32 ? input_u16(input) : input_u8(input) & 7;

	if ((flags & VRING_DESC_F_INDIRECT) && !(how & 16)) {
		flags &= (uint16_t)~VRING_DESC_F_NEXT;
		len = (len % 80) * 16;
	}
	return (struct vring_desc){
		.addr = htole64(addr),
		.len = htole32(len),
		.flags = htole16(flags),
		.next = htole16(next),
	};
}

static void write_descriptor(struct fuzz *fuzz)
{
	struct vring_desc desc;
	size_t index = input_u8(&fuzz->input) % fuzz->config.size;

	desc = choose_descriptor(&fuzz->input);
	memcpy(fuzz->ring + index * sizeof(desc), &desc, sizeof(desc));
}

static void write_table(struct fuzz *fuzz)
{
	uint32_t index = input_u8(&fuzz->input) % 64;
	struct vring_desc desc = choose_descriptor(&fuzz->input);

	memory_write(fuzz->memory, TABLE + index * sizeof(desc), &desc, sizeof(desc));
}

static struct vring_avail *avail(const struct fuzz *fuzz)
{
	return (void *)(fuzz->ring + (fuzz->config.avail - RING));
}

/* Makes one more request available; head may be nonsense. */
static void offer(struct fuzz *fuzz)
{
	uint8_t which = input_u8(&fuzz->input);
	uint16_t head = which < 0xf0 ? which % fuzz->config.size : input_u16(&fuzz->input);
	struct vring_avail *ring = avail(fuzz);
	uint16_t idx = le16toh(ring->idx);

	ring->ring[idx % fuzz->config.size] = htole16(head);
	ring->idx = htole16((uint16_t)(idx + 1));
}

static void write_anywhere(struct fuzz *fuzz)
{
	size_t at = input_u16(&fuzz->input) % fuzz->ring_len;

	fuzz->ring[at] = input_u8(&fuzz->input);
}

/* The guest writes while the walk is about to map something. */
static void change_memory(void *data)
{
	struct fuzz *fuzz = data;

	if (fuzz->input.left == 0 || !fuzz->writes_a_map) {
		return;
	}
	for (uint8_t i = 0; i < fuzz->writes_a_map; i++) {
		if (i & 1) {
			write_anywhere(fuzz);
		} else {
			size_t at = input_u8(&fuzz->input);

			fuzz->more[at] = input_u8(&fuzz->input);
			fuzz->ram[RAM_SIZE - 1 - (at & 0x3f)] = fuzz->more[at];
		}
	}
}

static void check_request(const struct fuzz *fuzz, const struct virtq_request *request)
{
	uint64_t writable = 0;

	assert(request->head < fuzz->config.size);
	assert(request->bytes && request->len <= MAX_REQUEST && request->len <= request->total_len);
	assert(request->len == MAX_REQUEST || request->len == request->total_len);
	assert(request->len <= request->bytes_capacity);
	assert(request->segment_count <= request->segment_capacity);
	assert(request->segment_count <= fuzz->config.size + VIRTQ_SIZE_MAX);
	for (size_t i = 0; i < request->segment_count; i++) {
		writable += request->segments[i].len;
	}
	assert(writable == request->writable_len);
	assert(virtq_in_flight(fuzz->queue) <= fuzz->config.size);
}

/* Returns false when the ring broke, which it then stays. */
static bool pop(struct fuzz *fuzz)
{
	size_t slot = input_u8(&fuzz->input) % HELD_MAX;
	uint16_t before = virtq_next_avail(fuzz->queue);
	int result;

	if (fuzz->is_held[slot]) {
		return true;
	}
	result = virtq_pop(fuzz->queue, &fuzz->held[slot], MAX_REQUEST);
	assert(virtq_next_avail(fuzz->queue) == (uint16_t)(before + (result == 1)));
	if (result == 1) {
		check_request(fuzz, &fuzz->held[slot]);
		fuzz->is_held[slot] = true;
	}
	assert(result == 0 || result == 1 || result == -EPROTO);
	if (result == -EPROTO) {
		assert(virtq_pop(fuzz->queue, &fuzz->held[slot], MAX_REQUEST) == -EPROTO);
	}
	return result >= 0;
}

static void push(struct fuzz *fuzz)
{
	static const uint8_t response[512];
	size_t slot = input_u8(&fuzz->input) % HELD_MAX;
	size_t len = input_u8(&fuzz->input) * 2u;
	int result;

	if (!fuzz->is_held[slot]) {
		return;
	}
	result = virtq_push(fuzz->queue, &fuzz->held[slot], response, len);
	assert(result == 0 || result == -EPROTO);
	fuzz->is_held[slot] = false;
}

/* The session stops the queue and starts it again; what was popped may be answered later. */
static bool restart(struct fuzz *fuzz)
{
	fuzz->config.next_avail = virtq_next_avail(fuzz->queue);
	virtq_destroy(fuzz->queue);
	fuzz->queue = virtq_create(fuzz->memory, &fuzz->config);
	return fuzz->queue != NULL;
}

static bool step(struct fuzz *fuzz)
{
	switch (input_u8(&fuzz->input) & 15) {
	case 0:
	case 1:
	case 2:
		write_descriptor(fuzz);
		return true;
	case 3:
	case 4:
		write_table(fuzz);
		return true;
	case 5:
	case 6:
		offer(fuzz);
		return true;
	case 7:
	case 8:
	case 9:
		return pop(fuzz);
	case 10:
	case 11:
		push(fuzz);
		return true;
	case 12:
		virtq_publish(fuzz->queue);
		return true;
	case 13:
		if (input_u8(&fuzz->input) & 1) {
			virtq_enable_notification(fuzz->queue);
		} else {
			virtq_disable_notification(fuzz->queue);
		}
		return true;
	case 14:
		write_anywhere(fuzz);
		return true;
	default:
		return restart(fuzz);
	}
}

static void make_queue(struct fuzz *fuzz)
{
	uint8_t how = input_u8(&fuzz->input);
	uint16_t size = (uint16_t)(1u << (how & 15) % 11);
	size_t avail_len = 6 + 2 * (size_t)size;

	fuzz->config = (struct virtq_config){
		.size = size,
		.desc = RING,
		.avail = RING + 16u * size,
		.next_avail = input_u16(&fuzz->input),
		.event_idx = how & 16,
		.indirect = !(how & 32),
	};
	fuzz->config.used = (fuzz->config.avail + avail_len + 3) & ~UINT64_C(3);
	fuzz->ring_len = (size_t)(fuzz->config.used - RING) + 6 + 8 * (size_t)size;
	/* A size that is a multiple of 16, for its end is aligned. */
	fuzz->ring_len = (fuzz->ring_len + 15) & ~(size_t)15;
	fuzz->ring = array_memory_add(fuzz->memory, RING, fuzz->ring_len);
	fuzz->ram = array_memory_add(fuzz->memory, RAM, RAM_SIZE);
	fuzz->more = array_memory_add(fuzz->memory, MORE, MORE_SIZE);
	avail(fuzz)->idx = htole16(fuzz->config.next_avail);
	fuzz->queue = virtq_create(fuzz->memory, &fuzz->config);
	assert(fuzz->queue);
}

static void finish(struct fuzz *fuzz)
{
	for (size_t i = 0; i < HELD_MAX; i++) {
		virtq_request_finish(&fuzz->held[i]);
	}
	virtq_destroy(fuzz->queue);
	assert(array_memory_mapped() == 0);
	memory_destroy(fuzz->memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { .input = { data, size }, .memory = array_memory_create() };
	bool threaded;
	bool whole = true;

	make_queue(&fuzz);
	fuzz.writes_a_map = input_u8(&fuzz.input);
	threaded = fuzz.writes_a_map >> 4 == 15 && fuzz.input.left > 0;
	fuzz.writes_a_map &= 3;
	array_memory_set_map_hook(change_memory, &fuzz);
	if (threaded) {
		start_scribbling(&fuzz);
	}
	for (uint32_t i = 0; i < STEPS_MAX && whole && fuzz.input.left > 0; i++) {
		whole = step(&fuzz);
	}
	if (threaded) {
		stop_scribbling();
	}
	array_memory_set_map_hook(NULL, NULL);
	finish(&fuzz);
	return 0;
}
