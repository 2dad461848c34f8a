/* SPDX-License-Identifier: MIT */
#include "frontend/display.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

struct fixture {
	struct fe_display display;
	struct fe_pump pump;
	int peer; // the back end's end
};

static int setup(void **state)
{
	static struct fixture fixture;

	fixture.pump.count = 0;
	fe_display_init(&fixture.display);
	fe_display_attach(&fixture.display, &fixture.pump);
	fixture.peer = fe_display_open(&fixture.display);
	assert_true(fixture.peer >= 0);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fe_display_finish(&fixture->display);
	fd_close(&fixture->peer);
	return 0;
}

static void say(struct fixture *fixture, uint32_t request, const void *bytes, uint32_t size)
{
	struct vmm_header header = { request, 0, size };

	assert_int_equal(write(fixture->peer, &header, sizeof(header)), sizeof(header));
	if (size > 0) {
		assert_int_equal(write(fixture->peer, bytes, size), size);
	}
}

static void show(struct fixture *fixture, uint32_t width, uint32_t height)
{
	struct vmm_scanout scanout = { 0, width, height };

	say(fixture, VMM_SCANOUT, &scanout, sizeof(scanout));
}

/* An UPDATE whose pixels are 100, 101, ... */
static void update(struct fixture *fixture, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	struct {
		struct vmm_update head;
		uint32_t pixels[64];
	} message = { .head = { 0, x, y, width, height } };

	for (uint32_t i = 0; i < width * height; i++) {
		message.pixels[i] = 100 + i;
	}
	say(fixture, VMM_UPDATE, &message,
		(uint32_t)(sizeof(message.head) + width * height * sizeof(uint32_t)));
}

static void test_questions_are_answered(void **state)
{
	struct fixture *fixture = *state;
	struct vmm_header header;
	struct virtio_gpu_resp_display_info info;

	say(fixture, VMM_GET_DISPLAY_INFO, NULL, 0);
	fe_display_serve(&fixture->display);
	assert_int_equal(read(fixture->peer, &header, sizeof(header)), sizeof(header));
	assert_int_equal(read(fixture->peer, &info, sizeof(info)), sizeof(info));
	assert_int_equal(header.request, VMM_GET_DISPLAY_INFO);
	assert_int_equal(header.flags, VMM_FLAG_REPLY);
	assert_int_equal(header.size, 408);
	assert_int_equal(info.pmodes[0].r.width, 1024);
	assert_int_equal(info.pmodes[1].enabled, 0);
}

static void test_updates_are_drawn(void **state)
{
	struct fixture *fixture = *state;
	struct fe_display *display = &fixture->display;

	show(fixture, 8, 8);
	update(fixture, 2, 3, 4, 2);
	fe_display_serve(display);
	assert_int_equal(display->outputs[0].updates, 1);
	assert_int_equal(fe_display_pixel(display, 0, 2, 3), 100);
	assert_int_equal(fe_display_pixel(display, 0, 5, 4), 107);
	assert_int_equal(fe_display_pixel(display, 0, 1, 3), 0);
	assert_int_equal(fe_display_pixel(display, 0, 8, 0), UINT32_MAX);
	assert_int_equal(display->violations, 0);
	assert_int_equal(fe_display_last(display, 0)->request, VMM_UPDATE);
	assert_int_equal(fe_display_last(display, 0)->words[1], 2);
	assert_int_equal(fe_display_last(display, 1)->request, VMM_SCANOUT);
	assert_null(fe_display_last(display, 2));
}

static void test_pieces_become_one_message(void **state)
{
	struct fixture *fixture = *state;
	struct vmm_header header = { VMM_SCANOUT, 0, sizeof(struct vmm_scanout) };
	struct vmm_scanout scanout = { 0, 3, 4 };
	uint8_t bytes[sizeof(header) + sizeof(scanout)];

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &scanout, sizeof(scanout));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(fixture->display.messages, 0);
		assert_int_equal(write(fixture->peer, bytes + i, 1), 1);
		fe_display_serve(&fixture->display);
	}
	assert_int_equal(fixture->display.outputs[0].width, 3);
	assert_int_equal(fixture->display.outputs[0].height, 4);
}

static void test_broken_rules_are_counted(void **state)
{
	struct fixture *fixture = *state;
	struct fe_display *display = &fixture->display;

	update(fixture, 0, 0, 1, 1); // before any SCANOUT
	show(fixture, 4, 4);
	update(fixture, 3, 0, 2, 1); // beyond the edge
	update(fixture, UINT32_MAX, 0, 2, 1); // wraps
	say(fixture, VMM_SCANOUT, "1234", 4); // too short
	struct vmm_update head = { 0, 0, 0, 2, 2 };
	say(fixture, VMM_UPDATE, &head, sizeof(head)); // without its pixels
	fe_display_serve(display);
	assert_int_equal(display->violations, 5);
	assert_string_equal(display->violation, "request 8: output is off");
	assert_int_equal(display->outputs[0].updates, 0);
}

static void test_silence_and_delay(void **state)
{
	struct fixture *fixture = *state;
	struct fe_display *display = &fixture->display;
	uint8_t byte[2048];

	display->silent = 1u << VMM_GET_DISPLAY_INFO;
	display->delay_ms = 30;
	say(fixture, VMM_GET_DISPLAY_INFO, NULL, 0);
	say(fixture, VMM_GET_PROTOCOL_FEATURES, NULL, 0);
	uint64_t before = fe_now_ns();
	fe_display_serve(display);
	assert_true(recv(fixture->peer, byte, sizeof(byte), MSG_DONTWAIT) < 0);
	assert_int_equal(fe_pump_wait(&fixture->pump, fixture->peer, 2000), 0);
	assert_true(fe_now_ns() - before >= 30000000);
	// only the second question was answered
	assert_int_equal(recv(fixture->peer, byte, sizeof(byte), MSG_DONTWAIT), 12 + 8);
}

static void test_paused_display_reads_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fe_display *display = &fixture->display;

	display->paused = true;
	show(fixture, 4, 4);
	fe_pump_wait(&fixture->pump, -1, 20);
	assert_int_equal(display->messages, 0);
	display->paused = false;
	assert_int_equal(
		fe_display_wait(&fixture->pump, &display->outputs[0].scanouts, 1, 2000), 0);
}

static void test_hang_up_is_noticed(void **state)
{
	struct fixture *fixture = *state;

	fd_close(&fixture->peer);
	fe_display_serve(&fixture->display);
	assert_true(fixture->display.closed);
	assert_int_equal(fixture->display.socket, -1);
}

static void test_cursor(void **state)
{
	struct fixture *fixture = *state;
	struct fe_display_cursor *cursor = &fixture->display.cursor;
	static struct vmm_cursor_update shape = { .pos = { 0, 5, 6 }, .hot_x = 1, .hot_y = 2 };
	struct vmm_cursor_pos pos = { 0, 7, 8 };

	shape.pixels[4095] = 0x80ff0000;
	say(fixture, VMM_CURSOR_UPDATE, &shape, sizeof(shape));
	fe_display_serve(&fixture->display);
	assert_true(cursor->visible);
	assert_int_equal(cursor->pixels[4095], 0x80ff0000);
	assert_int_equal(cursor->hot_y, 2);
	say(fixture, VMM_CURSOR_POS, &pos, sizeof(pos));
	say(fixture, VMM_CURSOR_POS_HIDE, &pos, sizeof(pos));
	fe_display_serve(&fixture->display);
	assert_false(cursor->visible);
	assert_int_equal(cursor->pos.x, 7);
	assert_int_equal(cursor->moves, 1);
	assert_int_equal(cursor->hides, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_questions_are_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_updates_are_drawn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces_become_one_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_rules_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence_and_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paused_display_reads_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hang_up_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cursor, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
