/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "render/virgl/egl_impl.h"
#include "render/virgl/node.h"

/* What EGL and GL say about the GPUs that they draw with. */

#define GL_RENDERER        0x1f01
#define GL_VERSION         0x1f02
#define GL_EXTENSIONS      0x1f03
#define GL_NUM_EXTENSIONS  0x821d
#define GL_DEVICE_UUID_EXT 0x9597

typedef const unsigned char *(*get_string_fn)(unsigned int name);
typedef const unsigned char *(*get_stringi_fn)(unsigned int name, unsigned int index);
typedef void (*get_integer_fn)(unsigned int name, int *value);
typedef void (*get_bytes_fn)(unsigned int name, unsigned int index, unsigned char *bytes);
typedef const char *(*get_driver_name_fn)(EGLDisplay display);

bool egl_has_extension(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; at && (at = strstr(at, name)); at += len) {
		if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
			return true;
		}
	}
	return false;
}

EGLint egl_devices(const struct egl *egl, EGLDeviceEXT devices[EGL_DEVICE_MAX])
{
	EGLint count = 0;

	if (!egl->query_devices || !egl->query_device_string ||
		!egl->query_devices(EGL_DEVICE_MAX, devices, &count)) {
		return 0;
	}
	return count;
}

static void copy_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text ? text : "");
	for (char *c = to; *c; c++) {
		if ((unsigned char)*c < ' ') {
			*c = ' ';
		}
	}
}

void egl_describe_device(
	const struct egl *egl, EGLDeviceEXT device, uint32_t number, struct gpu *gpu)
{
	const char *list = egl->query_device_string(device, EGL_EXTENSIONS);
	const char *node = NULL;
	EGLint size = 0;
	uint8_t uuid[16];

	*gpu = (struct gpu){
		.route = GPU_EGL_DEVICE,
		.device = number,
		.software = egl_has_extension(list, "EGL_MESA_device_software"),
	};
	if (egl_has_extension(list, "EGL_EXT_device_drm_render_node")) {
		node = egl->query_device_string(device, EGL_DRM_RENDER_NODE_FILE_EXT);
	}
	/* A container may lack the files that the driver names. */
	copy_text(gpu->node, sizeof(gpu->node), node && access(node, F_OK) == 0 ? node : NULL);
	if (!node && egl_has_extension(list, "EGL_EXT_device_drm")) {
		node = egl->query_device_string(device, EGL_DRM_DEVICE_FILE_EXT);
	}
	if (node) {
		node_pci_of_file("", node, gpu->pci);
	}
	if (egl_has_extension(list, "EGL_EXT_device_persistent_id") && egl->query_device_binary) {
		if (egl->query_device_binary(
			    device, EGL_DEVICE_UUID_EXT, sizeof(uuid), uuid, &size) &&
			size == sizeof(uuid)) {
			gpu_format_uuid(uuid, gpu->uuid);
		}
		copy_text(gpu->driver, sizeof(gpu->driver),
			egl->query_device_string(device, EGL_DRIVER_NAME_EXT));
	} else if (egl_has_extension(list, "EGL_EXT_device_query_name")) {
		copy_text(gpu->driver, sizeof(gpu->driver),
			egl->query_device_string(device, EGL_VENDOR));
	}
}

static bool names_software(const char *renderer)
{
	return strstr(renderer, "llvmpipe") || strstr(renderer, "softpipe") ||
		strstr(renderer, "SWR") || strstr(renderer, "Software Rasterizer") ||
		strstr(renderer, "SwiftShader");
}

static bool has_gl_extension(const struct egl *egl, const char *name)
{
	get_integer_fn get_integer = (get_integer_fn)egl->get_proc_address("glGetIntegerv");
	get_stringi_fn get_stringi = (get_stringi_fn)egl->get_proc_address("glGetStringi");
	int count = 0;

	if (get_integer && get_stringi) {
		get_integer(GL_NUM_EXTENSIONS, &count);
	}
	for (int i = 0; i < count; i++) {
		const char *text = (const char *)get_stringi(GL_EXTENSIONS, (unsigned int)i);

		if (text && strcmp(text, name) == 0) {
			return true;
		}
	}
	return false;
}

static void ask_uuid(struct egl *egl)
{
	get_bytes_fn get_bytes = (get_bytes_fn)egl->get_proc_address("glGetUnsignedBytei_vEXT");
	uint8_t uuid[16] = { 0 };

	if (get_bytes && has_gl_extension(egl, "GL_EXT_memory_object")) {
		get_bytes(GL_DEVICE_UUID_EXT, 0, uuid);
		gpu_format_uuid(uuid, egl->gpu.uuid);
	}
}

/* "Mesa Project swrast", "NVIDIA". */
static void ask_driver_name(struct egl *egl)
{
	const char *list = egl->query_string(egl->display, EGL_EXTENSIONS);
	get_driver_name_fn get_driver_name = (get_driver_name_fn)egl->get_proc_address(
		"eglGetDisplayDriverName");
	const char *vendor = egl->query_string(egl->display, EGL_VENDOR);
	const char *name = egl_has_extension(list, "EGL_MESA_query_driver") && get_driver_name
		? get_driver_name(egl->display)
		: NULL;
	char text[sizeof(egl->gpu.driver)];

	snprintf(text, sizeof(text), "%s%s%s", vendor ? vendor : "", vendor && name ? " " : "",
		name ? name : "");
	copy_text(egl->gpu.driver, sizeof(egl->gpu.driver), text);
}

/* Where the driver chose, as by the surfaceless platform, it says what. */
static void ask_device(struct egl *egl)
{
	struct gpu device, *gpu = &egl->gpu;
	EGLAttrib value = 0;

	if (gpu->route == GPU_EGL_DEVICE || !egl->query_display_attrib ||
		!egl->query_display_attrib(egl->display, EGL_DEVICE_EXT, &value) || !value) {
		return;
	}
	egl_describe_device(egl, (EGLDeviceEXT)value, 0, &device);
	if (!gpu->node[0]) {
		memcpy(gpu->node, device.node, sizeof(gpu->node));
	}
	memcpy(gpu->pci, device.pci, sizeof(gpu->pci));
	memcpy(gpu->uuid, device.uuid, sizeof(gpu->uuid));
}

static void find_pci(struct gpu *gpu)
{
	if (!gpu->pci[0] && gpu->node[0]) {
		node_pci_of_file("", gpu->node, gpu->pci);
	}
	/* A container may have NVIDIA's devices and no DRM node. */
	if (!gpu->pci[0] && strstr(gpu->driver, "NVIDIA")) {
		node_pci_of_nvidia("", gpu->uuid, gpu->pci);
	}
}

/* The library that libvirglrenderer will take OpenGL 1.2 from must draw in the contexts of this EGL. */
static int check_gl_library(struct egl *egl, const char *renderer)
{
	void *function = dlsym(egl->vendor.gl, "glGetString");
	get_string_fn get_string;
	const char *other;

	memcpy(&get_string, &function, sizeof(function));
	other = (const char *)get_string(GL_RENDERER);
	if (!other || strcmp(other, renderer) != 0) {
		return egl_fail(egl,
			"the libraries of EGL and OpenGL do not belong together: one draws with "
			"\"%s\", the other with \"%s\" (--egl-library and --gl-library choose them)",
			renderer, other ? other : "nothing");
	}
	return 0;
}

int egl_describe_display(struct egl *egl)
{
	get_string_fn get_string = (get_string_fn)egl->get_proc_address("glGetString");
	const char *renderer = get_string ? (const char *)get_string(GL_RENDERER) : NULL;
	const char *version = get_string ? (const char *)get_string(GL_VERSION) : NULL;
	struct gpu *gpu = &egl->gpu;

	if (!renderer || !version) {
		return egl_fail(egl, "the driver does not say what it is");
	}
	copy_text(gpu->renderer, sizeof(gpu->renderer), renderer);
	copy_text(gpu->version, sizeof(gpu->version), version);
	gpu->software = names_software(renderer);
	ask_driver_name(egl);
	ask_device(egl);
	if (!gpu->uuid[0] && !gpu->software) {
		ask_uuid(egl); // a software driver's is its version
	}
	find_pci(gpu);
	return check_gl_library(egl, renderer);
}
