/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_QUOTA_H
#define VULKAN_LAYER_QUOTA_H

/*
 * The bound on the Vulkan memory of all processes of one render server together, which is that of a VM.
 *
 * How this works: VIRTIO_GPUD_MEMORY_QUOTA=FD:BYTES names a memory file of counters, zeroed by the daemon and
 * inherited, and the bound. A process counts in a counter of its own, which it holds by a record lock on the
 * counter's bytes (fcntl(2), F_SETLK). The kernel drops it when the process ends, in whatever way, so a counter
 * that is not zero and can be locked is a dead process's: its bytes are free. There is no sum to get out of
 * step and no lock that anybody waits for: who takes bytes adds them first, looks at the sum of all counters,
 * and takes them back when that is too much. So the bound holds; two who take the last bytes at once may both
 * be refused.
 *
 * A process that ignores the layer can do as it likes: the bound is for what the guest asks for, not for a
 * guest that has got hold of a render process.
 */

#include <stdbool.h>
#include <stdint.h>

/* Looks for the variable, unless somebody has. Returns false when it is there and of no use (said on stderr). */
bool quota_open(void);

/* For each quota_open() that returned true. What was not given back stays taken until the process ends. */
void quota_close(void);

/* Whether there is a bound. */
bool quota_is_set(void);

uint64_t quota_limit(void); // bytes; UINT64_MAX: none
uint64_t quota_left(void); // bytes that nobody has taken; UINT64_MAX without a bound

/* Takes bytes. Returns false, and takes nothing, when they are not left. The first time is said on stderr. */
bool quota_take(uint64_t bytes);

void quota_give(uint64_t bytes);

#endif
