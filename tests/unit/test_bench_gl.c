/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"
#include "bench/gl_drive.h"
#include "bench/gl_scene.h"

/* The parts of `virtio-gpu-bench gl` that need no renderer, with a target that only keeps books. */

struct fake {
	struct gl_target target;
	const struct gl_operation *operation;
	uint32_t in_flight;
	uint32_t in_flight_peak;
	uint32_t begun;
	uint32_t begun_kinds[3]; // enum gl_operation_kind
	uint32_t contexts;
	uint32_t resources;
	uint32_t fail_at; // the operation that fails; 0: none
	uint32_t lost_cell; // this cell is not drawn; GL_SCENE_CELLS: none
	bool scrambles; // downloads bring something else
	char *texture; // contents of the one resource
};

static struct fake *to_fake(struct gl_target *target)
{
	return container_of(target, struct fake, target);
}

static int create_context(struct gl_target *target)
{
	to_fake(target)->contexts++;
	return 0;
}

static int destroy_context(struct gl_target *target)
{
	to_fake(target)->contexts--;
	return 0;
}

static int create(struct gl_target *target, const struct gl_resource *resource)
{
	(void)resource;
	to_fake(target)->resources++;
	return 0;
}

static int destroy(struct gl_target *target, uint32_t id)
{
	(void)id;
	to_fake(target)->resources--;
	return 0;
}

static void prepare(struct gl_target *target, const struct gl_operation *operation)
{
	to_fake(target)->operation = operation;
}

static void draw(struct fake *fake)
{
	uint32_t *pixels = (uint32_t *)(void *)fake->texture;
	const uint32_t row = GL_SCENE_SIDE / GL_SCENE_CELL;

	for (uint32_t i = 0; i < GL_SCENE_SIDE * GL_SCENE_SIDE; i++) {
		uint32_t cell = i / GL_SCENE_SIDE / GL_SCENE_CELL * row +
			i % GL_SCENE_SIDE / GL_SCENE_CELL;

		pixels[i] = cell == fake->lost_cell ? 0 : gl_scene_pixel(cell);
	}
}

static int begin(struct gl_target *target)
{
	struct fake *fake = to_fake(target);
	enum gl_operation_kind kind = fake->operation->kind;
	size_t size = gl_resource_size(&fake->operation->resource);

	fake->begun++;
	fake->begun_kinds[kind]++;
	fake->in_flight++;
	if (fake->in_flight > fake->in_flight_peak) {
		fake->in_flight_peak = fake->in_flight;
	}
	if (kind == GL_SUBMIT) {
		draw(fake);
	} else if (kind == GL_UPLOAD) {
		memcpy(fake->texture, target->memory, size);
	} else {
		memcpy(target->memory, fake->texture, size);
		*(char *)target->memory ^= fake->scrambles;
	}
	return fake->begun == fake->fail_at ? -EIO : 0;
}

static void flush(struct gl_target *target)
{
	(void)target;
}

static int wait_for_end(struct gl_target *target, bool spin)
{
	struct fake *fake = to_fake(target);
	int count = (int)(fake->in_flight + 1) / 2; // not all at once

	(void)spin;
	assert_true(count > 0);
	fake->in_flight -= (uint32_t)count;
	return count;
}

static const struct gl_target_ops fake_ops = {
	.create_context = create_context,
	.destroy_context = destroy_context,
	.create = create,
	.destroy = destroy,
	.prepare = prepare,
	.begin = begin,
	.flush = flush,
	.wait = wait_for_end,
};

static int setup(void **state)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	fake->target = (struct gl_target){ .ops = &fake_ops, .name = "fake" };
	fake->target.memory = calloc(1, GL_TARGET_MEMORY);
	fake->texture = calloc(1, GL_TARGET_MEMORY);
	fake->lost_cell = GL_SCENE_CELLS;
	*state = fake;
	return fake->texture ? 0 : -1;
}

static int teardown(void **state)
{
	struct fake *fake = *state;

	free(fake->target.memory);
	free(fake->texture);
	free(fake);
	return 0;
}

static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < rows_of_gl.count; i++) {
		if (strcmp(rows_of_gl.rows[i].name, name) == 0) {
			return &rows_of_gl.rows[i];
		}
	}
	fail_msg("there is no row %s", name);
	return NULL;
}

static int drive(struct fake *fake, const char *name, long operations, struct sample *sample)
{
	const struct gl_drive_options options = {
		.operations = operations, .pid = getpid(), .instructions_fd = -1
	};
	struct latencies latencies;

	latencies_init(&latencies);
	int error = gl_drive_row(&fake->target, find_row(name), &options, &latencies, sample);

	free(latencies.values);
	assert_int_equal(fake->contexts, 0);
	assert_int_equal(fake->resources, 0);
	return error;
}

static void streams_have_the_protocols_words(void **state)
{
	static struct gl_stream stream;
	static const uint32_t expected[] = {
		0x00020000 | 31, 2, 1, // BIND_SHADER
		0x00010102, 7, // BIND_OBJECT, blend
		0x000c0008, 3, 6, 4, 0, 1, 0, 0, 0, 0, 3, 8, 0, // DRAW_VBO
		0x00070401, 9, 0, 6, 300, 0, 0x54524556, 0x0000000a, // shader "VERT\n"
	};

	(void)state;
	gl_stream_clear(&stream);
	gl_put_bind_shader(&stream, 2, GL_STAGE_FRAGMENT);
	gl_put_bind(&stream, GL_OBJECT_BLEND, 7);
	gl_put_draw_triangles(&stream, 3, 6);
	gl_put_create_shader(&stream, 9, GL_STAGE_VERTEX, "VERT\n");
	assert_int_equal(stream.count, sizeof(expected) / sizeof(expected[0]));
	assert_memory_equal(stream.words, expected, sizeof(expected));
}

/* Each command's length leads to the next one, to the very end. */
static void frames_are_whole_commands(void **state)
{
	static struct gl_stream stream;
	size_t at = 0;
	uint32_t draws = 0;

	(void)state;
	gl_stream_clear(&stream);
	gl_scene_put_frame(&stream);
	assert_false(stream.full);
	while (at < stream.count) {
		draws += (stream.words[at] & 0xff) == 8;
		at += 1 + (stream.words[at] >> 16);
	}
	assert_int_equal(at, stream.count);
	assert_int_equal(draws, GL_SCENE_DRAWS);
}

static void a_full_stream_says_so(void **state)
{
	static struct gl_stream stream;

	(void)state;
	gl_stream_clear(&stream);
	for (int i = 0; i < GL_STREAM_WORDS; i++) {
		gl_put_nop(&stream);
	}
	assert_false(stream.full);
	gl_put_nop(&stream);
	assert_true(stream.full);
	assert_int_equal(stream.count, GL_STREAM_WORDS);
	gl_stream_clear(&stream);
	assert_false(stream.full);
}

static void rows_keep_so_many_in_flight(void **state)
{
	static const struct {
		const char *row;
		uint32_t in_flight;
	} cases[] = { { "empty, 1 in flight", 1 }, { "empty, 64 in flight", 64 },
		{ "draw, 3 in flight", 3 } };
	struct fake *fake = *state;
	struct sample sample;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake->in_flight_peak = 0;
		assert_int_equal(drive(fake, cases[i].row, 100, &sample), 0);
		assert_int_equal(sample.operations, 100);
		assert_int_equal(fake->in_flight_peak, cases[i].in_flight);
		assert_int_equal(fake->in_flight, 0);
		assert_true(sample.fields[SAMPLE_RATE] > 0);
		assert_true(sample.fields[SAMPLE_P99] >= sample.fields[SAMPLE_P50]);
	}
}

static void transfers_go_one_way(void **state)
{
	struct fake *fake = *state;
	struct sample sample;

	assert_int_equal(drive(fake, "upload 64 KiB buffer", 10, &sample), 0);
	assert_true(sample.fields[SAMPLE_BANDWIDTH] > 0);
	assert_true(fake->begun_kinds[GL_UPLOAD] >= 10);
	assert_int_equal(fake->begun_kinds[GL_DOWNLOAD], 1); // the look at the outcome
	assert_int_equal(drive(fake, "download 1 MiB texture", 20, &sample), 0);
	assert_true(fake->begun_kinds[GL_DOWNLOAD] > 20);
}

static void what_was_not_drawn_does_not_count(void **state)
{
	const uint32_t cells[] = { 0, 77, GL_SCENE_CELLS - 1 };
	struct fake *fake = *state;
	struct sample sample;

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		fake->lost_cell = cells[i];
		assert_int_equal(drive(fake, "draw, 1 in flight", 5, &sample), -EBADMSG);
	}
}

static void what_was_not_transferred_does_not_count(void **state)
{
	struct fake *fake = *state;
	struct sample sample;

	fake->scrambles = true;
	assert_int_equal(drive(fake, "upload 64 KiB texture", 5, &sample), -EBADMSG);
	assert_int_equal(drive(fake, "download 64 KiB texture", 5, &sample), -EBADMSG);
}

static void failures_end_a_row(void **state)
{
	struct fake *fake = *state;
	struct sample sample;

	for (uint32_t at = 1; at <= 8; at += 7) { // in the preparation, and in the middle
		fake->begun = 0;
		fake->in_flight = 0;
		fake->fail_at = at;
		assert_int_equal(drive(fake, "empty, 1 in flight", 50, &sample), -EIO);
		assert_int_equal(fake->begun, at);
	}
}

static void capsets_tell_the_renderer(void **state)
{
	struct fake *fake = *state;
	char capset[760] = { 0 };

	strcpy(capset + 696, "llvmpipe (LLVM 15.0.6, 256 bits)");
	gl_target_read_renderer(&fake->target, capset, sizeof(capset));
	assert_string_equal(fake->target.renderer, "llvmpipe (LLVM 15.0.6, 256 bits)");
	memset(capset + 696, 'x', 64); // no end within the field
	gl_target_read_renderer(&fake->target, capset, sizeof(capset));
	assert_int_equal(strlen(fake->target.renderer), 64);
	gl_target_read_renderer(&fake->target, capset, 700);
	assert_string_equal(fake->target.renderer, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_have_the_protocols_words),
		cmocka_unit_test(frames_are_whole_commands),
		cmocka_unit_test(a_full_stream_says_so),
		cmocka_unit_test_setup_teardown(rows_keep_so_many_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(transfers_go_one_way, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_drawn_does_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_was_not_transferred_does_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_end_a_row, setup, teardown),
		cmocka_unit_test_setup_teardown(capsets_tell_the_renderer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
