/* SPDX-License-Identifier: MIT */
#ifndef RUN_BLOB_H
#define RUN_BLOB_H

/*
 * Blobs of the daemon's memory as files, which clients map.
 *
 * How this works: a VMM would show a blob to its guest in the device's host-visible window, and gets the
 * blob's file with the daemon's request to map it there. Here the file goes on to the client, and nothing is
 * mapped. So a blob is unmapped as soon as it is mapped, and takes no room in the window for long. Places
 * are given out one behind the other; before they begin anew, all have been given back.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct device;

enum blob_limits {
	BLOB_MAPPINGS_MAX =
		64, // at a time; a daemon may have as few as 480 for a VMM of the largest kind
};

struct blobs {
	struct device *device; // borrowed
	struct list busy; // blob_mapping.link, a command under way
	struct list mapped; // blob_mapping.link, to be unmapped
	uint32_t count; // of both
	uint64_t next; // bytes of the window that have been given out
};

/* Whole pages of this machine, as a guest's driver asks for blobs; 0: there is no such size. */
uint64_t blobs_round(uint64_t size);

void blobs_init(struct blobs *blobs, struct device *device);

/* Frees all: the device has hung up. */
void blobs_finish(struct blobs *blobs);

/*
 * Waits for the file of the blob with this number, of size bytes (whole pages), whose commands may still be under way.
 * Returns a descriptor (the caller's) or -errno (logged); -ENODATA: it has none, and all else goes on.
 */
int blobs_open(struct blobs *blobs, uint32_t resource_id, uint64_t size);

/* Has what is mapped unmapped. To be called after commands have ended. Returns 0 or -errno. */
int blobs_settle(struct blobs *blobs);

/* Is there anything to settle, now or later? */
bool blobs_are_busy(const struct blobs *blobs);

/*
 * A blob that is being mapped cannot go: true: its RESOURCE_UNREF is sent when it is unmapped. False: the
 * caller's to send.
 */
bool blobs_unref_later(struct blobs *blobs, uint32_t resource_id);

#endif
