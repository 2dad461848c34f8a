/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_EGL_IMPL_H
#define RENDER_VIRGL_EGL_IMPL_H

/* What the files about EGL share. */

#include <EGL/egl.h>
#include <EGL/eglext.h>

#include "render/virgl/egl.h"

#define EGL_DEVICE_MAX 16

struct egl {
	struct vendor vendor;
	void *gbm_device;
	void *(*gbm_create_device)(int fd);
	void (*gbm_device_destroy)(void *device);
	int node; // -1: none
	EGLDisplay display;
	EGLContext root;
	struct gpu gpu;
	char *error; // EGL_ERROR_SIZE bytes, the caller's

	PFNEGLGETPROCADDRESSPROC get_proc_address;
	PFNEGLQUERYSTRINGPROC query_string;
	PFNEGLINITIALIZEPROC initialize;
	PFNEGLBINDAPIPROC bind_api;
	PFNEGLCREATECONTEXTPROC create_context;
	PFNEGLDESTROYCONTEXTPROC destroy_context;
	PFNEGLMAKECURRENTPROC make_current;
	PFNEGLGETERRORPROC get_error;
	PFNEGLGETPLATFORMDISPLAYEXTPROC get_platform_display;
	PFNEGLQUERYDEVICESEXTPROC query_devices; // NULL: no EGL devices
	PFNEGLQUERYDEVICESTRINGEXTPROC query_device_string;
	PFNEGLQUERYDEVICEBINARYEXTPROC query_device_binary; // may be NULL
	PFNEGLQUERYDISPLAYATTRIBEXTPROC query_display_attrib; // NULL: does not tell devices

	/* The driver exports textures, or all of these are NULL. */
	PFNEGLCREATEIMAGEKHRPROC create_image;
	PFNEGLDESTROYIMAGEKHRPROC destroy_image;
	PFNEGLEXPORTDMABUFIMAGEQUERYMESAPROC query_export;
	PFNEGLEXPORTDMABUFIMAGEMESAPROC export;
	void (*flush)(void);
};

bool egl_has_extension(const char *list, const char *name);

/* The GPUs that EGL has as devices; returns their number, 0 also without the extension. */
EGLint egl_devices(const struct egl *egl, EGLDeviceEXT devices[EGL_DEVICE_MAX]);

/* Fills in what is known of a device before it is opened. */
void egl_describe_device(
	const struct egl *egl, EGLDeviceEXT device, uint32_t number, struct gpu *gpu);

/* Fills in what a current context says: renderer, version, driver, and what was not known before. */
int egl_describe_display(struct egl *egl);

/* Finds out whether the display's driver exports textures. */
void egl_find_export(struct egl *egl);

/* Writes the error; returns -ENODEV. */
int egl_fail(struct egl *egl, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
