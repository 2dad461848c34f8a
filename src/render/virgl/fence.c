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
 * Fences of a Venus context's rings have 64 bits in the library: their tokens are their numbers. Each ring is a
 * timeline of its own. A context that is destroyed takes its unfinished work along: its fences end, as nothing of
 * what they stood for will happen any more.
 *
 * An idle source keeps the loop from sleeping while a fence is expected to end soon (see awake.h): the
 * loop turns and looks at all its descriptors, and nobody has to wake it.
 */

#define FIRST_FENCE (UINT32_MAX - 16)

#define POLL_MS 1

struct virgl_fence {
	struct list link;
	uint32_t number; // the library's, of OpenGL's
	uint64_t token;
	int result; // when it has ended
};

static struct virgl_fence *first_of(const struct list *fences)
{
	struct list *link = list_first(fences);

	return link ? container_of(link, struct virgl_fence, link) : NULL;
}

/* Adds one; NULL: no memory. */
static struct virgl_fence *append_fence(struct list *fences, uint64_t token)
{
	struct virgl_fence *fence = calloc(1, sizeof(*fence));

	if (fence) {
		fence->token = token;
		list_init(&fence->link);
		list_append(fences, &fence->link);
	}
	return fence;
}

static void drop_fence(struct virgl_fence *fence)
{
	list_remove(&fence->link);
	free(fence);
}

/* It has ended: whoever waits for it is told at the end of the loop's turn. */
static void end_fence(struct virgl_device *device, struct virgl_fence *fence, int result)
{
	fence->result = result;
	list_remove(&fence->link);
	list_append(&device->ended, &fence->link);
	loop_deferred_schedule(device->virgl->tell);
}

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

/* OpenGL's; each context of Vulkan has a descriptor of its own. */
static int open_poll(struct virgl *virgl)
{
	int fd = virgl->library.get_poll_fd();

	if (fd >= 0) {
		virgl->poll_source = loop_add_fd(
			virgl->loop, fd, LOOP_READABLE, handle_poll_fd, virgl);
	} else {
		virgl->poll_timer = loop_add_timer(virgl->loop, handle_poll_timer, virgl);
	}
	return virgl->poll_source || virgl->poll_timer ? 0 : -ENOMEM;
}

int virgl_fences_open(struct virgl *virgl)
{
	virgl->next_fence = FIRST_FENCE;
	virgl->tell = loop_add_deferred(virgl->loop, handle_tell, virgl);
	virgl->stay_awake = loop_add_idle(virgl->loop, handle_stay_awake, virgl);
	if (!virgl->tell || !virgl->stay_awake) {
		return -ENOMEM;
	}
	return virgl->egl ? open_poll(virgl) : 0;
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
static void stay_awake(struct virgl *virgl, const struct list *fences, bool told)
{
	bool alone = fences->next == fences->prev;

	if (told && awake_begin(&virgl->awake, alone, loop_now_ns())) {
		loop_idle_start(virgl->stay_awake);
	}
}

int virgl_fence_create(struct renderer *renderer, uint64_t token)
{
	struct virgl_device *device = virgl_device_of(renderer);
	struct virgl *virgl = device->virgl;
	struct virgl_fence *fence;

	if (!virgl->egl) {
		return 0; // there is no OpenGL to wait for
	}
	fence = append_fence(&device->fences, token);
	if (!fence) {
		return -ENOMEM;
	}
	fence->number = virgl->next_fence++;
	if (virgl->library.create_fence((int)fence->number, 0)) {
		drop_fence(fence);
		return -EIO;
	}
	stay_awake(virgl, &device->fences, virgl->poll_source != NULL);
	if (virgl->poll_timer && !loop_timer_is_running(virgl->poll_timer)) {
		loop_timer_start(virgl->poll_timer, POLL_MS);
	}
	return RENDER_PENDING;
}

void virgl_fences_retire(struct virgl_device *device, uint32_t number)
{
	struct virgl_fence *fence;

	while ((fence = first_of(&device->fences)) && (int32_t)(number - fence->number) >= 0) {
		end_fence(device, fence, 0);
	}
	awake_end(&device->virgl->awake);
	loop_idle_stop(device->virgl->stay_awake);
}

int virgl_ring_fence_create(struct render_context *base, uint32_t ring, uint64_t token)
{
	struct virgl_context *context = virgl_context_of(base);
	struct virgl *virgl = context->device->virgl;
	struct virgl_fence *fence;
	int error;

	if (context->lost) {
		return -EIO;
	}
	fence = append_fence(&context->fences, token);
	if (!fence) {
		return -ENOMEM;
	}
	virgl_context_begin_call(context);
	error = virgl->library.context_create_fence(context->id, 0, ring, token);
	virgl_context_end_call(context);
	if (error) {
		drop_fence(fence);
		if (error == -EINVAL) {
			return -EINVAL; // the library has 64 rings
		}
		virgl_context_lose(context);
		return -EIO;
	}
	stay_awake(virgl, &context->fences, true);
	virgl_context_expect(context);
	return RENDER_PENDING;
}

void virgl_ring_fence_retire(struct virgl_context *context, uint64_t token)
{
	struct virgl *virgl = context->device->virgl;

	list_for_each(link, &context->fences) {
		struct virgl_fence *fence = container_of(link, struct virgl_fence, link);

		if (fence->token == token) {
			end_fence(context->device, fence, 0);
			break;
		}
	}
	awake_end(&virgl->awake);
	loop_idle_stop(virgl->stay_awake);
}

uint64_t virgl_ring_fences_first(const struct virgl_context *context)
{
	const struct virgl_fence *fence = first_of(&context->fences);

	return fence ? fence->token : 0;
}

void virgl_ring_fences_drop(struct virgl_context *context)
{
	struct virgl_fence *fence;

	while ((fence = first_of(&context->fences))) {
		end_fence(context->device, fence, context->lost ? -EIO : 0);
	}
}

void virgl_fences_fail_after(struct virgl_device *device, const struct list *last)
{
	for (struct list *link = last->next; link != &device->ended; link = link->next) {
		container_of(link, struct virgl_fence, link)->result = -EIO;
	}
}

void virgl_fences_tell(struct virgl_device *device)
{
	struct virgl_fence *fence;

	while ((fence = first_of(&device->ended))) {
		uint64_t token = fence->token;
		int result = fence->result;

		drop_fence(fence);
		device->base.listener->operation_done(device->base.listener_data, token, result);
	}
}

static void drop_list(struct list *list)
{
	struct virgl_fence *fence;

	while ((fence = first_of(list))) {
		drop_fence(fence);
	}
}

void virgl_fences_drop(struct virgl_device *device)
{
	drop_list(&device->fences);
	drop_list(&device->ended);
}
