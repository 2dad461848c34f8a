/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <drm_fourcc.h>
#include <errno.h>

#include "base/loop.h"
#include "display/headless/headless.h"

struct fixture {
	struct loop *loop;
	struct display *display;
	uint32_t changes;
	uint32_t others; // calls that a headless display never makes
};

static void note_modes(void *data)
{
	((struct fixture *)data)->changes++;
}

static void note_info(void *data, uint64_t token, const struct display_info *info)
{
	(void)token;
	(void)info;
	((struct fixture *)data)->others++;
}

static void note_edid(void *data, uint64_t token, const struct display_edid *edid)
{
	(void)token;
	(void)edid;
	((struct fixture *)data)->others++;
}

static void note_done(void *data, uint64_t token)
{
	(void)token;
	((struct fixture *)data)->others++;
}

static void note_lost(void *data)
{
	((struct fixture *)data)->others++;
}

static const struct display_listener_ops listener = {
	.modes_changed = note_modes,
	.info_ready = note_info,
	.edid_ready = note_edid,
	.frame_done = note_done,
	.lost = note_lost,
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct headless_config config = { .outputs = 2, .width = 1280, .height = 800 };

	fixture = (struct fixture){ .loop = loop_create() };
	config.loop = fixture.loop;
	fixture.display = headless_display_create(&config);
	display_set_listener(fixture.display, &listener, &fixture);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	display_destroy(fixture->display);
	loop_destroy(fixture->loop);
	return fixture->others == 0 ? 0 : -1;
}

static void modes_are_told(void **state)
{
	struct fixture *fixture = *state;
	struct display_info info;
	struct display_edid edid;

	assert_string_equal(display_name(fixture->display), "headless");
	assert_true(display_owns_outputs(fixture->display));
	assert_int_equal(display_query_info(fixture->display, 1, &info), 0);
	for (uint32_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		assert_int_equal(info.outputs[i].enabled, i < 2);
		assert_int_equal(info.outputs[i].rect.x, i == 1 ? 1280 : 0);
		assert_int_equal(info.outputs[i].rect.width, i < 2 ? 1280 : 0);
		assert_int_equal(info.outputs[i].rect.height, i < 2 ? 800 : 0);
	}
	assert_int_equal(display_query_edid(fixture->display, 1, 2, &edid), 0);
	assert_int_equal(edid.size, 128);
	assert_int_equal(edid.bytes[12], 2); // its own
	assert_int_equal(edid.bytes[56] | (edid.bytes[58] & 0xf0) << 4, 1280);
	assert_int_equal(display_query_edid(fixture->display, 2, 3, &edid), -EINVAL);
}

static void resize_tells_at_the_end_of_the_turn(void **state)
{
	struct fixture *fixture = *state;
	struct display_info info;
	struct display_edid edid;

	assert_int_equal(display_resize(fixture->display, 0, 640, 480), 0);
	assert_int_equal(display_resize(fixture->display, 1, 0, 0), 0);
	assert_int_equal(fixture->changes, 0);
	loop_run_once(fixture->loop, false);
	assert_int_equal(fixture->changes, 1);
	display_query_info(fixture->display, 1, &info);
	assert_int_equal(info.outputs[0].rect.width, 640);
	assert_int_equal(info.outputs[0].rect.height, 480);
	assert_false(info.outputs[1].enabled);
	assert_int_equal(info.outputs[1].rect.x, 640);
	display_query_edid(fixture->display, 0, 2, &edid);
	assert_int_equal(edid.bytes[56] | (edid.bytes[58] & 0xf0) << 4, 640);

	/* On again. */
	assert_int_equal(display_resize(fixture->display, 1, 16384, 16384), 0);
	loop_run_once(fixture->loop, false);
	assert_int_equal(fixture->changes, 2);
	display_query_info(fixture->display, 1, &info);
	assert_true(info.outputs[1].enabled);
	assert_int_equal(info.outputs[1].rect.height, 16384);
}

static void impossible_sizes_are_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(display_resize(fixture->display, 2, 640, 480), -EINVAL);
	assert_int_equal(display_resize(fixture->display, UINT32_MAX, 640, 480), -EINVAL);
	assert_int_equal(display_resize(fixture->display, 0, 640, 0), -EINVAL);
	assert_int_equal(display_resize(fixture->display, 0, 0, 480), -EINVAL);
	assert_int_equal(display_resize(fixture->display, 0, 16385, 480), -EINVAL);
	assert_int_equal(display_resize(fixture->display, 0, 640, 16385), -EINVAL);
	loop_run_once(fixture->loop, false);
	assert_int_equal(fixture->changes, 0);
}

static void frames_are_kept(void **state)
{
	struct fixture *fixture = *state;
	const struct rect part = { 1, 2, 3, 4 };
	const struct display_cursor cursor = { NULL, 1, 2, 3, 4 };
	uint8_t *pixels;
	size_t stride;
	struct frame *frame = frame_create_private(8, 8, DRM_FORMAT_XRGB8888, &pixels, &stride);

	display_set_frame(fixture->display, 1, frame, &part);
	assert_int_equal(frame->refs, 2);
	display_set_frame(fixture->display, 1, frame, &part);
	assert_int_equal(frame->refs, 2);
	assert_int_equal(display_flush(fixture->display, 1, &part, 7), 0);
	display_set_cursor(fixture->display, 1, &cursor);
	display_move_cursor(fixture->display, 1, 4, 5);
	display_set_frame(fixture->display, 0, frame, &part);
	display_set_frame(fixture->display, 1, NULL, NULL);
	assert_int_equal(frame->refs, 2);
	display_destroy(fixture->display);
	fixture->display = NULL;
	assert_int_equal(frame->refs, 1);
	frame_unref(frame);
}

/* Who resizes and leaves hears nothing more. */
static void destroy_forgets_the_change(void **state)
{
	struct fixture *fixture = *state;

	display_resize(fixture->display, 0, 640, 480);
	display_destroy(fixture->display);
	fixture->display = NULL;
	loop_run_once(fixture->loop, false);
	assert_int_equal(fixture->changes, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(modes_are_told),
		T(resize_tells_at_the_end_of_the_turn),
		T(impossible_sizes_are_refused),
		T(frames_are_kept),
		T(destroy_forgets_the_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
