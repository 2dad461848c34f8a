/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "render/virgl/vulkan.h"

/* Stands for the probe in a build without Vulkan's headers, or without libvirglrenderer's. */

static int complain(char *error)
{
	snprintf(error, VULKAN_ERROR_SIZE,
		"this build knows no Vulkan (meson -Dvulkan-layer=enabled)");
	return -ENOTSUP;
}

int vulkan_probe(const char *driver, struct vulkan_list *list, char error[static VULKAN_ERROR_SIZE])
{
	(void)driver;
	*list = (struct vulkan_list){ .count = 0 };
	return complain(error);
}

int vulkan_try_limit(const struct virgl_server_config *config, char error[static VULKAN_ERROR_SIZE])
{
	(void)config;
	return complain(error);
}
