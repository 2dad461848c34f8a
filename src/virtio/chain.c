/* SPDX-License-Identifier: MIT */
#include "virtio/chain.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/*
 * How this works
 *
 * A chain is walked once. Readable descriptors are noted in the reader's scratch space, writable ones
 * in the request; then the readable bytes, up to the caller's bound, are copied into the request's own
 * buffer. Buffers grow to what was needed and stay, so that a running queue allocates nothing.
 *
 * The table that a walk goes through is either the queue's, in guest memory, read an entry at a time by
 * two loads, or the private copy of an indirect table. Each has a count of entries, and no walk through
 * it takes more steps than that: a longer one has come by some entry twice.
 */

/* Sizes that most requests fit, so that buffers grow once. */
#define BYTES_FIRST    256u
#define SEGMENTS_FIRST 4u

struct walk {
	struct chain_reader *reader;
	struct virtq_request *request;
	size_t readable_count;
};

/* A descriptor in the host's byte order. */
struct descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

void virtq_request_finish(struct virtq_request *request)
{
	free(request->bytes);
	free(request->segments);
	*request = (struct virtq_request){ 0 };
}

static struct descriptor decode(const struct vring_desc *raw)
{
	return (struct descriptor){
		.addr = le64toh(raw->addr),
		.len = le32toh(raw->len),
		.flags = le16toh(raw->flags),
		.next = le16toh(raw->next),
	};
}

/* Copies a descriptor out of guest memory: two loads, each done once whatever the compiler thinks. */
static struct descriptor load(const struct vring_desc *shared)
{
	const uint64_t *words = (const void *)shared;
	union {
		uint64_t words[2];
		struct vring_desc raw;
	} copy;

	copy.words[0] = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
	copy.words[1] = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
	return decode(&copy.raw);
}

/* The smallest capacity, doubled from `capacity` or `first`, that holds `needed`. */
static size_t grown(size_t capacity, size_t first, size_t needed)
{
	size_t next = capacity ? capacity : first;

	while (next < needed && next <= SIZE_MAX / 2) {
		next *= 2;
	}
	return next < needed ? needed : next;
}

/* Room for len bytes; what was there is lost. There is always some room: bytes is never NULL. */
static int reserve_bytes(struct virtq_request *request, size_t len)
{
	size_t capacity;
	uint8_t *bytes;

	if (request->bytes && len <= request->bytes_capacity) {
		return 0;
	}
	capacity = grown(request->bytes_capacity, BYTES_FIRST, len);
	bytes = malloc(capacity);
	if (!bytes) {
		return -ENOMEM;
	}
	free(request->bytes);
	request->bytes = bytes;
	request->bytes_capacity = capacity;
	return 0;
}

static int reserve_segment(struct virtq_request *request)
{
	size_t capacity;
	struct virtq_segment *segments;

	if (request->segment_count < request->segment_capacity) {
		return 0;
	}
	capacity = grown(request->segment_capacity, SEGMENTS_FIRST, request->segment_count + 1);
	segments = realloc(request->segments, capacity * sizeof(*segments));
	if (!segments) {
		return -ENOMEM;
	}
	request->segments = segments;
	request->segment_capacity = capacity;
	return 0;
}

static int add_writable(struct walk *walk, const struct descriptor *descriptor)
{
	struct virtq_request *request = walk->request;
	int result = reserve_segment(request);

	if (result < 0) {
		return result;
	}
	request->segments[request->segment_count++] = (struct virtq_segment){ descriptor->addr,
		descriptor->len };
	request->writable_len += descriptor->len; // at most 2^11 times 2^32
	return 0;
}

/* 2.7.4.2: all device-readable buffers come before the device-writable ones. */
static int add_buffer(struct walk *walk, const struct descriptor *descriptor)
{
	if (descriptor->flags & VRING_DESC_F_WRITE) {
		return add_writable(walk, descriptor);
	}
	if (walk->request->segment_count > 0) {
		return -EPROTO;
	}
	walk->reader->readable[walk->readable_count++] = (struct virtq_segment){ descriptor->addr,
		descriptor->len };
	walk->request->total_len += descriptor->len;
	return 0;
}

/* 2.7.5.3 Indirect Descriptors: the table is copied whole, and holds no other table. */
static int walk_indirect(struct walk *walk, const struct descriptor *outer)
{
	struct chain_reader *reader = walk->reader;
	uint32_t count = outer->len / (uint32_t)sizeof(reader->table[0]);
	struct descriptor descriptor = { .flags = VRING_DESC_F_NEXT };

	/* 2.7.5.3.1: only when negotiated, and never with NEXT. WRITE is to be ignored (2.7.5.3.2). */
	if (!reader->indirect || (outer->flags & VRING_DESC_F_NEXT) || count == 0 ||
		count > CHAIN_INDIRECT_MAX || outer->len % sizeof(reader->table[0]) != 0 ||
		memory_read(reader->memory, outer->addr, reader->table, outer->len) < 0) {
		return -EPROTO;
	}
	for (uint32_t steps = 0; descriptor.flags & VRING_DESC_F_NEXT; steps++) {
		int result;

		if (steps == count || descriptor.next >= count) {
			return -EPROTO;
		}
		descriptor = decode(&reader->table[descriptor.next]);
		if (descriptor.flags & VRING_DESC_F_INDIRECT) {
			return -EPROTO;
		}
		result = add_buffer(walk, &descriptor);
		if (result < 0) {
			return result;
		}
	}
	return 0;
}

/* 2.7.5.3.2: direct descriptors may come before the one that names a table, and none after it. */
static int walk_chain(struct walk *walk, uint16_t head)
{
	const struct chain_reader *reader = walk->reader;
	struct descriptor descriptor = { .flags = VRING_DESC_F_NEXT, .next = head };

	for (uint32_t steps = 0; descriptor.flags & VRING_DESC_F_NEXT; steps++) {
		int result;

		if (steps == reader->size || descriptor.next >= reader->size) {
			return -EPROTO;
		}
		descriptor = load(&reader->descriptors[descriptor.next]);
		if (descriptor.flags & VRING_DESC_F_INDIRECT) {
			return walk_indirect(walk, &descriptor);
		}
		result = add_buffer(walk, &descriptor);
		if (result < 0) {
			return result;
		}
	}
	return 0;
}

/* Copies what was found readable, up to max_len bytes. */
static int copy_readable(struct walk *walk, size_t max_len)
{
	struct virtq_request *request = walk->request;
	size_t want = request->total_len < max_len ? (size_t)request->total_len : max_len;
	int result = reserve_bytes(request, want);

	for (size_t i = 0; result == 0 && request->len < want; i++) {
		const struct virtq_segment *segment = &walk->reader->readable[i];
		size_t left = want - request->len;
		size_t part = segment->len < left ? segment->len : left;

		if (memory_read(walk->reader->memory, segment->guest_addr,
			    request->bytes + request->len, part) < 0) {
			return -EPROTO;
		}
		request->len += part;
	}
	return result;
}

int chain_read(
	struct chain_reader *reader, uint16_t head, struct virtq_request *request, size_t max_len)
{
	struct walk walk = { .reader = reader, .request = request };
	int result;

	request->head = head;
	request->len = 0;
	request->total_len = 0;
	request->writable_len = 0;
	request->segment_count = 0;
	result = walk_chain(&walk, head);
	return result < 0 ? result : copy_readable(&walk, max_len);
}
