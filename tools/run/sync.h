/* SPDX-License-Identifier: MIT */
#ifndef RUN_SYNC_H
#define RUN_SYNC_H

/*
 * vtest's sync objects (version 3): numbers that only grow, set by the client or by the end of a
 * submitted batch, and descriptors that become readable when they have grown far enough.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "run/vtest.h"

enum sync_limits {
	SYNC_MAX = 4096, // objects of one client, and waits
};

struct syncs {
	void *by_id; // tsearch(3)
	uint32_t next_id;
	uint32_t count;
	struct list waits; // sync_wait.link
	uint32_t wait_count;
};

void syncs_init(struct syncs *syncs);
void syncs_finish(struct syncs *syncs);

/* Makes one. Returns its number, or 0: too many, or no memory. */
uint32_t syncs_create(struct syncs *syncs, uint64_t value);

/* Unknown numbers: nothing happens. Waits for it never end then. */
void syncs_unref(struct syncs *syncs, uint32_t id);

/* False: there is none. */
bool syncs_read(const struct syncs *syncs, uint32_t id, uint64_t *value);

/* Sets the value and ends the waits that it is enough for. False: there is none. */
bool syncs_write(struct syncs *syncs, uint32_t id, uint64_t value);

/*
 * An eventfd (the caller's) that becomes readable when all of the values are reached, or with any, one
 * of them; after timeout_ms it may never do so. Returns it or -errno; -ENOENT: no such object.
 */
int syncs_wait(struct syncs *syncs, const struct vtest_sync_value *values, size_t count, bool any,
	uint32_t timeout_ms);

/* Does anybody wait? */
bool syncs_are_awaited(const struct syncs *syncs);

#endif
