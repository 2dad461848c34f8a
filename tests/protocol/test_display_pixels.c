/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support/daemon.h"

/*
 * From guest memory through the daemon to the VMM's display: each pixel is compared. In the daemon's own
 * dialect tests/protocol/test_daemon_vm.py does so with screenshots.
 */

enum {
	OK = VIRTIO_GPU_RESP_OK_NODATA,
	BGRX = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
	WIDTH = 61, // odd, so that rows begin at odd places
	HEIGHT = 43,
	IMAGE = 5,
	TIMEOUT_MS = 5000,
};

struct test {
	struct daemon daemon;
	struct fe_gpu *gpu; // of daemon
	struct fe_display *display; // of gpu
};

static int start_daemon(void **state, const char *arguments)
{
	struct test *test = calloc(1, sizeof(*test));

	assert_non_null(test);
	*state = test;
	test->gpu = &test->daemon.gpu;
	test->display = &test->gpu->display;
	daemon_start(&test->daemon, arguments, &DAEMON_VMM);
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

static void transfer(struct test *test, uint32_t id, struct virtio_gpu_rect rect, uint64_t offset)
{
	assert_int_equal(fe_gpu_transfer(test->gpu, id, rect, offset), OK);
}

static void show(struct test *test, uint32_t scanout, uint32_t id, struct virtio_gpu_rect rect)
{
	assert_int_equal(fe_gpu_set_scanout(test->gpu, scanout, id, rect), OK);
}

/* Flushes and waits until the display has `updates` of this output. */
static void flush(struct test *test, uint32_t id, struct virtio_gpu_rect rect, uint32_t output,
	uint64_t updates)
{
	assert_int_equal(fe_gpu_resource_flush(test->gpu, id, rect), OK);
	assert_int_equal(fe_display_wait(&test->gpu->pump, &test->display->outputs[output].updates,
				 updates, TIMEOUT_MS),
		0);
}

static uint32_t shown(const struct test *test, uint32_t output, uint32_t x, uint32_t y)
{
	return fe_display_pixel(test->display, output, x, y);
}

static struct virtio_gpu_rect whole(void)
{
	return fe_rect(0, 0, WIDTH, HEIGHT);
}

/* The pattern of daemon_make_image, shifted by (x, y), is all of an output. */
static void expect_pattern(const struct test *test, uint32_t output, uint32_t x, uint32_t y,
	uint32_t width, uint32_t height)
{
	for (uint32_t row = 0; row < height; row++) {
		for (uint32_t column = 0; column < width; column++) {
			assert_int_equal(shown(test, output, column, row),
				daemon_pattern(x + column, y + row) & 0xffffff);
		}
	}
}

/* Where red, green and blue lie in a pixel's four bytes, by the formats' names (5.7.6.8). */
static const struct {
	uint32_t format;
	uint8_t red, green, blue;
} formats[] = {
	{ VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 2, 1, 0 },
	{ VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 2, 1, 0 },
	{ VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, 1, 2, 3 },
	{ VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, 1, 2, 3 },
	{ VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, 0, 1, 2 },
	{ VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, 3, 2, 1 },
	{ VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, 3, 2, 1 },
	{ VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, 0, 1, 2 },
};

static void formats_are_converted(void **state)
{
	struct test *test = *state;

	for (uint32_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct fe_span span = daemon_make_image(
			&test->daemon, IMAGE, formats[i].format, WIDTH, HEIGHT);
		const uint8_t *bytes = span.host;

		transfer(test, IMAGE, whole(), 0);
		show(test, 0, IMAGE, whole());
		flush(test, IMAGE, whole(), 0, i + 1);
		for (uint32_t at = 0; at < WIDTH * HEIGHT; at++) {
			const uint8_t *pixel = bytes + at * 4;

			assert_int_equal(shown(test, 0, at % WIDTH, at / WIDTH),
				(uint32_t)pixel[formats[i].red] << 16 |
					(uint32_t)pixel[formats[i].green] << 8 |
					pixel[formats[i].blue]);
		}
		assert_int_equal(fe_gpu_unref(test->gpu, IMAGE), OK);
	}
}

/* 5.7.6.8, TRANSFER_TO_HOST_2D: rows of the image's own stride, from the offset on. */
static void parts_are_transferred(void **state)
{
	static const struct virtio_gpu_rect part = { 7, 5, 20, 11 };
	struct test *test = *state;
	struct fe_span span = daemon_make_image(&test->daemon, IMAGE, BGRX, WIDTH, HEIGHT);
	uint32_t *pixels = span.host;

	transfer(test, IMAGE, whole(), 0);
	show(test, 0, IMAGE, whole());
	flush(test, IMAGE, whole(), 0, 1);
	expect_pattern(test, 0, 0, 0, WIDTH, HEIGHT);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		pixels[i] = ~pixels[i];
	}
	transfer(test, IMAGE, part, (part.y * WIDTH + part.x) * 4);
	flush(test, IMAGE, whole(), 0, 2);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		uint32_t x = i % WIDTH, y = i / WIDTH;
		bool inside = x >= part.x && x < part.x + part.width && y >= part.y &&
			y < part.y + part.height;
		uint32_t pattern = daemon_pattern(x, y);

		assert_int_equal(shown(test, 0, x, y), (inside ? ~pattern : pattern) & 0xffffff);
	}
}

/* Only damage travels: the message's rectangle is that of the flush, clipped to what is shown. */
static void damage_alone_travels(void **state)
{
	struct test *test = *state;
	const struct vmm_update *last = &test->display->outputs[0].last;

	daemon_make_image(&test->daemon, IMAGE, BGRX, WIDTH, HEIGHT);
	transfer(test, IMAGE, whole(), 0);
	show(test, 0, IMAGE, fe_rect(10, 8, 30, 20));
	flush(test, IMAGE, whole(), 0, 1);
	assert_int_equal(test->display->outputs[0].width, 30);
	assert_int_equal(test->display->outputs[0].height, 20);
	assert_int_equal(last->width * last->height, 30 * 20);
	expect_pattern(test, 0, 10, 8, 30, 20);
	flush(test, IMAGE, fe_rect(5, 20, 10, 4), 0, 2);
	assert_int_equal(last->x, 0);
	assert_int_equal(last->y, 12);
	assert_int_equal(last->width, 5);
	assert_int_equal(last->height, 4);
	/* Nothing of it is shown: nothing travels. */
	assert_int_equal(fe_gpu_resource_flush(test->gpu, IMAGE, fe_rect(0, 0, 10, 8)), OK);
	fe_display_settle(test->display, &test->gpu->pump, 50);
	assert_int_equal(test->display->outputs[0].updates, 2);
}

/* All sixteen scanouts, each with its own part of one resource. */
static void one_resource_fills_all_scanouts(void **state)
{
	struct test *test = *state;

	daemon_make_image(&test->daemon, IMAGE, BGRX, WIDTH, HEIGHT);
	transfer(test, IMAGE, whole(), 0);
	for (uint32_t i = 0; i < 16; i++) {
		show(test, i, IMAGE, fe_rect(i, 2 * i, 40, 10));
	}
	flush(test, IMAGE, whole(), 15, 1);
	for (uint32_t i = 0; i < 16; i++) {
		assert_int_equal(test->display->outputs[i].updates, 1);
		expect_pattern(test, i, i, 2 * i, 40, 10);
	}
}

/* Pieces of odd sizes, in another order than in memory, and over the border of two regions. */
static void scatter_lists_are_put_together(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = test->gpu;
	const struct fe_region *first = &gpu->memory.regions[0];
	uint64_t border = first->guest_addr + first->size;
	int second = fe_memory_add_region(&gpu->memory, border, 1 << 20);
	struct virtio_gpu_mem_entry entries[64];
	uint32_t count = 0, done = 0;
	const uint32_t total = WIDTH * HEIGHT * 4;

	assert_true(second > 0);
	assert_int_equal(fe_session_add_mem_reg(&gpu->session, &gpu->memory.regions[second]), 0);
	assert_int_equal(fe_gpu_create_2d(gpu, IMAGE, BGRX, WIDTH, HEIGHT), OK);
	/* The first piece crosses the border; the others lie backwards behind it. */
	for (uint64_t at = 500000; done < total; count++) {
		uint32_t len = count == 0 ? 1001 : 211 + 2 * count;

		len = len < total - done ? len : total - done;
		at -= len;
		entries[count].addr = count == 0 ? border - 400 : border + at;
		entries[count].length = len;
		entries[count].padding = 0;
		for (uint32_t i = 0; i < len; i++, done++) {
			uint32_t pixel = daemon_pattern(done / 4 % WIDTH, done / 4 / WIDTH);
			uint8_t *byte = fe_memory_at(&gpu->memory, entries[count].addr + i, 1);

			*byte = (uint8_t)(pixel >> done % 4 * 8);
		}
	}
	assert_true(count > 16 && count <= 64);
	assert_int_equal(fe_gpu_attach(gpu, IMAGE, entries, count), OK);
	transfer(test, IMAGE, whole(), 0);
	show(test, 0, IMAGE, whole());
	flush(test, IMAGE, whole(), 0, 1);
	expect_pattern(test, 0, 0, 0, WIDTH, HEIGHT);
	/* The region goes, and with it nothing: a mapping keeps its pages. */
	assert_int_equal(fe_session_rem_mem_reg(&gpu->session, &gpu->memory.regions[second]), 0);
	transfer(test, IMAGE, whole(), 0);
	flush(test, IMAGE, whole(), 0, 2);
	expect_pattern(test, 0, 0, 0, WIDTH, HEIGHT);
}

static void lists_have_up_to_16384_entries(void **state)
{
	struct test *test = *state;
	struct fe_gpu *gpu = test->gpu;
	static struct virtio_gpu_mem_entry entries[WIRE_ENTRIES_MAX + 1];
	struct fe_span span = fe_memory_alloc(&gpu->memory, 128 * 128 * 4, 4096);
	uint32_t *pixels = span.host;

	/* One pixel an entry, the last one first. */
	for (uint32_t i = 0; i < WIRE_ENTRIES_MAX; i++) {
		uint32_t at = WIRE_ENTRIES_MAX - 1 - i;

		entries[i] = (struct virtio_gpu_mem_entry){ span.addr + at * 4ull, 4, 0 };
		pixels[at] = daemon_pattern(i % 128, i / 128);
	}
	entries[WIRE_ENTRIES_MAX] = entries[0];
	assert_int_equal(fe_gpu_create_2d(gpu, IMAGE, BGRX, 128, 128), OK);
	assert_int_equal(fe_gpu_attach(gpu, IMAGE, entries, WIRE_ENTRIES_MAX + 1),
		VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(fe_gpu_attach(gpu, IMAGE, entries, WIRE_ENTRIES_MAX), OK);
	transfer(test, IMAGE, fe_rect(0, 0, 128, 128), 0);
	show(test, 0, IMAGE, fe_rect(0, 0, 128, 128));
	flush(test, IMAGE, fe_rect(0, 0, 128, 128), 0, 1);
	expect_pattern(test, 0, 0, 0, 128, 128);
}

/* A guest's blob is read where it is, at the flush, by the stride and offset of SET_SCANOUT_BLOB. */
static void blobs_are_shown_as_they_are(void **state)
{
	enum {
		STRIDE = 300,
		OFFSET = 52
	};
	struct test *test = *state;
	struct fe_gpu *gpu = test->gpu;
	struct fe_span span = fe_memory_alloc(&gpu->memory, 16384, 4096);
	const struct virtio_gpu_mem_entry entry = { span.addr, 16384, 0 };
	const struct virtio_gpu_set_scanout_blob command = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		.r = whole(),
		.resource_id = IMAGE,
		.width = WIDTH,
		.height = HEIGHT,
		.format = BGRX,
		.strides = { STRIDE },
		.offsets = { OFFSET },
	};

	assert_int_equal(
		fe_gpu_create_blob(gpu, IMAGE, VIRTIO_GPU_BLOB_MEM_GUEST, 0, 16384, &entry, 1), OK);
	assert_int_equal(fe_gpu_set_scanout_blob(gpu, &command), OK);
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
			uint32_t x = i % WIDTH, y = i / WIDTH;
			uint32_t pixel = daemon_pattern(x + round, y);

			memcpy((uint8_t *)span.host + OFFSET + y * STRIDE + x * 4, &pixel, 4);
		}
		flush(test, IMAGE, whole(), 0, round + 1);
		expect_pattern(test, 0, round, 0, WIDTH, HEIGHT);
	}
}

/* Bounds: "fresh resources show no old heap". */
static void fresh_images_are_black(void **state)
{
	struct test *test = *state;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t size = 32u << i;

		/* What was there before was not black. */
		daemon_make_image(&test->daemon, 1, BGRX, size, size);
		transfer(test, 1, fe_rect(0, 0, size, size), 0);
		assert_int_equal(fe_gpu_unref(test->gpu, 1), OK);
		assert_int_equal(fe_gpu_create_2d(test->gpu, 2, BGRX, size, size), OK);
		show(test, 0, 2, fe_rect(0, 0, size, size));
		flush(test, 2, fe_rect(0, 0, size, size), 0, i + 1);
		for (uint32_t at = 0; at < size * size; at++) {
			assert_int_equal(shown(test, 0, at % size, at / size), 0);
		}
		assert_int_equal(fe_gpu_unref(test->gpu, 2), OK);
	}
}

/* 5.7.6.10: shape, hot spot and place; a resource that changes afterwards changes no cursor. */
static void cursors_arrive_exactly(void **state)
{
	struct test *test = *state;
	const struct fe_display_cursor *cursor = &test->display->cursor;

	daemon_make_image(&test->daemon, IMAGE, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 64);
	transfer(test, IMAGE, fe_rect(0, 0, 64, 64), 0);
	assert_int_equal(fe_gpu_update_cursor(test->gpu, 2, 30, 40, IMAGE, 5, 6), OK);
	assert_int_equal(fe_display_wait(&test->gpu->pump, &cursor->shapes, 1, TIMEOUT_MS), 0);
	assert_true(cursor->visible);
	assert_int_equal(cursor->pos.x, 30);
	assert_int_equal(cursor->pos.y, 40);
	assert_int_equal(cursor->hot_x, 5);
	assert_int_equal(cursor->hot_y, 6);
	for (uint32_t i = 0; i < 64 * 64; i++) {
		assert_int_equal(cursor->pixels[i], daemon_pattern(i % 64, i / 64));
	}
	assert_int_equal(fe_gpu_unref(test->gpu, IMAGE), OK);
	assert_int_equal(fe_gpu_move_cursor(test->gpu, 2, 7, 9, 0), OK);
	assert_int_equal(fe_display_wait(&test->gpu->pump, &cursor->moves, 1, TIMEOUT_MS), 0);
	assert_int_equal(cursor->pos.x, 7);
	assert_int_equal(cursor->pos.y, 9);
	assert_int_equal(cursor->shapes, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(formats_are_converted),
		TEST(parts_are_transferred),
		TEST(damage_alone_travels),
		TEST(one_resource_fills_all_scanouts),
		TEST(scatter_lists_are_put_together),
		cmocka_unit_test_setup_teardown(
			lists_have_up_to_16384_entries, setup_large_requests, teardown),
		TEST(blobs_are_shown_as_they_are),
		TEST(fresh_images_are_black),
		TEST(cursors_arrive_exactly),
	};

	return cmocka_run_group_tests_name("display_pixels", tests, NULL, NULL);
}
