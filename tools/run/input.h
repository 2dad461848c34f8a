/* SPDX-License-Identifier: MIT */
#ifndef RUN_INPUT_H
#define RUN_INPUT_H

/*
 * What a client wrote, read into memory that the daemon sees as well: the command streams in it are
 * handed over where they lie.
 *
 * How this works: a few chunks of guest memory. Bytes are appended to the current one, and messages are
 * taken from its front. A chunk that some command still points into is in use; when a message does
 * not fit behind what is there, its beginning moves to a chunk that is free.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "frontend/memory.h"

/* Bytes. Smaller where a test wants to meet the end of a chunk often. */
#ifndef INPUT_CHUNK_SIZE
#define INPUT_CHUNK_SIZE (1 << 20)
#endif

enum input_limits {
	INPUT_CHUNKS = 4,
	INPUT_MESSAGE_MAX = INPUT_CHUNK_SIZE, // bytes that input_reserve can be asked for
};

struct input_chunk {
	struct fe_span span;
	uint32_t users; // commands in flight that point into it
};

struct input {
	int socket; // borrowed
	struct fe_memory *memory; // borrowed
	struct input_chunk chunks[INPUT_CHUNKS];
	struct input_chunk *current;
	size_t begin; // of what is not yet taken
	size_t end;
};

/* Returns 0 or -ENOMEM. */
int input_init(struct input *input, int socket, struct fe_memory *memory);
void input_finish(struct input *input); // a zeroed one is fine

/* Bytes that are there. */
size_t input_available(const struct input *input);

/*
 * Makes room for size bytes in a row, those that are there included. False: all chunks are in use; wait for
 * commands to end.
 */
bool input_reserve(struct input *input, size_t size);

#define INPUT_WAIT UINT32_MAX

/*
 * Reads what there is, looking for the first byte for so many microseconds, or with INPUT_WAIT sleeping until
 * it comes. Bytes read, 0 at the end of the stream, or -errno; -EAGAIN: there is nothing.
 */
ssize_t input_fill(struct input *input, uint32_t wait_us);

/* The first byte that is there; its guest address. Valid until the next input_reserve. */
const void *input_at(const struct input *input);
uint64_t input_addr(const struct input *input);

/* Takes size bytes that are there. */
void input_take(struct input *input, size_t size);

/* Keeps the current chunk's bytes where they are until input_release of the same chunk. */
struct input_chunk *input_hold(struct input *input);
void input_release(struct input_chunk *chunk);

#endif
