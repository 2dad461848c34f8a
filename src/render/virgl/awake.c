/* SPDX-License-Identifier: MIT */
#include "render/virgl/awake.h"

/* About what two wake-ups take: the library's thread has to be woken, and would have to wake us. */
#define AWAKE_NS 20000u

/* In vain so often at most: one fence in so many. */
#define PAUSE_MAX 127u

bool awake_begin(struct awake *awake, bool alone, uint64_t now_ns)
{
	awake->until_ns = 0;
	if (!alone) {
		return false;
	}
	if (awake->left > 0) {
		awake->left--;
		return false;
	}
	awake->until_ns = now_ns + AWAKE_NS;
	return true;
}

void awake_end(struct awake *awake)
{
	if (awake->until_ns != 0) {
		awake->until_ns = 0;
		awake->pause = 0;
	}
}

bool awake_goes_on(struct awake *awake, uint64_t now_ns)
{
	if (awake->until_ns == 0 || now_ns < awake->until_ns) {
		return awake->until_ns != 0;
	}
	awake->until_ns = 0;
	awake->pause = awake->pause * 2 + 1 > PAUSE_MAX ? PAUSE_MAX : awake->pause * 2 + 1;
	awake->left = awake->pause;
	return false;
}
