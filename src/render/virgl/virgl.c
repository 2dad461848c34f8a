/* SPDX-License-Identifier: MIT */
#include "render/virgl/virgl.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "render/virgl/egl.h"
#include "render/virgl/features.h"
#include "render/virgl/node.h"
#include "render/virgl/virgl_impl.h"

/*
 * How this works
 *
 * The library has one state for the process: it is opened with the daemon, and all that a VM made in it
 * is taken down when the VM goes (contexts and textures by their owners in gpu/). The EGL display and
 * its contexts are ours, handed over through the library's callbacks.
 *
 * All calls come from the loop's thread; the library's own thread waits for fences and calls only
 * make_current. reader.c has a thread that reads pixels back, which does not call the library.
 */

struct virgl_context {
	struct render_context base;
	uint32_t id;
};

static const struct render_3d_ops virgl_3d_ops;

struct virgl_device *virgl_device_of(struct renderer *renderer)
{
	assert(renderer->ops_3d == &virgl_3d_ops);
	return container_of(renderer, struct virgl_device, base);
}

static struct virgl_context *to_context(struct render_context *context)
{
	assert(context->renderer->ops_3d == &virgl_3d_ops);
	return container_of(context, struct virgl_context, base);
}

static struct virgl_library *library_of(struct renderer *renderer)
{
	return &virgl_device_of(renderer)->virgl->library;
}

static int get_capset(struct renderer *renderer, uint32_t index, struct render_capset *capset)
{
	const struct virgl *virgl = virgl_device_of(renderer)->virgl;

	if (index >= virgl->capset_count) {
		return -ENOENT;
	}
	*capset = virgl->capsets[index];
	return 0;
}

static void fill_capset(struct renderer *renderer, uint32_t id, uint32_t version, void *bytes)
{
	library_of(renderer)->fill_caps(id, version, bytes);
}

static int create_context(struct renderer *renderer, uint32_t id, uint32_t capset_id,
	const char *name, uint32_t name_len, struct render_context **created)
{
	struct virgl_library *library = library_of(renderer);
	struct virgl_context *context;
	int error;

	if (capset_id > VIRTIO_GPU_CAPSET_VIRGL2) {
		return -EINVAL;
	}
	context = calloc(1, sizeof(*context));
	if (!context) {
		return -ENOMEM;
	}
	error = library->context_create(id, name_len, name);
	/*
	 * The new one's GL context is current now, but the library takes that of the context that drew
	 * last for it, and would run its next commands in the wrong one. Context 0 sets it right.
	 */
	library->force_ctx_0();
	if (error) {
		free(context);
		return -EIO;
	}
	context->base.renderer = renderer;
	context->id = id;
	*created = &context->base;
	return 0;
}

static void destroy_context(struct render_context *base)
{
	struct virgl_context *context = to_context(base);

	library_of(base->renderer)->context_destroy(context->id);
	free(context);
}

static void attach(struct render_context *context, struct render_resource *resource)
{
	library_of(context->renderer)
		->ctx_attach_resource(
			(int)to_context(context)->id, (int)virgl_texture_id(resource));
}

static void detach(struct render_context *context, struct render_resource *resource)
{
	library_of(context->renderer)
		->ctx_detach_resource(
			(int)to_context(context)->id, (int)virgl_texture_id(resource));
}

static int submit(struct render_context *context, void *commands, size_t size)
{
	int error = library_of(context->renderer)
			    ->submit_cmd(commands, (int)to_context(context)->id, (int)(size / 4));

	return error ? -EINVAL : 0;
}

static const struct render_3d_ops virgl_3d_ops = {
	.get_capset = get_capset,
	.fill_capset = fill_capset,
	.create_texture = virgl_texture_create,
	.transfer = virgl_texture_transfer,
	.upload = virgl_texture_upload,
	.create_context = create_context,
	.destroy_context = destroy_context,
	.attach = attach,
	.detach = detach,
	.submit = submit,
	.create_fence = virgl_fence_create,
};

static void destroy_device(struct renderer *renderer)
{
	struct virgl_device *device = virgl_device_of(renderer);

	virgl_fences_drop(device);
	device->virgl->device = NULL;
	free(device);
}

/* What CREATE_2D and guest blobs make belongs to the soft renderer. */
static const struct render_ops virgl_ops = {
	.create_image = render_no_image,
	.create_blob = render_no_blob,
	.destroy = destroy_device,
};

struct renderer *virgl_renderer_of(struct virgl *virgl, struct memory *memory,
	const struct render_listener_ops *listener, void *listener_data)
{
	struct virgl_device *device = calloc(1, sizeof(*device));

	assert(!virgl->device);
	if (!device) {
		log_error("no memory for a renderer");
		return NULL;
	}
	renderer_init(&device->base, &virgl_ops, listener, listener_data);
	renderer_init_3d(&device->base, &virgl_3d_ops);
	device->virgl = virgl;
	device->memory = memory;
	list_init(&device->fences);
	list_init(&device->ended);
	virgl->device = device;
	return &device->base;
}

static void handle_write_fence(void *cookie, uint32_t number)
{
	struct virgl *virgl = cookie;

	if (virgl->device) {
		virgl_fences_retire(virgl->device, number);
	}
}

static virgl_renderer_gl_context handle_create_gl_context(
	void *cookie, int scanout, struct virgl_renderer_gl_ctx_param *param)
{
	struct virgl *virgl = cookie;

	(void)scanout;
	return egl_create_context(virgl->egl, param->major_ver, param->minor_ver);
}

static void handle_destroy_gl_context(void *cookie, virgl_renderer_gl_context context)
{
	struct virgl *virgl = cookie;

	if (virgl->reader && pthread_equal(virgl->thread, pthread_self())) {
		virgl_reader_forget(virgl->reader, context);
	}
	egl_destroy_context(virgl->egl, context);
}

static int handle_make_current(void *cookie, int scanout, virgl_renderer_gl_context context)
{
	struct virgl *virgl = cookie;

	(void)scanout;
	if (virgl->reader && pthread_equal(virgl->thread, pthread_self())) {
		virgl_reader_note_switch(virgl->reader, context);
	}
	return egl_make_current(virgl->egl, context);
}

/* What the library says is for whoever looks for a fault; a guest can make it say a lot. */
static void handle_debug(const char *format, va_list arguments)
{
	static struct log_limit limit = LOG_LIMIT_INIT;
	char text[256];

	if (!log_is_enabled(LOG_DEBUG) || !log_limit_pass(&limit, LOG_DEBUG)) {
		return;
	}
	vsnprintf(text, sizeof(text), format, arguments);
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < ' ') {
			*c = ' ';
		}
	}
	log_write(LOG_DEBUG, "virglrenderer: %s", text);
}

static int start_library(struct virgl *virgl)
{
	int error;

	virgl->callbacks = (struct virgl_renderer_callbacks){
		.version = 1,
		.write_fence = handle_write_fence,
		.create_gl_context = handle_create_gl_context,
		.destroy_gl_context = handle_destroy_gl_context,
		.make_current = handle_make_current,
	};
	virgl->library.set_debug_callback(handle_debug);
	error = virgl->library.init(virgl, VIRGL_RENDERER_THREAD_SYNC, &virgl->callbacks);
	if (error) {
		log_error("VirGL cannot be offered: virglrenderer does not start on %s (error %d)",
			egl_gpu(virgl->egl)->renderer, error);
		return -ENODEV;
	}
	virgl->started = true;
	return 0;
}

/* What the library offers: a capset without a size is none. */
static int find_capsets(struct virgl *virgl)
{
	for (uint32_t id = VIRTIO_GPU_CAPSET_VIRGL; id <= VIRTIO_GPU_CAPSET_VIRGL2; id++) {
		struct render_capset capset = { .id = id };

		virgl->library.get_cap_set(id, &capset.max_version, &capset.max_size);
		if (capset.max_size > 0) {
			virgl->capsets[virgl->capset_count++] = capset;
		}
	}
	if (virgl->capset_count == 0) {
		log_error("VirGL cannot be offered: virglrenderer has no capset for it");
		return -ENODEV;
	}
	virgl_getimage_init(&virgl->library, &virgl->capsets[0], &virgl->drawn);
	return 0;
}

static bool can_load(const char *name)
{
	void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);

	if (library) {
		dlclose(library);
	}
	return library != NULL;
}

bool virgl_is_possible(bool *render_node)
{
	char nodes[NODE_MAX][64];

	*render_node = node_list("", nodes) > 0 && can_load("libgbm.so.1");
	return can_load("libvirglrenderer.so.1") && can_load("libEGL.so.1") &&
		(can_load("libGL.so.1") || can_load("libOpenGL.so.0"));
}

static void describe(struct virgl *virgl)
{
	const struct gpu *gpu = egl_gpu(virgl->egl);
	char route[GPU_ROUTE_SIZE];

	gpu_describe_route(gpu, route, sizeof(route));
	snprintf(virgl->description, sizeof(virgl->description),
		"VirGL on %s, OpenGL %s (%s%s%s%s)", gpu->renderer, gpu->version, route,
		gpu->pci[0] ? ", PCI " : "", gpu->pci, gpu->software ? ", software" : "");
}

static void log_features(const struct virgl *virgl)
{
	char text[1024];

	features_describe(virgl->library.handle, virgl->poll_source != NULL, text, sizeof(text));
	log_info("%s", text);
}

struct virgl *virgl_open(struct loop *loop, const struct virgl_config *config)
{
	struct virgl *virgl = calloc(1, sizeof(*virgl));

	if (!virgl) {
		log_error("no memory for VirGL");
		return NULL;
	}
	virgl->loop = loop;
	/* Before anything of GL is in the process: drivers are asked in children of it. */
	virgl->egl = virgl_open_display(config);
	virgl->thread = pthread_self();
	if (!virgl->egl || virgl_library_load(&virgl->library) < 0 || start_library(virgl) < 0 ||
		find_capsets(virgl) < 0 || virgl_fences_open(virgl) < 0) {
		goto fail;
	}
	virgl->reader = virgl_reader_open(loop, virgl->egl);
	describe(virgl);
	log_features(virgl);
	return virgl;

fail:
	virgl_close(virgl);
	return NULL;
}

void virgl_close(struct virgl *virgl)
{
	if (!virgl) {
		return;
	}
	assert(!virgl->device);
	virgl_fences_close(virgl);
	virgl_reader_close(virgl->reader);
	virgl->reader = NULL;
	if (virgl->started) {
		virgl->library.cleanup(virgl);
	}
	egl_close(virgl->egl);
	/* Its thread and epoxy's tables stay behind: unloading it is not safe. */
	free(virgl);
}

const char *virgl_description(const struct virgl *virgl)
{
	return virgl->description;
}
