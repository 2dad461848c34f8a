/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VULKAN_WORK_H
#define BENCH_VULKAN_WORK_H

/*
 * What the worker of `vulkan` does with a device, and how it looks whether it was done. Each make() does
 * nothing the second time. A wrong result ends the process.
 */

#include "bench/vulkan_gpu.h"

/* Fills a buffer by a shader that loops `turns` times for each word. */
struct vulkan_compute {
	struct vulkan_buffer words; // in the device's own memory
	VkDescriptorSetLayout set_layout;
	VkDescriptorSet set;
	VkPipelineLayout layout;
	VkPipeline pipeline; // made last
};

void vulkan_compute_make(struct vulkan_gpu *gpu, struct vulkan_compute *compute);
void vulkan_compute_record(struct vulkan_gpu *gpu, const struct vulkan_compute *compute,
	VkCommandBuffer commands, uint32_t turns);
void vulkan_compute_check(
	struct vulkan_gpu *gpu, const struct vulkan_compute *compute, uint32_t turns);

/* Draws tiles off-screen, each by a draw of its own, with `turns` loops for each pixel. */
struct vulkan_draw {
	VkImage image;
	VkRenderPass pass;
	VkFramebuffer framebuffer;
	VkPipelineLayout layout;
	VkPipeline pipeline; // made last
};

void vulkan_draw_make(struct vulkan_gpu *gpu, struct vulkan_draw *draw);
void vulkan_draw_record(struct vulkan_gpu *gpu, const struct vulkan_draw *draw,
	VkCommandBuffer commands, uint32_t turns);
void vulkan_draw_check(struct vulkan_gpu *gpu, const struct vulkan_draw *draw, uint32_t turns);

/* Mapped memory, and private memory that the processor copies from and to, again and again. */
struct vulkan_memory {
	struct vulkan_buffer mapped;
	size_t size;
	uint32_t *words; // VULKAN_MEMORY_WORDS
};

enum vulkan_memory_limits {
	VULKAN_MEMORY_WORDS = 1 << 16, // small enough for a processor's cache
};

/* Makes `size` bytes (a multiple of the words) of memory with exactly these flags. Returns a status. */
enum vulkan_status vulkan_memory_make(
	struct vulkan_gpu *gpu, struct vulkan_memory *memory, uint32_t flags, size_t size);
void vulkan_memory_drop(struct vulkan_gpu *gpu, struct vulkan_memory *memory);

/* What reading is to find: the device writes it. */
void vulkan_memory_prepare_read(struct vulkan_gpu *gpu, struct vulkan_memory *memory);

/* Goes once through all of it. */
void vulkan_memory_write(struct vulkan_gpu *gpu, struct vulkan_memory *memory);
void vulkan_memory_read(struct vulkan_gpu *gpu, struct vulkan_memory *memory);

/* Does the device see what was written, did the processor see what the device wrote? */
void vulkan_memory_check_written(struct vulkan_gpu *gpu, const struct vulkan_memory *memory);
void vulkan_memory_check_read(const struct vulkan_memory *memory);

/* What the shaders do. */
uint32_t vulkan_work_turn(uint32_t word, uint32_t turns);

/* Ends the process when a word is not what it must be. */
void vulkan_work_check(const char *what, size_t index, uint32_t seen, uint32_t expected);

#endif
