/* SPDX-License-Identifier: MIT */
#include "render/virgl/virgl.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
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

static void handle_write_fence(void *cookie, uint32_t number)
{
	struct virgl *virgl = cookie;

	if (virgl->device) {
		virgl_fences_retire(virgl->device, number);
	}
}

static void handle_write_context_fence(
	void *cookie, uint32_t context_id, uint32_t ring, uint64_t fence)
{
	struct virgl *virgl = cookie;

	(void)ring;
	if (!virgl->device) {
		return;
	}
	list_for_each(link, &virgl->device->contexts) {
		struct virgl_context *context = container_of(link, struct virgl_context, link);

		if (context->id == context_id) {
			virgl_ring_fence_retire(context, fence);
			break;
		}
	}
}

/* The library asks once, at its start, and takes the socket. */
static int handle_get_server_fd(void *cookie, uint32_t version)
{
	struct virgl *virgl = cookie;
	int socket = virgl->server_socket;

	(void)version; // of the socket's kind: there is one
	virgl->server_socket = -1;
	return socket;
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
	int flags = VIRGL_RENDERER_THREAD_SYNC;
	int error;

	/* Before: without a socket the library would start a program of its own choice. */
	virgl->server_socket = virgl->server ? virgl_server_start(virgl->server) : -1;
	if (virgl->server && virgl->server_socket < 0) {
		return -ENODEV;
	}
	virgl->callbacks = (struct virgl_renderer_callbacks){
		.version = virgl->server ? 3 : 1,
		.write_fence = handle_write_fence,
		.create_gl_context = handle_create_gl_context,
		.destroy_gl_context = handle_destroy_gl_context,
		.make_current = handle_make_current,
		.write_context_fence = handle_write_context_fence,
		.get_server_fd = handle_get_server_fd,
	};
	flags |= virgl->server ? VIRGL_RENDERER_VENUS | VIRGL_RENDERER_RENDER_SERVER : 0;
	flags |= virgl->egl ? 0 : VIRGL_RENDERER_NO_VIRGL;
	virgl->library.set_debug_callback(handle_debug);
	error = virgl->library.init(virgl, flags, &virgl->callbacks);
	fd_close(&virgl->server_socket);
	if (error) {
		log_error("virglrenderer does not start on %s (error %d)",
			virgl->egl ? egl_gpu(virgl->egl)->renderer : "its render server", error);
		return -ENODEV;
	}
	virgl->started = true;
	return 0;
}

/*
 * A render server that died takes no new contexts, and the library has no way to another one but to start anew.
 * With VirGL that is not tried: its GL contexts are known to others by now.
 */
void virgl_revive(struct virgl *virgl)
{
	if (!virgl->server || virgl->egl) {
		return;
	}
	/* A process that dies closes its sockets a moment before it is known to have ended. */
	if (virgl->refused) {
		virgl_server_wait(virgl->server);
		virgl->refused = false;
	}
	if (virgl_server_is_running(virgl->server)) {
		return;
	}
	virgl->library.cleanup(virgl);
	virgl->started = start_library(virgl) == 0;
}

/* A capset without a size is none. */
static bool add_capset(struct virgl *virgl, uint32_t id)
{
	struct render_capset capset = { .id = id };

	virgl->library.get_cap_set(id, &capset.max_version, &capset.max_size);
	if (capset.max_size > 0) {
		virgl->capsets[virgl->capset_count++] = capset;
	}
	return capset.max_size > 0;
}

/* Asked for when the library runs: before, it may name what it then does not have. */
static int find_capsets(struct virgl *virgl)
{
	if (virgl->egl) {
		add_capset(virgl, VIRTIO_GPU_CAPSET_VIRGL);
		add_capset(virgl, VIRTIO_GPU_CAPSET_VIRGL2);
		if (virgl->capset_count == 0) {
			log_error("OpenGL cannot be offered: virglrenderer has no capset for it");
			return -ENODEV;
		}
		virgl_getimage_init(&virgl->library, &virgl->capsets[0], &virgl->drawn);
	}
	return virgl->server && virgl_venus_add_capset(virgl) < 0 ? -ENODEV : 0;
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
	const struct gpu *gpu = virgl->egl ? egl_gpu(virgl->egl) : NULL;
	char *text = virgl->description;
	size_t size = sizeof(virgl->description);
	char route[GPU_ROUTE_SIZE];
	int used = 0;

	if (gpu) {
		gpu_describe_route(gpu, route, sizeof(route));
		used = snprintf(text, size, "VirGL on %s, OpenGL %s (%s%s%s%s)%s", gpu->renderer,
			gpu->version, route, gpu->pci[0] ? ", PCI " : "", gpu->pci,
			gpu->software ? ", software" : "", virgl->server ? "; " : "");
	}
	if (virgl->server && (size_t)used < size) {
		virgl_venus_describe(virgl, text + used, size - (size_t)used);
	}
}

static void log_features(const struct virgl *virgl)
{
	char text[1024];

	features_describe(
		virgl->library.handle, virgl->poll_source || !virgl->egl, text, sizeof(text));
	log_info("%s", text);
}

/* Before anything of GL is in the process: drivers are asked in children of it. */
static int choose_drivers(struct virgl *virgl, const struct virgl_config *config)
{
	if (config->vulkan && virgl_venus_choose(virgl, config) < 0) {
		return -ENODEV;
	}
	if (config->gl) {
		virgl->egl = virgl_open_display(config);
		return virgl->egl ? 0 : -ENODEV;
	}
	return 0;
}

static int load(struct virgl *virgl)
{
	if (virgl_library_load(&virgl->library) < 0) {
		return -ENOENT;
	}
	if (virgl->server && virgl_library_load_venus(&virgl->library) < 0) {
		return -ENOENT;
	}
	return virgl->server ? virgl_venus_check_library(virgl) : 0;
}

struct virgl *virgl_open(struct loop *loop, const struct virgl_config *config)
{
	struct virgl *virgl = calloc(1, sizeof(*virgl));

	if (!virgl) {
		log_error("no memory for VirGL");
		return NULL;
	}
	virgl->loop = loop;
	virgl->thread = pthread_self();
	if (choose_drivers(virgl, config) < 0 || load(virgl) < 0 || start_library(virgl) < 0 ||
		find_capsets(virgl) < 0 || virgl_fences_open(virgl) < 0 ||
		virgl_contexts_open(virgl) < 0) {
		goto fail;
	}
	virgl->reader = virgl->egl ? virgl_reader_open(loop, virgl->egl) : NULL;
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
	virgl_contexts_close(virgl);
	virgl_fences_close(virgl);
	virgl_reader_close(virgl->reader);
	virgl->reader = NULL;
	if (virgl->started) {
		virgl->library.cleanup(virgl);
	}
	if (virgl->server) {
		virgl_server_destroy(virgl->server);
		virgl_guard_close();
	}
	egl_close(virgl->egl);
	/* Its thread and epoxy's tables stay behind: unloading it is not safe. */
	free(virgl);
}

const char *virgl_description(const struct virgl *virgl)
{
	return virgl->description;
}
