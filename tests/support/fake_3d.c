/* SPDX-License-Identifier: MIT */
#include "support/fake_3d.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gpu/wire.h"

struct fake_context {
	struct render_context base;
};

struct fake_texture {
	struct render_resource base;
	struct render_texture_info info;
	struct memory_mapping *mapping;
};

static void pause_nothing(struct renderer *renderer, bool paused)
{
	(void)renderer;
	(void)paused;
}

static const struct render_3d_ops fake_3d_ops;

static struct fake_3d *to_fake(struct renderer *renderer)
{
	assert(renderer->ops_3d == &fake_3d_ops);
	return container_of(renderer, struct fake_3d, base);
}

/* The failure that is due, which is over then. */
static int take_failure(struct fake_3d *fake)
{
	int error = fake->fail;

	fake->fail = 0;
	return error;
}

static struct fake_texture *to_texture(struct render_resource *resource)
{
	return container_of(resource, struct fake_texture, base);
}

static int texture_attach_backing(
	struct render_resource *base, const struct memory_span *spans, size_t count, uint64_t token)
{
	struct fake_texture *texture = to_texture(base);

	(void)token;
	texture->mapping = memory_map(
		to_fake(base->renderer)->memory, spans, count, MEMORY_READ_WRITE);
	return texture->mapping ? 0 : -errno;
}

static int texture_detach_backing(struct render_resource *base, uint64_t token)
{
	struct fake_texture *texture = to_texture(base);

	(void)token;
	memory_mapping_unref(texture->mapping);
	texture->mapping = NULL;
	return 0;
}

static struct frame *texture_get_frame(
	struct render_resource *base, const struct render_blob_layout *layout)
{
	const struct render_texture_info *info = &to_texture(base)->info;
	struct slow_frame *frame = slow_frame_create(info->width, info->height, info->frame_format);

	(void)layout;
	to_fake(base->renderer)->last_frame = frame;
	return &frame->base;
}

static int texture_destroy(struct render_resource *base, uint64_t token)
{
	texture_detach_backing(base, token);
	to_fake(base->renderer)->textures--;
	free(to_texture(base));
	return 0;
}

static const struct render_resource_ops texture_ops = {
	.attach_backing = texture_attach_backing,
	.detach_backing = texture_detach_backing,
	.transfer_to_host = render_no_transfer,
	.get_frame = texture_get_frame,
	.destroy = texture_destroy,
};

static int get_capset(struct renderer *renderer, uint32_t index, struct render_capset *capset)
{
	static const uint32_t ids[] = { 1, 2, WIRE_CAPSET_VENUS };

	(void)renderer;
	index += to_fake(renderer)->no_virgl ? 2 : 0;
	if (index >= sizeof(ids) / sizeof(ids[0])) {
		return -ENOENT;
	}
	*capset = (struct render_capset){ ids[index], ids[index], FAKE_CAPSET_SIZE };
	return 0;
}

static void fill_capset(struct renderer *renderer, uint32_t id, uint32_t version, void *bytes)
{
	(void)renderer;
	memset(bytes, (int)(id * 16 + version), FAKE_CAPSET_SIZE);
}

static int create_texture(struct renderer *renderer, const struct render_texture_info *info,
	struct render_resource **resource)
{
	struct fake_3d *fake = to_fake(renderer);
	int error = take_failure(fake);
	struct fake_texture *texture;

	if (error < 0) {
		return error;
	}
	texture = calloc(1, sizeof(*texture));
	assert(texture);
	render_resource_init(&texture->base, &texture_ops, renderer);
	texture->info = *info;
	fake->last_texture = *info;
	fake->textures++;
	*resource = &texture->base;
	return 0;
}

static int transfer(struct render_resource *resource, const struct render_transfer_3d *transfer)
{
	struct fake_3d *fake = to_fake(resource->renderer);

	fake->last_transfer = *transfer;
	return take_failure(fake);
}

static int upload(struct render_resource *resource, const struct rect *rect, struct frame *frame)
{
	struct fake_3d *fake = to_fake(resource->renderer);

	assert(frame->width == to_texture(resource)->info.width);
	fake->uploads++;
	fake->last_upload = *rect;
	return take_failure(fake);
}

static int create_context(struct renderer *renderer, uint32_t id, uint32_t capset_id,
	const char *name, uint32_t name_len, struct render_context **created)
{
	struct fake_3d *fake = to_fake(renderer);
	int error = take_failure(fake);
	struct fake_context *context;

	(void)id;
	(void)name;
	(void)name_len;
	if (error < 0) {
		return error;
	}
	context = calloc(1, sizeof(*context));
	assert(context);
	context->base.renderer = renderer;
	fake->contexts++;
	fake->last_capset = capset_id;
	*created = &context->base;
	return 0;
}

static void destroy_context(struct render_context *context)
{
	to_fake(context->renderer)->contexts--;
	free(container_of(context, struct fake_context, base));
}

static const struct render_resource_ops blob_ops;

static bool is_of_fake(const struct render_resource *resource)
{
	return resource->ops == &texture_ops || resource->ops == &blob_ops;
}

static void attach(struct render_context *context, struct render_resource *resource)
{
	assert(is_of_fake(resource));
	to_fake(context->renderer)->attached++;
}

static void detach(struct render_context *context, struct render_resource *resource)
{
	assert(is_of_fake(resource));
	to_fake(context->renderer)->attached--;
}

static int submit(struct render_context *context, void *commands, size_t size)
{
	struct fake_3d *fake = to_fake(context->renderer);

	fake->submits++;
	memcpy(&fake->last_dword, (uint8_t *)commands + size - 4, 4);
	return take_failure(fake);
}

static struct frame *blob_get_frame(
	struct render_resource *base, const struct render_blob_layout *layout)
{
	struct slow_frame *frame = slow_frame_create(layout->width, layout->height, layout->format);

	to_fake(base->renderer)->last_frame = frame;
	return &frame->base;
}

static int blob_destroy(struct render_resource *base, uint64_t token)
{
	texture_detach_backing(base, token);
	to_fake(base->renderer)->blobs--;
	free(to_texture(base));
	return 0;
}

static const struct render_resource_ops blob_ops = {
	.attach_backing = texture_attach_backing,
	.detach_backing = texture_detach_backing,
	.transfer_to_host = render_no_transfer,
	.get_frame = blob_get_frame,
	.destroy = blob_destroy,
};

static int create_host_blob(struct render_context *context,
	const struct render_host_blob_info *info, uint64_t *held, struct render_resource **resource)
{
	struct fake_3d *fake = to_fake(context->renderer);
	int error = take_failure(fake);
	struct fake_texture *blob;

	if (error < 0) {
		return error;
	}
	blob = calloc(1, sizeof(*blob));
	assert(blob);
	render_resource_init(&blob->base, &blob_ops, context->renderer);
	fake->last_blob = *info;
	fake->blobs++;
	*held = info->size + fake->blob_rest;
	*resource = &blob->base;
	return 0;
}

static int export_host_blob(struct render_resource *resource, struct render_export *export)
{
	int error = take_failure(to_fake(resource->renderer));

	assert(resource->ops == &blob_ops);
	if (error < 0) {
		return error;
	}
	*export = (struct render_export){ .fd = memfd_create("blob", MFD_CLOEXEC), .map_info = 3 };
	return 0;
}

static int create_fence(struct renderer *renderer, uint64_t token)
{
	struct fake_3d *fake = to_fake(renderer);
	int error = take_failure(fake);

	if (error < 0) {
		return error;
	}
	if (fake->fence_count == FAKE_FENCES) {
		return -ENOMEM;
	}
	fake->fences[fake->fence_count++] = token;
	return RENDER_PENDING;
}

static int create_ring_fence(struct render_context *context, uint32_t ring, uint64_t token)
{
	to_fake(context->renderer)->last_ring = ring;
	return create_fence(context->renderer, token);
}

static const struct render_3d_ops fake_3d_ops = {
	.get_capset = get_capset,
	.fill_capset = fill_capset,
	.create_texture = create_texture,
	.transfer = transfer,
	.upload = upload,
	.create_context = create_context,
	.destroy_context = destroy_context,
	.attach = attach,
	.detach = detach,
	.submit = submit,
	.create_fence = create_fence,
	.create_host_blob = create_host_blob,
	.export_host_blob = export_host_blob,
	.create_ring_fence = create_ring_fence,
	.pause = pause_nothing,
};

static void destroy(struct renderer *renderer)
{
	struct fake_3d *fake = to_fake(renderer);

	assert(fake->contexts == 0 && fake->textures == 0 && fake->blobs == 0);
	free(fake);
}

static const struct render_ops fake_ops = {
	.create_image = render_no_image,
	.create_blob = render_no_blob,
	.destroy = destroy,
};

struct fake_3d *fake_3d_create(
	struct memory *memory, const struct render_listener_ops *listener, void *listener_data)
{
	struct fake_3d *fake = calloc(1, sizeof(*fake));

	assert(fake);
	renderer_init(&fake->base, &fake_ops, listener, listener_data);
	renderer_init_3d(&fake->base, &fake_3d_ops);
	fake->memory = memory;
	return fake;
}

void fake_3d_end_fences(struct fake_3d *fake, uint32_t count)
{
	while (count-- > 0) {
		uint64_t token = fake->fences[0];

		assert(fake->fence_count > 0);
		fake->fence_count--;
		memmove(fake->fences, fake->fences + 1, fake->fence_count * sizeof(token));
		fake->base.listener->operation_done(fake->base.listener_data, token, 0);
	}
}
