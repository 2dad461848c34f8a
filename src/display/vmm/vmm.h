/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_VMM_VMM_H
#define DISPLAY_VMM_VMM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "display/display.h"

/* Counters since the socket came. */
struct vmm_display_stats {
	uint64_t updates; // UPDATE messages sent whole, or copied to be sent
	uint64_t update_bytes; // their pixels
	uint64_t coalesced; // flushes merged because the viewer did not read
	uint64_t late_answers; // queries that timed out
	uint64_t dmabuf_updates; // DMABUF_UPDATE messages sent
};

struct vmm_config {
	bool dmabuf; // frames of a GPU may go as their buffers, if the VMM says that it takes these
};

/*
 * The VMM's display: frames go over the socket that GPU_SET_SOCKET brought (taken, also on failure).
 * Returns NULL on failure (logged).
 */
struct display *vmm_display_create(struct loop *loop, int socket, const struct vmm_config *config);

struct vmm_display_stats vmm_display_stats(const struct display *display);

#endif
