/* SPDX-License-Identifier: MIT */
#include "daemon/capabilities.h"

#include <errno.h>
#include <stdbool.h>

#include "render/virgl/virgl.h"

/*
 * The schema has two features, "render-node" and "virgl". An empty list must be there all the same:
 * libvirt passes over a back end without one ("failed to get features").
 */
int capabilities_print(FILE *file)
{
	bool render_node;
	const char *features = "";

	if (virgl_is_possible(&render_node)) {
		features = render_node ? "\"virgl\", \"render-node\"" : "\"virgl\"";
	}
	fprintf(file, "{\n  \"type\": \"gpu\",\n  \"features\": [%s]\n}\n", features);
	return fflush(file) ? -errno : 0;
}
