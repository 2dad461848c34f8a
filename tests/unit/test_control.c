/* SPDX-License-Identifier: MIT */
/*
 * What tests/protocol/test_daemon_control.py cannot make the daemon do: an answer that fails, and
 * answers with descriptors that leave in pieces.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/loop.h"
#include "daemon/control.h"

/* More than a socket's buffer takes at once. */
#define LONG_ANSWER (4u << 20)

struct fixture {
	struct loop *loop;
	int listener;
	struct control *control;
	/* What the handler saw last, and what it is to answer. */
	int calls;
	char line[CONTROL_LINE_MAX];
	size_t line_len;
	char *text; // malloc'ed: given away
	int fd;
};

static struct control_reply handle_line(void *data, const char *line, size_t len)
{
	struct fixture *fixture = data;
	struct control_reply reply = { fixture->text, fixture->fd };

	fixture->calls++;
	memcpy(fixture->line, line, len);
	fixture->line_len = len;
	fixture->text = NULL;
	fixture->fd = -1;
	return reply;
}

static int setup(void **state)
{
	/* Without a path the kernel chooses a name that is no file (unix(7), autobind). */
	const struct sockaddr_un nameless = { .sun_family = AF_UNIX };
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	fixture->fd = -1;
	fixture->loop = loop_create();
	fixture->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(fixture->listener, (const struct sockaddr *)&nameless, sizeof(sa_family_t)) < 0 ||
		listen(fixture->listener, 16) < 0) {
		return -1;
	}
	fixture->control = control_create(fixture->loop, fixture->listener, handle_line, fixture);
	return fixture->control ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	control_destroy(fixture->control);
	loop_destroy(fixture->loop);
	fd_close(&fixture->listener);
	free(fixture);
	return 0;
}

static void run_turns(struct fixture *fixture)
{
	for (int i = 0; i < 10; i++) {
		loop_run_once(fixture->loop, false);
	}
}

static int connect_client(struct fixture *fixture)
{
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	socklen_t len = sizeof(address);

	assert_int_equal(getsockname(fixture->listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
	run_turns(fixture);
	return client;
}

static void ask(struct fixture *fixture, int client, const char *text, size_t len)
{
	assert_int_equal(send(client, text, len, MSG_NOSIGNAL), len);
	run_turns(fixture);
}

/* A pipe whose writing end goes with the next answer; the reading end tells when it is closed. */
static int answer_with_pipe(struct fixture *fixture)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	fixture->fd = ends[1];
	return ends[0];
}

static bool has_writer(int reader)
{
	char byte;

	return read(reader, &byte, 1) != 0;
}

static void line_comes_whole_and_without_its_end(void **state)
{
	struct fixture *fixture = *state;
	int client = connect_client(fixture);
	char buffer[16];

	fixture->text = strdup("yes");
	ask(fixture, client, "a\0b", 3);
	assert_int_equal(fixture->calls, 0);
	ask(fixture, client, "c\nnext", 6);
	assert_int_equal(fixture->calls, 1);
	assert_int_equal(fixture->line_len, 4);
	assert_memory_equal(fixture->line, "a\0bc", 4);
	assert_int_equal(recv(client, buffer, sizeof(buffer), 0), 4);
	assert_memory_equal(buffer, "yes\n", 4);
	fd_close(&client);
	run_turns(fixture);
}

static void empty_line_is_a_line(void **state)
{
	struct fixture *fixture = *state;
	int client = connect_client(fixture);

	fixture->text = strdup("");
	ask(fixture, client, "\n", 1);
	assert_int_equal(fixture->calls, 1);
	assert_int_equal(fixture->line_len, 0);
	fd_close(&client);
}

/* The handler had no memory: this client goes, its descriptor with it, and others stay. */
static void client_without_an_answer_is_dropped(void **state)
{
	struct fixture *fixture = *state;
	int client = connect_client(fixture), other = connect_client(fixture);
	int reader = answer_with_pipe(fixture);
	char buffer[16];

	ask(fixture, client, "x\n", 2);
	assert_int_equal(fixture->calls, 1);
	assert_int_equal(recv(client, buffer, sizeof(buffer), 0), 0);
	assert_false(has_writer(reader));
	fixture->text = strdup("yes");
	ask(fixture, other, "x\n", 2);
	assert_int_equal(recv(other, buffer, sizeof(buffer), 0), 4);
	fd_close(&client);
	fd_close(&other);
	fd_close(&reader);
}

static char *long_answer(void)
{
	char *text = malloc(LONG_ANSWER);

	assert_non_null(text);
	memset(text, 'x', LONG_ANSWER - 1);
	text[LONG_ANSWER - 1] = '\0';
	return text;
}

/* Reads all there is; descriptors are appended. */
static size_t drain(int client, char *last, int fds[FD_MESSAGE_MAX], size_t *fd_count)
{
	static char buffer[1u << 16];
	bool too_many = false;
	size_t total = 0;
	ssize_t got;

	while ((got = fd_receive(client, buffer, sizeof(buffer), fds, fd_count, &too_many)) > 0) {
		total += (size_t)got;
		*last = buffer[got - 1];
	}
	assert_int_equal(got, -EAGAIN);
	return total;
}

static void descriptor_goes_once_with_an_answer_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	int client = connect_client(fixture);
	int reader = answer_with_pipe(fixture);
	int fds[FD_MESSAGE_MAX];
	size_t fd_count = 0, total = 0;
	char last = '\0';
	int pieces = 0;

	fixture->text = long_answer();
	ask(fixture, client, "x\n", 2);
	while (total < LONG_ANSWER) {
		total += drain(client, &last, fds, &fd_count);
		assert_int_equal(fd_count, 1); // with the first byte, and not again
		run_turns(fixture);
		assert_in_range(++pieces, 1, 1000);
	}
	assert_int_equal(total, LONG_ANSWER);
	assert_int_equal(last, '\n');
	assert_true(pieces > 1);
	assert_true(has_writer(reader)); // the client's; the daemon's own is closed
	fd_close(&fds[0]);
	assert_false(has_writer(reader));
	fd_close(&client);
	fd_close(&reader);
}

static void ignore(void *data)
{
	(void)data;
}

/* Does the loop sleep until a timer ends, as nothing else is to do? */
static bool loop_sleeps(struct fixture *fixture)
{
	struct loop_timer *timer = loop_add_timer(fixture->loop, ignore, NULL);
	int turns = 0;

	loop_timer_start(timer, 20);
	/* One turn, or a few when the kernel wakes it early; a loop that does not sleep makes thousands. */
	while (loop_timer_is_running(timer) && turns < 100) {
		loop_run_once(fixture->loop, true);
		turns++;
	}
	loop_remove_timer(timer);
	return turns < 10;
}

static void nothing_is_read_while_an_answer_waits(void **state)
{
	struct fixture *fixture = *state;
	int client = connect_client(fixture);
	int fds[FD_MESSAGE_MAX];
	size_t fd_count = 0, total = 0;
	char last = '\0';

	fixture->text = long_answer();
	ask(fixture, client, "1\n", 2);
	ask(fixture, client, "2\n", 2);
	assert_int_equal(fixture->calls, 1);
	fixture->text = strdup("two");
	while (total < LONG_ANSWER + 4) {
		size_t got = drain(client, &last, fds, &fd_count);

		total += got;
		run_turns(fixture);
		assert_true(got > 0);
	}
	assert_int_equal(total, LONG_ANSWER + 4);
	assert_int_equal(fixture->calls, 2);
	assert_memory_equal(fixture->line, "2", 1);
	assert_true(loop_sleeps(fixture));
	fd_close(&client);
}

static void destroy_lets_go_of_waiting_answers(void **state)
{
	struct fixture *fixture = *state;
	int client = connect_client(fixture), other = connect_client(fixture);
	static char filler[1u << 16];
	char buffer[16];

	fixture->text = long_answer();
	ask(fixture, client, "1\n", 2);
	control_destroy(fixture->control);
	fixture->control = NULL;
	while (recv(client, filler, sizeof(filler), 0) > 0) {
	}
	assert_int_equal(recv(client, buffer, sizeof(buffer), 0), 0);
	assert_int_equal(recv(other, buffer, sizeof(buffer), 0), 0);
	fd_close(&client);
	fd_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			line_comes_whole_and_without_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_line_is_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(
			client_without_an_answer_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			descriptor_goes_once_with_an_answer_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(
			nothing_is_read_while_an_answer_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(
			destroy_lets_go_of_waiting_answers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
