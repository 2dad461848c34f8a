/* SPDX-License-Identifier: MIT */
#include "frontend/window.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "frontend/wire.h"

/* The test is the back end: what it asks lies in the socket before the window looks. */

#define WINDOW_SIZE (UINT64_C(1) << 30)
#define MEMORY_AT   UINT64_C(0x100000000)

struct fixture {
	uint64_t page;
	struct fe_window window;
	struct fe_session session;
	struct fe_pump pump;
	struct fe_memory memory;
	int peer; // the other end of the session
	int channel; // the other end of the back end's requests
};

static int setup(void **state)
{
	static struct fixture fixture;
	int ends[2];
	int channel[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
	fixture = (struct fixture){ .peer = ends[1], .channel = channel[1] };
	fixture.page = (uint64_t)sysconf(_SC_PAGESIZE);
	fe_window_init(&fixture.window);
	fe_session_init(&fixture.session, ends[0], &fixture.pump);
	fixture.session.backend_requests = channel[0];
	fixture.session.timeout_ms = 50;
	fe_memory_init(&fixture.memory);
	assert_int_equal(fe_memory_add_region(&fixture.memory, MEMORY_AT, fixture.page), 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fe_window_close(&fixture->window);
	assert_int_equal(fixture->pump.count, 0);
	fe_session_close(&fixture->session);
	fe_memory_finish(&fixture->memory);
	fd_close(&fixture->peer);
	fd_close(&fixture->channel);
	return 0;
}

static void put_config(struct fixture *fixture, uint64_t size)
{
	const struct vhost_header header = { VHOST_GET_SHMEM_CONFIG,
		VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, sizeof(struct vhost_shmem_config) };
	struct vhost_shmem_config config = { .count = size > 0 };

	config.sizes[VHOST_SHMEM_HOST_VISIBLE] = size;
	assert_int_equal(write(fixture->peer, &header, sizeof(header)), sizeof(header));
	assert_int_equal(write(fixture->peer, &config, sizeof(config)), sizeof(config));
}

static void open_window(struct fixture *fixture, enum fe_window_kind kind, bool lists)
{
	const struct fe_window_options options = { .kind = kind, .lists = lists };
	struct vhost_header question;

	put_config(fixture, WINDOW_SIZE);
	assert_int_equal(
		fe_window_open(&fixture->window, &options, &fixture->session, &fixture->memory), 0);
	assert_int_equal(fixture->window.size, WINDOW_SIZE);
	assert_int_equal(read(fixture->peer, &question, sizeof(question)), sizeof(question));
	assert_int_equal(question.request, VHOST_GET_SHMEM_CONFIG);
}

static int make_file(uint64_t size)
{
	int fd = memfd_create("blob", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void send_request(struct fixture *fixture, uint32_t request, uint32_t flags,
	const struct vhost_shmem_map *map, int fd)
{
	const uint32_t size = map ? sizeof(*map) : 0;
	struct vhost_header header = { request, VHOST_FLAG_VERSION | flags, size };
	struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)map, size } };

	assert_int_equal(fe_wire_writev(fixture->channel, iov, size ? 2 : 1, &fd, fd >= 0), 0);
}

static uint64_t take_answer(struct fixture *fixture, uint32_t request)
{
	struct {
		struct vhost_header header;
		uint8_t value[8];
	} answer;
	uint64_t value;

	assert_int_equal(
		recv(fixture->channel, &answer, sizeof(answer), MSG_DONTWAIT), sizeof(answer));
	assert_int_equal(answer.header.request, request);
	assert_int_equal(answer.header.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	memcpy(&value, answer.value, sizeof(value));
	return value;
}

static void serve(struct fixture *fixture)
{
	fe_pump_wait(&fixture->pump, -1, 0);
}

static uint64_t ask(
	struct fixture *fixture, uint32_t request, const struct vhost_shmem_map *map, int fd)
{
	send_request(fixture, request, VHOST_FLAG_NEED_REPLY, map, fd);
	serve(fixture);
	return take_answer(fixture, request);
}

static uint64_t map_pages(struct fixture *fixture, int fd, uint64_t first, uint64_t count)
{
	const struct vhost_shmem_map map = { .region = VHOST_SHMEM_HOST_VISIBLE,
		.offset = first * fixture->page,
		.len = count * fixture->page,
		.flags = VHOST_SHMEM_WRITABLE };

	return ask(fixture, VHOST_BACKEND_SHMEM_MAP, &map, fd);
}

static uint64_t unmap_pages(struct fixture *fixture, uint64_t first, uint64_t count)
{
	const struct vhost_shmem_map map = { .region = VHOST_SHMEM_HOST_VISIBLE,
		.offset = first * fixture->page,
		.len = count * fixture->page };

	return ask(fixture, VHOST_BACKEND_SHMEM_UNMAP, &map, -1);
}

static void test_back_end_without_window(void **state)
{
	const struct fe_window_options options = { .kind = FE_WINDOW_MAPPED };
	struct fixture *fixture = *state;

	put_config(fixture, 0);
	assert_int_equal(
		fe_window_open(&fixture->window, &options, &fixture->session, &fixture->memory), 0);
	assert_int_equal(fixture->window.size, 0);
	assert_int_equal(fe_window_find(&fixture->window, 1), -ENOSPC);
}

static void test_bytes_are_seen_from_both_sides(void **state)
{
	struct fixture *fixture = *state;
	uint64_t page = fixture->page;
	int fd = make_file(2 * page);
	uint8_t byte = 7;

	open_window(fixture, FE_WINDOW_MAPPED, false);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)page), 1);
	assert_int_equal(map_pages(fixture, fd, 3, 2), 0);
	uint8_t *bytes = fe_window_at(&fixture->window, 4 * page, page);
	assert_non_null(bytes);
	assert_int_equal(bytes[0], 7);
	bytes[1] = 8;
	assert_int_equal(pread(fd, &byte, 1, (off_t)page + 1), 1);
	assert_int_equal(byte, 8);
	assert_null(fe_window_at(&fixture->window, 4 * page, 2 * page));
	assert_null(fe_window_at(&fixture->window, 2 * page, page));
	assert_int_equal(unmap_pages(fixture, 3, 2), 0);
	assert_null(fe_window_at(&fixture->window, 4 * page, page));
	close(fd);
}

static void test_file_is_handed_on(void **state)
{
	struct fixture *fixture = *state;
	uint64_t page = fixture->page;
	int fd = make_file(8 * page);
	const struct vhost_shmem_map map = { .region = VHOST_SHMEM_HOST_VISIBLE,
		.fd_offset = 2 * page,
		.offset = 10 * page,
		.len = 4 * page };
	uint64_t fd_offset;
	struct stat ours;
	struct stat theirs;

	open_window(fixture, FE_WINDOW_FILES, false);
	assert_int_equal(ask(fixture, VHOST_BACKEND_SHMEM_MAP, &map, fd), 0);
	int taken = fe_window_take_fd(&fixture->window, 11 * page, 3 * page, &fd_offset);
	assert_true(taken >= 0);
	assert_int_equal(fd_offset, 3 * page);
	assert_int_equal(fstat(fd, &ours), 0);
	assert_int_equal(fstat(taken, &theirs), 0);
	assert_true(ours.st_ino == theirs.st_ino);
	assert_int_equal(
		fe_window_take_fd(&fixture->window, 11 * page, 4 * page, &fd_offset), -ENOENT);
	assert_int_equal(fe_window_take_fd(&fixture->window, 9 * page, page, &fd_offset), -ENOENT);
	assert_null(fe_window_at(&fixture->window, 10 * page, page));
	close(taken);
	close(fd);
}

/* As QEMU does; the channel stays. */
static void test_wrong_requests_are_refused(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t page = fixture->page;
	const uint8_t id = VHOST_SHMEM_HOST_VISIBLE;
	int fd = make_file(4 * page);
	const struct vhost_shmem_map wrong[] = {
		{ .region = 0, .len = page },
		{ .region = 2, .len = page },
		{ .region = id, .len = 0 },
		{ .region = id, .len = page / 2 },
		{ .region = id, .offset = page / 2, .len = page },
		{ .region = id, .fd_offset = page / 2, .len = page },
		{ .region = id, .offset = WINDOW_SIZE, .len = page },
		{ .region = id, .offset = WINDOW_SIZE - page, .len = 2 * page },
		{ .region = id, .offset = 0 - page, .len = 2 * page },
		{ .region = id, .fd_offset = 4 * page, .len = page },
		{ .region = id, .fd_offset = 3 * page, .len = 2 * page },
		{ .region = id, .offset = 9 * page, .len = 2 * page }, // overlaps
		{ .region = id, .offset = 11 * page, .len = page },
		{ .region = id, .offset = 8 * page, .len = 4 * page },
	};

	open_window(fixture, FE_WINDOW_MAPPED, false);
	assert_int_equal(map_pages(fixture, fd, 10, 2), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (ask(fixture, VHOST_BACKEND_SHMEM_MAP, &wrong[i], fd) != 1) {
			fail_msg("map %zu is taken", i);
		}
	}
	assert_int_equal(map_pages(fixture, -1, 0, 1), 1);
	assert_int_equal(unmap_pages(fixture, 10, 1), 1);
	assert_int_equal(unmap_pages(fixture, 11, 1), 1);
	assert_int_equal(unmap_pages(fixture, 9, 2), 1);
	assert_int_equal(unmap_pages(fixture, 20, 1), 1);
	assert_int_equal(fixture->window.count, 1);
	assert_int_equal(unmap_pages(fixture, 10, 2), 0);
	assert_int_equal(unmap_pages(fixture, 10, 2), 1);
	assert_int_equal(fixture->window.count, 0);
	close(fd);
}

/* A file that was opened for reading cannot be written to. */
static void test_read_only_file(void **state)
{
	struct fixture *fixture = *state;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const struct vhost_shmem_map map = { .region = VHOST_SHMEM_HOST_VISIBLE,
		.len = fixture->page };

	assert_true(fd >= 0);
	open_window(fixture, FE_WINDOW_MAPPED, false);
	assert_int_equal(map_pages(fixture, fd, 0, 1), 1);
	assert_int_equal(ask(fixture, VHOST_BACKEND_SHMEM_MAP, &map, fd), 0);
	close(fd);
}

static void test_free_places(void **state)
{
	struct fixture *fixture = *state;
	const int64_t page = (int64_t)fixture->page;
	int fd = make_file(4 * fixture->page);

	open_window(fixture, FE_WINDOW_FILES, false);
	assert_int_equal(fe_window_find(&fixture->window, WINDOW_SIZE), 0);
	assert_int_equal(fe_window_find(&fixture->window, WINDOW_SIZE + 1), -ENOSPC);
	assert_int_equal(fe_window_find(&fixture->window, 0), -ENOSPC);
	assert_int_equal(fe_window_find(&fixture->window, UINT64_MAX), -ENOSPC);
	assert_int_equal(map_pages(fixture, fd, 4, 4), 0);
	assert_int_equal(map_pages(fixture, fd, 1, 1), 0);
	assert_int_equal(fe_window_find(&fixture->window, 1), 0);
	assert_int_equal(fe_window_find(&fixture->window, fixture->page + 1), 2 * page);
	assert_int_equal(fe_window_find(&fixture->window, 3 * fixture->page), 8 * page);
	assert_int_equal(fe_window_find(&fixture->window, WINDOW_SIZE), -ENOSPC);
	close(fd);
}

static void test_refusing_and_holding(void **state)
{
	struct fixture *fixture = *state;
	int fd = make_file(fixture->page);
	const struct vhost_shmem_map map = { .region = VHOST_SHMEM_HOST_VISIBLE,
		.len = fixture->page };

	open_window(fixture, FE_WINDOW_FILES, false);
	fixture->window.refuse = 1;
	assert_int_equal(map_pages(fixture, fd, 0, 1), 1);
	fe_window_hold(&fixture->window, true);
	send_request(fixture, VHOST_BACKEND_SHMEM_MAP, VHOST_FLAG_NEED_REPLY, &map, fd);
	serve(fixture);
	assert_int_equal(fixture->window.count, 0);
	fe_window_hold(&fixture->window, false);
	serve(fixture);
	assert_int_equal(take_answer(fixture, VHOST_BACKEND_SHMEM_MAP), 0);
	assert_int_equal(fixture->window.count, 1);
	assert_int_equal(fixture->window.maps, 2);
	assert_int_equal(fixture->window.refused, 1);
	close(fd);
}

/* Without NEED_REPLY QEMU says nothing. */
static void test_answers_only_when_asked(void **state)
{
	struct fixture *fixture = *state;
	int fd = make_file(fixture->page);
	const struct vhost_shmem_map map = { .region = VHOST_SHMEM_HOST_VISIBLE,
		.len = fixture->page };
	uint8_t byte;

	open_window(fixture, FE_WINDOW_FILES, false);
	send_request(fixture, VHOST_BACKEND_SHMEM_MAP, 0, &map, fd);
	serve(fixture);
	assert_int_equal(fixture->window.count, 1);
	assert_int_equal(recv(fixture->channel, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(ask(fixture, VHOST_BACKEND_CONFIG_CHANGE, NULL, -1), 0);
	assert_int_equal(fixture->window.config_changes, 1);
	assert_int_equal(ask(fixture, 77, NULL, -1), 1);
	close(fd);
}

/* The table's messages, as the back end gets them. */
static struct vhost_memory_region take_slot(struct fixture *fixture, uint32_t request)
{
	struct vhost_header header;
	struct vhost_single_region single;
	int fd;

	assert_int_equal(fe_wire_read(fixture->peer, NULL, &header, sizeof(header), &fd, 50), 0);
	assert_int_equal(header.request, request);
	assert_int_equal(header.flags, VHOST_FLAG_VERSION);
	assert_int_equal(header.size, sizeof(single));
	assert_int_equal(fd >= 0, request == VHOST_ADD_MEM_REG);
	fd_close(&fd);
	assert_int_equal(fe_wire_read(fixture->peer, NULL, &single, sizeof(single), NULL, 50), 0);
	return single.region;
}

static void test_mappings_are_listed_as_slots(void **state)
{
	struct fixture *fixture = *state;
	int fd = make_file(2 * fixture->page);

	fixture->session.protocol_features = 1u << VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS;
	open_window(fixture, FE_WINDOW_FILES, true);
	assert_int_equal(map_pages(fixture, fd, 5, 2), 0);
	struct vhost_memory_region added = take_slot(fixture, VHOST_ADD_MEM_REG);
	assert_int_equal(added.guest_addr, FE_WINDOW_AT + 5 * fixture->page);
	assert_int_equal(added.size, 2 * fixture->page);
	assert_int_equal(unmap_pages(fixture, 5, 2), 0);
	struct vhost_memory_region removed = take_slot(fixture, VHOST_REM_MEM_REG);
	assert_memory_equal(&removed, &added, sizeof(added));
	assert_int_equal(map_pages(fixture, fd, 5, 2), 0);
	take_slot(fixture, VHOST_ADD_MEM_REG);
	fe_window_reset(&fixture->window);
	take_slot(fixture, VHOST_REM_MEM_REG);
	assert_int_equal(fixture->window.count, 0);
	close(fd);
}

static uint32_t take_table(struct fixture *fixture)
{
	struct vhost_header header;
	struct vhost_memory_table table;

	assert_int_equal(fe_wire_read(fixture->peer, NULL, &header, sizeof(header), NULL, 50), 0);
	assert_int_equal(header.request, VHOST_SET_MEM_TABLE);
	assert_true(header.size <= sizeof(table));
	assert_int_equal(fe_wire_read(fixture->peer, NULL, &table, header.size, NULL, 50), 0);
	assert_int_equal(table.regions[0].guest_addr, MEMORY_AT);
	return table.count;
}

/* The 8th region does not fit: QEMU acknowledges the mapping and never lists it. */
static void test_mappings_are_listed_in_the_table(void **state)
{
	struct fixture *fixture = *state;
	int fd = make_file(fixture->page);

	open_window(fixture, FE_WINDOW_FILES, true);
	for (uint32_t i = 0; i < 7; i++) {
		assert_int_equal(map_pages(fixture, fd, i, 1), 0);
		assert_int_equal(take_table(fixture), 2 + i);
	}
	assert_int_equal(map_pages(fixture, fd, 7, 1), 0);
	assert_true(fe_session_is_silent(&fixture->session, 0));
	assert_int_equal(fe_window_send_table(&fixture->window), -ENOBUFS);
	assert_int_equal(unmap_pages(fixture, 7, 1), 0);
	assert_int_equal(take_table(fixture), 8);
	fe_window_reset(&fixture->window);
	assert_int_equal(fe_window_send_table(&fixture->window), 0);
	assert_int_equal(take_table(fixture), 1);
	close(fd);
}

static void test_channel_that_ends(void **state)
{
	struct fixture *fixture = *state;

	open_window(fixture, FE_WINDOW_FILES, false);
	fd_close(&fixture->channel);
	serve(fixture);
	assert_int_equal(fixture->window.channel, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(back_end_without_window),
		TEST(bytes_are_seen_from_both_sides),
		TEST(file_is_handed_on),
		TEST(wrong_requests_are_refused),
		TEST(read_only_file),
		TEST(free_places),
		TEST(refusing_and_holding),
		TEST(answers_only_when_asked),
		TEST(mappings_are_listed_as_slots),
		TEST(mappings_are_listed_in_the_table),
		TEST(channel_that_ends),
	};

	return cmocka_run_group_tests_name("frontend_window", tests, NULL, NULL);
}
