/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_DAEMON_H
#define SUPPORT_DAEMON_H

/*
 * A daemon under test with a front end that is joined to it: what each protocol test begins with.
 * The daemon is the program that the environment's VIRTIO_GPUD names. All of it asserts by cmocka:
 * these functions return only when all went well.
 */

#include "frontend/backend.h"
#include "frontend/gpu.h"

struct daemon {
	struct fe_backend backend;
	struct fe_gpu gpu;
};

/* Options that a test most often wants. */
#define DAEMON_VMM \
	(struct fe_gpu_options) \
	{ \
		.dialect = FE_DIALECT_VMM \
	}
#define DAEMON_OWN \
	(struct fe_gpu_options) \
	{ \
		.dialect = FE_DIALECT_OWN \
	}

/*
 * Starts the daemon with --socket-path and these arguments (blanks part them; "" or NULL for none)
 * and connects. Nothing has been said yet: gpu is initialised with options, backend.socket connected.
 */
void daemon_spawn(
	struct daemon *daemon, const char *arguments, const struct fe_gpu_options *options);

/* As daemon_spawn, then fe_gpu_start: a running device. */
void daemon_start(
	struct daemon *daemon, const char *arguments, const struct fe_gpu_options *options);

/* Takes the connected socket out, for fe_session_init or fe_gpu_start. */
int daemon_take_socket(struct daemon *daemon);

/*
 * Hangs up, ends the daemon by SIGTERM and asserts that it ended with status 0 (so a sanitizer's
 * report or a crash in any test fails that test), and that the display saw no broken rule.
 */
void daemon_stop(struct daemon *daemon);

/* Hangs up and connects again with a fresh front end, not started. Tells whether the daemon lives. */
void daemon_reconnect(struct daemon *daemon, const struct fe_gpu_options *options);

/* Asserts that the daemon still answers a new command (GET_DISPLAY_INFO) on this connection. */
void daemon_assert_alive(struct daemon *daemon);

/*
 * Makes resource id of width x height with one backing span, filled with a pattern that differs in
 * every pixel, not transferred. format is VIRTIO_GPU_FORMAT_*. Returns the span.
 */
struct fe_span daemon_make_image(
	struct daemon *daemon, uint32_t id, uint32_t format, uint32_t width, uint32_t height);

/* The pattern's pixel as it lies in guest memory, with all 32 bits in use. */
uint32_t daemon_pattern(uint32_t x, uint32_t y);

#endif
