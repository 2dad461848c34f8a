/* SPDX-License-Identifier: MIT */
/* Addresses that sd_notify(3) allows and forbids; the rest is in tests/protocol/test_daemon_sockets.py. */
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
#include "base/log.h"
#include "daemon/systemd.h"

#define PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* An abstract name of len bytes, '@' included; unique as long as this process lives. */
static void make_name(char *name, size_t len)
{
	int used = snprintf(name, len + 1, "@virtio-gpud-test-%d-", (int)getpid());

	memset(name + used, 'n', len - (size_t)used);
	name[len] = '\0';
}

/* As systemd does it: a datagram socket with this abstract name. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, len);
	address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		0);
	return fd;
}

static void assert_told(int fd, const char *expected)
{
	char buffer[64] = "";
	ssize_t len = recv(fd, buffer, sizeof(buffer) - 1, 0);

	assert_int_equal(len, strlen(expected));
	assert_string_equal(buffer, expected);
}

/* What lands on standard error while state is told to address, or to nobody (NULL). */
static void notify(const char *address, const char *state, char *log, size_t size)
{
	int saved = dup(STDERR_FILENO);
	int ends[2];
	ssize_t len;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	if (address) {
		setenv("NOTIFY_SOCKET", address, 1);
	}
	systemd_notify(state);
	unsetenv("NOTIFY_SOCKET");
	dup2(saved, STDERR_FILENO);
	fd_close(&saved);
	fd_close(&ends[1]);
	len = read(ends[0], log, size - 1);
	log[len > 0 ? len : 0] = '\0';
	fd_close(&ends[0]);
}

static void names_up_to_the_longest_are_told(void **state)
{
	const size_t lengths[] = { 40, PATH_SIZE - 1 };
	char name[PATH_SIZE + 1], log[256];

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		int fd;

		make_name(name, lengths[i]);
		fd = listen_at(name);
		notify(name, "READY=1", log, sizeof(log));
		assert_string_equal(log, "");
		assert_told(fd, "READY=1");
		fd_close(&fd);
	}
}

static void what_is_no_address_is_a_warning(void **state)
{
	char too_long[PATH_SIZE + 2];
	const char *const wrong[] = { "", "relative", "vsock:2:1", too_long };
	char log[512];

	(void)state;
	make_name(too_long, sizeof(too_long) - 1);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		notify(wrong[i], "READY=1", log, sizeof(log));
		assert_non_null(strstr(log, "is no address of a unix socket"));
	}
}

static void nobody_there_is_a_warning(void **state)
{
	char name[64], log[512];

	(void)state;
	make_name(name, sizeof(name) - 1);
	notify(name, "STOPPING=1", log, sizeof(log));
	assert_non_null(strstr(log, "cannot tell STOPPING=1"));
	assert_non_null(strstr(log, "Connection refused"));
}

/* A service manager that does not read must not stop the daemon. */
static void full_socket_does_not_block(void **state)
{
	char name[64], log[512];
	int fd, count = 0;

	(void)state;
	make_name(name, sizeof(name) - 1);
	fd = listen_at(name);
	do {
		notify(name, "READY=1", log, sizeof(log));
		assert_in_range(++count, 1, 100000);
	} while (!*log);
	assert_non_null(strstr(log, "cannot tell READY=1"));
	fd_close(&fd);
}

static void without_systemd_nothing_happens(void **state)
{
	char log[256];
	int fd = 77;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	notify(NULL, "READY=1", log, sizeof(log));
	assert_string_equal(log, "");
	unsetenv("LISTEN_FDS");
	assert_int_equal(systemd_take_socket(&fd), 0);
	assert_int_equal(fd, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_up_to_the_longest_are_told),
		cmocka_unit_test(what_is_no_address_is_a_warning),
		cmocka_unit_test(nobody_there_is_a_warning),
		cmocka_unit_test(full_socket_does_not_block),
		cmocka_unit_test(without_systemd_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
