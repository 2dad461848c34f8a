/* SPDX-License-Identifier: MIT */
#ifndef GPU_WINDOW_H
#define GPU_WINDOW_H

/*
 * The host-visible window (VIRTIO 1.3, 5.7.6.10): where in the guest's address space blobs of host memory
 * are mapped. The transport does it, and later says that it is done; here is who lies where.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct gpu_device;
struct gpu_request;
struct gpu_resource;

enum gpu_mapping_state {
	GPU_UNMAPPED,
	GPU_MAPPING, // asked for
	GPU_MAPPED,
	GPU_UNMAPPING, // asked for
};

/* A blob's place in the window; embedded in its resource. */
struct gpu_mapping {
	struct list link; // gpu_device.mappings, unless unmapped
	enum gpu_mapping_state state;
	uint64_t offset; // bytes from the window's start
	uint64_t len; // bytes, whole pages
};

/* Bytes; 0: the driver has none, now. */
uint64_t gpu_window_size(const struct gpu_device *device);

/* After a reset nothing is mapped any more, and nobody was asked. */
void gpu_window_forget(struct gpu_device *device);

/* The resource goes: it is unmapped, if it is mapped, and the request (NULL: there is none) waits for that. */
void gpu_window_drop(
	struct gpu_device *device, struct gpu_resource *resource, struct gpu_request *request);

#endif
