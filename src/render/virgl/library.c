/* SPDX-License-Identifier: MIT */
#include "render/virgl/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "render/virgl/symbols.h"

#define LIBRARY "libvirglrenderer.so.1"

#define FUNCTION(name) { "virgl_renderer_" #name, offsetof(struct virgl_library, name) }

static const struct symbol functions[] = {
	FUNCTION(init),
	FUNCTION(cleanup),
	FUNCTION(poll),
	FUNCTION(get_poll_fd),
	FUNCTION(force_ctx_0),
	FUNCTION(get_cap_set),
	FUNCTION(fill_caps),
	FUNCTION(context_create),
	FUNCTION(context_destroy),
	FUNCTION(ctx_attach_resource),
	FUNCTION(ctx_detach_resource),
	FUNCTION(submit_cmd),
	FUNCTION(resource_create),
	FUNCTION(resource_unref),
	FUNCTION(resource_get_info),
	FUNCTION(resource_attach_iov),
	FUNCTION(resource_detach_iov),
	FUNCTION(transfer_read_iov),
	FUNCTION(transfer_write_iov),
	FUNCTION(create_fence),
	{ "virgl_set_debug_callback", offsetof(struct virgl_library, set_debug_callback) },
};

static const struct symbol venus_functions[] = {
	FUNCTION(context_create_with_flags),
	FUNCTION(context_create_fence),
	FUNCTION(context_poll),
	FUNCTION(context_get_poll_fd),
	FUNCTION(resource_create_blob),
	FUNCTION(resource_get_map_info),
	FUNCTION(resource_export_blob),
};

int virgl_library_load(struct virgl_library *library)
{
	const char *missing;

	*library = (struct virgl_library){ .handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL) };
	if (!library->handle) {
		log_error(
			"neither OpenGL nor Vulkan can be offered: %s (on Debian: package libvirglrenderer1)",
			dlerror());
		return -ENOENT;
	}
	missing = symbols_find(
		library->handle, functions, sizeof(functions) / sizeof(functions[0]), library);
	if (missing) {
		log_error(
			"OpenGL cannot be offered: " LIBRARY " has no %s; it is too old", missing);
		virgl_library_unload(library);
		return -ENOENT;
	}
	return 0;
}

int virgl_library_load_venus(struct virgl_library *library)
{
	const char *missing = symbols_find(library->handle, venus_functions,
		sizeof(venus_functions) / sizeof(venus_functions[0]), library);

	if (missing) {
		log_error(
			"Vulkan cannot be offered: " LIBRARY " has no %s; it is too old", missing);
		return -ENOENT;
	}
	return 0;
}

void virgl_library_unload(struct virgl_library *library)
{
	if (library->handle) {
		dlclose(library->handle);
	}
	*library = (struct virgl_library){ 0 };
}
