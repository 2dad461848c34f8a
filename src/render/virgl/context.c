/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "render/virgl/virgl_impl.h"

/*
 * How this works
 *
 * A context of VirGL runs in this process. Without VirGL one that names no capset is empty: Linux makes one for each
 * program that has 2D images, and attaches them. One of Venus runs in a process of the render server's, and what
 * is asked of it goes there by a socket of the library's. Such a process can die, by a driver's fault or its
 * guest's: then its context is lost, what waited for it ends with -EIO, and the others go on.
 *
 * The library tells of a context's ended fences by a descriptor of the context, and nothing when the process
 * died: a pidfd tells that. Where the system does not tell which process is whose, contexts whose fences stay are
 * looked at from time to time: the library looks at one that is asked often and makes no progress
 * (virglrenderer, proxy_context.c), and ends all its fences when its process is gone.
 */

/* Between looks at contexts whose fences make no progress. */
#define WATCH_MS 500

/* A doorbell is rung again after so long or twice as long: far past what doorbells.h is about. */
#define RING_AGAIN_MS 100

/* The same after a pause. The VMM lets the guest run only after it has told us. */
#define RING_RESUMED_MS 1000

/* The library looks whether the process is there only after a hundred questions without progress. */
#define QUESTIONS 101

struct virgl_context *virgl_context_of(struct render_context *context)
{
	return container_of(context, struct virgl_context, base);
}

static struct virgl_library *library_of(struct virgl_device *device)
{
	return &device->virgl->library;
}

bool virgl_context_is_venus(const struct virgl_context *context)
{
	return context->capset == VIRGL_CAPSET_VENUS;
}

void virgl_context_lose(struct virgl_context *context)
{
	static struct log_limit limit = LOG_LIMIT_INIT;

	if (!context->lost) {
		context->lost = true;
		virgl_ring_fences_drop(context);
		log_limited(&limit, LOG_WARN,
			"context %u: its render process is gone, by a fault of the GPU's driver or "
			"of what the guest did; the guest's program loses its Vulkan device",
			context->id);
	}
}

static void handle_ring_fences(void *data, int events)
{
	struct virgl_context *context = data;

	(void)events;
	library_of(context->device)->context_poll(context->id);
}

/*
 * Asks as often as it takes for the library to see whether the process is still there. A fence that ends may also
 * have just been reached; but a process that is gone takes no new one either. (Nobody waits for that: no token is 0.)
 */
static void question(struct virgl_context *context)
{
	struct virgl_library *library = library_of(context->device);
	const struct list *last = context->device->ended.prev;
	uint64_t first = virgl_ring_fences_first(context);

	for (int i = 0; i < QUESTIONS && virgl_ring_fences_first(context) == first; i++) {
		library->context_poll(context->id);
	}
	if (virgl_ring_fences_first(context) != first &&
		library->context_create_fence(context->id, 0, 0, 0)) {
		virgl_fences_fail_after(context->device, last);
		virgl_context_lose(context);
	}
}

/*
 * Looks at each context of the VM, if there is one. Starts the timer for the next look if any of them wants that.
 */
static void look_at_contexts(struct virgl *virgl, bool (*look)(struct virgl_context *context),
	struct loop_timer *timer, uint32_t milliseconds)
{
	bool any = false;

	if (!virgl->device) {
		return;
	}
	list_for_each(link, &virgl->device->contexts) {
		any |= look(container_of(link, struct virgl_context, link));
	}
	if (any) {
		loop_timer_start(timer, milliseconds);
	}
}

/* Returns whether it has fences that nobody else would end. */
static bool watch(struct virgl_context *context)
{
	uint64_t first = virgl_ring_fences_first(context);

	if (context->death) {
		return false; // it tells
	}
	if (first && first == context->first_seen) {
		question(context);
	}
	context->first_seen = virgl_ring_fences_first(context);
	return context->first_seen != 0;
}

static void handle_watch(void *data)
{
	struct virgl *virgl = data;

	look_at_contexts(virgl, watch, virgl->watch, WATCH_MS);
}

void virgl_context_expect(struct virgl_context *context)
{
	struct loop_timer *timer = context->device->virgl->watch;

	if (!context->death && !loop_timer_is_running(timer)) {
		loop_timer_start(timer, WATCH_MS);
	}
}

static void handle_death(void *data, int events)
{
	struct virgl_context *context = data;

	(void)events;
	loop_remove_fd(context->death);
	context->death = NULL;
	virgl_context_lose(context);
}

/* Which process is its? The one that was not there before. */
static void find_process(struct virgl_context *context, pid_t before)
{
	struct virgl *virgl = context->device->virgl;
	pid_t last = virgl_server_last_child(virgl->server);

	if (last == 0 || last == before) {
		return;
	}
	context->process = (int)syscall(SYS_pidfd_open, last, 0);
	if (context->process >= 0) {
		context->death = loop_add_fd(
			virgl->loop, context->process, LOOP_READABLE, handle_death, context);
	}
}

static int start_process(struct virgl_context *context, const char *name, uint32_t name_len)
{
	struct virgl *virgl = context->device->virgl;
	pid_t before = virgl_server_last_child(virgl->server);
	int error;

	virgl_guard_enter(virgl_server_process(virgl->server));
	error = virgl->library.context_create_with_flags(
		context->id, VIRGL_CAPSET_VENUS, name_len, name);
	if (virgl_guard_leave()) {
		log_error("the render server did not answer within %d s: it was ended",
			VIRGL_GUARD_SECONDS);
	}
	if (error == 0) {
		find_process(context, before);
	}
	virgl->refused = error != 0;
	return error;
}

static void close_venus(struct virgl_context *context)
{
	loop_remove_fd(context->source);
	loop_remove_fd(context->death);
	library_of(context->device)->context_destroy(context->id);
	fd_close(&context->process);
}

/*
 * Around a call of the library that may wait for the context's process. One that does not answer is ended;
 * the call then returns with an error.
 */
void virgl_context_begin_call(const struct virgl_context *context)
{
	virgl_guard_enter(context->process);
}

void virgl_context_end_call(struct virgl_context *context)
{
	if (virgl_guard_leave()) {
		log_error("context %u: its render process did not answer within %d s: it was ended",
			context->id, VIRGL_GUARD_SECONDS);
	}
}

static int open_venus(struct virgl_context *context, const char *name, uint32_t name_len)
{
	struct virgl_library *library = library_of(context->device);
	int fd;

	if (start_process(context, name, name_len)) {
		return -EIO;
	}
	fd = library->context_get_poll_fd(context->id);
	context->source = fd < 0 ? NULL
				 : loop_add_fd(context->device->virgl->loop, fd, LOOP_READABLE,
					   handle_ring_fences, context);
	if (!context->source) {
		close_venus(context);
		return -EIO;
	}
	return 0;
}

static int open_virgl(struct virgl_context *context, const char *name, uint32_t name_len)
{
	struct virgl_library *library = library_of(context->device);
	int error = library->context_create(context->id, name_len, name);
	/*
	 * The new one's GL context is current now, but the library takes that of the context that drew
	 * last for it, and would run its next commands in the wrong one. Context 0 sets it right.
	 */
	library->force_ctx_0();
	return error ? -EIO : 0;
}

static bool is_empty(const struct virgl_context *context)
{
	return !virgl_context_is_venus(context) && !context->device->virgl->egl;
}

static int open_context(struct virgl_context *context, const char *name, uint32_t name_len)
{
	if (virgl_context_is_venus(context)) {
		return open_venus(context, name, name_len);
	}
	return is_empty(context) ? 0 : open_virgl(context, name, name_len);
}

int virgl_context_create(struct renderer *renderer, uint32_t id, uint32_t capset_id,
	const char *name, uint32_t name_len, struct render_context **created)
{
	struct virgl_context *context = calloc(1, sizeof(*context));
	int error;

	if (!context) {
		return -ENOMEM;
	}
	context->base.renderer = renderer;
	context->device = virgl_device_of(renderer);
	context->id = id;
	context->capset = capset_id;
	context->process = -1;
	list_init(&context->link);
	list_init(&context->fences);
	error = open_context(context, name, name_len);
	if (error < 0) {
		free(context);
		return error;
	}
	list_append(&context->device->contexts, &context->link);
	*created = &context->base;
	return 0;
}

void virgl_context_destroy(struct render_context *base)
{
	struct virgl_context *context = virgl_context_of(base);

	if (virgl_context_is_venus(context)) {
		close_venus(context);
		virgl_ring_fences_drop(context);
	} else if (!is_empty(context)) {
		library_of(context->device)->context_destroy(context->id);
	}
	list_remove(&context->link);
	free(context);
}

void virgl_context_attach(struct render_context *base, struct render_resource *resource)
{
	struct virgl_context *context = virgl_context_of(base);

	virgl_context_begin_call(context);
	library_of(context->device)
		->ctx_attach_resource((int)context->id, (int)virgl_resource_id(resource));
	virgl_context_end_call(context);
}

void virgl_context_detach(struct render_context *base, struct render_resource *resource)
{
	struct virgl_context *context = virgl_context_of(base);

	virgl_context_begin_call(context);
	library_of(context->device)
		->ctx_detach_resource((int)context->id, (int)virgl_resource_id(resource));
	virgl_context_end_call(context);
}

/* Venus' streams are not looked at here, but for doorbells: one that fails could not be sent. */
static int send_stream(struct virgl_context *context, void *commands, size_t size)
{
	int error;

	if (context->lost) {
		return -EIO;
	}
	virgl_context_begin_call(context);
	error = library_of(context->device)
			->submit_cmd(commands, (int)context->id, (int)(size / 4));
	virgl_context_end_call(context);
	if (error) {
		virgl_context_lose(context);
		return -EIO;
	}
	return 0;
}

/* Returns whether there is more to ring the next time. */
static bool ring_again(struct virgl_context *context)
{
	struct doorbell doorbell;

	while (doorbells_next(&context->doorbells, &doorbell)) {
		send_stream(context, &doorbell, sizeof(doorbell));
	}
	return doorbells_age(&context->doorbells);
}

static void handle_ring_again(void *data)
{
	struct virgl *virgl = data;

	look_at_contexts(virgl, ring_again, virgl->ring_again, RING_AGAIN_MS);
}

static bool resume(struct virgl_context *context)
{
	return doorbells_resume(&context->doorbells);
}

void virgl_contexts_pause(struct renderer *renderer, bool paused)
{
	struct virgl *virgl = virgl_device_of(renderer)->virgl;

	if (paused) {
		loop_timer_stop(virgl->ring_again);
	} else {
		look_at_contexts(virgl, resume, virgl->ring_again, RING_RESUMED_MS);
	}
}

int virgl_context_submit(struct render_context *base, void *commands, size_t size)
{
	struct virgl_context *context = virgl_context_of(base);
	struct virgl *virgl = context->device->virgl;

	if (is_empty(context)) {
		return -ENOTSUP;
	}
	if (!virgl_context_is_venus(context)) {
		int error = virgl->library.submit_cmd(commands, (int)context->id, (int)(size / 4));

		return error ? -EINVAL : 0;
	}
	if (doorbells_note(&context->doorbells, commands, size) &&
		!loop_timer_is_running(virgl->ring_again)) {
		loop_timer_start(virgl->ring_again, RING_AGAIN_MS);
	}
	return send_stream(context, commands, size);
}

int virgl_contexts_open(struct virgl *virgl)
{
	virgl->watch = loop_add_timer(virgl->loop, handle_watch, virgl);
	virgl->ring_again = loop_add_timer(virgl->loop, handle_ring_again, virgl);
	return virgl->watch && virgl->ring_again ? 0 : -ENOMEM;
}

void virgl_contexts_close(struct virgl *virgl)
{
	loop_remove_timer(virgl->watch);
	loop_remove_timer(virgl->ring_again);
	virgl->watch = NULL;
	virgl->ring_again = NULL;
}
