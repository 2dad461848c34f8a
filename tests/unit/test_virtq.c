/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/array_memory.h"
#include "virtio/virtq.h"

/*
 * A ring in arrays, written by hand, as a driver would or never should. Numbers in the ring are
 * little-endian.
 */

enum {
	RAM_SIZE = 0x80000,
	DESC = 0x10000,
	AVAIL = 0x20000,
	USED = 0x30000,
	DATA = 0x40000,
	TABLE = 0x60008, // 2.7.5.3 asks for no alignment of an indirect table
	NEXT = VRING_DESC_F_NEXT,
	WRITE = VRING_DESC_F_WRITE,
	INDIRECT = VRING_DESC_F_INDIRECT,
	MAX_LEN = 1 << 20,
};

struct ring {
	struct memory *memory;
	uint8_t *ram; // guest address 0
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct virtq *queue;
	struct virtq_request request;
	uint16_t size;
	uint16_t offered;
};

/* How many allocations may still succeed; negative: all. */
static int allocations_left = -1;

void *__real_malloc(size_t size); // NOLINT: the linker's names
void *__real_realloc(void *old, size_t size); // NOLINT
void *__wrap_malloc(size_t size); // NOLINT
void *__wrap_realloc(void *old, size_t size); // NOLINT

static bool may_allocate(void)
{
	if (allocations_left == 0) {
		return false;
	}
	allocations_left -= allocations_left > 0;
	return true;
}

void *__wrap_malloc(size_t size) // NOLINT
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_realloc(void *old, size_t size) // NOLINT
{
	return may_allocate() ? __real_realloc(old, size) : NULL;
}

static struct virtq_config ring_config(uint16_t size)
{
	return (struct virtq_config){
		.size = size, .desc = DESC, .avail = AVAIL, .used = USED, .indirect = true
	};
}

static void make_ring(struct ring *ring)
{
	*ring = (struct ring){ .memory = array_memory_create() };
	ring->ram = array_memory_add(ring->memory, 0, RAM_SIZE);
	ring->desc = (void *)(ring->ram + DESC);
	ring->avail = (void *)(ring->ram + AVAIL);
	ring->used = (void *)(ring->ram + USED);
	for (int i = 0; i < 0x1000; i++) {
		ring->ram[DATA + i] = (uint8_t)(i * 7 + i / 256);
	}
}

static void start_with(struct ring *ring, const struct virtq_config *config)
{
	if (!ring->memory) {
		make_ring(ring);
	}
	virtq_destroy(ring->queue);
	ring->queue = virtq_create(ring->memory, config);
	assert_non_null(ring->queue);
	ring->size = config->size;
	ring->offered = config->next_avail;
	ring->avail->idx = htole16(config->next_avail);
}

static void start(struct ring *ring, uint16_t size)
{
	const struct virtq_config config = ring_config(size);

	start_with(ring, &config);
}

static void start_event_idx(struct ring *ring, uint16_t size, uint16_t index)
{
	struct virtq_config config = ring_config(size);

	config.event_idx = true;
	config.next_avail = index;
	make_ring(ring);
	ring->used->idx = htole16(index);
	start_with(ring, &config);
}

static void finish(struct ring *ring)
{
	virtq_request_finish(&ring->request);
	virtq_destroy(ring->queue);
	assert_int_equal(array_memory_mapped(), 0);
	memory_destroy(ring->memory);
}

static void write_desc(struct vring_desc *desc, uint64_t addr, uint32_t len, int flags, int next)
{
	*desc = (struct vring_desc){ htole64(addr), htole32(len), htole16((uint16_t)flags),
		htole16((uint16_t)next) };
}

static void set(struct ring *ring, int index, uint64_t addr, uint32_t len, int flags, int next)
{
	write_desc(&ring->desc[index], addr, len, flags, next);
}

static void offer(struct ring *ring, uint16_t head)
{
	ring->avail->ring[ring->offered++ & (ring->size - 1)] = htole16(head);
	__atomic_store_n(&ring->avail->idx, htole16(ring->offered), __ATOMIC_RELEASE);
}

static int pop(struct ring *ring)
{
	return virtq_pop(ring->queue, &ring->request, MAX_LEN);
}

/* Offers the chain at 0 and expects the ring to break, and to stay broken. */
static void expect_broken(struct ring *ring)
{
	offer(ring, 0);
	assert_int_equal(pop(ring), -EPROTO);
	set(ring, 0, DATA, 16, 0, 0);
	assert_true(virtq_has_work(ring->queue));
	assert_int_equal(pop(ring), -EPROTO);
	finish(ring);
}

static void expect_bytes(const struct ring *ring, size_t at, uint64_t addr, size_t len)
{
	assert_memory_equal(ring->request.bytes + at, ring->ram + addr, len);
}

static void test_pop_copies_a_chain(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	assert_false(virtq_has_work(ring.queue));
	assert_int_equal(pop(&ring), 0);
	set(&ring, 5, DATA, 24, NEXT, 2);
	set(&ring, 2, DATA + 100, 300, NEXT, 7);
	set(&ring, 7, DATA + 0x1000, 64, NEXT | WRITE, 0);
	set(&ring, 0, DATA + 0x2000, 8, WRITE, 3);
	offer(&ring, 5);
	assert_true(virtq_has_work(ring.queue));
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(ring.request.head, 5);
	assert_int_equal(ring.request.len, 324);
	assert_int_equal(ring.request.total_len, 324);
	expect_bytes(&ring, 0, DATA, 24);
	expect_bytes(&ring, 24, DATA + 100, 300);
	assert_int_equal(ring.request.segment_count, 2);
	assert_int_equal(ring.request.segments[0].guest_addr, DATA + 0x1000);
	assert_int_equal(ring.request.segments[1].len, 8);
	assert_int_equal(ring.request.writable_len, 72);
	assert_int_equal(virtq_next_avail(ring.queue), 1);
	assert_int_equal(virtq_in_flight(ring.queue), 1);
	assert_int_equal(pop(&ring), 0);
	finish(&ring);
}

static void test_pop_keeps_buffers(void **state)
{
	struct ring ring = { 0 };
	const uint8_t *bytes;
	const struct virtq_segment *segments;

	(void)state;
	start(&ring, 8);
	set(&ring, 0, DATA, 1000, NEXT, 1);
	set(&ring, 1, DATA, 10, WRITE, 0);
	set(&ring, 2, DATA, 20, 0, 0);
	offer(&ring, 0);
	offer(&ring, 2);
	assert_int_equal(pop(&ring), 1);
	bytes = ring.request.bytes;
	segments = ring.request.segments;
	allocations_left = 0;
	assert_int_equal(pop(&ring), 1);
	allocations_left = -1;
	assert_ptr_equal(ring.request.bytes, bytes);
	assert_ptr_equal(ring.request.segments, segments);
	assert_int_equal(ring.request.len, 20);
	assert_int_equal(ring.request.segment_count, 0);
	assert_int_equal(ring.request.writable_len, 0);
	finish(&ring);
}

static void test_pop_without_memory_takes_nothing(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 0, DATA, 5000, NEXT, 1);
	set(&ring, 1, DATA, 10, WRITE, 0);
	offer(&ring, 0);
	for (int allowed = 0; allowed < 2; allowed++) {
		allocations_left = allowed;
		assert_int_equal(pop(&ring), -ENOMEM);
		assert_int_equal(virtq_next_avail(ring.queue), 0);
		assert_int_equal(virtq_in_flight(ring.queue), 0);
		virtq_request_finish(&ring.request);
	}
	allocations_left = -1;
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(ring.request.len, 5000);
	finish(&ring);
}

static void test_pop_clips_long_requests(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 0, DATA, 100, NEXT, 1);
	set(&ring, 1, DATA + 200, 100, NEXT, 2);
	set(&ring, 2, 0xdead00000000, 0xffffffff, NEXT, 3); // beyond the bound: never read
	set(&ring, 3, DATA, 7, WRITE, 0);
	offer(&ring, 0);
	assert_int_equal(virtq_pop(ring.queue, &ring.request, 150), 1);
	assert_int_equal(ring.request.len, 150);
	assert_int_equal(ring.request.total_len, 200 + UINT64_C(0xffffffff));
	assert_int_equal(ring.request.writable_len, 7);
	expect_bytes(&ring, 0, DATA, 100);
	expect_bytes(&ring, 100, DATA + 200, 50);
	finish(&ring);
}

static void test_lengths_do_not_wrap(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	for (int i = 0; i < 7; i++) {
		set(&ring, i, DATA, 0xffffffff, NEXT | (i < 3 ? 0 : WRITE), i + 1);
	}
	set(&ring, 7, DATA, 0xffffffff, WRITE, 0);
	offer(&ring, 0);
	assert_int_equal(virtq_pop(ring.queue, &ring.request, 16), 1);
	assert_int_equal(ring.request.total_len, 3 * UINT64_C(0xffffffff));
	assert_int_equal(ring.request.writable_len, 5 * UINT64_C(0xffffffff));
	finish(&ring);
}

static void test_empty_descriptors_are_fine(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 0, UINT64_MAX, 0, NEXT, 1);
	set(&ring, 1, DATA, 8, NEXT, 2);
	set(&ring, 2, UINT64_MAX, 0, NEXT, 3);
	set(&ring, 3, DATA, 8, NEXT, 4);
	set(&ring, 4, UINT64_MAX, 0, NEXT | WRITE, 5);
	set(&ring, 5, DATA + 0x1000, 4, WRITE, 0);
	offer(&ring, 0);
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(ring.request.len, 16);
	assert_int_equal(virtq_push(ring.queue, &ring.request, "abcd", 4), 0);
	assert_memory_equal(ring.ram + DATA + 0x1000, "abcd", 4);
	set(&ring, 0, UINT64_MAX, 0, 0, 0);
	offer(&ring, 0);
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(ring.request.len, 0);
	assert_non_null(ring.request.bytes);
	finish(&ring);
}

static void test_chain_may_be_as_long_as_the_queue(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	for (int i = 0; i < 8; i++) {
		set(&ring, i, DATA + (uint64_t)i, 1, i < 7 ? NEXT : 0, i + 1);
	}
	offer(&ring, 0);
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(ring.request.len, 8);
	expect_bytes(&ring, 0, DATA, 8);
	finish(&ring);
}

static void test_loops_break_the_ring(void **state)
{
	struct ring itself = { 0 };
	struct ring back = { 0 };

	(void)state;
	start(&itself, 8);
	set(&itself, 0, DATA, 1, NEXT, 0);
	expect_broken(&itself);
	start(&back, 8);
	set(&back, 0, DATA, 1, NEXT, 3);
	set(&back, 3, DATA, 1, NEXT | WRITE, 5);
	set(&back, 5, DATA, 1, NEXT | WRITE, 3);
	expect_broken(&back);
}

static void test_indices_out_of_range_break_the_ring(void **state)
{
	struct ring next = { 0 };
	struct ring head = { 0 };

	(void)state;
	start(&next, 8);
	set(&next, 0, DATA, 1, NEXT, 8);
	set(&next, 8, DATA, 1, 0, 0);
	expect_broken(&next);
	start(&head, 8);
	set(&head, 8, DATA, 1, 0, 0);
	offer(&head, 8);
	assert_int_equal(pop(&head), -EPROTO);
	finish(&head);
}

static void test_readable_after_writable_breaks_the_ring(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 0, DATA, 1, NEXT | WRITE, 1);
	set(&ring, 1, DATA, 1, 0, 0);
	expect_broken(&ring);
	ring = (struct ring){ 0 };
	start(&ring, 8);
	set(&ring, 0, DATA, 0, NEXT | WRITE, 1); // an empty one counts
	set(&ring, 1, DATA, 1, 0, 0);
	expect_broken(&ring);
}

static void test_no_memory_breaks_the_ring(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} cases[] = {
		{ RAM_SIZE, 1 },
		{ RAM_SIZE - 4, 5 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 3, 8 },
		{ UINT64_C(1) << 63, 16 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ring ring = { 0 };

		start(&ring, 8);
		set(&ring, 0, cases[i].addr, cases[i].len, 0, 0);
		expect_broken(&ring);
	}
}

static void test_requests_may_cross_regions(void **state)
{
	struct ring ring = { 0 };
	uint8_t *more;

	(void)state;
	start(&ring, 8);
	more = array_memory_add(ring.memory, RAM_SIZE, 0x1000);
	memset(ring.ram + RAM_SIZE - 5, 1, 5);
	memset(more, 2, 5);
	set(&ring, 0, RAM_SIZE - 5, 10, NEXT, 1);
	set(&ring, 1, RAM_SIZE - 2, 6, WRITE, 0);
	offer(&ring, 0);
	assert_int_equal(pop(&ring), 1);
	assert_memory_equal(ring.request.bytes, "\1\1\1\1\1\2\2\2\2\2", 10);
	assert_int_equal(virtq_push(ring.queue, &ring.request, "abcdef", 6), 0);
	assert_memory_equal(ring.ram + RAM_SIZE - 2, "ab", 2);
	assert_memory_equal(more, "cdef", 4);
	finish(&ring);
}

static struct vring_desc *table_of(struct ring *ring, uint32_t len, int flags)
{
	set(ring, 0, TABLE, len, INDIRECT | flags, 1);
	return (struct vring_desc *)(void *)(ring->ram + TABLE);
}

/* Writes an entry of an indirect table, wherever that lies. */
static void put(
	struct vring_desc *table, int index, uint64_t addr, uint32_t len, int flags, int next)
{
	struct vring_desc desc;

	write_desc(&desc, addr, len, flags, next);
	memcpy((uint8_t *)table + (size_t)index * sizeof(desc), &desc, sizeof(desc));
}

static void test_indirect_table(void **state)
{
	struct ring ring = { 0 };
	struct vring_desc *table;

	(void)state;
	start(&ring, 4);
	table = table_of(&ring, 3 * 16, WRITE); // 2.7.5.3.2: WRITE is ignored here
	put(table, 0, DATA, 10, NEXT, 2);
	put(table, 2, DATA + 50, 6, NEXT, 1);
	put(table, 1, DATA + 0x1000, 40, WRITE, 0);
	offer(&ring, 0);
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(ring.request.head, 0);
	assert_int_equal(ring.request.len, 16);
	expect_bytes(&ring, 10, DATA + 50, 6);
	assert_int_equal(ring.request.writable_len, 40);
	/* 2.7.5.3.2: after direct descriptors, too. */
	set(&ring, 2, DATA + 300, 4, NEXT, 0);
	offer(&ring, 2);
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(ring.request.head, 2);
	assert_int_equal(ring.request.len, 20);
	expect_bytes(&ring, 0, DATA + 300, 4);
	expect_bytes(&ring, 4, DATA, 10);
	finish(&ring);
}

static void test_indirect_table_may_be_longer_than_the_queue(void **state)
{
	struct ring ring = { 0 };
	struct vring_desc *table;

	(void)state;
	start(&ring, 4);
	table = table_of(&ring, 1024 * 16, 0);
	for (int i = 0; i < 1024; i++) {
		put(table, i, DATA + (uint64_t)i, 1, i < 1023 ? NEXT : 0, i + 1);
	}
	set(&ring, 1, DATA, 1, NEXT, 2);
	set(&ring, 2, DATA, 1, NEXT, 3);
	set(&ring, 3, DATA, 1, NEXT, 0);
	offer(&ring, 1);
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(ring.request.len, 1027);
	expect_bytes(&ring, 3, DATA, 1024);
	finish(&ring);
}

static void test_indirect_sizes_that_break_the_ring(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 15, 17, 24, 1025 * 16, 0xfffffff0, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct ring ring = { 0 };

		start(&ring, 8);
		put(table_of(&ring, sizes[i], 0), 0, DATA, 1, 0, 0);
		expect_broken(&ring);
	}
}

static void test_indirect_flags_that_break_the_ring(void **state)
{
	struct ring next = { 0 };
	struct ring nested = { 0 };
	struct ring later = { 0 };
	struct vring_desc *table;

	(void)state;
	start(&next, 8);
	put(table_of(&next, 16, NEXT), 0, DATA, 1, 0, 0);
	set(&next, 1, DATA, 1, 0, 0);
	expect_broken(&next);
	start(&nested, 8);
	put(table_of(&nested, 16, 0), 0, TABLE, 16, INDIRECT, 0);
	expect_broken(&nested);
	start(&later, 8);
	table = table_of(&later, 32, 0);
	put(table, 0, DATA, 1, NEXT, 1);
	put(table, 1, TABLE, 16, INDIRECT, 0);
	expect_broken(&later);
}

static void test_indirect_links_that_break_the_ring(void **state)
{
	struct ring outside = { 0 };
	struct ring loop = { 0 };
	struct ring order = { 0 };
	struct vring_desc *table;

	(void)state;
	start(&outside, 8);
	table = table_of(&outside, 32, 0);
	put(table, 0, DATA, 1, NEXT, 2);
	put(table, 2, DATA, 1, 0, 0);
	expect_broken(&outside);
	start(&loop, 8);
	table = table_of(&loop, 32, 0);
	put(table, 0, DATA, 1, NEXT, 1);
	put(table, 1, DATA, 1, NEXT, 0);
	expect_broken(&loop);
	start(&order, 8);
	set(&order, 1, DATA, 1, WRITE | NEXT, 0);
	put(table_of(&order, 16, 0), 0, DATA, 1, 0, 0);
	offer(&order, 1);
	assert_int_equal(pop(&order), -EPROTO);
	finish(&order);
}

static void test_indirect_must_be_negotiated_and_in_memory(void **state)
{
	struct ring plain = { 0 };
	struct ring outside = { 0 };
	struct virtq_config config = ring_config(8);

	(void)state;
	config.indirect = false;
	start_with(&plain, &config);
	put(table_of(&plain, 16, 0), 0, DATA, 1, 0, 0);
	expect_broken(&plain);
	start(&outside, 8);
	set(&outside, 0, RAM_SIZE - 16, 32, INDIRECT, 0);
	expect_broken(&outside);
}

/* Spoils the indirect table once it has been copied. */
static void spoil_table(void *data)
{
	struct ring *ring = data;
	static int maps;

	if (++maps > 1) { // the first is the copy of the table itself
		memset(ring->ram + TABLE, 0xff, 64);
		memset(ring->desc, 0xff, 64);
	}
}

static void test_what_changes_after_the_copy_is_not_seen(void **state)
{
	struct ring ring = { 0 };
	struct vring_desc *table;

	(void)state;
	start(&ring, 8);
	table = table_of(&ring, 48, 0);
	put(table, 0, DATA, 4, NEXT, 1);
	put(table, 1, DATA + 8, 4, NEXT, 2);
	put(table, 2, DATA + 0x1000, 4, WRITE, 0);
	offer(&ring, 0);
	array_memory_set_map_hook(spoil_table, &ring);
	assert_int_equal(pop(&ring), 1);
	array_memory_set_map_hook(NULL, NULL);
	assert_int_equal(ring.ram[TABLE], 0xff);
	assert_int_equal(ring.request.len, 8);
	assert_int_equal(ring.request.segments[0].guest_addr, DATA + 0x1000);
	finish(&ring);
}

static void test_too_many_requests_break_the_ring(void **state)
{
	static const uint16_t starts[] = { 0, 65530, 65535 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct virtq_config config = ring_config(8);
		struct ring ring = { 0 };

		config.next_avail = starts[i];
		start_with(&ring, &config);
		set(&ring, 0, DATA, 1, 0, 0);
		ring.avail->idx = htole16((uint16_t)(starts[i] + 8));
		assert_int_equal(pop(&ring), 1);
		virtq_destroy(ring.queue);
		ring.queue = NULL;
		start_with(&ring, &config);
		ring.avail->idx = htole16((uint16_t)(starts[i] + 9));
		assert_int_equal(pop(&ring), -EPROTO);
		ring.avail->idx = htole16(starts[i]);
		assert_int_equal(pop(&ring), -EPROTO);
		finish(&ring);
	}
}

static void test_index_is_loaded_once_a_batch(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 0, DATA, 1, 0, 0);
	offer(&ring, 0);
	offer(&ring, 0);
	offer(&ring, 0);
	assert_int_equal(pop(&ring), 1);
	ring.avail->idx = htole16(0x4000); // nobody looks before the three are through
	assert_true(virtq_has_work(ring.queue));
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(pop(&ring), -EPROTO);
	finish(&ring);
}

static void test_more_in_flight_than_entries_break_the_ring(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 2);
	set(&ring, 0, DATA, 1, 0, 0);
	for (int i = 0; i < 2; i++) {
		offer(&ring, 0);
		assert_int_equal(pop(&ring), 1);
	}
	assert_int_equal(virtq_in_flight(ring.queue), 2);
	assert_int_equal(virtq_push(ring.queue, &ring.request, NULL, 0), 0);
	offer(&ring, 0);
	assert_int_equal(pop(&ring), 1);
	offer(&ring, 0);
	assert_int_equal(pop(&ring), -EPROTO);
	finish(&ring);
}

static void test_push_writes_and_clips(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 6, DATA, 1, NEXT, 1);
	set(&ring, 1, DATA + 0x1000, 3, NEXT | WRITE, 2);
	set(&ring, 2, DATA + 0x1100, 4, WRITE, 0);
	for (uint16_t i = 0; i < 2; i++) {
		offer(&ring, 6);
		assert_int_equal(pop(&ring), 1);
	}
	assert_int_equal(virtq_push(ring.queue, &ring.request, "abcde", 5), 0);
	assert_memory_equal(ring.ram + DATA + 0x1000, "abc\0", 4);
	assert_memory_equal(ring.ram + DATA + 0x1100, "de\0", 3);
	assert_int_equal(le32toh(ring.used->ring[0].id), 6);
	assert_int_equal(le32toh(ring.used->ring[0].len), 5);
	assert_int_equal(virtq_push(ring.queue, &ring.request, "0123456789", 10), 0);
	assert_memory_equal(ring.ram + DATA + 0x1100, "3456\0", 5);
	assert_int_equal(le32toh(ring.used->ring[1].len), 7);
	assert_int_equal(ring.used->idx, 0); // not visible yet
	assert_true(virtq_publish(ring.queue));
	assert_int_equal(le16toh(ring.used->idx), 2);
	assert_int_equal(virtq_in_flight(ring.queue), 0);
	finish(&ring);
}

static void test_push_to_no_memory_still_uses_the_element(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 3, DATA + 0x1000, 2, NEXT | WRITE, 4);
	set(&ring, 4, RAM_SIZE - 1, 2, WRITE, 0);
	offer(&ring, 3);
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(virtq_push(ring.queue, &ring.request, "abcd", 4), -EPROTO);
	assert_int_equal(le32toh(ring.used->ring[0].id), 3);
	assert_int_equal(le32toh(ring.used->ring[0].len), 0);
	virtq_publish(ring.queue);
	assert_int_equal(le16toh(ring.used->idx), 1);
	assert_int_equal(virtq_in_flight(ring.queue), 0);
	finish(&ring);
}

static void test_indices_wrap(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 4);
	for (uint32_t i = 0; i < 70000; i++) {
		uint16_t head = (uint16_t)(i * 3 & 3);

		set(&ring, head, DATA + (i & 0xff), 4, NEXT, (head + 1) & 3);
		set(&ring, (head + 1) & 3, DATA + 0x1000, 4, WRITE, 0);
		offer(&ring, head);
		assert_int_equal(pop(&ring), 1);
		expect_bytes(&ring, 0, DATA + (i & 0xff), 4);
		assert_int_equal(virtq_push(ring.queue, &ring.request, &i, sizeof(i)), 0);
		assert_true(virtq_publish(ring.queue));
		assert_int_equal(le32toh(ring.used->ring[i & 3].id), head);
		assert_int_equal(le16toh(ring.used->idx), (uint16_t)(i + 1));
	}
	assert_int_equal(virtq_next_avail(ring.queue), (uint16_t)70000);
	finish(&ring);
}

static void push_some(struct ring *ring, int count)
{
	for (int i = 0; i < count; i++) {
		set(ring, 0, DATA, 1, 0, 0);
		offer(ring, 0);
		assert_int_equal(pop(ring), 1);
		assert_int_equal(virtq_push(ring->queue, &ring->request, NULL, 0), 0);
	}
}

static void test_flags_suppress_notification(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	assert_false(virtq_publish(ring.queue)); // nothing was pushed
	push_some(&ring, 1);
	assert_true(virtq_publish(ring.queue));
	assert_false(virtq_publish(ring.queue));
	ring.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
	push_some(&ring, 2);
	assert_false(virtq_publish(ring.queue));
	assert_int_equal(le16toh(ring.used->idx), 3);
	ring.avail->flags = 0;
	push_some(&ring, 1);
	assert_true(virtq_publish(ring.queue));
	finish(&ring);
}

static void test_event_index_suppresses_notification(void **state)
{
	static const struct {
		uint16_t from; // used.idx before
		int count; // pushed
		uint16_t event;
		bool expected;
	} cases[] = {
		{ 10, 1, 10, true }, // just the one waited for
		{ 10, 1, 11, false }, // the next one
		{ 10, 1, 9, false }, // gone by
		{ 10, 3, 12, true },
		{ 10, 3, 13, false },
		{ 10, 3, 11, true },
		{ 65534, 1, 65534, true },
		{ 65534, 4, 65535, true }, // over the wrap
		{ 65534, 4, 0, true },
		{ 65534, 4, 1, true },
		{ 65534, 4, 2, false },
		{ 65534, 4, 65533, false },
		{ 65535, 1, 65535, true },
		{ 65535, 1, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ring ring;

		start_event_idx(&ring, 8, (uint16_t)(cases[i].from - 1));
		push_some(&ring, 1);
		virtq_publish(ring.queue); // the first is always told
		ring.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT); // no meaning here
		ring.avail->ring[8] = htole16(cases[i].event);
		push_some(&ring, cases[i].count);
		assert_int_equal(virtq_publish(ring.queue), cases[i].expected);
		assert_int_equal(
			le16toh(ring.used->idx), (uint16_t)(cases[i].from + cases[i].count));
		finish(&ring);
	}
}

static void test_first_publication_notifies(void **state)
{
	struct ring ring;

	(void)state;
	start_event_idx(&ring, 8, 100);
	ring.avail->ring[8] = htole16(99); // published before a stop, and perhaps never told
	push_some(&ring, 1);
	assert_true(virtq_publish(ring.queue));
	push_some(&ring, 1);
	assert_false(virtq_publish(ring.queue));
	finish(&ring);
}

static void test_notification_flag(void **state)
{
	struct ring ring = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 0, DATA, 1, 0, 0);
	virtq_disable_notification(ring.queue);
	assert_int_equal(le16toh(ring.used->flags), VRING_USED_F_NO_NOTIFY);
	assert_false(virtq_enable_notification(ring.queue));
	assert_int_equal(ring.used->flags, 0);
	virtq_disable_notification(ring.queue);
	offer(&ring, 0);
	assert_true(virtq_enable_notification(ring.queue));
	assert_int_equal(pop(&ring), 1);
	assert_false(virtq_enable_notification(ring.queue));
	finish(&ring);
}

static void test_notification_event(void **state)
{
	struct ring ring;
	const uint16_t *event;

	(void)state;
	start_event_idx(&ring, 8, 65535);
	event = (const uint16_t *)(const void *)&ring.used->ring[8];
	set(&ring, 0, DATA, 1, 0, 0);
	assert_false(virtq_enable_notification(ring.queue));
	assert_int_equal(le16toh(*event), 65535);
	offer(&ring, 0);
	offer(&ring, 0);
	assert_true(virtq_enable_notification(ring.queue));
	assert_int_equal(pop(&ring), 1);
	assert_int_equal(pop(&ring), 1);
	virtq_disable_notification(ring.queue);
	assert_int_equal(ring.used->flags, 0); // 2.7.10: stays 0 with EVENT_IDX
	assert_int_equal(le16toh(*event), 65535);
	assert_false(virtq_enable_notification(ring.queue));
	assert_int_equal(le16toh(*event), 1);
	finish(&ring);
}

static void test_queue_goes_on_after_a_stop(void **state)
{
	struct ring ring = { 0 };
	struct virtq_config config = ring_config(8);
	struct virtq_request held = { 0 };

	(void)state;
	start(&ring, 8);
	set(&ring, 0, DATA, 1, 0, 0);
	offer(&ring, 0);
	offer(&ring, 0);
	assert_int_equal(virtq_pop(ring.queue, &held, MAX_LEN), 1);
	push_some(&ring, 0);
	assert_int_equal(pop(&ring), 1);
	virtq_push(ring.queue, &ring.request, NULL, 0);
	virtq_publish(ring.queue);
	config.next_avail = virtq_next_avail(ring.queue);
	assert_int_equal(config.next_avail, 2);
	start_with(&ring, &config);
	assert_int_equal(pop(&ring), 0);
	assert_int_equal(virtq_push(ring.queue, &held, NULL, 0), 0); // an answer that came late
	assert_int_equal(virtq_in_flight(ring.queue), 0);
	virtq_publish(ring.queue);
	assert_int_equal(le16toh(ring.used->idx), 2);
	virtq_request_finish(&held);
	finish(&ring);
}

static void expect_no_queue(struct ring *ring, const struct virtq_config *config, int error)
{
	errno = 0;
	assert_null(virtq_create(ring->memory, config));
	assert_int_equal(errno, error);
	assert_int_equal(array_memory_mapped(), 0);
}

static void test_sizes_and_alignments(void **state)
{
	static const uint16_t bad[] = { 0, 3, 6, 1023, 2048, 32768, 65535 };
	struct ring ring;
	struct virtq_config config;

	(void)state;
	make_ring(&ring);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config = ring_config(bad[i]);
		expect_no_queue(&ring, &config, EINVAL);
	}
	for (uint16_t size = 1; size <= 1024; size = (uint16_t)(size * 2)) {
		start(&ring, size);
	}
	virtq_destroy(ring.queue);
	ring.queue = NULL;
	config = ring_config(8);
	config.desc += 8;
	expect_no_queue(&ring, &config, EINVAL);
	config = ring_config(8);
	config.avail += 1;
	expect_no_queue(&ring, &config, EINVAL);
	config = ring_config(8);
	config.used += 2;
	expect_no_queue(&ring, &config, EINVAL);
	config = ring_config(8);
	config.desc += 16;
	config.avail += 2;
	config.used += 4;
	start_with(&ring, &config);
	finish(&ring);
}

/* A front end chose where a region begins, and so how its bytes lie here. */
static void test_crooked_region(void **state)
{
	struct ring ring;
	struct virtq_config config = ring_config(8);

	(void)state;
	make_ring(&ring);
	array_memory_add(ring.memory, RAM_SIZE + 1, 0x1000);
	config.avail = RAM_SIZE + 0x100;
	expect_no_queue(&ring, &config, EINVAL);
	finish(&ring);
}

static void test_rings_lie_within_one_region(void **state)
{
	struct ring ring;
	struct virtq_config config = ring_config(8);

	(void)state;
	make_ring(&ring);
	array_memory_add(ring.memory, RAM_SIZE, 0x1000);
	config.desc = RAM_SIZE - 16 * 8 + 16;
	expect_no_queue(&ring, &config, EFAULT);
	config.desc = RAM_SIZE - 16 * 8;
	config.avail = RAM_SIZE + 0x1000 - 20; // 4 + 2 * 8, and 2 for the event index
	start_with(&ring, &config);
	virtq_destroy(ring.queue);
	ring.queue = NULL;
	config.event_idx = true;
	expect_no_queue(&ring, &config, EFAULT);
	config.avail = AVAIL;
	config.event_idx = false;
	config.used = RAM_SIZE + 0x1000 - 68; // 4 + 8 * 8, and 2 for the event index
	start_with(&ring, &config);
	virtq_destroy(ring.queue);
	ring.queue = NULL;
	config.event_idx = true;
	expect_no_queue(&ring, &config, EFAULT);
	config.used = UINT64_MAX - 3;
	expect_no_queue(&ring, &config, EFAULT);
	finish(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pop_copies_a_chain),
		cmocka_unit_test(test_pop_keeps_buffers),
		cmocka_unit_test(test_pop_without_memory_takes_nothing),
		cmocka_unit_test(test_pop_clips_long_requests),
		cmocka_unit_test(test_lengths_do_not_wrap),
		cmocka_unit_test(test_empty_descriptors_are_fine),
		cmocka_unit_test(test_chain_may_be_as_long_as_the_queue),
		cmocka_unit_test(test_loops_break_the_ring),
		cmocka_unit_test(test_indices_out_of_range_break_the_ring),
		cmocka_unit_test(test_readable_after_writable_breaks_the_ring),
		cmocka_unit_test(test_no_memory_breaks_the_ring),
		cmocka_unit_test(test_requests_may_cross_regions),
		cmocka_unit_test(test_indirect_table),
		cmocka_unit_test(test_indirect_table_may_be_longer_than_the_queue),
		cmocka_unit_test(test_indirect_sizes_that_break_the_ring),
		cmocka_unit_test(test_indirect_flags_that_break_the_ring),
		cmocka_unit_test(test_indirect_links_that_break_the_ring),
		cmocka_unit_test(test_indirect_must_be_negotiated_and_in_memory),
		cmocka_unit_test(test_what_changes_after_the_copy_is_not_seen),
		cmocka_unit_test(test_too_many_requests_break_the_ring),
		cmocka_unit_test(test_index_is_loaded_once_a_batch),
		cmocka_unit_test(test_more_in_flight_than_entries_break_the_ring),
		cmocka_unit_test(test_push_writes_and_clips),
		cmocka_unit_test(test_push_to_no_memory_still_uses_the_element),
		cmocka_unit_test(test_indices_wrap),
		cmocka_unit_test(test_flags_suppress_notification),
		cmocka_unit_test(test_event_index_suppresses_notification),
		cmocka_unit_test(test_first_publication_notifies),
		cmocka_unit_test(test_notification_flag),
		cmocka_unit_test(test_notification_event),
		cmocka_unit_test(test_queue_goes_on_after_a_stop),
		cmocka_unit_test(test_sizes_and_alignments),
		cmocka_unit_test(test_crooked_region),
		cmocka_unit_test(test_rings_lie_within_one_region),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
