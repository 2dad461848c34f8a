/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/loop.h"
#include "frontend/memory.h"
#include "frontend/queue.h"
#include "frontend/session.h"
#include "frontend/window.h"
#include "memory/mmap.h"
#include "vhost/session.h"

/*
 * The host-visible window, with a device that only notes what it is told. Both ends are in one thread:
 * what the front end says is handled in settle, and its answers lie in the socket then.
 */

enum {
	TURNS = 8, // of the loop: more than what one message can cause
	DONE_MAX = 1024,
	SLOTS = 1000,
	CHANNEL_MS = 1000, // for what should be there
};

#define WINDOW_SIZE (UINT64_C(1) << 32)
#define MEMORY_AT   UINT64_C(0x100000000)
#define WINDOW_AT   UINT64_C(0xc000000000) // where QEMU would have put it
#define ALL_PROTOCOL_FEATURES \
	(1u << VHOST_PROTOCOL_F_MQ | 1u << VHOST_PROTOCOL_F_REPLY_ACK | \
		1u << VHOST_PROTOCOL_F_BACKEND_REQ | 1u << VHOST_PROTOCOL_F_CONFIG | \
		1u << VHOST_PROTOCOL_F_BACKEND_SEND_FD | \
		1u << VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS | 1u << VHOST_PROTOCOL_F_SHMEM)

struct done {
	uint64_t token;
	int result;
	bool replied; // the front end's socket had something to read by then
};

struct test {
	uint64_t page;
	struct loop *loop;
	struct memory *memory;
	struct vhost_session *session; // NULL once it closed
	struct done done[DONE_MAX];
	size_t done_count;
	uint32_t resets;
	uint64_t map_at_done; // unless 0: the device maps this offset when it is told
	uint64_t protocol_features;

	struct fe_session front;
	struct fe_pump pump; // with it, waiting runs the loop
	struct fe_window window; // of the tests with a front end of ours
	struct fe_memory ram;
	struct fe_queue ring;
};

/* What the front end was asked to do. */
struct asked {
	struct vhost_header header;
	struct vhost_shmem_map map;
	int fd;
};

/* The device. */

static uint64_t get_features(void *device)
{
	(void)device;
	return UINT64_C(1) << VIRTIO_F_VERSION_1;
}

static void set_features(void *device, uint64_t features)
{
	(void)device;
	(void)features;
}

static size_t get_config(void *device, uint8_t config[static VHOST_CONFIG_MAX])
{
	(void)device;
	memset(config, 0, 16);
	return 16;
}

static int set_config(void *device, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	(void)device;
	(void)offset;
	(void)bytes;
	(void)size;
	return 0;
}

static void queue_started(void *device, uint32_t index, struct virtq *queue)
{
	(void)device;
	(void)index;
	(void)queue;
}

static void queue_event(void *device, uint32_t index)
{
	(void)device;
	(void)index;
}

static void suspended(void *device)
{
	(void)device;
}

static void reset(void *device)
{
	struct test *test = device;

	test->resets++;
}

static void set_gpu_socket(void *device, int socket)
{
	(void)device;
	close(socket);
}

static int map_file(struct test *test, int fd, uint64_t offset, uint64_t len, uint64_t token);

static int make_file(uint64_t size)
{
	int fd = memfd_create("blob", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static void window_operation_done(void *device, uint64_t token, int result)
{
	struct test *test = device;

	assert_true(test->done_count < DONE_MAX);
	test->done[test->done_count++] = (struct done){ token, result,
		is_readable(test->front.socket) };
	if (test->map_at_done) {
		int fd = make_file(test->page);

		assert_int_equal(
			map_file(test, fd, test->map_at_done, test->page, 99), VHOST_PENDING);
		test->map_at_done = 0;
		close(fd);
	}
}

static void closed(void *device)
{
	struct test *test = device;

	vhost_session_destroy(test->session);
	test->session = NULL;
}

static const struct vhost_device_ops device_ops = {
	.get_features = get_features,
	.set_features = set_features,
	.get_config = get_config,
	.set_config = set_config,
	.queue_started = queue_started,
	.queue_kicked = queue_event,
	.queue_stopped = queue_event,
	.suspended = suspended,
	.reset = reset,
	.set_gpu_socket = set_gpu_socket,
	.window_operation_done = window_operation_done,
	.closed = closed,
};

static void settle(struct test *test)
{
	for (int i = 0; i < TURNS; i++) {
		loop_run_once(test->loop, false);
	}
}

/* The front end: messages. */

/* Sends a message that has no answer of its own; returns what REPLY_ACK says. */
static uint64_t tell(struct test *test, uint32_t request, const void *payload, uint32_t size,
	const int *fds, size_t fd_count)
{
	struct vhost_header header;
	uint64_t answer;

	assert_int_equal(
		fe_session_send(&test->front, request, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY,
			payload, size, fds, fd_count),
		0);
	settle(test);
	assert_int_equal(fe_session_receive(&test->front, &header, &answer, sizeof(answer)), 0);
	assert_int_equal(header.request, request);
	assert_int_equal(header.size, sizeof(answer));
	return answer;
}

/* Sends a message and takes its answer of exactly size bytes. */
static void ask(struct test *test, uint32_t request, const void *payload, uint32_t payload_size,
	void *answer, uint32_t size)
{
	struct vhost_header header;

	assert_int_equal(fe_session_send(&test->front, request, VHOST_FLAG_VERSION, payload,
				 payload_size, NULL, 0),
		0);
	settle(test);
	assert_int_equal(fe_session_receive(&test->front, &header, answer, size), 0);
	assert_int_equal(header.request, request);
	assert_int_equal(header.size, size);
}

static void start_ring(struct test *test, uint32_t base)
{
	fe_session_set_vring_num(&test->front, 0, test->ring.size);
	fe_session_set_vring_base(&test->front, 0, base);
	fe_session_set_vring_addr(&test->front, 0, &test->ring);
	fe_session_set_vring_kick(&test->front, 0, test->ring.kick);
	fe_session_set_vring_enable(&test->front, 0, true);
	settle(test);
	fe_queue_force_kick(&test->ring);
	settle(test);
}

static void stop_ring(struct test *test)
{
	struct vhost_vring_state state = { 0 };

	ask(test, VHOST_GET_VRING_BASE, &state, sizeof(state), &state, sizeof(state));
}

/* As QEMU's generic device: nothing says that this is a reset. */
static void restart_driver(struct test *test)
{
	struct vhost_config_header header = { .size = 16 };
	uint8_t message[28] = { 0 };

	memcpy(message, &header, sizeof(header));
	ask(test, VHOST_GET_CONFIG, message, sizeof(message), message, sizeof(message));
	start_ring(test, 0);
}

static void get_shmem_config(struct test *test, struct vhost_shmem_config *config)
{
	ask(test, VHOST_GET_SHMEM_CONFIG, NULL, 0, config, sizeof(*config));
}

static void set_backend_req(struct test *test)
{
	assert_int_equal(fe_session_set_backend_req(&test->front), 0);
	settle(test);
}

static void begin(struct test *test, uint64_t protocol_features)
{
	const uint64_t features = UINT64_C(1) << VIRTIO_F_VERSION_1 |
		1u << VHOST_F_PROTOCOL_FEATURES;
	struct vhost_shmem_config config;

	fe_session_set_protocol_features(&test->front, protocol_features);
	set_backend_req(test);
	get_shmem_config(test, &config);
	fe_session_set_features(&test->front, features);
	fe_session_set_mem_table(&test->front, &test->ram);
	start_ring(test, 0);
	assert_non_null(test->session);
}

static void open_session(struct test *test, const struct vhost_session_config *config)
{
	int ends[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	fe_session_init(&test->front, ends[0], NULL);
	test->session = vhost_session_create(
		test->loop, test->memory, ends[1], config, &device_ops, test);
	assert_non_null(test->session);
}

static struct test *create_test(uint64_t window_size)
{
	struct vhost_session_config config = {
		.queue_count = 1, .max_memory_slots = SLOTS, .window_size = window_size
	};
	struct test *test = calloc(1, sizeof(*test));

	assert_non_null(test);
	test->page = (uint64_t)sysconf(_SC_PAGESIZE);
	test->loop = loop_create();
	test->memory = memory_create(&memory_mmap_ops, SLOTS);
	assert_non_null(test->loop);
	assert_non_null(test->memory);
	fe_window_init(&test->window);
	fe_memory_init(&test->ram);
	assert_int_equal(fe_memory_add_region(&test->ram, MEMORY_AT, 4 * test->page), 0);
	assert_int_equal(fe_queue_init(&test->ring, &test->ram, 16), 0);
	open_session(test, &config);
	return test;
}

static int setup_bare(void **state)
{
	*state = create_test(WINDOW_SIZE);
	return 0;
}

static int setup(void **state)
{
	struct test *test = create_test(WINDOW_SIZE);

	*state = test;
	begin(test, ALL_PROTOCOL_FEATURES);
	return 0;
}

static int setup_without_window(void **state)
{
	*state = create_test(0);
	return 0;
}

static int setup_without_slots(void **state)
{
	struct test *test = create_test(WINDOW_SIZE);

	*state = test;
	begin(test, ALL_PROTOCOL_FEATURES & ~(1u << VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS));
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;

	fe_window_close(&test->window);
	vhost_session_destroy(test->session);
	fe_session_close(&test->front);
	fe_queue_finish(&test->ring);
	fe_memory_finish(&test->ram);
	memory_destroy(test->memory);
	loop_run_once(test->loop, false);
	loop_destroy(test->loop);
	free(test);
	return 0;
}

/* The front end: the window. */

static struct asked receive_asked(struct test *test)
{
	struct asked asked = { .fd = -1 };

	settle(test);
	assert_int_equal(fe_session_backend_receive(&test->front, &asked.header, &asked.map,
				 sizeof(asked.map), &asked.fd, CHANNEL_MS),
		0);
	assert_int_equal(asked.header.size, sizeof(asked.map));
	assert_int_equal(asked.header.flags, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);
	assert_int_equal(asked.map.region, 1);
	return asked;
}

static void assert_asks_nothing(struct test *test)
{
	settle(test);
	assert_false(is_readable(test->front.backend_requests));
}

static void answer(struct test *test, uint32_t request, uint64_t value)
{
	const struct vhost_header header = { .request = request };

	assert_int_equal(fe_session_backend_reply(&test->front, &header, value), 0);
	settle(test);
}

/* Takes the next request, which must be this one, and answers it. */
static void serve(struct test *test, uint32_t request, uint64_t offset, uint64_t value)
{
	struct asked asked = receive_asked(test);

	assert_int_equal(asked.header.request, request);
	assert_int_equal(asked.map.offset, offset);
	assert_int_equal(asked.fd >= 0, request == VHOST_BACKEND_SHMEM_MAP);
	fd_close(&asked.fd);
	answer(test, request, value);
}

static void serve_map(struct test *test, uint64_t offset)
{
	serve(test, VHOST_BACKEND_SHMEM_MAP, offset, 0);
}

static void serve_unmap(struct test *test, uint64_t offset)
{
	serve(test, VHOST_BACKEND_SHMEM_UNMAP, offset, 0);
}

static int map_file(struct test *test, int fd, uint64_t offset, uint64_t len, uint64_t token)
{
	const struct vhost_window_map map = {
		.fd = fd, .offset = offset, .len = len, .writable = true
	};

	return vhost_session_map(test->session, &map, token);
}

/* Maps a page of a new file and returns the file. */
static int map_page(struct test *test, uint64_t offset, uint64_t token)
{
	int fd = make_file(test->page);

	assert_int_equal(map_file(test, fd, offset, test->page, token), VHOST_PENDING);
	return fd;
}

static void assert_done(struct test *test, size_t index, uint64_t token, int result)
{
	if (index >= test->done_count) {
		fail_msg("operation %llu has not ended", (unsigned long long)token);
	}
	assert_int_equal(test->done[index].token, token);
	assert_int_equal(test->done[index].result, result);
}

static struct vhost_memory_region describe_page(const struct test *test, uint64_t offset)
{
	return (struct vhost_memory_region){ .guest_addr = WINDOW_AT + offset,
		.size = test->page,
		.user_addr = WINDOW_AT + offset };
}

/* What QEMU sends when a page of the window was mapped, and unmapped. */
static uint64_t list_page(struct test *test, uint64_t offset, int fd)
{
	const struct vhost_single_region region = { .region = describe_page(test, offset) };

	return tell(test, VHOST_ADD_MEM_REG, &region, sizeof(region), &fd, 1);
}

static uint64_t unlist_page(struct test *test, uint64_t offset)
{
	const struct vhost_single_region region = { .region = describe_page(test, offset) };

	return tell(test, VHOST_REM_MEM_REG, &region, sizeof(region), NULL, 0);
}

/* The same without CONFIGURE_MEM_SLOTS: guest memory and count pages, one behind the other. */
static uint64_t list_table(struct test *test, const int *files, uint32_t count)
{
	struct vhost_memory_table table = { .count = 1 + count,
		.regions = { fe_session_describe(&test->ram.regions[0]) } };
	int fds[VHOST_MEMORY_TABLE_MAX] = { test->ram.regions[0].fd };

	for (uint32_t i = 0; i < count; i++) {
		table.regions[1 + i] = describe_page(test, i * test->page);
		fds[1 + i] = files[i];
	}
	return tell(test, VHOST_SET_MEM_TABLE, &table,
		(uint32_t)(offsetof(struct vhost_memory_table, regions) +
			table.count * sizeof(table.regions[0])),
		fds, table.count);
}

/* Maps a page as QEMU does it, to the end. Returns its file. */
static int map_listed(struct test *test, uint64_t offset, uint64_t token)
{
	int fd = map_page(test, offset, token);

	serve_map(test, offset);
	assert_int_equal(list_page(test, offset, fd), 0);
	assert_done(test, test->done_count - 1, token, 0);
	return fd;
}

/* The time limit of a map that no table names. */
static void wait_for_done(struct test *test, size_t count)
{
	while (test->done_count < count) {
		loop_run_once(test->loop, true);
		settle(test);
	}
}

static void learn_no_listing(struct test *test)
{
	int fd = map_page(test, 0, 1);

	serve_map(test, 0);
	wait_for_done(test, 1);
	close(fd);
}

/* What is offered. */

static void test_window_is_described(void **state)
{
	struct test *test = *state;
	struct vhost_shmem_config config;
	struct vhost_shmem_config expected = { .count = 1 };
	uint64_t features;

	expected.sizes[1] = WINDOW_SIZE;
	ask(test, VHOST_GET_PROTOCOL_FEATURES, NULL, 0, &features, sizeof(features));
	assert_true(features >> VHOST_PROTOCOL_F_SHMEM & 1);
	get_shmem_config(test, &config);
	assert_memory_equal(&config, &expected, sizeof(config));
}

static void test_no_window_is_not_offered(void **state)
{
	struct test *test = *state;
	struct vhost_shmem_config config;
	struct vhost_shmem_config expected = { 0 };
	uint64_t features;

	ask(test, VHOST_GET_PROTOCOL_FEATURES, NULL, 0, &features, sizeof(features));
	assert_false(features >> VHOST_PROTOCOL_F_SHMEM & 1);
	get_shmem_config(test, &config);
	assert_memory_equal(&config, &expected, sizeof(config));
	begin(test, ALL_PROTOCOL_FEATURES);
	assert_false(vhost_session_has_window(test->session));
}

static void test_window_needs_all_features(void **state)
{
	static const int needed[] = { VHOST_PROTOCOL_F_SHMEM, VHOST_PROTOCOL_F_REPLY_ACK,
		VHOST_PROTOCOL_F_BACKEND_SEND_FD };
	struct test *test = *state;

	begin(test, ALL_PROTOCOL_FEATURES);
	assert_true(vhost_session_has_window(test->session));
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		fe_session_set_protocol_features(
			&test->front, ALL_PROTOCOL_FEATURES & ~(1u << needed[i]));
		settle(test);
		assert_false(vhost_session_has_window(test->session));
	}
}

/* An acknowledged feature proves nothing with QEMU. */
static void test_window_needs_the_question(void **state)
{
	struct test *test = *state;
	struct vhost_shmem_config config;
	int fd = make_file(test->page);

	fe_session_set_protocol_features(&test->front, ALL_PROTOCOL_FEATURES);
	set_backend_req(test);
	assert_false(vhost_session_has_window(test->session));
	assert_int_equal(map_file(test, fd, 0, test->page, 1), -ENOTSUP);
	get_shmem_config(test, &config);
	assert_true(vhost_session_has_window(test->session));
	close(fd);
}

static void test_window_needs_a_channel(void **state)
{
	struct test *test = *state;
	struct vhost_shmem_config config;

	fe_session_set_protocol_features(&test->front, ALL_PROTOCOL_FEATURES);
	get_shmem_config(test, &config);
	assert_false(vhost_session_has_window(test->session));
}

/* The messages. */

static void test_map_is_asked_exactly_so(void **state)
{
	struct test *test = *state;
	int fd = make_file(8 * test->page);
	const struct vhost_window_map map = { .fd = fd,
		.fd_offset = 2 * test->page,
		.offset = 5 * test->page,
		.len = 3 * test->page,
		.writable = true };
	const struct vhost_shmem_map expected = { .region = 1,
		.fd_offset = 2 * test->page,
		.offset = 5 * test->page,
		.len = 3 * test->page,
		.flags = 1 };
	struct stat ours;
	struct stat theirs;

	assert_int_equal(vhost_session_map(test->session, &map, 1), VHOST_PENDING);
	struct asked asked = receive_asked(test);
	assert_int_equal(asked.header.request, VHOST_BACKEND_SHMEM_MAP);
	assert_memory_equal(&asked.map, &expected, sizeof(expected));
	assert_int_equal(fstat(fd, &ours), 0);
	assert_int_equal(fstat(asked.fd, &theirs), 0);
	assert_true(ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev);
	fd_close(&asked.fd);
	close(fd);
}

static void test_read_only_map_has_no_flag(void **state)
{
	struct test *test = *state;
	int fd = make_file(test->page);
	const struct vhost_window_map map = { .fd = fd, .len = test->page };

	assert_int_equal(vhost_session_map(test->session, &map, 1), VHOST_PENDING);
	struct asked asked = receive_asked(test);
	assert_int_equal(asked.map.flags, 0);
	fd_close(&asked.fd);
	close(fd);
}

static void test_unmap_is_asked_exactly_so(void **state)
{
	struct test *test = *state;
	const struct vhost_shmem_map expected = {
		.region = 1, .offset = 7 * test->page, .len = test->page
	};
	int fd = map_listed(test, 7 * test->page, 1);

	assert_int_equal(
		vhost_session_unmap(test->session, 7 * test->page, test->page, 2), VHOST_PENDING);
	struct asked asked = receive_asked(test);
	assert_int_equal(asked.header.request, VHOST_BACKEND_SHMEM_UNMAP);
	assert_memory_equal(&asked.map, &expected, sizeof(expected));
	assert_int_equal(asked.fd, -1);
	assert_int_equal(test->done_count, 1);
	answer(test, VHOST_BACKEND_SHMEM_UNMAP, 0);
	assert_done(test, 1, 2, 0);
	close(fd);
}

/* When a map has ended. */

/* QEMU answers before it commits: a guest that looked at once could see zeros. */
static void test_map_ends_with_the_table_that_names_it(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);

	serve_map(test, 0);
	assert_int_equal(list_table(test, NULL, 0), 0);
	assert_int_equal(test->done_count, 0);
	assert_int_equal(list_table(test, &fd, 1), 0);
	assert_int_equal(test->done_count, 1);
	assert_done(test, 0, 1, 0);
	close(fd);
}

static void test_map_ends_with_the_slot_that_names_it(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);

	serve_map(test, 0);
	assert_int_equal(test->done_count, 0);
	assert_int_equal(list_page(test, 0, fd), 0);
	assert_done(test, 0, 1, 0);
	close(fd);
}

static void test_table_may_come_before_the_ack(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);
	struct asked asked = receive_asked(test);

	assert_int_equal(list_page(test, 0, fd), 0);
	assert_int_equal(test->done_count, 0);
	answer(test, VHOST_BACKEND_SHMEM_MAP, 0);
	assert_done(test, 0, 1, 0);
	fd_close(&asked.fd);
	close(fd);
}

/* The front end waits for the answer before it goes on with its commit. */
static void test_table_is_answered_before_the_device_is_told(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);

	serve_map(test, 0);
	assert_int_equal(list_page(test, 0, fd), 0);
	assert_done(test, 0, 1, 0);
	assert_true(test->done[0].replied);
	close(fd);
}

/* Two at once: the front end does not look at the second before the table of the first is answered. */
static void test_nothing_waits_for_an_answer(void **state)
{
	struct test *test = *state;
	int first = map_page(test, 0, 1);
	int second = map_page(test, test->page, 2);
	struct asked asked = receive_asked(test);

	answer(test, VHOST_BACKEND_SHMEM_MAP, 0);
	assert_int_equal(list_page(test, 0, first), 0);
	assert_done(test, 0, 1, 0);
	fd_close(&asked.fd);
	serve_map(test, test->page);
	assert_int_equal(test->done_count, 1);
	assert_int_equal(list_page(test, test->page, second), 0);
	assert_done(test, 1, 2, 0);
	close(first);
	close(second);
}

static void test_mappings_of_one_file_are_told_one_by_one(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);

	assert_int_equal(map_file(test, fd, test->page, test->page, 2), VHOST_PENDING);
	serve_map(test, 0);
	serve_map(test, test->page);
	assert_int_equal(list_page(test, 0, fd), 0);
	assert_int_equal(test->done_count, 1);
	assert_done(test, 0, 1, 0);
	assert_int_equal(list_page(test, test->page, fd), 0);
	assert_done(test, 1, 2, 0);
	close(fd);
}

/* The table still names the file when it is mapped anew. */
static void test_file_that_is_mapped_again_waits_again(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, 0, 1);

	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 2), VHOST_PENDING);
	serve_unmap(test, 0);
	assert_done(test, 1, 2, 0);
	assert_int_equal(unlist_page(test, 0), 0);
	assert_int_equal(map_file(test, fd, 0, test->page, 3), VHOST_PENDING);
	serve_map(test, 0);
	assert_int_equal(test->done_count, 2);
	assert_int_equal(list_page(test, 0, fd), 0);
	assert_done(test, 2, 3, 0);
	close(fd);
}

static void test_front_end_that_lists_nothing_is_not_waited_for_again(void **state)
{
	struct test *test = *state;
	int fd;

	learn_no_listing(test);
	assert_done(test, 0, 1, 0);
	fd = map_page(test, test->page, 2);
	serve_map(test, test->page);
	assert_done(test, 1, 2, 0);
	close(fd);
}

static void test_front_end_that_listed_once_is_waited_for(void **state)
{
	struct test *test = *state;
	int fd;

	learn_no_listing(test);
	fd = map_page(test, test->page, 2);
	serve_map(test, test->page);
	assert_int_equal(list_page(test, test->page, fd), 0);
	close(fd);
	fd = map_page(test, 2 * test->page, 3);
	serve_map(test, 2 * test->page);
	assert_int_equal(test->done_count, 2);
	/* It has no room for this one in its table, and never lists it. */
	wait_for_done(test, 3);
	assert_done(test, 2, 3, 0);
	close(fd);
	fd = map_page(test, 3 * test->page, 4);
	serve_map(test, 3 * test->page);
	assert_int_equal(test->done_count, 3);
	close(fd);
}

/* What is refused. */

static void test_refused_map(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);

	serve(test, VHOST_BACKEND_SHMEM_MAP, 0, 1);
	assert_done(test, 0, 1, -EIO);
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 2), -ENOENT);
	assert_int_equal(map_file(test, fd, 0, test->page, 3), VHOST_PENDING);
	close(fd);
}

/* The front end knows of no such mapping: its place is free. */
static void test_refused_unmap(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, 0, 1);

	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 2), VHOST_PENDING);
	serve(test, VHOST_BACKEND_SHMEM_UNMAP, 0, 1);
	assert_done(test, 1, 2, -EIO);
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 3), -ENOENT);
	assert_int_equal(map_file(test, fd, 0, test->page, 4), VHOST_PENDING);
	serve_map(test, 0);
	close(fd);
}

static void test_maps_that_make_no_sense(void **state)
{
	struct test *test = *state;
	const uint64_t page = test->page;
	int fd = make_file(4 * page);
	const struct {
		uint64_t fd_offset;
		uint64_t offset;
		uint64_t len;
	} wrong[] = {
		{ 0, 0, 0 },
		{ 0, 0, page / 2 },
		{ 0, page / 2, page },
		{ page / 2, 0, page },
		{ 0, WINDOW_SIZE, page },
		{ 0, WINDOW_SIZE - page, 2 * page },
		{ 0, UINT64_MAX - page + 1, page },
		{ 0, UINT64_MAX - page + 1, 2 * page },
		{ 4 * page, 0, page }, // behind the end of the file
		{ 3 * page, 0, 2 * page },
		{ UINT64_MAX - page + 1, 0, page },
		{ UINT64_MAX - page + 1, 0, 2 * page },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct vhost_window_map map = { .fd = fd,
			.fd_offset = wrong[i].fd_offset,
			.offset = wrong[i].offset,
			.len = wrong[i].len };

		if (vhost_session_map(test->session, &map, i) != -EINVAL) {
			fail_msg("number %zu is taken", i);
		}
	}
	assert_int_equal(map_file(test, -1, 0, page, 1), -EBADF);
	assert_asks_nothing(test);
	assert_int_equal(map_file(test, fd, WINDOW_SIZE - page, page, 1), VHOST_PENDING);
	close(fd);
}

static void test_maps_that_overlap(void **state)
{
	struct test *test = *state;
	const uint64_t page = test->page;
	int fd = make_file(4 * page);

	assert_int_equal(map_file(test, fd, 2 * page, 2 * page, 1), VHOST_PENDING);
	assert_int_equal(map_file(test, fd, 2 * page, 2 * page, 2), -EEXIST);
	assert_int_equal(map_file(test, fd, page, 2 * page, 2), -EEXIST);
	assert_int_equal(map_file(test, fd, 3 * page, 2 * page, 2), -EEXIST);
	assert_int_equal(map_file(test, fd, page, 4 * page, 2), -EEXIST);
	assert_int_equal(map_file(test, fd, 0, 2 * page, 2), VHOST_PENDING);
	assert_int_equal(map_file(test, fd, 4 * page, 2 * page, 3), VHOST_PENDING);
	close(fd);
}

static void test_unmaps_of_what_is_not_mapped(void **state)
{
	struct test *test = *state;
	const uint64_t page = test->page;
	int fd = make_file(2 * page);

	assert_int_equal(map_file(test, fd, 0, 2 * page, 1), VHOST_PENDING);
	assert_int_equal(vhost_session_unmap(test->session, 0, 2 * page, 2), -ENOENT);
	serve_map(test, 0);
	wait_for_done(test, 1);
	assert_int_equal(vhost_session_unmap(test->session, 0, page, 2), -ENOENT);
	assert_int_equal(vhost_session_unmap(test->session, page, page, 2), -ENOENT);
	assert_int_equal(vhost_session_unmap(test->session, 4 * page, 2 * page, 2), -ENOENT);
	assert_asks_nothing(test);
	assert_int_equal(vhost_session_unmap(test->session, 0, 2 * page, 2), VHOST_PENDING);
	assert_int_equal(vhost_session_unmap(test->session, 0, 2 * page, 3), -ENOENT);
	close(fd);
}

/* How many. */

static void assert_room_for(struct test *test, uint32_t count)
{
	uint64_t page = test->page;
	int fd = make_file(page);

	for (uint32_t i = 0; i < count; i++) {
		int result = map_file(test, fd, (1 + i) * page, page, i);

		if (result != VHOST_PENDING) {
			fail_msg("mapping %u of %u: %s", i, count, strerror(-result));
		}
	}
	assert_int_equal(map_file(test, fd, 0, page, 1), -ENOSPC);
	close(fd);
}

/* QEMU aborts at its 513th memory region. */
static void test_there_are_480_mappings_at_most(void **state)
{
	struct test *test = *state;
	int fd;

	assert_room_for(test, 480);
	for (uint64_t i = 1; i <= 480; i++) {
		serve_map(test, i * test->page);
	}
	wait_for_done(test, 480);
	assert_int_equal(
		vhost_session_unmap(test->session, test->page, test->page, 1), VHOST_PENDING);
	serve_unmap(test, test->page);
	fd = map_page(test, 0, 2);
	close(fd);
}

/* Its table has eight regions then, one of which is the guest's memory. */
static void test_without_slots_there_are_seven_mappings(void **state)
{
	assert_room_for(*state, 7);
}

static void test_front_end_that_lists_nothing_has_more(void **state)
{
	struct test *test = *state;

	learn_no_listing(test);
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 2), VHOST_PENDING);
	serve_unmap(test, 0);
	assert_room_for(test, SLOTS);
}

/* The kernel limits the descriptors that are on their way. */
static void test_requests_without_answer_are_bounded(void **state)
{
	struct test *test = *state;

	assert_room_for(test, 480);
	for (uint64_t i = 1; i <= 64; i++) {
		struct asked asked = receive_asked(test);

		assert_int_equal(asked.map.offset, i * test->page);
		fd_close(&asked.fd);
	}
	assert_asks_nothing(test);
	answer(test, VHOST_BACKEND_SHMEM_MAP, 0);
	struct asked asked = receive_asked(test);
	assert_int_equal(asked.map.offset, 65 * test->page);
	fd_close(&asked.fd);
	assert_asks_nothing(test);
}

/* A channel into which only some requests fit. */
static void set_narrow_channel(struct test *test)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &(int){ 0 }, sizeof(int));
	fd_close(&test->front.backend_requests);
	test->front.backend_requests = ends[0];
	assert_int_equal(tell(test, VHOST_SET_BACKEND_REQ_FD, NULL, 0, &ends[1], 1), 0);
	close(ends[1]);
}

/* What waits for a socket that is full goes when it is read, though nothing is answered. */
static void test_reading_makes_room(void **state)
{
	struct test *test = *state;
	int fd = make_file(test->page);

	set_narrow_channel(test);
	for (uint64_t i = 0; i < 60; i++) {
		assert_int_equal(map_file(test, fd, i * test->page, test->page, i), VHOST_PENDING);
	}
	for (uint64_t i = 0; i < 60; i++) {
		struct asked asked = receive_asked(test);

		assert_int_equal(asked.map.offset, i * test->page);
		fd_close(&asked.fd);
	}
	close(fd);
}

/* A front end that does not read: what does not fit into the socket waits, and none is lost. */
static void test_full_socket_loses_nothing(void **state)
{
	struct test *test = *state;
	uint64_t next = 1;

	set_narrow_channel(test);
	assert_room_for(test, 480);
	settle(test);
	/* Does not fit either. */
	assert_int_equal(vhost_session_config_changed(test->session), 0);
	while (next <= 480) {
		struct vhost_header header;
		struct vhost_shmem_map map;
		int fd;

		settle(test);
		assert_int_equal(fe_session_backend_receive(
					 &test->front, &header, &map, sizeof(map), &fd, CHANNEL_MS),
			0);
		if (header.request == VHOST_BACKEND_SHMEM_MAP) {
			assert_int_equal(map.offset, next++ * test->page);
			assert_true(fd >= 0);
		} else {
			assert_int_equal(header.request, VHOST_BACKEND_CONFIG_CHANGE);
			assert_int_equal(fd, -1);
			assert_true(next < 64);
		}
		fd_close(&fd);
		answer(test, header.request, 0);
	}
	assert_asks_nothing(test);
	assert_true(vhost_session_has_window(test->session));
}

/* Blobs in the memory table. */

static bool is_guest_memory(struct test *test, uint64_t guest_addr)
{
	struct memory_span span;

	return memory_resolve(test->memory, guest_addr, 1, &span, 1) == 1;
}

static void test_listed_mappings_are_no_guest_memory(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, 0, 1);
	struct vhost_vring_addr addr = {
		.desc = WINDOW_AT, .avail = WINDOW_AT + 512, .used = WINDOW_AT + 1024
	};

	assert_false(is_guest_memory(test, WINDOW_AT));
	assert_int_equal(memory_region_count(test->memory), 1);
	/* The ring breaks. */
	fe_session_set_vring_err(&test->front, 0, test->ring.err);
	tell(test, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	assert_true(is_readable(test->ring.err));
	assert_int_equal(unlist_page(test, 0), 0);
	assert_int_equal(unlist_page(test, 0), 1);
	assert_true(is_guest_memory(test, MEMORY_AT));
	close(fd);
}

/* A dma-buf may be none that can be mapped here: as this file, which is shorter than it says. */
static void test_listed_mapping_need_not_be_mappable(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);

	serve_map(test, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(list_table(test, &fd, 1), 0);
	assert_done(test, 0, 1, 0);
	assert_true(is_guest_memory(test, MEMORY_AT));
	close(fd);
}

static void test_tables_drop_mappings(void **state)
{
	struct test *test = *state;
	int files[2];

	files[0] = map_page(test, 0, 1);
	files[1] = map_page(test, test->page, 2);
	serve_map(test, 0);
	serve_map(test, test->page);
	assert_int_equal(list_table(test, files, 2), 0);
	assert_int_equal(test->done_count, 2);
	assert_int_equal(list_table(test, files, 1), 0);
	assert_int_equal(unlist_page(test, test->page), 1);
	assert_int_equal(unlist_page(test, 0), 0);
	close(files[0]);
	close(files[1]);
}

/* A file of which we know nothing is guest memory, hot-plugged. */
static void test_other_files_are_guest_memory(void **state)
{
	struct test *test = *state;
	int blob = map_listed(test, 0, 1);
	int fd = make_file(test->page);

	assert_int_equal(list_page(test, test->page, fd), 0);
	assert_true(is_guest_memory(test, WINDOW_AT + test->page));
	assert_int_equal(unlist_page(test, test->page), 0);
	close(fd);
	close(blob);
}

static void test_table_that_fails_changes_nothing(void **state)
{
	struct test *test = *state;
	int files[2] = { map_listed(test, 0, 1), make_file(0) };

	assert_int_equal(list_table(test, files, 2), 1);
	assert_int_equal(unlist_page(test, 0), 0);
	assert_true(is_guest_memory(test, MEMORY_AT));
	close(files[0]);
	close(files[1]);
}

/* It is guest memory to us only as long as it can be remembered as none. */
static void test_listed_mappings_are_bounded(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, 0, 1);

	for (uint64_t i = 1; i < 512; i++) {
		assert_int_equal(list_page(test, i * test->page, fd), 0);
	}
	assert_int_equal(list_page(test, 512 * test->page, fd), 1);
	assert_int_equal(unlist_page(test, 7 * test->page), 0);
	assert_int_equal(list_page(test, 512 * test->page, fd), 0);
	close(fd);
}

static void test_only_what_is_listed_is_removed(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, test->page, 1);
	const struct vhost_memory_region region = describe_page(test, test->page);
	struct vhost_single_region wrong[3] = { { .region = region }, { .region = region },
		{ .region = region } };

	wrong[0].region.guest_addr -= test->page;
	wrong[1].region.user_addr -= test->page;
	wrong[2].region.size += test->page;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			tell(test, VHOST_REM_MEM_REG, &wrong[i], sizeof(wrong[i]), NULL, 0), 1);
	}
	assert_int_equal(unlist_page(test, test->page), 0);
	close(fd);
}

/* Suspended. */

static void test_nothing_is_asked_while_suspended(void **state)
{
	struct test *test = *state;
	int mapped = map_listed(test, 0, 1);
	int fd;

	stop_ring(test);
	fd = map_page(test, test->page, 2);
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 3), VHOST_PENDING);
	assert_asks_nothing(test);
	start_ring(test, 5);
	assert_int_equal(test->resets, 0);
	serve_map(test, test->page);
	serve_unmap(test, 0);
	close(fd);
	close(mapped);
}

static void enable_ring(struct test *test, bool enable)
{
	fe_session_set_vring_enable(&test->front, 0, enable);
	settle(test);
}

/* QEMU disables the rings, stops them, and crashes by a request that it finds after that. */
static void test_nothing_is_asked_while_it_stops(void **state)
{
	struct test *test = *state;
	struct vhost_header header;
	int fd;

	enable_ring(test, false);
	fd = map_page(test, 0, 1);
	assert_int_equal(vhost_session_config_changed(test->session), -EBUSY);
	assert_asks_nothing(test);
	/* It did not stop. */
	enable_ring(test, true);
	assert_int_equal(
		fe_session_backend_receive(&test->front, &header, NULL, 0, NULL, CHANNEL_MS), 0);
	assert_int_equal(header.request, VHOST_BACKEND_CONFIG_CHANGE);
	answer(test, VHOST_BACKEND_CONFIG_CHANGE, 0);
	serve_map(test, 0);
	assert_asks_nothing(test);
	close(fd);
}

/* QEMU's main loop waits for this answer, and would give ours only then. */
static void test_stop_is_answered_while_a_map_is_pending(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);
	struct asked asked = receive_asked(test);

	stop_ring(test);
	answer(test, VHOST_BACKEND_SHMEM_MAP, 0);
	fd_close(&asked.fd);
	/* No table comes before the restart, however long that takes. */
	usleep(300 * 1000);
	settle(test);
	assert_int_equal(test->done_count, 0);
	assert_int_equal(list_table(test, &fd, 1), 0);
	start_ring(test, 5);
	assert_done(test, 0, 1, 0);
	close(fd);
}

/* Longer than a map waits for its table: it has still not come. */
static void test_time_of_a_pause_does_not_count(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);

	serve_map(test, 0);
	stop_ring(test);
	usleep(300 * 1000);
	settle(test);
	assert_int_equal(test->done_count, 0);
	start_ring(test, 5);
	assert_int_equal(list_page(test, 0, fd), 0);
	assert_done(test, 0, 1, 0);
	close(fd);
}

static void test_mappings_outlive_a_pause(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, 0, 1);

	stop_ring(test);
	assert_int_equal(list_table(test, &fd, 1), 0);
	start_ring(test, 5);
	assert_int_equal(test->resets, 0);
	assert_false(is_guest_memory(test, WINDOW_AT));
	assert_int_equal(map_file(test, fd, 0, test->page, 2), -EEXIST);
	close(fd);
}

/* Reset. */

static void test_reset_forgets_mappings(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, 0, 1);

	stop_ring(test);
	assert_int_equal(list_table(test, NULL, 0), 0);
	restart_driver(test);
	assert_int_equal(test->resets, 1);
	assert_asks_nothing(test);
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 2), -ENOENT);
	assert_int_equal(map_file(test, fd, 0, test->page, 3), VHOST_PENDING);
	serve_map(test, 0);
	close(fd);
}

/* QEMU removes the regions when the driver starts again. */
static void test_listed_mappings_outlive_a_reset(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, 0, 1);

	tell(test, VHOST_RESET_DEVICE, NULL, 0, NULL, 0);
	assert_int_equal(test->resets, 1);
	assert_int_equal(unlist_page(test, 0), 0);
	close(fd);
}

static void test_reset_drops_what_waits(void **state)
{
	struct test *test = *state;
	int mapped = map_listed(test, 0, 1);
	int fd;

	stop_ring(test);
	fd = map_page(test, test->page, 2);
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 3), VHOST_PENDING);
	restart_driver(test);
	assert_int_equal(test->resets, 1);
	assert_asks_nothing(test);
	assert_int_equal(test->done_count, 1);
	close(fd);
	close(mapped);
}

/* The front end maps what was asked for before its reset: the next driver must not find it there. */
static void test_map_that_a_reset_overtook_is_undone(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);
	struct asked asked = receive_asked(test);

	stop_ring(test);
	restart_driver(test);
	assert_int_equal(map_file(test, fd, 0, test->page, 2), VHOST_PENDING);
	assert_asks_nothing(test);
	answer(test, VHOST_BACKEND_SHMEM_MAP, 0);
	fd_close(&asked.fd);
	serve_unmap(test, 0);
	serve_map(test, 0);
	assert_int_equal(list_page(test, 0, fd), 0);
	assert_int_equal(test->done_count, 1);
	assert_done(test, 0, 2, 0);
	close(fd);
}

/* The same, answered between stop and restart: it is not known then that this was a reset. */
static void test_map_of_a_suspended_device_is_undone(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);
	struct asked asked = receive_asked(test);

	stop_ring(test);
	answer(test, VHOST_BACKEND_SHMEM_MAP, 0);
	fd_close(&asked.fd);
	restart_driver(test);
	assert_int_equal(test->resets, 1);
	/* That it is gone already is no harm. */
	serve(test, VHOST_BACKEND_SHMEM_UNMAP, 0, 1);
	assert_int_equal(test->done_count, 0);
	assert_int_equal(map_file(test, fd, 0, test->page, 2), VHOST_PENDING);
	serve_map(test, 0);
	close(fd);
}

/* A pause shows that it was none of a reset. */
static void test_map_of_an_earlier_pause_is_forgotten(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);
	struct asked asked = receive_asked(test);

	stop_ring(test);
	answer(test, VHOST_BACKEND_SHMEM_MAP, 0);
	fd_close(&asked.fd);
	assert_int_equal(list_page(test, 0, fd), 0);
	start_ring(test, 5);
	assert_done(test, 0, 1, 0);
	stop_ring(test);
	restart_driver(test);
	assert_int_equal(test->resets, 1);
	assert_asks_nothing(test);
	close(fd);
}

static void test_overtaken_map_that_was_refused_is_gone(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);
	struct asked asked = receive_asked(test);

	tell(test, VHOST_RESET_DEVICE, NULL, 0, NULL, 0);
	answer(test, VHOST_BACKEND_SHMEM_MAP, 1);
	fd_close(&asked.fd);
	start_ring(test, 0);
	assert_asks_nothing(test);
	assert_int_equal(test->done_count, 0);
	close(fd);
}

static void test_unmap_that_a_reset_overtook_is_not_told(void **state)
{
	struct test *test = *state;
	int fd = map_listed(test, 0, 1);

	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 2), VHOST_PENDING);
	struct asked asked = receive_asked(test);
	tell(test, VHOST_RESET_DEVICE, NULL, 0, NULL, 0);
	assert_int_equal(unlist_page(test, 0), 0);
	start_ring(test, 0);
	assert_int_equal(map_file(test, fd, 0, test->page, 3), VHOST_PENDING);
	answer(test, asked.header.request, 1);
	serve_map(test, 0);
	assert_int_equal(test->done_count, 1);
	close(fd);
}

/* The channel. */

static void test_broken_channel_ends_all(void **state)
{
	struct test *test = *state;
	int mapped = map_listed(test, 0, 1);
	int asked = map_page(test, test->page, 2);

	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 3), VHOST_PENDING);
	settle(test);
	fd_close(&test->front.backend_requests);
	settle(test);
	assert_int_equal(test->done_count, 3);
	assert_done(test, 1, 3, -EIO);
	assert_done(test, 2, 2, -EIO);
	assert_false(vhost_session_has_window(test->session));
	assert_int_equal(map_file(test, asked, 8 * test->page, test->page, 4), -ENOTSUP);
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 5), -ENOENT);
	close(asked);
	close(mapped);
}

static void test_another_channel_goes_on(void **state)
{
	struct test *test = *state;
	int mapped = map_listed(test, 0, 1);
	int fd = map_page(test, test->page, 2);

	settle(test);
	set_backend_req(test);
	assert_done(test, 1, 2, -EIO);
	assert_true(vhost_session_has_window(test->session));
	/* Nobody knows whether it was mapped. */
	serve_unmap(test, test->page);
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 3), VHOST_PENDING);
	serve_unmap(test, 0);
	assert_done(test, 2, 3, 0);
	close(fd);
	close(mapped);
}

/* The device has forgotten them: they must not stay in the window. */
static void test_lost_unmaps_are_made_up_for(void **state)
{
	struct test *test = *state;
	const uint64_t page = test->page;
	int fds[3] = { map_listed(test, 0, 1), map_listed(test, page, 2),
		map_listed(test, 2 * page, 3) };

	assert_int_equal(vhost_session_unmap(test->session, 0, page, 4), VHOST_PENDING);
	settle(test);
	assert_int_equal(vhost_session_unmap(test->session, page, page, 5), VHOST_PENDING);
	fd_close(&test->front.backend_requests);
	settle(test);
	assert_done(test, 3, 4, -EIO);
	assert_done(test, 4, 5, -EIO);
	assert_int_equal(vhost_session_unmap(test->session, 2 * page, page, 6), -ENOTSUP);
	set_backend_req(test);
	assert_int_equal(map_file(test, fds[0], 0, page, 7), VHOST_PENDING);
	for (int i = 0; i < 3; i++) {
		struct asked asked = receive_asked(test);

		assert_int_equal(asked.header.request, VHOST_BACKEND_SHMEM_UNMAP);
		answer(test, VHOST_BACKEND_SHMEM_UNMAP, 0);
	}
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(unlist_page(test, i * page), 0);
	}
	serve_map(test, 0);
	assert_int_equal(test->done_count, 5);
	fd_close_all(fds, 3);
}

/* The same when the older one is still open at the other end. */
static void test_channel_is_replaced(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, test->page, 1);
	int older;

	settle(test);
	older = dup(test->front.backend_requests);
	set_backend_req(test);
	assert_done(test, 0, 1, -EIO);
	serve_unmap(test, test->page);
	close(older);
	close(fd);
}

static void test_channel_that_broke_is_replaced(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, test->page, 1);

	settle(test);
	fd_close(&test->front.backend_requests);
	settle(test);
	assert_done(test, 0, 1, -EIO);
	set_backend_req(test);
	serve_unmap(test, test->page);
	close(fd);
}

static void test_channel_breaks_with_an_overtaken_map(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, test->page, 1);
	struct asked asked = receive_asked(test);

	tell(test, VHOST_RESET_DEVICE, NULL, 0, NULL, 0);
	fd_close(&test->front.backend_requests);
	settle(test);
	set_backend_req(test);
	start_ring(test, 0);
	serve_unmap(test, test->page);
	assert_int_equal(test->done_count, 0);
	fd_close(&asked.fd);
	close(fd);
}

static void assert_channel_closes(struct test *test)
{
	settle(test);
	assert_false(vhost_session_has_window(test->session));
	assert_non_null(test->session);
}

static void test_answer_that_nobody_asked_for(void **state)
{
	struct test *test = *state;

	answer(test, VHOST_BACKEND_SHMEM_MAP, 0);
	assert_channel_closes(test);
}

static void test_answer_to_something_else(void **state)
{
	struct test *test = *state;
	int fd = map_page(test, 0, 1);
	struct asked asked = receive_asked(test);

	answer(test, VHOST_BACKEND_SHMEM_UNMAP, 0);
	assert_channel_closes(test);
	assert_done(test, 0, 1, -EIO);
	fd_close(&asked.fd);
	close(fd);
}

static void test_other_answers_in_between(void **state)
{
	struct test *test = *state;
	struct vhost_header header;
	int fd;

	assert_int_equal(vhost_session_config_changed(test->session), 0);
	fd = map_page(test, 0, 1);
	assert_int_equal(vhost_session_config_changed(test->session), 0);
	settle(test);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fe_session_backend_receive(
					 &test->front, &header, NULL, 0, NULL, CHANNEL_MS),
			0);
		assert_int_equal(header.request, VHOST_BACKEND_CONFIG_CHANGE);
		answer(test, VHOST_BACKEND_CONFIG_CHANGE, 1);
	}
	serve_map(test, 0);
	assert_int_equal(list_page(test, 0, fd), 0);
	assert_done(test, 0, 1, 0);
	close(fd);
}

static void test_device_may_ask_when_it_is_told(void **state)
{
	struct test *test = *state;
	int fd;

	test->map_at_done = 4 * test->page;
	fd = map_listed(test, 0, 1);
	serve_map(test, 4 * test->page);
	close(fd);
}

static void test_session_ends_with_operations_pending(void **state)
{
	struct test *test = *state;
	int mapped = map_listed(test, 0, 1);
	int fd = map_page(test, test->page, 2);

	settle(test);
	assert_int_equal(map_file(test, fd, 2 * test->page, test->page, 3), VHOST_PENDING);
	fd_close(&test->front.socket);
	settle(test);
	assert_null(test->session);
	assert_int_equal(test->done_count, 1);
	close(fd);
	close(mapped);
}

/* A front end of ours. */

static void run_loop(void *data)
{
	struct test *test = data;

	loop_run_once(test->loop, false);
}

static void begin_ours(struct test *test, bool lists)
{
	static const int none = -1;
	static const bool always = true;
	const struct fe_window_options options = { .kind = FE_WINDOW_MAPPED, .lists = lists };

	begin(test, ALL_PROTOCOL_FEATURES);
	test->front.pump = &test->pump;
	fe_pump_add(&test->pump, &none, &always, run_loop, test);
	assert_int_equal(fe_window_open(&test->window, &options, &test->front, &test->ram), 0);
	assert_int_equal(test->window.size, WINDOW_SIZE);
}

static void serve_all(struct test *test)
{
	for (int i = 0; i < TURNS; i++) {
		settle(test);
		fe_pump_wait(&test->pump, -1, 0);
	}
}

static void test_our_front_end_sees_the_bytes(void **state)
{
	struct test *test = *state;
	int fd;
	uint8_t *bytes;
	uint8_t byte = 5;

	begin_ours(test, false);
	fd = map_page(test, 3 * test->page, 1);
	serve_all(test);
	wait_for_done(test, 1);
	assert_done(test, 0, 1, 0);
	bytes = fe_window_at(&test->window, 3 * test->page, test->page);
	assert_non_null(bytes);
	assert_int_equal(pwrite(fd, &byte, 1, 9), 1);
	assert_int_equal(bytes[9], 5);
	assert_int_equal(
		vhost_session_unmap(test->session, 3 * test->page, test->page, 2), VHOST_PENDING);
	serve_all(test);
	assert_done(test, 1, 2, 0);
	assert_int_equal(test->window.count, 0);
	close(fd);
}

static void test_our_front_end_lists_as_qemu(void **state)
{
	struct test *test = *state;
	int fd;

	begin_ours(test, true);
	fd = map_page(test, 0, 1);
	serve_all(test);
	assert_done(test, 0, 1, 0);
	assert_false(is_guest_memory(test, FE_WINDOW_AT));
	assert_int_equal(vhost_session_unmap(test->session, 0, test->page, 2), VHOST_PENDING);
	serve_all(test);
	assert_done(test, 1, 2, 0);
	/* It was listed, and is no more. */
	assert_int_equal(unlist_page(test, 0), 1);
	close(fd);
}

/* It looks at the map only after its reset. */
static void test_our_front_end_is_reset_before_it_maps(void **state)
{
	struct test *test = *state;
	int fd;

	begin_ours(test, false);
	fe_window_hold(&test->window, true);
	fd = map_page(test, 0, 1);
	settle(test);
	stop_ring(test);
	fe_window_reset(&test->window);
	restart_driver(test);
	assert_int_equal(map_file(test, fd, 0, test->page, 2), VHOST_PENDING);
	settle(test);
	fe_window_hold(&test->window, false);
	serve_all(test);
	wait_for_done(test, 1);
	assert_done(test, 0, 2, 0);
	assert_int_equal(test->window.refused, 0);
	assert_int_equal(test->window.maps, 2);
	assert_int_equal(test->window.unmaps, 1);
	close(fd);
}

static void test_our_front_end_refuses(void **state)
{
	struct test *test = *state;
	int fd;

	begin_ours(test, true);
	test->window.refuse = 1;
	fd = map_page(test, 0, 1);
	serve_all(test);
	assert_done(test, 0, 1, -EIO);
	close(fd);
}

#define TEST(name)           cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define TEST_WITH(name, how) cmocka_unit_test_setup_teardown(test_##name, how, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(window_is_described, setup_bare),
		TEST_WITH(no_window_is_not_offered, setup_without_window),
		TEST_WITH(window_needs_all_features, setup_bare),
		TEST_WITH(window_needs_the_question, setup_bare),
		TEST_WITH(window_needs_a_channel, setup_bare),
		TEST(map_is_asked_exactly_so),
		TEST(read_only_map_has_no_flag),
		TEST(unmap_is_asked_exactly_so),
		TEST(map_ends_with_the_table_that_names_it),
		TEST(map_ends_with_the_slot_that_names_it),
		TEST(table_may_come_before_the_ack),
		TEST(table_is_answered_before_the_device_is_told),
		TEST(nothing_waits_for_an_answer),
		TEST(mappings_of_one_file_are_told_one_by_one),
		TEST(file_that_is_mapped_again_waits_again),
		TEST(front_end_that_lists_nothing_is_not_waited_for_again),
		TEST(front_end_that_listed_once_is_waited_for),
		TEST(refused_map),
		TEST(refused_unmap),
		TEST(maps_that_make_no_sense),
		TEST(maps_that_overlap),
		TEST(unmaps_of_what_is_not_mapped),
		TEST(there_are_480_mappings_at_most),
		TEST_WITH(without_slots_there_are_seven_mappings, setup_without_slots),
		TEST(front_end_that_lists_nothing_has_more),
		TEST(requests_without_answer_are_bounded),
		TEST(reading_makes_room),
		TEST(full_socket_loses_nothing),
		TEST(listed_mappings_are_no_guest_memory),
		TEST(listed_mapping_need_not_be_mappable),
		TEST(tables_drop_mappings),
		TEST(other_files_are_guest_memory),
		TEST(table_that_fails_changes_nothing),
		TEST(listed_mappings_are_bounded),
		TEST(only_what_is_listed_is_removed),
		TEST(nothing_is_asked_while_suspended),
		TEST(nothing_is_asked_while_it_stops),
		TEST(stop_is_answered_while_a_map_is_pending),
		TEST(time_of_a_pause_does_not_count),
		TEST(mappings_outlive_a_pause),
		TEST(reset_forgets_mappings),
		TEST(listed_mappings_outlive_a_reset),
		TEST(reset_drops_what_waits),
		TEST(map_that_a_reset_overtook_is_undone),
		TEST(map_of_a_suspended_device_is_undone),
		TEST(map_of_an_earlier_pause_is_forgotten),
		TEST(overtaken_map_that_was_refused_is_gone),
		TEST(unmap_that_a_reset_overtook_is_not_told),
		TEST(broken_channel_ends_all),
		TEST(another_channel_goes_on),
		TEST(lost_unmaps_are_made_up_for),
		TEST(channel_is_replaced),
		TEST(channel_that_broke_is_replaced),
		TEST(channel_breaks_with_an_overtaken_map),
		TEST(answer_that_nobody_asked_for),
		TEST(answer_to_something_else),
		TEST(other_answers_in_between),
		TEST(device_may_ask_when_it_is_told),
		TEST(session_ends_with_operations_pending),
		TEST_WITH(our_front_end_sees_the_bytes, setup_bare),
		TEST_WITH(our_front_end_lists_as_qemu, setup_bare),
		TEST_WITH(our_front_end_is_reset_before_it_maps, setup_bare),
		TEST_WITH(our_front_end_refuses, setup_bare),
	};

	memory_mmap_install_sigbus_handler();
	return cmocka_run_group_tests_name("vhost_window", tests, NULL, NULL);
}
