/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VULKAN_GPU_H
#define BENCH_VULKAN_GPU_H

/*
 * A Vulkan device with one queue, for the worker of `vulkan`. libvulkan is loaded when it is wanted. Whatever
 * fails ends the process, with the failing call on stderr.
 */

#define VK_NO_PROTOTYPES
#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan.h>

#include "bench/vulkan_protocol.h"

#define VULKAN_INSTANCE_CALLS(X) \
	X(EnumeratePhysicalDevices) \
	X(GetPhysicalDeviceProperties) \
	X(GetPhysicalDeviceProperties2) \
	X(GetPhysicalDeviceMemoryProperties) \
	X(GetPhysicalDeviceQueueFamilyProperties) \
	X(CreateDevice) \
	X(GetDeviceProcAddr)

/* From the device: without the loader's dispatch in between. */
#define VULKAN_DEVICE_CALLS(X) \
	X(GetDeviceQueue) \
	X(QueueSubmit) \
	X(DeviceWaitIdle) \
	X(CreateCommandPool) \
	X(AllocateCommandBuffers) \
	X(BeginCommandBuffer) \
	X(EndCommandBuffer) \
	X(CreateFence) \
	X(WaitForFences) \
	X(ResetFences) \
	X(AllocateMemory) \
	X(FreeMemory) \
	X(MapMemory) \
	X(FlushMappedMemoryRanges) \
	X(InvalidateMappedMemoryRanges) \
	X(CreateBuffer) \
	X(DestroyBuffer) \
	X(GetBufferMemoryRequirements) \
	X(BindBufferMemory) \
	X(CreateImage) \
	X(GetImageMemoryRequirements) \
	X(BindImageMemory) \
	X(CreateImageView) \
	X(CreateRenderPass) \
	X(CreateFramebuffer) \
	X(CreateShaderModule) \
	X(CreateDescriptorSetLayout) \
	X(CreateDescriptorPool) \
	X(AllocateDescriptorSets) \
	X(UpdateDescriptorSets) \
	X(CreatePipelineLayout) \
	X(CreateComputePipelines) \
	X(CreateGraphicsPipelines) \
	X(CmdBindPipeline) \
	X(CmdBindDescriptorSets) \
	X(CmdPushConstants) \
	X(CmdDispatch) \
	X(CmdBeginRenderPass) \
	X(CmdDraw) \
	X(CmdEndRenderPass) \
	X(CmdPipelineBarrier) \
	X(CmdFillBuffer) \
	X(CmdCopyBuffer) \
	X(CmdCopyImageToBuffer)

struct vulkan_calls {
#define VULKAN_MEMBER(name) PFN_vk##name name;
	VULKAN_INSTANCE_CALLS(VULKAN_MEMBER)
	VULKAN_DEVICE_CALLS(VULKAN_MEMBER)
#undef VULKAN_MEMBER
};

/* What one submission in flight needs. */
struct vulkan_slot {
	VkCommandBuffer commands;
	VkFence fence;
};

struct vulkan_gpu {
	struct vulkan_calls vk;
	VkInstance instance;
	VkPhysicalDevice physical;
	VkPhysicalDeviceMemoryProperties heaps;
	VkDevice device;
	VkQueue queue;
	struct vulkan_slot slots[VULKAN_IN_FLIGHT];
	struct vulkan_slot own; // for what is done and waited for between measurements
};

struct vulkan_buffer {
	VkBuffer handle;
	VkDeviceMemory memory;
	void *bytes; // NULL: not mapped
	bool coherent;
};

_Noreturn void vulkan_gpu_fail(const char *what);
void vulkan_gpu_check(VkResult result, const char *call);

/* Opens the first device, of hardware if there is such, and says in *hello what it is. */
void vulkan_gpu_open(struct vulkan_gpu *gpu, struct vulkan_hello *hello);

/* The first memory type with all flags of `with`, or UINT32_MAX. */
uint32_t vulkan_gpu_find_type(const struct vulkan_gpu *gpu, VkMemoryPropertyFlags with);

/* A buffer for all that jobs do with one, mapped if its type can be. False: there is no memory for it. */
bool vulkan_gpu_make_buffer(
	struct vulkan_gpu *gpu, uint32_t type, VkDeviceSize size, struct vulkan_buffer *buffer);
void vulkan_gpu_drop_buffer(struct vulkan_gpu *gpu, struct vulkan_buffer *buffer); // zeroed: fine

/* A mapped buffer that the processor reads quickly, for results. */
void vulkan_gpu_make_result_buffer(
	struct vulkan_gpu *gpu, VkDeviceSize size, struct vulkan_buffer *buffer);

/* For mapped memory that is not coherent: nothing otherwise. */
void vulkan_gpu_flush(struct vulkan_gpu *gpu, const struct vulkan_buffer *buffer);
void vulkan_gpu_invalidate(struct vulkan_gpu *gpu, const struct vulkan_buffer *buffer);

VkShaderModule vulkan_gpu_make_shader(struct vulkan_gpu *gpu, const uint32_t *code, size_t size);

/* Begins a slot's commands; ends and submits them, or a submission without any; waits until it is done. */
VkCommandBuffer vulkan_gpu_begin(struct vulkan_gpu *gpu, struct vulkan_slot *slot);
void vulkan_gpu_submit(struct vulkan_gpu *gpu, struct vulkan_slot *slot);
void vulkan_gpu_submit_nothing(struct vulkan_gpu *gpu, struct vulkan_slot *slot);
void vulkan_gpu_wait(struct vulkan_gpu *gpu, struct vulkan_slot *slot);

/* All that comes later, the processor too, sees all that was written before. */
void vulkan_gpu_add_barrier(struct vulkan_gpu *gpu, VkCommandBuffer commands);

#endif
