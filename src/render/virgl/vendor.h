/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_VENDOR_H
#define RENDER_VIRGL_VENDOR_H

/* The libraries of EGL and OpenGL, loaded so that libvirglrenderer finds the same ones. */

#include <stddef.h>

/* What a user chose: a file's path, or a name for the dynamic linker. NULL: what the system has. */
struct vendor_choice {
	const char *egl;
	const char *gl;
};

/* Handles of dlopen(3). They are never closed: drivers leave threads and exit handlers behind. */
struct vendor {
	void *egl; // has eglGetProcAddress
	void *gl; // has glGetString
};

#define VENDOR_ERROR_SIZE 512

/* Returns 0, or -ENOENT and error says what was wrong and what to do. */
int vendor_load(struct vendor *vendor, const struct vendor_choice *choice,
	char error[static VENDOR_ERROR_SIZE]);

#endif
