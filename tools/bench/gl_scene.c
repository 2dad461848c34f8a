/* SPDX-License-Identifier: MIT */
#include "bench/gl_scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * How this works
 *
 * The picture is a grid. Each draw fills one cell with a colour of its own: a viewport, a constant, one
 * of two blend objects, one of two places in the vertex buffer, three vertices. So each draw changes
 * state, as an application's do, and each leaves a trace that can be looked at. The triangle is larger
 * than the cell, which clips it.
 */

enum {
	BUFFER = 0, // targets
	TEXTURE_2D = 2,
	BIND_RENDER_TARGET = 1 << 1,
	BIND_SAMPLER_VIEW = 1 << 3,
	BIND_VERTEX_BUFFER = 1 << 4,

	SUBJECT = 1, // resources
	VERTICES = 2,

	BLEND_OFF = 1, // objects
	BLEND_ON,
	RASTERIZER,
	DSA,
	ELEMENTS,
	SURFACE,
	VERTEX_SHADER,
	FRAGMENT_SHADER,

	VERTEX_SIZE = 16,
	TRIANGLE_SIZE = 3 * VERTEX_SIZE,
};

static const char vertex_shader[] = "VERT\n"
				    "DCL IN[0]\n"
				    "DCL OUT[0], POSITION\n"
				    "  0: MOV OUT[0], IN[0]\n"
				    "  1: END\n";
static const char fragment_shader[] = "FRAG\n"
				      "DCL OUT[0], COLOR\n"
				      "DCL CONST[0]\n"
				      "  0: MOV OUT[0], CONST[0]\n"
				      "  1: END\n";

static const float triangle[] = { -1, -1, 0, 1, 3, -1, 0, 1, -1, 3, 0, 1 };

static const struct gl_resource picture = {
	.id = SUBJECT,
	.target = TEXTURE_2D,
	.format = GL_FORMAT_BGRA8,
	.bind = BIND_RENDER_TARGET | BIND_SAMPLER_VIEW,
	.width = GL_SCENE_SIDE,
	.height = GL_SCENE_SIDE,
};

static const struct gl_resource vertices = {
	.id = VERTICES,
	.target = BUFFER,
	.format = GL_FORMAT_R8,
	.bind = BIND_VERTEX_BUFFER,
	.width = 2 * TRIANGLE_SIZE,
	.height = 1,
};

/* In 255ths; no two cells have the same, and none is the wipe's. */
static struct gl_color cell_color(uint32_t cell)
{
	return (struct gl_color){ (float)(cell & 0xff) / 255, (float)(255 - (cell & 0xff)) / 255,
		128.0f / 255, 1 };
}

uint32_t gl_scene_pixel(uint32_t cell)
{
	return 0xff000000u | (cell & 0xff) << 16 | (255 - (cell & 0xff)) << 8 | 128;
}

void gl_scene_put_frame(struct gl_stream *stream)
{
	const uint32_t row = GL_SCENE_SIDE / GL_SCENE_CELL;

	gl_put_framebuffer(stream, SURFACE);
	gl_put_clear(stream, cell_color(GL_SCENE_CELLS - 1));
	for (uint32_t cell = 0; cell < GL_SCENE_DRAWS; cell++) {
		gl_put_viewport(stream, cell % row * GL_SCENE_CELL, cell / row * GL_SCENE_CELL,
			GL_SCENE_CELL, GL_SCENE_CELL);
		gl_put_bind(stream, GL_OBJECT_BLEND, cell % 2 ? BLEND_ON : BLEND_OFF);
		gl_put_vertex_buffer(stream, VERTICES, VERTEX_SIZE, cell % 2 * TRIANGLE_SIZE);
		gl_put_constant(stream, GL_STAGE_FRAGMENT, cell_color(cell));
		gl_put_draw_triangles(stream, 0, 3);
	}
}

/* Objects and what stays as it is; the picture is wiped, so that old pixels are not taken for new. */
static void put_setup(struct gl_stream *stream)
{
	gl_put_create_blend(stream, BLEND_OFF, false);
	gl_put_create_blend(stream, BLEND_ON, true);
	gl_put_create_rasterizer(stream, RASTERIZER);
	gl_put_create_dsa(stream, DSA);
	gl_put_create_vertex_element(stream, ELEMENTS);
	gl_put_create_shader(stream, VERTEX_SHADER, GL_STAGE_VERTEX, vertex_shader);
	gl_put_create_shader(stream, FRAGMENT_SHADER, GL_STAGE_FRAGMENT, fragment_shader);
	gl_put_create_surface(stream, SURFACE, SUBJECT);
	gl_put_bind(stream, GL_OBJECT_RASTERIZER, RASTERIZER);
	gl_put_bind(stream, GL_OBJECT_DSA, DSA);
	gl_put_bind(stream, GL_OBJECT_VERTEX_ELEMENTS, ELEMENTS);
	gl_put_bind_shader(stream, VERTEX_SHADER, GL_STAGE_VERTEX);
	gl_put_bind_shader(stream, FRAGMENT_SHADER, GL_STAGE_FRAGMENT);
	gl_put_framebuffer(stream, SURFACE);
	gl_put_clear(stream, (struct gl_color){ 0, 0, 0, 0 });
}

static int submit(struct gl_target *target, const struct gl_stream *stream)
{
	const struct gl_operation operation = {
		.kind = GL_SUBMIT, .words = stream->words, .word_count = stream->count
	};

	return stream->full ? -ENOSPC : gl_target_do(target, &operation);
}

static int transfer(
	struct gl_target *target, enum gl_operation_kind kind, const struct gl_resource *resource)
{
	const struct gl_operation operation = { .kind = kind, .resource = *resource };

	return gl_target_do(target, &operation);
}

static int begin_submits(struct gl_scene *scene)
{
	scene->operation = (struct gl_operation){
		.kind = GL_SUBMIT, .words = scene->stream.words, .word_count = scene->stream.count
	};
	return scene->stream.full ? -ENOSPC : 0;
}

static int create_subject(struct gl_scene *scene, const struct gl_resource *resource)
{
	int error = scene->target->ops->create(scene->target, resource);

	if (error == 0) {
		scene->subject = *resource;
	}
	return error;
}

static int begin_draw(struct gl_scene *scene)
{
	struct gl_target *target = scene->target;
	char *memory = target->memory;
	int error = create_subject(scene, &picture);

	if (error == 0) {
		error = target->ops->create(target, &vertices);
	}
	if (error == 0) {
		memcpy(memory, triangle, sizeof(triangle));
		memcpy(memory + TRIANGLE_SIZE, triangle, sizeof(triangle));
		error = transfer(target, GL_UPLOAD, &vertices);
	}
	if (error == 0) {
		put_setup(&scene->setup);
		error = submit(target, &scene->setup);
	}
	gl_scene_put_frame(&scene->stream);
	return error < 0 ? error : begin_submits(scene);
}

static uint32_t pattern(size_t i)
{
	return (uint32_t)i * 2654435761u + 1;
}

static void fill_memory(struct gl_scene *scene)
{
	uint32_t *words = scene->target->memory;

	for (size_t i = 0; i < row_bytes(scene->row) / 4; i++) {
		words[i] = pattern(i);
	}
}

static int begin_transfer(struct gl_scene *scene)
{
	const struct row *row = scene->row;
	struct gl_target *target = scene->target;
	bool up = row->kind == ROW_GL_UPLOAD;
	const struct gl_resource resource = {
		.id = SUBJECT,
		.target = row->buffer ? BUFFER : TEXTURE_2D,
		.format = row->buffer ? GL_FORMAT_R8 : GL_FORMAT_BGRA8,
		.bind = row->buffer ? BIND_VERTEX_BUFFER : BIND_RENDER_TARGET | BIND_SAMPLER_VIEW,
		.width = row->width,
		.height = row->height,
	};
	int error = create_subject(scene, &resource);

	fill_memory(scene);
	scene->operation = (struct gl_operation){ .kind = up ? GL_UPLOAD : GL_DOWNLOAD,
		.resource = resource };
	if (error == 0 && !up) {
		error = transfer(target, GL_UPLOAD, &resource);
		memset(target->memory, 0, row_bytes(row));
	}
	return error;
}

int gl_scene_begin(struct gl_scene *scene, struct gl_target *target, const struct row *row)
{
	scene->target = target;
	scene->row = row;
	scene->subject.id = 0;
	gl_stream_clear(&scene->setup);
	gl_stream_clear(&scene->stream);
	int error = target->ops->create_context(target);

	if (error == 0 && row->kind == ROW_GL_DRAW) {
		error = begin_draw(scene);
	} else if (error == 0 && row->kind == ROW_GL_EMPTY) {
		gl_put_nop(&scene->stream);
		error = begin_submits(scene);
	} else if (error == 0) {
		error = begin_transfer(scene);
	}
	return error < 0 ? gl_target_complain(target, "setting the row up", error) : 0;
}

static int complain_pixel(const struct gl_scene *scene, size_t place, uint32_t is, uint32_t wanted)
{
	fprintf(stderr, "virtio-gpu-bench: %s: %s: word %zu is 0x%08x instead of 0x%08x: %s\n",
		scene->target->name, scene->row->name, place, is, wanted,
		"the renderer did not do what it was told");
	return -EBADMSG;
}

static int check_pattern(const struct gl_scene *scene)
{
	const uint32_t *words = scene->target->memory;

	for (size_t i = 0; i < row_bytes(scene->row) / 4; i++) {
		if (words[i] != pattern(i)) {
			return complain_pixel(scene, i, words[i], pattern(i));
		}
	}
	return 0;
}

static bool is_near(uint32_t a, uint32_t b)
{
	for (int shift = 0; shift < 32; shift += 8) {
		int difference = (int)(a >> shift & 0xff) - (int)(b >> shift & 0xff);

		if (difference < -1 || difference > 1) {
			return false; // more than a driver's way of rounding
		}
	}
	return true;
}

/* The middle of each cell. */
static int check_picture(const struct gl_scene *scene)
{
	const uint32_t *pixels = scene->target->memory;
	const uint32_t row = GL_SCENE_SIDE / GL_SCENE_CELL;

	for (uint32_t cell = 0; cell < GL_SCENE_CELLS; cell++) {
		uint32_t x = cell % row * GL_SCENE_CELL + GL_SCENE_CELL / 2;
		uint32_t y = cell / row * GL_SCENE_CELL + GL_SCENE_CELL / 2;
		size_t place = (size_t)y * GL_SCENE_SIDE + x;

		if (!is_near(pixels[place], gl_scene_pixel(cell))) {
			return complain_pixel(scene, place, pixels[place], gl_scene_pixel(cell));
		}
	}
	return 0;
}

int gl_scene_check(struct gl_scene *scene)
{
	int error = 0;

	if (scene->row->kind == ROW_GL_EMPTY) {
		return 0;
	}
	if (scene->row->kind != ROW_GL_DOWNLOAD) {
		memset(scene->target->memory, 0, gl_resource_size(&scene->subject));
		error = transfer(scene->target, GL_DOWNLOAD, &scene->subject);
	}
	if (error < 0) {
		return gl_target_complain(scene->target, "reading back", error);
	}
	return scene->row->kind == ROW_GL_DRAW ? check_picture(scene) : check_pattern(scene);
}

void gl_scene_end(struct gl_scene *scene)
{
	struct gl_target *target = scene->target;

	if (scene->subject.id != 0) {
		target->ops->destroy(target, scene->subject.id);
	}
	if (scene->row->kind == ROW_GL_DRAW) {
		target->ops->destroy(target, vertices.id);
	}
	target->ops->destroy_context(target);
}
