/* SPDX-License-Identifier: MIT */
#include "frontend/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/fd.h"

/* The device's side is played by hand: the tests write used entries where a device would. */

struct fixture {
	struct fe_memory memory;
	struct fe_queue queue;
	uint16_t used_idx;
};

static int setup(void **state)
{
	static struct fixture fixture;

	fixture.used_idx = 0;
	fe_memory_init(&fixture.memory);
	fe_memory_add_region(&fixture.memory, 0x100000, 1 << 20);
	assert_int_equal(fe_queue_init(&fixture.queue, &fixture.memory, 8), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fe_queue_finish(&fixture->queue);
	// everything came back: all of the region is one piece again
	assert_int_equal(fe_memory_alloc(&fixture->memory, 1 << 20, 1).size, 1 << 20);
	fe_memory_finish(&fixture->memory);
	return 0;
}

static int add(struct fixture *fixture, size_t out_count, size_t in_count, uint64_t token)
{
	const struct fe_buffer buffers[3] = { { 0x1000, 16 }, { 0x2000, 32 }, { 0x3000, 64 } };

	return fe_queue_add(&fixture->queue, buffers, out_count, buffers + 1, in_count, token);
}

static void use(struct fixture *fixture, uint16_t head, uint32_t len)
{
	struct fe_queue *queue = &fixture->queue;

	queue->used->ring[fixture->used_idx % queue->size] = (struct vring_used_elem){ head, len };
	queue->used->idx = ++fixture->used_idx;
}

/* Each of the eight descriptors is there, once. Takes them. */
static void assert_all_free(struct fixture *fixture)
{
	unsigned int seen = 0;

	for (int i = 0; i < 8; i++) {
		int head = add(fixture, 1, 0, 0);

		assert_true(head >= 0);
		seen |= 1u << head;
	}
	assert_int_equal(seen, 0xff);
	assert_int_equal(add(fixture, 1, 0, 0), -ENOSPC);
}

static void test_chain_has_readable_then_writable(void **state)
{
	struct fixture *fixture = *state;
	struct fe_queue *queue = &fixture->queue;
	int head = add(fixture, 1, 2, 7);

	assert_int_equal(queue->avail->ring[0], head);
	assert_int_equal(queue->avail->idx, 0);
	fe_queue_publish(queue);
	assert_int_equal(queue->avail->idx, 1);

	const struct vring_desc *desc = &queue->desc[head];
	assert_int_equal(desc->addr, 0x1000);
	assert_int_equal(desc->flags, VRING_DESC_F_NEXT);
	desc = &queue->desc[desc->next];
	assert_int_equal(desc->addr, 0x2000);
	assert_int_equal(desc->flags, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	desc = &queue->desc[desc->next];
	assert_int_equal(desc->addr, 0x3000);
	assert_int_equal(desc->len, 64);
	assert_int_equal(desc->flags, VRING_DESC_F_WRITE);
}

static void test_indirect_chain_takes_one_descriptor(void **state)
{
	struct fixture *fixture = *state;
	struct fe_queue *queue = &fixture->queue;

	queue->indirect = true;
	int head = add(fixture, 1, 2, 7);
	assert_int_equal(queue->free_count, 7);
	assert_int_equal(queue->desc[head].flags, VRING_DESC_F_INDIRECT);
	assert_int_equal(queue->desc[head].len, 3 * sizeof(struct vring_desc));
	const struct vring_desc *table = fe_memory_at(
		&fixture->memory, queue->desc[head].addr, queue->desc[head].len);
	assert_int_equal(table[0].flags, VRING_DESC_F_NEXT);
	assert_int_equal(table[0].next, 1);
	assert_int_equal(table[1].flags, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	assert_int_equal(table[2].flags, VRING_DESC_F_WRITE);
}

static void test_full_ring_refuses_and_recovers(void **state)
{
	struct fixture *fixture = *state;
	struct fe_used used;

	// 8 descriptors: two chains of three, and two left over; many times around the ring
	for (uint64_t turn = 0; turn < 100000; turn++) {
		int a = add(fixture, 1, 2, turn);
		int b = add(fixture, 1, 2, turn + 1);

		assert_true(a >= 0 && b >= 0);
		assert_int_equal(add(fixture, 1, 2, 0), -ENOSPC);
		fe_queue_publish(&fixture->queue);
		assert_false(fe_queue_take(&fixture->queue, &used));
		bool b_first = turn % 2;
		use(fixture, (uint16_t)(b_first ? b : a), 5);
		use(fixture, (uint16_t)(b_first ? a : b), 6);
		assert_true(fe_queue_take(&fixture->queue, &used));
		assert_int_equal(used.token, b_first ? turn + 1 : turn);
		assert_int_equal(used.len, 5);
		assert_true(fe_queue_take(&fixture->queue, &used));
		assert_int_equal(used.token, b_first ? turn : turn + 1);
		assert_false(fe_queue_take(&fixture->queue, &used));
	}
	assert_all_free(fixture);
}

static void test_kick_asks_flags_or_event_index(void **state)
{
	struct fixture *fixture = *state;
	struct fe_queue *queue = &fixture->queue;
	uint16_t *avail_event = (void *)&queue->used->ring[queue->size];

	add(fixture, 1, 0, 0);
	fe_queue_kick(queue);
	assert_true(fd_event_clear(queue->kick));
	queue->used->flags = VRING_USED_F_NO_NOTIFY;
	add(fixture, 1, 0, 0);
	fe_queue_kick(queue);
	assert_false(fd_event_clear(queue->kick));

	queue->event_idx = true;
	*avail_event = 3; // told when entry 3 is there, that is at index 4
	add(fixture, 1, 0, 0);
	assert_false(fe_queue_publish(queue));
	add(fixture, 1, 0, 0);
	assert_true(fe_queue_publish(queue));
	add(fixture, 1, 0, 0);
	assert_false(fe_queue_publish(queue));
}

static void test_calls_are_asked_for(void **state)
{
	struct fixture *fixture = *state;
	struct fe_queue *queue = &fixture->queue;
	struct fe_used used;
	int head = add(fixture, 1, 0, 0);

	fe_queue_disable_call(queue);
	assert_int_equal(queue->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	assert_false(fe_queue_enable_call(queue));
	assert_int_equal(queue->avail->flags, 0);
	queue->event_idx = true;
	use(fixture, (uint16_t)head, 0);
	assert_true(fe_queue_enable_call(queue));
	fe_queue_take(queue, &used);
	assert_false(fe_queue_enable_call(queue));
	assert_int_equal(queue->avail->ring[queue->size], 1);
}

static void test_own_chains_free_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fe_queue *queue = &fixture->queue;
	struct fe_used used;

	fe_queue_write_desc(queue, 3, 0x1000, 4, 0, 0);
	fe_queue_push_head(queue, 3);
	fe_queue_publish(queue);
	use(fixture, 3, 0);
	assert_true(fe_queue_take(queue, &used));
	assert_all_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_chain_has_readable_then_writable, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_indirect_chain_takes_one_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_full_ring_refuses_and_recovers, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_kick_asks_flags_or_event_index, setup, teardown),
		cmocka_unit_test_setup_teardown(test_calls_are_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_chains_free_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
