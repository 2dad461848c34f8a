/* SPDX-License-Identifier: MIT */
/* The soft renderer by itself: what gpu/ checks before it is not checked here. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "render/null/null.h"
#include "render/soft/soft.h"
#include "support/array_memory.h"

#define ADDR UINT64_C(0x10000)
#define SIZE (1u << 20)

struct room {
	struct memory *memory;
	uint8_t *bytes;
	struct renderer *renderer;
};

static void unexpected_done(void *data, uint64_t token, int result)
{
	(void)data;
	(void)token;
	(void)result;
	fail();
}

static void unexpected_lost(void *data)
{
	(void)data;
	fail();
}

static const struct render_listener_ops listener = { unexpected_done, unexpected_lost };

static int setup(void **state)
{
	struct room *room = calloc(1, sizeof(*room));

	assert_non_null(room);
	room->memory = array_memory_create();
	room->bytes = array_memory_add(room->memory, ADDR, SIZE);
	for (uint32_t i = 0; i < SIZE; i++) {
		room->bytes[i] = (uint8_t)(i * 2654435761u >> 23);
	}
	room->renderer = soft_renderer_create(room->memory, &listener, NULL);
	*state = room;
	return 0;
}

static int teardown(void **state)
{
	struct room *room = *state;

	renderer_destroy(room->renderer);
	assert_int_equal(array_memory_mapped(), 0);
	memory_destroy(room->memory);
	free(room);
	return 0;
}

static struct render_resource *image(struct room *room, uint32_t width, uint32_t height)
{
	const struct render_image_info info = { width, height, DRM_FORMAT_XRGB8888 };
	struct render_resource *resource = NULL;

	assert_int_equal(render_create_image(room->renderer, &info, &resource), 0);
	return resource;
}

/* Attaches pieces of the given lengths that lie one byte apart. Returns the bytes in one piece. */
static uint8_t *attach_pieces(
	struct room *room, struct render_resource *resource, size_t piece, size_t count)
{
	struct memory_span *spans = calloc(count, sizeof(*spans));
	uint8_t *whole = malloc(piece * count);

	assert_non_null(spans);
	assert_non_null(whole);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(
			memory_resolve(room->memory, ADDR + i * (piece + 1), piece, &spans[i], 1),
			1);
		memcpy(whole + i * piece, room->bytes + i * (piece + 1), piece);
	}
	assert_int_equal(render_attach_backing(resource, spans, count, 0), 0);
	free(spans);
	return whole;
}

static void check_pixels(struct render_resource *resource, const struct rect *rect,
	const uint8_t *want, size_t stride)
{
	struct frame *frame = render_get_frame(resource, NULL);
	struct frame_view view;

	assert_non_null(frame);
	assert_int_equal(frame_begin_read(frame, rect, &view), 0);
	for (uint32_t y = 0; y < rect->height; y++) {
		assert_memory_equal(
			view.pixels + y * view.stride, want + y * stride, (size_t)rect->width * 4);
	}
	frame_end_read(frame);
	frame_unref(frame);
}

/* Every cut of pieces against every kind of rectangle, on both sides of the search by halves. */
static void transfers_walk_the_pieces(void **state)
{
	static const size_t pieces[] = { 1, 3, 4, 7, 63, 64, 65, 100, 1023, 4096 };
	static const struct render_transfer transfers[] = {
		{ { 0, 0, 16, 16 }, 0 },
		{ { 0, 0, 16, 16 }, 1 },
		{ { 0, 3, 16, 5 }, 3 * 64 },
		{ { 5, 3, 7, 9 }, 3 * 64 + 20 },
		{ { 15, 15, 1, 1 }, 1020 },
		{ { 15, 15, 1, 1 }, 1023 },
		{ { 1, 1, 1, 1 }, 0 },
		{ { 2, 0, 3, 16 }, 17 },
	};
	struct room *room = *state;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		for (size_t j = 0; j < sizeof(transfers) / sizeof(transfers[0]); j++) {
			const struct render_transfer *transfer = &transfers[j];
			struct render_resource *resource = image(room, 16, 16);
			uint8_t *whole = attach_pieces(
				room, resource, pieces[i], 1040 / pieces[i] + 1);

			assert_int_equal(render_transfer_to_host(resource, transfer, 0), 0);
			check_pixels(resource, &transfer->rect, whole + transfer->offset, 64);
			free(whole);
			assert_int_equal(render_resource_destroy(resource, 0), 0);
		}
	}
}

static void transfers_end_with_the_backing(void **state)
{
	struct room *room = *state;
	struct render_resource *resource = image(room, 16, 16);
	const struct render_transfer whole = { { 0, 0, 16, 16 }, 0 };
	const struct render_transfer beyond[] = {
		{ { 0, 0, 16, 16 }, 1 },
		{ { 0, 0, 1, 1 }, 1021 },
		{ { 0, 0, 1, 1 }, UINT64_MAX },
		{ { 0, 0, 1, 2 }, UINT64_MAX - 63 },
		{ { 0, 0, 1, 16 }, 1024 - 15 * 64 - 3 },
	};

	assert_int_equal(render_transfer_to_host(resource, &whole, 0), -EINVAL);
	free(attach_pieces(room, resource, 64, 16));
	assert_int_equal(render_transfer_to_host(resource, &whole, 0), 0);
	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		assert_int_equal(render_transfer_to_host(resource, &beyond[i], 0), -EINVAL);
	}
	assert_int_equal(render_detach_backing(resource, 0), 0);
	assert_int_equal(render_transfer_to_host(resource, &whole, 0), -EINVAL);
	assert_int_equal(render_resource_destroy(resource, 0), 0);
}

static void a_frame_outlives_its_image(void **state)
{
	struct room *room = *state;
	struct render_resource *resource = image(room, 16, 16);
	const struct render_transfer whole = { { 0, 0, 16, 16 }, 0 };
	uint8_t *bytes = attach_pieces(room, resource, 1024, 1);
	struct frame *frame = render_get_frame(resource, NULL);
	struct frame_view view;

	/* It shows what comes later, too. */
	assert_int_equal(render_transfer_to_host(resource, &whole, 0), 0);
	assert_int_equal(render_resource_destroy(resource, 0), 0);
	assert_int_equal(frame_begin_read(frame, &whole.rect, &view), 0);
	assert_memory_equal(view.pixels, bytes, 1024);
	frame_end_read(frame);
	frame_unref(frame);
	free(bytes);
}

static void a_blob_frame_refreshes_what_is_read(void **state)
{
	struct room *room = *state;
	const struct render_blob_info info = { .size = 65536 };
	const struct render_blob_layout layout = { 8, 8, DRM_FORMAT_XRGB8888, 100, 10 };
	const struct render_transfer transfer = { { 0, 0, 1, 1 }, 0 };
	const struct rect whole = { 0, 0, 8, 8 }, part = { 2, 3, 4, 2 };
	struct render_resource *resource;
	struct memory_span span;
	struct frame *frame;
	struct frame_view view;

	assert_int_equal(render_create_blob(room->renderer, &info, &resource), 0);
	frame = render_get_frame(resource, &layout);
	/* Without memory it is black. */
	assert_int_equal(frame_begin_read(frame, &whole, &view), 0);
	assert_int_equal(view.pixels[7 * view.stride + 31], 0);
	frame_end_read(frame);
	assert_int_equal(memory_resolve(room->memory, ADDR, 65536, &span, 1), 1);
	assert_int_equal(render_attach_backing(resource, &span, 1, 0), 0);
	assert_int_equal(render_transfer_to_host(resource, &transfer, 0), -ENOTSUP);
	assert_int_equal(frame_begin_read(frame, &part, &view), 0);
	for (uint32_t y = 0; y < 2; y++) {
		assert_memory_equal(
			view.pixels + y * view.stride, room->bytes + 10 + (3 + y) * 100 + 8, 16);
	}
	frame_end_read(frame);
	/* The blob goes: the frame keeps what was read, and only that. */
	assert_int_equal(render_resource_destroy(resource, 0), 0);
	assert_int_equal(array_memory_mapped(), 0);
	assert_int_equal(frame_begin_read(frame, &whole, &view), 0);
	assert_memory_equal(view.pixels + 3 * view.stride + 8, room->bytes + 10 + 308, 16);
	assert_int_equal(view.pixels[0], 0);
	assert_int_equal(view.pixels[3 * view.stride + 24], 0);
	frame_end_read(frame);
	frame_unref(frame);
}

static void stale_spans_are_refused(void **state)
{
	struct room *room = *state;
	struct render_resource *resource = image(room, 1, 1);
	const struct memory_span span = { .region_id = 4711, .offset = 0, .len = 64 };

	assert_int_equal(render_attach_backing(resource, &span, 1, 0), -EFAULT);
	free(attach_pieces(room, resource, 64, 1));
	assert_int_equal(render_resource_destroy(resource, 0), 0);
}

static void the_null_renderer_has_no_frames(void **state)
{
	struct renderer *renderer = null_renderer_create(&listener, NULL);
	const struct render_image_info info = { 1, 1, DRM_FORMAT_XRGB8888 };
	struct render_resource *resource;

	(void)state;
	assert_int_equal(render_create_image(renderer, &info, &resource), 0);
	assert_null(render_get_frame(resource, NULL));
	assert_int_equal(errno, ENOTSUP);
	assert_int_equal(render_resource_destroy(resource, 0), 0);
	renderer_destroy(renderer);
	renderer_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(transfers_walk_the_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(transfers_end_with_the_backing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_frame_outlives_its_image, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_blob_frame_refreshes_what_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(stale_spans_are_refused, setup, teardown),
		cmocka_unit_test(the_null_renderer_has_no_frames),
	};

	return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
