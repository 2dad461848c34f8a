/* SPDX-License-Identifier: MIT */
#include "render/virgl/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "render/virgl/node.h"

/* What a child is asked for with the list, and leaves. */
struct found {
	struct gpu_list list;
	char error[EGL_ERROR_SIZE]; // empty: none
};

static void ask_list(void *result, void *data)
{
	struct found *found = result;

	egl_list(data, &found->list, found->error);
}

void probe_explain(char *error, size_t size, int result, int killer)
{
	if (result == -ETIMEDOUT) {
		snprintf(error, size, "the driver did not answer within %d s", PROBE_SECONDS);
	} else if (killer) {
		snprintf(error, size, "the driver crashed (%s)", strsignal(killer));
	} else if (result == -EPIPE) {
		snprintf(error, size, "the driver ended its process");
	} else {
		snprintf(error, size, "no process for it: %s", strerror(-result));
	}
}

static int find_devices(const struct vendor_choice *choice, struct gpu_list *list, char *error)
{
	struct found *found = calloc(1, sizeof(*found));
	int result, killer;

	if (!found) {
		snprintf(error, EGL_ERROR_SIZE, "no memory for a list of GPUs");
		return -ENOMEM;
	}
	result = child_run(
		ask_list, (void *)choice, found, sizeof(*found), PROBE_SECONDS * 1000, &killer);
	if (result < 0) {
		probe_explain(error, EGL_ERROR_SIZE, result, killer);
	} else if (found->error[0]) {
		result = -ENODEV;
		snprintf(error, EGL_ERROR_SIZE, "%s", found->error);
	} else {
		*list = found->list;
	}
	free(found);
	return result;
}

static bool has_node(const struct gpu_list *list, const char *path)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (strcmp(list->gpus[i].node, path) == 0) {
			return true;
		}
	}
	return false;
}

/* Those that are no EGL device's. */
static void add_nodes(struct gpu_list *list)
{
	char paths[NODE_MAX][64];
	size_t count = node_list("", paths);

	for (size_t i = 0; i < count; i++) {
		struct gpu gpu = { .route = GPU_RENDER_NODE };

		snprintf(gpu.node, sizeof(gpu.node), "%s", paths[i]);
		node_pci_of_file("", gpu.node, gpu.pci);
		if (!has_node(list, paths[i])) {
			gpu_list_add(list, &gpu);
		}
	}
}

static void ask_gpu(void *result, void *data)
{
	char error[EGL_ERROR_SIZE] = "";
	struct gpu *gpu = result;
	struct egl *egl = egl_open(data, gpu, error);

	if (egl) {
		*gpu = *egl_gpu(egl);
	} else {
		snprintf(gpu->error, sizeof(gpu->error), "%.255s", error);
	}
}

static void open_in_child(const struct vendor_choice *choice, struct gpu *gpu)
{
	int killer, result;

	result = child_run(
		ask_gpu, (void *)choice, gpu, sizeof(*gpu), PROBE_SECONDS * 1000, &killer);
	if (result < 0) {
		probe_explain(gpu->error, sizeof(gpu->error), result, killer);
	}
}

void probe_gpu(const struct vendor_choice *choice, struct gpu *gpu)
{
	struct gpu by_node = *gpu;

	open_in_child(choice, gpu);
	if (gpu->error[0] && gpu->route == GPU_EGL_DEVICE && gpu->node[0]) {
		by_node.route = GPU_RENDER_NODE;
		open_in_child(choice, &by_node);
		if (!by_node.error[0] && !by_node.software) {
			*gpu = by_node;
		}
	}
}

void probe_all(const struct vendor_choice *choice, struct gpu_list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		probe_gpu(choice, &list->gpus[i]);
	}
}

int probe_list(const struct vendor_choice *choice, struct gpu_list *list,
	char error[static EGL_ERROR_SIZE])
{
	int result = find_devices(choice, list, error);

	if (result == 0) {
		add_nodes(list);
	}
	return result;
}
