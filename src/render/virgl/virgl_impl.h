/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_VIRGL_IMPL_H
#define RENDER_VIRGL_VIRGL_IMPL_H

/* What the files of this room share. */

#include <pthread.h>

#include "base/list.h"
#include "render/render_impl.h"
#include "render/virgl/awake.h"
#include "render/virgl/getimage.h"
#include "render/virgl/library.h"
#include "render/virgl/reader.h"
#include "render/virgl/virgl.h"

#define VIRGL_CAPSETS 2

struct virgl_device;

struct virgl {
	struct loop *loop;
	pthread_t thread; // the loop's
	struct virgl_library library;
	struct egl *egl;
	struct virgl_reader *reader; // NULL: textures are read where they are drawn
	struct virgl_renderer_callbacks callbacks;
	bool started;
	struct loop_fd *poll_source; // NULL: the library cannot tell when a fence ends
	struct loop_timer *poll_timer; // looks for it then
	struct loop_deferred *tell;
	struct loop_idle *stay_awake; // runs while awake says so
	struct awake awake;
	uint32_t next_fence;
	struct render_capset capsets[VIRGL_CAPSETS];
	uint32_t capset_count;
	struct virgl_formats drawn; // those that textures can be drawn to in
	char description[512];
	struct virgl_device *device; // NULL: no VM
};

/* The renderer of a VM. */
struct virgl_device {
	struct renderer base;
	struct virgl *virgl;
	struct memory *memory;
	struct list fences; // virgl_fence.link, in order
	struct list ended; // virgl_fence.link, not yet told
};

struct virgl_device *virgl_device_of(struct renderer *renderer);

/* choose.c: opens a display as configured. Returns NULL on failure (logged). */
struct egl *virgl_open_display(const struct virgl_config *config);

/* texture.c */
int virgl_texture_create(struct renderer *renderer, const struct render_texture_info *info,
	struct render_resource **resource);
int virgl_texture_transfer(
	struct render_resource *resource, const struct render_transfer_3d *transfer);
int virgl_texture_upload(
	struct render_resource *resource, const struct rect *rect, struct frame *frame);
uint32_t virgl_texture_id(struct render_resource *resource);

/* fence.c */
int virgl_fence_create(struct renderer *renderer, uint64_t token);
void virgl_fences_retire(struct virgl_device *device, uint32_t number); // up to it
void virgl_fences_tell(struct virgl_device *device);
void virgl_fences_drop(struct virgl_device *device);
/* Starts and stops looking for ended fences. Returns 0 or -errno (logged). */
int virgl_fences_open(struct virgl *virgl);
void virgl_fences_close(struct virgl *virgl);

#endif
