/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_GUARD_H
#define RENDER_VIRGL_GUARD_H

/*
 * Ends a process that does not answer. libvirglrenderer waits for a render process without a limit, and all
 * of the VM waits with it: a driver that hangs must cost its context alone.
 */

#include <stdbool.h>

/* Seconds that a process has: drivers compile and wake GPUs meanwhile. */
#define VIRGL_GUARD_SECONDS 10

/* Once. Returns 0 or -errno (logged). */
int virgl_guard_open(void);
void virgl_guard_close(void);

/*
 * From here to virgl_guard_leave the process (a pidfd, borrowed; -1: none is guarded) is waited for. Only
 * one thread may do so. leave returns whether it was ended.
 */
void virgl_guard_enter(int process);
bool virgl_guard_leave(void);

#endif
