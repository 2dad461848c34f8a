/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "render/virgl/virgl_impl.h"

/* The renderer of one VM: what it offers, and the table of what it can do. */

static const struct render_3d_ops virgl_3d_ops;

struct virgl_device *virgl_device_of(struct renderer *renderer)
{
	assert(renderer->ops_3d == &virgl_3d_ops);
	return container_of(renderer, struct virgl_device, base);
}

static int get_capset(struct renderer *renderer, uint32_t index, struct render_capset *capset)
{
	const struct virgl *virgl = virgl_device_of(renderer)->virgl;

	/* What could not be started anew has nothing to fill them with. */
	if (!virgl->started || index >= virgl->capset_count) {
		return -ENOENT;
	}
	*capset = virgl->capsets[index];
	return 0;
}

/* Capability bits of VirGL's second capset: struct virgl_caps_v2 of virgl_hw.h. */
#define CAPS_V2_CAPABILITY_BITS 392

/*
 * GL_ARB_buffer_storage needs GL's buffers as blobs of host memory, which contexts of VirGL have none of (blob.c);
 * a driver that sees the bit and a host-visible window would ask for them.
 */
#define CAPABILITY_ARB_BUFFER_STORAGE (1u << 31)

static void fill_capset(struct renderer *renderer, uint32_t id, uint32_t version, void *bytes)
{
	uint8_t *place = (uint8_t *)bytes + CAPS_V2_CAPABILITY_BITS;
	const struct virgl *virgl = virgl_device_of(renderer)->virgl;
	uint32_t bits;

	virgl->library.fill_caps(id, version, bytes);
	for (uint32_t i = 0; i < virgl->capset_count; i++) {
		const struct render_capset *capset = &virgl->capsets[i];

		if (id == VIRTIO_GPU_CAPSET_VIRGL2 && capset->id == id &&
			capset->max_size >= CAPS_V2_CAPABILITY_BITS + sizeof(bits)) {
			memcpy(&bits, place, sizeof(bits));
			bits &= ~CAPABILITY_ARB_BUFFER_STORAGE;
			memcpy(place, &bits, sizeof(bits));
		}
	}
}

static const struct render_3d_ops virgl_3d_ops = {
	.get_capset = get_capset,
	.fill_capset = fill_capset,
	.create_texture = virgl_texture_create,
	.transfer = virgl_texture_transfer,
	.upload = virgl_texture_upload,
	.create_context = virgl_context_create,
	.destroy_context = virgl_context_destroy,
	.attach = virgl_context_attach,
	.detach = virgl_context_detach,
	.submit = virgl_context_submit,
	.create_fence = virgl_fence_create,
	.create_host_blob = virgl_blob_create,
	.export_host_blob = virgl_blob_export,
	.create_ring_fence = virgl_ring_fence_create,
	.pause = virgl_contexts_pause,
};

static void destroy_device(struct renderer *renderer)
{
	struct virgl_device *device = virgl_device_of(renderer);

	virgl_fences_drop(device);
	device->virgl->device = NULL;
	free(device);
}

/* What CREATE_2D and guest blobs make belongs to the soft renderer. */
static const struct render_ops virgl_ops = {
	.create_image = render_no_image,
	.create_blob = render_no_blob,
	.destroy = destroy_device,
};

struct renderer *virgl_renderer_of(struct virgl *virgl, struct memory *memory,
	const struct render_listener_ops *listener, void *listener_data)
{
	struct virgl_device *device = calloc(1, sizeof(*device));

	assert(!virgl->device);
	if (!device) {
		log_error("no memory for a renderer");
		return NULL;
	}
	virgl_revive(virgl);
	renderer_init(&device->base, &virgl_ops, listener, listener_data);
	renderer_init_3d(&device->base, &virgl_3d_ops);
	device->virgl = virgl;
	device->memory = memory;
	list_init(&device->contexts);
	list_init(&device->fences);
	list_init(&device->ended);
	virgl->device = device;
	return &device->base;
}
