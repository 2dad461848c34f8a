/* SPDX-License-Identifier: MIT */
#ifndef RENDER_SOFT_BACKING_H
#define RENDER_SOFT_BACKING_H

/* The guest memory behind a resource: pieces that read like one row of bytes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/memory.h"

struct backing {
	struct memory_mapping *mapping; // NULL: none
	uint64_t *starts; // of each piece, for long lists; NULL for short ones
};

/* Maps the spans. Returns 0 or -errno. */
int backing_attach(struct backing *backing, struct memory *memory, const struct memory_span *spans,
	size_t count);
void backing_detach(struct backing *backing); // also when there is none

static inline bool backing_is_attached(const struct backing *backing)
{
	return backing->mapping != NULL;
}

/*
 * Copies `rows` rows of `len` bytes each, `from_stride` apart from `offset` on, to rows `to_stride`
 * apart. Returns 0, or -EINVAL when a byte lies outside (then nothing is copied).
 */
int backing_copy(const struct backing *backing, uint64_t offset, uint64_t from_stride, uint8_t *to,
	size_t to_stride, size_t len, uint32_t rows);

#endif
