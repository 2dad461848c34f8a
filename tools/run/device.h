/* SPDX-License-Identifier: MIT */
#ifndef RUN_DEVICE_H
#define RUN_DEVICE_H

/*
 * The virtio-gpu device that one client draws with: a vhost-user session with a daemon, one VirtIO
 * context in it, and commands under way. Commands are executed in the order in which they are sent; those
 * with a fence end when the GPU is done.
 *
 * Functions return 0 or -errno, having said on stderr what went wrong; after an error that is not
 * -EINVAL nothing more can be done with the device.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontend/backend.h"
#include "frontend/gpu.h"

enum device_limits {
	DEVICE_REQUEST_MAX = (512 << 10) -
		64, // bytes of one command stream: virtio-gpud's --max-request
	DEVICE_CAPSET_MAX = 4096 - 24,
	DEVICE_CONTEXT = 1, // the client's context
};

/* Called once when a command has ended, well or not. */
typedef void (*device_done_fn)(void *data);

struct device_pending {
	uint32_t command; // VIRTIO_GPU_CMD_*; 0: none
	device_done_fn done; // NULL: nobody waits
	void *data;
};

struct device {
	struct fe_backend backend; // pid 0: somebody else's daemon
	struct fe_gpu gpu;
	struct device_pending *pending; // by slot
	uint32_t in_flight;
	uint64_t added; // regions so far
	uint64_t confirmed; // of these, by the daemon
	uint32_t spin_us; // how long device_wait looks at the ring before it sleeps
	bool has_context;
	int error; // 0, or what a command that cannot fail failed with
};

/* Starts a daemon of our own from its words (see fe_backend_start_inherited). */
int device_start(struct device *device, char *const words[]);

/* Connects to a daemon that runs. */
int device_connect(struct device *device, const char *path);

/* Hangs up, and ends all commands under way: done is called for each. Twice is fine. */
void device_hang_up(struct device *device);

/* Hangs up and frees all. A daemon of our own ends by that, and is waited for. */
void device_stop(struct device *device);

/* Finds the capset's version and size: 0 and *info, or -ENOENT (said by nobody). */
int device_find_capset(
	struct device *device, uint32_t id, struct virtio_gpu_resp_capset_info *info);

/* Reads size bytes of the capset's description. Waits for all that is under way. */
int device_get_capset(
	struct device *device, uint32_t id, uint32_t version, void *bytes, uint32_t size);

/* Makes the client's context. */
int device_create_context(
	struct device *device, uint32_t capset_id, const char *name, uint32_t name_len);

/*
 * Makes a region guest memory, and no longer: no command may use it then. Returns 0 or -errno; removing fails
 * only when the daemon has gone. *when says what to wait for before a command names the region.
 */
int device_add_memory(struct device *device, const struct fe_region *region, uint64_t *when);
void device_remove_memory(struct device *device, const struct fe_region *region);

/* Waits until what was added then is guest memory. Returns 0 or -errno. */
int device_confirm_memory(struct device *device, uint64_t when);

/*
 * Sends a command of size bytes with what lies behind it in guest memory (len 0: nothing). Waits while
 * there is no room. done may be NULL.
 */
int device_send(struct device *device, const void *command, size_t size, struct fe_buffer tail,
	device_done_fn done, void *data);

/* Lets the daemon see what was sent. */
void device_kick(struct device *device);

/* Looks for ended commands without waiting. */
int device_reap(struct device *device);

/* Waits until no more than so many commands are under way. */
int device_wait(struct device *device, uint32_t in_flight);

/* Waits until *done, which the end of a command sets (see device_set). */
int device_wait_until(struct device *device, const bool *done);

/* A device_done_fn: data is a bool, which becomes true. */
void device_set(void *data);

/*
 * Waits until other (-1: nothing else) is readable, or something has come from the daemon, and takes that.
 * Returns 1: other is readable; 0 or -errno.
 */
int device_wait_with(struct device *device, int other);

/*
 * Waits for the file that a RESOURCE_MAP_BLOB of size bytes at this place of the window brings; it comes before
 * the command ends (*ended, which its device_done_fn sets). Returns a descriptor (the caller's) or -errno;
 * -ENODATA: it ended without, being refused (logged).
 */
int device_take_file(struct device *device, uint64_t place, uint64_t size, const bool *ended);

#endif
