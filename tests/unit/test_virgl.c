/* SPDX-License-Identifier: MIT */
#include "render/virgl/virgl.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <drm_fourcc.h>

#include "base/list.h"
#include "base/loop.h"
#include "render/virgl/features.h"
#include "render/virgl/virgl_impl.h"
#include "support/array_memory.h"

/*
 * The real libvirglrenderer on the machine's GL driver (Mesa's software one where there is no GPU): what
 * is uploaded, cleared and read back is compared pixel by pixel.
 */

enum {
	WIDTH = 64,
	HEIGHT = 32,
	LARGE_WIDTH = 2048, // drawing and copying it takes some time
	LARGE_HEIGHT = 1024,
	TEXTURE = 17,
	CONTEXT = 3,
	FORMAT_BGRX = 2,
};

#define RAM_ADDR UINT64_C(0x100000)
#define RAM_SIZE (1u << 20)

struct test {
	struct loop *loop;
	struct virgl *virgl;
	struct memory *memory;
	uint8_t *ram;
	struct renderer *renderer;
	uint64_t ended[64];
	uint32_t ended_count;
};

/* The library is one for a process, so it is opened once. */
static struct test test;

static void handle_operation_done(void *data, uint64_t token, int result)
{
	(void)data;
	assert_int_equal(result, 0);
	assert_true(test.ended_count < 64);
	test.ended[test.ended_count++] = token;
}

static void handle_lost(void *data)
{
	(void)data;
	fail();
}

static const struct render_listener_ops listener = {
	.operation_done = handle_operation_done,
	.lost = handle_lost,
};

static int open_library(void **state)
{
	const struct virgl_config config = { .gl = true };

	(void)state;
	test.loop = loop_create();
	test.virgl = virgl_open(test.loop, &config);
	return test.virgl ? 0 : -1;
}

static int close_library(void **state)
{
	(void)state;
	virgl_close(test.virgl);
	loop_destroy(test.loop);
	return 0;
}

/* A VM comes, and goes. */
static int setup(void **state)
{
	test.memory = array_memory_create();
	test.ram = array_memory_add(test.memory, RAM_ADDR, RAM_SIZE);
	test.renderer = virgl_renderer_of(test.virgl, test.memory, &listener, NULL);
	test.ended_count = 0;
	*state = &test;
	return test.renderer ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	renderer_destroy(test.renderer);
	memory_destroy(test.memory);
	return 0;
}

static struct render_texture_info texture_info(uint32_t width, uint32_t height)
{
	return (struct render_texture_info){
		.id = TEXTURE,
		.target = 2,
		.format = FORMAT_BGRX,
		.bind = 1 << 1 | 1 << 3, // render target, sampler view
		.width = width,
		.height = height,
		.depth = 1,
		.array_size = 1,
		.frame_format = DRM_FORMAT_XRGB8888,
	};
}

static struct render_resource *make_texture_of(uint32_t width, uint32_t height)
{
	const struct render_texture_info info = texture_info(width, height);
	struct render_resource *texture;

	assert_int_equal(render_create_texture(test.renderer, &info, &texture), 0);
	return texture;
}

static struct render_resource *make_texture(uint32_t id)
{
	struct render_texture_info info = texture_info(WIDTH, HEIGHT);
	struct render_resource *texture;

	info.id = id;
	assert_int_equal(render_create_texture(test.renderer, &info, &texture), 0);
	return texture;
}

static uint32_t pattern(uint32_t x, uint32_t y)
{
	return 0xff000000 | x << 17 | y << 10 | (x ^ y);
}

static void attach_ram(struct render_resource *texture)
{
	struct memory_span span;

	assert_int_equal(memory_resolve(test.memory, RAM_ADDR, WIDTH * HEIGHT * 4, &span, 1), 1);
	assert_int_equal(render_attach_backing(texture, &span, 1, 1), 0);
}

static struct render_transfer_3d whole(bool to_host)
{
	return (struct render_transfer_3d){
		.box = { .width = WIDTH, .height = HEIGHT, .depth = 1 },
		.stride = WIDTH * 4,
		.to_host = to_host,
	};
}

static void fill_and_upload(struct render_resource *texture)
{
	const struct render_transfer_3d transfer = whole(true);
	uint32_t *pixels = (uint32_t *)(void *)test.ram;

	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		pixels[i] = pattern(i % WIDTH, i / WIDTH);
	}
	attach_ram(texture);
	assert_int_equal(render_transfer_3d(texture, &transfer), 0);
}

static uint32_t pixel(const struct frame_view *view, uint32_t x, uint32_t y)
{
	uint32_t value;

	memcpy(&value, view->pixels + y * view->stride + x * 4, sizeof(value));
	return value & 0xffffff;
}

static void frames_show_each_pixel(void **state)
{
	const struct rect parts[] = { { 0, 0, WIDTH, HEIGHT }, { 5, 7, 11, 13 }, { 63, 31, 1, 1 } };
	struct render_resource *texture = make_texture(TEXTURE);
	struct frame *frame;

	(void)state;
	fill_and_upload(texture);
	frame = render_get_frame(texture, NULL);
	assert_non_null(frame);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct rect *part = &parts[i];
		struct frame_view view;

		assert_int_equal(frame_begin_read(frame, part, &view), 0);
		for (uint32_t at = 0; at < part->width * part->height; at++) {
			uint32_t x = at % part->width, y = at / part->width;

			assert_int_equal(
				pixel(&view, x, y), pattern(part->x + x, part->y + y) & 0xffffff);
		}
		frame_end_read(frame);
	}
	/* What is shown outlives the texture. */
	render_resource_destroy(texture, 1);
	struct frame_view view;
	assert_int_equal(frame_begin_read(frame, &parts[1], &view), 0);
	assert_int_equal(pixel(&view, 2, 3), pattern(7, 10) & 0xffffff);
	frame_end_read(frame);
	frame_unref(frame);
}

static void transfers_come_back(void **state)
{
	const struct render_transfer_3d back = whole(false);
	struct render_transfer_3d part = whole(false);
	struct render_resource *texture = make_texture(TEXTURE);

	(void)state;
	fill_and_upload(texture);
	memset(test.ram, 0xee, WIDTH * HEIGHT * 4);
	assert_int_equal(render_transfer_3d(texture, &back), 0);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		uint32_t value;

		memcpy(&value, test.ram + i * 4, 4);
		assert_int_equal(value & 0xffffff, pattern(i % WIDTH, i / WIDTH) & 0xffffff);
	}
	/* Beyond the texture, and beyond the backing. */
	part.box.x = 1;
	assert_int_equal(render_transfer_3d(texture, &part), -22);
	part.box.x = 0;
	part.offset = 4;
	assert_int_equal(render_transfer_3d(texture, &part), -22);
	render_detach_backing(texture, 1);
	assert_int_equal(render_transfer_3d(texture, &back), -22);
	render_resource_destroy(texture, 1);
}

/* What GL cannot draw to is read back in another way. */
struct layout {
	uint32_t format;
	uint32_t block; // width and height, pixels
	uint32_t size; // of a block, bytes
};

static const struct layout dxt5 = { 108, 4, 16 };
static const struct layout rgtc1 = { 113, 4, 8 };
static const struct layout rgb9e5 = { 125, 1, 4 };

enum {
	LAYERS = 3,
	BLOCKS_X = 8, // of level 1
	BLOCKS_Y = 4,
};

#define BACK (RAM_SIZE / 2)

/* Of what the arrays below have. */
static uint8_t block_byte(uint32_t block, uint32_t at)
{
	return (uint8_t)(block * 7 + at);
}

/* An array of textures, of which level 1 has a number in each byte. */
static struct render_resource *make_array(const struct layout *layout)
{
	const struct render_texture_info info = {
		.id = TEXTURE,
		.target = 7, // array of 2D
		.format = layout->format,
		.bind = 1 << 3,
		.width = 2 * BLOCKS_X * layout->block,
		.height = 2 * BLOCKS_Y * layout->block,
		.depth = 1,
		.array_size = LAYERS,
		.last_level = 1,
	};
	const uint32_t layer_size = BLOCKS_X * BLOCKS_Y * layout->size;
	struct render_transfer_3d transfer = {
		.box = { .width = info.width / 2, .height = info.height / 2, .depth = 1 },
		.level = 1,
		.to_host = true,
	};
	struct render_resource *texture;
	struct memory_span spans[2];

	assert_int_equal(render_create_texture(test.renderer, &info, &texture), 0);
	for (uint32_t i = 0; i < LAYERS * layer_size; i++) {
		test.ram[i] = block_byte(i / layout->size, i % layout->size);
	}
	/* In two pieces, which part the second row of what is read back. */
	assert_int_equal(memory_resolve(test.memory, RAM_ADDR, BACK + 200, &spans[0], 1), 1);
	spans[1] = spans[0];
	spans[1].offset += BACK + 4096;
	spans[1].len = 4096;
	assert_int_equal(render_attach_backing(texture, spans, 2, 1), 0);
	/* The library takes one layer at a time. */
	for (; transfer.box.z < LAYERS; transfer.box.z++, transfer.offset += layer_size) {
		assert_int_equal(render_transfer_3d(texture, &transfer), 0);
	}
	return texture;
}

/* A byte of what the backing has from BACK on. */
static uint8_t back_byte(uint32_t at)
{
	return test.ram[BACK + at + (at < 200 ? 0 : 4096 - 200)];
}

/* Reads a box of blocks, and finds each byte in its place and the others untouched. */
static void read_blocks(struct render_resource *texture, const struct layout *layout,
	const struct render_box *blocks)
{
	const uint32_t len = blocks->width * layout->size;
	const uint32_t stride = len + 24, layer_stride = stride * blocks->height + 40;
	const struct render_transfer_3d transfer = {
		.box = { blocks->x * layout->block, blocks->y * layout->block, blocks->z,
			blocks->width * layout->block, blocks->height * layout->block,
			blocks->depth },
		.level = 1,
		.stride = stride,
		.layer_stride = layer_stride,
		.offset = BACK,
	};

	memset(test.ram + BACK, 0xee, BACK);
	assert_int_equal(render_transfer_3d(texture, &transfer), 0);
	for (uint32_t at = 0; at < layer_stride * blocks->depth; at++) {
		uint32_t z = blocks->z + at / layer_stride, row = at % layer_stride / stride;
		uint32_t column = at % layer_stride % stride;
		uint32_t block = (z * BLOCKS_Y + blocks->y + row) * BLOCKS_X + blocks->x +
			column / layout->size;
		bool is_inside = row < blocks->height && column < len;

		assert_int_equal(
			back_byte(at), is_inside ? block_byte(block, column % layout->size) : 0xee);
	}
}

static void parts_come_back_of_what_is_not_drawn_to(void **state)
{
	const struct layout *layouts[] = { &dxt5, &rgtc1, &rgb9e5 };
	const struct render_box boxes[] = {
		{ 0, 0, 0, BLOCKS_X, BLOCKS_Y, 1 },
		{ 3, 1, 0, 2, 3, 1 },
		{ BLOCKS_X - 1, BLOCKS_Y - 1, LAYERS - 1, 1, 1, 1 },
		{ 2, 1, 1, 5, 2, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		struct render_resource *texture = make_array(layouts[i]);

		for (size_t j = 0; j < sizeof(boxes) / sizeof(boxes[0]); j++) {
			read_blocks(texture, layouts[i], &boxes[j]);
		}
		render_resource_destroy(texture, 1);
	}
}

/* The other way reads whole rows, so it is for these alone. */
static void what_is_drawn_to_is_read_directly(void **state)
{
	const struct {
		uint32_t target, format;
		bool is_used;
	} known[] = { { 2, FORMAT_BGRX, false }, { 2, 67, false }, { 2, dxt5.format, true },
		{ 2, rgb9e5.format, true }, { 0, dxt5.format, false }, { 2, 100000, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct render_texture_info info = {
			.target = known[i].target,
			.format = known[i].format,
		};

		assert_int_equal(
			virgl_getimage_is_used(&test.virgl->drawn, &info), known[i].is_used);
	}
}

static void assert_not_read(struct render_resource *texture, struct render_transfer_3d transfer)
{
	memset(test.ram + BACK, 0xee, BACK);
	assert_int_equal(render_transfer_3d(texture, &transfer), -22);
	for (uint32_t at = 0; at < BACK; at++) {
		assert_int_equal(test.ram[BACK + at], 0xee);
	}
}

static void wrong_reads_of_blocks_are_refused(void **state)
{
	const struct render_transfer_3d good = {
		.box = { 8, 8, 0, 8, 8, LAYERS },
		.level = 1,
		.offset = BACK,
	};
	struct render_resource *texture = make_array(&dxt5);
	struct render_transfer_3d bad[10];

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		bad[i] = good;
	}
	assert_int_equal(render_transfer_3d(texture, &good), 0);
	bad[0].level = 2;
	bad[1].level = UINT32_MAX;
	bad[2].box.x = 9; // within a block
	bad[3].box.x = 28; // beyond the level
	bad[4].box.height = UINT32_MAX - 7;
	bad[5].box.z = LAYERS;
	bad[6].stride = 31; // less than a row
	bad[7].layer_stride = BLOCKS_X * 16; // less than a layer
	bad[8].layer_stride = UINT32_MAX; // beyond the backing
	bad[9].offset = UINT64_MAX - 7;
	for (size_t i = 0; i < 10; i++) {
		assert_not_read(texture, bad[i]);
	}
	render_detach_backing(texture, 1);
	assert_not_read(texture, good);
	render_resource_destroy(texture, 1);
}

/* virgl_protocol.h: command, object and length in one word. */
static uint32_t command(uint32_t number, uint32_t object, uint32_t len)
{
	return number | object << 8 | len << 16;
}

static uint32_t bits(float value)
{
	uint32_t word;

	memcpy(&word, &value, sizeof(word));
	return word;
}

static void streams_draw(void **state)
{
	uint32_t stream[] = {
		command(1, 8, 5),
		1,
		TEXTURE,
		FORMAT_BGRX,
		0,
		0, // create surface 1
		command(5, 0, 3),
		1,
		0,
		1, // framebuffer: one colour buffer, no depth
		command(7, 0, 8),
		1 << 2,
		bits(1.0f),
		bits(0.0f),
		bits(0.2f),
		bits(1.0f),
		0,
		0,
		0,
	};
	uint32_t nonsense[] = { command(200, 0, 1), 0 };
	const struct rect all = { 0, 0, WIDTH, HEIGHT };
	struct render_resource *texture = make_texture(TEXTURE);
	struct render_context *context;
	struct frame *frame;
	struct frame_view view;

	(void)state;
	fill_and_upload(texture);
	assert_int_equal(render_create_context(test.renderer, CONTEXT, 2, "test", 4, &context), 0);
	render_context_attach(context, texture);
	assert_int_equal(render_context_submit(context, stream, sizeof(stream)), 0);
	frame = render_get_frame(texture, NULL);
	assert_int_equal(frame_begin_read(frame, &all, &view), 0);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		assert_int_equal(pixel(&view, i % WIDTH, i / WIDTH), 0xff0033);
	}
	frame_end_read(frame);
	assert_int_equal(render_context_submit(context, nonsense, sizeof(nonsense)), -22);
	frame_unref(frame);
	render_context_detach(context, texture);
	render_context_destroy(context);
	render_resource_destroy(texture, 1);
}

static void clear(struct render_context *context, float blue)
{
	uint32_t stream[] = { command(7, 0, 8), 1 << 2, bits(0.0f), bits(0.0f), bits(blue),
		bits(1.0f), 0, 0, 0 };

	assert_int_equal(render_context_submit(context, stream, sizeof(stream)), 0);
}

static void assert_cleared(struct render_resource *texture, uint32_t expected)
{
	struct frame *frame = render_get_frame(texture, NULL);
	struct frame_view view;

	assert_int_equal(frame_begin_read(frame, &(struct rect){ 9, 9, 1, 1 }, &view), 0);
	assert_int_equal(pixel(&view, 0, 0), expected);
	frame_end_read(frame);
	frame_unref(frame);
}

/* The context that drew last goes on in its own GL context, though others come and go. */
static void contexts_do_not_mix(void **state)
{
	uint32_t target[] = { command(1, 8, 5), 1, TEXTURE, FORMAT_BGRX, 0, 0, command(5, 0, 3), 1,
		0, 1 };
	struct render_resource *texture = make_texture(TEXTURE);
	struct render_context *context, *other;

	(void)state;
	assert_int_equal(render_create_context(test.renderer, CONTEXT, 2, "test", 4, &context), 0);
	render_context_attach(context, texture);
	assert_int_equal(render_context_submit(context, target, sizeof(target)), 0);
	clear(context, 0.2f);
	assert_cleared(texture, 0x000033);
	clear(context, 0.4f);
	assert_int_equal(
		render_create_context(test.renderer, CONTEXT + 1, 2, "other", 5, &other), 0);
	clear(context, 0.6f);
	assert_cleared(texture, 0x000099);
	clear(context, 0.4f);
	render_context_destroy(other);
	clear(context, 0.8f);
	assert_cleared(texture, 0x0000cc);
	render_context_destroy(context);
	render_resource_destroy(texture, 1);
}

/* A command stream that is put together word by word. */
struct stream {
	uint32_t words[512];
	uint32_t count;
};

static void add(struct stream *stream, uint32_t number, uint32_t object, const uint32_t *words,
	uint32_t count)
{
	assert_true(stream->count + 1 + count <= 512);
	stream->words[stream->count++] = command(number, object, count);
	memcpy(stream->words + stream->count, words, count * sizeof(*words));
	stream->count += count;
}

#define ADD(stream, number, object, ...) \
	add(stream, number, object, (const uint32_t[]){ __VA_ARGS__ }, \
		sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* A shader as TGSI's text, made and bound. */
static void add_shader(struct stream *stream, uint32_t handle, uint32_t type, const char *text)
{
	uint32_t words[128] = { handle, type, (uint32_t)strlen(text) + 1, 64, 0 };

	assert_true(strlen(text) < sizeof(words) - 5 * sizeof(*words));
	memcpy(words + 5, text, strlen(text) + 1);
	add(stream, 1, 4, words, 5 + (uint32_t)strlen(text) / 4 + 1);
	ADD(stream, 31, 0, handle, type);
}

enum {
	VERTICES = TEXTURE + 1,
	SOURCE = TEXTURE + 2,
};

/* All that it takes to fill the target with the source texture. */
static void add_textured_state(struct stream *stream)
{
	static const char vertex[] = "VERT\nDCL IN[0]\nDCL OUT[0], POSITION\n"
				     "DCL OUT[1], GENERIC[0]\n  0: MOV OUT[0], IN[0]\n"
				     "  1: MOV OUT[1], IN[0]\n  2: END\n";
	static const char fragment[] = "FRAG\nDCL IN[0], GENERIC[0], PERSPECTIVE\n"
				       "DCL OUT[0], COLOR\nDCL SAMP[0]\n"
				       "DCL SVIEW[0], 2D, FLOAT\n"
				       "  0: TEX OUT[0], IN[0], SAMP[0], 2D\n  1: END\n";

	ADD(stream, 1, 8, 1, TEXTURE, FORMAT_BGRX, 0, 0); // surface
	ADD(stream, 5, 0, 1, 0, 1); // framebuffer
	add_shader(stream, 2, 0, vertex);
	add_shader(stream, 3, 1, fragment);
	ADD(stream, 1, 6, 4, SOURCE, FORMAT_BGRX | 2 << 24, 0, 0, 0 | 1 << 3 | 2 << 6 | 5 << 9);
	ADD(stream, 10, 0, 1, 0, 4); // sampler view
	ADD(stream, 1, 7, 5, 2 | 2 << 3 | 2 << 6 | 2 << 11, 0, 0, 0, 0, 0, 0, 0);
	ADD(stream, 18, 0, 1, 0, 5); // sampler: clamp, nearest, no levels
	ADD(stream, 1, 1, 6, 0, 0, 0xfu << 27, 0, 0, 0, 0, 0, 0, 0);
	ADD(stream, 2, 1, 6); // blend: all channels
	ADD(stream, 1, 2, 7, 1 << 1 | 1 << 29, bits(1.0f), 0, 0, bits(1.0f), 0, 0, 0);
	ADD(stream, 2, 2, 7); // rasterizer
	ADD(stream, 1, 3, 8, 0, 0, 0, 0);
	ADD(stream, 2, 3, 8); // depth and stencil: none
	ADD(stream, 1, 5, 9, 0, 0, 0, 31); // R32G32B32A32_FLOAT
	ADD(stream, 2, 5, 9);
	ADD(stream, 6, 0, 16, 0, VERTICES);
	ADD(stream, 4, 0, 0, bits((float)WIDTH / 2), bits((float)HEIGHT / 2), bits(0.5f),
		bits((float)WIDTH / 2), bits((float)HEIGHT / 2), bits(0.5f));
}

static void add_draw(struct stream *stream)
{
	ADD(stream, 8, 0, 0, 4, 5, 0, 1, 0, 0, 0, 0, 0, 3, 0); // a strip of four vertices
}

static struct render_resource *make_vertices(void)
{
	static const float corners[4][4] = { { -1, -1, 0, 1 }, { 1, -1, 0, 1 }, { -1, 1, 0, 1 },
		{ 1, 1, 0, 1 } };
	const struct render_texture_info info = {
		.id = VERTICES,
		.format = 64,
		.bind = 1 << 4,
		.width = sizeof(corners),
		.height = 1,
		.depth = 1,
		.array_size = 1,
	};
	const struct render_transfer_3d transfer = {
		.box = { .width = sizeof(corners), .height = 1, .depth = 1 },
		.to_host = true,
	};
	struct render_resource *vertices;

	memcpy(test.ram, corners, sizeof(corners));
	assert_int_equal(render_create_texture(test.renderer, &info, &vertices), 0);
	attach_ram(vertices);
	assert_int_equal(render_transfer_3d(vertices, &transfer), 0);
	return vertices;
}

static void fill(struct render_resource *texture, uint32_t value)
{
	const struct render_transfer_3d transfer = whole(true);

	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		memcpy(test.ram + i * 4, &value, 4);
	}
	attach_ram(texture);
	assert_int_equal(render_transfer_3d(texture, &transfer), 0);
}

/* What comes and goes between two frames takes nothing from the context that drew last. */
static void textures_do_not_disturb_contexts(void **state)
{
	struct render_resource *target = make_texture(TEXTURE), *source = make_texture(SOURCE);
	struct render_resource *vertices = make_vertices();
	struct render_context *context;
	struct stream stream = { .count = 0 }, again = { .count = 0 };

	(void)state;
	fill(source, 0xff123456);
	assert_int_equal(render_create_context(test.renderer, CONTEXT, 2, "test", 4, &context), 0);
	render_context_attach(context, target);
	render_context_attach(context, source);
	render_context_attach(context, vertices);
	add_textured_state(&stream);
	add_draw(&stream);
	assert_int_equal(render_context_submit(context, stream.words, stream.count * 4), 0);
	render_resource_destroy(make_texture(TEXTURE + 3), 1);
	clear(context, 1.0f);
	add_draw(&again);
	assert_int_equal(render_context_submit(context, again.words, again.count * 4), 0);
	assert_cleared(target, 0x123456);
	render_context_destroy(context);
	render_resource_destroy(vertices, 1);
	render_resource_destroy(source, 1);
	render_resource_destroy(target, 1);
}

/* Reads that do not wait. */

struct slow_read {
	struct frame_read read;
	uint32_t told;
	int result;
};

static void handle_ready(struct frame_read *read, int result)
{
	struct slow_read *slow = container_of(read, struct slow_read, read);

	slow->told++;
	slow->result = result;
}

/* Where the driver is not up to it, frames are read at once: that has tests of its own. */
static void start_read(struct slow_read *slow, struct frame *frame, const struct rect *rect)
{
	int result;

	*slow = (struct slow_read){ .read.ready = handle_ready };
	result = frame_read_start(&slow->read, frame, rect);
	if (result == 0) {
		print_message("this driver has no thread that reads\n");
		skip();
	}
	assert_int_equal(result, FRAME_PENDING);
	assert_int_equal(slow->told, 0);
}

static void wait_for_read(const struct slow_read *slow)
{
	while (!slow->told) {
		loop_run_once(test.loop, true);
	}
	assert_int_equal(slow->told, 1);
	assert_int_equal(slow->result, 0);
}

/* Each of the rectangle's pixels is that of the pattern, in the frame's own format. */
static void assert_pattern(
	struct frame *frame, const struct rect *rect, const struct frame_view *view)
{
	uint8_t row[WIDTH * 4];

	for (uint32_t y = 0; y < rect->height; y++) {
		const struct frame_view line = { view->pixels + y * view->stride, view->stride };

		assert_int_equal(frame_convert_view(frame->format, &line, rect->width, 1,
					 DRM_FORMAT_XRGB8888, row, sizeof(row)),
			0);
		for (uint32_t x = 0; x < rect->width; x++) {
			const struct frame_view at = { row, sizeof(row) };

			assert_int_equal(
				pixel(&at, x, 0), pattern(rect->x + x, rect->y + y) & 0xffffff);
		}
	}
}

/* The pattern in guest memory, as the format has it. */
static void fill_ram_in(uint32_t format)
{
	bool high = format == DRM_FORMAT_BGRA8888 || format == DRM_FORMAT_BGRX8888 ||
		format == DRM_FORMAT_RGBA8888 || format == DRM_FORMAT_RGBX8888;
	bool red_low = format == DRM_FORMAT_ABGR8888 || format == DRM_FORMAT_XBGR8888 ||
		format == DRM_FORMAT_BGRA8888 || format == DRM_FORMAT_BGRX8888;

	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		uint32_t value = pattern(i % WIDTH, i / WIDTH);

		if (red_low) {
			value = (value & 0x00ff00) | (value & 0xff) << 16 | (value >> 16 & 0xff);
		}
		value = high ? value << 8 | 0xff : value | 0xff000000;
		memcpy(test.ram + i * 4, &value, 4);
	}
}

/* All formats that virtio-gpu shows, and both ways in which a texture can lie. */
static void the_reader_reads_what_the_library_reads(void **state)
{
	static const struct {
		uint32_t format, frame_format;
	} formats[] = {
		{ 1, DRM_FORMAT_ARGB8888 },
		{ 2, DRM_FORMAT_XRGB8888 },
		{ 3, DRM_FORMAT_BGRA8888 },
		{ 4, DRM_FORMAT_BGRX8888 },
		{ 67, DRM_FORMAT_ABGR8888 },
		{ 68, DRM_FORMAT_RGBX8888 },
		{ 121, DRM_FORMAT_RGBA8888 },
		{ 134, DRM_FORMAT_XBGR8888 },
	};
	static const struct rect parts[] = { { 0, 0, WIDTH, HEIGHT }, { 5, 7, 11, 13 },
		{ 63, 31, 1, 1 }, { 0, 30, 64, 1 } };
	const struct render_transfer_3d transfer = whole(true);
	uint32_t known = 0;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(formats) / sizeof(formats[0]); i++) {
		struct render_texture_info info = texture_info(WIDTH, HEIGHT);
		struct render_resource *texture;
		struct slow_read slow;
		struct frame_view view;
		struct frame *frame;

		info.format = formats[i / 2].format;
		info.frame_format = formats[i / 2].frame_format;
		info.flags = i % 2; // the first row is the lowest
		if (render_create_texture(test.renderer, &info, &texture) < 0) {
			continue;
		}
		known++;
		frame = render_get_frame(texture, NULL);
		fill_ram_in(info.frame_format);
		attach_ram(texture);
		assert_int_equal(render_transfer_3d(texture, &transfer), 0);
		for (size_t part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
			start_read(&slow, frame, &parts[part]);
			wait_for_read(&slow);
			assert_pattern(frame, &parts[part], &slow.read.view);
			frame_read_stop(&slow.read);
			assert_int_equal(frame_begin_read(frame, &parts[part], &view), 0);
			assert_pattern(frame, &parts[part], &view);
			frame_end_read(frame);
		}
		frame_unref(frame);
		render_resource_destroy(texture, 1);
	}
	assert_true(known >= 2 * 6); // VirGL has not all of them
}

/* A context that draws into TEXTURE. */
static struct render_context *make_painter(uint32_t id, struct render_resource *texture)
{
	uint32_t target[] = { command(1, 8, 5), 1, TEXTURE, FORMAT_BGRX, 0, 0, command(5, 0, 3), 1,
		0, 1 };
	struct render_context *context;

	assert_int_equal(render_create_context(test.renderer, id, 2, "test", 4, &context), 0);
	render_context_attach(context, texture);
	assert_int_equal(render_context_submit(context, target, sizeof(target)), 0);
	return context;
}

/* A read comes after what was drawn before it, whichever context drew, and the last picture is seen. */
static void a_read_comes_after_the_drawing(void **state)
{
	const struct rect all = { 0, 0, LARGE_WIDTH, LARGE_HEIGHT };
	struct render_resource *texture = make_texture_of(LARGE_WIDTH, LARGE_HEIGHT);
	struct frame *frame = render_get_frame(texture, NULL);
	struct render_context *painters[2] = { make_painter(CONTEXT, texture),
		make_painter(CONTEXT + 1, texture) };
	uint32_t bind[] = { command(5, 0, 3), 1, 0, 1 };
	struct slow_read slow;

	(void)state;
	for (uint32_t round = 1; round < 64; round++) {
		/* Sometimes another context than the one that drew is current then. */
		clear(painters[round / 2 % 2], (float)(128 + round) / 255);
		clear(painters[round / 2 % 2], (float)round / 255);
		if (round % 2) {
			assert_int_equal(render_context_submit(
						 painters[1 - round / 2 % 2], bind, sizeof(bind)),
				0);
		}
		start_read(&slow, frame, &all);
		wait_for_read(&slow);
		assert_int_equal(pixel(&slow.read.view, 0, 0), round);
		assert_int_equal(pixel(&slow.read.view, LARGE_WIDTH - 1, LARGE_HEIGHT - 1), round);
		frame_read_stop(&slow.read);
	}
	render_context_destroy(painters[0]);
	render_context_destroy(painters[1]);
	frame_unref(frame);
	render_resource_destroy(texture, 1);
}

/* What is looked at does not change under one's eyes: reads of a frame are one after the other. */
static void reads_of_a_frame_take_turns(void **state)
{
	const struct rect all = { 0, 0, WIDTH, HEIGHT };
	struct render_resource *texture = make_texture(TEXTURE);
	struct frame *frame = render_get_frame(texture, NULL);
	struct render_context *painter = make_painter(CONTEXT, texture);
	struct slow_read first, second, third;

	(void)state;
	clear(painter, 0.2f);
	start_read(&first, frame, &all);
	wait_for_read(&first);
	clear(painter, 0.4f);
	start_read(&second, frame, &all);
	start_read(&third, frame, &all);
	clear(painter, 0.6f); // later commands go on
	for (int i = 0; i < 20; i++) {
		loop_run_once(test.loop, false);
	}
	assert_int_equal(second.told + third.told, 0);
	assert_int_equal(pixel(&first.read.view, 3, 3), 0x33);
	frame_read_stop(&first.read);
	wait_for_read(&second);
	assert_int_equal(pixel(&second.read.view, 3, 3), 0x99);
	assert_int_equal(third.told, 0);
	frame_read_stop(&second.read);
	wait_for_read(&third);
	frame_read_stop(&third.read);
	render_context_destroy(painter);
	frame_unref(frame);
	render_resource_destroy(texture, 1);
}

/* Given up at once, or a little later: nothing is told, and the texture and its frame may go. */
static void reads_can_be_given_up(void **state)
{
	const struct rect all = { 0, 0, LARGE_WIDTH, LARGE_HEIGHT };

	(void)state;
	for (int round = 0; round < 40; round++) {
		struct render_resource *texture = make_texture_of(LARGE_WIDTH, LARGE_HEIGHT);
		struct frame *frame = render_get_frame(texture, NULL);
		struct render_context *painter = make_painter(CONTEXT, texture);
		struct slow_read slow, queued;

		clear(painter, 0.2f);
		start_read(&slow, frame, &all);
		start_read(&queued, frame, &all);
		usleep((useconds_t)round * 100);
		if (round % 2) {
			frame_read_stop(&slow.read);
			frame_read_stop(&queued.read);
		} else {
			frame_read_stop(&queued.read);
			frame_read_stop(&slow.read);
		}
		frame_unref(frame);
		render_resource_destroy(texture, 1);
		render_context_destroy(painter);
		loop_run_once(test.loop, false);
		assert_int_equal(slow.told + queued.told, 0);
	}
}

/* A texture that goes while it is read: the reads are over, with the pixels there are. */
static void a_texture_may_go_while_it_is_read(void **state)
{
	const struct rect all = { 0, 0, LARGE_WIDTH, LARGE_HEIGHT };

	(void)state;
	for (int round = 0; round < 40; round++) {
		struct render_resource *texture = make_texture_of(LARGE_WIDTH, LARGE_HEIGHT);
		struct frame *frame = render_get_frame(texture, NULL);
		struct render_context *painter = make_painter(CONTEXT, texture);
		struct slow_read slow, queued;
		uint32_t seen;

		clear(painter, 0.2f);
		start_read(&slow, frame, &all);
		start_read(&queued, frame, &all);
		usleep((useconds_t)round * 100);
		render_resource_destroy(texture, 1);
		assert_int_equal(slow.told + queued.told, 2);
		seen = pixel(&slow.read.view, 5, 5);
		assert_true(seen == 0 || seen == 0x33);
		frame_read_stop(&slow.read);
		frame_read_stop(&queued.read);
		frame_unref(frame);
		render_context_destroy(painter);
		loop_run_once(test.loop, false);
	}
}

/* A screenshot meanwhile shows the newest picture. */
static void a_waiting_read_does_not_disturb(void **state)
{
	const struct rect all = { 0, 0, WIDTH, HEIGHT };
	struct render_resource *texture = make_texture(TEXTURE);
	struct frame *frame = render_get_frame(texture, NULL);
	struct render_context *painter = make_painter(CONTEXT, texture);
	struct slow_read slow;
	struct frame_view view;

	(void)state;
	for (uint32_t round = 1; round < 64; round++) {
		clear(painter, (float)round / 255);
		start_read(&slow, frame, &all);
		clear(painter, (float)(round + 64) / 255);
		assert_int_equal(frame_begin_read(frame, &all, &view), 0);
		for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
			assert_int_equal(pixel(&view, i % WIDTH, i / WIDTH), round + 64);
		}
		frame_end_read(frame);
		wait_for_read(&slow);
		frame_read_stop(&slow.read);
	}
	render_context_destroy(painter);
	frame_unref(frame);
	render_resource_destroy(texture, 1);
}

/* What CREATE_2D made is shown to contexts as it is. */
static void uploads_arrive(void **state)
{
	const struct rect part = { 8, 4, 20, 10 };
	struct render_resource *texture = make_texture(TEXTURE);
	struct frame *from, *to;
	struct frame_view view;
	uint8_t *pixels;
	size_t stride;

	(void)state;
	from = frame_create_private(WIDTH, HEIGHT, DRM_FORMAT_XRGB8888, &pixels, &stride);
	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
		uint32_t value = pattern(i % WIDTH, i / WIDTH);

		memcpy(pixels + i / WIDTH * stride + i % WIDTH * 4, &value, 4);
	}
	assert_int_equal(render_upload(texture, &part, from), 0);
	to = render_get_frame(texture, NULL);
	assert_int_equal(frame_begin_read(to, &part, &view), 0);
	for (uint32_t i = 0; i < part.width * part.height; i++) {
		uint32_t x = i % part.width, y = i / part.width;

		assert_int_equal(pixel(&view, x, y), pattern(part.x + x, part.y + y) & 0xffffff);
	}
	frame_end_read(to);
	frame_unref(to);
	frame_unref(from);
	render_resource_destroy(texture, 1);
}

static void wait_for_fences(uint32_t count)
{
	while (test.ended_count < count) {
		loop_run_once(test.loop, false);
	}
}

/* More than a few: the library's numbers of 32 bits wrap on the way. */
static void fences_end_in_order(void **state)
{
	(void)state;
	for (uint64_t token = 1; token <= 40; token++) {
		assert_int_equal(render_create_fence(test.renderer, token << 33), RENDER_PENDING);
	}
	assert_int_equal(test.ended_count, 0); // never from within
	wait_for_fences(40);
	for (uint64_t token = 1; token <= 40; token++) {
		assert_int_equal(test.ended[token - 1], token << 33);
	}
}

static void a_vm_that_goes_takes_its_fences(void **state)
{
	(void)state;
	assert_int_equal(render_create_fence(test.renderer, 5), RENDER_PENDING);
	renderer_destroy(test.renderer);
	test.renderer = virgl_renderer_of(test.virgl, test.memory, &listener, NULL);
	assert_int_equal(render_create_fence(test.renderer, 6), RENDER_PENDING);
	wait_for_fences(1);
	assert_int_equal(test.ended[0], 6);
}

static void capsets_have_contents(void **state)
{
	static uint8_t bytes[65536];
	struct render_capset capset;
	uint32_t count = 0;

	(void)state;
	while (render_get_capset(test.renderer, count, &capset) == 0) {
		uint32_t used = 0;

		assert_true(capset.max_size > 0 && capset.max_size <= sizeof(bytes));
		memset(bytes, 0, sizeof(bytes));
		render_fill_capset(test.renderer, capset.id, capset.max_version, bytes);
		for (uint32_t i = 0; i < capset.max_size; i++) {
			used += bytes[i] != 0;
		}
		assert_true(used > 16); // never zeros
		count++;
	}
	assert_int_equal(count, 2);
}

/* This process's memory, in KiB. */
static long resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages, kept;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &pages, &kept), 2);
	fclose(file);
	return kept * (sysconf(_SC_PAGESIZE) / 1024);
}

/* What a short program does: a context draws into a texture, which is read back, and all goes. */
static void live_and_die(uint32_t id)
{
	uint32_t target[] = { command(1, 8, 5), 1, TEXTURE, FORMAT_BGRX, 0, 0, command(5, 0, 3), 1,
		0, 1 };
	const struct render_transfer_3d back = whole(false);
	struct render_resource *texture = make_texture(TEXTURE);
	struct render_context *context;

	attach_ram(texture);
	assert_int_equal(render_create_context(test.renderer, id, 2, "test", 4, &context), 0);
	render_context_attach(context, texture);
	assert_int_equal(render_context_submit(context, target, sizeof(target)), 0);
	clear(context, 0.6f);
	assert_int_equal(render_transfer_3d(texture, &back), 0);
	test.ended_count = 0;
	assert_int_equal(render_create_fence(test.renderer, id), RENDER_PENDING);
	wait_for_fences(1);
	/* Each goes first in turn. */
	if (id % 2) {
		render_context_destroy(context);
	}
	render_resource_destroy(texture, 1);
	if (id % 2 == 0) {
		render_context_destroy(context);
	}
}

/*
 * A context holds hundreds of KiB of the library's and the driver's. After the first ones, in which
 * allocators and caches grow, a thousand leave less than MAX_LEFT each behind.
 */
static void contexts_leave_nothing_behind(void **state)
{
	enum {
		WARM_UP = 100,
		ROUNDS = 1000,
		MAX_LEFT = 1
	};
	uint32_t id = 1;
	long before;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	print_message("skipped: AddressSanitizer keeps freed memory, and looks for leaks itself\n");
	skip();
#endif
	while (id <= WARM_UP) {
		live_and_die(id++);
	}
	before = resident();
	while (id <= WARM_UP + ROUNDS) {
		live_and_die(id++);
	}
	assert_in_range(resident(), 0, before + MAX_LEFT * ROUNDS);
}

static void wrong_textures_are_refused(void **state)
{
	const struct render_texture_info infos[] = {
		{ .id = 1,
			.target = 99,
			.format = FORMAT_BGRX,
			.width = 1,
			.height = 1,
			.depth = 1 },
		{ .id = 1, .target = 2, .format = 99999, .width = 1, .height = 1, .depth = 1 },
		{ .id = 1,
			.target = 2,
			.format = FORMAT_BGRX,
			.width = 1,
			.height = 1,
			.depth = 9 },
	};
	struct render_resource *texture;

	(void)state;
	for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		assert_int_equal(render_create_texture(test.renderer, &infos[i], &texture), -22);
	}
}

/* What there is comes before what there is not, with its reason. */
static void features_are_told(void **state)
{
	void *library = dlopen("libvirglrenderer.so.1", RTLD_LAZY);
	void *none = dlopen(NULL, RTLD_LAZY);
	char text[1024];
	const char *lacks;

	(void)state;
	features_describe(library, true, text, sizeof(text));
	lacks = strstr(text, "; lacks: ");
	assert_non_null(strstr(text, "libvirglrenderer.so.1."));
	assert_true(!lacks || strstr(text, "a thread that waits for fences, ") < lacks);
	features_describe(library, false, text, sizeof(text));
	lacks = strstr(text, "; lacks: a thread that waits for fences (");
	assert_non_null(lacks);
	assert_non_null(strstr(text, "has: "));
	assert_true(strstr(text, ", blobs, ") < lacks);
	features_describe(none, false, text, sizeof(text));
	assert_null(strstr(text, "has: "));
	assert_non_null(strstr(text, "blobs (guests copy"));
	features_describe(none, false, text, 40); // is cut
	assert_int_equal(strlen(text), 39);
	dlclose(library);
	dlclose(none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(capsets_have_contents),
		TEST(frames_show_each_pixel),
		TEST(transfers_come_back),
		TEST(parts_come_back_of_what_is_not_drawn_to),
		TEST(what_is_drawn_to_is_read_directly),
		TEST(wrong_reads_of_blocks_are_refused),
		TEST(streams_draw),
		TEST(contexts_do_not_mix),
		TEST(textures_do_not_disturb_contexts),
		TEST(the_reader_reads_what_the_library_reads),
		TEST(a_read_comes_after_the_drawing),
		TEST(reads_of_a_frame_take_turns),
		TEST(reads_can_be_given_up),
		TEST(a_texture_may_go_while_it_is_read),
		TEST(a_waiting_read_does_not_disturb),
		TEST(uploads_arrive),
		TEST(fences_end_in_order),
		TEST(a_vm_that_goes_takes_its_fences),
		TEST(contexts_leave_nothing_behind),
		TEST(wrong_textures_are_refused),
		cmocka_unit_test(features_are_told),
	};

	return cmocka_run_group_tests_name("virgl", tests, open_library, close_library);
}
