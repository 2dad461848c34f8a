/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_3D_H
#define SUPPORT_FAKE_3D_H

/*
 * A renderer of contexts, textures and blobs that draws nothing: it remembers what it was asked for, ends fences
 * and the reads of its frames when it is told to, and can fail.
 */

#include "base/list.h"
#include "render/render_impl.h"
#include "support/slow_frame.h"

enum {
	FAKE_FENCES = 64,
	FAKE_CAPSET_SIZE = 300,
};

struct fake_3d {
	struct renderer base;
	struct memory *memory;
	int fail; // -errno that the next operation returns, once; 0: none
	bool no_virgl; // offers Venus alone
	uint32_t contexts; // alive
	uint32_t textures; // alive
	uint32_t attached; // pairs of context and texture, by count of calls
	uint32_t submits;
	uint32_t last_dword; // of the last stream
	struct render_texture_info last_texture;
	struct render_transfer_3d last_transfer;
	uint32_t last_capset; // of the last context
	uint32_t blobs; // alive
	struct render_host_blob_info last_blob;
	uint64_t blob_rest; // bytes of a blob's memory that are not in the blob
	uint32_t last_ring; // of the last fence of a ring
	uint32_t uploads;
	struct rect last_upload;
	struct slow_frame *last_frame; // of any texture
	uint64_t fences[FAKE_FENCES]; // tokens, oldest first
	uint32_t fence_count;
};

/* Offers capsets 1 (version 1), 2 (version 2) and 4 (version 4), of FAKE_CAPSET_SIZE bytes. */
struct fake_3d *fake_3d_create(
	struct memory *memory, const struct render_listener_ops *listener, void *listener_data);

/* The oldest `count` fences end, in order. */
void fake_3d_end_fences(struct fake_3d *fake, uint32_t count);

#endif
