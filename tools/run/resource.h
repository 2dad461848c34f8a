/* SPDX-License-Identifier: MIT */
#ifndef RUN_RESOURCE_H
#define RUN_RESOURCE_H

/*
 * A client's textures and buffers, by the numbers that it uses, and the memory that it shares with the
 * daemon: one file for each resource, which the client maps and the daemon has as guest memory (a memory
 * slot), so that no pixel is copied on the way.
 *
 * How this works: a file is a region of the vhost-user session as long as the daemon needs it. Mesa makes
 * an 8-byte buffer for every fence, and waits for its file. So small files, all of one page, are made
 * before they are wanted, and are kept when their resource has gone and given to the next one, emptied.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "run/blob.h"
#include "run/device.h"
#include "run/vtest.h"

enum resource_limits {
	RESOURCE_SPARE_MIN = 8, // small files made ahead
	RESOURCE_KEPT_MAX = 512, // small files that are used again; each has a descriptor open
};

struct resource_memory {
	struct list link; // used or spare
	struct resources *owner;
	struct fe_region region; // fd is ours; -1 when it is not used again
	void *mapping; // of files that are used again, and of those whose bytes come on the socket
	uint64_t added; // see device_add_memory
	bool is_kept; // to be used again
};

struct resource {
	uint32_t id;
	struct resource_memory *memory; // NULL: none
	uint32_t size; // bytes of it that were asked for
	bool is_inline; // made without shared memory; transfers bring it
};

struct resources {
	struct device *device; // borrowed
	void *by_id; // tsearch(3)
	uint64_t next_addr; // guest address for the next region
	uint64_t bytes; // of shared memory
	uint64_t max_bytes;
	struct list used; // resource_memory.link
	struct list spare; // resource_memory.link
	uint32_t spare_count;
	uint32_t kept_count; // spare or used
	uint32_t last_id; // highest used
	struct blobs blobs;
	bool is_attached; // has the last ATTACH_BACKING ended?
};

void resources_init(struct resources *resources, struct device *device, uint64_t max_bytes);

/* Frees all, also what the daemon still used: it must be gone. */
void resources_finish(struct resources *resources);

/* NULL: there is none. */
struct resource *resources_find(const struct resources *resources, uint32_t id);

/*
 * Makes it in the daemon with shared memory of info->data_size bytes (0: none) and attaches it to the
 * context. info->handle must be free. Returns 0 or -errno (logged).
 */
int resources_create(struct resources *resources, const struct vtest_resource_create *info,
	struct resource **created);

/*
 * The same for a blob of size bytes (whole pages, one at least), of a known type; *file becomes a descriptor (the caller's) of the
 * daemon's memory, or -1: it is in the shared memory, or there is none, because it is not to be mapped or
 * cannot be (logged).
 */
int resources_create_blob(struct resources *resources, uint32_t id, uint64_t size,
	const struct vtest_create_blob *info, struct resource **created, int *file);

/* The client has the descriptor of its memory, and waits for nothing now: gets ready for the next one. */
void resources_given(struct resources *resources, struct resource *resource);

/* Lets go of it in the daemon. Returns 0 or -errno. */
int resources_unref(struct resources *resources, struct resource *resource);

/*
 * Gives a resource without memory size bytes, mapped here, for what comes on the socket. Waits for
 * commands under way. Returns 0 or -errno (logged).
 */
int resources_map_inline(struct resources *resources, struct resource *resource, uint32_t size);

#endif
