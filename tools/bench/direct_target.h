/* SPDX-License-Identifier: MIT */
#ifndef BENCH_DIRECT_TARGET_H
#define BENCH_DIRECT_TARGET_H

/* The renderer's library as a target of `gl`, in this process. */

#include <sys/uio.h>

#include "bench/gl_target.h"
#include "render/virgl/egl.h"
#include "render/virgl/library.h"

struct direct_target {
	struct gl_target target;
	struct virgl_library library;
	struct virgl_renderer_callbacks callbacks;
	struct egl *egl;
	struct iovec backing;
	int poll_fd; // readable when a fence has ended; -1: the library cannot tell
	const struct gl_operation *operation;
	uint32_t begun; // fences
	uint32_t ended; // as the library told last
	uint32_t taken; // of ended, by wait
};

/* Opens library and display; once in a process. Returns 0, or -errno after saying what failed. */
int direct_target_open(struct direct_target *target);

#endif
