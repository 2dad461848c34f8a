/* SPDX-License-Identifier: MIT */
#ifndef RENDER_SOFT_SOFT_IMPL_H
#define RENDER_SOFT_SOFT_IMPL_H

/* What the files of the soft renderer share. */

#include "render/render_impl.h"
#include "render/soft/backing.h"

struct soft_renderer {
	struct renderer base;
	struct memory *memory;
};

/* 0 or -ENOMEM. */
int soft_image_create(struct soft_renderer *soft, const struct render_image_info *info,
	struct render_resource **resource);
int soft_blob_create(struct soft_renderer *soft, struct render_resource **resource);

#endif
