/* SPDX-License-Identifier: MIT */
#include "render/virgl/egl.h"

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "render/virgl/symbols.h"

/*
 * How this works
 *
 * Three routes, and the first that fits is taken: a render node given by name goes through GBM; without
 * one the first EGL device that is no software renderer (EGL_EXT_device_enumeration; so proprietary
 * drivers are driven); else Mesa's surfaceless platform, which without a GPU draws in software.
 *
 * Contexts are made without a config and made current without a surface. All share their objects with a
 * root context, which is made first and only used to ask what draws.
 */

#define GL_RENDERER 0x1f01
#define GL_VERSION  0x1f02

struct egl {
	void *library;
	void *gbm_library;
	void *gbm_device;
	void *(*gbm_create_device)(int fd);
	void (*gbm_device_destroy)(void *device);
	int node; // -1: none
	EGLDisplay display;
	EGLContext root;
	char route[128];
	char description[256];
	bool software;

	PFNEGLGETPROCADDRESSPROC get_proc_address;
	PFNEGLQUERYSTRINGPROC query_string;
	PFNEGLINITIALIZEPROC initialize;
	PFNEGLBINDAPIPROC bind_api;
	PFNEGLCREATECONTEXTPROC create_context;
	PFNEGLDESTROYCONTEXTPROC destroy_context;
	PFNEGLMAKECURRENTPROC make_current;
	PFNEGLGETERRORPROC get_error;
	PFNEGLGETPLATFORMDISPLAYEXTPROC get_platform_display;
	PFNEGLQUERYDEVICESEXTPROC query_devices; // NULL: no device extension
	PFNEGLQUERYDEVICESTRINGEXTPROC query_device_string;

	/* The driver exports textures, or all of these are NULL. */
	PFNEGLCREATEIMAGEKHRPROC create_image;
	PFNEGLDESTROYIMAGEKHRPROC destroy_image;
	PFNEGLEXPORTDMABUFIMAGEQUERYMESAPROC query_export;
	PFNEGLEXPORTDMABUFIMAGEMESAPROC export;
	void (*flush)(void);
};

static const struct symbol functions[] = {
	{ "eglGetProcAddress", offsetof(struct egl, get_proc_address) },
	{ "eglQueryString", offsetof(struct egl, query_string) },
	{ "eglInitialize", offsetof(struct egl, initialize) },
	{ "eglBindAPI", offsetof(struct egl, bind_api) },
	{ "eglCreateContext", offsetof(struct egl, create_context) },
	{ "eglDestroyContext", offsetof(struct egl, destroy_context) },
	{ "eglMakeCurrent", offsetof(struct egl, make_current) },
	{ "eglGetError", offsetof(struct egl, get_error) },
};

static const struct symbol gbm_functions[] = {
	{ "gbm_create_device", offsetof(struct egl, gbm_create_device) },
	{ "gbm_device_destroy", offsetof(struct egl, gbm_device_destroy) },
};

static bool has_extension(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; at && (at = strstr(at, name)); at += len) {
		if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
			return true;
		}
	}
	return false;
}

static int load_library(struct egl *egl)
{
	const char *missing;

	egl->library = dlopen("libEGL.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!egl->library) {
		log_error("GL cannot be used: %s (on Debian: package libegl1)", dlerror());
		return -ENOENT;
	}
	missing = symbols_find(
		egl->library, functions, sizeof(functions) / sizeof(functions[0]), egl);
	if (missing) {
		log_error("GL cannot be used: libEGL.so.1 has no %s", missing);
		return -ENOENT;
	}
	return 0;
}

/* Those that only an extension promises. */
static int find_extensions(struct egl *egl)
{
	const char *list = egl->query_string(EGL_NO_DISPLAY, EGL_EXTENSIONS);

	if (!has_extension(list, "EGL_EXT_platform_base")) {
		log_error("GL cannot be used: this libEGL has no EGL_EXT_platform_base");
		return -ENOTSUP;
	}
	egl->get_platform_display = (PFNEGLGETPLATFORMDISPLAYEXTPROC)egl->get_proc_address(
		"eglGetPlatformDisplayEXT");
	if (has_extension(list, "EGL_EXT_platform_device")) {
		egl->query_devices = (PFNEGLQUERYDEVICESEXTPROC)egl->get_proc_address(
			"eglQueryDevicesEXT");
		egl->query_device_string = (PFNEGLQUERYDEVICESTRINGEXTPROC)egl->get_proc_address(
			"eglQueryDeviceStringEXT");
	}
	return egl->get_platform_display ? 0 : -ENOTSUP;
}

static bool initialize(struct egl *egl, EGLenum platform, void *native)
{
	EGLint major, minor;

	egl->display = egl->get_platform_display(platform, native, NULL);
	if (egl->display == EGL_NO_DISPLAY) {
		return false;
	}
	if (egl->initialize(egl->display, &major, &minor)) {
		return true;
	}
	egl->display = EGL_NO_DISPLAY;
	return false;
}

bool egl_list_render_nodes(char *text, size_t size)
{
	DIR *folder = opendir("/dev/dri");
	const struct dirent *entry;
	size_t len = 0;

	snprintf(text, size, "none");
	while (folder && (entry = readdir(folder))) {
		if (strncmp(entry->d_name, "renderD", 7) == 0 && len < size) {
			len += (size_t)snprintf(
				text + len, size - len, "%s%s", len ? " " : "", entry->d_name);
		}
	}
	if (folder) {
		closedir(folder);
	}
	return len > 0;
}

static int open_gbm(struct egl *egl, const char *path)
{
	const char *missing;

	egl->gbm_library = dlopen("libgbm.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!egl->gbm_library) {
		log_error("%s cannot be used: %s (on Debian: package libgbm1)", path, dlerror());
		return -ENOENT;
	}
	missing = symbols_find(egl->gbm_library, gbm_functions,
		sizeof(gbm_functions) / sizeof(gbm_functions[0]), egl);
	if (missing) {
		log_error("%s cannot be used: libgbm.so.1 has no %s", path, missing);
		return -ENOENT;
	}
	egl->gbm_device = egl->gbm_create_device(egl->node);
	if (!egl->gbm_device) {
		log_error("%s cannot be used: GBM knows no driver for it", path);
		return -ENODEV;
	}
	return 0;
}

static int open_node(struct egl *egl, const char *path)
{
	char nodes[128];

	egl->node = open(path, O_RDWR | O_CLOEXEC);
	if (egl->node < 0) {
		int error = errno;

		egl_list_render_nodes(nodes, sizeof(nodes));
		log_error(
			"cannot open render node %s: %s (have: %s)", path, strerror(error), nodes);
		return -error;
	}
	if (open_gbm(egl, path) < 0) {
		return -ENODEV;
	}
	if (!initialize(egl, EGL_PLATFORM_GBM_KHR, egl->gbm_device)) {
		log_error("%s cannot be used: EGL refuses it (error 0x%x)", path,
			(unsigned int)egl->get_error());
		return -ENODEV;
	}
	snprintf(egl->route, sizeof(egl->route), "render node %s", path);
	return 0;
}

static bool open_device(struct egl *egl)
{
	EGLDeviceEXT devices[16];
	EGLint count = 0;

	if (!egl->query_devices || !egl->query_device_string ||
		!egl->query_devices(16, devices, &count)) {
		return false;
	}
	for (EGLint i = 0; i < count; i++) {
		const char *list = egl->query_device_string(devices[i], EGL_EXTENSIONS);

		if (!has_extension(list, "EGL_MESA_device_software") &&
			initialize(egl, EGL_PLATFORM_DEVICE_EXT, devices[i])) {
			snprintf(egl->route, sizeof(egl->route), "EGL device %d", i);
			return true;
		}
	}
	return false;
}

static int open_display(struct egl *egl, const struct egl_config *config)
{
	if (config->render_node) {
		return open_node(egl, config->render_node);
	}
	if (open_device(egl)) {
		return 0;
	}
	if (initialize(egl, EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY)) {
		snprintf(egl->route, sizeof(egl->route), "surfaceless");
		return 0;
	}
	log_error("GL cannot be used: no EGL device, and no surfaceless platform (error 0x%x); on "
		  "Debian package libgl1-mesa-dri draws in software",
		(unsigned int)egl->get_error());
	return -ENODEV;
}

static int check_display(struct egl *egl)
{
	static const char *const needed[] = {
		"EGL_KHR_surfaceless_context",
		"EGL_KHR_no_config_context",
		"EGL_KHR_create_context",
	};
	const char *list = egl->query_string(egl->display, EGL_EXTENSIONS);

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (!has_extension(list, needed[i])) {
			log_error("GL cannot be used: the EGL display (%s) has no %s", egl->route,
				needed[i]);
			return -ENOTSUP;
		}
	}
	return 0;
}

void (*egl_function(struct egl *egl, const char *name))(void)
{
	return egl->get_proc_address(name);
}

void *egl_create_context(struct egl *egl, int major, int minor)
{
	const EGLint attributes[] = {
		EGL_CONTEXT_MAJOR_VERSION,
		major,
		EGL_CONTEXT_MINOR_VERSION,
		minor,
		EGL_CONTEXT_OPENGL_PROFILE_MASK,
		EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT,
		EGL_NONE,
	};

	egl->bind_api(EGL_OPENGL_API);
	return egl->create_context(egl->display, EGL_NO_CONFIG_KHR, egl->root, attributes);
}

void egl_destroy_context(struct egl *egl, void *context)
{
	egl->destroy_context(egl->display, context);
}

int egl_make_current(struct egl *egl, void *context)
{
	egl->bind_api(EGL_OPENGL_API); // it is each thread's own
	return egl->make_current(egl->display, EGL_NO_SURFACE, EGL_NO_SURFACE,
		       context ? context : EGL_NO_CONTEXT)
		? 0
		: -1;
}

static void find_export(struct egl *egl)
{
	const char *list = egl->query_string(egl->display, EGL_EXTENSIONS);

	if (!has_extension(list, "EGL_MESA_image_dma_buf_export") ||
		!has_extension(list, "EGL_KHR_gl_texture_2D_image")) {
		return;
	}
	egl->create_image = (PFNEGLCREATEIMAGEKHRPROC)egl->get_proc_address("eglCreateImageKHR");
	egl->destroy_image = (PFNEGLDESTROYIMAGEKHRPROC)egl->get_proc_address("eglDestroyImageKHR");
	egl->query_export = (PFNEGLEXPORTDMABUFIMAGEQUERYMESAPROC)egl->get_proc_address(
		"eglExportDMABUFImageQueryMESA");
	egl->flush = (void (*)(void))egl->get_proc_address("glFlush");
	if (egl->create_image && egl->destroy_image && egl->query_export && egl->flush) {
		egl->export = (PFNEGLEXPORTDMABUFIMAGEMESAPROC)egl->get_proc_address(
			"eglExportDMABUFImageMESA");
	}
}

static int export_image(struct egl *egl, EGLImageKHR image, struct frame_dmabuf *dmabuf)
{
	int format, planes, fd = -1;
	EGLint stride, offset;
	EGLuint64KHR modifier;

	if (!egl->query_export(egl->display, image, &format, &planes, &modifier) || planes != 1 ||
		!egl->export(egl->display, image, &fd, &stride, &offset)) {
		return -ENOTSUP;
	}
	if (fd < 0 || offset != 0 || stride <= 0) {
		fd_close(&fd);
		return -ENOTSUP;
	}
	*dmabuf = (struct frame_dmabuf){
		.fd = fd,
		.stride = (uint32_t)stride,
		.format = (uint32_t)format,
		.modifier = modifier,
	};
	return 0;
}

int egl_export_texture(struct egl *egl, uint32_t texture, struct frame_dmabuf *dmabuf)
{
	EGLImageKHR image;
	int result;

	if (!egl->export) {
		return -ENOTSUP;
	}
	image = egl->create_image(egl->display, egl->root, EGL_GL_TEXTURE_2D_KHR,
		(EGLClientBuffer)(uintptr_t)texture, NULL);
	if (image == EGL_NO_IMAGE_KHR) {
		return -ENOTSUP;
	}
	result = export_image(egl, image, dmabuf);
	egl->destroy_image(egl->display, image);
	return result;
}

void egl_flush(struct egl *egl)
{
	if (egl->flush) {
		egl->flush();
	}
}

static bool names_software(const char *renderer)
{
	return strstr(renderer, "llvmpipe") || strstr(renderer, "softpipe") ||
		strstr(renderer, "SWR") || strstr(renderer, "Software Rasterizer");
}

static int ask_driver(struct egl *egl)
{
	const unsigned char *(*get_string)(unsigned int name);
	const char *renderer, *version;

	egl->root = egl_create_context(egl, 3, 2);
	if (egl->root == EGL_NO_CONTEXT || egl_make_current(egl, egl->root) < 0) {
		log_error("GL cannot be used: no OpenGL 3.2 context (%s, error 0x%x)", egl->route,
			(unsigned int)egl->get_error());
		return -ENODEV;
	}
	get_string = (const unsigned char *(*)(unsigned int))egl->get_proc_address("glGetString");
	renderer = get_string ? (const char *)get_string(GL_RENDERER) : NULL;
	version = get_string ? (const char *)get_string(GL_VERSION) : NULL;
	if (!renderer || !version) {
		log_error("GL cannot be used: the driver does not say what it is");
		return -ENODEV;
	}
	snprintf(egl->description, sizeof(egl->description), "%s, OpenGL %s", renderer, version);
	egl->software = names_software(renderer);
	egl_make_current(egl, NULL);
	return 0;
}

static int check_software(const struct egl *egl, const struct egl_config *config)
{
	if (egl->software && config->render_node && !config->allow_software) {
		log_error("%s would be drawn in software (%s): check its driver, or give "
			  "--allow-software",
			config->render_node, egl->description);
		return -ENODEV;
	}
	return 0;
}

struct egl *egl_open(const struct egl_config *config)
{
	struct egl *egl = calloc(1, sizeof(*egl));

	if (!egl) {
		log_error("no memory for an EGL display");
		return NULL;
	}
	egl->node = -1;
	egl->display = EGL_NO_DISPLAY;
	egl->root = EGL_NO_CONTEXT;
	if (load_library(egl) < 0 || find_extensions(egl) < 0 || open_display(egl, config) < 0 ||
		check_display(egl) < 0 || ask_driver(egl) < 0 || check_software(egl, config) < 0) {
		egl_close(egl);
		return NULL;
	}
	find_export(egl);
	return egl;
}

void egl_close(struct egl *egl)
{
	if (!egl) {
		return;
	}
	if (egl->display != EGL_NO_DISPLAY) {
		egl_make_current(egl, NULL);
		if (egl->root != EGL_NO_CONTEXT) {
			egl->destroy_context(egl->display, egl->root);
		}
		/*
		 * Not terminated: a driver would unload itself then, with what it keeps for the
		 * process, and this is the end of the process.
		 */
	}
	if (egl->gbm_device) {
		egl->gbm_device_destroy(egl->gbm_device);
	}
	fd_close(&egl->node);
	/* Drivers leave threads and exit handlers behind: their libraries stay. */
	free(egl);
}

const char *egl_description(const struct egl *egl)
{
	return egl->description;
}

const char *egl_route(const struct egl *egl)
{
	return egl->route;
}

bool egl_is_software(const struct egl *egl)
{
	return egl->software;
}
