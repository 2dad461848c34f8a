/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GL_SCENE_H
#define BENCH_GL_SCENE_H

/*
 * What a row of `gl` needs: context, resources, objects, the operation that is measured, and a look at
 * what it left: a stream that the renderer silently refused must not count.
 */

#include "bench/gl_stream.h"
#include "bench/gl_target.h"
#include "bench/rows.h"

enum gl_scene_limits {
	GL_SCENE_SIDE = 256, // pixels of the picture
	GL_SCENE_CELL = 16, // pixels; one draw fills one cell
	GL_SCENE_CELLS = (GL_SCENE_SIDE / GL_SCENE_CELL) * (GL_SCENE_SIDE / GL_SCENE_CELL),
	GL_SCENE_DRAWS = GL_SCENE_CELLS - 1, // the last cell shows the clear
};

struct gl_scene {
	struct gl_target *target;
	const struct row *row;
	struct gl_resource subject; // what is drawn to or transferred; id 0: none
	struct gl_stream setup;
	struct gl_stream stream; // what is submitted each time
	struct gl_operation operation;
};

/* Makes all; target is borrowed. Says what failed. Returns 0 or -errno; gl_scene_end is due then, too. */
int gl_scene_begin(struct gl_scene *scene, struct gl_target *target, const struct row *row);

/* Looks at the outcome of the operations. Returns 0, or -EBADMSG (said where), or another -errno. */
int gl_scene_check(struct gl_scene *scene);
void gl_scene_end(struct gl_scene *scene);

/* One frame of draws into the stream. */
void gl_scene_put_frame(struct gl_stream *stream);

/* Blue, green, red, alpha in memory, as one word: what the frame leaves in a cell. */
uint32_t gl_scene_pixel(uint32_t cell);

#endif
