/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_AWAKE_H
#define RENDER_VIRGL_AWAKE_H

/*
 * Is it worth staying awake for a fence? To sleep and be woken takes some microseconds, so for a fence
 * that ends within a few it is better to look for it until it comes. For one that ends later this only
 * burns processor time: each time that it was in vain, the next attempt is put off for longer. With
 * several fences under way it would do harm: who sleeps finds several ended at once.
 *
 * Times are of loop_now_ns.
 */

#include <stdbool.h>
#include <stdint.h>

struct awake {
	uint64_t until_ns; // 0: not awake
	uint32_t pause; // fences that were let pass after the last time in vain; 0: it was not
	uint32_t left; // of those to let pass now
};

/* A fence was made, alone or not. Returns whether to stay awake now. */
bool awake_begin(struct awake *awake, bool alone, uint64_t now_ns);

/* It has ended. */
void awake_end(struct awake *awake);

/* While awake: returns whether to go on. */
bool awake_goes_on(struct awake *awake, uint64_t now_ns);

#endif
