/* SPDX-License-Identifier: MIT */
#include "render/soft/backing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

/*
 * How this works
 *
 * A guest hands over its memory in pieces, often pages, so a byte's place in the whole is not its place
 * in memory. Rows are copied in order, and a cursor remembers the piece where the last one ended: a
 * copy costs one search for its first byte and then only steps forward. Short lists are searched from
 * their start; long ones carry the start of each piece and are searched by halves.
 */

/* Up to here walking costs less than a list of starts would. */
#define SHORT_LIST 16u

struct cursor {
	const struct iovec *piece;
	size_t at; // bytes into the piece
};

static uint64_t *list_starts(const struct memory_mapping *mapping)
{
	uint64_t *starts = malloc(mapping->iov_count * sizeof(*starts));
	uint64_t start = 0;

	for (size_t i = 0; starts && i < mapping->iov_count; i++) {
		starts[i] = start;
		start += mapping->iov[i].iov_len;
	}
	return starts;
}

int backing_attach(struct backing *backing, struct memory *memory, const struct memory_span *spans,
	size_t count)
{
	struct memory_mapping *mapping = memory_map(memory, spans, count, MEMORY_READ);

	if (!mapping) {
		return -errno;
	}
	if (mapping->iov_count > SHORT_LIST) {
		backing->starts = list_starts(mapping);
		if (!backing->starts) {
			memory_mapping_unref(mapping);
			return -ENOMEM;
		}
	}
	backing->mapping = mapping;
	return 0;
}

void backing_detach(struct backing *backing)
{
	memory_mapping_unref(backing->mapping);
	free(backing->starts);
	*backing = (struct backing){ 0 };
}

/* The last piece that starts at or before offset. */
static size_t search_starts(const uint64_t *starts, size_t count, uint64_t offset)
{
	size_t low = 0;

	while (count > 1) {
		size_t half = count / 2;

		if (starts[low + half] <= offset) {
			low += half;
			count -= half;
		} else {
			count = half;
		}
	}
	return low;
}

/* offset lies within the backing. */
static struct cursor seek(const struct backing *backing, uint64_t offset)
{
	const struct memory_mapping *mapping = backing->mapping;
	const struct iovec *piece = mapping->iov;

	if (backing->starts) {
		size_t index = search_starts(backing->starts, mapping->iov_count, offset);

		return (struct cursor){ piece + index, (size_t)(offset - backing->starts[index]) };
	}
	while (offset >= piece->iov_len) {
		offset -= piece->iov_len;
		piece++;
	}
	return (struct cursor){ piece, (size_t)offset };
}

/* Steps to the byte `distance` on; it need not exist if it is never read. */
static void skip(struct cursor *cursor, const struct iovec *end, uint64_t distance)
{
	while (cursor->piece != end && distance >= cursor->piece->iov_len - cursor->at) {
		distance -= cursor->piece->iov_len - cursor->at;
		cursor->piece++;
		cursor->at = 0;
	}
	cursor->at += (size_t)distance;
}

static void copy_row(struct cursor *cursor, uint8_t *to, size_t len)
{
	while (len) {
		size_t piece = cursor->piece->iov_len - cursor->at;
		size_t part = len < piece ? len : piece;

		memcpy(to, (const uint8_t *)cursor->piece->iov_base + cursor->at, part);
		to += part;
		len -= part;
		cursor->at += part;
		if (cursor->at == cursor->piece->iov_len) {
			cursor->piece++;
			cursor->at = 0;
		}
	}
}

/* Does the last byte of the last row lie within `size`? */
static bool rows_within(uint64_t offset, uint64_t stride, size_t len, uint32_t rows, uint64_t size)
{
	uint64_t last;

	return checked_mul_u64(stride, rows - 1, &last) && checked_add_u64(last, offset, &last) &&
		checked_range_within(last, len, size);
}

int backing_copy(const struct backing *backing, uint64_t offset, uint64_t from_stride, uint8_t *to,
	size_t to_stride, size_t len, uint32_t rows)
{
	const struct memory_mapping *mapping = backing->mapping;
	const struct iovec *end;
	struct cursor cursor;

	if (!mapping || !rows_within(offset, from_stride, len, rows, mapping->len)) {
		return -EINVAL;
	}
	if (from_stride == len && to_stride == len) {
		len *= rows;
		rows = 1;
	}
	end = mapping->iov + mapping->iov_count;
	cursor = seek(backing, offset);
	for (uint32_t row = 0; row < rows; row++) {
		if (row > 0) {
			skip(&cursor, end, from_stride - len);
		}
		copy_row(&cursor, to, len);
		to += to_stride;
	}
	return 0;
}
