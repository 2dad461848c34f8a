/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <drm_fourcc.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_gpu.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "display/vmm/protocol.h"
#include "display/vmm/vmm.h"
#include "support/slow_frame.h"

/* The other end of the vhost-user-gpu socket, by hand. */

#define TOKENS_MAX 8192

struct peer {
	struct loop *loop;
	struct vmm_config config;
	struct display *display;
	int socket;
	int display_socket; // the display's own end: only to make its buffer small
	uint8_t *bytes; // received and not yet looked at
	size_t size;
	size_t capacity;
	int fds[FD_MESSAGE_MAX]; // received and not yet looked at
	size_t fd_count;
	size_t fd_at; // of the bytes, where the last one came

	uint64_t done[TOKENS_MAX];
	size_t done_count;
	uint32_t infos; // answers, NULL ones too
	uint32_t no_infos;
	uint64_t info_token;
	struct display_info info;
	uint32_t edids;
	uint32_t no_edids;
	uint64_t edid_token;
	struct display_edid edid;
	uint32_t lost;
	bool destroy_when_lost;
};

static void note_modes(void *data)
{
	(void)data;
	fail_msg("the VMM's display has no modes of its own");
}

static void note_info(void *data, uint64_t token, const struct display_info *info)
{
	struct peer *peer = data;

	peer->infos++;
	peer->info_token = token;
	if (info) {
		peer->info = *info;
	} else {
		peer->no_infos++;
	}
}

static void note_edid(void *data, uint64_t token, const struct display_edid *edid)
{
	struct peer *peer = data;

	peer->edids++;
	peer->edid_token = token;
	if (edid) {
		peer->edid = *edid;
	} else {
		peer->no_edids++;
	}
}

static void note_done(void *data, uint64_t token)
{
	struct peer *peer = data;

	assert_true(peer->done_count < TOKENS_MAX);
	peer->done[peer->done_count++] = token;
}

static void note_lost(void *data)
{
	struct peer *peer = data;

	peer->lost++;
	if (peer->destroy_when_lost) {
		display_destroy(peer->display);
		peer->display = NULL;
	}
}

static const struct display_listener_ops listener = {
	.modes_changed = note_modes,
	.info_ready = note_info,
	.edid_ready = note_edid,
	.frame_done = note_done,
	.lost = note_lost,
};

/* Twice: what came in the first is written at the end of the second. */
static void turn(struct peer *peer)
{
	loop_run_once(peer->loop, false);
	loop_run_once(peer->loop, false);
}

/*
 * Time as the display sees it stands still but for wait_ms: on a busy machine this process may be kept
 * from reading for so long that the display would take its viewer for one that stopped.
 */
static uint64_t display_ns = 1;

uint64_t __real_loop_now_ns(void); // NOLINT: the linker's names
uint64_t __wrap_loop_now_ns(void); // NOLINT

uint64_t __wrap_loop_now_ns(void) // NOLINT
{
	return display_ns;
}

static void wait_ms(struct peer *peer, uint32_t milliseconds)
{
	const uint64_t end = display_ns + milliseconds * UINT64_C(1000000);
	const uint64_t offset = __real_loop_now_ns() - display_ns;

	while (display_ns < end) {
		turn(peer);
		usleep(1000);
		display_ns = __real_loop_now_ns() - offset;
	}
	turn(peer); // what became due while this process was kept from running
}

/* Reads at most max bytes of what is there. */
static size_t read_some(struct peer *peer, size_t max)
{
	size_t fds = peer->fd_count;
	bool too_many = false;
	ssize_t count;

	if (peer->capacity - peer->size < max) {
		peer->capacity = 2 * (peer->size + max);
		peer->bytes = realloc(peer->bytes, peer->capacity);
		assert_non_null(peer->bytes);
	}
	count = fd_receive(
		peer->socket, peer->bytes + peer->size, max, peer->fds, &peer->fd_count, &too_many);
	assert_false(too_many);
	if (count <= 0) {
		return 0;
	}
	if (peer->fd_count > fds) {
		assert_int_equal(peer->fd_count, fds + 1); // one message, one descriptor
		peer->fd_at = peer->size;
	}
	peer->size += (size_t)count;
	return (size_t)count;
}

/* Turns the loop and reads until nothing more comes. */
static void read_all(struct peer *peer)
{
	size_t before;

	do {
		before = peer->size;
		turn(peer);
		while (read_some(peer, 1 << 16) > 0) {
		}
	} while (peer->size != before);
}

static void drop(struct peer *peer, size_t size)
{
	assert_true(size <= peer->size);
	memmove(peer->bytes, peer->bytes + size, peer->size - size);
	peer->size -= size;
	peer->fd_at -= size; // it may wrap: what lies before is not asked for
}

/* The next bytes are exactly these. */
static void expect_bytes(struct peer *peer, const void *bytes, size_t size)
{
	assert_true(peer->size >= size);
	assert_memory_equal(peer->bytes, bytes, size);
	drop(peer, size);
}

static void expect_header(struct peer *peer, uint32_t request, uint32_t size)
{
	const uint32_t header[3] = { request, 0, size };

	expect_bytes(peer, header, sizeof(header));
}

static void expect_words(struct peer *peer, uint32_t request, const uint32_t *words, uint32_t count)
{
	expect_header(peer, request, count * 4);
	expect_bytes(peer, words, count * 4);
}

#define EXPECT(peer, request, ...) \
	expect_words(peer, request, (const uint32_t[]){ __VA_ARGS__ }, \
		sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

static void expect_nothing(struct peer *peer)
{
	read_all(peer);
	assert_int_equal(peer->size, 0);
}

/* The header and rectangle of an UPDATE of w x h pixels that follow. */
static void expect_update(
	struct peer *peer, uint32_t output, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
	const uint32_t rect[5] = { output, x, y, w, h };

	expect_header(peer, VMM_UPDATE, 20 + w * h * 4);
	expect_bytes(peer, rect, sizeof(rect));
}

static void reply(struct peer *peer, uint32_t request, const void *payload, uint32_t size)
{
	const struct vmm_header header = { request, VMM_FLAG_REPLY, size };
	uint8_t bytes[2048];

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), payload, size);
	assert_int_equal(
		send(peer->socket, bytes, sizeof(header) + size, 0), sizeof(header) + size);
}

static void reply_features(struct peer *peer, uint64_t features)
{
	reply(peer, VMM_GET_PROTOCOL_FEATURES, &features, sizeof(features));
}

static struct virtio_gpu_resp_display_info info_of(uint32_t width)
{
	struct virtio_gpu_resp_display_info info = {
		.hdr.type = htole32(VIRTIO_GPU_RESP_OK_DISPLAY_INFO),
	};

	info.pmodes[0].enabled = htole32(1);
	info.pmodes[0].r.width = htole32(width);
	info.pmodes[0].r.height = htole32(600);
	info.pmodes[15].r.x = htole32(7);
	return info;
}

static void reply_info(struct peer *peer, uint32_t width)
{
	const struct virtio_gpu_resp_display_info info = info_of(width);

	reply(peer, VMM_GET_DISPLAY_INFO, &info, sizeof(info));
}

static struct virtio_gpu_resp_edid edid_of(uint8_t first)
{
	struct virtio_gpu_resp_edid edid = {
		.hdr.type = htole32(VIRTIO_GPU_RESP_OK_EDID),
		.size = htole32(256),
	};

	memset(edid.edid, first, 256);
	return edid;
}

static void reply_edid(struct peer *peer, uint8_t first)
{
	const struct virtio_gpu_resp_edid edid = edid_of(first);

	reply(peer, VMM_GET_EDID, &edid, sizeof(edid));
}

static void start_on(struct peer *peer, int type)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
	peer->socket = ends[0];
	assert_int_equal(fd_set_nonblocking(peer->socket), 0);
	peer->display_socket = ends[1];
	peer->display = vmm_display_create(peer->loop, ends[1], &peer->config);
	assert_non_null(peer->display);
	display_set_listener(peer->display, &listener, peer);
	peer->size = 0;
}

static void shake_hands(struct peer *peer)
{
	read_all(peer);
	expect_header(peer, VMM_GET_PROTOCOL_FEATURES, 0);
	reply_features(peer, 3);
	read_all(peer);
	EXPECT(peer, VMM_SET_PROTOCOL_FEATURES, peer->config.dmabuf ? 3 : 1, 0);
	expect_nothing(peer);
}

static void start(struct peer *peer)
{
	start_on(peer, SOCK_STREAM);
	shake_hands(peer);
}

static void finish(struct peer *peer)
{
	display_destroy(peer->display);
	peer->display = NULL;
	turn(peer);
	close(peer->socket);
}

static int setup(void **state)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	log_init("test", NULL, LOG_ERROR);
	peer->loop = loop_create();
	*state = peer;
	return peer->loop ? 0 : -1;
}

static int teardown(void **state)
{
	struct peer *peer = *state;

	display_destroy(peer->display); // after a failure
	loop_destroy(peer->loop);
	free(peer->bytes);
	free(peer);
	return 0;
}

/* Frames. */

static uint8_t value_at(uint32_t x, uint32_t y, uint32_t channel, uint32_t seed)
{
	return (uint8_t)((x * 7 + y * 31 + channel * 83 + seed * 59) ^ (x >> 8) ^ (y >> 8) * 3);
}

/* Which byte of a pixel in memory holds blue, green, red; by the names in drm_fourcc.h. */
static const struct {
	uint32_t format;
	uint8_t blue, green, red;
} layouts[] = {
	{ DRM_FORMAT_XRGB8888, 0, 1, 2 },
	{ DRM_FORMAT_ARGB8888, 0, 1, 2 },
	{ DRM_FORMAT_BGRX8888, 3, 2, 1 },
	{ DRM_FORMAT_BGRA8888, 3, 2, 1 },
	{ DRM_FORMAT_XBGR8888, 2, 1, 0 },
	{ DRM_FORMAT_ABGR8888, 2, 1, 0 },
	{ DRM_FORMAT_RGBX8888, 1, 2, 3 },
	{ DRM_FORMAT_RGBA8888, 1, 2, 3 },
};

#define FORMATS (sizeof(layouts) / sizeof(layouts[0]))

struct picture {
	struct frame *frame;
	uint8_t *pixels;
	uint32_t seed;
};

static void paint(struct picture *picture, uint32_t seed)
{
	size_t layout = 0;

	while (layouts[layout].format != picture->frame->format) {
		layout++;
	}
	picture->seed = seed;
	for (uint32_t y = 0; y < picture->frame->height; y++) {
		for (uint32_t x = 0; x < picture->frame->width; x++) {
			uint8_t *at = picture->pixels + ((size_t)y * picture->frame->width + x) * 4;

			memset(at, 0xa5, 4);
			at[layouts[layout].blue] = value_at(x, y, 0, seed);
			at[layouts[layout].green] = value_at(x, y, 1, seed);
			at[layouts[layout].red] = value_at(x, y, 2, seed);
		}
	}
}

static struct picture make_picture(uint32_t width, uint32_t height, uint32_t format, uint32_t seed)
{
	struct picture picture = { 0 };
	size_t stride;

	picture.frame = frame_create_private(width, height, format, &picture.pixels, &stride);
	assert_non_null(picture.frame);
	assert_int_equal(stride, (size_t)width * 4);
	paint(&picture, seed);
	return picture;
}

/* The next bytes are the pixels of the picture from x, y on, as x8r8g8b8 (blue first, x ignored). */
static void expect_pixels(
	struct peer *peer, uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint32_t seed)
{
	const uint8_t *at = peer->bytes;

	assert_true(peer->size >= (size_t)w * h * 4);
	for (uint32_t row = y; row < y + h; row++) {
		for (uint32_t column = x; column < x + w; column++, at += 4) {
			if (at[0] != value_at(column, row, 0, seed) ||
				at[1] != value_at(column, row, 1, seed) ||
				at[2] != value_at(column, row, 2, seed)) {
				fail_msg("pixel %u, %u is wrong", column, row);
			}
		}
	}
	drop(peer, (size_t)w * h * 4);
}

static struct rect whole(const struct frame *frame)
{
	return (struct rect){ 0, 0, frame->width, frame->height };
}

static void show(struct peer *peer, uint32_t output, struct frame *frame)
{
	const struct rect part = whole(frame);

	display_set_frame(peer->display, output, frame, &part);
}

static int flush(struct peer *peer, uint32_t output, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
	uint64_t token)
{
	const struct rect rect = { x, y, w, h };

	return display_flush(peer->display, output, &rect, token);
}

static int flush_all(struct peer *peer, uint32_t output, const struct frame *frame, uint64_t token)
{
	return flush(peer, output, 0, 0, frame->width, frame->height, token);
}

/* The socket takes little from now on: as with a viewer that is slow. */
static void make_small(struct peer *peer)
{
	const int size = 4608;

	assert_int_equal(
		setsockopt(peer->display_socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

static bool is_done(const struct peer *peer, uint64_t token)
{
	for (size_t i = 0; i < peer->done_count; i++) {
		if (peer->done[i] == token) {
			return true;
		}
	}
	return false;
}

/* Tests. */

static void features_are_negotiated(void **state)
{
	struct peer *peer = *state;

	start(peer);
	assert_string_equal(display_name(peer->display), "vmm");
	assert_false(display_owns_outputs(peer->display));
	assert_int_equal(display_resize(peer->display, 0, 640, 480), -ENOTSUP);
	finish(peer);
}

static void update_is_exact(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(40, 30, DRM_FORMAT_XRGB8888, 1);
	const struct rect part = { 5, 6, 20, 10 };

	start(peer);
	display_set_frame(peer->display, 3, picture.frame, &part);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 3, 20, 10);
	expect_nothing(peer);
	assert_int_equal(flush(peer, 3, 2, 3, 7, 4, 1), 0);
	read_all(peer);
	expect_update(peer, 3, 2, 3, 7, 4);
	expect_pixels(peer, 7, 9, 7, 4, 1);
	display_set_frame(peer->display, 3, NULL, NULL);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 3, 0, 0);
	expect_nothing(peer);
	assert_int_equal(peer->done_count, 0);
	assert_int_equal(vmm_display_stats(peer->display).updates, 1);
	assert_int_equal(vmm_display_stats(peer->display).update_bytes, 7 * 4 * 4);
	finish(peer);
	assert_int_equal(picture.frame->refs, 1);
	frame_unref(picture.frame);
}

/* What is copied, what is converted in stripes, and a row that is longer than a stripe. */
static void formats_are_exact(void **state)
{
	static const struct {
		uint32_t width, height;
	} sizes[] = { { 16, 16 }, { 128, 128 }, { 130, 127 }, { 301, 299 }, { 70001, 3 } };
	struct peer *peer = *state;

	for (size_t i = 0; i < FORMATS; i++) {
		for (size_t s = 0; s < 5; s++) {
			uint32_t w = sizes[s].width, h = sizes[s].height;
			struct picture picture = make_picture(
				w + 3, h + 2, layouts[i].format, (uint32_t)i);

			start(peer);
			const struct rect part = { 1, 1, w + 2, h + 1 };

			display_set_frame(peer->display, 0, picture.frame, &part);
			int result = flush(peer, 0, 1, 0, w, h, 9);

			assert_int_equal(result, w * h * 4 > 65536 ? DISPLAY_PENDING : 0);
			read_all(peer);
			EXPECT(peer, VMM_SCANOUT, 0, w + 2, h + 1);
			expect_update(peer, 0, 1, 0, w, h);
			expect_pixels(peer, 2, 1, w, h, (uint32_t)i);
			expect_nothing(peer);
			assert_int_equal(peer->done_count, result);
			peer->done_count = 0;
			finish(peer);
			frame_unref(picture.frame);
		}
	}
}

/* A small update is a snapshot: what is drawn after the flush does not show. */
static void small_update_is_a_snapshot(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(64, 64, DRM_FORMAT_XRGB8888, 1);

	start(peer);
	show(peer, 0, picture.frame);
	assert_int_equal(flush_all(peer, 0, picture.frame, 1), 0);
	paint(&picture, 2);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 64, 64);
	expect_update(peer, 0, 0, 0, 64, 64);
	expect_pixels(peer, 0, 0, 64, 64, 1);
	finish(peer);
	frame_unref(picture.frame);
}

static void order_is_kept(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);

	start(peer);
	show(peer, 0, picture.frame);
	assert_int_equal(flush(peer, 0, 0, 0, 8, 8, 1), 0);
	assert_int_equal(flush_all(peer, 0, picture.frame, 2), DISPLAY_PENDING);
	assert_int_equal(flush(peer, 0, 8, 8, 8, 8, 3), 0);
	assert_int_equal(flush(peer, 0, 1, 0, 299, 200, 4), DISPLAY_PENDING);
	assert_int_equal(flush(peer, 0, 16, 16, 8, 8, 5), 0);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 200);
	expect_update(peer, 0, 0, 0, 8, 8);
	expect_pixels(peer, 0, 0, 8, 8, 1);
	expect_update(peer, 0, 0, 0, 300, 200);
	expect_pixels(peer, 0, 0, 300, 200, 1);
	expect_update(peer, 0, 8, 8, 8, 8);
	expect_pixels(peer, 8, 8, 8, 8, 1);
	expect_update(peer, 0, 1, 0, 299, 200);
	expect_pixels(peer, 1, 0, 299, 200, 1);
	expect_update(peer, 0, 16, 16, 8, 8);
	expect_pixels(peer, 16, 16, 8, 8, 1);
	expect_nothing(peer);
	assert_int_equal(peer->done_count, 2);
	assert_int_equal(peer->done[0], 2);
	assert_int_equal(peer->done[1], 4);
	assert_int_equal(vmm_display_stats(peer->display).updates, 5);
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 0);
	finish(peer);
	frame_unref(picture.frame);
}

/* On a packet socket one sendmsg is one packet. */
static void a_turn_is_one_write(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(64, 64, DRM_FORMAT_XRGB8888, 1);
	const uint32_t size = 24 + 4 * 24 + 2 * (32 + 8 * 8 * 4) + 12 + 64 * 64 * 4 + 20;
	const struct display_cursor cursor = { picture.frame, 1, 2, 3, 4 };
	static uint8_t bytes[1 << 16];

	start_on(peer, SOCK_SEQPACKET);
	turn(peer);
	assert_int_equal(recv(peer->socket, bytes, sizeof(bytes), MSG_DONTWAIT), 12);
	show(peer, 0, picture.frame);
	display_set_cursor(peer->display, 0, &cursor);
	for (uint32_t i = 0; i < 4; i++) {
		display_move_cursor(peer->display, 0, i, i);
	}
	flush(peer, 0, 0, 0, 8, 8, 1);
	flush(peer, 0, 8, 0, 8, 8, 2);
	turn(peer);
	assert_int_equal(recv(peer->socket, bytes, sizeof(bytes), MSG_DONTWAIT), size);
	assert_int_equal(recv(peer->socket, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
	finish(peer);
	frame_unref(picture.frame);
}

/* A flush over 64 MiB goes as several UPDATEs, with one end. */
static int32_t reads; // begun and not ended

static int endless_begin_read(struct frame *frame, const struct rect *rect, struct frame_view *view)
{
	static uint8_t row[32768 * 4];

	reads++;
	(void)frame;
	(void)rect;
	*view = (struct frame_view){ row, 0 };
	return 0;
}

static void nothing(struct frame *frame)
{
	(void)frame;
}

static void endless_end_read(struct frame *frame)
{
	reads--;
	(void)frame;
}

static const struct frame_ops endless_ops = { endless_begin_read, endless_end_read,
	frame_start_at_once, frame_stop_at_once, frame_no_dmabuf, nothing };

static void huge_update_is_split(void **state)
{
	struct peer *peer = *state;
	struct frame frame;

	start(peer);
	frame_init(&frame, &endless_ops, 32768, 513, DRM_FORMAT_XRGB8888);
	show(peer, 0, &frame);
	assert_int_equal(flush_all(peer, 0, &frame, 7), DISPLAY_PENDING);
	for (int i = 0; i < 100000 && peer->done_count == 0; i++) {
		read_all(peer);
	}
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 32768, 513);
	expect_update(peer, 0, 0, 0, 32768, 256);
	drop(peer, 32768 * 256 * 4);
	expect_update(peer, 0, 0, 256, 32768, 257);
	drop(peer, 32768 * 257 * 4);
	expect_nothing(peer);
	assert_int_equal(peer->done_count, 1);
	assert_int_equal(reads, 0);

	/* One that is cut off is not read either. */
	assert_int_equal(flush_all(peer, 0, &frame, 8), DISPLAY_PENDING);
	turn(peer);
	assert_int_equal(reads, 1);
	finish(peer);
	assert_int_equal(reads, 0);
	free(peer->bytes);
	peer->bytes = NULL;
	peer->capacity = 0;
}

static void cursor_is_exact(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(64, 64, DRM_FORMAT_RGBA8888, 1);
	const struct display_cursor cursor = { picture.frame, 100, 200, 3, 4 };
	const struct display_cursor hidden = { NULL, 10, 20, 0, 0 };
	const uint32_t start_words[5] = { 2, 100, 200, 3, 4 };

	start(peer);
	display_move_cursor(peer->display, 2, 1, 1); // hidden: stays so
	expect_nothing(peer);
	display_set_cursor(peer->display, 2, &cursor);
	read_all(peer);
	expect_header(peer, VMM_CURSOR_UPDATE, 20 + 64 * 64 * 4);
	expect_bytes(peer, start_words, sizeof(start_words));
	assert_int_equal(peer->bytes[3], 0xa5); // alpha goes with it
	expect_pixels(peer, 0, 0, 64, 64, 1);
	display_move_cursor(peer->display, 2, 300, 400);
	display_move_cursor(peer->display, 2, 301, 401);
	read_all(peer);
	EXPECT(peer, VMM_CURSOR_POS, 2, 300, 400);
	EXPECT(peer, VMM_CURSOR_POS, 2, 301, 401);
	display_set_cursor(peer->display, 2, &hidden);
	display_move_cursor(peer->display, 2, 5, 5);
	read_all(peer);
	EXPECT(peer, VMM_CURSOR_POS_HIDE, 2, 10, 20);
	expect_nothing(peer);
	finish(peer);
	assert_int_equal(picture.frame->refs, 1);
	frame_unref(picture.frame);
}

/* A page flip to a frame of the same size needs no SCANOUT. */
static void same_size_needs_no_scanout(void **state)
{
	struct peer *peer = *state;
	struct picture a = make_picture(64, 64, DRM_FORMAT_XRGB8888, 1);
	struct picture b = make_picture(64, 64, DRM_FORMAT_XRGB8888, 2);
	struct picture c = make_picture(64, 32, DRM_FORMAT_XRGB8888, 3);

	start(peer);
	show(peer, 0, a.frame);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 64, 64);
	show(peer, 0, b.frame);
	flush(peer, 0, 1, 1, 2, 2, 1);
	read_all(peer);
	expect_update(peer, 0, 1, 1, 2, 2);
	expect_pixels(peer, 1, 1, 2, 2, 2);
	show(peer, 0, c.frame);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 64, 32);
	expect_nothing(peer);
	assert_int_equal(a.frame->refs, 1);
	finish(peer);
	frame_unref(a.frame);
	frame_unref(b.frame);
	frame_unref(c.frame);
}

/* Each display starts with nothing: what the device shows is said again. */
static void a_new_display_is_told_all(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(8, 8, DRM_FORMAT_XRGB8888, 1);

	for (int i = 0; i < 200; i++) {
		start(peer);
		show(peer, 0, picture.frame);
		flush_all(peer, 0, picture.frame, 1);
		read_all(peer);
		EXPECT(peer, VMM_SCANOUT, 0, 8, 8);
		expect_update(peer, 0, 0, 0, 8, 8);
		expect_pixels(peer, 0, 0, 8, 8, 1);
		finish(peer);
	}
	assert_int_equal(picture.frame->refs, 1);
	frame_unref(picture.frame);
}

/* A slow viewer gets every byte of every update; nothing is merged. */
static void slow_viewer_gets_all(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(200, 100, DRM_FORMAT_XRGB8888, 1);
	struct picture other = make_picture(200, 100, DRM_FORMAT_BGRX8888, 2);
	const size_t each = 32 + 200 * 100 * 4;

	start(peer);
	make_small(peer);
	show(peer, 0, picture.frame);
	show(peer, 1, other.frame);
	assert_int_equal(flush_all(peer, 0, picture.frame, 1), DISPLAY_PENDING);
	assert_int_equal(flush_all(peer, 1, other.frame, 2), DISPLAY_PENDING);
	assert_int_equal(flush(peer, 0, 1, 0, 199, 99, 3), DISPLAY_PENDING);
	while (peer->size < 48 + 2 * each + 32 + 199 * 99 * 4) {
		for (int i = 0; i < 256; i++) {
			read_some(peer, 1); // byte by byte
		}
		turn(peer);
		if (peer->size < 48 + each - 65536) {
			assert_int_equal(
				peer->done_count, 0); // more than a socket holds is missing
		}
	}
	turn(peer);
	assert_int_equal(peer->done_count, 3);
	EXPECT(peer, VMM_SCANOUT, 0, 200, 100);
	EXPECT(peer, VMM_SCANOUT, 1, 200, 100);
	expect_update(peer, 0, 0, 0, 200, 100);
	expect_pixels(peer, 0, 0, 200, 100, 1);
	expect_update(peer, 1, 0, 0, 200, 100);
	expect_pixels(peer, 0, 0, 200, 100, 2);
	expect_update(peer, 0, 1, 0, 199, 99);
	expect_pixels(peer, 1, 0, 199, 99, 1);
	expect_nothing(peer);
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 0);
	finish(peer);
	frame_unref(picture.frame);
	frame_unref(other.frame);
}

/* Copies that never run dry move to the front of their buffer again and again. */
static void backlog_keeps_its_bytes(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(200, 64, DRM_FORMAT_XRGB8888, 1);
	const uint32_t count = 200;
	uint32_t sent = 0;

	start(peer);
	make_small(peer);
	show(peer, 0, picture.frame);
	while (sent < count) {
		for (int i = 0; i < 2 && sent < count; i++, sent++) {
			assert_int_equal(flush(peer, 0, sent % 136, 0, 64, 32, 1), 0);
		}
		turn(peer);
		for (size_t got = 0; sent > 20 && got < 16000;) {
			got += read_some(peer, 4000);
			turn(peer);
		}
	}
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 200, 64);
	for (uint32_t i = 0; i < count; i++) {
		expect_update(peer, 0, i % 136, 0, 64, 32);
		expect_pixels(peer, i % 136, 0, 64, 32, 1);
	}
	expect_nothing(peer);
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 0);
	finish(peer);
	frame_unref(picture.frame);
}

/* The viewer stops: the guest waits 100 ms once, then never; it reads again: the newest picture. */
static void stopped_viewer_never_stops_the_guest(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);
	const size_t size = 32 + 300 * 200 * 4;

	start(peer);
	make_small(peer);
	show(peer, 0, picture.frame);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 200);
	assert_int_equal(flush_all(peer, 0, picture.frame, 1), DISPLAY_PENDING);
	assert_int_equal(flush(peer, 0, 0, 0, 299, 100, 2), DISPLAY_PENDING);
	wait_ms(peer, 50);
	assert_int_equal(peer->done_count, 0);
	wait_ms(peer, 200);
	assert_int_equal(peer->done_count, 2);
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 1);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(flush(peer, 0, 10 + i, 110, 1, 5, 3), 0);
	}
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 101);
	paint(&picture, 2);
	read_all(peer);
	expect_update(peer, 0, 0, 0, 300, 200); // begun before: finished, whatever its pixels are
	drop(peer, size - 32);
	expect_update(peer, 0, 0, 0, 299, 115);
	expect_pixels(peer, 0, 0, 299, 115, 2);
	expect_nothing(peer);
	assert_int_equal(peer->done_count, 2);

	/* And all is as before. */
	assert_int_equal(flush_all(peer, 0, picture.frame, 4), DISPLAY_PENDING);
	read_all(peer);
	expect_update(peer, 0, 0, 0, 300, 200);
	expect_pixels(peer, 0, 0, 300, 200, 2);
	assert_true(is_done(peer, 4));
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 101);
	assert_int_equal(vmm_display_stats(peer->display).updates, 3);
	finish(peer);
	frame_unref(picture.frame);
}

/* Shows the picture on an output and lets the display stall with it partly on the wire. */
static void stall(struct peer *peer, uint32_t output, struct picture *picture)
{
	make_small(peer);
	show(peer, output, picture->frame);
	assert_int_equal(flush_all(peer, output, picture->frame, 1), DISPLAY_PENDING);
	wait_ms(peer, 250);
	assert_int_equal(peer->done_count, 1);
}

/* While it stalls, sizes, outputs and cursors change: only the last ones are sent. */
static void stalled_display_sends_the_last_state(void **state)
{
	struct peer *peer = *state;
	struct picture a = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);
	struct picture b = make_picture(200, 100, DRM_FORMAT_RGBX8888, 2);
	struct picture c = make_picture(64, 64, DRM_FORMAT_ARGB8888, 3);
	const struct display_cursor cursor = { c.frame, 1, 2, 3, 4 };
	const struct display_cursor hidden = { NULL, 7, 8, 0, 0 };
	const uint32_t cursor_start[5] = { 1, 11, 12, 3, 4 };

	start(peer);
	stall(peer, 0, &a);
	show(peer, 1, a.frame);
	for (uint32_t i = 0; i < 100; i++) {
		show(peer, 0, b.frame);
		assert_int_equal(flush_all(peer, 0, b.frame, 2), 0);
		display_set_frame(peer->display, 1, NULL, NULL);
		show(peer, 1, c.frame);
		assert_int_equal(flush(peer, 1, 1, 1, 2, 2, 2), 0);
		display_set_cursor(peer->display, 0, &cursor);
		display_move_cursor(peer->display, 0, i, i);
		display_set_cursor(peer->display, 0, &hidden);
		display_set_cursor(peer->display, 1, &cursor);
		display_move_cursor(peer->display, 1, 11, 12);
	}
	assert_int_equal(a.frame->refs, 2); // the one on the wire
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 200);
	expect_update(peer, 0, 0, 0, 300, 200);
	expect_pixels(peer, 0, 0, 300, 200, 1);
	EXPECT(peer, VMM_SCANOUT, 0, 200, 100);
	expect_update(peer, 0, 0, 0, 200, 100);
	expect_pixels(peer, 0, 0, 200, 100, 2);
	EXPECT(peer, VMM_SCANOUT, 1, 64, 64);
	expect_update(peer, 1, 0, 0, 64, 64); // all of a size that the viewer did not know
	expect_pixels(peer, 0, 0, 64, 64, 3);
	EXPECT(peer, VMM_CURSOR_POS_HIDE, 0, 7, 8);
	expect_header(peer, VMM_CURSOR_UPDATE, 20 + 64 * 64 * 4);
	expect_bytes(peer, cursor_start, sizeof(cursor_start));
	expect_pixels(peer, 0, 0, 64, 64, 3);
	expect_nothing(peer);
	assert_int_equal(a.frame->refs, 1);
	finish(peer);
	frame_unref(a.frame);
	frame_unref(b.frame);
	frame_unref(c.frame);
}

/* An output that is switched off while the display stalls gets no UPDATE: QEMU would write to nothing. */
static void stalled_output_goes_off(void **state)
{
	struct peer *peer = *state;
	struct picture a = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);

	start(peer);
	stall(peer, 0, &a);
	assert_int_equal(flush(peer, 0, 0, 0, 5, 5, 2), 0);
	display_set_frame(peer->display, 0, NULL, NULL);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 200);
	expect_update(peer, 0, 0, 0, 300, 200);
	expect_pixels(peer, 0, 0, 300, 200, 1);
	EXPECT(peer, VMM_SCANOUT, 0, 0, 0);
	expect_nothing(peer);
	finish(peer);
	frame_unref(a.frame);
}

/* What is queued of the former frame is left out, but for the message on the wire. */
static void former_frames_flushes_are_left_out(void **state)
{
	struct peer *peer = *state;
	struct picture a = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);
	struct picture b = make_picture(299, 200, DRM_FORMAT_XRGB8888, 2);

	start(peer);
	make_small(peer);
	show(peer, 0, a.frame);
	flush_all(peer, 0, a.frame, 1);
	flush_all(peer, 0, a.frame, 2);
	flush_all(peer, 0, a.frame, 3);
	turn(peer);
	show(peer, 0, b.frame);
	assert_int_equal(peer->done_count, 0); // not from within
	turn(peer);
	assert_int_equal(peer->done_count, 2);
	assert_true(is_done(peer, 2) && is_done(peer, 3));
	assert_int_equal(a.frame->refs, 2);
	assert_int_equal(flush_all(peer, 0, b.frame, 4), DISPLAY_PENDING);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 200);
	expect_update(peer, 0, 0, 0, 300, 200);
	expect_pixels(peer, 0, 0, 300, 200, 1);
	EXPECT(peer, VMM_SCANOUT, 0, 299, 200);
	expect_update(peer, 0, 0, 0, 299, 200);
	expect_pixels(peer, 0, 0, 299, 200, 2);
	expect_nothing(peer);
	assert_int_equal(peer->done_count, 4);
	assert_int_equal(a.frame->refs, 1);
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 0);
	finish(peer);
	frame_unref(a.frame);
	frame_unref(b.frame);
}

/* With the same size no SCANOUT blanks the viewer's picture: what was left out is still owed. */
static void left_out_damage_is_owed(void **state)
{
	struct peer *peer = *state;
	struct picture a = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);
	struct picture b = make_picture(300, 200, DRM_FORMAT_XRGB8888, 2);

	start(peer);
	make_small(peer);
	show(peer, 0, a.frame);
	flush_all(peer, 0, a.frame, 1);
	flush(peer, 0, 0, 0, 200, 100, 2);
	turn(peer);
	show(peer, 0, b.frame);
	flush(peer, 0, 50, 50, 10, 100, 3);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 200);
	expect_update(peer, 0, 0, 0, 300, 200);
	expect_pixels(peer, 0, 0, 300, 200, 1);
	expect_update(peer, 0, 0, 0, 200, 150);
	expect_pixels(peer, 0, 0, 200, 150, 2);
	expect_nothing(peer);
	assert_int_equal(peer->done_count, 3);
	finish(peer);
	frame_unref(a.frame);
	frame_unref(b.frame);
}

/* Small things that the guest sends without end are bounded, and the last of them arrives. */
static void copies_are_bounded(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(64, 64, DRM_FORMAT_ARGB8888, 1);
	struct display_cursor cursor = { picture.frame, 0, 0, 0, 0 };
	uint32_t last[3];
	size_t tail;

	start(peer);
	make_small(peer);
	for (uint32_t i = 0; i < 20000; i++) {
		cursor.x = i;
		display_set_cursor(peer->display, 5, &cursor);
		display_move_cursor(peer->display, 5, i, 77);
	}
	read_all(peer);
	assert_true(peer->size < 656 << 10);
	/* The last message: the last shape, or its last place. */
	memcpy(last, peer->bytes + peer->size - 12, 12);
	tail = peer->size - 12 - 16404;
	if (last[2] == 77) {
		assert_int_equal(last[1], 19999);
	} else {
		memcpy(last, peer->bytes + tail + 12, 12);
		assert_int_equal(last[1], 19999);
		assert_int_equal(last[2], 77);
	}
	finish(peer);
	frame_unref(picture.frame);
}

/* Small updates for which there is no room wait as flushes do. */
static void small_updates_wait_for_room(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(64, 64, DRM_FORMAT_XRGB8888, 1);
	uint32_t pending = 0;

	start(peer);
	make_small(peer);
	show(peer, 0, picture.frame);
	for (uint32_t i = 0; i < 100; i++) {
		pending += flush_all(peer, 0, picture.frame, 1) == DISPLAY_PENDING;
	}
	assert_true(pending > 65 && pending < 75);
	read_all(peer);
	assert_int_equal(peer->done_count, pending);
	EXPECT(peer, VMM_SCANOUT, 0, 64, 64);
	for (uint32_t i = 0; i < 100; i++) {
		expect_update(peer, 0, 0, 0, 64, 64);
		expect_pixels(peer, 0, 0, 64, 64, 1);
	}
	expect_nothing(peer);
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 0);
	finish(peer);
	frame_unref(picture.frame);
}

/* How many whole messages lie there; they must be all that does. */
static uint32_t count_messages(const struct peer *peer)
{
	struct vmm_header header;
	uint32_t count = 0;
	size_t at = 0;

	while (at < peer->size) {
		assert_true(peer->size - at >= sizeof(header));
		memcpy(&header, peer->bytes + at, sizeof(header));
		at += sizeof(header) + header.size;
		count++;
	}
	assert_int_equal(at, peer->size);
	return count;
}

/* vhost-user, Suspended device state: nothing is sent; what was asked for goes afterwards. */
static void pause_keeps_all_back(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(64, 64, DRM_FORMAT_XRGB8888, 1);
	struct display_cursor cursor = { NULL, 3, 4, 0, 0 };

	start(peer);
	show(peer, 0, picture.frame);
	flush_all(peer, 0, picture.frame, 1);
	display_pause(peer->display, true);
	display_set_cursor(peer->display, 0, &cursor);
	expect_nothing(peer);
	display_pause(peer->display, false);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 64, 64);
	expect_update(peer, 0, 0, 0, 64, 64);
	expect_pixels(peer, 0, 0, 64, 64, 1);
	EXPECT(peer, VMM_CURSOR_POS_HIDE, 0, 3, 4);
	expect_nothing(peer);
	finish(peer);
	frame_unref(picture.frame);
}

/* A message of which a part is out is finished, or a VMM that waits for its end would hang. */
static void pause_ends_what_has_begun(void **state)
{
	static const uint32_t sizes[] = { 64, 300 }; // copied, and read when the socket takes it
	struct peer *peer = *state;

	for (size_t i = 0; i < 2; i++) {
		struct picture picture = make_picture(sizes[i], sizes[i], DRM_FORMAT_XRGB8888, 1);
		uint32_t before, all = 1 + 20; // SCANOUT, UPDATEs

		start(peer);
		make_small(peer);
		show(peer, 0, picture.frame);
		for (uint32_t n = 0; n < 20; n++) {
			flush_all(peer, 0, picture.frame, n);
		}
		turn(peer); // as much as the socket takes: it ends within a message
		display_pause(peer->display, true);
		read_all(peer);
		before = count_messages(peer);
		assert_true(before >= 2 && before < all);
		display_pause(peer->display, false);
		read_all(peer);
		assert_int_equal(count_messages(peer), all);
		finish(peer);
		frame_unref(picture.frame);
	}
}

/* More flushes than any queue holds: merged rather than kept. */
static void flushes_are_bounded(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);
	uint32_t pending = 0;

	start(peer);
	show(peer, 0, picture.frame);
	for (uint32_t i = 0; i < 5000; i++) {
		pending += flush_all(peer, 0, picture.frame, i) == DISPLAY_PENDING;
	}
	assert_int_equal(pending, 4096);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 200);
	expect_update(peer, 0, 0, 0, 300, 200);
	expect_pixels(peer, 0, 0, 300, 200, 1);
	expect_nothing(peer);
	assert_int_equal(peer->done_count, pending);
	assert_int_equal(vmm_display_stats(peer->display).coalesced, 5000);
	finish(peer);
	frame_unref(picture.frame);
}

/* A frame whose pixels cannot be read, from the nth time on. */
struct failing_frame {
	struct frame base;
	uint32_t good_reads;
	uint8_t *pixels;
};

static int failing_begin_read(struct frame *base, const struct rect *rect, struct frame_view *view)
{
	struct failing_frame *frame = container_of(base, struct failing_frame, base);

	if (frame->good_reads == 0) {
		return -EIO;
	}
	frame->good_reads--;
	view->stride = (size_t)base->width * 4;
	view->pixels = frame->pixels + rect->y * view->stride + (size_t)rect->x * 4;
	return 0;
}

static const struct frame_ops failing_ops = { failing_begin_read, nothing, frame_start_at_once,
	frame_stop_at_once, frame_no_dmabuf, nothing };

static void unreadable_pixels_break_nothing(void **state)
{
	struct peer *peer = *state;
	struct failing_frame frame = { .pixels = malloc(300 * 400 * 4) };

	memset(frame.pixels, 0xff, 300 * 400 * 4);
	start(peer);
	frame_init(&frame.base, &failing_ops, 300, 400, DRM_FORMAT_XRGB8888);
	show(peer, 0, &frame.base);
	assert_int_equal(flush(peer, 0, 0, 0, 10, 10, 1), 0);
	assert_int_equal(flush_all(peer, 0, &frame.base, 2), DISPLAY_PENDING);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 400);
	expect_nothing(peer);
	assert_true(is_done(peer, 2));
	display_set_frame(peer->display, 0, NULL, NULL);

	/* Where they would be converted, too. */
	frame_init(&frame.base, &failing_ops, 300, 400, DRM_FORMAT_BGRX8888);
	show(peer, 0, &frame.base);
	assert_int_equal(flush_all(peer, 0, &frame.base, 3), DISPLAY_PENDING);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 0, 0);
	EXPECT(peer, VMM_SCANOUT, 0, 300, 400);
	expect_nothing(peer);
	assert_true(is_done(peer, 3));
	finish(peer);
	free(frame.pixels);
}

/* Frames that take time. */

static struct slow_frame *make_slow(uint32_t width, uint32_t height, uint32_t format, uint32_t seed)
{
	struct slow_frame *slow = slow_frame_create(width, height, format);
	struct picture picture = { .frame = &slow->base, .pixels = slow->pixels };

	paint(&picture, seed);
	return slow;
}

/* Large and small: neither waits for the pixels, nor does what comes after them. */
static void slow_pixels_hold_nothing_up(void **state)
{
	struct peer *peer = *state;
	struct slow_frame *slow = make_slow(200, 200, DRM_FORMAT_XRGB8888, 1);
	struct picture quick = make_picture(64, 64, DRM_FORMAT_XRGB8888, 2);

	start(peer);
	show(peer, 0, &slow->base);
	show(peer, 1, quick.frame);
	assert_int_equal(flush_all(peer, 0, &slow->base, 1), DISPLAY_PENDING);
	assert_int_equal(flush(peer, 0, 8, 9, 4, 5, 2), DISPLAY_PENDING);
	assert_int_equal(flush_all(peer, 1, quick.frame, 3), 0);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 200, 200);
	EXPECT(peer, VMM_SCANOUT, 1, 64, 64);
	expect_update(peer, 1, 0, 0, 64, 64);
	expect_pixels(peer, 0, 0, 64, 64, 2);
	expect_nothing(peer);
	assert_int_equal(slow->pending, 2);
	assert_int_equal(peer->done_count, 0);
	slow_frame_end(slow, 0);
	read_all(peer);
	expect_update(peer, 0, 0, 0, 200, 200);
	expect_pixels(peer, 0, 0, 200, 200, 1);
	expect_nothing(peer);
	assert_int_equal(peer->done_count, 1);
	slow_frame_end(slow, 0);
	read_all(peer);
	expect_update(peer, 0, 8, 9, 4, 5);
	expect_pixels(peer, 8, 9, 4, 5, 1);
	expect_nothing(peer);
	assert_true(is_done(peer, 1) && is_done(peer, 2));
	assert_int_equal(slow->open + slow->waits, 0);
	finish(peer);
	frame_unref(&slow->base);
	frame_unref(quick.frame);
}

static void slow_pixels_are_converted(void **state)
{
	struct peer *peer = *state;
	struct slow_frame *slow = make_slow(300, 400, DRM_FORMAT_RGBX8888, 1);
	const struct rect part = { 10, 20, 280, 370 };

	start(peer);
	display_set_frame(peer->display, 0, &slow->base, &part);
	assert_int_equal(flush(peer, 0, 1, 2, 270, 360, 1), DISPLAY_PENDING);
	slow_frame_end(slow, 0);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 280, 370);
	expect_update(peer, 0, 1, 2, 270, 360);
	expect_pixels(peer, 11, 22, 270, 360, 1);
	expect_nothing(peer);
	assert_int_equal(slow->waits, 0);
	finish(peer);
	frame_unref(&slow->base);
}

/* A flip while they are read: the former frame's are given up, and owed by the next flush. */
static void slow_pixels_of_a_former_frame_are_given_up(void **state)
{
	struct peer *peer = *state;
	struct slow_frame *a = make_slow(100, 100, DRM_FORMAT_XRGB8888, 1);
	struct slow_frame *b = make_slow(100, 100, DRM_FORMAT_XRGB8888, 2);

	start(peer);
	show(peer, 0, &a->base);
	assert_int_equal(flush(peer, 0, 10, 10, 20, 20, 1), DISPLAY_PENDING);
	show(peer, 0, &b->base);
	assert_int_equal(a->pending, 0);
	assert_int_equal(flush(peer, 0, 50, 10, 10, 20, 2), DISPLAY_PENDING);
	turn(peer);
	assert_true(is_done(peer, 1) && !is_done(peer, 2));
	slow_frame_end(b, 0);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 100, 100);
	expect_update(peer, 0, 10, 10, 50, 20);
	expect_pixels(peer, 10, 10, 50, 20, 2);
	expect_nothing(peer);
	assert_true(is_done(peer, 2));
	finish(peer);
	frame_unref(&a->base);
	frame_unref(&b->base);
}

static void slow_pixels_that_fail_are_left_out(void **state)
{
	struct peer *peer = *state;
	struct slow_frame *slow = make_slow(100, 100, DRM_FORMAT_XRGB8888, 1);

	start(peer);
	show(peer, 0, &slow->base);
	assert_int_equal(flush_all(peer, 0, &slow->base, 1), DISPLAY_PENDING);
	slow_frame_end(slow, -EIO);
	slow->failure = -EIO;
	assert_int_equal(flush_all(peer, 0, &slow->base, 2), 0);
	assert_int_equal(flush_all(peer, 0, &slow->base, 3), DISPLAY_PENDING);
	slow_frame_end(slow, 0);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 100, 100);
	expect_update(peer, 0, 0, 0, 100, 100);
	expect_pixels(peer, 0, 0, 100, 100, 1);
	expect_nothing(peer);
	assert_true(is_done(peer, 1) && is_done(peer, 3));
	finish(peer);
	frame_unref(&slow->base);
}

/* What is being read when the viewer stops, goes, or the display is destroyed, is given up. */
static void slow_pixels_are_given_up_with_the_viewer(void **state)
{
	struct peer *peer = *state;
	struct slow_frame *slow = make_slow(100, 100, DRM_FORMAT_XRGB8888, 1);
	struct picture picture = make_picture(400, 300, DRM_FORMAT_XRGB8888, 2);

	start(peer);
	make_small(peer);
	show(peer, 1, &slow->base);
	assert_int_equal(flush_all(peer, 1, &slow->base, 1), DISPLAY_PENDING);
	show(peer, 0, picture.frame);
	assert_int_equal(flush_all(peer, 0, picture.frame, 2), DISPLAY_PENDING);
	wait_ms(peer, 250);
	assert_int_equal(slow->pending, 0);
	assert_true(is_done(peer, 1) && is_done(peer, 2));
	read_all(peer); // it reads again: what is owed is asked for
	assert_int_equal(slow->pending, 1);
	close(peer->socket);
	turn(peer);
	assert_int_equal(slow->pending, 0);
	assert_int_equal(peer->lost, 1);
	display_destroy(peer->display);

	start(peer);
	show(peer, 1, &slow->base);
	assert_int_equal(flush_all(peer, 1, &slow->base, 5), DISPLAY_PENDING);
	finish(peer);
	assert_int_equal(slow->pending, 0);
	assert_true(is_done(peer, 5));
	frame_unref(&slow->base);
	frame_unref(picture.frame);
}

/* Buffers. */

static struct slow_frame *make_buffer(uint32_t width, uint32_t height)
{
	struct slow_frame *slow = make_slow(width, height, DRM_FORMAT_XRGB8888, 1);

	slow_frame_export(slow);
	return slow;
}

/* The next message shows the part of the frame's buffer, which came with its first byte. */
static void expect_buffer(
	struct peer *peer, uint32_t output, const struct slow_frame *frame, const struct rect *part)
{
	const struct frame_dmabuf *dmabuf = &frame->dmabuf;
	struct stat sent, got;

	assert_int_equal(peer->fd_count, 1);
	assert_int_equal(peer->fd_at, 0);
	assert_int_equal(fstat(dmabuf->fd, &sent), 0);
	assert_int_equal(fstat(peer->fds[0], &got), 0);
	assert_int_equal(sent.st_ino, got.st_ino);
	assert_int_not_equal(peer->fds[0], dmabuf->fd);
	fd_close(&peer->fds[0]);
	peer->fd_count = 0;
	EXPECT(peer, VMM_DMABUF_SCANOUT2, output, part->x, part->y, part->width, part->height,
		frame->base.width, frame->base.height, dmabuf->stride, dmabuf->upside_down,
		dmabuf->format, (uint32_t)dmabuf->modifier, (uint32_t)(dmabuf->modifier >> 32));
}

static void reply_drawn(struct peer *peer)
{
	reply(peer, VMM_DMABUF_UPDATE, "", 0);
}

static void start_with_buffers(struct peer *peer)
{
	peer->config.dmabuf = true;
	start(peer);
}

/* Neither where we were not told that its display can, nor where the VMM does not offer it. */
static void buffers_are_not_sent_unasked(void **state)
{
	static const struct {
		bool allowed;
		uint32_t offered, accepted;
	} cases[] = { { false, 3, 1 }, { false, 2, 0 }, { true, 1, 1 }, { true, 0, 0 } };
	struct peer *peer = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slow_frame *slow = make_buffer(100, 100);

		peer->config.dmabuf = cases[i].allowed;
		start_on(peer, SOCK_STREAM);
		read_all(peer);
		expect_header(peer, VMM_GET_PROTOCOL_FEATURES, 0);
		reply_features(peer, cases[i].offered);
		read_all(peer);
		EXPECT(peer, VMM_SET_PROTOCOL_FEATURES, cases[i].accepted, 0);
		show(peer, 0, &slow->base);
		assert_int_equal(flush_all(peer, 0, &slow->base, 1), DISPLAY_PENDING);
		slow_frame_end(slow, 0);
		read_all(peer);
		EXPECT(peer, VMM_SCANOUT, 0, 100, 100);
		expect_update(peer, 0, 0, 0, 100, 100);
		expect_pixels(peer, 0, 0, 100, 100, 1);
		expect_nothing(peer);
		assert_int_equal(peer->fd_count + slow->pictures, 0);
		finish(peer);
		frame_unref(&slow->base);
	}
}

static void buffers_are_exact(void **state)
{
	static const struct rect part = { 1, 2, 90, 80 };
	const struct display_cursor hidden = { NULL, 1, 2, 0, 0 };
	struct peer *peer = *state;
	struct slow_frame *a = make_buffer(100, 100), *b = make_buffer(100, 100);

	start_with_buffers(peer);
	b->dmabuf.upside_down = true;
	display_set_frame(peer->display, 2, &a->base, &part);
	assert_int_equal(flush(peer, 2, 3, 4, 5, 6, 1), DISPLAY_PENDING);
	read_all(peer);
	expect_buffer(peer, 2, a, &part);
	EXPECT(peer, VMM_DMABUF_UPDATE, 2, 3, 4, 5, 6);
	expect_nothing(peer);
	assert_int_equal(a->pictures, 2); // what was drawn before the flush must be in it
	assert_int_equal(peer->done_count, 0);
	reply_drawn(peer);
	turn(peer);
	assert_true(is_done(peer, 1));

	/* A flip, with messages before it: the descriptor comes with its own. */
	display_set_cursor(peer->display, 2, &hidden);
	display_set_frame(peer->display, 2, &b->base, &part);
	assert_int_equal(flush(peer, 2, 0, 0, 90, 80, 2), DISPLAY_PENDING);
	loop_run_once(peer->loop, false);
	while (read_some(peer, 24) > 0 && peer->size < 24) {
	}
	EXPECT(peer, VMM_CURSOR_POS_HIDE, 2, 1, 2);
	assert_int_equal(peer->fd_count, 0);
	read_all(peer);
	expect_buffer(peer, 2, b, &part);
	EXPECT(peer, VMM_DMABUF_UPDATE, 2, 0, 0, 90, 80);
	expect_nothing(peer);

	/* A flip before it was drawn: nobody waits, the reply comes all the same. */
	display_set_frame(peer->display, 2, &a->base, &part);
	turn(peer);
	assert_true(is_done(peer, 2));
	assert_int_equal(flush(peer, 2, 0, 0, 9, 8, 3), DISPLAY_PENDING);
	reply_drawn(peer);
	turn(peer);
	assert_false(is_done(peer, 3));
	reply_drawn(peer);
	turn(peer);
	assert_true(is_done(peer, 3));
	read_all(peer);
	expect_buffer(peer, 2, a, &part);
	EXPECT(peer, VMM_DMABUF_UPDATE, 2, 0, 0, 9, 8);
	display_set_frame(peer->display, 2, NULL, NULL);
	read_all(peer);
	EXPECT(peer, VMM_DMABUF_SCANOUT2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	expect_nothing(peer);
	assert_int_equal(peer->fd_count, 0);
	assert_int_equal(a->pending + a->waits + b->pending + b->waits, 0);
	assert_int_equal(vmm_display_stats(peer->display).dmabuf_updates, 3);
	assert_int_equal(peer->lost, 0);
	finish(peer);
	frame_unref(&a->base);
	frame_unref(&b->base);
}

/* Between frames with a buffer and frames without one nothing is missing. */
static void buffers_and_pixels_take_turns(void **state)
{
	struct peer *peer = *state;
	struct slow_frame *slow = make_buffer(64, 64);
	struct picture picture = make_picture(64, 64, DRM_FORMAT_XRGB8888, 2);
	const struct rect all = { 0, 0, 64, 64 };

	start_with_buffers(peer);
	show(peer, 0, picture.frame);
	flush_all(peer, 0, picture.frame, 1);
	read_all(peer);
	EXPECT(peer, VMM_SCANOUT, 0, 64, 64);
	expect_update(peer, 0, 0, 0, 64, 64);
	drop(peer, 64 * 64 * 4);
	show(peer, 0, &slow->base);
	assert_int_equal(flush(peer, 0, 0, 0, 4, 4, 2), DISPLAY_PENDING);
	read_all(peer);
	expect_buffer(peer, 0, slow, &all);
	EXPECT(peer, VMM_DMABUF_UPDATE, 0, 0, 0, 4, 4);
	show(peer, 0, picture.frame);
	flush(peer, 0, 8, 8, 4, 4, 3);
	read_all(peer);
	EXPECT(peer, VMM_DMABUF_SCANOUT2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	EXPECT(peer, VMM_SCANOUT, 0, 64, 64);
	expect_update(peer, 0, 0, 0, 64, 64); // all of it is new to the viewer
	expect_pixels(peer, 0, 0, 64, 64, 2);
	expect_nothing(peer);
	finish(peer);
	frame_unref(&slow->base);
	frame_unref(picture.frame);
}

/* A viewer that does not draw does not stop the guest: it is sent what changed when it goes on. */
static void a_viewer_that_does_not_draw_never_stops_the_guest(void **state)
{
	struct peer *peer = *state;
	struct slow_frame *a = make_buffer(100, 100), *b = make_buffer(100, 100);
	const struct rect all = { 0, 0, 100, 100 };

	start_with_buffers(peer);
	show(peer, 0, &a->base);
	assert_int_equal(flush(peer, 0, 0, 0, 10, 10, 1), DISPLAY_PENDING);
	wait_ms(peer, 250);
	assert_true(is_done(peer, 1));
	assert_int_equal(flush(peer, 0, 20, 0, 10, 10, 2), 0);
	show(peer, 0, &b->base);
	assert_int_equal(flush(peer, 0, 0, 30, 10, 10, 3), 0);
	read_all(peer);
	expect_buffer(peer, 0, a, &all);
	EXPECT(peer, VMM_DMABUF_UPDATE, 0, 0, 0, 10, 10);
	expect_nothing(peer);
	reply_drawn(peer);
	read_all(peer);
	expect_buffer(peer, 0, b, &all);
	EXPECT(peer, VMM_DMABUF_UPDATE, 0, 0, 0, 30, 40);
	assert_int_equal(flush(peer, 0, 0, 0, 1, 1, 4), DISPLAY_PENDING);
	reply_drawn(peer);
	reply_drawn(peer);
	turn(peer);
	assert_true(is_done(peer, 4));
	assert_int_equal(peer->lost, 0);
	finish(peer);
	frame_unref(&a->base);
	frame_unref(&b->base);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir)) {
		count++;
	}
	closedir(dir);
	return count;
}

/* What was on its way is done, and no descriptor stays. */
static void buffers_go_with_the_viewer(void **state)
{
	struct peer *peer = *state;
	struct slow_frame *slow = make_buffer(100, 100);
	int before = count_fds();

	for (int round = 0; round < 2; round++) {
		start_with_buffers(peer);
		show(peer, 0, &slow->base);
		assert_int_equal(flush_all(peer, 0, &slow->base, 1), DISPLAY_PENDING);
		if (round) {
			turn(peer); // it is on the wire
		}
		finish(peer);
		assert_int_equal(peer->done_count, round + 1);
		assert_int_equal(count_fds(), before);
	}
	start_with_buffers(peer);
	reply_drawn(peer); // to nothing
	turn(peer);
	assert_int_equal(peer->lost, 1);
	finish(peer);
	frame_unref(&slow->base);
}

/* Questions. */

static void ask_info(struct peer *peer, uint64_t token)
{
	struct display_info info;

	assert_int_equal(display_query_info(peer->display, token, &info), DISPLAY_PENDING);
}

static void ask_edid(struct peer *peer, uint32_t output, uint64_t token)
{
	struct display_edid edid;

	assert_int_equal(display_query_edid(peer->display, output, token, &edid), DISPLAY_PENDING);
}

static void questions_are_answered(void **state)
{
	struct peer *peer = *state;

	start(peer);
	ask_info(peer, 10);
	ask_edid(peer, 2, 11);
	read_all(peer);
	expect_header(peer, VMM_GET_DISPLAY_INFO, 0);
	EXPECT(peer, VMM_GET_EDID, 2);
	expect_nothing(peer);
	reply_info(peer, 800);
	reply_edid(peer, 0x5a);
	turn(peer);
	assert_int_equal(peer->infos, 1);
	assert_int_equal(peer->no_infos, 0);
	assert_int_equal(peer->info_token, 10);
	assert_true(peer->info.outputs[0].enabled);
	assert_int_equal(peer->info.outputs[0].rect.width, 800);
	assert_int_equal(peer->info.outputs[0].rect.height, 600);
	assert_false(peer->info.outputs[15].enabled);
	assert_int_equal(peer->info.outputs[15].rect.x, 7);
	assert_int_equal(peer->edids, 1);
	assert_int_equal(peer->no_edids, 0);
	assert_int_equal(peer->edid_token, 11);
	assert_int_equal(peer->edid.size, 256);
	assert_int_equal(peer->edid.bytes[255], 0x5a);
	assert_int_equal(peer->edid.bytes[256], 0);
	finish(peer);
	assert_int_equal(peer->infos + peer->edids, 2);
}

/* One of a kind is on the wire at a time; replies may come in pieces. */
static void questions_wait_their_turn(void **state)
{
	struct peer *peer = *state;
	const struct vmm_header header = { VMM_GET_DISPLAY_INFO, VMM_FLAG_REPLY,
		sizeof(struct virtio_gpu_resp_display_info) };
	struct virtio_gpu_resp_display_info info;

	start(peer);
	for (uint64_t i = 0; i < 3; i++) {
		ask_info(peer, 20 + i);
	}
	for (uint32_t i = 0; i < 3; i++) {
		read_all(peer);
		expect_header(peer, VMM_GET_DISPLAY_INFO, 0);
		expect_nothing(peer);
		info = info_of(100 + i);
		send(peer->socket, &header, 5, 0);
		turn(peer);
		send(peer->socket, (const uint8_t *)&header + 5, 7, 0);
		turn(peer);
		send(peer->socket, &info, 100, 0);
		turn(peer);
		assert_int_equal(peer->infos, i);
		send(peer->socket, (const uint8_t *)&info + 100, sizeof(info) - 100, 0);
		turn(peer);
		assert_int_equal(peer->infos, i + 1);
		assert_int_equal(peer->info_token, 20 + i);
		assert_int_equal(peer->info.outputs[0].rect.width, 100 + i);
	}
	finish(peer);
}

/* QEMU does not answer GET_EDID for an output that it does not have. */
static void missing_answer_is_timed_out(void **state)
{
	struct peer *peer = *state;

	start(peer);
	ask_edid(peer, 9, 1);
	ask_edid(peer, 0, 2);
	read_all(peer);
	EXPECT(peer, VMM_GET_EDID, 9);
	expect_nothing(peer);
	wait_ms(peer, 900);
	assert_int_equal(peer->edids, 0);
	wait_ms(peer, 200);
	assert_int_equal(peer->no_edids, 2); // the one behind it had waited as long
	assert_int_equal(vmm_display_stats(peer->display).late_answers, 2);
	read_all(peer);
	expect_header(peer, VMM_GET_PROTOCOL_FEATURES, 0);
	expect_nothing(peer);

	/* What is asked now goes out after the barrier's reply, and gets its own answer. */
	ask_edid(peer, 0, 3);
	ask_info(peer, 4);
	read_all(peer);
	expect_header(peer, VMM_GET_DISPLAY_INFO, 0);
	expect_nothing(peer);
	reply_features(peer, 3);
	read_all(peer);
	EXPECT(peer, VMM_GET_EDID, 0);
	expect_nothing(peer);
	reply_info(peer, 800);
	reply_edid(peer, 0x77);
	turn(peer);
	assert_int_equal(peer->edids, 3);
	assert_int_equal(peer->edid_token, 3);
	assert_int_equal(peer->edid.bytes[0], 0x77);
	assert_int_equal(peer->info_token, 4);
	assert_int_equal(peer->no_infos, 0);
	finish(peer);
}

/* A late answer is not taken for that to the next question. */
static void late_answer_is_ignored(void **state)
{
	struct peer *peer = *state;

	start(peer);
	ask_edid(peer, 1, 1);
	read_all(peer);
	EXPECT(peer, VMM_GET_EDID, 1);
	wait_ms(peer, 1100);
	assert_int_equal(peer->no_edids, 1);
	ask_edid(peer, 2, 2);
	read_all(peer);
	expect_header(peer, VMM_GET_PROTOCOL_FEATURES, 0);
	expect_nothing(peer);
	reply_edid(peer, 0x11); // late: for output 1
	reply_features(peer, 3);
	read_all(peer);
	assert_int_equal(peer->edids, 1);
	EXPECT(peer, VMM_GET_EDID, 2);
	reply_edid(peer, 0x22);
	turn(peer);
	assert_int_equal(peer->edids, 2);
	assert_int_equal(peer->edid_token, 2);
	assert_int_equal(peer->edid.bytes[0], 0x22);
	assert_int_equal(peer->lost, 0);
	finish(peer);
}

/* A viewer that answers nothing at all: each question ends in its time, none is sent twice. */
static void silent_viewer_ends_all_questions(void **state)
{
	struct peer *peer = *state;

	start_on(peer, SOCK_STREAM);
	ask_edid(peer, 0, 1); // before the features are known
	ask_info(peer, 2);
	ask_info(peer, 3);
	wait_ms(peer, 1100);
	assert_int_equal(peer->no_edids, 1);
	assert_int_equal(peer->no_infos, 2);
	ask_info(peer, 4);
	wait_ms(peer, 1100);
	assert_int_equal(peer->no_infos, 3);
	read_all(peer);
	expect_header(peer, VMM_GET_PROTOCOL_FEATURES, 0);
	expect_header(peer, VMM_GET_DISPLAY_INFO, 0);
	expect_nothing(peer);
	finish(peer);
	assert_int_equal(peer->infos, 3);
}

static void edid_may_be_missing(void **state)
{
	struct peer *peer = *state;
	struct display_edid edid;

	start_on(peer, SOCK_STREAM);
	ask_edid(peer, 0, 1);
	read_all(peer);
	expect_header(peer, VMM_GET_PROTOCOL_FEATURES, 0);
	reply_features(peer, 2);
	read_all(peer);
	EXPECT(peer, VMM_SET_PROTOCOL_FEATURES, 0, 0);
	expect_nothing(peer);
	assert_int_equal(peer->no_edids, 1);
	assert_int_equal(display_query_edid(peer->display, 0, 2, &edid), -ENOTSUP);
	finish(peer);
}

struct wrong_reply {
	const char *what;
	uint32_t header[3];
	uint32_t type; // first word of the payload
	uint32_t edid_size;
};

static void wrong_replies_end_the_display(void **state)
{
	static const uint32_t info_size = sizeof(struct virtio_gpu_resp_display_info);
	static const uint32_t edid_size = sizeof(struct virtio_gpu_resp_edid);
	static const uint32_t info_ok = VIRTIO_GPU_RESP_OK_DISPLAY_INFO;
	const struct wrong_reply replies[] = {
		{ "no flag", { VMM_GET_DISPLAY_INFO, 0, info_size }, info_ok, 0 },
		{ "other flags", { VMM_GET_DISPLAY_INFO, 5, info_size }, info_ok, 0 },
		{ "too short", { VMM_GET_DISPLAY_INFO, 4, info_size - 1 }, info_ok, 0 },
		{ "too long", { VMM_GET_DISPLAY_INFO, 4, info_size + 1 }, info_ok, 0 },
		{ "huge", { VMM_GET_DISPLAY_INFO, 4, UINT32_MAX }, info_ok, 0 },
		{ "empty", { VMM_GET_DISPLAY_INFO, 4, 0 }, info_ok, 0 },
		{ "no request", { 0, 4, 8 }, 0, 0 },
		{ "unknown", { 99, 4, 8 }, 0, 0 },
		{ "unasked", { VMM_GET_PROTOCOL_FEATURES, 4, 8 }, 0, 0 },
		{ "nothing to reply to", { VMM_UPDATE, 4, 0 }, 0, 0 },
		{ "an error", { VMM_GET_DISPLAY_INFO, 4, info_size }, 0x1200, 0 },
		{ "an error", { VMM_GET_EDID, 4, edid_size }, 0x1200, 256 },
		{ "not an EDID", { VMM_GET_EDID, 4, edid_size }, info_ok, 256 },
		{ "large EDID", { VMM_GET_EDID, 4, edid_size }, VIRTIO_GPU_RESP_OK_EDID, 1025 },
	};
	struct peer *peer = *state;

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		uint8_t bytes[12 + sizeof(struct virtio_gpu_resp_edid) + 8] = { 0 };

		start(peer);
		ask_info(peer, 1);
		ask_edid(peer, 1, 2);
		turn(peer);
		memcpy(bytes, replies[i].header, 12);
		memcpy(bytes + 12, &replies[i].type, 4);
		memcpy(bytes + 12 + sizeof(struct virtio_gpu_ctrl_hdr), &replies[i].edid_size, 4);
		send(peer->socket, bytes, sizeof(bytes), 0);
		turn(peer);
		if (peer->lost != 1 || peer->no_infos != 1 || peer->no_edids != 1) {
			fail_msg("%s: lost %u, infos %u", replies[i].what, peer->lost, peer->infos);
		}
		finish(peer);
		assert_int_equal(peer->lost, 1);
		peer->lost = 0;
		peer->no_infos = 0;
		peer->no_edids = 0;
	}
}

/* An answer that the size of the largest EDID has is right. */
static void largest_edid_is_right(void **state)
{
	struct peer *peer = *state;
	struct virtio_gpu_resp_edid edid = edid_of(1);

	edid.size = htole32(1024);
	edid.edid[1023] = 9;
	start(peer);
	ask_edid(peer, 1, 2);
	turn(peer);
	reply(peer, VMM_GET_EDID, &edid, sizeof(edid));
	turn(peer);
	assert_int_equal(peer->edid.size, 1024);
	assert_int_equal(peer->edid.bytes[1023], 9);
	finish(peer);
}

/* The peer goes. */

/* Calls on a display that is lost do nothing. */
static void call_all(struct peer *peer, struct picture *picture)
{
	const struct display_cursor cursor = { NULL, 1, 2, 3, 4 };
	struct display_info info;
	struct display_edid edid;

	show(peer, 0, picture->frame);
	assert_int_equal(flush_all(peer, 0, picture->frame, 50), 0);
	display_set_cursor(peer->display, 0, &cursor);
	display_move_cursor(peer->display, 0, 1, 1);
	assert_true(display_query_info(peer->display, 51, &info) < 0);
	assert_true(display_query_edid(peer->display, 0, 52, &edid) < 0);
	display_set_frame(peer->display, 0, NULL, NULL);
	turn(peer);
}

enum moment {
	AT_START,
	WHEN_QUIET, // nothing unread: an end of the stream, not a reset
	WITH_FLUSHES,
	WHEN_STALLED,
	WITH_QUESTIONS,
	IN_A_REPLY,
	MOMENTS,
};

static void prepare(struct peer *peer, enum moment moment, struct picture *picture)
{
	start_on(peer, SOCK_STREAM);
	if (moment == AT_START) {
		return;
	}
	shake_hands(peer);
	if (moment == WITH_FLUSHES || moment == WHEN_STALLED) {
		make_small(peer);
		show(peer, 0, picture->frame);
		assert_int_equal(flush_all(peer, 0, picture->frame, 1), DISPLAY_PENDING);
		assert_int_equal(flush_all(peer, 0, picture->frame, 2), DISPLAY_PENDING);
		turn(peer);
	}
	if (moment == WHEN_STALLED) {
		wait_ms(peer, 250);
		assert_int_equal(peer->done_count, 2);
		assert_int_equal(flush_all(peer, 0, picture->frame, 3), 0);
	}
	if (moment == WITH_QUESTIONS || moment == IN_A_REPLY) {
		ask_info(peer, 3);
		ask_info(peer, 4);
		ask_edid(peer, 0, 5);
		turn(peer);
	}
	if (moment == IN_A_REPLY) {
		const uint32_t header[3] = { VMM_GET_DISPLAY_INFO, 4, 408 };

		send(peer->socket, header, 12, 0);
		turn(peer);
	}
}

static void expect_all_ended(struct peer *peer, enum moment moment)
{
	bool flushed = moment == WITH_FLUSHES || moment == WHEN_STALLED;
	bool asked = moment == WITH_QUESTIONS || moment == IN_A_REPLY;

	assert_int_equal(peer->done_count, flushed ? 2 : 0);
	assert_int_equal(peer->no_infos, asked ? 2 : 0);
	assert_int_equal(peer->no_edids, asked ? 1 : 0);
	peer->done_count = 0;
	peer->no_infos = 0;
	peer->no_edids = 0;
}

static void peer_may_go_at_any_time(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);

	for (enum moment moment = 0; moment < MOMENTS; moment++) {
		prepare(peer, moment, &picture);
		close(peer->socket);
		errno = EAGAIN; // what an earlier call left says nothing
		turn(peer);
		turn(peer);
		assert_int_equal(peer->lost, 1);
		expect_all_ended(peer, moment);
		assert_int_equal(picture.frame->refs, 1);
		call_all(peer, &picture);
		assert_int_equal(peer->lost, 1);
		peer->lost = 0;
		peer->socket = -1;
		finish(peer);
		assert_int_equal(picture.frame->refs, 1);
	}
	frame_unref(picture.frame);
}

/* Gone, and found out by writing. */
static void writing_to_nobody_ends_the_display(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(64, 64, DRM_FORMAT_XRGB8888, 1);

	start(peer);
	shutdown(peer->socket, SHUT_RD);
	show(peer, 0, picture.frame);
	flush_all(peer, 0, picture.frame, 1);
	assert_int_equal(peer->lost, 0);
	turn(peer);
	turn(peer);
	assert_int_equal(peer->lost, 1);
	finish(peer);
	assert_int_equal(peer->lost, 1);
	frame_unref(picture.frame);
}

static void destroy_ends_what_is_pending(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);

	for (enum moment moment = 0; moment < MOMENTS; moment++) {
		prepare(peer, moment, &picture);
		display_destroy(peer->display);
		peer->display = NULL;
		expect_all_ended(peer, moment);
		assert_int_equal(peer->lost, 0);
		assert_int_equal(picture.frame->refs, 1);
		turn(peer);
		close(peer->socket);
	}
	frame_unref(picture.frame);
}

/* Who hears that the display is lost may destroy it there and then. */
static void lost_display_may_be_destroyed_at_once(void **state)
{
	struct peer *peer = *state;
	struct picture picture = make_picture(300, 200, DRM_FORMAT_XRGB8888, 1);

	peer->destroy_when_lost = true;
	for (enum moment moment = 0; moment < MOMENTS; moment++) {
		prepare(peer, moment, &picture);
		close(peer->socket);
		turn(peer);
		turn(peer);
		assert_int_equal(peer->lost, 1);
		assert_null(peer->display);
		expect_all_ended(peer, moment);
		peer->lost = 0;
	}
	frame_unref(picture.frame);
}

static void sockets_are_taken(void **state)
{
	struct peer *peer = *state;
	int before = count_fds();
	int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	assert_null(vmm_display_create(
		peer->loop, file, &peer->config)); // regular files cannot be polled
	for (int i = 0; i < 100; i++) {
		start(peer);
		finish(peer);
	}
	turn(peer);
	assert_int_equal(count_fds(), before);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(features_are_negotiated),
		T(update_is_exact),
		T(formats_are_exact),
		T(small_update_is_a_snapshot),
		T(order_is_kept),
		T(a_turn_is_one_write),
		T(huge_update_is_split),
		T(cursor_is_exact),
		T(same_size_needs_no_scanout),
		T(a_new_display_is_told_all),
		T(slow_viewer_gets_all),
		T(backlog_keeps_its_bytes),
		T(stopped_viewer_never_stops_the_guest),
		T(stalled_display_sends_the_last_state),
		T(stalled_output_goes_off),
		T(former_frames_flushes_are_left_out),
		T(left_out_damage_is_owed),
		T(copies_are_bounded),
		T(small_updates_wait_for_room),
		T(pause_keeps_all_back),
		T(pause_ends_what_has_begun),
		T(flushes_are_bounded),
		T(unreadable_pixels_break_nothing),
		T(slow_pixels_hold_nothing_up),
		T(slow_pixels_are_converted),
		T(slow_pixels_of_a_former_frame_are_given_up),
		T(slow_pixels_that_fail_are_left_out),
		T(slow_pixels_are_given_up_with_the_viewer),
		T(buffers_are_not_sent_unasked),
		T(buffers_are_exact),
		T(buffers_and_pixels_take_turns),
		T(a_viewer_that_does_not_draw_never_stops_the_guest),
		T(buffers_go_with_the_viewer),
		T(questions_are_answered),
		T(questions_wait_their_turn),
		T(missing_answer_is_timed_out),
		T(late_answer_is_ignored),
		T(silent_viewer_ends_all_questions),
		T(edid_may_be_missing),
		T(wrong_replies_end_the_display),
		T(largest_edid_is_right),
		T(peer_may_go_at_any_time),
		T(writing_to_nobody_ends_the_display),
		T(destroy_ends_what_is_pending),
		T(lost_display_may_be_destroyed_at_once),
		T(sockets_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
