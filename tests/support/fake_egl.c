/* SPDX-License-Identifier: MIT */
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <stdlib.h>
#include <string.h>

/*
 * A vendor's libEGL for tests, with GPUs of all kinds: 0 works, 1 cannot be opened, 2 takes the process
 * with it, 3 turns out to draw in software. The surfaceless platform draws with 0. With FAKE_EGL_CRASH in the environment it does so when it is
 * asked which there are. Nothing draws.
 */

enum {
	WORKS,
	FAILS,
	CRASHES,
	IS_SOFTWARE,
	DEVICE_COUNT,
};

static int devices[DEVICE_COUNT] = { WORKS, FAILS, CRASHES, IS_SOFTWARE };
static const int *current;

#define EXPORT __attribute__((visibility("default")))

EXPORT const char *fake_gl_get_string(unsigned int name);

/* Also for the fake libGL, which has no state of its own. */
const char *fake_gl_get_string(unsigned int name)
{
	if (!current) {
		return NULL;
	}
	switch (name) {
	case 0x1f01: // GL_RENDERER
		return *current == IS_SOFTWARE ? "llvmpipe" : "ACME 3000";
	case 0x1f02: // GL_VERSION
		return "4.6.0 ACME 1.2";
	default:
		return NULL;
	}
}

EXPORT const char *eglQueryString(EGLDisplay display, EGLint name)
{
	if (display == EGL_NO_DISPLAY) {
		return "EGL_EXT_platform_base EGL_EXT_platform_device EGL_EXT_device_enumeration "
		       "EGL_EXT_device_query EGL_MESA_platform_surfaceless";
	}
	return name == EGL_VENDOR
		? "ACME"
		: "EGL_KHR_surfaceless_context EGL_KHR_no_config_context EGL_KHR_create_context";
}

EXPORT EGLBoolean eglInitialize(EGLDisplay display, EGLint *major, EGLint *minor)
{
	const int *device = display;

	if (*device == CRASHES) {
		abort();
	}
	*major = 1;
	*minor = 5;
	return *device != FAILS;
}

EXPORT EGLBoolean eglBindAPI(EGLenum api)
{
	return api == EGL_OPENGL_API;
}

EXPORT EGLContext eglCreateContext(
	EGLDisplay display, EGLConfig config, EGLContext shared, const EGLint *attributes)
{
	(void)config;
	(void)shared;
	(void)attributes;
	return display;
}

EXPORT EGLBoolean eglDestroyContext(EGLDisplay display, EGLContext context)
{
	(void)display;
	(void)context;
	return EGL_TRUE;
}

EXPORT EGLBoolean eglMakeCurrent(
	EGLDisplay display, EGLSurface draw, EGLSurface read, EGLContext context)
{
	(void)display;
	(void)draw;
	(void)read;
	current = context;
	return EGL_TRUE;
}

EXPORT EGLint eglGetError(void)
{
	return EGL_NOT_INITIALIZED;
}

static EGLDisplay get_platform_display(EGLenum platform, void *native, const EGLint *attributes)
{
	(void)attributes;
	return platform == EGL_PLATFORM_DEVICE_EXT ? native : &devices[WORKS];
}

static EGLBoolean query_display_attrib(EGLDisplay display, EGLint name, EGLAttrib *value)
{
	*value = (EGLAttrib)display;
	return name == EGL_DEVICE_EXT;
}

static EGLBoolean query_devices(EGLint max, EGLDeviceEXT *found, EGLint *count)
{
	if (getenv("FAKE_EGL_CRASH")) {
		abort();
	}
	for (*count = 0; *count < max && *count < DEVICE_COUNT; (*count)++) {
		found[*count] = &devices[*count];
	}
	return EGL_TRUE;
}

static const char *query_device_string(EGLDeviceEXT device, EGLint name)
{
	(void)device;
	return name == EGL_EXTENSIONS ? "EGL_EXT_device_persistent_id" : "acme";
}

static EGLBoolean query_device_binary(
	EGLDeviceEXT device, EGLint name, EGLint max, void *value, EGLint *size)
{
	const int *number = device;

	if (name != EGL_DEVICE_UUID_EXT || max < 16) {
		return EGL_FALSE;
	}
	memset(value, 0xa0 + *number, 16);
	*size = 16;
	return EGL_TRUE;
}

EXPORT __eglMustCastToProperFunctionPointerType eglGetProcAddress(const char *name)
{
	static const struct {
		const char *name;
		__eglMustCastToProperFunctionPointerType function;
	} functions[] = {
#define FUNCTION(name, function) { name, (__eglMustCastToProperFunctionPointerType)function }
		FUNCTION("eglGetPlatformDisplayEXT", get_platform_display),
		FUNCTION("eglQueryDisplayAttribEXT", query_display_attrib),
		FUNCTION("eglQueryDevicesEXT", query_devices),
		FUNCTION("eglQueryDeviceStringEXT", query_device_string),
		FUNCTION("eglQueryDeviceBinaryEXT", query_device_binary),
		FUNCTION("glGetString", fake_gl_get_string),
#undef FUNCTION
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strcmp(name, functions[i].name) == 0) {
			return functions[i].function;
		}
	}
	return NULL;
}
