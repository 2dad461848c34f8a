/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "support/daemon.h"

/*
 * What a guest draws and what the VMM's display then holds, pixel by pixel, against a model that each
 * test keeps. The display's frame buffer is painted before each flush, so a pixel that did not travel
 * is told from one that travelled, black ones too.
 */

enum {
	OK = VIRTIO_GPU_RESP_OK_NODATA,
	BGRX = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
	BGRA = VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM,
	RGBX = VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM,
	WIDTH = 53, // odd, so that rows begin at odd places
	HEIGHT = 37,
	PIXELS = WIDTH * HEIGHT,
	BYTES = PIXELS * 4,
	LONG_SIDE = 128, // an image with 4 bytes for each entry of the longest list
	LONG_BYTES = LONG_SIDE * LONG_SIDE * 4,
	MODEL_MAX = 1 << 18, // pixels of the largest image
	REGION_SIZE = 1 << 20,
	SCANOUTS = 16,
	IMAGE = 5,
	PAINT = 0x123456, // in no picture here
	RUBBISH = 0xe7, // bytes of guest memory that nobody may show
	QUIET_MS = 50,
	TIMEOUT_MS = 5000,
};

static_assert(LONG_BYTES == 4 * WIRE_ENTRIES_MAX, "four bytes an entry");

struct test {
	struct daemon daemon;
	struct fe_gpu *gpu; // of daemon
	struct fe_display *display; // of gpu
	uint32_t model[MODEL_MAX]; // what a picture should be, without its X byte
};

static int start_daemon(void **state, const char *arguments)
{
	const struct fe_gpu_options options = { .dialect = FE_DIALECT_VMM, .ack = true };
	struct test *test = calloc(1, sizeof(*test));

	assert_non_null(test);
	*state = test;
	test->gpu = &test->daemon.gpu;
	test->display = &test->gpu->display;
	daemon_start(&test->daemon, arguments, &options);
	return 0;
}

static int setup(void **state)
{
	return start_daemon(state, NULL);
}

static int setup_large_requests(void **state)
{
	return start_daemon(state, "--max-request=1M");
}

static int teardown(void **state)
{
	struct test *test = *state;

	daemon_assert_alive(&test->daemon);
	daemon_stop(&test->daemon);
	free(test);
	return 0;
}

static struct virtio_gpu_rect whole(void)
{
	return fe_rect(0, 0, WIDTH, HEIGHT);
}

static bool is_inside(struct virtio_gpu_rect rect, uint32_t x, uint32_t y)
{
	return x >= rect.x && x - rect.x < rect.width && y >= rect.y && y - rect.y < rect.height;
}

static void transfer(struct test *test, uint32_t id, struct virtio_gpu_rect rect, uint64_t offset)
{
	assert_int_equal(fe_gpu_transfer(test->gpu, id, rect, offset), OK);
}

static void wait_for_scanout(struct test *test, uint32_t scanout, uint64_t before)
{
	const struct fe_display_output *output = &test->display->outputs[scanout];

	assert_int_equal(
		fe_display_wait(&test->gpu->pump, &output->scanouts, before + 1, TIMEOUT_MS), 0);
	assert_int_equal(output->scanouts, before + 1);
}

/* The scanout shows nothing, or another size. */
static void show(struct test *test, uint32_t scanout, uint32_t id, struct virtio_gpu_rect rect)
{
	const struct fe_display_output *output = &test->display->outputs[scanout];
	uint64_t before = output->scanouts;

	assert_int_equal(fe_gpu_set_scanout(test->gpu, scanout, id, rect), OK);
	wait_for_scanout(test, scanout, before);
	assert_true(output->enabled);
	assert_int_equal(output->width, rect.width);
	assert_int_equal(output->height, rect.height);
}

/* Drops the resource that a scanout shows, and waits until the display has heard of it. */
static void unref_shown(struct test *test, uint32_t scanout, uint32_t id)
{
	uint64_t before = test->display->outputs[scanout].scanouts;

	assert_int_equal(fe_gpu_unref(test->gpu, id), OK);
	wait_for_scanout(test, scanout, before);
	assert_false(test->display->outputs[scanout].enabled);
}

/* What an output held is gone: what it holds later has come since. */
static void paint(struct test *test, uint32_t output)
{
	const struct fe_display_output *out = &test->display->outputs[output];

	for (uint32_t i = 0; i < out->width * out->height; i++) {
		out->pixels[i] = PAINT;
	}
}

static void flush(struct test *test, uint32_t id, struct virtio_gpu_rect rect, uint32_t output)
{
	const uint64_t *updates = &test->display->outputs[output].updates;
	uint64_t target = *updates + 1;

	assert_int_equal(fe_gpu_resource_flush(test->gpu, id, rect), OK);
	assert_int_equal(fe_display_wait(&test->gpu->pump, updates, target, TIMEOUT_MS), 0);
}

/* A flush of which no output shows anything. */
static void flush_unseen(struct test *test, uint32_t id, struct virtio_gpu_rect rect)
{
	uint64_t messages = test->display->messages;

	assert_int_equal(fe_gpu_resource_flush(test->gpu, id, rect), OK);
	fe_display_settle(test->display, &test->gpu->pump, QUIET_MS);
	assert_int_equal(test->display->messages, messages);
}

static void assert_pixel(
	const struct test *test, uint32_t output, uint32_t x, uint32_t y, uint32_t expected)
{
	uint32_t pixel = fe_display_pixel(test->display, output, x, y);

	if (pixel != expected) {
		fail_msg("output %u, pixel %u,%u: 0x%06x instead of 0x%06x", output, x, y, pixel,
			expected);
	}
}

/*
 * The output shows `part` of the model (rows of `width` pixels) where `damage`, in the output's
 * coordinates, says so, and is as it was painted elsewhere.
 */
static void assert_damaged(const struct test *test, uint32_t output, uint32_t width,
	struct virtio_gpu_rect part, struct virtio_gpu_rect damage)
{
	assert_int_equal(test->display->outputs[output].width, part.width);
	assert_int_equal(test->display->outputs[output].height, part.height);
	for (uint32_t y = 0; y < part.height; y++) {
		for (uint32_t x = 0; x < part.width; x++) {
			uint32_t pixel = test->model[(part.y + y) * width + part.x + x];

			assert_pixel(test, output, x, y, is_inside(damage, x, y) ? pixel : PAINT);
		}
	}
}

/* Flushes all of an image that output 0 shows whole, and compares all of it. */
static void assert_shown(struct test *test, uint32_t id, uint32_t width, uint32_t height)
{
	const struct virtio_gpu_rect all = { 0, 0, width, height };

	paint(test, 0);
	flush(test, id, all, 0);
	assert_damaged(test, 0, width, all, all);
}

/* The model becomes the picture that daemon_make_image makes. */
static void model_pattern(struct test *test, uint32_t width, uint32_t height)
{
	for (uint32_t i = 0; i < width * height; i++) {
		test->model[i] = daemon_pattern(i % width, i / width) & 0xffffff;
	}
}

/* An image with the pattern, transferred, and the model of it. */
static struct fe_span make_image(struct test *test, uint32_t id)
{
	struct fe_span span = daemon_make_image(&test->daemon, id, BGRX, WIDTH, HEIGHT);

	transfer(test, id, whole(), 0);
	model_pattern(test, WIDTH, HEIGHT);
	return span;
}

static void assert_last_update(
	const struct test *test, uint32_t output, struct virtio_gpu_rect rect)
{
	const struct vmm_update *last = &test->display->outputs[output].last;

	assert_int_equal(last->output, output);
	assert_int_equal(last->x, rect.x);
	assert_int_equal(last->y, rect.y);
	assert_int_equal(last->width, rect.width);
	assert_int_equal(last->height, rect.height);
}

/* Numbers and names of 5.7.6.8; a name tells the order of the bytes in memory. */
static const struct {
	uint32_t number;
	char bytes[5];
} formats[] = {
	{ 1, "BGRA" },
	{ 2, "BGRX" },
	{ 3, "ARGB" },
	{ 4, "XRGB" },
	{ 67, "RGBA" },
	{ 68, "XBGR" },
	{ 121, "ABGR" },
	{ 134, "RGBX" },
};

/* The byte of an x8r8g8b8 colour that a letter names: A is opaque, X may be anything. */
static uint8_t channel(uint32_t colour, char letter)
{
	switch (letter) {
	case 'R':
		return (uint8_t)(colour >> 16);
	case 'G':
		return (uint8_t)(colour >> 8);
	case 'B':
		return (uint8_t)colour;
	case 'A':
		return 0xff;
	default:
		return (uint8_t)(colour * 31);
	}
}

/* Each value of each channel alone, then mixed ones. */
static uint32_t test_colour(uint32_t i)
{
	if (i < 3 * 256) {
		return i % 256 << i / 256 * 8;
	}
	return daemon_pattern(i % WIDTH, i / WIDTH) & 0xffffff;
}

static void formats_become_x8r8g8b8(void **state)
{
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct fe_span span = daemon_make_image(
			&test->daemon, IMAGE, formats[i].number, WIDTH, HEIGHT);
		uint8_t *bytes = span.host;

		for (uint32_t at = 0; at < BYTES; at++) {
			test->model[at / 4] = test_colour(at / 4);
			bytes[at] = channel(test->model[at / 4], formats[i].bytes[at % 4]);
		}
		transfer(test, IMAGE, whole(), 0);
		show(test, 0, IMAGE, whole());
		assert_shown(test, IMAGE, WIDTH, HEIGHT);
		unref_shown(test, 0, IMAGE);
		fe_memory_free(&test->gpu->memory, &span);
	}
}

/* TRANSFER_TO_HOST_2D in the model: rows of the image's own stride, from any byte on. */
static void model_transfer(
	struct test *test, const uint8_t *bytes, struct virtio_gpu_rect rect, uint64_t offset)
{
	for (uint32_t y = 0; y < rect.height; y++) {
		for (uint32_t x = 0; x < rect.width; x++) {
			const uint8_t *from = bytes + offset + (y * WIDTH + x) * 4ull;

			test->model[(rect.y + y) * WIDTH + rect.x + x] = (uint32_t)from[2] << 16 |
				(uint32_t)from[1] << 8 | from[0];
		}
	}
}

static void parts_are_transferred(void **state)
{
	static const struct {
		struct virtio_gpu_rect rect;
		uint64_t offset;
	} parts[] = {
		{ { 7, 5, 20, 11 }, (5 * WIDTH + 7) * 4 }, // from its own place, as Linux does
		{ { 0, 0, 1, 1 }, 0 }, { { WIDTH - 1, HEIGHT - 1, 1, 1 }, BYTES - 4 },
		{ { 0, 9, WIDTH, 1 }, 9 * WIDTH * 4 },
		{ { WIDTH - 1, 0, 1, HEIGHT }, (WIDTH - 1) * 4 },
		{ { 11, 3, 13, 17 }, (19 * WIDTH + 1) * 4 }, // from another place
		{ { 30, 30, 9, 7 }, 0 }, { { 2, 20, 15, 5 }, 1001 }, // from the middle of a pixel
	};
	struct test *test = *state;
	uint8_t *bytes = make_image(test, IMAGE).host;

	show(test, 0, IMAGE, whole());
	assert_shown(test, IMAGE, WIDTH, HEIGHT);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		/* All of the backing changes, a part of it is transferred. */
		for (uint32_t at = 0; at < BYTES; at++) {
			bytes[at] = (uint8_t)(bytes[at] * 5u + 77u + i);
		}
		transfer(test, IMAGE, parts[i].rect, parts[i].offset);
		model_transfer(test, bytes, parts[i].rect, parts[i].offset);
		assert_shown(test, IMAGE, WIDTH, HEIGHT);
	}
}

/* The pattern's byte that lies `at` bytes into an image of this width. */
static uint8_t pattern_byte(uint32_t at, uint32_t width)
{
	return (uint8_t)(daemon_pattern(at / 4 % width, at / 4 / width) >> at % 4 * 8);
}

/* A piece of the image lies at a guest address; it may cross regions. */
static void lay_piece(struct test *test, struct virtio_gpu_mem_entry *entry, uint64_t addr,
	uint32_t len, uint32_t done, uint32_t width)
{
	for (uint32_t i = 0; i < len; i++) {
		uint8_t *byte = fe_memory_at(&test->gpu->memory, addr + i, 1);

		assert_non_null(byte);
		*byte = pattern_byte(done + i, width);
	}
	*entry = (struct virtio_gpu_mem_entry){ .addr = addr, .length = len };
}

/* Lengths from 1 byte to about 200, hardly one of whole pixels. */
static uint32_t odd_length(uint32_t i, uint32_t left)
{
	uint32_t len = i % 5 < 3 ? i % 5 + 1 : i * 2 % 199 + 1;

	return len < left ? len : left;
}

/*
 * Lays an image of BYTES in pieces, the first one highest, with rubbish between them, below `end`.
 * Returns how many there are.
 */
static uint32_t lay_pieces(
	struct test *test, struct virtio_gpu_mem_entry *entries, uint32_t max, uint64_t end)
{
	uint32_t count = 0;

	for (uint32_t done = 0; done < BYTES; count++) {
		uint32_t len = odd_length(count, BYTES - done);

		assert_true(count < max);
		end -= len + 3;
		lay_piece(test, &entries[count], end, len, done, WIDTH);
		done += len;
	}
	return count;
}

static void attach_and_show(
	struct test *test, const struct virtio_gpu_mem_entry *entries, uint32_t count)
{
	assert_int_equal(fe_gpu_create_2d(test->gpu, IMAGE, BGRX, WIDTH, HEIGHT), OK);
	assert_int_equal(fe_gpu_attach(test->gpu, IMAGE, entries, count), OK);
	transfer(test, IMAGE, whole(), 0);
	show(test, 0, IMAGE, whole());
	model_pattern(test, WIDTH, HEIGHT);
	assert_shown(test, IMAGE, WIDTH, HEIGHT);
}

static void invert_pieces(
	struct test *test, const struct virtio_gpu_mem_entry *entries, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *bytes = fe_memory_at(
			&test->gpu->memory, entries[i].addr, entries[i].length);

		for (uint32_t at = 0; at < entries[i].length; at++) {
			bytes[at] = (uint8_t)~bytes[at];
		}
	}
}

/* A part, which begins within some piece, after invert_pieces. */
static void transfer_inverted(struct test *test, struct virtio_gpu_rect rect)
{
	transfer(test, IMAGE, rect, (rect.y * WIDTH + rect.x) * 4);
	for (uint32_t i = 0; i < PIXELS; i++) {
		if (is_inside(rect, i % WIDTH, i / WIDTH)) {
			test->model[i] = ~daemon_pattern(i % WIDTH, i / WIDTH) & 0xffffff;
		}
	}
}

static void pieces_are_put_together(void **state)
{
	struct test *test = *state;
	struct virtio_gpu_mem_entry entries[1024];
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, 4 * BYTES, 1);
	uint32_t count;

	assert_int_equal(span.size, 4 * BYTES);
	memset(span.host, RUBBISH, span.size);
	count = lay_pieces(test, entries, 1024, span.addr + span.size);
	assert_in_range(count, 100, 1024);
	attach_and_show(test, entries, count);
	invert_pieces(test, entries, count);
	for (uint32_t y = 3; y < HEIGHT - 1; y += 4) {
		transfer_inverted(test, fe_rect(y, y, 11, 2));
		assert_shown(test, IMAGE, WIDTH, HEIGHT);
	}
}

/* Adds a region that begins where the first one ends. Returns its index. */
static size_t add_region(struct test *test)
{
	struct fe_memory *memory = &test->gpu->memory;
	const struct fe_region *first = &memory->regions[0];
	int index = fe_memory_add_region(memory, first->guest_addr + first->size, REGION_SIZE);

	assert_true(index > 0);
	assert_int_equal(fe_session_add_mem_reg(&test->gpu->session, &memory->regions[index]), 0);
	return (size_t)index;
}

/* The backing of IMAGE is one piece, `before` bytes of it below the region's start. */
static void cross_border(struct test *test, size_t region, uint32_t before)
{
	uint64_t border = test->gpu->memory.regions[region].guest_addr;
	struct virtio_gpu_mem_entry entry;

	lay_piece(test, &entry, border - before, BYTES, 0, WIDTH);
	attach_and_show(test, &entry, 1);
}

static void pieces_cross_regions(void **state)
{
	static const uint32_t before[] = { 1, 401, WIDTH * 4, 4096, BYTES - 1 };
	struct test *test = *state;
	size_t region = add_region(test);

	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		cross_border(test, region, before[i]);
		unref_shown(test, 0, IMAGE);
	}
}

/* The longest list: pieces of 3 and 5 bytes, four on average, the first one highest. */
static void lay_longest(struct test *test, struct virtio_gpu_mem_entry *entries)
{
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, LONG_BYTES, 4096);
	uint64_t end = span.addr + span.size;
	uint32_t done = 0;

	assert_int_equal(span.size, LONG_BYTES);
	for (uint32_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
		uint32_t len = i % 2 ? 5 : 3;

		end -= len;
		lay_piece(test, &entries[i], end, len, done, LONG_SIDE);
		done += len;
	}
	assert_int_equal(done, LONG_BYTES);
	entries[WIRE_ENTRIES_MAX] = entries[0];
}

static void lists_have_up_to_16384_entries(void **state)
{
	static struct virtio_gpu_mem_entry entries[16384 + 1];
	const struct virtio_gpu_rect all = { 0, 0, LONG_SIDE, LONG_SIDE };
	struct test *test = *state;

	lay_longest(test, entries);
	assert_int_equal(fe_gpu_create_2d(test->gpu, IMAGE, BGRX, LONG_SIDE, LONG_SIDE), OK);
	assert_int_equal(
		fe_gpu_attach(test->gpu, IMAGE, entries, 16385), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(fe_gpu_attach(test->gpu, IMAGE, entries, 16384), OK);
	transfer(test, IMAGE, all, 0);
	show(test, 0, IMAGE, all);
	model_pattern(test, LONG_SIDE, LONG_SIDE);
	assert_shown(test, IMAGE, LONG_SIDE, LONG_SIDE);
	assert_int_equal(fe_gpu_create_blob(test->gpu, IMAGE + 1, VIRTIO_GPU_BLOB_MEM_GUEST, 0,
				 LONG_BYTES, entries, 16385),
		VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(fe_gpu_create_blob(test->gpu, IMAGE + 1, VIRTIO_GPU_BLOB_MEM_GUEST, 0,
				 LONG_BYTES, entries, 16384),
		OK);
}

/* Flushes, in the image's coordinates, over each edge of what is shown, and what remains of each. */
static void flushes_are_clipped_to_the_part(void **state)
{
	static const struct virtio_gpu_rect part = { 10, 8, 30, 20 };
	static const struct {
		struct virtio_gpu_rect flushed, damage;
	} cases[] = {
		{ { 0, 0, WIDTH, HEIGHT }, { 0, 0, 30, 20 } },
		{ { 5, 20, 10, 4 }, { 0, 12, 5, 4 } },
		{ { 35, 9, 15, 3 }, { 25, 1, 5, 3 } },
		{ { 20, 0, 3, 9 }, { 10, 0, 3, 1 } },
		{ { 20, 25, 3, 9 }, { 10, 17, 3, 3 } },
		{ { 12, 11, 6, 5 }, { 2, 3, 6, 5 } },
		{ { 39, 27, 1, 1 }, { 29, 19, 1, 1 } },
	};
	struct test *test = *state;

	make_image(test, IMAGE);
	show(test, 0, IMAGE, part);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		paint(test, 0);
		flush(test, IMAGE, cases[i].flushed, 0);
		assert_last_update(test, 0, cases[i].damage);
		assert_damaged(test, 0, WIDTH, part, cases[i].damage);
	}
	flush_unseen(test, IMAGE, fe_rect(0, 0, 10, HEIGHT));
	flush_unseen(test, IMAGE, fe_rect(0, 0, WIDTH, 8));
	flush_unseen(test, IMAGE, fe_rect(40, 0, WIDTH - 40, HEIGHT));
	flush_unseen(test, IMAGE, fe_rect(0, 28, WIDTH, HEIGHT - 28));
}

static void one_image_on_two_scanouts(void **state)
{
	static const struct virtio_gpu_rect left = { 0, 2, 30, 30 }, right = { 20, 0, 33, 37 };
	struct test *test = *state;
	struct fe_display_output *outputs = test->display->outputs;

	make_image(test, IMAGE);
	show(test, 0, IMAGE, left);
	show(test, 1, IMAGE, right);
	paint(test, 0);
	paint(test, 1);
	flush(test, IMAGE, fe_rect(18, 1, 10, 10), 0);
	assert_int_equal(fe_display_wait(&test->gpu->pump, &outputs[1].updates, 1, TIMEOUT_MS), 0);
	assert_damaged(test, 0, WIDTH, left, fe_rect(18, 0, 10, 9));
	assert_damaged(test, 1, WIDTH, right, fe_rect(0, 1, 8, 10));
	/* Only one of them shows this, then only one of them is left. */
	flush(test, IMAGE, fe_rect(40, 0, 5, 5), 1);
	assert_int_equal(fe_gpu_set_scanout(test->gpu, 1, 0, fe_rect(0, 0, 0, 0)), OK);
	flush(test, IMAGE, whole(), 0);
	fe_display_settle(test->display, &test->gpu->pump, QUIET_MS);
	assert_int_equal(outputs[0].updates, 2);
	assert_int_equal(outputs[1].updates, 2);
	assert_false(outputs[1].enabled);
}

static void assert_no_scanout(struct test *test, uint32_t scanout)
{
	const struct virtio_gpu_set_scanout_blob blob = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		.r = whole(),
		.scanout_id = scanout,
		.resource_id = IMAGE,
		.width = WIDTH,
		.height = HEIGHT,
		.format = BGRX,
		.strides = { WIDTH * 4 },
	};
	uint64_t messages = test->display->messages;

	assert_int_equal(fe_gpu_set_scanout(test->gpu, scanout, IMAGE, whole()),
		VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID);
	assert_int_equal(
		fe_gpu_set_scanout_blob(test->gpu, &blob), VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID);
	fe_display_settle(test->display, &test->gpu->pump, QUIET_MS);
	assert_int_equal(test->display->messages, messages);
}

/* Each scanout shows a part of an image of its own. */
static void there_are_16_scanouts(void **state)
{
	struct test *test = *state;

	for (uint32_t i = 0; i < SCANOUTS; i++) {
		make_image(test, IMAGE + i);
		show(test, i, IMAGE + i, fe_rect(i, 2 * i, 20 + i, 5));
		paint(test, i);
	}
	for (uint32_t i = 0; i < SCANOUTS; i++) {
		flush(test, IMAGE + i, whole(), i);
	}
	for (uint32_t i = 0; i < SCANOUTS; i++) {
		assert_int_equal(test->display->outputs[i].updates, 1);
		assert_damaged(
			test, i, WIDTH, fe_rect(i, 2 * i, 20 + i, 5), fe_rect(0, 0, 20 + i, 5));
	}
	assert_no_scanout(test, 16);
	assert_no_scanout(test, UINT32_MAX);
}

enum {
	BLOB_OFFSET = 5001, // no multiple of a pixel, nor is the stride
	BLOB_STRIDE = WIDTH * 4 + 37,
	BLOB_SIZE = 16384,
};

static_assert(BLOB_OFFSET + BLOB_STRIDE * HEIGHT <= BLOB_SIZE, "the image lies within the blob");

/* Draws the pattern, moved by `shift`, into the blob as R8G8B8X8; what is around it stays rubbish. */
static void draw_blob(uint8_t *bytes, uint32_t shift)
{
	for (uint32_t i = 0; i < PIXELS; i++) {
		uint8_t *to = bytes + BLOB_OFFSET + i / WIDTH * BLOB_STRIDE + i % WIDTH * 4;
		uint32_t colour = daemon_pattern(i % WIDTH + shift, i / WIDTH);

		to[0] = channel(colour, 'R');
		to[1] = channel(colour, 'G');
		to[2] = channel(colour, 'B');
		to[3] = RUBBISH;
	}
}

static void model_blob(struct test *test, struct virtio_gpu_rect rect, uint32_t shift)
{
	for (uint32_t i = 0; i < PIXELS; i++) {
		if (is_inside(rect, i % WIDTH, i / WIDTH)) {
			test->model[i] = daemon_pattern(i % WIDTH + shift, i / WIDTH) & 0xffffff;
		}
	}
}

static void set_scanout_blob(struct test *test, uint32_t format, uint32_t width, uint32_t height,
	uint32_t stride, uint32_t offset, struct virtio_gpu_rect part)
{
	const struct virtio_gpu_set_scanout_blob command = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		.r = part,
		.resource_id = IMAGE,
		.width = width,
		.height = height,
		.format = format,
		.strides = { stride },
		.offsets = { offset },
	};

	assert_int_equal(fe_gpu_set_scanout_blob(test->gpu, &command), OK);
}

/* A blob of this span, in two pieces that meet within a pixel. */
static void show_blob(struct test *test, const struct fe_span *span, struct virtio_gpu_rect part)
{
	const struct virtio_gpu_mem_entry entries[] = {
		{ span->addr, 7001, 0 },
		{ span->addr + 7001, BLOB_SIZE - 7001, 0 },
	};
	uint64_t before = test->display->outputs[0].scanouts;

	assert_int_equal(fe_gpu_create_blob(test->gpu, IMAGE, VIRTIO_GPU_BLOB_MEM_GUEST, 0,
				 BLOB_SIZE, entries, 2),
		OK);
	set_scanout_blob(test, RGBX, WIDTH, HEIGHT, BLOB_STRIDE, BLOB_OFFSET, part);
	wait_for_scanout(test, 0, before);
}

/* A blob is read where it is, and not before the flush: only what is flushed is read again. */
static void blobs_are_read_at_the_flush(void **state)
{
	static const struct virtio_gpu_rect part = { 3, 4, 40, 30 };
	struct test *test = *state;
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, BLOB_SIZE, 4096);

	memset(span.host, RUBBISH, BLOB_SIZE);
	show_blob(test, &span, part);
	for (uint32_t shift = 0; shift < 3; shift++) {
		draw_blob(span.host, shift);
		model_blob(test, whole(), shift);
		paint(test, 0);
		flush(test, IMAGE, whole(), 0);
		assert_damaged(test, 0, WIDTH, part, fe_rect(0, 0, 40, 30));
	}
	draw_blob(span.host, 9);
	model_blob(test, whole(), 9);
	paint(test, 0);
	flush(test, IMAGE, fe_rect(0, 10, 10, 6), 0);
	assert_damaged(test, 0, WIDTH, part, fe_rect(0, 6, 7, 6));
}

/*
 * Updates of up to 64 KiB are copied at once; larger ones are streamed, as rows of the image where
 * its format is the display's, in converted stripes where it is not. Here are rows narrower and wider
 * than a stripe, all of an image, a part, and damage of a part.
 */
static const struct {
	uint32_t width, height;
	struct virtio_gpu_rect part, flushed, damage; // damage: of part, as the display sees it
} large[] = {
	{ 701, 300, { 0, 0, 701, 300 }, { 0, 0, 701, 300 }, { 0, 0, 701, 300 } },
	{ 701, 300, { 5, 7, 690, 280 }, { 0, 0, 701, 300 }, { 0, 0, 690, 280 } },
	{ 701, 300, { 5, 7, 690, 280 }, { 30, 40, 611, 203 }, { 25, 33, 611, 203 } },
	{ 80001, 3, { 0, 0, 80001, 3 }, { 0, 0, 80001, 3 }, { 0, 0, 80001, 3 } },
	{ 80001, 3, { 3, 1, 79001, 2 }, { 9, 0, 78001, 3 }, { 6, 0, 78001, 2 } },
};

/* R8G8B8X8 where the pattern's bytes were meant as B8G8R8X8. */
static void model_swapped(struct test *test, uint32_t pixels)
{
	for (uint32_t i = 0; i < pixels; i++) {
		uint32_t pixel = test->model[i];

		test->model[i] = pixel >> 16 | (pixel & 0xff00) | (pixel & 0xff) << 16;
	}
}

static void flush_large(struct test *test, size_t i)
{
	paint(test, 0);
	flush(test, IMAGE, large[i].flushed, 0);
	assert_last_update(test, 0, large[i].damage);
	assert_damaged(test, 0, large[i].width, large[i].part, large[i].damage);
}

static void show_large_image(struct test *test, uint32_t format, size_t i)
{
	const uint32_t width = large[i].width, height = large[i].height;
	struct fe_span span = daemon_make_image(&test->daemon, IMAGE, format, width, height);

	model_pattern(test, width, height);
	if (format != BGRX) {
		model_swapped(test, width * height);
	}
	transfer(test, IMAGE, fe_rect(0, 0, width, height), 0);
	show(test, 0, IMAGE, large[i].part);
	flush_large(test, i);
	unref_shown(test, 0, IMAGE);
	fe_memory_free(&test->gpu->memory, &span);
}

static void large_images_are_streamed(void **state)
{
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
		show_large_image(test, BGRX, i);
		show_large_image(test, RGBX, i);
	}
}

/* The image lies without gaps in a blob; that rows are skipped is blobs_are_read_at_the_flush's. */
static void show_large_blob(struct test *test, uint32_t format, size_t i)
{
	const uint32_t width = large[i].width, height = large[i].height;
	struct fe_span span = fe_memory_alloc(&test->gpu->memory, width * height * 4ull, 4096);
	const struct virtio_gpu_mem_entry entry = { span.addr, (uint32_t)span.size, 0 };
	uint32_t *pixels = span.host;
	uint64_t before = test->display->outputs[0].scanouts;

	assert_non_null(pixels);
	assert_int_equal(fe_gpu_create_blob(test->gpu, IMAGE, VIRTIO_GPU_BLOB_MEM_GUEST, 0,
				 span.size, &entry, 1),
		OK);
	set_scanout_blob(test, format, width, height, width * 4, 0, large[i].part);
	wait_for_scanout(test, 0, before);
	for (uint32_t at = 0; at < width * height; at++) {
		pixels[at] = daemon_pattern(at % width, at / width);
	}
	model_pattern(test, width, height);
	if (format != BGRX) {
		model_swapped(test, width * height);
	}
	flush_large(test, i);
	unref_shown(test, 0, IMAGE);
	fe_memory_free(&test->gpu->memory, &span);
}

static void large_blobs_are_streamed(void **state)
{
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
		show_large_blob(test, BGRX, i);
		show_large_blob(test, RGBX, i);
	}
}

static void assert_cursor(const struct test *test, const struct fe_span *span)
{
	const struct fe_display_cursor *cursor = &test->display->cursor;

	assert_true(cursor->visible);
	assert_memory_equal(cursor->pixels, span->host, sizeof(cursor->pixels));
}

static void update_cursor(struct test *test, uint32_t x, uint32_t y, uint64_t shapes)
{
	const struct fe_display_cursor *cursor = &test->display->cursor;

	assert_int_equal(fe_gpu_update_cursor(test->gpu, 3, x, y, IMAGE, 11, 13), OK);
	assert_int_equal(fe_display_wait(&test->gpu->pump, &cursor->shapes, shapes, TIMEOUT_MS), 0);
	assert_int_equal(cursor->pos.output, 3);
	assert_int_equal(cursor->pos.x, x);
	assert_int_equal(cursor->pos.y, y);
	assert_int_equal(cursor->hot_x, 11);
	assert_int_equal(cursor->hot_y, 13);
}

static void move_cursor(struct test *test, uint32_t x, uint32_t y, uint64_t moves)
{
	const struct fe_display_cursor *cursor = &test->display->cursor;

	assert_int_equal(fe_gpu_move_cursor(test->gpu, 3, x, y, IMAGE), OK);
	assert_int_equal(fe_display_wait(&test->gpu->pump, &cursor->moves, moves, TIMEOUT_MS), 0);
	assert_int_equal(cursor->pos.output, 3);
	assert_int_equal(cursor->pos.x, x);
	assert_int_equal(cursor->pos.y, y);
}

/* 5.7.6.10: all four bytes of a pixel count here; a move brings no new shape, an update does. */
static void cursors_arrive_exactly(void **state)
{
	struct test *test = *state;
	struct fe_span span = daemon_make_image(&test->daemon, IMAGE, BGRA, 64, 64);
	uint32_t *pixels = span.host;

	transfer(test, IMAGE, fe_rect(0, 0, 64, 64), 0);
	update_cursor(test, 30, 940, 1);
	assert_cursor(test, &span);
	for (uint32_t i = 0; i < 64 * 64; i++) {
		pixels[i] = ~pixels[i];
	}
	transfer(test, IMAGE, fe_rect(0, 0, 64, 64), 0);
	move_cursor(test, 7, 900, 1);
	move_cursor(test, 0, 0, 2);
	assert_int_equal(test->display->cursor.shapes, 1);
	update_cursor(test, 1, 2, 2);
	assert_cursor(test, &span);
	assert_int_equal(fe_gpu_update_cursor(test->gpu, 3, 0, 0, 0, 0, 0), OK);
	assert_int_equal(
		fe_display_wait(&test->gpu->pump, &test->display->cursor.hides, 1, TIMEOUT_MS), 0);
	assert_false(test->display->cursor.visible);
}

/* The pixel of four bytes in a format as a8r8g8b8, an X read as A. */
static uint32_t as_argb(const uint8_t *bytes, const char *names)
{
	uint32_t pixel = 0;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t shift = names[i] == 'B' ? 0
			: names[i] == 'G'        ? 8
			: names[i] == 'R'        ? 16
						 : 24;

		pixel |= (uint32_t)bytes[i] << shift;
	}
	return pixel;
}

/* Linux makes its cursors in a format with X and writes alpha there, so X is alpha in a cursor. */
static void cursors_have_any_format(void **state)
{
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct fe_span span = daemon_make_image(
			&test->daemon, IMAGE, formats[i].number, 64, 64);
		const uint8_t *bytes = span.host;

		transfer(test, IMAGE, fe_rect(0, 0, 64, 64), 0);
		update_cursor(test, 1, 2, i + 1);
		for (uint32_t at = 0; at < 64 * 64; at++) {
			assert_int_equal(test->display->cursor.pixels[at],
				as_argb(bytes + at * 4, formats[i].bytes));
		}
		assert_int_equal(fe_gpu_unref(test->gpu, IMAGE), OK);
		fe_memory_free(&test->gpu->memory, &span);
	}
}

/* Leaves pixels that are not black wherever the daemon may take memory for the next image from. */
static void dirty_heap(struct test *test, uint32_t width, uint32_t height)
{
	for (uint32_t id = 100; id < 108; id++) {
		struct fe_span span = daemon_make_image(&test->daemon, id, BGRX, width, height);

		memset(span.host, RUBBISH, span.size);
		transfer(test, id, fe_rect(0, 0, width, height), 0);
		fe_memory_free(&test->gpu->memory, &span);
	}
	for (uint32_t id = 100; id < 108; id++) {
		assert_int_equal(fe_gpu_unref(test->gpu, id), OK);
	}
}

/* From one pixel to more than malloc takes from its heap. */
static void fresh_images_are_black(void **state)
{
	static const uint32_t sides[] = { 1, 3, 16, 31, 64, 128 };
	struct test *test = *state;

	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
		uint32_t side = sides[i];
		const struct virtio_gpu_rect all = { 0, 0, side, side };

		dirty_heap(test, side, side);
		memset(test->model, 0, sizeof(test->model));
		/* It has a backing that is not black, but nothing was transferred. */
		daemon_make_image(&test->daemon, IMAGE, BGRX, side, side);
		show(test, 0, IMAGE, all);
		assert_shown(test, IMAGE, side, side);
		/* One pixel comes, the others stay black. */
		transfer(test, IMAGE, fe_rect(0, 0, 1, 1), 0);
		test->model[0] = daemon_pattern(0, 0) & 0xffffff;
		assert_shown(test, IMAGE, side, side);
		unref_shown(test, 0, IMAGE);
	}
}

/* One message for a flush, with its rectangle and exactly its pixels. */
static void flush_exactly(struct test *test, struct virtio_gpu_rect rect)
{
	const struct fe_display *display = test->display;
	const struct fe_display_entry *entry;
	uint64_t bytes = display->bytes, messages = display->messages;
	const uint32_t size = sizeof(struct vmm_update) + rect.width * rect.height * 4;

	paint(test, 0);
	flush(test, IMAGE, rect, 0);
	fe_display_settle(test->display, &test->gpu->pump, 5);
	assert_int_equal(display->messages, messages + 1);
	assert_int_equal(display->bytes, bytes + sizeof(struct vmm_header) + size);
	entry = fe_display_last(display, 0);
	assert_int_equal(entry->request, VMM_UPDATE);
	assert_int_equal(entry->size, size);
	assert_last_update(test, 0, rect);
	assert_damaged(test, 0, WIDTH, whole(), rect);
}

static void only_damage_travels(void **state)
{
	struct test *test = *state;

	make_image(test, IMAGE);
	show(test, 0, IMAGE, whole());
	flush_exactly(test, whole());
	flush_exactly(test, fe_rect(0, 0, 1, 1));
	flush_exactly(test, fe_rect(WIDTH - 1, HEIGHT - 1, 1, 1));
	flush_exactly(test, fe_rect(0, 17, WIDTH, 1));
	flush_exactly(test, fe_rect(29, 0, 1, HEIGHT));
	flush_exactly(test, fe_rect(7, 5, 20, 11));
	flush_unseen(test, IMAGE, fe_rect(7, 5, 0, 11));
	flush_unseen(test, IMAGE, fe_rect(7, 5, 20, 0));
}

/* The VMM takes the region away and keeps no page of it. Returns its guest address. */
static uint64_t remove_region(struct test *test, size_t region)
{
	struct fe_memory *memory = &test->gpu->memory;
	uint64_t addr = memory->regions[region].guest_addr;

	assert_int_equal(fe_session_rem_mem_reg(&test->gpu->session, &memory->regions[region]), 0);
	fe_memory_remove_region(memory, region);
	return addr;
}

/*
 * memory/memory.h: a mapping keeps its pages when its region goes. So the image goes on from them,
 * and a new one can have no backing there.
 */
static void removed_region_stays_for_its_image(void **state)
{
	struct test *test = *state;
	size_t region = add_region(test);
	struct virtio_gpu_mem_entry entry = { .length = BYTES };

	cross_border(test, region, 401);
	entry.addr = remove_region(test, region);
	transfer(test, IMAGE, whole(), 0);
	assert_shown(test, IMAGE, WIDTH, HEIGHT);
	assert_int_equal(fe_gpu_create_2d(test->gpu, IMAGE + 1, BGRX, WIDTH, HEIGHT), OK);
	assert_int_equal(fe_gpu_attach(test->gpu, IMAGE + 1, &entry, 1),
		VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	daemon_assert_alive(&test->daemon);
	assert_int_equal(fe_gpu_detach(test->gpu, IMAGE), OK);
	assert_int_equal(
		fe_gpu_attach(test->gpu, IMAGE, &entry, 1), VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
}

/* Another region at the removed one's address is other memory: only a new list names it. */
static void region_is_replaced_under_an_image(void **state)
{
	struct test *test = *state;
	size_t region = add_region(test);
	struct virtio_gpu_mem_entry entry;
	uint64_t addr;

	cross_border(test, region, 401);
	addr = remove_region(test, region);
	region = add_region(test);
	assert_int_equal(test->gpu->memory.regions[region].guest_addr, addr);
	memset(test->gpu->memory.regions[region].host, RUBBISH, REGION_SIZE);
	transfer(test, IMAGE, whole(), 0);
	assert_shown(test, IMAGE, WIDTH, HEIGHT);
	lay_piece(test, &entry, addr + 8000, BYTES, 0, LONG_SIDE);
	assert_int_equal(fe_gpu_detach(test->gpu, IMAGE), OK);
	assert_int_equal(fe_gpu_attach(test->gpu, IMAGE, &entry, 1), OK);
	transfer(test, IMAGE, whole(), 0);
	for (uint32_t i = 0; i < PIXELS; i++) {
		test->model[i] = daemon_pattern(i % LONG_SIDE, i / LONG_SIDE) & 0xffffff;
	}
	assert_shown(test, IMAGE, WIDTH, HEIGHT);
}

/* A blob has no copy until it is flushed; its pages stay too. */
static void removed_region_stays_for_its_blob(void **state)
{
	static const struct virtio_gpu_rect part = { 0, 0, WIDTH, HEIGHT };
	struct test *test = *state;
	size_t region = add_region(test);
	struct fe_span span = fe_memory_alloc_in(&test->gpu->memory, region, BLOB_SIZE, 4096);

	assert_int_equal(span.size, BLOB_SIZE);
	draw_blob(span.host, 4);
	model_blob(test, part, 4);
	show_blob(test, &span, part);
	remove_region(test, region);
	assert_shown(test, IMAGE, WIDTH, HEIGHT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(formats_become_x8r8g8b8),
		TEST(parts_are_transferred),
		TEST(pieces_are_put_together),
		TEST(pieces_cross_regions),
		cmocka_unit_test_setup_teardown(
			lists_have_up_to_16384_entries, setup_large_requests, teardown),
		TEST(flushes_are_clipped_to_the_part),
		TEST(one_image_on_two_scanouts),
		TEST(there_are_16_scanouts),
		TEST(blobs_are_read_at_the_flush),
		TEST(large_images_are_streamed),
		TEST(large_blobs_are_streamed),
		TEST(cursors_arrive_exactly),
		TEST(cursors_have_any_format),
		TEST(fresh_images_are_black),
		TEST(only_damage_travels),
		TEST(removed_region_stays_for_its_image),
		TEST(region_is_replaced_under_an_image),
		TEST(removed_region_stays_for_its_blob),
	};

	return cmocka_run_group_tests_name("gpu_pixels", tests, NULL, NULL);
}
