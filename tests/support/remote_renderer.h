/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_REMOTE_RENDERER_H
#define SUPPORT_REMOTE_RENDERER_H

/*
 * A renderer that lives in another process: a forked child runs the soft renderer with its own copy of
 * the memory table, a socket is all that is between. It shows that render.h can be a process boundary,
 * and makes every operation end later.
 */

#include <stdbool.h>

#include "render/render.h"

/* Regions that are added to memory later are unknown to the child: attaching them fails, late. */
struct renderer *remote_renderer_create(
	struct memory *memory, const struct render_listener_ops *listener, void *listener_data);

/* Tells the listener what has ended. Waits for everything that was begun if `wait`. */
void remote_renderer_pump(struct renderer *renderer, bool wait);

/* Ends the child, as a crash would. The listener hears of it from the next pump. */
void remote_renderer_kill(struct renderer *renderer);

#endif
