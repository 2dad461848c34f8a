/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "render/virgl/egl.h"
#include "render/virgl/probe.h"
#include "render/virgl/virgl_impl.h"

/*
 * Which GPU draws. One that was asked for draws, or nothing does: software in its place is an error,
 * unless the user said that it is none. A software renderer that was itself asked for is what it is.
 */

static struct vendor_choice libraries_of(const struct virgl_config *config)
{
	return (struct vendor_choice){ .egl = config->egl_library, .gl = config->gl_library };
}

/* An index needs one driver to be asked, an address or UUID those up to the one that has it. */
static int find_named(const struct virgl_config *config, struct gpu *gpu, char *error)
{
	const struct vendor_choice choice = libraries_of(config);
	struct gpu_list list = { .count = 0 };
	char have[EGL_ERROR_SIZE];
	struct gpu_name name;

	if (gpu_name_parse(&name, config->gpu) < 0) {
		snprintf(error, EGL_ERROR_SIZE, "neither an index, a PCI address nor a UUID");
		return -EINVAL;
	}
	if (probe_list(&choice, &list, error) < 0) {
		return -ENODEV;
	}
	for (uint32_t i = 0; i < list.count; i++) {
		if (name.kind != GPU_NAME_INDEX || name.index == i) {
			probe_gpu(&choice, &list.gpus[i]);
		}
		if (gpu_list_find(&list, &name) == &list.gpus[i]) {
			*gpu = list.gpus[i];
			return 0;
		}
	}
	if (name.kind == GPU_NAME_INDEX) {
		probe_all(&choice, &list);
	}
	gpu_list_describe(&list, have, sizeof(have));
	snprintf(error, EGL_ERROR_SIZE, "there is no such GPU (have: %.400s; --list-gpus)", have);
	return -ENODEV;
}

static int find_node(const struct virgl_config *config, struct gpu *gpu, char *error)
{
	const struct vendor_choice choice = libraries_of(config);

	*gpu = (struct gpu){ .route = GPU_RENDER_NODE };
	if ((size_t)snprintf(gpu->node, sizeof(gpu->node), "%s", config->render_node) >=
		sizeof(gpu->node)) {
		snprintf(error, EGL_ERROR_SIZE, "the path is too long for a render node's");
		return -EINVAL;
	}
	probe_gpu(&choice, gpu);
	return 0;
}

/* By an address, UUID or node hardware is asked for, whatever the driver makes of it. */
static bool may_be_software(const struct virgl_config *config)
{
	struct gpu_name name;

	return config->gpu && gpu_name_parse(&name, config->gpu) == 0 &&
		name.kind == GPU_NAME_INDEX;
}

/*
 * Returns NULL on failure, and error says why. Nothing of a GPU that cannot be used gets into this
 * process: EGL does not close a display without harm to others.
 */
static struct egl *open_asked(const struct virgl_config *config, char *error)
{
	const struct vendor_choice choice = libraries_of(config);
	struct gpu gpu;
	int result = config->gpu ? find_named(config, &gpu, error) : find_node(config, &gpu, error);

	if (result < 0) {
		return NULL;
	}
	if (gpu.error[0]) {
		snprintf(error, EGL_ERROR_SIZE, "%s", gpu.error);
		return NULL;
	}
	if (gpu.software && !may_be_software(config)) {
		snprintf(error, EGL_ERROR_SIZE,
			"it would be drawn in software (%s): check its driver", gpu.renderer);
		return NULL;
	}
	return egl_open(&choice, &gpu, error);
}

struct egl *virgl_open_display(const struct virgl_config *config)
{
	const struct vendor_choice choice = libraries_of(config);
	const char *option = config->gpu ? "--gpu" : "--render-node";
	const char *asked = config->gpu ? config->gpu : config->render_node;
	char error[EGL_ERROR_SIZE];
	struct egl *egl;

	if (asked) {
		egl = open_asked(config, error);
		if (egl) {
			return egl;
		}
		if (!config->allow_software) {
			log_error(
				"%s=%s cannot be used: %s; --allow-software would draw in software "
				"instead",
				option, asked, error);
			return NULL;
		}
		log_warn("%s=%s cannot be used: %s; drawing in software instead, as "
			 "--allow-software says",
			option, asked, error);
	}
	egl = asked ? egl_open_software(&choice, error) : egl_open(&choice, NULL, error);
	if (!egl) {
		log_error("GL cannot be used: %s", error);
	}
	return egl;
}

int virgl_list_gpus(const struct virgl_config *config, FILE *file)
{
	const struct vendor_choice choice = libraries_of(config);
	struct gpu_list list = { .count = 0 };
	char error[EGL_ERROR_SIZE];

	if (probe_list(&choice, &list, error) < 0) {
		log_error("GL cannot be used: %s", error);
		return -ENODEV;
	}
	probe_all(&choice, &list);
	gpu_list_print(&list, file);
	if (gpu_list_default(&list)) {
		fputs("* is taken when neither --gpu nor --render-node is given.\n", file);
	}
	return fflush(file) ? -errno : 0;
}
