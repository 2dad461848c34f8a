/* SPDX-License-Identifier: MIT */
#include "bench/direct_target.h"

#include <errno.h>
#include <linux/virtio_gpu.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/list.h"

/*
 * How this works
 *
 * The library's calls are those that the daemon makes for the same commands, in the same order: a fence
 * of context 0 behind each operation, resources attached to the context and backed by an iovec. Its
 * thread makes poll_fd readable when a fence has ended; we sleep in poll(2) on it, or, spinning, ask
 * the library over and over. It merges no fences of context 0, and each has a number of ours: the last
 * number told is how many have ended.
 */

enum {
	WAIT_MS = 60000
}; // as for back ends

static struct direct_target *to_direct(struct gl_target *target)
{
	return container_of(target, struct direct_target, target);
}

static void handle_write_fence(void *cookie, uint32_t number)
{
	struct direct_target *direct = cookie;

	direct->ended = number;
}

static virgl_renderer_gl_context handle_create_gl_context(
	void *cookie, int scanout, struct virgl_renderer_gl_ctx_param *param)
{
	struct direct_target *direct = cookie;

	(void)scanout;
	return egl_create_context(direct->egl, param->major_ver, param->minor_ver);
}

static void handle_destroy_gl_context(void *cookie, virgl_renderer_gl_context context)
{
	struct direct_target *direct = cookie;

	egl_destroy_context(direct->egl, context);
}

static int handle_make_current(void *cookie, int scanout, virgl_renderer_gl_context context)
{
	struct direct_target *direct = cookie;

	(void)scanout;
	return egl_make_current(direct->egl, context);
}

/* The library prints to stderr otherwise; what it refuses is seen by what it did not draw. */
static void handle_debug(const char *format, va_list arguments)
{
	(void)format;
	(void)arguments;
}

static int create_context(struct gl_target *target)
{
	static const char name[] = "bench";
	struct direct_target *direct = to_direct(target);
	int error = direct->library.context_create(GL_TARGET_CONTEXT, sizeof(name) - 1, name);

	direct->library.force_ctx_0(); // as the daemon does
	return error ? -EIO : 0;
}

static int destroy_context(struct gl_target *target)
{
	to_direct(target)->library.context_destroy(GL_TARGET_CONTEXT);
	return 0;
}

static int create(struct gl_target *target, const struct gl_resource *resource)
{
	struct direct_target *direct = to_direct(target);
	struct virgl_renderer_resource_create_args args = {
		.handle = resource->id,
		.target = resource->target,
		.format = resource->format,
		.bind = resource->bind,
		.width = resource->width,
		.height = resource->height,
		.depth = 1,
		.array_size = 1,
	};

	if (direct->library.resource_create(&args, NULL, 0) ||
		direct->library.resource_attach_iov((int)resource->id, &direct->backing, 1)) {
		return -EIO;
	}
	direct->library.ctx_attach_resource(GL_TARGET_CONTEXT, (int)resource->id);
	return 0;
}

static int destroy(struct gl_target *target, uint32_t id)
{
	struct direct_target *direct = to_direct(target);
	struct iovec *iov;
	int count;

	direct->library.resource_detach_iov((int)id, &iov, &count);
	direct->library.resource_unref(id);
	return 0;
}

static void prepare(struct gl_target *target, const struct gl_operation *operation)
{
	to_direct(target)->operation = operation;
}

static int submit(struct direct_target *direct)
{
	const struct gl_operation *operation = direct->operation;

	return direct->library.submit_cmd(
		(void *)operation->words, GL_TARGET_CONTEXT, (int)operation->word_count);
}

static int transfer(struct direct_target *direct)
{
	const struct gl_resource *resource = &direct->operation->resource;
	struct virgl_box box = { .w = resource->width, .h = resource->height, .d = 1 };
	uint32_t stride = gl_resource_stride(resource);

	if (direct->operation->kind == GL_UPLOAD) {
		return direct->library.transfer_write_iov(
			resource->id, GL_TARGET_CONTEXT, 0, stride, 0, &box, 0, NULL, 0);
	}
	return direct->library.transfer_read_iov(
		resource->id, GL_TARGET_CONTEXT, 0, stride, 0, &box, 0, NULL, 0);
}

static int begin(struct gl_target *target)
{
	struct direct_target *direct = to_direct(target);
	int error = direct->operation->kind == GL_SUBMIT ? submit(direct) : transfer(direct);

	if (error) {
		return -EINVAL;
	}
	return direct->library.create_fence((int)++direct->begun, 0) ? -EIO : 0;
}

static void flush(struct gl_target *target)
{
	(void)target; // what was begun runs
}

static int sleep_for_fence(struct direct_target *direct)
{
	struct pollfd fd = { .fd = direct->poll_fd, .events = POLLIN };

	return poll(&fd, 1, WAIT_MS) == 1 ? 0 : -ETIMEDOUT;
}

static int wait_for_end(struct gl_target *target, bool spin)
{
	struct direct_target *direct = to_direct(target);
	int error = 0;

	while (error == 0 && direct->ended == direct->taken) {
		if (!spin && direct->poll_fd >= 0) {
			error = sleep_for_fence(direct);
		}
		direct->library.poll();
	}
	int count = (int)(direct->ended - direct->taken);

	direct->taken = direct->ended;
	return error < 0 ? error : count;
}

static const struct gl_target_ops direct_ops = {
	.create_context = create_context,
	.destroy_context = destroy_context,
	.create = create,
	.destroy = destroy,
	.prepare = prepare,
	.begin = begin,
	.flush = flush,
	.wait = wait_for_end,
};

static int read_capset(struct direct_target *direct)
{
	uint32_t version, size;

	direct->library.get_cap_set(VIRTIO_GPU_CAPSET_VIRGL2, &version, &size);
	void *capset = calloc(1, size + 1);
	if (!capset) {
		return -ENOMEM;
	}
	direct->library.fill_caps(VIRTIO_GPU_CAPSET_VIRGL2, version, capset);
	gl_target_read_renderer(&direct->target, capset, size);
	free(capset);
	return 0;
}

static int start_library(struct direct_target *direct)
{
	const struct vendor_choice choice = { 0 }; // as a daemon that is given none
	char error[EGL_ERROR_SIZE];

	direct->egl = egl_open(&choice, NULL, error);
	if (!direct->egl) {
		return gl_target_complain(&direct->target, error, -ENODEV);
	}
	direct->callbacks = (struct virgl_renderer_callbacks){
		.version = 1,
		.write_fence = handle_write_fence,
		.create_gl_context = handle_create_gl_context,
		.destroy_gl_context = handle_destroy_gl_context,
		.make_current = handle_make_current,
	};
	direct->library.set_debug_callback(handle_debug);
	if (direct->library.init(direct, VIRGL_RENDERER_THREAD_SYNC, &direct->callbacks)) {
		return gl_target_complain(&direct->target, "virglrenderer does not start", -ENODEV);
	}
	direct->poll_fd = direct->library.get_poll_fd();
	return 0;
}

int direct_target_open(struct direct_target *direct)
{
	*direct = (struct direct_target){ .target = {
						  .ops = &direct_ops, .name = "direct calls" } };
	void *memory = mmap(NULL, GL_TARGET_MEMORY, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0); // as a guest's memory is

	if (memory == MAP_FAILED) {
		return gl_target_complain(&direct->target, "memory", -ENOMEM);
	}
	direct->target.memory = memory;
	direct->backing = (struct iovec){ memory, GL_TARGET_MEMORY };
	int error = virgl_library_load(&direct->library);

	if (error == 0) {
		error = start_library(direct);
	}
	return error < 0 ? error : read_capset(direct);
}
