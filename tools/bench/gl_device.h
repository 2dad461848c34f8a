/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GL_DEVICE_H
#define BENCH_GL_DEVICE_H

/* A back end as a target of `gl`: 3D commands through its control ring. */

#include "bench/device.h"
#include "bench/gl_stream.h"
#include "bench/gl_target.h"

struct gl_device {
	struct gl_target target;
	struct device device;
	struct fe_span memory;
	struct fe_span stream; // one for all that are in flight: it stays the same
	union {
		struct virtio_gpu_ctrl_hdr header;
		struct virtio_gpu_transfer_host_3d transfer;
		struct virtio_gpu_cmd_submit submit;
	} command; // what begin sends
	size_t command_size;
	struct fe_buffer tail; // the stream behind it
	uint64_t begun; // fences
	uint64_t ended;
};

/* Nothing is started: gl_device_stop is fine. */
void gl_device_init(struct gl_device *device);

/*
 * Starts the back end on the processors of the caller, its words going to log_fd. Returns 0, or -errno
 * after saying on stderr what failed; gl_device_stop is due in both cases.
 */
int gl_device_start(struct gl_device *device, const struct options_backend *backend, int log_fd);
void gl_device_stop(struct gl_device *device);

#endif
