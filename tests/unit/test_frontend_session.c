/* SPDX-License-Identifier: MIT */
#include "frontend/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

/* The back end's answers lie in the socket before they are asked for: one thread is enough. */

struct fixture {
	struct fe_session session;
	struct fe_pump pump;
	int peer;
};

static int setup(void **state)
{
	static struct fixture fixture;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fixture = (struct fixture){ .peer = ends[1] };
	fe_session_init(&fixture.session, ends[0], &fixture.pump);
	fixture.session.timeout_ms = 50;
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fe_session_close(&fixture->session);
	fd_close(&fixture->peer);
	return 0;
}

static void answer(
	struct fixture *fixture, uint32_t request, uint32_t flags, const void *bytes, uint32_t size)
{
	struct vhost_header header = { request, flags, size };

	assert_int_equal(write(fixture->peer, &header, sizeof(header)), sizeof(header));
	if (size > 0) {
		assert_int_equal(write(fixture->peer, bytes, size), size);
	}
}

static void answer_u64(struct fixture *fixture, uint32_t request, uint64_t value)
{
	answer(fixture, request, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, &value, sizeof(value));
}

/* What the back end got: header, and payload up to capacity. */
static struct vhost_header received(struct fixture *fixture, void *payload, size_t capacity)
{
	struct vhost_header header = { 0 };

	assert_int_equal(read(fixture->peer, &header, sizeof(header)), sizeof(header));
	assert_true(header.size <= capacity);
	if (payload) {
		assert_int_equal(read(fixture->peer, payload, header.size), header.size);
	}
	return header;
}

static void test_question_and_answer(void **state)
{
	struct fixture *fixture = *state;
	uint64_t features = 0;

	answer_u64(fixture, VHOST_GET_FEATURES, 0x123456789a);
	assert_int_equal(fe_session_get_features(&fixture->session, &features), 0);
	assert_int_equal(features, 0x123456789a);
	struct vhost_header header = received(fixture, NULL, 0);
	assert_int_equal(header.request, VHOST_GET_FEATURES);
	assert_int_equal(header.flags, VHOST_FLAG_VERSION);
	assert_int_equal(header.size, 0);
}

static void test_wrong_answers_are_told(void **state)
{
	struct fixture *fixture = *state;
	uint64_t value = 0;

	answer_u64(fixture, VHOST_GET_QUEUE_NUM, 2); // another request's
	assert_int_equal(fe_session_get_features(&fixture->session, &value), -EBADMSG);
	answer(fixture, VHOST_GET_FEATURES, VHOST_FLAG_VERSION, &value, sizeof(value)); // no reply
	assert_int_equal(fe_session_get_features(&fixture->session, &value), -EBADMSG);
	answer(fixture, VHOST_GET_FEATURES, 5, &value, 4); // too short
	assert_int_equal(fe_session_get_features(&fixture->session, &value), -EBADMSG);
	assert_int_equal(fe_session_get_features(&fixture->session, &value), -ETIMEDOUT);
	fd_close(&fixture->peer);
	assert_int_equal(fe_session_get_features(&fixture->session, &value), -ECONNRESET);
	assert_int_equal(fe_session_wait_closed(&fixture->session, 50), 0);
}

static void test_ack_is_asked_for_when_negotiated(void **state)
{
	struct fixture *fixture = *state;
	uint8_t payload[64];

	fixture->session.ack = true;
	assert_int_equal(fe_session_set_owner(&fixture->session), 0);
	assert_int_equal(received(fixture, NULL, 0).flags, VHOST_FLAG_VERSION);

	fixture->session.protocol_features = 1u << VHOST_PROTOCOL_F_REPLY_ACK;
	answer_u64(fixture, VHOST_SET_FEATURES, 0);
	assert_int_equal(fe_session_set_features(&fixture->session, 1), 0);
	assert_int_equal(received(fixture, payload, sizeof(payload)).flags,
		VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);
	answer_u64(fixture, VHOST_SET_FEATURES, 1);
	assert_int_equal(fe_session_set_features(&fixture->session, 1), -EREMOTEIO);
}

static void test_memory_table_carries_descriptors(void **state)
{
	struct fixture *fixture = *state;
	struct fe_memory memory;
	struct vhost_header header;
	struct vhost_memory_table table;
	int fds[FD_MESSAGE_MAX];
	size_t count = 0;
	bool too_many = false;

	fe_memory_init(&memory);
	fe_memory_add_region(&memory, 0, 4096);
	fe_memory_add_region_at_offset(&memory, 0x10000, 8192, 4096);
	assert_int_equal(fe_session_set_mem_table(&fixture->session, &memory), 0);
	assert_int_equal(
		fd_receive(fixture->peer, &header, sizeof(header), fds, &count, &too_many), 12);
	assert_int_equal(header.size, 8 + 2 * 32);
	assert_int_equal(read(fixture->peer, &table, sizeof(table)), 8 + 2 * 32);
	assert_int_equal(count, 2);
	assert_int_equal(table.count, 2);
	assert_int_equal(table.regions[1].guest_addr, 0x10000);
	assert_int_equal(table.regions[1].size, 8192);
	assert_int_equal(table.regions[1].mmap_offset, 4096);
	assert_int_equal(table.regions[1].user_addr, (uintptr_t)memory.regions[1].host);
	fd_close_all(fds, count);
	fe_memory_finish(&memory);
}

static void test_no_descriptor_is_bit_8(void **state)
{
	struct fixture *fixture = *state;
	uint64_t payload = 0;

	assert_int_equal(fe_session_set_vring_kick(&fixture->session, 1, -1), 0);
	received(fixture, &payload, sizeof(payload));
	assert_int_equal(payload, 0x101);
}

static void serve_other(void *data)
{
	struct fixture *fixture = data;

	answer_u64(fixture, VHOST_GET_FEATURES, 9);
	fe_pump_remove(&fixture->pump, fixture);
}

static void test_waiting_serves_others(void **state)
{
	struct fixture *fixture = *state;
	int ends[2];
	uint64_t features = 0;

	// the answer comes only after another socket was served
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	fe_pump_add(&fixture->pump, &ends[0], NULL, serve_other, fixture);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(fe_session_get_features(&fixture->session, &features), 0);
	assert_int_equal(features, 9);
	close(ends[0]);
	close(ends[1]);
}

static void test_back_end_may_ask_too(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_header header;
	uint8_t payload[8];
	int fds[FD_MESSAGE_MAX];
	size_t count = 0;
	bool too_many = false;

	assert_int_equal(fe_session_set_backend_req(&fixture->session), 0);
	fd_receive(fixture->peer, &header, sizeof(header), fds, &count, &too_many);
	assert_int_equal(count, 1);
	header = (struct vhost_header){ VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, 0 };
	assert_int_equal(write(fds[0], &header, sizeof(header)), sizeof(header));
	memset(&header, 0, sizeof(header));
	assert_int_equal(fe_session_backend_receive(
				 &fixture->session, &header, payload, sizeof(payload), NULL, 50),
		0);
	assert_int_equal(header.request, VHOST_BACKEND_CONFIG_CHANGE);
	fd_close_all(fds, count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_question_and_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_answers_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_ack_is_asked_for_when_negotiated, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_memory_table_carries_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_descriptor_is_bit_8, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting_serves_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_back_end_may_ask_too, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
