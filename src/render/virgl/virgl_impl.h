/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_VIRGL_IMPL_H
#define RENDER_VIRGL_VIRGL_IMPL_H

/* What the files of this room share. */

#include <pthread.h>

#include "base/list.h"
#include "render/render_impl.h"
#include "render/virgl/awake.h"
#include "render/virgl/doorbells.h"
#include "render/virgl/getimage.h"
#include "render/virgl/guard.h"
#include "render/virgl/library.h"
#include "render/virgl/reader.h"
#include "render/virgl/server.h"
#include "render/virgl/virgl.h"

#define VIRGL_CAPSETS 3

/* Not in the kernel headers of Debian 12: VIRTIO_GPU_CAPSET_VENUS. */
#define VIRGL_CAPSET_VENUS 4

struct virgl_device;

struct virgl {
	struct loop *loop;
	pthread_t thread; // the loop's
	struct virgl_library library;
	struct egl *egl; // NULL: no VirGL
	struct virgl_server *server; // NULL: no Venus
	int server_socket; // until the library takes it
	struct loop_timer *watch; // of Venus' contexts
	struct loop_timer *ring_again; // their rings' doorbells
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
	char vulkan_gpus[256]; // their names
	char no_fork_gpu
		[128]; // one with a driver that does not survive a fork (struct vulkan_gpu); "": none
	bool other_gpu; // and there is one that does
	bool refused; // by the render server: the last context
	char description[512];
	struct virgl_device *device; // NULL: no VM
};

/* The renderer of a VM. */
struct virgl_device {
	struct renderer base;
	struct virgl *virgl;
	struct memory *memory;
	struct list contexts; // virgl_context.link
	struct list fences; // virgl_fence.link, in order: those of OpenGL
	struct list ended; // virgl_fence.link, not yet told
};

/* virgl.c: starts the library anew if its render server died, and that can be done. */
void virgl_revive(struct virgl *virgl);

/* renderer.c */
struct virgl_device *virgl_device_of(struct renderer *renderer);

struct virgl_context {
	struct render_context base;
	struct list link; // virgl_device.contexts
	struct virgl_device *device;
	uint32_t id; // the guest's, and the library's
	uint32_t capset;
	bool lost; // its process is gone
	// of Venus
	struct list fences; // virgl_fence.link: of its rings, in the order in which they were made
	struct loop_fd *source; // tells of ended ones
	int process; // a pidfd; -1: not known
	struct loop_fd *death; // of the process
	uint64_t first_seen; // the first of fences when the watch looked last
	struct doorbells doorbells;
};

struct virgl_context *virgl_context_of(struct render_context *context);
bool virgl_context_is_venus(const struct virgl_context *context);

/* What the library knows by a number: a texture or a blob. */
struct virgl_resource {
	struct render_resource base;
	struct virgl_device *device;
	uint32_t id; // the guest's, and the library's
	struct memory_mapping *mapping; // NULL: no backing
};

/* resource.c */
struct virgl_library *virgl_library_of(const struct virgl_resource *resource);
uint32_t virgl_resource_id(struct render_resource *resource);
void virgl_resource_unref(
	struct virgl_resource *resource); // the library's part; backing goes before
int virgl_resource_attach_backing(struct render_resource *base, const struct memory_span *spans,
	size_t count, uint64_t token);
int virgl_resource_detach_backing(struct render_resource *base, uint64_t token);

/* venus.c: what Vulkan needs beyond OpenGL. They return 0 or -errno (logged). */
int virgl_venus_choose(struct virgl *virgl, const struct virgl_config *config);
int virgl_venus_check_library(const struct virgl *virgl);
int virgl_venus_add_capset(struct virgl *virgl);
void virgl_venus_describe(const struct virgl *virgl, char *text, size_t size);

/* choose.c: opens a display as configured. Returns NULL on failure (logged). */
struct egl *virgl_open_display(const struct virgl_config *config);

/* texture.c */
int virgl_texture_create(struct renderer *renderer, const struct render_texture_info *info,
	struct render_resource **resource);
int virgl_texture_transfer(
	struct render_resource *resource, const struct render_transfer_3d *transfer);
int virgl_texture_upload(
	struct render_resource *resource, const struct rect *rect, struct frame *frame);

/* blob.c */
int virgl_blob_create(struct render_context *context, const struct render_host_blob_info *info,
	uint64_t *held, struct render_resource **resource);
int virgl_blob_export(struct render_resource *resource, struct render_export *export);

/* context.c */
int virgl_context_create(struct renderer *renderer, uint32_t id, uint32_t capset_id,
	const char *name, uint32_t name_len, struct render_context **created);
void virgl_context_destroy(struct render_context *context);
void virgl_context_attach(struct render_context *context, struct render_resource *resource);
void virgl_context_detach(struct render_context *context, struct render_resource *resource);
int virgl_context_submit(struct render_context *context, void *commands, size_t size);
void virgl_context_begin_call(const struct virgl_context *context);
void virgl_context_end_call(struct virgl_context *context);
void virgl_context_lose(struct virgl_context *context); // its process is gone: its fences end, too
void virgl_context_expect(struct virgl_context *context); // a fence of it was made
void virgl_contexts_pause(struct renderer *renderer, bool paused);
/* Starts and stops looking after contexts. Returns 0 or -errno (logged). */
int virgl_contexts_open(struct virgl *virgl);
void virgl_contexts_close(struct virgl *virgl);

/* fence.c */
int virgl_fence_create(struct renderer *renderer, uint64_t token);
void virgl_fences_retire(struct virgl_device *device, uint32_t number); // up to it
void virgl_fences_tell(struct virgl_device *device);
void virgl_fences_drop(struct virgl_device *device);
/* Those on device->ended behind `last` ended by their process' death. */
void virgl_fences_fail_after(struct virgl_device *device, const struct list *last);
/* Those of a context's rings. */
int virgl_ring_fence_create(struct render_context *context, uint32_t ring, uint64_t token);
void virgl_ring_fence_retire(struct virgl_context *context, uint64_t token);
uint64_t virgl_ring_fences_first(const struct virgl_context *context); // its token; 0: none
void virgl_ring_fences_drop(struct virgl_context *context); // they end: nothing follows
/* Starts and stops looking for ended fences. Returns 0 or -errno (logged). */
int virgl_fences_open(struct virgl *virgl);
void virgl_fences_close(struct virgl *virgl);

#endif
