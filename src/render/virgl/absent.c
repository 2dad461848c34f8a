/* SPDX-License-Identifier: MIT */
#include "render/virgl/virgl.h"

#include <assert.h>
#include <errno.h>

#include "base/log.h"

/* Stands for this room in a build without libvirglrenderer's headers. */

bool virgl_is_possible(bool *render_node)
{
	*render_node = false;
	return false;
}

static void complain(void)
{
	log_error("VirGL cannot be offered: this build has no GL renderer (meson -Dvirgl=enabled)");
}

int virgl_list_gpus(const struct virgl_config *config, FILE *file)
{
	(void)config;
	(void)file;
	complain();
	return -ENOTSUP;
}

int virgl_list_vulkan(const struct virgl_config *config, FILE *file)
{
	(void)config;
	(void)file;
	return 0;
}

struct virgl *virgl_open(struct loop *loop, const struct virgl_config *config)
{
	(void)loop;
	(void)config;
	complain();
	return NULL;
}

void virgl_close(struct virgl *virgl)
{
	assert(!virgl);
}

const char *virgl_description(const struct virgl *virgl)
{
	(void)virgl;
	return "";
}

struct renderer *virgl_renderer_of(struct virgl *virgl, struct memory *memory,
	const struct render_listener_ops *listener, void *listener_data)
{
	(void)virgl;
	(void)memory;
	(void)listener;
	(void)listener_data;
	return NULL;
}
