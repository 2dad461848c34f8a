/* SPDX-License-Identifier: MIT */
#include "bench/gl_stream.h"

#include <string.h>

enum command {
	NOP = 0,
	CREATE_OBJECT = 1,
	BIND_OBJECT = 2,
	SET_VIEWPORT_STATE = 4,
	SET_FRAMEBUFFER_STATE = 5,
	SET_VERTEX_BUFFERS = 6,
	CLEAR = 7,
	DRAW_VBO = 8,
	SET_CONSTANT_BUFFER = 12,
	BIND_SHADER = 31,
};

enum object { // beyond enum gl_object
	OBJECT_SHADER = 4,
	OBJECT_SURFACE = 8,
};

enum {
	COLOR_BUFFERS = 8, // a blend object has so many words for them
	COLOR_MASK_ALL = 0xf << 27,
	BLEND_ON = 1,
	FACTOR_ONE = 1,
	FACTOR_ZERO = 0x11,
	DEPTH_CLIP = 1 << 1,
	HALF_PIXEL_CENTER = 1 << 29,
	BOTTOM_EDGE_RULE = 1 << 30,
	CLEAR_COLOR_0 = 1 << 2,
	PRIMITIVE_TRIANGLES = 4,
	TOKENS_ROOM = 300, // words that the parsed text may take
};

void gl_stream_clear(struct gl_stream *stream)
{
	stream->count = 0;
	stream->full = false;
}

static void put(struct gl_stream *stream, uint32_t word)
{
	if (stream->count == GL_STREAM_WORDS) {
		stream->full = true;
		return;
	}
	stream->words[stream->count++] = word;
}

static void put_float(struct gl_stream *stream, float value)
{
	uint32_t word;

	memcpy(&word, &value, sizeof(word));
	put(stream, word);
}

static void put_color(struct gl_stream *stream, struct gl_color color)
{
	put_float(stream, color.red);
	put_float(stream, color.green);
	put_float(stream, color.blue);
	put_float(stream, color.alpha);
}

static void begin(struct gl_stream *stream, enum command command, uint32_t object, size_t length)
{
	put(stream, (uint32_t)command | object << 8 | (uint32_t)length << 16);
}

void gl_put_nop(struct gl_stream *stream)
{
	begin(stream, NOP, 0, 0);
}

void gl_put_create_blend(struct gl_stream *stream, uint32_t handle, bool enabled)
{
	const uint32_t source_alone = BLEND_ON | FACTOR_ONE << 4 | FACTOR_ZERO << 9 |
		FACTOR_ONE << 17 | FACTOR_ZERO << 22;

	begin(stream, CREATE_OBJECT, GL_OBJECT_BLEND, 3 + COLOR_BUFFERS);
	put(stream, handle);
	put(stream, 0); // one for all buffers, no logic operation
	put(stream, 0);
	for (int i = 0; i < COLOR_BUFFERS; i++) {
		put(stream, COLOR_MASK_ALL | (enabled ? source_alone : 0));
	}
}

void gl_put_create_rasterizer(struct gl_stream *stream, uint32_t handle)
{
	begin(stream, CREATE_OBJECT, GL_OBJECT_RASTERIZER, 9);
	put(stream, handle);
	put(stream, DEPTH_CLIP | HALF_PIXEL_CENTER | BOTTOM_EDGE_RULE);
	put_float(stream, 1); // size of points
	put(stream, 0);
	put(stream, 0);
	put_float(stream, 1); // width of lines
	put_float(stream, 0);
	put_float(stream, 0);
	put_float(stream, 0);
}

void gl_put_create_dsa(struct gl_stream *stream, uint32_t handle)
{
	begin(stream, CREATE_OBJECT, GL_OBJECT_DSA, 5);
	put(stream, handle);
	put(stream, 0); // no depth, no alpha test
	put(stream, 0); // no stencil, front and back
	put(stream, 0);
	put_float(stream, 0);
}

void gl_put_create_shader(
	struct gl_stream *stream, uint32_t handle, enum gl_stage stage, const char *tgsi)
{
	size_t size = strlen(tgsi) + 1;
	size_t words = (size + 3) / 4;

	begin(stream, CREATE_OBJECT, OBJECT_SHADER, 5 + words);
	put(stream, handle);
	put(stream, stage);
	put(stream, (uint32_t)size);
	put(stream, TOKENS_ROOM);
	put(stream, 0); // no stream output
	for (size_t i = 0; i < words; i++) {
		size_t rest = size - i * 4;
		uint32_t word = 0;

		memcpy(&word, tgsi + i * 4, rest < 4 ? rest : 4);
		put(stream, word);
	}
}

void gl_put_create_vertex_element(struct gl_stream *stream, uint32_t handle)
{
	begin(stream, CREATE_OBJECT, GL_OBJECT_VERTEX_ELEMENTS, 5);
	put(stream, handle);
	put(stream, 0); // offset
	put(stream, 0); // not per instance
	put(stream, 0); // buffer
	put(stream, GL_FORMAT_RGBA32F);
}

void gl_put_create_surface(struct gl_stream *stream, uint32_t handle, uint32_t resource)
{
	begin(stream, CREATE_OBJECT, OBJECT_SURFACE, 5);
	put(stream, handle);
	put(stream, resource);
	put(stream, GL_FORMAT_BGRA8);
	put(stream, 0); // level
	put(stream, 0); // layers
}

void gl_put_bind(struct gl_stream *stream, enum gl_object type, uint32_t handle)
{
	begin(stream, BIND_OBJECT, type, 1);
	put(stream, handle);
}

void gl_put_bind_shader(struct gl_stream *stream, uint32_t handle, enum gl_stage stage)
{
	begin(stream, BIND_SHADER, 0, 2);
	put(stream, handle);
	put(stream, stage);
}

void gl_put_framebuffer(struct gl_stream *stream, uint32_t surface)
{
	begin(stream, SET_FRAMEBUFFER_STATE, 0, 3);
	put(stream, 1); // colour buffers
	put(stream, 0); // no depth
	put(stream, surface);
}

void gl_put_viewport(
	struct gl_stream *stream, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
	float half_width = (float)width / 2;
	float half_height = (float)height / 2;

	begin(stream, SET_VIEWPORT_STATE, 0, 7);
	put(stream, 0); // the first
	put_float(stream, half_width);
	put_float(stream, half_height);
	put_float(stream, 0.5f);
	put_float(stream, (float)x + half_width);
	put_float(stream, (float)y + half_height);
	put_float(stream, 0.5f);
}

void gl_put_vertex_buffer(
	struct gl_stream *stream, uint32_t resource, uint32_t stride, uint32_t offset)
{
	begin(stream, SET_VERTEX_BUFFERS, 0, 3);
	put(stream, stride);
	put(stream, offset);
	put(stream, resource);
}

void gl_put_constant(struct gl_stream *stream, enum gl_stage stage, struct gl_color color)
{
	begin(stream, SET_CONSTANT_BUFFER, 0, 6);
	put(stream, stage);
	put(stream, 0); // the first
	put_color(stream, color);
}

void gl_put_clear(struct gl_stream *stream, struct gl_color color)
{
	begin(stream, CLEAR, 0, 8);
	put(stream, CLEAR_COLOR_0);
	put_color(stream, color);
	put(stream, 0); // depth, two words
	put(stream, 0);
	put(stream, 0); // stencil
}

void gl_put_draw_triangles(struct gl_stream *stream, uint32_t first, uint32_t count)
{
	begin(stream, DRAW_VBO, 0, 12);
	put(stream, first);
	put(stream, count);
	put(stream, PRIMITIVE_TRIANGLES);
	put(stream, 0); // not indexed
	put(stream, 1); // instance
	put(stream, 0); // bias
	put(stream, 0); // first instance
	put(stream, 0); // no restart
	put(stream, 0);
	put(stream, first); // lowest and highest index
	put(stream, first + count - 1);
	put(stream, 0); // not from a stream output
}
