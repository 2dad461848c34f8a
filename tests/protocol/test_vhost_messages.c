/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/daemon.h"

/*
 * Every message of vhost-user (QEMU docs/interop/vhost-user.rst, release 11.1), right and wrong.
 *
 * How this works: `messages` has a row for each message that the daemon knows, and make_message
 * writes a good one. Most tests go through the rows and spoil each in one way.
 */

#define TIMEOUT_MS 5000

enum {
	MEMORY_SIZE = 4 << 20,
	REGION_SIZE = 64 << 10, // of the second region: a page wherever this runs
	NO_ANSWER = -1,
	PAYLOAD_MAX = sizeof(struct vhost_shmem_config),
	STREAM_MAX = 8192,
	REPLY_ACK = 1u << VHOST_PROTOCOL_F_REPLY_ACK,
	ALWAYS_ASK = VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY,
};

#define EXTRA_AT UINT64_C(0x200000000)

struct test {
	struct daemon daemon;
	struct fe_session *session; // of daemon
	int spare[2]; // a socket pair, for messages that want a socket
	int event;
};

static const struct fe_gpu_options options = {
	.dialect = FE_DIALECT_OWN,
	.memory_size = MEMORY_SIZE,
	.ack = true,
};

static int start_daemon(void **state, const char *arguments)
{
	struct test *test = calloc(1, sizeof(*test));

	assert_non_null(test);
	*state = test;
	test->session = &test->daemon.gpu.session;
	test->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(test->event >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, test->spare), 0);
	daemon_spawn(&test->daemon, arguments, &options);
	return 0;
}

static int setup(void **state)
{
	return start_daemon(state, NULL);
}

static int setup_with_few_slots(void **state)
{
	return start_daemon(state, "--max-resources=12");
}

static int teardown(void **state)
{
	struct test *test = *state;

	daemon_stop(&test->daemon);
	fd_close(&test->event);
	fd_close_all(test->spare, 2);
	free(test);
	return 0;
}

/* The connection without a word said on it. */
static void begin_raw(struct test *test)
{
	fe_session_init(test->session, daemon_take_socket(&test->daemon), &test->daemon.gpu.pump);
}

/* A connection on which features were negotiated. */
static void begin(struct test *test)
{
	assert_int_equal(fe_gpu_negotiate(&test->daemon.gpu, daemon_take_socket(&test->daemon)), 0);
}

/* A connection with a running device. */
static void begin_running(struct test *test)
{
	int error = fe_gpu_start(&test->daemon.gpu, daemon_take_socket(&test->daemon));

	if (error < 0) {
		fail_msg("start failed at %s: %s", test->daemon.gpu.failed_at, strerror(-error));
	}
	daemon_assert_alive(&test->daemon);
}

static void begin_again(struct test *test, void (*begin_how)(struct test *test))
{
	daemon_reconnect(&test->daemon, &options);
	begin_how(test);
}

/* When this returns, the daemon has handled all that was sent before. */
static void round_trip(struct test *test)
{
	uint64_t features;

	assert_int_equal(fe_session_get_features(test->session, &features), 0);
}

/* The session is refused, and the daemon serves the next one. */
static void assert_closed(struct test *test, const char *what)
{
	int error = fe_session_wait_closed(test->session, TIMEOUT_MS);

	if (error < 0) {
		fail_msg("%s does not end the session: %s", what, strerror(-error));
	}
}

static void assert_closed_and_next_served(struct test *test, const char *what)
{
	assert_closed(test, what);
	begin_again(test, begin_running);
}

struct message {
	uint32_t request;
	const char *name;
	uint32_t size; // of the payload, in bytes
	size_t fds;
	size_t fds_max; // 0: as fds
	int answer; // bytes of its own answer
};

#define REQUEST(name) VHOST_##name, #name

static const struct message messages[] = {
	{ REQUEST(GET_FEATURES), 0, 0, 0, 8 },
	{ REQUEST(SET_FEATURES), 8, 0, 0, NO_ANSWER },
	{ REQUEST(SET_OWNER), 0, 0, 0, NO_ANSWER },
	{ REQUEST(RESET_OWNER), 0, 0, 0, NO_ANSWER },
	{ REQUEST(SET_MEM_TABLE), 40, 1, 0, NO_ANSWER },
	{ REQUEST(SET_VRING_NUM), 8, 0, 0, NO_ANSWER },
	{ REQUEST(SET_VRING_ADDR), 40, 0, 0, NO_ANSWER },
	{ REQUEST(SET_VRING_BASE), 8, 0, 0, NO_ANSWER },
	{ REQUEST(GET_VRING_BASE), 8, 0, 0, 8 },
	{ REQUEST(SET_VRING_KICK), 8, 1, 0, NO_ANSWER },
	{ REQUEST(SET_VRING_CALL), 8, 1, 0, NO_ANSWER },
	{ REQUEST(SET_VRING_ERR), 8, 1, 0, NO_ANSWER },
	{ REQUEST(GET_PROTOCOL_FEATURES), 0, 0, 0, 8 },
	{ REQUEST(SET_PROTOCOL_FEATURES), 8, 0, 0, NO_ANSWER },
	{ REQUEST(GET_QUEUE_NUM), 0, 0, 0, 8 },
	{ REQUEST(SET_VRING_ENABLE), 8, 0, 0, NO_ANSWER },
	{ REQUEST(SET_BACKEND_REQ_FD), 0, 1, 0, NO_ANSWER },
	{ REQUEST(GET_CONFIG), 28, 0, 0, 28 },
	{ REQUEST(SET_CONFIG), 28, 0, 0, NO_ANSWER },
	{ REQUEST(GPU_SET_SOCKET), 0, 1, 0, NO_ANSWER },
	{ REQUEST(RESET_DEVICE), 0, 0, 0, NO_ANSWER },
	{ REQUEST(GET_MAX_MEM_SLOTS), 0, 0, 0, 8 },
	{ REQUEST(ADD_MEM_REG), 40, 1, 0, NO_ANSWER },
	{ REQUEST(REM_MEM_REG), 40, 0, 1, NO_ANSWER }, // older front ends send one along
	{ REQUEST(SET_STATUS), 8, 0, 0, NO_ANSWER },
	{ REQUEST(GET_STATUS), 0, 0, 0, 8 },
	{ REQUEST(GET_SHMEM_CONFIG), 0, 0, 0, sizeof(struct vhost_shmem_config) },
};

#define MESSAGES (sizeof(messages) / sizeof(messages[0]))

/* The second region, which ADD_MEM_REG and REM_MEM_REG are about. */
static const struct fe_region *extra_region(struct test *test)
{
	struct fe_memory *memory = &test->daemon.gpu.memory;

	if (memory->count == 1) {
		assert_int_equal(fe_memory_add_region(memory, EXTRA_AT, REGION_SIZE), 1);
	}
	return &memory->regions[1];
}

static struct vhost_vring_addr ring_address(struct test *test)
{
	const uint8_t *host = test->daemon.gpu.memory.regions[0].host;

	return (struct vhost_vring_addr){
		.desc = (uintptr_t)host,
		.avail = (uintptr_t)host + 4096,
		.used = (uintptr_t)host + 8192,
	};
}

static void put_u64(uint8_t *payload, uint64_t value)
{
	memcpy(payload, &value, sizeof(value));
}

static void put_state(uint8_t *payload, uint32_t index, uint32_t num)
{
	const struct vhost_vring_state state = { index, num };

	memcpy(payload, &state, sizeof(state));
}

static void put_config(uint8_t *payload)
{
	const struct vhost_config_header header = { .size = 16 };

	memcpy(payload, &header, sizeof(header));
}

static int put_table(struct test *test, uint8_t *payload)
{
	const struct fe_region *region = &test->daemon.gpu.memory.regions[0];
	const struct vhost_memory_table table = { .count = 1,
		.regions = { fe_session_describe(region) } };

	memcpy(payload, &table, 40);
	return region->fd;
}

static int put_region(struct test *test, uint8_t *payload)
{
	const struct fe_region *region = extra_region(test);
	const struct vhost_single_region single = { .region = fe_session_describe(region) };

	memcpy(payload, &single, sizeof(single));
	return region->fd;
}

/* Fills the payload (zeroed before) of a good message and returns the descriptor to send. */
static int make_message(struct test *test, uint32_t request, uint8_t *payload)
{
	struct vhost_vring_addr addr = ring_address(test);

	memset(payload, 0, PAYLOAD_MAX);
	switch (request) {
	case VHOST_SET_FEATURES:
		put_u64(payload, test->daemon.gpu.offered);
		break;
	case VHOST_SET_PROTOCOL_FEATURES:
		put_u64(payload, REPLY_ACK);
		break;
	case VHOST_SET_MEM_TABLE:
		return put_table(test, payload);
	case VHOST_ADD_MEM_REG:
	case VHOST_REM_MEM_REG:
		return put_region(test, payload);
	case VHOST_SET_VRING_NUM:
		put_state(payload, 0, 64);
		break;
	case VHOST_SET_VRING_ENABLE:
		put_state(payload, 0, 1);
		break;
	case VHOST_SET_VRING_ADDR:
		memcpy(payload, &addr, sizeof(addr));
		break;
	case VHOST_GET_CONFIG:
	case VHOST_SET_CONFIG:
		put_config(payload);
		break;
	case VHOST_SET_STATUS:
		put_u64(payload, 1);
		break;
	case VHOST_SET_BACKEND_REQ_FD:
	case VHOST_GPU_SET_SOCKET:
		return test->spare[1];
	default:
		break;
	}
	return test->event;
}

/* Sends a message that is good but for its flags, its size and its number of descriptors. */
static void send_message(struct test *test, const struct message *message, uint32_t flags,
	uint32_t size, size_t fd_count)
{
	uint8_t payload[PAYLOAD_MAX];
	int fds[FD_MESSAGE_MAX];
	int fd = make_message(test, message->request, payload);

	for (size_t i = 0; i < fd_count; i++) {
		fds[i] = i == 0 ? fd : test->event;
	}
	int error = fe_session_send(
		test->session, message->request, flags, payload, size, fds, fd_count);
	if (error < 0) {
		fail_msg("cannot send %s: %s", message->name, strerror(-error));
	}
}

static void send_good(struct test *test, const struct message *message, uint32_t flags)
{
	send_message(test, message, flags, message->size, message->fds);
}

/* Reads one answer; its number must be the request's, and its flags version 1 and REPLY alone. */
static uint32_t receive_answer(struct test *test, uint32_t request, uint8_t *payload)
{
	struct vhost_header header;
	int error = fe_session_receive(test->session, &header, payload, PAYLOAD_MAX);

	if (error < 0) {
		fail_msg("no answer to request %u: %s", request, strerror(-error));
	}
	assert_int_equal(header.request, request);
	assert_int_equal(header.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	return header.size;
}

/* Reads an answer of one number. */
static uint64_t receive_u64(struct test *test, uint32_t request)
{
	uint8_t payload[PAYLOAD_MAX];
	uint64_t value;

	assert_int_equal(receive_answer(test, request, payload), sizeof(value));
	memcpy(&value, payload, sizeof(value));
	return value;
}

/*
 * Reads the message's own answer, or the one that REPLY_ACK asked for. Returns whether it is good.
 */
static bool receive_outcome(struct test *test, const struct message *message)
{
	uint8_t payload[PAYLOAD_MAX];

	if (message->answer == NO_ANSWER) {
		return receive_u64(test, message->request) == 0;
	}
	assert_int_equal(receive_answer(test, message->request, payload), message->answer);
	return true;
}

static void assert_taken(struct test *test, const struct message *message)
{
	if (!receive_outcome(test, message)) {
		fail_msg("%s was refused", message->name);
	}
}

/* What REM_MEM_REG removes must be there. */
static void prepare(struct test *test, const struct message *message)
{
	if (message->request == VHOST_REM_MEM_REG) {
		assert_int_equal(fe_session_add_mem_reg(test->session, extra_region(test)), 0);
	}
}

/* Descriptors that the daemon holds. */
static size_t count_descriptors(const struct test *test)
{
	char path[64];
	size_t count = 0;

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)test->daemon.backend.pid);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	while (readdir(folder)) {
		count++;
	}
	closedir(folder);
	return count;
}

/* Features. */

/* VIRTIO 1.3, 5.7.3 Feature bits, and 6 Reserved Feature Bits; 30 is vhost-user's own. */
static void test_features_are_exactly_these(void **state)
{
	const uint64_t expected = 1u << VIRTIO_GPU_F_EDID | 1u << VIRTIO_GPU_F_RESOURCE_UUID |
		1u << VIRTIO_GPU_F_RESOURCE_BLOB | 1u << VIRTIO_RING_F_INDIRECT_DESC |
		1u << VIRTIO_RING_F_EVENT_IDX | 1u << VHOST_F_PROTOCOL_FEATURES |
		UINT64_C(1) << VIRTIO_F_VERSION_1;
	struct test *test = *state;
	uint64_t features;

	begin_raw(test);
	assert_int_equal(fe_session_get_features(test->session, &features), 0);
	assert_int_equal(features, expected);
}

/* What is not implemented is not offered: a front end takes all that it knows. */
static void test_protocol_features_are_exactly_these(void **state)
{
	const uint64_t expected = 1u << VHOST_PROTOCOL_F_MQ | 1u << VHOST_PROTOCOL_F_REPLY_ACK |
		1u << VHOST_PROTOCOL_F_BACKEND_REQ | 1u << VHOST_PROTOCOL_F_CONFIG |
		1u << VHOST_PROTOCOL_F_BACKEND_SEND_FD | 1u << VHOST_PROTOCOL_F_RESET_DEVICE |
		1u << VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS | 1u << VHOST_PROTOCOL_F_STATUS;
	struct test *test = *state;
	uint64_t features;

	begin_raw(test);
	assert_int_equal(fe_session_get_protocol_features(test->session, &features), 0);
	assert_int_equal(features, expected);
	assert_int_equal(features, 0x1a629);
}

/* QEMU adds bit 40 (VIRTIO_F_RING_RESET), which nobody offered. */
static void test_features_that_were_not_offered_are_ignored(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = &test->daemon.gpu;

	begin_running(test);
	assert_int_equal(
		fe_session_set_features(test->session, gpu->session.features | UINT64_C(1) << 40),
		0);
	daemon_assert_alive(&test->daemon);
	assert_int_equal(fe_session_set_protocol_features(test->session, UINT64_MAX), 0);
	daemon_assert_alive(&test->daemon);
	/* LOG_ALL, VIRGL and packed rings in it: none of them may take effect. */
	assert_int_equal(fe_session_set_features(test->session, UINT64_MAX), 0);
	daemon_assert_alive(&test->daemon);
}

static void test_counts(void **state)
{
	struct test *test = *state;
	uint64_t count;

	begin(test);
	assert_int_equal(fe_session_get_queue_num(test->session, &count), 0);
	assert_int_equal(count, 2); // VIRTIO 1.3, 5.7.2 Virtqueues
	assert_int_equal(fe_session_get_max_mem_slots(test->session, &count), 0);
	assert_int_equal(count, 12);
}

static void test_status_is_kept(void **state)
{
	static const uint8_t steps[] = { 1, 3, 11, 15, 0x80 | 15, 0 };
	struct test *test = *state;
	uint64_t status;

	begin(test);
	assert_int_equal(fe_session_get_status(test->session, &status), 0);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < sizeof(steps); i++) {
		assert_int_equal(fe_session_set_status(test->session, steps[i]), 0);
		assert_int_equal(fe_session_get_status(test->session, &status), 0);
		assert_int_equal(status, steps[i]);
	}
}

/* VIRTIO 1.3, 2.1 Device Status Field: eight bits. */
static void test_status_of_more_than_a_byte_is_refused(void **state)
{
	struct test *test = *state;
	const uint64_t status = 0x10f;
	uint64_t kept;

	begin(test);
	assert_int_equal(fe_session_set_status(test->session, 11), 0);
	assert_int_equal(
		fe_session_tell(test->session, VHOST_SET_STATUS, &status, 8, NULL, 0), -EREMOTEIO);
	assert_int_equal(fe_session_get_status(test->session, &kept), 0);
	assert_int_equal(kept, 11);
}

/* Each message. */

static void test_each_message_is_taken(void **state)
{
	struct test *test = *state;

	begin(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		begin_again(test, begin);
		prepare(test, &messages[i]);
		send_good(test, &messages[i], ALWAYS_ASK);
		assert_taken(test, &messages[i]);
		round_trip(test); // nothing else came
	}
}

/* Each message as the first word on a connection: none of them needs another before it. */
static void test_each_message_is_taken_first(void **state)
{
	struct test *test = *state;

	begin_raw(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		begin_again(test, begin_raw);
		send_good(test, &messages[i], VHOST_FLAG_VERSION);
		if (messages[i].answer != NO_ANSWER) {
			assert_taken(test, &messages[i]);
		}
		round_trip(test);
	}
}

static void test_each_message_twice(void **state)
{
	struct test *test = *state;

	begin(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *message = &messages[i];
		/* A region cannot come, or go, twice. */
		bool good = message->request != VHOST_ADD_MEM_REG &&
			message->request != VHOST_REM_MEM_REG;

		begin_again(test, begin);
		prepare(test, message);
		send_good(test, message, ALWAYS_ASK);
		send_good(test, message, ALWAYS_ASK);
		assert_taken(test, message);
		if (receive_outcome(test, message) != good) {
			fail_msg("%s twice: the second was %s", message->name,
				good ? "refused" : "taken");
		}
		round_trip(test);
	}
}

static void test_rem_mem_reg_with_a_descriptor(void **state)
{
	struct test *test = *state;
	const struct message *message = &messages[0];

	while (message->request != VHOST_REM_MEM_REG) {
		message++;
	}
	begin(test);
	prepare(test, message);
	send_message(test, message, ALWAYS_ASK, message->size, 1);
	assert_taken(test, message);
}

static void test_too_short(void **state)
{
	struct test *test = *state;

	begin_running(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *message = &messages[i];

		if (message->size > 0) {
			send_message(test, message, ALWAYS_ASK, message->size - 1, message->fds);
			assert_closed_and_next_served(test, message->name);
			send_message(test, message, ALWAYS_ASK, 0, message->fds);
			assert_closed_and_next_served(test, message->name);
		}
	}
}

static void test_too_long(void **state)
{
	struct test *test = *state;

	begin_running(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *message = &messages[i];

		send_message(test, message, ALWAYS_ASK, message->size + 1, message->fds);
		assert_closed_and_next_served(test, message->name);
	}
}

/* The daemon must not wait for the bytes, and not make room for them. */
static void test_far_too_long(void **state)
{
	static const uint32_t sizes[] = { 269, 4096, 0x7fffffff, 0xfffffff4, 0xffffffff };
	struct test *test = *state;

	begin_running(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct vhost_header header = { messages[i].request, VHOST_FLAG_VERSION,
			sizes[i % (sizeof(sizes) / sizeof(sizes[0]))] };

		assert_int_equal(
			fe_session_send_bytes(test->session, &header, sizeof(header), NULL, 0), 0);
		assert_closed_and_next_served(test, messages[i].name);
	}
}

static void test_too_few_descriptors(void **state)
{
	struct test *test = *state;

	begin_running(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *message = &messages[i];

		if (message->fds > 0) {
			send_message(test, message, ALWAYS_ASK, message->size, 0);
			assert_closed_and_next_served(test, message->name);
		}
	}
}

static void test_too_many_descriptors(void **state)
{
	struct test *test = *state;

	begin_running(test);
	size_t before = count_descriptors(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *message = &messages[i];
		size_t most = message->fds_max > 0 ? message->fds_max : message->fds;

		send_message(test, message, ALWAYS_ASK, message->size, most + 1);
		assert_closed_and_next_served(test, message->name);
		assert_int_equal(count_descriptors(test), before);
	}
}

/* More than any message has, and more than one call receives. */
static void test_heaps_of_descriptors(void **state)
{
	struct test *test = *state;
	const struct vhost_header header = { VHOST_GET_FEATURES, VHOST_FLAG_VERSION, 0 };
	int fds[FD_MESSAGE_MAX];

	for (size_t i = 0; i < FD_MESSAGE_MAX; i++) {
		fds[i] = test->event;
	}
	begin_running(test);
	size_t before = count_descriptors(test);
	/* A byte each time, so that one message collects them all. */
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(fe_session_send_bytes(test->session, (const uint8_t *)&header + i,
					 1, fds, FD_MESSAGE_MAX),
			0);
	}
	assert_int_equal(
		fe_session_send_bytes(test->session, (const uint8_t *)&header + 4, 8, NULL, 0), 0);
	assert_closed_and_next_served(test, "a message with 128 descriptors");
	assert_int_equal(count_descriptors(test), before);
}

static bool is_known(uint32_t request)
{
	for (size_t i = 0; i < MESSAGES; i++) {
		if (messages[i].request == request) {
			return true;
		}
	}
	return false;
}

/* Also those that exist, and whose feature is not offered: SET_LOG_BASE, IOTLB_MSG, ... */
static void test_unknown_requests(void **state)
{
	static const uint32_t far[] = { 1000, 0xffff, 0x10001, 0x7fffffff, 0xffffffff };
	struct test *test = *state;

	begin_running(test);
	for (uint32_t i = 0; i < 64 + sizeof(far) / sizeof(far[0]); i++) {
		const struct message message = { i < 64 ? i : far[i - 64], "an unknown request", 8,
			0, 0, NO_ANSWER };

		if (!is_known(message.request)) {
			send_good(test, &message, ALWAYS_ASK);
			assert_closed_and_next_served(test, message.name);
		}
	}
}

static void test_wrong_versions(void **state)
{
	static const uint32_t versions[] = { 0, 2, 3 };
	struct test *test = *state;

	begin_running(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		send_good(test, &messages[i], versions[i % 3] | VHOST_FLAG_NEED_REPLY);
		assert_closed_and_next_served(test, messages[i].name);
	}
}

static void test_answers_that_nobody_asked_for(void **state)
{
	struct test *test = *state;

	begin_running(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		send_good(test, &messages[i], VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
		assert_closed_and_next_served(test, messages[i].name);
	}
}

/* REPLY_ACK. */

static void test_no_acknowledgement_unless_negotiated(void **state)
{
	struct test *test = *state;

	begin_raw(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		/* The feature in its payload is what it negotiates. */
		if (messages[i].answer == NO_ANSWER &&
			messages[i].request != VHOST_SET_PROTOCOL_FEATURES) {
			send_good(test, &messages[i], ALWAYS_ASK);
			round_trip(test); // would read an acknowledgement and fail
		}
	}
}

static void test_no_acknowledgement_unless_asked_for(void **state)
{
	struct test *test = *state;

	begin(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		if (messages[i].answer == NO_ANSWER) {
			send_good(test, &messages[i], VHOST_FLAG_VERSION);
			round_trip(test);
		}
	}
}

static void test_answers_are_not_acknowledged_as_well(void **state)
{
	struct test *test = *state;

	begin(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		if (messages[i].answer != NO_ANSWER) {
			send_good(test, &messages[i], ALWAYS_ASK);
			assert_taken(test, &messages[i]);
			round_trip(test);
		}
	}
}

static void test_acknowledgements_end_with_the_feature(void **state)
{
	struct test *test = *state;
	const uint64_t none = 0;

	begin(test);
	assert_int_equal(fe_session_set_owner(test->session), 0);
	assert_int_equal(fe_session_send(test->session, VHOST_SET_PROTOCOL_FEATURES,
				 VHOST_FLAG_VERSION, &none, sizeof(none), NULL, 0),
		0);
	assert_int_equal(
		fe_session_send(test->session, VHOST_SET_OWNER, ALWAYS_ASK, NULL, 0, NULL, 0), 0);
	round_trip(test);
}

/* A refusal that nobody asked to hear of does not end the session either. */
static void test_refusals_without_acknowledgement(void **state)
{
	struct test *test = *state;

	begin_running(test);
	test->session->ack = false;
	assert_int_equal(fe_session_set_vring_num(test->session, 0, 3), 0);
	assert_int_equal(fe_session_set_vring_enable(test->session, 7, true), 0);
	round_trip(test);
	daemon_assert_alive(&test->daemon);
}

/* Pieces. */

struct stream {
	uint8_t bytes[STREAM_MAX];
	size_t size;
};

static void append(
	struct stream *stream, uint32_t request, uint32_t flags, const void *payload, uint32_t size)
{
	const struct vhost_header header = { request, flags, size };

	assert_true(sizeof(stream->bytes) - stream->size >= sizeof(header) + size);
	memcpy(stream->bytes + stream->size, &header, sizeof(header));
	stream->size += sizeof(header);
	if (size > 0) {
		memcpy(stream->bytes + stream->size, payload, size);
	}
	stream->size += size;
}

static void append_good(struct test *test, struct stream *stream, uint32_t request, uint32_t size)
{
	uint8_t payload[PAYLOAD_MAX];

	make_message(test, request, payload);
	append(stream, request, ALWAYS_ASK, payload, size);
}

/* Waits until the daemon has read all that was sent, so that what comes next is another read. */
static void wait_until_read(struct test *test)
{
	uint64_t end = fe_now_ns() + TIMEOUT_MS * UINT64_C(1000000);
	int left = 0;

	do {
		assert_true(fe_now_ns() < end);
		assert_int_equal(ioctl(test->session->socket, SIOCOUTQ, &left), 0);
	} while (left > 0 && poll(NULL, 0, 1) == 0);
}

static void send_piece(
	struct test *test, const void *bytes, size_t size, const int *fds, size_t fd_count)
{
	if (size > 0) {
		assert_int_equal(
			fe_session_send_bytes(test->session, bytes, size, fds, fd_count), 0);
		wait_until_read(test);
	}
}

static void test_byte_by_byte(void **state)
{
	struct test *test = *state;

	begin(test);
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *message = &messages[i];
		struct stream stream = { .size = 0 };
		uint8_t payload[PAYLOAD_MAX];

		begin_again(test, begin);
		prepare(test, message);
		int fd = make_message(test, message->request, payload);
		append(&stream, message->request, ALWAYS_ASK, payload, message->size);
		for (size_t at = 0; at < stream.size; at++) {
			send_piece(test, &stream.bytes[at], 1, &fd, at == 0 ? message->fds : 0);
		}
		assert_taken(test, message);
		round_trip(test);
	}
}

/* Two messages, cut in two at every place. */
static void test_every_cut(void **state)
{
	struct test *test = *state;
	struct stream stream = { .size = 0 };

	begin(test);
	append_good(test, &stream, VHOST_SET_VRING_NUM, 8);
	append_good(test, &stream, VHOST_GET_CONFIG, 28);
	for (size_t cut = 0; cut <= stream.size; cut++) {
		uint8_t payload[PAYLOAD_MAX];

		send_piece(test, stream.bytes, cut, NULL, 0);
		send_piece(test, stream.bytes + cut, stream.size - cut, NULL, 0);
		assert_int_equal(receive_u64(test, VHOST_SET_VRING_NUM), 0);
		assert_int_equal(receive_answer(test, VHOST_GET_CONFIG, payload), 28);
	}
}

/* More of them than the daemon handles in one turn of its loop, and a part of one more. */
static void test_many_in_one_write(void **state)
{
	struct test *test = *state;
	struct stream stream = { .size = 0 };
	const struct vhost_header last = { VHOST_GET_STATUS, VHOST_FLAG_VERSION, 0 };
	uint8_t payload[PAYLOAD_MAX];

	begin(test);
	for (uint32_t i = 0; i < 70; i++) {
		append_good(test, &stream, VHOST_GET_VRING_BASE, 8);
		append_good(test, &stream, VHOST_GET_FEATURES, 0);
		append_good(test, &stream, VHOST_SET_VRING_NUM, 8);
	}
	append(&stream, last.request, last.flags, NULL, 0);
	assert_int_equal(
		fe_session_send_bytes(test->session, stream.bytes, stream.size - 5, NULL, 0), 0);
	for (uint32_t i = 0; i < 70; i++) {
		assert_int_equal(receive_answer(test, VHOST_GET_VRING_BASE, payload), 8);
		receive_u64(test, VHOST_GET_FEATURES);
		assert_int_equal(receive_u64(test, VHOST_SET_VRING_NUM), 0);
	}
	send_piece(test, (const uint8_t *)&last + 7, 5, NULL, 0);
	assert_int_equal(receive_u64(test, VHOST_GET_STATUS), 0);
}

/*
 * An answer in the control queue is told through this descriptor. It may still hold the
 * notification of an answer that was taken before it was told.
 */
static void assert_told_through(struct test *test, int fd)
{
	struct fe_gpu *gpu = &test->daemon.gpu;
	const struct virtio_gpu_ctrl_hdr command = { .type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO };
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct fe_gpu_answer answer;

	assert_true(fe_gpu_submit(gpu, 0, &command, sizeof(command), 408) >= 0);
	assert_false(fe_queue_enable_call(&gpu->queues[0]));
	fe_gpu_flush(gpu, 0);
	do {
		assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
		assert_true(fd_event_clear(fd));
	} while (!fe_gpu_take(gpu, 0, &answer));
	assert_int_equal(answer.type, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
}

/* A descriptor comes with any byte of its message, not only with the first. */
static void test_descriptor_in_the_middle(void **state)
{
	struct test *test = *state;
	struct stream stream = { .size = 0 };

	begin_running(test);
	append_good(test, &stream, VHOST_SET_VRING_CALL, 8);
	for (size_t at = 0; at < stream.size; at++) {
		int fds[2] = { test->event, test->daemon.gpu.queues[0].call };

		send_piece(test, stream.bytes, at, NULL, 0);
		send_piece(test, stream.bytes + at, stream.size - at, &fds[at % 2], 1);
		assert_int_equal(receive_u64(test, VHOST_SET_VRING_CALL), 0);
		assert_told_through(test, fds[at % 2]);
	}
}

/* Descriptors of one message that come with different parts of it count together, in order. */
static void test_descriptors_in_parts(void **state)
{
	struct test *test = *state;
	const struct fe_region *extra = extra_region(test);
	const struct fe_region *first = &test->daemon.gpu.memory.regions[0];
	const struct vhost_memory_table table = {
		.count = 2,
		.regions = { fe_session_describe(first), fe_session_describe(extra) },
	};
	const int fds[2] = { first->fd, extra->fd };
	struct stream stream = { .size = 0 };

	begin(test);
	append(&stream, VHOST_SET_MEM_TABLE, ALWAYS_ASK, &table, 72);
	send_piece(test, stream.bytes, 30, &fds[0], 1);
	send_piece(test, stream.bytes + 30, stream.size - 30, &fds[1], 1);
	/* In the other order the larger region would not fit the smaller file. */
	assert_int_equal(receive_u64(test, VHOST_SET_MEM_TABLE), 0);
	send_piece(test, stream.bytes, 30, &fds[1], 1);
	send_piece(test, stream.bytes + 30, stream.size - 30, &fds[0], 1);
	assert_true(receive_u64(test, VHOST_SET_MEM_TABLE) != 0);
}

/*
 * Descriptors belong to the message with whose bytes they came, though others wait unread before
 * and behind it.
 */
static void test_descriptor_between_unread_messages(void **state)
{
	struct test *test = *state;
	struct stream before = { .size = 0 };
	struct stream with = { .size = 0 };
	uint8_t payload[PAYLOAD_MAX];

	begin_running(test);
	append_good(test, &before, VHOST_GET_FEATURES, 0);
	append_good(test, &before, VHOST_GET_VRING_BASE, 8);
	memset(before.bytes + 24, 1, 1); // of the cursor queue
	append_good(test, &with, VHOST_SET_VRING_CALL, 8);
	append_good(test, &with, VHOST_GET_STATUS, 0);
	kill(test->daemon.backend.pid, SIGSTOP);
	fe_session_send_bytes(test->session, before.bytes, before.size, NULL, 0);
	fe_session_send_bytes(test->session, with.bytes, with.size, &test->event, 1);
	fe_session_send_bytes(test->session, before.bytes, before.size, NULL, 0);
	kill(test->daemon.backend.pid, SIGCONT);
	receive_u64(test, VHOST_GET_FEATURES);
	assert_int_equal(receive_answer(test, VHOST_GET_VRING_BASE, payload), 8);
	assert_int_equal(receive_u64(test, VHOST_SET_VRING_CALL), 0);
	receive_u64(test, VHOST_GET_STATUS);
	receive_u64(test, VHOST_GET_FEATURES);
	assert_int_equal(receive_answer(test, VHOST_GET_VRING_BASE, payload), 8);
	assert_told_through(test, test->event);
}

static void test_hanging_up_within_a_message(void **state)
{
	struct test *test = *state;
	struct stream stream = { .size = 0 };
	uint8_t payload[PAYLOAD_MAX];

	begin_running(test);
	size_t before = count_descriptors(test);
	for (size_t size = 1; size < 52; size++) {
		int fd = make_message(test, VHOST_SET_MEM_TABLE, payload);

		stream.size = 0;
		append(&stream, VHOST_SET_MEM_TABLE, ALWAYS_ASK, payload, 40);
		send_piece(test, stream.bytes, size, &fd, 1);
		begin_again(test, begin_running);
	}
	assert_int_equal(count_descriptors(test), before);
}

/* Answers that nobody reads are kept up to a bound; then the session ends. */
static void test_answers_that_nobody_reads(void **state)
{
	struct test *test = *state;
	const struct vhost_header header = { VHOST_GET_FEATURES, VHOST_FLAG_VERSION, 0 };
	int error = 0;

	begin_running(test);
	for (uint32_t i = 0; i < 100000 && error == 0; i++) {
		error = fe_session_send_bytes(test->session, &header, sizeof(header), NULL, 0);
	}
	assert_true(error == -EPIPE || error == -ECONNRESET);
	begin_again(test, begin_running);
}

/* Configuration space. */

/* The answer has the size that was asked for, and zeros behind what the device has. */
static void test_config_of_every_size(void **state)
{
	struct test *test = *state;
	uint8_t expected[VHOST_CONFIG_MAX] = { 0 };
	uint8_t config[VHOST_CONFIG_MAX];

	begin(test);
	assert_int_equal(test->daemon.gpu.config.num_scanouts, 1);
	assert_int_equal(test->daemon.gpu.config.num_capsets, 0);
	memcpy(expected, &test->daemon.gpu.config, sizeof(test->daemon.gpu.config));
	for (uint32_t size = 0; size <= VHOST_CONFIG_MAX; size++) {
		memset(config, 0xa5, sizeof(config));
		assert_int_equal(fe_session_get_config(test->session, 0, config, size), 0);
		assert_memory_equal(config, expected, size);
	}
}

static void test_config_from_every_offset(void **state)
{
	struct test *test = *state;
	uint8_t expected[VHOST_CONFIG_MAX] = { 0 };
	uint8_t config[VHOST_CONFIG_MAX];

	begin(test);
	memcpy(expected, &test->daemon.gpu.config, sizeof(test->daemon.gpu.config));
	for (uint32_t offset = 0; offset < VHOST_CONFIG_MAX; offset++) {
		uint32_t size = VHOST_CONFIG_MAX - offset;

		assert_int_equal(fe_session_get_config(test->session, offset, config, size), 0);
		assert_memory_equal(config, expected + offset, size);
	}
}

static void send_get_config(struct test *test, uint32_t offset, uint32_t size, uint32_t bytes)
{
	uint8_t payload[PAYLOAD_MAX] = { 0 };
	const struct vhost_config_header header = { offset, size, 0 };

	memcpy(payload, &header, sizeof(header));
	assert_int_equal(fe_session_send(test->session, VHOST_GET_CONFIG, VHOST_FLAG_VERSION,
				 payload, (uint32_t)sizeof(header) + bytes, NULL, 0),
		0);
}

/* vhost-user, GET_CONFIG: an error is an answer without payload. */
static void test_config_beyond_its_end(void **state)
{
	static const struct {
		uint32_t offset, size;
	} ranges[] = { { 256, 1 }, { 255, 2 }, { 1, 256 }, { 0xffffffff, 1 }, { 0xffffff00, 256 },
		{ 0x80000000, 16 } };
	struct test *test = *state;
	uint8_t payload[PAYLOAD_MAX];

	begin_running(test);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		send_get_config(test, ranges[i].offset, ranges[i].size, ranges[i].size);
		assert_int_equal(receive_answer(test, VHOST_GET_CONFIG, payload), 0);
	}
	daemon_assert_alive(&test->daemon);
}

static void test_config_whose_sizes_differ(void **state)
{
	static const struct {
		uint32_t size, bytes;
	} sizes[] = { { 16, 15 }, { 15, 16 }, { 16, 0 }, { 0, 16 }, { 257, 257 }, { 257, 256 },
		{ 0xffffffff, 16 }, { 0xfffffff4, 0 } };
	struct test *test = *state;

	begin_running(test);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		send_get_config(test, 0, sizes[i].size, sizes[i].bytes);
		assert_closed_and_next_served(test, "GET_CONFIG of two sizes");
	}
}

/*
 * VIRTIO 1.3, 5.7.4: events_clear can be written. QEMU writes the whole structure back: 16 bytes, or 20
 * where it was built with the headers of Linux 7.2.
 */
static void test_set_config(void **state)
{
	struct test *test = *state;
	const uint32_t fields[5] = { [1] = VIRTIO_GPU_EVENT_DISPLAY };
	struct virtio_gpu_config after;

	begin_running(test);
	assert_int_equal(fe_session_set_config(test->session, 0, fields, 16), 0);
	assert_int_equal(fe_session_set_config(test->session, 0, fields, 20), 0);
	assert_int_equal(fe_session_set_config(test->session, 4, &fields[1], 4), 0);
	assert_int_equal(fe_session_set_config(test->session, 20, fields, 0), 0);
	assert_int_equal(fe_session_get_config(test->session, 0, &after, sizeof(after)), 0);
	assert_int_equal(after.num_scanouts, 1);
	daemon_assert_alive(&test->daemon);
}

static void test_set_config_beyond_the_device(void **state)
{
	struct test *test = *state;
	const uint8_t bytes[VHOST_CONFIG_MAX] = { 0 };
	uint8_t message[32] = { 0 };
	const struct vhost_config_header migration = { 0, 16, 1 };

	begin_running(test);
	assert_int_equal(fe_session_set_config(test->session, 0, bytes, 21), -EREMOTEIO);
	assert_int_equal(fe_session_set_config(test->session, 20, bytes, 1), -EREMOTEIO);
	assert_int_equal(fe_session_set_config(test->session, 0xffffffff, bytes, 2), -EREMOTEIO);
	assert_int_equal(fe_session_set_config(test->session, 0, bytes, 256), -EREMOTEIO);
	memcpy(message, &migration, sizeof(migration));
	assert_int_equal(
		fe_session_tell(test->session, VHOST_SET_CONFIG, message, 28, NULL, 0), -EREMOTEIO);
	daemon_assert_alive(&test->daemon);
}

/* Memory. */

static int tell_table(struct test *test, const struct vhost_memory_table *table, const int *fds)
{
	return fe_session_tell(test->session, VHOST_SET_MEM_TABLE, table, 8 + table->count * 32,
		fds, table->count);
}

/* A table of `count` pages of the extra region, wherever `apart` puts them. */
static struct vhost_memory_table make_table(
	struct test *test, uint32_t count, uint64_t apart, int *fds)
{
	struct vhost_memory_table table = { .count = count };

	for (uint32_t i = 0; i < count; i++) {
		table.regions[i] = fe_session_describe(extra_region(test));
		table.regions[i].guest_addr += i * apart;
		table.regions[i].user_addr += i * apart;
		fds[i] = extra_region(test)->fd;
	}
	return table;
}

static void test_tables_of_every_size(void **state)
{
	struct test *test = *state;
	int fds[VHOST_MEMORY_TABLE_MAX];

	begin(test);
	for (uint32_t count = 0; count <= VHOST_MEMORY_TABLE_MAX; count++) {
		const struct vhost_memory_table table = make_table(test, count, REGION_SIZE, fds);

		assert_int_equal(tell_table(test, &table, fds), 0);
	}
}

/* The count, the size and the descriptors must say the same. */
static void test_tables_whose_counts_differ(void **state)
{
	static const struct {
		uint32_t count, regions;
		size_t fds;
	} counts[] = { { 1, 1, 0 }, { 1, 1, 2 }, { 2, 1, 1 }, { 2, 1, 2 }, { 1, 2, 2 }, { 2, 2, 1 },
		{ 0, 0, 1 }, { 0, 1, 1 }, { 9, 8, 8 }, { 9, 9, 9 }, { 0x08000001, 1, 1 },
		{ 0xffffffff, 1, 1 } };
	struct test *test = *state;
	int fds[16];

	begin_running(test);
	size_t before = count_descriptors(test);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct vhost_memory_table table = make_table(test, 8, REGION_SIZE, fds);
		uint8_t payload[PAYLOAD_MAX] = { 0 };

		table.count = counts[i].count;
		fds[8] = test->event;
		memcpy(payload, &table, sizeof(table));
		assert_int_equal(fe_session_send(test->session, VHOST_SET_MEM_TABLE, ALWAYS_ASK,
					 payload, 8 + counts[i].regions * 32, fds, counts[i].fds),
			0);
		assert_closed_and_next_served(test, "SET_MEM_TABLE of two sizes");
		assert_int_equal(count_descriptors(test), before);
	}
}

struct bad_region {
	uint64_t guest_add, user_add, size, offset;
};

/* Alone; the good one has REGION_SIZE bytes at offset 0. */
static const struct bad_region bad_regions[] = {
	{ 0, 0, 0, 0 }, // no size
	{ 0, 0, REGION_SIZE + 1, 0 }, // beyond its file
	{ 0, 0, REGION_SIZE, 1 }, { 0, 0, REGION_SIZE, UINT64_MAX }, { 0, 0, UINT64_MAX, 0 },
	{ -EXTRA_AT - 1, 0, REGION_SIZE, 0 }, // wraps around
};

static struct vhost_memory_region spoil(struct test *test, const struct bad_region *bad)
{
	struct vhost_memory_region region = fe_session_describe(extra_region(test));

	region.guest_addr += bad->guest_add;
	region.user_addr += bad->user_add;
	region.size = bad->size;
	region.mmap_offset = bad->offset;
	return region;
}

static void test_bad_tables_change_nothing(void **state)
{
	struct test *test = *state;
	int fds[2] = { -1, -1 };

	begin_running(test);
	size_t before = count_descriptors(test);
	for (size_t i = 0; i < sizeof(bad_regions) / sizeof(bad_regions[0]); i++) {
		struct vhost_memory_table table = { .count = 2 };

		table.regions[0] = fe_session_describe(&test->daemon.gpu.memory.regions[0]);
		table.regions[1] = spoil(test, &bad_regions[i]);
		fds[0] = test->daemon.gpu.memory.regions[0].fd;
		fds[1] = extra_region(test)->fd;
		assert_int_equal(tell_table(test, &table, fds), -EREMOTEIO);
		daemon_assert_alive(&test->daemon);
	}
	struct vhost_memory_table table = make_table(test, 2, REGION_SIZE - 1, fds);

	assert_int_equal(tell_table(test, &table, fds), -EREMOTEIO); // they overlap
	fds[0] = test->event; // cannot be mapped
	table = make_table(test, 1, 0, &fds[1]);
	assert_int_equal(tell_table(test, &table, fds), -EREMOTEIO);
	daemon_assert_alive(&test->daemon);
	assert_int_equal(count_descriptors(test), before);
}

static int tell_region(
	struct test *test, uint32_t request, struct vhost_memory_region region, int fd)
{
	const struct vhost_single_region single = { .region = region };

	return fe_session_tell(
		test->session, request, &single, sizeof(single), &fd, fd < 0 ? 0 : 1);
}

static void test_bad_regions_are_not_added(void **state)
{
	struct test *test = *state;
	struct vhost_memory_region region;

	begin_running(test);
	const struct fe_region *extra = extra_region(test);
	for (size_t i = 0; i < sizeof(bad_regions) / sizeof(bad_regions[0]); i++) {
		region = spoil(test, &bad_regions[i]);
		assert_int_equal(
			tell_region(test, VHOST_ADD_MEM_REG, region, extra->fd), -EREMOTEIO);
	}
	region = fe_session_describe(&test->daemon.gpu.memory.regions[0]);
	region.guest_addr += region.size - 1; // overlaps
	region.size = REGION_SIZE;
	assert_int_equal(tell_region(test, VHOST_ADD_MEM_REG, region, extra->fd), -EREMOTEIO);
	assert_int_equal(
		tell_region(test, VHOST_ADD_MEM_REG, fe_session_describe(extra), test->event),
		-EREMOTEIO);
	assert_int_equal(
		tell_region(test, VHOST_ADD_MEM_REG, fe_session_describe(extra), extra->fd), 0);
	daemon_assert_alive(&test->daemon);
}

/* vhost-user, REM_MEM_REG: guest address, size and user address name the region. */
static void test_regions_are_removed_by_all_their_numbers(void **state)
{
	struct test *test = *state;

	begin_running(test);
	const struct fe_region *extra = extra_region(test);
	const struct vhost_memory_region region = fe_session_describe(extra);
	struct vhost_memory_region wrong[3] = { region, region, region };

	assert_int_equal(tell_region(test, VHOST_REM_MEM_REG, region, -1), -EREMOTEIO);
	assert_int_equal(fe_session_add_mem_reg(test->session, extra), 0);
	wrong[0].guest_addr += 4096;
	wrong[1].user_addr += 4096;
	wrong[2].size -= 4096;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(tell_region(test, VHOST_REM_MEM_REG, wrong[i], -1), -EREMOTEIO);
	}
	assert_int_equal(tell_region(test, VHOST_REM_MEM_REG, region, -1), 0);
	assert_int_equal(tell_region(test, VHOST_REM_MEM_REG, region, -1), -EREMOTEIO);
	assert_int_equal(fe_session_add_mem_reg(test->session, extra), 0);
	daemon_assert_alive(&test->daemon);
}

static void test_memory_slots_are_bounded(void **state)
{
	struct test *test = *state;

	begin_running(test); // with one region
	const struct fe_region *extra = extra_region(test);
	struct vhost_memory_region region = fe_session_describe(extra);

	/* Far from what this process has: user addresses must not overlap either. */
	region.user_addr = REGION_SIZE;
	const struct vhost_memory_region first = region;

	for (uint32_t i = 0; i < 11; i++) {
		assert_int_equal(tell_region(test, VHOST_ADD_MEM_REG, region, extra->fd), 0);
		region.guest_addr += REGION_SIZE;
		region.user_addr += REGION_SIZE;
	}
	assert_int_equal(tell_region(test, VHOST_ADD_MEM_REG, region, extra->fd), -EREMOTEIO);
	assert_int_equal(tell_region(test, VHOST_REM_MEM_REG, first, -1), 0);
	assert_int_equal(tell_region(test, VHOST_ADD_MEM_REG, region, extra->fd), 0);
	daemon_assert_alive(&test->daemon);
}

/* Rings. */

static void test_queues_that_do_not_exist(void **state)
{
	static const uint32_t indices[] = { 2, 3, 255 };
	struct test *test = *state;
	struct fe_session *session = test->session;

	begin_running(test);
	for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
		uint32_t index = indices[i];

		assert_int_equal(fe_session_set_vring_num(session, index, 64), -EREMOTEIO);
		assert_int_equal(fe_session_set_vring_base(session, index, 0), -EREMOTEIO);
		assert_int_equal(
			fe_session_set_vring_addr(session, index, &test->daemon.gpu.queues[0]),
			-EREMOTEIO);
		assert_int_equal(fe_session_set_vring_enable(session, index, true), -EREMOTEIO);
		assert_int_equal(
			fe_session_set_vring_kick(session, index, test->event), -EREMOTEIO);
		assert_int_equal(
			fe_session_set_vring_call(session, index, test->event), -EREMOTEIO);
		assert_int_equal(fe_session_set_vring_err(session, index, test->event), -EREMOTEIO);
		assert_int_equal(fe_session_set_vring_err(session, index, -1), -EREMOTEIO);
	}
	assert_int_equal(fe_session_set_vring_num(session, 0x80000000, 64), -EREMOTEIO);
	assert_int_equal(fe_session_set_vring_enable(session, 0xffffffff, true), -EREMOTEIO);
	daemon_assert_alive(&test->daemon);
}

/* It has an answer of its own, and no way to say in it that there is no such queue. */
static void test_base_of_a_queue_that_does_not_exist(void **state)
{
	static const uint32_t indices[] = { 2, 255, 256, 0xffffffff };
	struct test *test = *state;

	begin_running(test);
	for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
		const struct vhost_vring_state state_of = { .index = indices[i] };

		assert_int_equal(fe_session_send(test->session, VHOST_GET_VRING_BASE,
					 VHOST_FLAG_VERSION, &state_of, sizeof(state_of), NULL, 0),
			0);
		assert_closed_and_next_served(test, "GET_VRING_BASE of no queue");
	}
}

/* VIRTIO 1.3, 2.7 Split Virtqueues: a power of two; 1024 is our bound. */
static void test_ring_sizes(void **state)
{
	static const uint32_t bad[] = { 0, 3, 6, 65, 1023, 1025, 2048, 32768, 65536, 0x10040,
		0x80000000, 0xffffffff };
	struct test *test = *state;

	begin(test);
	for (uint32_t size = 1; size <= 1024; size *= 2) {
		assert_int_equal(fe_session_set_vring_num(test->session, 1, size), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(fe_session_set_vring_num(test->session, 1, bad[i]), -EREMOTEIO);
	}
}

static void test_ring_bases(void **state)
{
	struct test *test = *state;
	uint32_t base;

	begin(test);
	assert_int_equal(fe_session_get_vring_base(test->session, 1, &base), 0);
	assert_int_equal(base, 0); // of a ring that nobody has spoken of
	assert_int_equal(fe_session_set_vring_base(test->session, 1, 65535), 0);
	assert_int_equal(fe_session_set_vring_base(test->session, 1, 65536), -EREMOTEIO);
	assert_int_equal(fe_session_set_vring_base(test->session, 1, 0xffffffff), -EREMOTEIO);
	assert_int_equal(fe_session_get_vring_base(test->session, 1, &base), 0);
	assert_int_equal(base, 65535);
}

static void test_running_rings_are_not_redescribed(void **state)
{
	struct test *test = *state;

	begin_running(test);
	assert_int_equal(fe_session_set_vring_num(test->session, 0, 32), -EREMOTEIO);
	assert_int_equal(fe_session_set_vring_base(test->session, 0, 7), -EREMOTEIO);
	daemon_assert_alive(&test->daemon);
}

static void test_enabling_by_other_numbers(void **state)
{
	struct test *test = *state;
	const uint32_t bad[] = { 2, 256, 0x80000000, 0xffffffff };

	begin_running(test);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct vhost_vring_state state_of = { 0, bad[i] };

		assert_int_equal(fe_session_tell(test->session, VHOST_SET_VRING_ENABLE, &state_of,
					 sizeof(state_of), NULL, 0),
			-EREMOTEIO);
	}
	daemon_assert_alive(&test->daemon);
}

/*
 * Without a kick descriptor the ring would have to be polled. The others are notifications of ours.
 */
static void test_rings_without_descriptors(void **state)
{
	struct test *test = *state;

	begin_running(test);
	assert_int_equal(fe_session_set_vring_kick(test->session, 0, -1), -EREMOTEIO);
	daemon_assert_alive(&test->daemon); // the old one is still there
	assert_int_equal(fe_session_set_vring_call(test->session, 1, -1), 0);
	assert_int_equal(fe_session_set_vring_err(test->session, 0, -1), 0);
	assert_int_equal(fe_session_set_vring_err(test->session, 1, -1), 0);
	daemon_assert_alive(&test->daemon);
}

static void test_descriptors_that_contradict_their_flag(void **state)
{
	static const uint32_t requests[] = { VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_ERR };
	struct test *test = *state;

	begin_running(test);
	size_t before = count_descriptors(test);
	for (size_t i = 0; i < 3; i++) {
		const uint64_t none = VHOST_VRING_NO_FD;

		assert_int_equal(fe_session_send(test->session, requests[i], ALWAYS_ASK, &none, 8,
					 &test->event, 1),
			0);
		assert_closed_and_next_served(test, "a descriptor that should not be there");
		assert_int_equal(count_descriptors(test), before);
	}
}

/* A file of memory cannot be watched; a socket at its end brings no number. */
static void test_notifications_through_strange_descriptors(void **state)
{
	struct test *test = *state;

	begin_running(test);
	int file = test->daemon.gpu.memory.regions[0].fd;
	fe_session_set_vring_kick(test->session, 0, file);
	round_trip(test);
	shutdown(test->spare[0], SHUT_WR);
	fe_session_set_vring_kick(test->session, 1, test->spare[1]);
	round_trip(test);
	assert_int_equal(fe_session_set_vring_call(test->session, 1, file), 0);
	round_trip(test);
	/* With descriptors as they should be, all goes on. */
	assert_int_equal(fe_gpu_reset(&test->daemon.gpu), 0);
	daemon_assert_alive(&test->daemon);
}

/* The five messages that a ring needs, for test_every_order. */
static void tell_ring(struct test *test, uint32_t which)
{
	struct fe_session *session = test->session;
	struct fe_queue *queue = &test->daemon.gpu.queues[0];
	int error = 0;

	switch (which) {
	case 0:
		error = fe_session_set_vring_num(session, 0, queue->size);
		break;
	case 1:
		error = fe_session_set_vring_addr(session, 0, queue);
		break;
	case 2:
		error = fe_session_set_vring_kick(session, 0, queue->kick);
		break;
	case 3:
		error = fe_session_set_vring_call(session, 0, queue->call);
		break;
	default:
		error = fe_session_set_vring_enable(session, 0, true);
		break;
	}
	assert_int_equal(error, 0);
}

/* The permutation of this number (0 to 119) of 0 to 4. */
static void permute(uint32_t number, uint32_t order[static 5])
{
	uint32_t left[5] = { 0, 1, 2, 3, 4 };

	for (uint32_t i = 5; i > 0; i--) {
		uint32_t pick = number % i;

		number /= i;
		order[5 - i] = left[pick];
		memmove(&left[pick], &left[pick + 1], (4 - pick) * sizeof(left[0]));
	}
}

/*
 * vhost-user, Ring states: started and enabled are independent, and nothing says which of a ring's
 * messages comes first. The driver has notified before any of them.
 */
static void test_every_order_of_a_ring(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = &test->daemon.gpu;
	const struct virtio_gpu_ctrl_hdr command = { .type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO };
	struct fe_gpu_answer answer;

	begin_running(test);
	for (uint32_t number = 0; number < 120; number++) {
		uint32_t order[5];

		assert_int_equal(fe_session_reset_device(test->session), 0);
		assert_int_equal(fe_session_set_vring_call(test->session, 0, -1), 0);
		fe_queue_reset(&gpu->queues[0]);
		assert_true(fe_gpu_submit(gpu, 0, &command, sizeof(command), 408) >= 0);
		fe_queue_publish(&gpu->queues[0]);
		fe_queue_force_kick(&gpu->queues[0]);
		permute(number, order);
		for (uint32_t i = 0; i < 5; i++) {
			tell_ring(test, order[i]);
		}
		assert_int_equal(fe_gpu_wait(gpu, 0, &answer, TIMEOUT_MS), 0);
		assert_int_equal(answer.type, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	}
}

/* Its addresses mean something only when it starts. */
static void test_rings_before_memory(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = &test->daemon.gpu;

	begin(test);
	assert_int_equal(fe_session_set_features(test->session,
				 gpu->offered & ~(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)),
		0);
	assert_int_equal(fe_gpu_make_rings(gpu), 0);
	gpu->queues[0].event_idx = false;
	assert_int_equal(fe_gpu_start_ring(gpu, 0, 0), 0);
	assert_int_equal(fe_gpu_start_ring(gpu, 1, 0), 0);
	assert_int_equal(fe_gpu_send_memory(gpu), 0);
	assert_int_equal(fe_session_set_vring_enable(test->session, 0, true), 0);
	daemon_assert_alive(&test->daemon);
}

/* Deprecated; of the two things that the specification allows, we disable all rings. */
static void test_reset_owner_disables_rings(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = &test->daemon.gpu;
	const struct virtio_gpu_ctrl_hdr command = { .type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO };
	struct fe_gpu_answer answer;

	begin_running(test);
	assert_int_equal(fe_session_reset_owner(test->session), 0);
	assert_true(fe_gpu_submit(gpu, 0, &command, sizeof(command), 408) >= 0);
	fe_queue_publish(&gpu->queues[0]);
	fe_queue_force_kick(&gpu->queues[0]);
	for (uint32_t i = 0; i < 20; i++) {
		round_trip(test); // so that a turn of the loop ends: it takes 16 messages
	}
	assert_false(fe_queue_has_used(&gpu->queues[0]));
	assert_int_equal(fe_session_set_vring_enable(test->session, 0, true), 0);
	assert_int_equal(fe_gpu_wait(gpu, 0, &answer, TIMEOUT_MS), 0);
	assert_int_equal(answer.type, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
}

/* Who replaces a descriptor closes the one before it. */
static void test_replaced_descriptors_are_closed(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = &test->daemon.gpu;
	size_t before;

	begin_running(test);
	before = count_descriptors(test);
	for (uint32_t i = 0; i < 10; i++) {
		struct fe_queue *queue = &gpu->queues[i % 2];

		assert_int_equal(fe_session_set_vring_kick(test->session, i % 2, queue->kick), 0);
		assert_int_equal(fe_session_set_vring_call(test->session, i % 2, queue->call), 0);
		assert_int_equal(fe_session_set_vring_err(test->session, i % 2, queue->err), 0);
		assert_int_equal(fe_session_set_backend_req(test->session), 0);
		assert_int_equal(fe_session_set_mem_table(test->session, &gpu->memory), 0);
		daemon_assert_alive(&test->daemon);
	}
	assert_int_equal(count_descriptors(test), before);
}

/* vhost-user, SET_BACKEND_REQ_FD: a channel that is none, or breaks, is no end of the session. */
static void test_strange_channels(void **state)
{
	struct test *test = *state;
	const uint8_t rubbish[64] = { 1, 2, 3, 4, 5, 6, 7, 8, 255, 255, 255, 255 };

	begin_running(test);
	assert_int_equal(fe_session_tell(test->session, VHOST_SET_BACKEND_REQ_FD, NULL, 0,
				 &test->daemon.gpu.memory.regions[0].fd, 1),
		-EREMOTEIO);
	fd_event_signal(test->event);
	fe_session_tell(test->session, VHOST_SET_BACKEND_REQ_FD, NULL, 0, &test->event, 1);
	daemon_assert_alive(&test->daemon);
	assert_int_equal(fe_session_set_backend_req(test->session), 0);
	assert_int_equal(send(test->session->backend_requests, rubbish, sizeof(rubbish), 0),
		sizeof(rubbish));
	daemon_assert_alive(&test->daemon);
	assert_int_equal(fe_session_set_backend_req(test->session), 0);
	fd_close(&test->session->backend_requests);
	daemon_assert_alive(&test->daemon);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define TEST_WITH_FEW_SLOTS(name) \
	cmocka_unit_test_setup_teardown(test_##name, setup_with_few_slots, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(features_are_exactly_these),
		TEST(protocol_features_are_exactly_these),
		TEST(features_that_were_not_offered_are_ignored),
		TEST_WITH_FEW_SLOTS(counts),
		TEST(status_is_kept),
		TEST(status_of_more_than_a_byte_is_refused),
		TEST(each_message_is_taken),
		TEST(each_message_is_taken_first),
		TEST(each_message_twice),
		TEST(rem_mem_reg_with_a_descriptor),
		TEST(too_short),
		TEST(too_long),
		TEST(far_too_long),
		TEST(too_few_descriptors),
		TEST(too_many_descriptors),
		TEST(heaps_of_descriptors),
		TEST(unknown_requests),
		TEST(wrong_versions),
		TEST(answers_that_nobody_asked_for),
		TEST(no_acknowledgement_unless_negotiated),
		TEST(no_acknowledgement_unless_asked_for),
		TEST(answers_are_not_acknowledged_as_well),
		TEST(acknowledgements_end_with_the_feature),
		TEST(refusals_without_acknowledgement),
		TEST(byte_by_byte),
		TEST(every_cut),
		TEST(many_in_one_write),
		TEST(descriptor_in_the_middle),
		TEST(descriptors_in_parts),
		TEST(descriptor_between_unread_messages),
		TEST(hanging_up_within_a_message),
		TEST(answers_that_nobody_reads),
		TEST(config_of_every_size),
		TEST(config_from_every_offset),
		TEST(config_beyond_its_end),
		TEST(config_whose_sizes_differ),
		TEST(set_config),
		TEST(set_config_beyond_the_device),
		TEST(tables_of_every_size),
		TEST(tables_whose_counts_differ),
		TEST(bad_tables_change_nothing),
		TEST(bad_regions_are_not_added),
		TEST(regions_are_removed_by_all_their_numbers),
		TEST_WITH_FEW_SLOTS(memory_slots_are_bounded),
		TEST(queues_that_do_not_exist),
		TEST(base_of_a_queue_that_does_not_exist),
		TEST(ring_sizes),
		TEST(ring_bases),
		TEST(running_rings_are_not_redescribed),
		TEST(enabling_by_other_numbers),
		TEST(rings_without_descriptors),
		TEST(descriptors_that_contradict_their_flag),
		TEST(notifications_through_strange_descriptors),
		TEST(every_order_of_a_ring),
		TEST(rings_before_memory),
		TEST(reset_owner_disables_rings),
		TEST(replaced_descriptors_are_closed),
		TEST(strange_channels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
