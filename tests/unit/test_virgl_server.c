/* SPDX-License-Identifier: MIT */
#include "render/virgl/server.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "render/virgl/guard.h"

/* The render server's start and end, with a script in its place that tells what it was given. */

static char folder[64];
static char script[96];
static char told[96];

struct test {
	struct loop *loop;
	struct virgl_server *server;
};

static void write_script(const char *text)
{
	FILE *file = fopen(script, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(script, 0700), 0);
}

static int setup(void **state)
{
	static struct test test;

	strcpy(folder, "/tmp/test-virgl-server-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(script, sizeof(script), "%s/server", folder);
	snprintf(told, sizeof(told), "%s/told", folder);
	test = (struct test){ .loop = loop_create() };
	assert_non_null(test.loop);
	*state = &test;
	return 0;
}

static int teardown(void **state)
{
	struct test *test = *state;

	virgl_server_destroy(test->server);
	loop_destroy(test->loop);
	unlink(script);
	unlink(told);
	rmdir(folder);
	return 0;
}

/* Runs until the program has ended. */
static void wait_for_end(struct test *test)
{
	while (virgl_server_is_running(test->server)) {
		loop_run_once(test->loop, true);
	}
}

/* Did the script tell a line that begins so? */
static bool has_told_of(const char *beginning)
{
	char text[4096];
	FILE *file = fopen(told, "r");
	bool found = false;

	assert_non_null(file);
	while (!found && fgets(text, sizeof(text), file)) {
		found = strncmp(text, beginning, strlen(beginning)) == 0;
	}
	fclose(file);
	return found;
}

/* Did the script tell this line? */
static bool has_told(const char *line)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s\n", line);
	return has_told_of(whole);
}

static void start(struct test *test, const struct virgl_server_config *config)
{
	int socket, type;
	socklen_t size = sizeof(type);

	test->server = virgl_server_create(test->loop, config);
	assert_non_null(test->server);
	assert_false(virgl_server_is_running(test->server));
	socket = virgl_server_start(test->server);
	assert_true(socket >= 0);
	assert_int_equal(getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size), 0);
	assert_int_equal(type, SOCK_SEQPACKET);
	close(socket);
}

/* What the log gets while the server says something and ends. */
static void catch_log(struct test *test, const char *says, char *text, size_t size)
{
	const struct virgl_server_config config = { .path = script };
	int file = memfd_create("stderr", 0);
	int kept = dup(STDERR_FILENO);
	ssize_t got;

	write_script(says);
	start(test, &config);
	dup2(file, STDERR_FILENO);
	wait_for_end(test);
	virgl_server_destroy(test->server);
	test->server = NULL;
	dup2(kept, STDERR_FILENO);
	close(kept);
	got = pread(file, text, size - 1, 0);
	assert_true(got >= 0);
	text[got] = '\0';
	close(file);
}

static size_t count(const char *text, const char *word)
{
	size_t found = 0;

	for (; (text = strstr(text, word)); text += strlen(word)) {
		found++;
	}
	return found;
}

static void what_it_says_is_in_our_log(void **state)
{
	char text[4096];

	catch_log(*state, "#!/bin/sh\nprintf 'one\\n\\ntwo \\033[2J\\nthe end' >&2\n", text,
		sizeof(text));
	assert_non_null(strstr(text, "render server: one\n"));
	assert_non_null(strstr(text, "render server: two ?[2J\n"));
	assert_non_null(strstr(text, "render server: the end\n"));
	assert_int_equal(count(text, "render server: "), 3);
}

static void it_cannot_fill_our_log(void **state)
{
	static char text[1 << 20];

	catch_log(*state,
		"#!/bin/sh\ni=0\nwhile [ $i -lt 2000 ]; do echo much; i=$((i + 1)); done >&2 2>/dev/null\n"
		"head -c 3000 /dev/zero >&2\n",
		text, sizeof(text));
	assert_true(count(text, "render server: much\n") > 0);
	assert_true(count(text, "render server: ") <= 100);
}

static void it_is_told_driver_and_layer(void **state)
{
	struct test *test = *state;
	char layer[] = "/the/layer";
	const struct virgl_server_config config = {
		.path = script,
		.driver = "/the/driver.json",
		.layer = layer,
		.overrule = true,
	};

	write_script("#!/bin/sh\ncd \"${0%/*}\" && { env; echo \"arguments: $1\"; "
		     "test -S /proc/self/fd/$2 && echo socket; } >told\n");
	setenv("VK_INSTANCE_LAYERS", "VK_LAYER_of_the_user", 1);
	setenv("VK_DRIVER_FILES", "/of/the/user.json", 1);
	start(test, &config);
	layer[0] = '?'; // was copied
	wait_for_end(test);
	assert_true(has_told("VK_DRIVER_FILES=/the/driver.json"));
	assert_false(has_told("VK_DRIVER_FILES=/of/the/user.json"));
	assert_true(has_told("VK_ICD_FILENAMES=/the/driver.json"));
	assert_true(has_told("VK_ADD_LAYER_PATH=/the/layer"));
	assert_true(has_told("VK_INSTANCE_LAYERS=VK_LAYER_of_the_user:"
			     "VK_LAYER_VIRTIO_GPUD_exportable_memory"));
	assert_true(has_told("VIRTIO_GPUD_MEMORY_LAYER=always"));
	assert_true(has_told("arguments: --socket-fd"));
	assert_true(has_told("socket"));
	unsetenv("VK_INSTANCE_LAYERS");
	unsetenv("VK_DRIVER_FILES");
}

/* The loader does not look at VK_ADD_LAYER_PATH then. */
static void the_layer_is_added_to_the_users_path(void **state)
{
	struct test *test = *state;
	const struct virgl_server_config config = { .path = script, .layer = "/the/layer" };

	write_script("#!/bin/sh\nenv >\"${0%/*}/told\"\n");
	setenv("VK_LAYER_PATH", "/of/the/user", 1);
	start(test, &config);
	wait_for_end(test);
	unsetenv("VK_LAYER_PATH");
	assert_true(has_told("VK_LAYER_PATH=/of/the/user:/the/layer"));
	assert_true(has_told("VK_INSTANCE_LAYERS=VK_LAYER_VIRTIO_GPUD_exportable_memory"));
}

static void it_is_told_nothing_that_is_not_asked_for(void **state)
{
	struct test *test = *state;
	const struct virgl_server_config config = { .path = script };

	write_script("#!/bin/sh\nenv >\"${0%/*}/told\"\n");
	setenv("VK_DRIVER_FILES", "/of/the/user.json", 1);
	start(test, &config);
	wait_for_end(test);
	assert_true(has_told("VK_DRIVER_FILES=/of/the/user.json"));
	assert_false(has_told("VIRTIO_GPUD_MEMORY_LAYER=always"));
	assert_false(has_told_of("VIRTIO_GPUD_MEMORY_QUOTA="));
	unsetenv("VK_DRIVER_FILES");
}

/* A file of counters that nobody can make smaller, and the same one when it is started again. */
static void it_is_told_a_limit(void **state)
{
	struct test *test = *state;
	const struct virgl_server_config config = { .path = script, .max_memory = 5 << 20 };
	int socket;

	write_script("#!/bin/sh\n"
		     "file=/proc/self/fd/${VIRTIO_GPUD_MEMORY_QUOTA%:*}\n"
		     "echo \"bytes: $(wc -c <$file)\" >>\"${0%/*}/told\"\n"
		     "echo \"limit: ${VIRTIO_GPUD_MEMORY_QUOTA#*:}\" >>\"${0%/*}/told\"\n"
		     "(: >$file) 2>/dev/null || echo sealed >>\"${0%/*}/told\"\n"
		     "echo \"begins with: $(head -c 4 $file | tr '\\0' 0)\" >>\"${0%/*}/told\"\n"
		     "printf used 1<>$file\n");
	start(test, &config);
	wait_for_end(test);
	assert_true(has_told("bytes: 4096"));
	assert_true(has_told("limit: 5242880"));
	assert_true(has_told("sealed"));
	assert_true(has_told("begins with: 0000"));
	socket = virgl_server_start(test->server);
	assert_true(socket >= 0);
	close(socket);
	wait_for_end(test);
	assert_true(has_told("begins with: used"));
}

static void it_can_be_started_again(void **state)
{
	struct test *test = *state;
	const struct virgl_server_config config = { .path = script };
	int socket;

	write_script("#!/bin/sh\nexit 3\n");
	start(test, &config);
	wait_for_end(test);
	assert_int_equal(virgl_server_process(test->server), -1);
	write_script("#!/bin/sh\nexec sleep 100\n");
	socket = virgl_server_start(test->server);
	assert_true(socket >= 0);
	assert_true(virgl_server_is_running(test->server));
	assert_true(virgl_server_process(test->server) >= 0);
	close(socket);
	/* Destroyed, it ends it, and waits for that: the test would take 100 s. */
}

static void one_that_is_about_to_end_is_waited_for(void **state)
{
	struct test *test = *state;
	const struct virgl_server_config config = { .path = script };

	write_script("#!/bin/sh\nexec sleep 0.1\n");
	start(test, &config);
	/* On a busy machine it may take longer to begin than one waits for its end. */
	for (int i = 0; i < 20 && virgl_server_is_running(test->server); i++) {
		virgl_server_wait(test->server);
	}
	assert_false(virgl_server_is_running(test->server));
}

static void its_children_are_known(void **state)
{
	struct test *test = *state;
	const struct virgl_server_config config = { .path = script };
	pid_t first;

	write_script("#!/bin/sh\nsleep 100 & : >\"${0%/*}/told\"; wait\n");
	test->server = virgl_server_create(test->loop, &config);
	int socket = virgl_server_start(test->server);

	assert_true(socket >= 0);
	while (access(told, F_OK) < 0) {
		usleep(1000);
	}
	first = virgl_server_last_child(test->server);
	assert_true(first > 0);
	assert_int_equal(kill(first, 0), 0);
	assert_int_equal(kill(first, SIGKILL), 0);
	close(socket);
}

static void what_is_not_there_is_not_started(void **state)
{
	struct test *test = *state;
	const struct virgl_server_config config = { .path = "/nowhere/server" };

	assert_null(virgl_server_find(&config));
	test->server = virgl_server_create(test->loop, &config);
	assert_int_equal(virgl_server_start(test->server), -ENOENT);
	assert_false(virgl_server_is_running(test->server));
}

static void an_answer_in_time_is_not_ended(void **state)
{
	(void)state;
	assert_int_equal(virgl_guard_open(), 0);
	for (int i = 0; i < 100; i++) {
		virgl_guard_enter(STDIN_FILENO); // no pidfd: would not be ended in any case
		assert_false(virgl_guard_leave());
	}
	virgl_guard_enter(-1);
	assert_false(virgl_guard_leave());
	virgl_guard_close();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_told_driver_and_layer),
		TEST(the_layer_is_added_to_the_users_path),
		TEST(it_is_told_nothing_that_is_not_asked_for),
		TEST(it_is_told_a_limit),
		TEST(what_it_says_is_in_our_log),
		TEST(it_cannot_fill_our_log),
		TEST(it_can_be_started_again),
		TEST(one_that_is_about_to_end_is_waited_for),
		TEST(its_children_are_known),
		TEST(what_is_not_there_is_not_started),
		cmocka_unit_test(an_answer_in_time_is_not_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
