/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "render/virgl/virgl_impl.h"

/*
 * How this works
 *
 * The library numbers fences with 32 bits, and says "all up to this number are done". Guests' fences
 * have 64 bits and need not be in order, so each gets a number of ours, and a queue remembers whose it
 * is; numbers are compared by their difference, across the wrap. They start close before it, so that it
 * is met soon and by every test. VirGL has one timeline, that of GL: fences of a context's ring (its only
 * one is 0) are on it, too, in the order in which they came.
 *
 * With its own thread (THREAD_SYNC) the library makes a descriptor readable when a fence ends. Where it
 * has none, a timer looks while fences are pending.
 *
 * An idle source keeps the loop from sleeping while a fence is expected to end soon (see awake.h): the
 * loop turns and looks at all its descriptors, and nobody has to wake it.
 */

#define FIRST_FENCE (UINT32_MAX - 16)

#define POLL_MS 1

struct virgl_fence {
	struct list link;
	uint32_t number;
	uint64_t token;
};

static void handle_poll_fd(void *data, int events)
{
	struct virgl *virgl = data;

	(void)events;
	virgl->library.poll();
}

static void handle_poll_timer(void *data)
{
	struct virgl *virgl = data;

	virgl->library.poll();
	if (virgl->device && !list_is_empty(&virgl->device->fences)) {
		loop_timer_start(virgl->poll_timer, POLL_MS);
	}
}

static void handle_stay_awake(void *data)
{
	struct virgl *virgl = data;

	if (!awake_goes_on(&virgl->awake, loop_now_ns())) {
		loop_idle_stop(virgl->stay_awake);
	}
}

static void handle_tell(void *data)
{
	struct virgl *virgl = data;

	if (virgl->device) {
		virgl_fences_tell(virgl->device);
	}
}

int virgl_fences_open(struct virgl *virgl)
{
	int fd = virgl->library.get_poll_fd();

	virgl->next_fence = FIRST_FENCE;
	virgl->tell = loop_add_deferred(virgl->loop, handle_tell, virgl);
	virgl->stay_awake = loop_add_idle(virgl->loop, handle_stay_awake, virgl);
	if (fd >= 0) {
		virgl->poll_source = loop_add_fd(
			virgl->loop, fd, LOOP_READABLE, handle_poll_fd, virgl);
	} else {
		virgl->poll_timer = loop_add_timer(virgl->loop, handle_poll_timer, virgl);
	}
	return virgl->tell && virgl->stay_awake && (virgl->poll_source || virgl->poll_timer)
		? 0
		: -ENOMEM;
}

void virgl_fences_close(struct virgl *virgl)
{
	loop_remove_fd(virgl->poll_source);
	loop_remove_timer(virgl->poll_timer);
	loop_remove_deferred(virgl->tell);
	loop_remove_idle(virgl->stay_awake);
	virgl->poll_source = NULL;
	virgl->poll_timer = NULL;
	virgl->tell = NULL;
	virgl->stay_awake = NULL;
}

/* For the fence that was just made; a timer would not come sooner. */
static void stay_awake(struct virgl_device *device)
{
	struct virgl *virgl = device->virgl;
	bool alone = device->fences.next == device->fences.prev;

	if (virgl->poll_source && awake_begin(&virgl->awake, alone, loop_now_ns())) {
		loop_idle_start(virgl->stay_awake);
	}
}

int virgl_fence_create(struct renderer *renderer, uint64_t token)
{
	struct virgl_device *device = virgl_device_of(renderer);
	struct virgl *virgl = device->virgl;
	struct virgl_fence *fence = malloc(sizeof(*fence));
	int error;

	if (!fence) {
		return -ENOMEM;
	}
	fence->number = virgl->next_fence++;
	fence->token = token;
	list_init(&fence->link);
	list_append(&device->fences, &fence->link);
	error = virgl->library.create_fence((int)fence->number, 0);
	if (error) {
		list_remove(&fence->link);
		free(fence);
		return -EIO;
	}
	stay_awake(device);
	if (virgl->poll_timer && !loop_timer_is_running(virgl->poll_timer)) {
		loop_timer_start(virgl->poll_timer, POLL_MS);
	}
	return RENDER_PENDING;
}

void virgl_fences_retire(struct virgl_device *device, uint32_t number)
{
	struct list *link;

	while ((link = list_first(&device->fences))) {
		struct virgl_fence *fence = container_of(link, struct virgl_fence, link);

		if ((int32_t)(number - fence->number) < 0) {
			break;
		}
		list_remove(link);
		list_append(&device->ended, link);
		loop_deferred_schedule(device->virgl->tell);
	}
	awake_end(&device->virgl->awake);
	loop_idle_stop(device->virgl->stay_awake);
}

void virgl_fences_tell(struct virgl_device *device)
{
	struct list *link;

	while ((link = list_first(&device->ended))) {
		struct virgl_fence *fence = container_of(link, struct virgl_fence, link);
		uint64_t token = fence->token;

		list_remove(link);
		free(fence);
		device->base.listener->operation_done(device->base.listener_data, token, 0);
	}
}

static void drop_list(struct list *list)
{
	struct list *link;

	while ((link = list_first(list))) {
		list_remove(link);
		free(container_of(link, struct virgl_fence, link));
	}
}

void virgl_fences_drop(struct virgl_device *device)
{
	drop_list(&device->fences);
	drop_list(&device->ended);
}
