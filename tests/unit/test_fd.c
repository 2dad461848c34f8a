/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static bool is_same_file(int a, int b)
{
	struct stat status_a, status_b;

	assert_int_equal(fstat(a, &status_a), 0);
	assert_int_equal(fstat(b, &status_b), 0);
	return status_a.st_dev == status_b.st_dev && status_a.st_ino == status_b.st_ino;
}

static void make_pipe(int ends[2])
{
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
}

/* Once every copy of a pipe's writing end is closed, the reading end is at its end. */
static bool has_writer(int reader)
{
	char byte;

	return read(reader, &byte, 1) != 0;
}

static void make_sockets(int ends[2])
{
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
}

static ssize_t send_text(int socket, const char *text, const int *fds, size_t count)
{
	const struct iovec iov = { .iov_base = (char *)text, .iov_len = strlen(text) };

	return fd_send(socket, &iov, 1, fds, count);
}

static void close_forgets_the_number(void **state)
{
	int ends[2];
	int writer;

	(void)state;
	make_pipe(ends);
	writer = ends[1];
	fd_close(&ends[1]);
	assert_int_equal(ends[1], -1);
	assert_false(is_open(writer));
	assert_true(is_open(ends[0]));
	fd_close(&ends[1]); // none: nothing happens
	assert_int_equal(ends[1], -1);
	fd_close(&ends[0]);
}

static void close_keeps_errno(void **state)
{
	int ends[2];
	int stale;

	(void)state;
	make_pipe(ends);
	stale = ends[0];
	close(ends[0]);
	errno = ENOSPC;
	fd_close(&stale); // close(2) fails with EBADF
	assert_int_equal(errno, ENOSPC);
	fd_close(&ends[1]);
}

static void close_all_closes_each(void **state)
{
	int fds[4] = { -1, -1, -1, -1 };
	int kept[2];

	(void)state;
	make_pipe(kept);
	fds[0] = dup(kept[1]);
	fds[2] = dup(kept[1]);
	fds[3] = dup(kept[1]);
	fd_close_all(fds, 3);
	assert_int_equal(fds[0], -1);
	assert_int_equal(fds[1], -1);
	assert_int_equal(fds[2], -1);
	assert_true(is_open(fds[3]));
	fd_close_all(&kept[1], 1);
	assert_true(has_writer(kept[0]));
	fd_close_all(&fds[3], 1);
	assert_false(has_writer(kept[0]));
	fd_close_all(NULL, 0);
	fd_close(&kept[0]);
}

static void nonblocking_keeps_other_flags(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_APPEND), 0);
	assert_int_equal(fd_set_nonblocking(ends[1]), 0);
	assert_int_equal(fcntl(ends[1], F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
	fd_close_all(ends, 2);
	assert_int_equal(fd_set_nonblocking(-1), -EBADF);
}

static void event_is_signalled_and_cleared(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	errno = 0;
	assert_false(fd_event_clear(fd));
	assert_int_equal(errno, EAGAIN);
	fd_event_signal(fd);
	fd_event_signal(fd);
	assert_true(fd_event_clear(fd));
	assert_false(fd_event_clear(fd));
	assert_int_equal(errno, EAGAIN);
	fd_close(&fd);
}

/* The reader will be told, and waits behind us perhaps. */
static void full_event_is_no_obstacle(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const uint64_t full = UINT64_MAX - 1;

	(void)state;
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	fd_event_signal(fd);
	assert_true(fd_event_clear(fd));
	fd_close(&fd);
}

static void broken_event_is_not_an_empty_one(void **state)
{
	int ends[2];

	(void)state;
	make_pipe(ends);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	assert_false(fd_event_clear(ends[0])); // too short to be a counter
	assert_int_equal(errno, EPIPE);
	fd_close(&ends[1]);
	errno = EAGAIN;
	assert_false(fd_event_clear(ends[0])); // at its end
	assert_int_equal(errno, EPIPE);
	fd_close(&ends[0]);
	assert_false(fd_event_clear(-1));
	assert_int_equal(errno, EBADF);
}

static void bytes_alone_are_sent_from_all_pieces(void **state)
{
	struct iovec iov[2] = {
		{ .iov_base = (char *)"head", .iov_len = 4 },
		{ .iov_base = (char *)"tail", .iov_len = 4 },
	};
	int fds[FD_MESSAGE_MAX];
	size_t count = 0;
	bool too_many = false;
	char buffer[16];
	int ends[2];

	(void)state;
	make_sockets(ends);
	assert_int_equal(fd_send(ends[0], iov, 2, NULL, 0), 8);
	assert_int_equal(fd_receive(ends[1], buffer, sizeof(buffer), fds, &count, &too_many), 8);
	assert_memory_equal(buffer, "headtail", 8);
	assert_int_equal(count, 0);
	assert_false(too_many);
	fd_close_all(ends, 2);
}

static void reads_no_more_than_asked_for(void **state)
{
	int fds[FD_MESSAGE_MAX];
	size_t count = 0;
	bool too_many = false;
	char buffer[16];
	int ends[2];

	(void)state;
	memset(buffer, '.', sizeof(buffer));
	make_sockets(ends);
	assert_int_equal(send_text(ends[0], "abcdef", NULL, 0), 6);
	assert_int_equal(fd_receive(ends[1], buffer, 2, fds, &count, &too_many), 2);
	assert_memory_equal(buffer, "ab..", 4);
	assert_int_equal(fd_receive(ends[1], buffer, sizeof(buffer), fds, &count, &too_many), 4);
	assert_memory_equal(buffer, "cdef..", 6);
	fd_close_all(ends, 2);
}

/* Two sockets, a pipe whose ends are sent from one to the other, and what has come there. */
struct travel {
	int ends[2];
	int pair[2];
	int fds[FD_MESSAGE_MAX];
	size_t count;
	bool too_many;
	char buffer[8];
};

static void begin_travel(struct travel *travel)
{
	*travel = (struct travel){ 0 };
	make_sockets(travel->ends);
	make_pipe(travel->pair);
}

static ssize_t receive(struct travel *travel, size_t size)
{
	return fd_receive(travel->ends[1], travel->buffer, size, travel->fds, &travel->count,
		&travel->too_many);
}

static void end_travel(struct travel *travel)
{
	fd_close_all(travel->fds, travel->count);
	fd_close_all(travel->pair, 2);
	fd_close_all(travel->ends, 2);
}

static void descriptors_travel(void **state)
{
	struct travel travel;

	(void)state;
	begin_travel(&travel);
	assert_int_equal(send_text(travel.ends[0], "x", travel.pair, 2), 1);
	assert_true(is_open(travel.pair[0]) && is_open(travel.pair[1])); // borrowed
	assert_int_equal(receive(&travel, sizeof(travel.buffer)), 1);
	assert_int_equal(travel.count, 2);
	assert_false(travel.too_many);
	assert_int_not_equal(travel.fds[0], travel.pair[0]);
	assert_true(is_same_file(travel.fds[0], travel.pair[0]));
	assert_int_equal(write(travel.fds[1], "y", 1), 1);
	assert_int_equal(read(travel.pair[0], travel.buffer, 1), 1);
	for (size_t i = 0; i < travel.count; i++) {
		assert_int_equal(fcntl(travel.fds[i], F_GETFD), FD_CLOEXEC);
	}
	end_travel(&travel);
}

static void descriptors_are_appended(void **state)
{
	struct travel travel;

	(void)state;
	begin_travel(&travel);
	assert_int_equal(send_text(travel.ends[0], "1", &travel.pair[0], 1), 1);
	assert_int_equal(send_text(travel.ends[0], "2", &travel.pair[1], 1), 1);
	assert_int_equal(receive(&travel, 1), 1);
	assert_int_equal(travel.count, 1);
	assert_int_equal(receive(&travel, 1), 1);
	assert_int_equal(travel.count, 2);
	assert_int_equal(write(travel.fds[1], "y", 1), 1);
	assert_int_equal(read(travel.fds[0], travel.buffer, 1), 1);
	end_travel(&travel);
}

static void as_many_as_allowed_are_not_too_many(void **state)
{
	int sent[FD_MESSAGE_MAX];
	struct travel travel;

	(void)state;
	begin_travel(&travel);
	for (size_t i = 0; i < FD_MESSAGE_MAX; i++) {
		sent[i] = travel.pair[1];
	}
	assert_int_equal(send_text(travel.ends[0], "x", sent, FD_MESSAGE_MAX), 1);
	assert_int_equal(receive(&travel, sizeof(travel.buffer)), 1);
	assert_int_equal(travel.count, FD_MESSAGE_MAX);
	assert_false(travel.too_many);
	end_travel(&travel);
}

/* Over several messages: those without a place are closed here. */
static void descriptors_over_the_limit_are_closed(void **state)
{
	int sent[20];
	struct travel travel;

	(void)state;
	begin_travel(&travel);
	for (size_t i = 0; i < 20; i++) {
		sent[i] = travel.pair[1];
	}
	assert_int_equal(send_text(travel.ends[0], "1", sent, 20), 1);
	assert_int_equal(send_text(travel.ends[0], "2", sent, 20), 1);
	assert_int_equal(receive(&travel, 1), 1);
	assert_false(travel.too_many);
	assert_int_equal(receive(&travel, 1), 1);
	assert_true(travel.too_many);
	assert_int_equal(travel.count, FD_MESSAGE_MAX);
	fd_close_all(travel.fds, travel.count);
	fd_close(&travel.pair[1]);
	assert_false(has_writer(travel.pair[0]));
	end_travel(&travel);
}

#define OVERSIZED (FD_MESSAGE_MAX + 8)

/* Sends one byte with more descriptors than fd_send would. */
static void send_oversized(int socket, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(OVERSIZED * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (char *)"x", .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int fds[OVERSIZED];

	for (size_t i = 0; i < OVERSIZED; i++) {
		fds[i] = fd;
	}
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	assert_int_equal(sendmsg(socket, &message, 0), 1);
}

/* recvmsg(2) must say that descriptors had no room. Under qemu-user it does not. */
static bool truncation_is_told(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FD_MESSAGE_MAX * sizeof(int))];
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int ends[2];

	make_sockets(ends);
	send_oversized(ends[0], ends[0]);
	assert_int_equal(recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC), 1);
	for (size_t i = 0; i < FD_MESSAGE_MAX; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)) + i * sizeof(fd), sizeof(fd));
		fd_close(&fd);
	}
	fd_close_all(ends, 2);
	return message.msg_flags & MSG_CTRUNC;
}

/* In one message: the kernel closes what the travel.buffer has no room for, and says so. */
static void oversized_message_is_noticed(void **state)
{
	struct travel travel;

	(void)state;
	if (!truncation_is_told()) {
		skip();
	}
	begin_travel(&travel);
	send_oversized(travel.ends[0], travel.pair[1]);
	assert_int_equal(receive(&travel, sizeof(travel.buffer)), 1);
	assert_true(travel.too_many);
	assert_int_equal(travel.count, FD_MESSAGE_MAX);
	fd_close_all(travel.fds, travel.count);
	fd_close(&travel.pair[1]);
	assert_false(has_writer(travel.pair[0]));
	end_travel(&travel);
}

static void empty_socket_and_end_of_stream(void **state)
{
	int fds[FD_MESSAGE_MAX];
	size_t count = 0;
	bool too_many = false;
	char buffer[8];
	int ends[2];

	(void)state;
	make_sockets(ends);
	assert_int_equal(
		fd_receive(ends[1], buffer, sizeof(buffer), fds, &count, &too_many), -EAGAIN);
	fd_close(&ends[0]);
	assert_int_equal(fd_receive(ends[1], buffer, sizeof(buffer), fds, &count, &too_many), 0);
	fd_close(&ends[1]);
	assert_int_equal(fd_receive(-1, buffer, sizeof(buffer), fds, &count, &too_many), -EBADF);
	assert_int_equal(count, 0);
	assert_false(too_many);
}

static void full_socket_takes_nothing(void **state)
{
	static char block[65536];
	const struct iovec iov = { .iov_base = block, .iov_len = sizeof(block) };
	ssize_t sent;
	int ends[2];

	(void)state;
	make_sockets(ends);
	do {
		sent = fd_send(ends[0], &iov, 1, NULL, 0);
	} while (sent > 0);
	assert_int_equal(sent, -EAGAIN);
	fd_close_all(ends, 2);
}

/* Without a SIGPIPE, which would end this process. */
static void lost_peer_is_an_error(void **state)
{
	int ends[2];

	(void)state;
	make_sockets(ends);
	fd_close(&ends[1]);
	assert_int_equal(send_text(ends[0], "x", NULL, 0), -EPIPE);
	fd_close(&ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_forgets_the_number),
		cmocka_unit_test(close_keeps_errno),
		cmocka_unit_test(close_all_closes_each),
		cmocka_unit_test(nonblocking_keeps_other_flags),
		cmocka_unit_test(event_is_signalled_and_cleared),
		cmocka_unit_test(full_event_is_no_obstacle),
		cmocka_unit_test(broken_event_is_not_an_empty_one),
		cmocka_unit_test(bytes_alone_are_sent_from_all_pieces),
		cmocka_unit_test(reads_no_more_than_asked_for),
		cmocka_unit_test(descriptors_travel),
		cmocka_unit_test(descriptors_are_appended),
		cmocka_unit_test(as_many_as_allowed_are_not_too_many),
		cmocka_unit_test(descriptors_over_the_limit_are_closed),
		cmocka_unit_test(oversized_message_is_noticed),
		cmocka_unit_test(empty_socket_and_end_of_stream),
		cmocka_unit_test(full_socket_takes_nothing),
		cmocka_unit_test(lost_peer_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
