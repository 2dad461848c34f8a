/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_work.h"

#include <stdlib.h>
#include <string.h>

/* The device writes the same word everywhere. */
#define DEVICE_WORD 0x5a17c0deu

static const size_t words_size = VULKAN_MEMORY_WORDS * sizeof(uint32_t);

static uint32_t find_type(const struct vulkan_gpu *gpu, uint32_t flags)
{
	for (uint32_t i = 0; i < gpu->heaps.memoryTypeCount; i++) {
		if (gpu->heaps.memoryTypes[i].propertyFlags == flags) {
			return i;
		}
	}
	return UINT32_MAX;
}

/* The first type with these flags may be of a heap that has no room, or not for buffers. */
static bool make_mapped(struct vulkan_gpu *gpu, struct vulkan_memory *memory, uint32_t flags)
{
	for (uint32_t i = 0; i < gpu->heaps.memoryTypeCount; i++) {
		if (gpu->heaps.memoryTypes[i].propertyFlags == flags &&
			vulkan_gpu_make_buffer(gpu, i, memory->size, &memory->mapped)) {
			return true;
		}
	}
	return false;
}

enum vulkan_status vulkan_memory_make(
	struct vulkan_gpu *gpu, struct vulkan_memory *memory, uint32_t flags, size_t size)
{
	*memory = (struct vulkan_memory){ .size = size };
	if (find_type(gpu, flags) == UINT32_MAX) {
		return VULKAN_NO_MEMORY_TYPE;
	}
	if (!make_mapped(gpu, memory, flags)) {
		return VULKAN_OUT_OF_MEMORY;
	}
	memory->words = malloc(words_size);
	if (!memory->words) {
		vulkan_gpu_fail("out of memory");
	}
	for (uint32_t i = 0; i < VULKAN_MEMORY_WORDS; i++) {
		memory->words[i] = vulkan_work_turn(i, 1);
	}
	return VULKAN_READY;
}

void vulkan_memory_drop(struct vulkan_gpu *gpu, struct vulkan_memory *memory)
{
	vulkan_gpu_drop_buffer(gpu, &memory->mapped);
	free(memory->words);
	memory->words = NULL;
}

void vulkan_memory_prepare_read(struct vulkan_gpu *gpu, struct vulkan_memory *memory)
{
	VkCommandBuffer commands = vulkan_gpu_begin(gpu, &gpu->own);

	gpu->vk.CmdFillBuffer(commands, memory->mapped.handle, 0, VK_WHOLE_SIZE, DEVICE_WORD);
	vulkan_gpu_add_barrier(gpu, commands);
	vulkan_gpu_submit(gpu, &gpu->own);
	vulkan_gpu_wait(gpu, &gpu->own);
}

void vulkan_memory_write(struct vulkan_gpu *gpu, struct vulkan_memory *memory)
{
	uint8_t *bytes = memory->mapped.bytes;

	for (size_t at = 0; at < memory->size; at += words_size) {
		memcpy(bytes + at, memory->words, words_size);
	}
	vulkan_gpu_flush(gpu, &memory->mapped);
}

void vulkan_memory_read(struct vulkan_gpu *gpu, struct vulkan_memory *memory)
{
	const uint8_t *bytes = memory->mapped.bytes;

	vulkan_gpu_invalidate(gpu, &memory->mapped);
	for (size_t at = 0; at < memory->size; at += words_size) {
		memcpy(memory->words, bytes + at, words_size);
		__asm__ volatile("" ::: "memory"); // the next copy overwrites this one
	}
}

/* The first and the last block. */
void vulkan_memory_check_written(struct vulkan_gpu *gpu, const struct vulkan_memory *memory)
{
	struct vulkan_buffer result;
	VkBufferCopy regions[] = {
		{ 0, 0, words_size },
		{ memory->size - words_size, words_size, words_size },
	};

	vulkan_gpu_make_result_buffer(gpu, 2 * words_size, &result);
	VkCommandBuffer commands = vulkan_gpu_begin(gpu, &gpu->own);

	gpu->vk.CmdCopyBuffer(commands, memory->mapped.handle, result.handle, 2, regions);
	vulkan_gpu_add_barrier(gpu, commands);
	vulkan_gpu_submit(gpu, &gpu->own);
	vulkan_gpu_wait(gpu, &gpu->own);
	vulkan_gpu_invalidate(gpu, &result);
	const uint32_t *words = result.bytes;

	for (uint32_t i = 0; i < 2 * VULKAN_MEMORY_WORDS; i++) {
		vulkan_work_check("mapped memory, seen by the device", i, words[i],
			vulkan_work_turn(i % VULKAN_MEMORY_WORDS, 1));
	}
	vulkan_gpu_drop_buffer(gpu, &result);
}

void vulkan_memory_check_read(const struct vulkan_memory *memory)
{
	for (uint32_t i = 0; i < VULKAN_MEMORY_WORDS; i++) {
		vulkan_work_check(
			"mapped memory, written by the device", i, memory->words[i], DEVICE_WORD);
	}
}
