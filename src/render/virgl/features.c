/* SPDX-License-Identifier: MIT */
#include "render/virgl/features.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order in which the library got them. */
static const struct feature {
	const char *function;
	const char *name;
	const char *without; // what a user notices
} features[] = {
	{ "virgl_renderer_get_fd_for_texture2", "export of textures",
		"frames are copied for the display" },
	{ "virgl_renderer_context_create_with_flags", "contexts of a capset",
		"guests get contexts of VirGL alone" },
	{ "virgl_renderer_resource_create_blob", "blobs", "guests copy what they could map" },
	{ "virgl_renderer_context_create_fence", "fences of contexts",
		"a context waits for the fences of others" },
	{ "virgl_renderer_resource_get_info_ext", "layouts of exported textures",
		"a frame in tiles is copied for the display" },
	{ "virgl_renderer_resource_map_fixed", "blobs mapped in place",
		"each blob that is mapped takes a memory slot" },
};

struct line {
	char *text;
	size_t size;
	size_t used;
	const char *separator;
};

static void add(struct line *line, const char *name, const char *without)
{
	int len = snprintf(line->text + line->used, line->size - line->used, "%s%s%s%s%s",
		line->separator, name, without ? " (" : "", without ? without : "",
		without ? ")" : "");

	line->used += (size_t)len < line->size - line->used ? (size_t)len
							    : line->size - line->used - 1;
	line->separator = ", ";
}

static void add_features(struct line *line, void *library, bool waits_for_fences, bool has)
{
	if (waits_for_fences == has) {
		add(line, "a thread that waits for fences",
			has ? NULL : "they are looked for each millisecond");
	}
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if ((dlsym(library, features[i].function) != NULL) == has) {
			add(line, features[i].name, has ? NULL : features[i].without);
		}
	}
}

/* The name of its file has a number that distributions know. */
static void add_file(struct line *line, void *library)
{
	void *function = dlsym(library, "virgl_renderer_init");
	char path[PATH_MAX];
	Dl_info info;

	if (function && dladdr(function, &info) && realpath(info.dli_fname, path)) {
		add(line, strrchr(path, '/') + 1, NULL);
	} else {
		add(line, "libvirglrenderer", NULL);
	}
}

void features_describe(void *library, bool waits_for_fences, char *text, size_t size)
{
	struct line line = { .text = text, .size = size, .separator = "" };

	add_file(&line, library);
	line.separator = " (built with the headers of " VIRGL_HEADERS ") has: ";
	add_features(&line, library, waits_for_fences, true);
	line.separator = "; lacks: ";
	add_features(&line, library, waits_for_fences, false);
}
