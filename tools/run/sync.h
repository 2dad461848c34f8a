/* SPDX-License-Identifier: MIT */
#ifndef RUN_SYNC_H
#define RUN_SYNC_H

/*
 * vtest's sync objects (version 3): numbers that are set by the client or by the end of a submitted batch,
 * and descriptors that become readable when they have been raised far enough.
 *
 * An object that the client has let go of lives on while a batch is to set it or somebody waits for it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "run/vtest.h"

enum sync_limits {
	SYNC_MAX =
		65536, // objects of one client: a driver may have one for each fence and semaphore
	SYNC_WAIT_MAX = 4096, // waits, with a descriptor each
};

struct sync;

struct syncs {
	void *by_id; // tsearch(3)
	uint32_t next_id;
	uint32_t count; // of those that live
	struct list waits; // sync_wait.link
	uint32_t wait_count;
};

void syncs_init(struct syncs *syncs);

/* Frees all; no reference may be left. */
void syncs_finish(struct syncs *syncs);

/* Makes one. Returns its number, or 0: too many, or no memory. */
uint32_t syncs_create(struct syncs *syncs, uint64_t value);

/* The client lets go of it. Unknown numbers: nothing happens. */
void syncs_unref(struct syncs *syncs, uint32_t id);

/* False: there is none. */
bool syncs_read(const struct syncs *syncs, uint32_t id, uint64_t *value);

/* Returns a new reference, or NULL: there is none. */
struct sync *syncs_hold(const struct syncs *syncs, uint32_t id);
void syncs_release(struct syncs *syncs, struct sync *sync);

/* Sets the value, and ends the waits that it is enough for. */
void syncs_set(struct syncs *syncs, struct sync *sync, uint64_t value);

/*
 * An eventfd (the caller's) that becomes readable when all of the values have been reached, or with any, one
 * of them; after timeout_ms it may never do so. A value that is lowered again was reached nevertheless.
 * Returns it or -errno; -ENOENT: no such object.
 */
int syncs_wait(struct syncs *syncs, const struct vtest_sync_value *values, size_t count, bool any,
	uint32_t timeout_ms);

/* Does anybody wait? */
bool syncs_are_awaited(const struct syncs *syncs);

#endif
