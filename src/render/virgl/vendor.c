/* SPDX-License-Identifier: MIT */
#include "render/virgl/vendor.h"

#include <EGL/egl.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * How this works
 *
 * libvirglrenderer calls GL through libepoxy, which opens "libEGL.so.1", and for the functions of OpenGL
 * 1.2 "libGL.so.1", else "libOpenGL.so.0", by these names. The dynamic linker gives it a library that is
 * loaded already when that has the name as its soname. So a library that a user chose must have the
 * soname, and is loaded first; that it is the one which the name means is checked, not believed.
 *
 * Libraries of today's drivers (libEGL_mesa.so.0, libEGL_nvidia.so.0) are not such a libEGL but vendors
 * of glvnd's, which is told about them by JSON files. For one that is given alone, a file is made in
 * memory and named to glvnd by its own variable, while it reads its vendors.
 *
 * libepoxy aborts the process when there is no libGL at all, so that is looked for here.
 */

#define EGL_NAME       "libEGL.so.1"
#define GL_NAME        "libGL.so.1"
#define OPENGL_NAME    "libOpenGL.so.0"
#define VENDOR_SETTING "__EGL_VENDOR_LIBRARY_FILENAMES"

__attribute__((format(printf, 2, 3))) static int fail(char *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, VENDOR_ERROR_SIZE, format, args);
	va_end(args);
	return -ENOENT;
}

/* Will whoever opens the name get this library? */
static bool is_known_as(void *library, const char *name)
{
	void *known = dlopen(name, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);

	if (known) {
		dlclose(known);
	}
	return known == library;
}

/* Returns a descriptor of glvnd's description of a vendor, or -1. */
static int describe_vendor(const char *path)
{
	int fd = memfd_create("egl-vendor", MFD_CLOEXEC);

	if (fd < 0) {
		return -1;
	}
	dprintf(fd, "{\"file_format_version\": \"1.0.0\", \"ICD\": {\"library_path\": \"");
	for (const char *c = path; *c; c++) {
		dprintf(fd, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
	}
	dprintf(fd, "\"}}\n");
	return fd;
}

/* glvnd reads its vendors when it is first asked something. */
static void make_glvnd_read_vendors(void *egl)
{
	PFNEGLQUERYSTRINGPROC query_string;
	void *function = dlsym(egl, "eglQueryString");

	if (function) {
		memcpy(&query_string, &function, sizeof(function));
		query_string(EGL_NO_DISPLAY, EGL_EXTENSIONS);
	}
}

static int load_glvnd_vendor(struct vendor *vendor, const char *path, char *error)
{
	char description[64];
	int fd;

	vendor->egl = dlopen(EGL_NAME, RTLD_NOW | RTLD_LOCAL);
	if (!vendor->egl) {
		return fail(
			error, "--egl-library=%s is a vendor of glvnd's, and %s", path, dlerror());
	}
	if (!dlopen("libGLdispatch.so.0", RTLD_LAZY | RTLD_NOLOAD)) {
		return fail(error,
			"--egl-library=%s is a vendor of glvnd's, and the " EGL_NAME
			" here is not glvnd's",
			path);
	}
	fd = describe_vendor(path);
	snprintf(description, sizeof(description), "/proc/self/fd/%d", fd);
	if (fd < 0 || access(description, R_OK) < 0) {
		fd_close(&fd);
		return fail(error,
			"--egl-library=%s needs /proc and a file in memory; describe the vendor in "
			"a file and name that in " VENDOR_SETTING " instead",
			path);
	}
	setenv(VENDOR_SETTING, description, 1);
	make_glvnd_read_vendors(vendor->egl);
	unsetenv(VENDOR_SETTING);
	fd_close(&fd);
	return 0;
}

static int check_path(const char *path, const char *option, char *error)
{
	for (const char *c = path; *c; c++) {
		if (iscntrl((unsigned char)*c)) {
			return fail(error, "%s: a control character in the path", option);
		}
	}
	return 0;
}

static int load_egl(struct vendor *vendor, const char *path, char *error)
{
	void *library;

	if (!path) {
		vendor->egl = dlopen(EGL_NAME, RTLD_NOW | RTLD_LOCAL);
		return vendor->egl ? 0 : fail(error, "%s (on Debian: package libegl1)", dlerror());
	}
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		return fail(error, "--egl-library: %s", dlerror());
	}
	if (dlsym(library, "__egl_Main")) {
		return load_glvnd_vendor(vendor, path, error);
	}
	if (!dlsym(library, "eglGetProcAddress")) {
		return fail(error,
			"--egl-library=%s is no library of EGL: it has neither eglGetProcAddress "
			"nor, as vendors of glvnd's have, __egl_Main",
			path);
	}
	if (!is_known_as(library, EGL_NAME)) {
		return fail(error,
			"--egl-library=%s has not the soname " EGL_NAME
			", by which libvirglrenderer looks for it: that would load another",
			path);
	}
	vendor->egl = library;
	return 0;
}

static int load_gl(struct vendor *vendor, const char *path, char *error)
{
	if (path) {
		vendor->gl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!vendor->gl) {
			return fail(error, "--gl-library: %s", dlerror());
		}
		if (!is_known_as(vendor->gl, GL_NAME)) {
			return fail(error,
				"--gl-library=%s has not the soname " GL_NAME
				", by which libvirglrenderer looks for it: that would load another",
				path);
		}
	} else {
		vendor->gl = dlopen(GL_NAME, RTLD_LAZY | RTLD_LOCAL);
		if (!vendor->gl) {
			vendor->gl = dlopen(OPENGL_NAME, RTLD_LAZY | RTLD_LOCAL);
		}
		if (!vendor->gl) {
			return fail(error,
				"neither " GL_NAME " nor " OPENGL_NAME
				" can be loaded (on Debian: package libgl1)");
		}
	}
	return dlsym(vendor->gl, "glGetString")
		? 0
		: fail(error, "%s%s is no library of OpenGL: it has no glGetString",
			  path ? "--gl-library=" : "", path ? path : GL_NAME);
}

int vendor_load(struct vendor *vendor, const struct vendor_choice *choice,
	char error[static VENDOR_ERROR_SIZE])
{
	*vendor = (struct vendor){ NULL, NULL };
	if ((choice->egl && check_path(choice->egl, "--egl-library", error) < 0) ||
		(choice->gl && check_path(choice->gl, "--gl-library", error) < 0) ||
		load_egl(vendor, choice->egl, error) < 0) {
		return -ENOENT;
	}
	return load_gl(vendor, choice->gl, error);
}
