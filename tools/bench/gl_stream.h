/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GL_STREAM_H
#define BENCH_GL_STREAM_H

/*
 * An encoder of VirGL command streams, as much as a bench needs. A command is one word with number,
 * object type and length in words, and so many words behind it (Mesa's and virglrenderer's
 * virgl_protocol.h). Handles are the caller's: 1 and up, no two objects of a context have the same.
 *
 * What does not fit is left out, and `full` says so: checked once, at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gl_stream_limits {
	GL_STREAM_WORDS = 32768, // 128 KiB: below what daemons take as one request
};

enum gl_stage {
	GL_STAGE_VERTEX = 0,
	GL_STAGE_FRAGMENT = 1,
};

enum gl_object { // for gl_bind
	GL_OBJECT_BLEND = 1,
	GL_OBJECT_RASTERIZER = 2,
	GL_OBJECT_DSA = 3, // depth, stencil, alpha
	GL_OBJECT_VERTEX_ELEMENTS = 5,
};

enum gl_format { // of pixels and of vertices
	GL_FORMAT_BGRA8 = 1,
	GL_FORMAT_RGBA32F = 31,
	GL_FORMAT_R8 = 64,
};

struct gl_stream {
	uint32_t words[GL_STREAM_WORDS];
	size_t count;
	bool full;
};

struct gl_color {
	float red, green, blue, alpha;
};

void gl_stream_clear(struct gl_stream *stream);

/* A command that does nothing. */
void gl_put_nop(struct gl_stream *stream);

/* Objects. blend: source over nothing when enabled, which leaves the same pixels. */
void gl_put_create_blend(struct gl_stream *stream, uint32_t handle, bool enabled);
void gl_put_create_rasterizer(struct gl_stream *stream, uint32_t handle);
void gl_put_create_dsa(struct gl_stream *stream, uint32_t handle);
void gl_put_create_shader(
	struct gl_stream *stream, uint32_t handle, enum gl_stage stage, const char *tgsi);
void gl_put_create_vertex_element(struct gl_stream *stream, uint32_t handle); // 4 floats, buffer 0
void gl_put_create_surface(struct gl_stream *stream, uint32_t handle, uint32_t resource);

/* State. */
void gl_put_bind(struct gl_stream *stream, enum gl_object type, uint32_t handle);
void gl_put_bind_shader(struct gl_stream *stream, uint32_t handle, enum gl_stage stage);
void gl_put_framebuffer(struct gl_stream *stream, uint32_t surface);
void gl_put_viewport(
	struct gl_stream *stream, uint32_t x, uint32_t y, uint32_t width, uint32_t height);
void gl_put_vertex_buffer(
	struct gl_stream *stream, uint32_t resource, uint32_t stride, uint32_t offset);
void gl_put_constant(struct gl_stream *stream, enum gl_stage stage, struct gl_color color);

/* Work. */
void gl_put_clear(struct gl_stream *stream, struct gl_color color);
void gl_put_draw_triangles(struct gl_stream *stream, uint32_t first, uint32_t count);

#endif
