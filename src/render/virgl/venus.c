/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "render/virgl/virgl_impl.h"
#include "render/virgl/vulkan.h"

/*
 * Can Vulkan be offered here, and by what? Whatever stands in the way is told at the start: later a guest
 * would only see a device that it cannot use.
 *
 * The drivers are asked in this process' environment, which is the render server's, too.
 */

static void log_gpus(const struct vulkan_list *list, enum log_level level)
{
	char text[VULKAN_TEXT_SIZE];

	for (uint32_t i = 0; i < list->count; i++) {
		vulkan_describe(&list->gpus[i], text);
		log_write(level, "Vulkan GPU %u: %s", i, text);
	}
}

/* Names those that the guest can use, for the log. */
static void describe_gpus(struct virgl *virgl, const struct vulkan_list *list)
{
	char *text = virgl->vulkan_gpus;
	size_t size = sizeof(virgl->vulkan_gpus);
	size_t used = 0;

	for (uint32_t i = 0; i < list->count && used < size; i++) {
		const struct vulkan_gpu *gpu = &list->gpus[i];

		if (gpu->memory != VULKAN_MEMORY_NONE) {
			used += (size_t)snprintf(text + used, size - used, "%s%s%s%s",
				used ? ", " : "", gpu->name, gpu->software ? " (software)" : "",
				gpu->memory == VULKAN_MEMORY_LAYER ? " (with the memory layer)"
								   : "");
		}
	}
}

static void note_forks(struct virgl *virgl, const struct vulkan_list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const struct vulkan_gpu *gpu = &list->gpus[i];

		if (gpu->memory != VULKAN_MEMORY_NONE && gpu->no_fork) {
			snprintf(virgl->no_fork_gpu, sizeof(virgl->no_fork_gpu), "%s", gpu->name);
		}
		virgl->other_gpu = virgl->other_gpu ||
			(gpu->memory != VULKAN_MEMORY_NONE && !gpu->no_fork);
	}
}

/* Returns 0 or -errno (logged). */
static int choose_layer(
	const struct vulkan_plan *plan, char *folder, struct virgl_server_config *server)
{
	if (!plan->layer && server->max_memory == 0) {
		return 0;
	}
	if (!vulkan_find_layer(NULL, folder)) {
		log_error(
			"Vulkan cannot be offered: %s without virtio-gpud's memory layer, which is "
			"neither beside the program nor installed (meson -Dvulkan-layer=enabled "
			"builds it)",
			plan->layer ? "the driver's memory cannot leave the render server"
				    : "nothing keeps the limit of --max-vulkan-memory");
		return -ENOENT;
	}
	server->layer = folder;
	server->overrule = plan->overrule;
	return 0;
}

/* A limit that is not kept is refused. Returns 0 or -errno (logged). */
static int check_limit(const struct virgl_server_config *server)
{
	char error[VULKAN_ERROR_SIZE];
	int result = server->max_memory > 0 ? vulkan_try_limit(server, error) : 0;

	if (result < 0) {
		log_error("the limit of --max-vulkan-memory would not be kept: %s", error);
	}
	return result;
}

/* What the drivers say. Returns 0 or -errno (logged). */
static int ask_drivers(struct virgl *virgl, char *folder, struct virgl_server_config *server)
{
	char error[VULKAN_ERROR_SIZE];
	struct vulkan_plan plan = { .possible = false };
	struct vulkan_list list;
	int result = vulkan_probe(server->driver, &list, error);

	if (result == -ENOTSUP) {
		log_warn("whether Venus can work with the driver's memory is not known: %s", error);
		return choose_layer(&plan, folder, server);
	}
	if (result < 0 || list.count == 0) {
		log_error(
			"Vulkan cannot be offered: %s (on Debian: package mesa-vulkan-drivers, or the "
			"GPU vendor's; --vulkan-driver=FILE names one)",
			result < 0 ? error : "there is no Vulkan driver with a device");
		return -ENODEV;
	}
	plan = vulkan_plan(&list);
	log_gpus(&list, plan.possible ? LOG_DEBUG : LOG_ERROR);
	if (!plan.possible) {
		log_error("Vulkan cannot be offered: Venus works with none of these GPUs");
		return -ENODEV;
	}
	describe_gpus(virgl, &list);
	note_forks(virgl, &list);
	return choose_layer(&plan, folder, server);
}

int virgl_venus_choose(struct virgl *virgl, const struct virgl_config *config)
{
	char folder[VULKAN_FOLDER_SIZE];
	struct virgl_server_config server = {
		.path = config->render_server,
		.driver = config->vulkan_driver,
		.max_memory = config->max_vulkan_memory,
	};
	int result;

	if (!virgl_server_find(&server)) {
		return virgl_server_complain(&server);
	}
	result = ask_drivers(virgl, folder, &server);
	if (result < 0 || (result = check_limit(&server)) < 0 ||
		(result = virgl_guard_open()) < 0) {
		return result;
	}
	virgl->server = virgl_server_create(virgl->loop, &server);
	if (!virgl->server) {
		virgl_guard_close();
	}
	return virgl->server ? 0 : -ENOMEM;
}

/*
 * The render server of the library before 1.2 loads drivers, and forks then for each context: in there
 * vkCreateDevice of NVIDIA's driver fails (VK_ERROR_INITIALIZATION_FAILED). 1.2 is known by a function that is new in it.
 */
int virgl_venus_check_library(const struct virgl *virgl)
{
	bool is_old = !dlsym(virgl->library.handle, "virgl_renderer_attach_fence");

	if (!is_old || virgl->no_fork_gpu[0] == '\0') {
		return 0;
	}
	log_write(virgl->other_gpu ? LOG_WARN : LOG_ERROR,
		"Vulkan cannot be offered on %s: NVIDIA's driver needs libvirglrenderer 1.2 or newer, and "
		"its render server (in this one's, vkCreateDevice fails)",
		virgl->no_fork_gpu);
	return virgl->other_gpu ? 0 : -ENODEV;
}

/* Of struct virgl_renderer_capset_venus (venus_hw.h); the rest is between the library and the guest. */
struct venus_capset_head {
	uint32_t wire_format_version;
};

int virgl_venus_add_capset(struct virgl *virgl)
{
	struct render_capset capset = { .id = VIRGL_CAPSET_VENUS };
	struct venus_capset_head *head;
	uint32_t version;

	virgl->library.get_cap_set(capset.id, &capset.max_version, &capset.max_size);
	if (capset.max_size < sizeof(*head)) {
		log_error("Vulkan cannot be offered: libvirglrenderer was built without Venus");
		return -ENODEV;
	}
	head = calloc(1, capset.max_size);
	if (!head) {
		log_error("no memory for Venus' capset");
		return -ENOMEM;
	}
	virgl->library.fill_caps(capset.id, capset.max_version, head);
	version = head->wire_format_version;
	free(head);
	if (version == 0) {
		log_error(
			"Vulkan cannot be offered: libvirglrenderer speaks wire format 0 of Venus, "
			"which guests' drivers refuse: it is too old (1.0 or newer is needed)");
		return -ENODEV;
	}
	virgl->capsets[virgl->capset_count++] = capset;
	return 0;
}

void virgl_venus_describe(const struct virgl *virgl, char *text, size_t size)
{
	snprintf(text, size, "Venus on %s",
		virgl->vulkan_gpus[0] ? virgl->vulkan_gpus : "an unknown Vulkan driver");
}

int virgl_list_vulkan(const struct virgl_config *config, FILE *file)
{
	char error[VULKAN_ERROR_SIZE];
	struct vulkan_list list;

	if (vulkan_probe(config->vulkan_driver, &list, error) < 0) {
		fprintf(file, "Vulkan: %s\n", error);
	} else if (list.count == 0) {
		fputs("Vulkan: no driver with a device\n", file);
	} else {
		vulkan_list_print(&list, file);
	}
	return fflush(file) ? -errno : 0;
}
