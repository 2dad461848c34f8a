/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_work.h"

#include <stdio.h>
#include <stdlib.h>

uint32_t vulkan_work_turn(uint32_t word, uint32_t turns)
{
	for (uint32_t turn = 0; turn < turns; turn++) {
		word = word * 1664525u + 1013904223u;
		word ^= word >> 13;
	}
	return word;
}

void vulkan_work_check(const char *what, size_t index, uint32_t seen, uint32_t expected)
{
	if (seen != expected) {
		fprintf(stderr, "vulkan worker: %s: word %zu is 0x%x, not 0x%x\n", what, index,
			seen, expected);
		exit(1);
	}
}
