/* SPDX-License-Identifier: MIT */
/* The socket's file at the moment of listen(); the rest is in tests/protocol/test_daemon_sockets.py. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/endpoint.h"

#define GROUP_MAX 64

/* A folder of its own, and what the file was when clients were let in. */
struct fixture {
	char folder[32];
	char path[64];
	struct endpoint endpoint;
	struct stat seen;
	int listen_error; // 0: listen() works
};

static struct fixture *current;

int __real_listen(int socket, int backlog);
int __wrap_listen(int socket, int backlog);

int __wrap_listen(int socket, int backlog)
{
	assert_int_equal(stat(current->path, &current->seen), 0);
	if (current->listen_error) {
		errno = current->listen_error;
		return -1;
	}
	return __real_listen(socket, backlog);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, "/tmp/test-endpoint-XXXXXX");
	if (!mkdtemp(fixture->folder)) {
		return -1;
	}
	snprintf(fixture->path, sizeof(fixture->path), "%s/socket", fixture->folder);
	fixture->endpoint = (struct endpoint)ENDPOINT_INIT;
	*state = current = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	int result;

	endpoint_finish(&fixture->endpoint);
	result = rmdir(fixture->folder); // fails when a file was left
	free(fixture);
	return result;
}

/* A group that this process may give files to and that they do not get of themselves. */
static gid_t choose_group(void)
{
	gid_t groups[GROUP_MAX];
	int count = getgroups(GROUP_MAX, groups);

	if (geteuid() == 0) {
		return getegid() + 1;
	}
	for (int i = 0; i < count; i++) {
		if (groups[i] != getegid()) {
			return groups[i];
		}
	}
	print_message("not root, and a member of one group only: no other to give a file to\n");
	skip();
	return 0;
}

static void assert_seen(const struct fixture *fixture, mode_t mode, gid_t group)
{
	assert_int_equal(fixture->seen.st_mode & 07777, mode);
	assert_true(fixture->seen.st_gid == group);
}

static void group_is_right_before_clients_come(void **state)
{
	struct fixture *fixture = *state;
	gid_t group = choose_group();
	mode_t old_mask = umask(0077);

	assert_int_equal(endpoint_listen(&fixture->endpoint, fixture->path, 0660, group), 0);
	assert_int_equal(umask(old_mask), 0077);
	assert_seen(fixture, 0660, group);
}

static void group_goes_before_the_folders(void **state)
{
	struct fixture *fixture = *state;
	gid_t group = choose_group();

	assert_int_equal(chown(fixture->folder, (uid_t)-1, group), 0);
	assert_int_equal(chmod(fixture->folder, 02700), 0);
	assert_int_equal(endpoint_listen(&fixture->endpoint, fixture->path, 0660, getegid()), 0);
	assert_seen(fixture, 0660, getegid());
}

static void umask_counts_without_a_group(void **state)
{
	struct fixture *fixture = *state;
	mode_t old_mask = umask(0022);

	assert_int_equal(
		endpoint_listen(&fixture->endpoint, fixture->path, 0660, ENDPOINT_ANY_GROUP), 0);
	assert_int_equal(umask(old_mask), 0022);
	assert_seen(fixture, 0640, getegid());
}

/* tear_down finds the folder empty. */
static void file_goes_when_listening_fails(void **state)
{
	struct fixture *fixture = *state;

	fixture->listen_error = EACCES;
	assert_int_equal(
		endpoint_listen(&fixture->endpoint, fixture->path, 0660, ENDPOINT_ANY_GROUP),
		-EACCES);
	assert_int_equal(fixture->endpoint.socket, -1);
	assert_int_not_equal(access(fixture->path, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			group_is_right_before_clients_come, set_up, tear_down),
		cmocka_unit_test_setup_teardown(group_goes_before_the_folders, set_up, tear_down),
		cmocka_unit_test_setup_teardown(umask_counts_without_a_group, set_up, tear_down),
		cmocka_unit_test_setup_teardown(file_goes_when_listening_fails, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
