/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_READER_H
#define RENDER_VIRGL_READER_H

/*
 * Reads textures back in a thread of its own, so that neither the GPU nor the copy delays the next
 * command. All functions are for the loop's thread, in which libvirglrenderer draws.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/rect.h"
#include "render/virgl/egl.h"

struct virgl_reader;
struct virgl_read;

/* What to read, and where to. */
struct virgl_read_target {
	uint32_t texture; // its GL name: two dimensions, one sample
	uint32_t height; // of the texture, pixels
	bool upside_down; // its first row is the picture's last
	struct rect rect; // within the picture
	uint32_t format; // DRM_FORMAT_*, of the pixels that are written
	uint8_t *
		pixels; // of the picture's first pixel; written until done, or until virgl_read_cancel
	size_t stride; // bytes
};

/* The read ended: 0, or -EIO (the texture cannot be read so, or a GL error). It is freed afterwards. */
typedef void (*virgl_read_fn)(void *data, int result);

/* NULL: no memory, or a GL that cannot do it (logged); then textures are read where they are drawn. */
struct virgl_reader *virgl_reader_open(struct loop *loop, struct egl *egl);
void virgl_reader_close(struct virgl_reader *reader); // no read is left; NULL is fine

/* Another GL context becomes current. What the former one has drawn comes before the next read. */
void virgl_reader_note_switch(struct virgl_reader *reader, void *next);

/*
 * Before a context that was left is destroyed: waits, a second at most, for what it drew. For that nobody could
 * wait any more.
 */
void virgl_reader_forget(struct virgl_reader *reader, void *context);

/* A read that is not begun yet. NULL: no memory. `done` comes from the loop, unless it is cancelled. */
struct virgl_read *virgl_read_create(struct virgl_reader *reader, virgl_read_fn done, void *data);

/* Begins it: it reads what has been drawn until now, perhaps more. */
void virgl_read_begin(struct virgl_read *read, const struct virgl_read_target *target);

/* Waits until it no longer writes, if it was begun; `done` still comes. */
void virgl_read_wait(struct virgl_read *read);

/*
 * Gives it up, begun or not, and frees it: texture and memory are free then. Waits for a copy that is
 * going on, never for the GPU. NULL is fine.
 */
void virgl_read_cancel(struct virgl_read *read);

#endif
