/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GL_TARGET_H
#define BENCH_GL_TARGET_H

/*
 * What draws, seen by the rows of `gl`: a back end behind a virtio ring, or the renderer's library called
 * in the same process. A target has one context at a time and some memory, which backs each resource from
 * its first byte. An operation is one command and a fence behind it, as Linux sends them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gl_target_limits {
	GL_TARGET_IN_FLIGHT = 64, // operations
	GL_TARGET_CONTEXT = 1, // id of the context
	GL_TARGET_RENDERER_SIZE = 64,
};

#define GL_TARGET_MEMORY ((size_t)64 << 20) // bytes

struct gl_resource {
	uint32_t id;
	uint32_t target; // as VirGL numbers them: 0 buffer, 2 texture of two dimensions
	uint32_t format;
	uint32_t bind;
	uint32_t width; // bytes of a buffer
	uint32_t height;
};

/* Bytes from one line to the next in the memory of the target; 0 for buffers. */
uint32_t gl_resource_stride(const struct gl_resource *resource);

/* Bytes of it in the memory of the target: pixels have 4. */
size_t gl_resource_size(const struct gl_resource *resource);

enum gl_operation_kind {
	GL_SUBMIT,
	GL_UPLOAD, // of a whole resource
	GL_DOWNLOAD,
};

struct gl_operation {
	enum gl_operation_kind kind;
	struct gl_resource resource; // of transfers
	const uint32_t *words; // GL_SUBMIT; borrowed, at most GL_STREAM_WORDS
	size_t word_count;
};

struct gl_target;

/* All but those without a value return 0 or -errno. Nothing is in flight at the first four. */
struct gl_target_ops {
	int (*create_context)(struct gl_target *target);
	int (*destroy_context)(struct gl_target *target);
	int (*create)(struct gl_target *target, const struct gl_resource *resource); // and attach
	int (*destroy)(struct gl_target *target, uint32_t id);

	/* Says what begin does from now on. The operation is borrowed until the next call. */
	void (*prepare)(struct gl_target *target, const struct gl_operation *operation);
	int (*begin)(struct gl_target *target); // one more operation
	void (*flush)(struct gl_target *target); // those that were begun have to run now

	/* Waits until at least one more operation has ended. Returns how many, in order, or -errno. */
	int (*wait)(struct gl_target *target, bool spin);
};

struct gl_target {
	const struct gl_target_ops *ops;
	const char *name; // for messages
	void *memory; // GL_TARGET_MEMORY bytes
	char renderer[GL_TARGET_RENDERER_SIZE + 1]; // GL_RENDERER, as far as the capset tells it
};

/* Runs the operation once and waits for it. */
int gl_target_do(struct gl_target *target, const struct gl_operation *operation);

/* Says on stderr what failed, and returns error. */
int gl_target_complain(const struct gl_target *target, const char *what, int error);

/* Takes GL_RENDERER from a VirGL 2 capset; empty when it is too old to have it. */
void gl_target_read_renderer(struct gl_target *target, const void *capset, size_t size);

#endif
