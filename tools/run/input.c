/* SPDX-License-Identifier: MIT */
#include "run/input.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "frontend/pump.h"

int input_init(struct input *input, int socket, struct fe_memory *memory)
{
	*input = (struct input){ .socket = socket, .memory = memory };
	for (size_t i = 0; i < INPUT_CHUNKS; i++) {
		input->chunks[i].span = fe_memory_alloc(memory, INPUT_CHUNK_SIZE, 4096);
		if (input->chunks[i].span.size == 0) {
			return -ENOMEM;
		}
	}
	input->current = &input->chunks[0];
	return 0;
}

void input_finish(struct input *input)
{
	for (size_t i = 0; i < INPUT_CHUNKS; i++) {
		fe_memory_free(input->memory, &input->chunks[i].span);
	}
}

size_t input_available(const struct input *input)
{
	return input->end - input->begin;
}

static struct input_chunk *find_free(struct input *input)
{
	for (size_t i = 0; i < INPUT_CHUNKS; i++) {
		if (input->chunks[i].users == 0 && &input->chunks[i] != input->current) {
			return &input->chunks[i];
		}
	}
	return NULL;
}

bool input_reserve(struct input *input, size_t size)
{
	struct input_chunk *chunk = input->current;

	assert(size <= INPUT_MESSAGE_MAX);
	/* A stream is handed over where it lies, and must lie at a multiple of 4: messages do. */
	if (input->begin + size <= INPUT_CHUNK_SIZE && input->begin % 4 == 0) {
		return true;
	}
	if (chunk->users > 0) {
		chunk = find_free(input);
		if (!chunk) {
			return false;
		}
	}
	memmove(chunk->span.host, input_at(input), input_available(input));
	input->end = input_available(input);
	input->begin = 0;
	input->current = chunk;
	return true;
}

static ssize_t receive(struct input *input, int flags)
{
	uint8_t *bytes = input->current->span.host;
	ssize_t got = recv(input->socket, bytes + input->end, INPUT_CHUNK_SIZE - input->end, flags);

	if (got < 0) {
		return -errno;
	}
	input->end += (size_t)got;
	return got;
}

ssize_t input_fill(struct input *input, uint32_t wait_us)
{
	uint64_t end;
	ssize_t got;

	if (wait_us == INPUT_WAIT) {
		return receive(input, 0);
	}
	end = wait_us > 0 ? fe_now_ns() + (uint64_t)wait_us * 1000u : 0;
	do {
		got = receive(input, MSG_DONTWAIT);
	} while (got == -EAGAIN && end > 0 && fe_now_ns() < end);
	return got;
}

const void *input_at(const struct input *input)
{
	return (const uint8_t *)input->current->span.host + input->begin;
}

uint64_t input_addr(const struct input *input)
{
	return input->current->span.addr + input->begin;
}

void input_take(struct input *input, size_t size)
{
	assert(size <= input_available(input));
	input->begin += size;
	if (input->begin == input->end && input->current->users == 0) {
		input->begin = 0;
		input->end = 0;
	}
}

struct input_chunk *input_hold(struct input *input)
{
	input->current->users++;
	return input->current;
}

void input_release(struct input_chunk *chunk)
{
	assert(chunk->users > 0);
	chunk->users--;
}
