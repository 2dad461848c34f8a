/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/endpoint.h"
#include "daemon/options.h"

#define ARGUMENT_MAX 8

struct parsed {
	struct options options;
	char error[OPTIONS_ERROR_SIZE];
	int result;
};

/* Parses the words, which end with NULL. */
static struct parsed parse(const char *word, ...)
{
	struct parsed parsed = { 0 };
	char *argv[ARGUMENT_MAX] = { (char *)"virtio-gpud" };
	int argc = 1;
	va_list words;

	va_start(words, word);
	for (; word; word = va_arg(words, const char *)) {
		assert_in_range(argc, 1, ARGUMENT_MAX - 2);
		argv[argc++] = (char *)word;
	}
	va_end(words);
	parsed.result = options_parse(&parsed.options, argc, argv, parsed.error);
	return parsed;
}

/* The words are refused, and the message has each of the texts up to NULL. */
static void assert_refused(const struct parsed *parsed, int result, const char *text, ...)
{
	va_list texts;

	assert_int_equal(parsed->result, result);
	va_start(texts, text);
	for (; text; text = va_arg(texts, const char *)) {
		if (!strstr(parsed->error, text)) {
			fail_msg("'%s' is not in '%s'", text, parsed->error);
		}
	}
	va_end(texts);
}

static void defaults_are_those_of_the_help(void **state)
{
	struct parsed parsed = parse(NULL);
	const struct options *options = &parsed.options;

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_int_equal(options->action, OPTIONS_SERVE);
	assert_null(options->socket_path);
	assert_int_equal(options->fd, -1);
	assert_true(options->socket_group == ENDPOINT_ANY_GROUP);
	assert_false(options->once);
	assert_null(options->control_path);
	assert_null(options->name);
	assert_int_equal(options->log_level, LOG_INFO);
	assert_true(options->bridge.max_memory == 512u << 20);
	assert_true(
		parse("--capset=virgl", "--fd=3", NULL).options.bridge.max_memory == 2ull << 30);
	assert_int_equal(options->bridge.max_resources, 16384);
	assert_int_equal(options->bridge.max_request, 512 << 10);
	assert_int_equal(options->bridge.poll_us, 0);
	assert_int_equal(options->bridge.outputs, 1);
	assert_int_equal(options->bridge.width, 1280);
	assert_int_equal(options->bridge.height, 800);
}

static void default_request_holds_the_longest_scatter_list(void **state)
{
	struct parsed parsed = parse(NULL);

	(void)state;
	/* RESOURCE_CREATE_BLOB, 56 bytes, and 16384 entries of 16. */
	assert_true(parsed.options.bridge.max_request >= 56 + 16384 * 16);
}

static void values_are_stored(void **state)
{
	struct parsed parsed = parse("--socket-path=/a", "--control", "/b", "--name=n", "--once",
		"--log-level=debug", NULL);

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_string_equal(parsed.options.socket_path, "/a");
	assert_string_equal(parsed.options.control_path, "/b");
	assert_string_equal(parsed.options.name, "n");
	assert_true(parsed.options.once);
	assert_int_equal(parsed.options.log_level, LOG_DEBUG);
	parsed = parse("--fd=7", "--poll-us=50", "--max-memory=1G", "--max-resources=10",
		"--max-request=8k", NULL);
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.options.fd, 7);
	assert_int_equal(parsed.options.bridge.poll_us, 50);
	assert_true(parsed.options.bridge.max_memory == 1u << 30);
	assert_int_equal(parsed.options.bridge.max_resources, 10);
	assert_int_equal(parsed.options.bridge.max_request, 8192);
}

static void display_is_taken_apart(void **state)
{
	struct parsed parsed = parse("--display=headless,outputs=16,mode=1920x1080", NULL);

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.options.bridge.outputs, 16);
	assert_int_equal(parsed.options.bridge.width, 1920);
	assert_int_equal(parsed.options.bridge.height, 1080);
	parsed = parse("--display=headless", NULL);
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.options.bridge.outputs, 1);
}

static void wrong_displays_are_explained(void **state)
{
	struct parsed parsed;

	(void)state;
	parsed = parse("--display=gtk", NULL);
	assert_refused(
		&parsed, -EINVAL, "--display=gtk", "unknown display 'gtk'", "headless", NULL);
	parsed = parse("--display=", NULL);
	assert_refused(&parsed, -EINVAL, "unknown display", NULL);
	parsed = parse("--display=vmm", NULL);
	assert_refused(&parsed, -EINVAL, "whenever the VMM offers it", NULL);
	parsed = parse("--display=headless,outputs=17", NULL);
	assert_refused(&parsed, -EINVAL, "outputs=17", "from 1 to 16", NULL);
	parsed = parse("--display=headless,outputs=0", NULL);
	assert_refused(&parsed, -EINVAL, "outputs=0", "from 1 to 16", NULL);
	parsed = parse("--display=headless,mode=1280", NULL);
	assert_refused(&parsed, -EINVAL, "mode=1280", "WIDTHxHEIGHT", NULL);
	parsed = parse("--display=headless,mode=16385x1", NULL);
	assert_refused(&parsed, -EINVAL, "mode=16385x1", "16384", NULL);
	parsed = parse("--display=headless,colour=red", NULL);
	assert_refused(&parsed, -EINVAL, "unknown part 'colour'", "outputs=N", "mode=", NULL);
	parsed = parse("--display=headless,outputs", NULL);
	assert_refused(&parsed, -EINVAL, "unknown part 'outputs'", NULL);
}

static void wrong_values_are_explained(void **state)
{
	struct parsed parsed;

	(void)state;
	parsed = parse("--fd=x", NULL);
	assert_refused(&parsed, -EINVAL, "--fd=x", "number", NULL);
	parsed = parse("--fd=-1", NULL);
	assert_refused(&parsed, -EINVAL, "--fd=-1", NULL);
	parsed = parse("--max-memory=1X", NULL);
	assert_refused(&parsed, -EINVAL, "--max-memory=1X", "K, M or G", NULL);
	parsed = parse("--max-memory=1K", NULL);
	assert_refused(&parsed, -EINVAL, "from 1M", NULL);
	parsed = parse("--max-request=1G", NULL);
	assert_refused(&parsed, -EINVAL, "from 4K to 64M", NULL);
	parsed = parse("--max-resources=0", NULL);
	assert_refused(&parsed, -EINVAL, "from 1 to", NULL);
	parsed = parse("--poll-us=1000001", NULL);
	assert_refused(&parsed, -EINVAL, "from 0 to 1000000", NULL);
	parsed = parse("--log-level=loud", NULL);
	assert_refused(&parsed, -EINVAL, "--log-level=loud", "error, warn, info", NULL);
	parsed = parse("--name=", NULL);
	assert_refused(&parsed, -EINVAL, "--name=", "1 to 64", NULL);
	parsed = parse("--name=a\nb", NULL);
	assert_refused(&parsed, -EINVAL, "control character", NULL);
	parsed = parse("--socket-path=", NULL);
	assert_refused(&parsed, -EINVAL, "--socket-path=", "empty", NULL);
}

static void unknown_words_are_named(void **state)
{
	struct parsed parsed;

	(void)state;
	parsed = parse("--bogus=1", NULL);
	assert_refused(&parsed, -EINVAL, "unknown option '--bogus=1'", "--help", NULL);
	parsed = parse("-xy", NULL);
	assert_refused(&parsed, -EINVAL, "unknown option '-x'", NULL);
	parsed = parse("--once", "extra", NULL);
	assert_refused(&parsed, -EINVAL, "unexpected argument 'extra'", NULL);
	parsed = parse("--once=1", NULL);
	assert_refused(&parsed, -EINVAL, "--once takes no value", NULL);
	parsed = parse("--socket-path", NULL);
	assert_refused(&parsed, -EINVAL, "--socket-path", "needs a value", NULL);
}

static void groups_have_names_and_numbers(void **state)
{
	struct group *first = getgrent();
	char *word;
	struct parsed parsed;

	(void)state;
	parsed = parse("--socket-group=4294967294", NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(parsed.options.socket_group == 4294967294u);
	parsed = parse("--socket-group=0", NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(parsed.options.socket_group == 0);
	assert_non_null(first);
	assert_true(asprintf(&word, "--socket-group=%s", first->gr_name) > 0);
	endgrent();
	parsed = parse(word, NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(
		parsed.options.socket_group == getgrnam(word + strlen("--socket-group="))->gr_gid);
	free(word);
}

static void unknown_groups_are_named(void **state)
{
	/* The last number is no group: chown(2) takes it for "as it is". */
	const char *const words[] = { "--socket-group=no-such-group",
		"--socket-group=", "--socket-group=-1", "--socket-group=4294967295" };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct parsed parsed = parse("--socket-path=/a", words[i], NULL);

		assert_refused(&parsed, -EINVAL, words[i], "no such group", "getent group", NULL);
	}
}

static void contradictions_are_refused(void **state)
{
	struct parsed parsed;

	(void)state;
	parsed = parse("--socket-path=/a", "--fd=3", NULL);
	assert_refused(&parsed, -EINVAL, "--socket-path and --fd", NULL);
	parsed = parse("--socket-path=/a", "--control=/a", NULL);
	assert_refused(&parsed, -EINVAL, "--socket-path and --control", NULL);
	parsed = parse("--socket-group=0", "--fd=3", NULL);
	assert_refused(&parsed, -EINVAL, "--socket-group", "--fd", "leave it out", NULL);
	parsed = parse("--fd=3", "--fd=4", NULL);
	assert_refused(&parsed, -EINVAL, "--fd", "given twice", NULL);
}

static void impossible_features_are_refused_with_a_reason(void **state)
{
	struct parsed parsed;

	(void)state;
	parsed = parse("--virgl", NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(parsed.options.render.gl);
	parsed = parse("--capset=virgl,virgl2", "--render-node=/dev/dri/renderD128",
		"--allow-software", NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(parsed.options.render.gl && parsed.options.render.allow_software);
	assert_string_equal(parsed.options.render.render_node, "/dev/dri/renderD128");
	parsed = parse("--render-node=/dev/dri/renderD128", NULL);
	assert_refused(
		&parsed, -EINVAL, "--render-node=/dev/dri/renderD128", "--capset=virgl", NULL);
	assert_false(parsed.options.bridge.dmabuf);
	parsed = parse("--virgl", "--dmabuf", NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(parsed.options.bridge.dmabuf);
	parsed = parse("--dmabuf", NULL);
	assert_refused(&parsed, -EINVAL, "--dmabuf", "2D device", NULL);
	parsed = parse("--capset=virgl2,drm", NULL);
	assert_refused(&parsed, -ENOTSUP, "--capset=virgl2,drm", "'drm' cannot be offered", NULL);
	parsed = parse("--capset=virgl,", NULL);
	assert_refused(&parsed, -ENOTSUP, "--capset=virgl,", "'' cannot be offered", NULL);
	parsed = parse("--capset=none", NULL);
	assert_int_equal(parsed.result, 0);
	parsed = parse("--capset=", NULL);
	assert_int_equal(parsed.result, 0);
}

static void gpus_are_named(void **state)
{
	const char *const names[] = { "--gpu=0", "--gpu=01:00.0",
		"--gpu=GPU-12345678-9abc-def0-1234-56789abcdef0" };
	const char *const unused[] = { "--gpu=0", "--egl-library=/a", "--gl-library=/a" };
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		parsed = parse("--virgl", names[i], NULL);
		assert_int_equal(parsed.result, 0);
		assert_string_equal(parsed.options.render.gpu, names[i] + strlen("--gpu="));
	}
	parsed = parse("--virgl", "--gpu=H200", NULL);
	assert_refused(&parsed, -EINVAL, "--gpu=H200", "index", "PCI address", "--list-gpus", NULL);
	parsed = parse("--virgl", "--gpu=0", "--render-node=/a", NULL);
	assert_refused(&parsed, -EINVAL, "--render-node and --gpu", NULL);
	parsed = parse("--virgl", "--egl-library=", NULL);
	assert_refused(&parsed, -EINVAL, "--egl-library=", "empty", NULL);
	parsed = parse("--virgl", "--gl-library=", NULL);
	assert_refused(&parsed, -EINVAL, "--gl-library=", "empty", NULL);
	for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++) {
		parsed = parse(unused[i], NULL);
		assert_refused(&parsed, -EINVAL, unused[i], "--capset=virgl", NULL);
	}
}

static void vulkan_is_chosen(void **state)
{
	const char *const unused[] = { "--render-server=/a", "--vulkan-driver=/a" };
	const char *const sizes[] = { "--host-visible=3G", "--host-visible=512K",
		"--host-visible=2048G", "--host-visible=" };
	const char *const limits[] = { "--max-vulkan-memory=0", "--max-vulkan-memory=1K",
		"--max-vulkan-memory=2048G", "--max-vulkan-memory=", "--max-vulkan-memory=-1G" };
	struct parsed parsed;

	(void)state;
	parsed = parse("--venus", NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(parsed.options.render.vulkan && !parsed.options.render.gl);
	assert_true(parsed.options.bridge.host_visible == 4ull << 30);
	assert_true(parsed.options.bridge.max_memory == 4ull << 30);
	parsed = parse("--capset=virgl,venus", "--render-server=/a", "--vulkan-driver=/b",
		"--host-visible=8G", NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(parsed.options.render.vulkan && parsed.options.render.gl);
	assert_string_equal(parsed.options.render.render_server, "/a");
	assert_string_equal(parsed.options.render.vulkan_driver, "/b");
	assert_true(parsed.options.bridge.host_visible == 8ull << 30);
	assert_true(parsed.options.render.max_vulkan_memory == 0);
	parsed = parse("--venus", "--max-vulkan-memory=3G", NULL);
	assert_int_equal(parsed.result, 0);
	assert_true(parsed.options.render.max_vulkan_memory == 3ull << 30);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		parsed = parse("--venus", limits[i], NULL);
		assert_refused(&parsed, -EINVAL, limits[i], "from 1M to 1024G", NULL);
	}
	parsed = parse("--virgl", "--max-vulkan-memory=1G", NULL);
	assert_refused(&parsed, -EINVAL, "--max-vulkan-memory", "--capset=venus", NULL);
	/* Without Vulkan nothing would be mapped in a window. */
	parsed = parse("--virgl", NULL);
	assert_true(parsed.options.bridge.host_visible == 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		parsed = parse("--venus", sizes[i], NULL);
		assert_refused(&parsed, -EINVAL, sizes[i], "power of two", NULL);
	}
	for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++) {
		parsed = parse("--virgl", unused[i], NULL);
		assert_refused(&parsed, -EINVAL, unused[i], "--capset=venus", NULL);
	}
}

/* The list depends on the libraries, wherever they are named. */
static void lists_take_libraries(void **state)
{
	struct parsed parsed = parse("--egl-library=/a", "--list-gpus", "--gl-library=/b", NULL);

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.options.action, OPTIONS_LIST_GPUS);
	assert_string_equal(parsed.options.render.egl_library, "/a");
	assert_string_equal(parsed.options.render.gl_library, "/b");
	parsed = parse("--list-gpus", "--bogus", NULL);
	assert_refused(&parsed, -EINVAL, "--bogus", NULL);
}

static void capabilities_ignore_all_else(void **state)
{
	struct parsed parsed = parse(
		"--bogus", "--virgl", "extra", "--print-capabilities", "--fd=x", NULL);

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.options.action, OPTIONS_PRINT_CAPABILITIES);
}

static void help_and_version_end_the_parse(void **state)
{
	struct parsed parsed = parse("--help", "--bogus", NULL);

	(void)state;
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.options.action, OPTIONS_HELP);
	parsed = parse("--version", NULL);
	assert_int_equal(parsed.result, 0);
	assert_int_equal(parsed.options.action, OPTIONS_VERSION);
}

static void long_values_fit_the_message(void **state)
{
	char word[2000] = "--fd=";
	struct parsed parsed;

	(void)state;
	memset(word + 5, 'x', sizeof(word) - 6);
	parsed = parse(word, NULL);
	assert_refused(&parsed, -EINVAL, "--fd=xxx", "not a descriptor", NULL);
}

static void help_has_a_line_for_each_option(void **state)
{
	char *help = NULL;
	size_t size;
	FILE *file = open_memstream(&help, &size);
	const char *name;
	char text[64];

	(void)state;
	options_print_help(file);
	fclose(file);
	for (size_t i = 0; (name = options_name(i)); i++) {
		snprintf(text, sizeof(text), "\n  --%s", name);
		assert_non_null(strstr(help, text));
	}
	free(help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_help),
		cmocka_unit_test(default_request_holds_the_longest_scatter_list),
		cmocka_unit_test(values_are_stored),
		cmocka_unit_test(display_is_taken_apart),
		cmocka_unit_test(wrong_displays_are_explained),
		cmocka_unit_test(wrong_values_are_explained),
		cmocka_unit_test(unknown_words_are_named),
		cmocka_unit_test(groups_have_names_and_numbers),
		cmocka_unit_test(unknown_groups_are_named),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(impossible_features_are_refused_with_a_reason),
		cmocka_unit_test(gpus_are_named),
		cmocka_unit_test(vulkan_is_chosen),
		cmocka_unit_test(lists_take_libraries),
		cmocka_unit_test(capabilities_ignore_all_else),
		cmocka_unit_test(help_and_version_end_the_parse),
		cmocka_unit_test(long_values_fit_the_message),
		cmocka_unit_test(help_has_a_line_for_each_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
