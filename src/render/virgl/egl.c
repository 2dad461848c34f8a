/* SPDX-License-Identifier: MIT */
#include "render/virgl/egl.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "render/virgl/egl_impl.h"
#include "render/virgl/node.h"
#include "render/virgl/symbols.h"

/*
 * How this works
 *
 * Three routes lead to a display: a render node goes through GBM, or, where GBM has no driver for it,
 * through the EGL device that has the node; EGL devices (EGL_EXT_platform_device) are the route to
 * proprietary drivers; and the surfaceless platform lets the driver choose, which without a GPU draws
 * in software. A display counts when a context of it can be made and says what draws.
 *
 * Contexts are made without a config and made current without a surface. All share their objects with a
 * root context, which is made first and only used to ask what draws.
 */

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

int egl_fail(struct egl *egl, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(egl->error, EGL_ERROR_SIZE, format, args);
	va_end(args);
	return -ENODEV;
}

static int find_functions(struct egl *egl)
{
	const char *missing = symbols_find(
		egl->vendor.egl, functions, sizeof(functions) / sizeof(functions[0]), egl);

	return missing ? egl_fail(egl, "the library of EGL has no %s", missing) : 0;
}

/* Those that only an extension promises. */
static int find_extensions(struct egl *egl)
{
	const char *list = egl->query_string(EGL_NO_DISPLAY, EGL_EXTENSIONS);

	egl->get_platform_display = (PFNEGLGETPLATFORMDISPLAYEXTPROC)egl->get_proc_address(
		"eglGetPlatformDisplayEXT");
	if (!egl_has_extension(list, "EGL_EXT_platform_base") || !egl->get_platform_display) {
		return egl_fail(egl,
			"this libEGL has no EGL_EXT_platform_base; has it a driver? (on Debian: "
			"package libegl-mesa0, or the GPU vendor's)");
	}
	if (egl_has_extension(list, "EGL_EXT_platform_device")) {
		egl->query_devices = (PFNEGLQUERYDEVICESEXTPROC)egl->get_proc_address(
			"eglQueryDevicesEXT");
		egl->query_device_string = (PFNEGLQUERYDEVICESTRINGEXTPROC)egl->get_proc_address(
			"eglQueryDeviceStringEXT");
		egl->query_device_binary = (PFNEGLQUERYDEVICEBINARYEXTPROC)egl->get_proc_address(
			"eglQueryDeviceBinaryEXT");
	}
	if (egl->query_device_string && egl_has_extension(list, "EGL_EXT_device_query")) {
		egl->query_display_attrib = (PFNEGLQUERYDISPLAYATTRIBEXTPROC)egl->get_proc_address(
			"eglQueryDisplayAttribEXT");
	}
	return 0;
}

/* A libEGL without a display. Returns NULL on failure. */
static struct egl *load(const struct vendor_choice *choice, char *error)
{
	struct egl *egl = calloc(1, sizeof(*egl));

	if (!egl) {
		snprintf(error, EGL_ERROR_SIZE, "no memory for an EGL display");
		return NULL;
	}
	egl->node = -1;
	egl->display = EGL_NO_DISPLAY;
	egl->root = EGL_NO_CONTEXT;
	egl->error = error;
	if (vendor_load(&egl->vendor, choice, error) < 0 || find_functions(egl) < 0 ||
		find_extensions(egl) < 0) {
		egl_close(egl);
		return NULL;
	}
	return egl;
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
		if (!egl_has_extension(list, needed[i])) {
			return egl_fail(egl, "the EGL display has no %s", needed[i]);
		}
	}
	return 0;
}

/* The highest version that there is: some drivers tell the one that was asked for. */
static int make_root(struct egl *egl)
{
	static const int versions[][2] = { { 4, 6 }, { 4, 5 }, { 4, 3 }, { 4, 1 }, { 3, 3 },
		{ 3, 2 } };

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		egl->root = egl_create_context(egl, versions[i][0], versions[i][1]);
		if (egl->root != EGL_NO_CONTEXT) {
			break;
		}
	}
	if (egl->root == EGL_NO_CONTEXT || egl_make_current(egl, egl->root) < 0) {
		return egl_fail(egl, "no OpenGL 3.2 context (EGL error 0x%x)",
			(unsigned int)egl->get_error());
	}
	return 0;
}

static void drop_display(struct egl *egl)
{
	if (egl->display == EGL_NO_DISPLAY) {
		return;
	}
	egl_make_current(egl, NULL);
	if (egl->root != EGL_NO_CONTEXT) {
		egl->destroy_context(egl->display, egl->root);
		egl->root = EGL_NO_CONTEXT;
	}
	/*
	 * Not terminated: a driver would unload itself then, with what it keeps for the process. What is
	 * opened once stays for the process's life.
	 */
	egl->display = EGL_NO_DISPLAY;
}

static int open_platform(struct egl *egl, EGLenum platform, void *native)
{
	EGLDisplay display = egl->get_platform_display(platform, native, NULL);
	EGLint major, minor;
	int result;

	if (display == EGL_NO_DISPLAY || !egl->initialize(display, &major, &minor)) {
		return egl_fail(
			egl, "EGL cannot open it (error 0x%x)", (unsigned int)egl->get_error());
	}
	egl->display = display;
	result = check_display(egl);
	if (result == 0) {
		result = make_root(egl);
	}
	if (result == 0) {
		result = egl_describe_display(egl);
		egl_make_current(egl, NULL);
	}
	if (result < 0) {
		drop_display(egl);
	} else {
		egl_find_export(egl);
	}
	return result;
}

static int open_device(struct egl *egl, uint32_t number)
{
	EGLDeviceEXT devices[EGL_DEVICE_MAX];
	EGLint count = egl_devices(egl, devices);

	if (number >= (uint32_t)count) {
		return egl_fail(egl, "EGL has %d devices, and no number %u", count, number);
	}
	egl_describe_device(egl, devices[number], number, &egl->gpu);
	return open_platform(egl, EGL_PLATFORM_DEVICE_EXT, devices[number]);
}

static int open_surfaceless(struct egl *egl)
{
	egl->gpu = (struct gpu){ .route = GPU_SURFACELESS };
	return open_platform(egl, EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY);
}

static int load_gbm(struct egl *egl)
{
	void *library = dlopen("libgbm.so.1", RTLD_NOW | RTLD_LOCAL);
	const char *missing;

	if (!library) {
		return egl_fail(egl, "%s (on Debian: package libgbm1)", dlerror());
	}
	missing = symbols_find(
		library, gbm_functions, sizeof(gbm_functions) / sizeof(gbm_functions[0]), egl);
	return missing ? egl_fail(egl, "libgbm.so.1 has no %s", missing) : 0;
}

static int open_gbm(struct egl *egl)
{
	if (load_gbm(egl) < 0) {
		return -ENODEV;
	}
	egl->gbm_device = egl->gbm_create_device(egl->node);
	if (!egl->gbm_device) {
		return egl_fail(egl, "GBM knows no driver for it");
	}
	if (open_platform(egl, EGL_PLATFORM_GBM_KHR, egl->gbm_device) < 0) {
		egl->gbm_device_destroy(egl->gbm_device);
		egl->gbm_device = NULL;
		return -ENODEV;
	}
	return 0;
}

/* The EGL device of the open node: its number, or -1. */
static int find_device_of_node(const struct egl *egl)
{
	EGLDeviceEXT devices[EGL_DEVICE_MAX];
	EGLint count = egl_devices(egl, devices);
	struct stat node, other;
	struct gpu gpu;

	for (EGLint i = 0; i < count; i++) {
		egl_describe_device(egl, devices[i], (uint32_t)i, &gpu);
		if (gpu.node[0] && fstat(egl->node, &node) == 0 && stat(gpu.node, &other) == 0 &&
			S_ISCHR(node.st_mode) && node.st_rdev == other.st_rdev) {
			return i;
		}
	}
	return -1;
}

static int open_node(struct egl *egl, const char *path)
{
	char nodes[128];
	int device;

	egl->node = open(path, O_RDWR | O_CLOEXEC);
	if (egl->node < 0) {
		int error = errno;

		node_describe("", nodes, sizeof(nodes));
		return egl_fail(egl, "cannot open render node %s: %s (have: %s)", path,
			strerror(error), nodes);
	}
	egl->gpu = (struct gpu){ .route = GPU_RENDER_NODE };
	snprintf(egl->gpu.node, sizeof(egl->gpu.node), "%s", path);
	if (open_gbm(egl) == 0) {
		return 0;
	}
	device = find_device_of_node(egl);
	return device < 0 ? -ENODEV : open_device(egl, (uint32_t)device);
}

/* The first device that is a software renderer, or is none, and can be opened. */
static int open_any_device(struct egl *egl, bool software)
{
	EGLDeviceEXT devices[EGL_DEVICE_MAX];
	EGLint count = egl_devices(egl, devices);
	struct gpu gpu;

	for (EGLint i = 0; i < count; i++) {
		egl_describe_device(egl, devices[i], (uint32_t)i, &gpu);
		if (gpu.software == software && open_device(egl, (uint32_t)i) == 0) {
			return 0;
		}
	}
	return -ENODEV;
}

static int open_any(struct egl *egl)
{
	char last[EGL_ERROR_SIZE];

	if (open_any_device(egl, false) == 0 || open_surfaceless(egl) == 0 ||
		open_any_device(egl, true) == 0) {
		return 0;
	}
	snprintf(last, sizeof(last), "%s", egl->error);
	return egl_fail(egl,
		"neither an EGL device nor the surfaceless platform draws: %.300s; on Debian package "
		"libgl1-mesa-dri draws in software",
		last);
}

static int open_software(struct egl *egl)
{
	if (open_any_device(egl, true) == 0) {
		return 0;
	}
	if (open_surfaceless(egl) < 0) {
		return -ENODEV;
	}
	if (!egl->gpu.software) {
		return egl_fail(egl,
			"no driver here draws in software; on Debian package "
			"libgl1-mesa-dri does");
	}
	return 0;
}

static int open_gpu(struct egl *egl, const struct gpu *gpu)
{
	switch (gpu->route) {
	case GPU_EGL_DEVICE:
		return open_device(egl, gpu->device);
	case GPU_RENDER_NODE:
		return open_node(egl, gpu->node);
	case GPU_SURFACELESS:
		break;
	}
	return open_surfaceless(egl);
}

/* What is left when a display could not be opened is closed. */
static struct egl *opened(struct egl *egl, int result)
{
	if (result < 0) {
		egl_close(egl);
		return NULL;
	}
	egl->error = NULL; // the caller's memory
	return egl;
}

struct egl *egl_open(const struct vendor_choice *choice, const struct gpu *gpu,
	char error[static EGL_ERROR_SIZE])
{
	struct egl *egl = load(choice, error);

	return egl ? opened(egl, gpu ? open_gpu(egl, gpu) : open_any(egl)) : NULL;
}

struct egl *egl_open_software(const struct vendor_choice *choice, char error[static EGL_ERROR_SIZE])
{
	struct egl *egl = load(choice, error);

	return egl ? opened(egl, open_software(egl)) : NULL;
}

void egl_close(struct egl *egl)
{
	if (!egl) {
		return;
	}
	drop_display(egl);
	if (egl->gbm_device) {
		egl->gbm_device_destroy(egl->gbm_device);
	}
	fd_close(&egl->node);
	/* Drivers leave threads and exit handlers behind: their libraries stay. */
	free(egl);
}

int egl_list(const struct vendor_choice *choice, struct gpu_list *list,
	char error[static EGL_ERROR_SIZE])
{
	struct egl *egl = load(choice, error);
	EGLDeviceEXT devices[EGL_DEVICE_MAX];
	struct gpu gpu;
	EGLint count;

	list->count = 0;
	if (!egl) {
		return -ENODEV;
	}
	count = egl_devices(egl, devices);
	for (EGLint i = 0; i < count; i++) {
		egl_describe_device(egl, devices[i], (uint32_t)i, &gpu);
		gpu_list_add(list, &gpu);
	}
	if (egl_has_extension(egl->query_string(EGL_NO_DISPLAY, EGL_EXTENSIONS),
		    "EGL_MESA_platform_surfaceless")) {
		gpu = (struct gpu){ .route = GPU_SURFACELESS };
		gpu_list_add(list, &gpu);
	}
	egl_close(egl);
	return 0;
}

const struct gpu *egl_gpu(const struct egl *egl)
{
	return &egl->gpu;
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
