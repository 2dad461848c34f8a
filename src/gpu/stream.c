/* SPDX-License-Identifier: MIT */
#include "gpu/stream.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

static uint32_t word_at(const uint8_t *bytes)
{
	uint32_t word;

	memcpy(&word, bytes, sizeof(word));
	return le32toh(word);
}

bool gpu_stream_next(struct gpu_stream *stream, struct gpu_stream_command *command)
{
	uint32_t header;
	size_t size;

	if (stream->size < sizeof(header)) {
		return false;
	}
	/* Bits 8 to 15 are the kind of an object. */
	header = word_at(stream->bytes);
	command->number = header & 0xff;
	command->count = header >> 16;
	command->arguments = stream->bytes + sizeof(header);
	size = sizeof(header) * (1 + (size_t)command->count);
	if (size > stream->size) {
		return false;
	}
	stream->bytes += size;
	stream->size -= size;
	return true;
}

uint32_t gpu_stream_argument(const struct gpu_stream_command *command, uint32_t index)
{
	assert(index < command->count);
	return word_at(command->arguments + index * sizeof(uint32_t));
}
