/* SPDX-License-Identifier: MIT */
#include "support/daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

void daemon_spawn(
	struct daemon *daemon, const char *arguments, const struct fe_gpu_options *options)
{
	const char *program = getenv("VIRTIO_GPUD");
	char command[512];

	if (!program) {
		fail_msg("VIRTIO_GPUD does not name the daemon");
	}
	snprintf(command, sizeof(command), "%s --socket-path=%%s %s", program,
		arguments ? arguments : "");
	int error = fe_backend_start(&daemon->backend, command, -1, -1);
	if (error < 0) {
		fail_msg("%s: %s", command, strerror(-error));
	}
	assert_int_equal(fe_gpu_init(&daemon->gpu, options), 0);
}

int daemon_take_socket(struct daemon *daemon)
{
	int socket = daemon->backend.socket;

	daemon->backend.socket = -1;
	return socket;
}

void daemon_start(
	struct daemon *daemon, const char *arguments, const struct fe_gpu_options *options)
{
	daemon_spawn(daemon, arguments, options);
	int error = fe_gpu_start(&daemon->gpu, daemon_take_socket(daemon));
	if (error < 0) {
		fail_msg("start failed at %s: %s", daemon->gpu.failed_at, strerror(-error));
	}
}

static void assert_no_violation(const struct daemon *daemon)
{
	if (daemon->gpu.display.violations > 0) {
		fail_msg("the daemon broke a rule: %s", daemon->gpu.display.violation);
	}
}

void daemon_stop(struct daemon *daemon)
{
	int ended = fe_backend_has_ended(&daemon->backend, &(int){ 0 });

	fe_session_close(&daemon->gpu.session);
	int status = fe_backend_stop(&daemon->backend);
	assert_no_violation(daemon);
	fe_gpu_finish(&daemon->gpu);
	if (ended || status != 0) {
		fail_msg("the daemon %s with status 0x%x", ended ? "had ended" : "ended",
			(unsigned int)status);
	}
}

void daemon_reconnect(struct daemon *daemon, const struct fe_gpu_options *options)
{
	assert_no_violation(daemon);
	fe_gpu_finish(&daemon->gpu);
	assert_int_equal(fe_backend_reconnect(&daemon->backend, 5000), 0);
	assert_int_equal(fe_gpu_init(&daemon->gpu, options), 0);
}

void daemon_assert_alive(struct daemon *daemon)
{
	struct virtio_gpu_resp_display_info info;

	assert_int_equal(
		fe_gpu_get_display_info(&daemon->gpu, &info), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
}

uint32_t daemon_pattern(uint32_t x, uint32_t y)
{
	return (x * 2654435761u) ^ (y * 40503u << 8) ^ (x << 16 | y);
}

struct fe_span daemon_make_image(
	struct daemon *daemon, uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	struct fe_span span = fe_memory_alloc(
		&daemon->gpu.memory, (uint64_t)width * height * 4, 4096);
	uint32_t *pixels = span.host;

	assert_non_null(pixels);
	for (uint32_t i = 0; i < width * height; i++) {
		pixels[i] = daemon_pattern(i % width, i / width);
	}
	assert_int_equal(fe_gpu_create_2d(&daemon->gpu, id, format, width, height),
		VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(fe_gpu_attach_span(&daemon->gpu, id, &span), VIRTIO_GPU_RESP_OK_NODATA);
	return span;
}
