/* SPDX-License-Identifier: MIT */
#include "render/virgl/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/log.h"

#define LIBRARY "libvirglrenderer.so.1"

static const struct {
	const char *name;
	size_t place; // of the pointer in struct virgl_library
} functions[] = {
#define FUNCTION(name) { "virgl_renderer_" #name, offsetof(struct virgl_library, name) }
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
	FUNCTION(resource_attach_iov),
	FUNCTION(resource_detach_iov),
	FUNCTION(transfer_read_iov),
	FUNCTION(transfer_write_iov),
	FUNCTION(create_fence),
	{ "virgl_set_debug_callback", offsetof(struct virgl_library, set_debug_callback) },
#undef FUNCTION
};

int virgl_library_load(struct virgl_library *library)
{
	*library = (struct virgl_library){ .handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL) };
	if (!library->handle) {
		log_error("VirGL cannot be offered: %s (on Debian: package libvirglrenderer1)",
			dlerror());
		return -ENOENT;
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(library->handle, functions[i].name);

		if (!function) {
			log_error("VirGL cannot be offered: " LIBRARY " has no %s; it is too old",
				functions[i].name);
			virgl_library_unload(library);
			return -ENOENT;
		}
		memcpy((char *)library + functions[i].place, &function, sizeof(function));
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
