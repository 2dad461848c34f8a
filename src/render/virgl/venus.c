/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "render/virgl/virgl_impl.h"

/*
 * Can Vulkan be offered here, and by what? Whatever stands in the way is told at the start: later a guest
 * would only see a device that it cannot use.
 */

int virgl_venus_choose(struct virgl *virgl, const struct virgl_config *config)
{
	const struct virgl_server_config server = {
		.path = config->render_server,
		.driver = config->vulkan_driver,
	};

	if (virgl_guard_open() < 0) {
		return -ENOMEM;
	}
	virgl->server = virgl_server_create(virgl->loop, &server);
	if (!virgl->server) {
		virgl_guard_close();
	}
	return virgl->server ? 0 : -ENOMEM;
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
	(void)virgl;
	snprintf(text, size, "Venus (Vulkan)");
}
