/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

/* A fuzzer's bytes, taken from the front. When they are used up, everything reads as 0. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *bytes;
	size_t left;
};

static inline void input_take(struct input *input, void *to, size_t size)
{
	size_t have = size < input->left ? size : input->left;

	memset(to, 0, size);
	memcpy(to, input->bytes, have);
	input->bytes += have;
	input->left -= have;
}

static inline uint8_t input_u8(struct input *input)
{
	uint8_t value;

	input_take(input, &value, sizeof(value));
	return value;
}

static inline uint16_t input_u16(struct input *input)
{
	uint16_t value;

	input_take(input, &value, sizeof(value));
	return value;
}

static inline uint32_t input_u32(struct input *input)
{
	uint32_t value;

	input_take(input, &value, sizeof(value));
	return value;
}

static inline uint64_t input_u64(struct input *input)
{
	uint64_t value;

	input_take(input, &value, sizeof(value));
	return value;
}

/* Mostly a number that means something to a device, now and then any. One byte, or five. */
static inline uint32_t input_number(struct input *input)
{
	static const uint32_t usual[] = { 0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 48, 63, 64, 65, 100,
		128, 255, 256, 1024, 4096, 16383, 16384, 16385, 65535, 65536, 0x7fffffff,
		0x80000000, 0xfffffffc, 0xffffffff };
	uint8_t which = input_u8(input);

	return which < 0xe0 ? usual[which % (sizeof(usual) / sizeof(usual[0]))] : input_u32(input);
}

#endif
