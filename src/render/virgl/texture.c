/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "frame/frame_impl.h"
#include "render/virgl/virgl_impl.h"

/*
 * How this works
 *
 * A texture (or buffer) is the library's; here is its guest memory, mapped for as long as it is attached,
 * and the frames that show it. A frame keeps a shadow in private memory, into which just the rectangle
 * that is asked for is read back: at once by begin_read, which waits for the GPU, or by the reader's thread
 * for start_read. What is shown outlives the texture with the pixels last read.
 *
 * The reader writes into a shadow only while nobody looks at it: reads of a frame are one after the other,
 * each from its begin to its stop. (begin_read is for screenshots and cursors, and need not care.)
 *
 * The library makes and deletes GL objects in the GL context that is current, and leaves nothing bound to
 * the texture unit that is active. It does not know then that the context that drew last has lost a
 * texture, or a framebuffer of the same number; so this is done in context 0, which draws nothing.
 */

/* virgl_hw.h: VIRGL_RESOURCE_Y_0_TOP. */
#define RESOURCE_Y_0_TOP 1u

static struct log_limit read_errors = LOG_LIMIT_INIT;

struct virgl_texture {
	struct virgl_resource base;
	struct render_texture_info info;
	struct list frames; // texture_frame.link
};

struct texture_frame {
	struct frame base;
	struct virgl_texture *texture; // NULL when it went
	struct list link;
	struct frame *shadow;
	uint8_t *pixels; // of shadow
	size_t stride;
	uint32_t gl_name; // 0: not known
	bool upside_down; // its first row is the picture's last
	bool can_be_read_aside; // by the reader
	bool export_tried;
	struct frame_dmabuf dmabuf; // fd -1: none
	struct list reads; // frame_read.link, in order: the first is being read, or ready
};

static struct texture_frame *to_texture_frame(struct frame *frame);
static struct virgl_texture *to_texture(struct render_resource *resource);

static struct virgl_library *library_of(const struct virgl_texture *texture)
{
	return virgl_library_of(&texture->base);
}

static struct virgl *virgl_of(const struct virgl_texture *texture)
{
	return texture->base.device->virgl;
}

/* Gallium's, as VirGL has them on the wire. */
enum {
	TARGET_BUFFER = 0,
	BIND_CUSTOM = 1 << 17,
};

/*
 * Before a GL object is made or deleted. A buffer for queries or fences is plain memory of the library's, and there
 * is one for each frame: for that a switch of contexts would be wasted.
 */
static void leave_contexts(struct virgl_library *library, const struct render_texture_info *info)
{
	if (info->target != TARGET_BUFFER || info->bind != BIND_CUSTOM) {
		library->force_ctx_0();
	}
}

static struct virgl_box box_of(const struct rect *rect)
{
	return (struct virgl_box){ rect->x, rect->y, 0, rect->width, rect->height, 1 };
}

/* Reads back. The context that drew last is left, which flushes what it has queued. */
static int refresh(struct texture_frame *frame, const struct rect *rect)
{
	struct virgl_texture *texture = frame->texture;
	struct virgl_library *library = library_of(texture);
	struct virgl_box box = box_of(rect);
	size_t skipped = rect->y * frame->stride + (size_t)rect->x * FRAME_PIXEL_SIZE;
	struct iovec iov = {
		.iov_base = frame->pixels + skipped,
		.iov_len = frame->stride * texture->info.height - skipped,
	};

	library->force_ctx_0();
	return library->transfer_read_iov(
		       texture->info.id, 0, 0, (uint32_t)frame->stride, 0, &box, 0, &iov, 1)
		? -EIO
		: 0;
}

static struct frame_read *first_read(const struct texture_frame *frame)
{
	struct list *link = list_first(&frame->reads);

	return link ? container_of(link, struct frame_read, link) : NULL;
}

static int texture_begin_read(struct frame *base, const struct rect *rect, struct frame_view *view)
{
	struct texture_frame *frame = to_texture_frame(base);
	struct frame_read *reading = first_read(frame);

	if (reading && reading->maker_data) {
		virgl_read_wait(reading->maker_data);
	}
	if (frame->texture) {
		int result = refresh(frame, rect);

		if (result < 0) {
			return result;
		}
	}
	return frame_begin_read(frame->shadow, rect, view);
}

static void texture_end_read(struct frame *base)
{
	frame_end_read(to_texture_frame(base)->shadow);
}

static void begin_first(struct texture_frame *frame)
{
	struct frame_read *read = first_read(frame);
	const struct virgl_read_target target = {
		.texture = frame->gl_name,
		.height = frame->base.height,
		.upside_down = frame->upside_down,
		.rect = read ? read->rect : (struct rect){ 0 },
		.format = frame->base.format,
		.pixels = frame->pixels,
		.stride = frame->stride,
	};

	if (read) {
		virgl_read_begin(read->maker_data, &target);
	}
}

/* What the reader cannot read is read at once, and so are this frame's later reads. */
static void handle_read(void *data, int result)
{
	struct texture_frame *frame = data;
	struct frame_read *read = first_read(frame);

	read->maker_data = NULL;
	if (result < 0) {
		log_limited(&read_errors, LOG_WARN,
			"VirGL: resource %u cannot be read aside: reading it waits for the GPU",
			frame->texture->info.id);
		frame->can_be_read_aside = false;
	}
	result = result < 0 ? texture_begin_read(&frame->base, &read->rect, &read->view)
			    : frame_begin_read(frame->shadow, &read->rect, &read->view);
	if (result < 0) {
		list_remove(&read->link);
		begin_first(frame);
	}
	frame_read_end_wait(read, result);
}

static int texture_start_read(struct frame *base, struct frame_read *read)
{
	struct texture_frame *frame = to_texture_frame(base);

	if (frame->texture && frame->can_be_read_aside) {
		read->maker_data = virgl_read_create(
			virgl_of(frame->texture)->reader, handle_read, frame);
	}
	if (!read->maker_data) {
		return texture_begin_read(base, &read->rect, &read->view);
	}
	list_append(&frame->reads, &read->link);
	if (first_read(frame) == read) {
		begin_first(frame);
	}
	return FRAME_PENDING;
}

static void texture_stop_read(struct frame *base, struct frame_read *read)
{
	struct texture_frame *frame = to_texture_frame(base);
	bool was_first = first_read(frame) == read;

	virgl_read_cancel(read->maker_data);
	list_remove(&read->link);
	if (was_first) {
		begin_first(frame);
	}
}

static int texture_get_dmabuf(struct frame *base, struct frame_dmabuf *dmabuf)
{
	struct texture_frame *frame = to_texture_frame(base);

	struct egl *egl = frame->texture ? virgl_of(frame->texture)->egl : NULL;

	/* Not before somebody wants it: a shared texture may lie in memory in a slower way. */
	if (egl && frame->gl_name && !frame->export_tried) {
		frame->export_tried = true;
		if (egl_export_texture(egl, frame->gl_name, &frame->dmabuf) == 0) {
			frame->dmabuf.upside_down = frame->upside_down;
		}
	}
	if (!egl || frame->dmabuf.fd < 0) {
		return -ENOTSUP;
	}
	egl_flush(egl);
	*dmabuf = frame->dmabuf;
	return 0;
}

/* The texture goes: what was to be read of it is what was read last. */
static void leave_texture(struct texture_frame *frame)
{
	struct frame_read *read;

	frame_ref(&frame->base); // who is told may let it go
	list_remove(&frame->link);
	frame->texture = NULL;
	while ((read = first_read(frame))) {
		virgl_read_cancel(read->maker_data);
		read->maker_data = NULL;
		list_remove(&read->link);
		if (read->pending) {
			frame_begin_read(frame->shadow, &read->rect, &read->view);
			frame_read_end_wait(read, 0);
		}
	}
	frame_unref(&frame->base);
}

static void texture_frame_destroy(struct frame *base)
{
	struct texture_frame *frame = to_texture_frame(base);

	assert(list_is_empty(&frame->reads));
	fd_close(&frame->dmabuf.fd);
	list_remove(&frame->link);
	frame_unref(frame->shadow);
	free(frame);
}

static const struct frame_ops texture_frame_ops = {
	.begin_read = texture_begin_read,
	.end_read = texture_end_read,
	.start_read = texture_start_read,
	.stop_read = texture_stop_read,
	.get_dmabuf = texture_get_dmabuf,
	.destroy = texture_frame_destroy,
};

static struct texture_frame *to_texture_frame(struct frame *frame)
{
	assert(frame->ops == &texture_frame_ops);
	return container_of(frame, struct texture_frame, base);
}

/* Asks the library what the texture is in GL. */
static void describe(struct texture_frame *frame)
{
	struct virgl_renderer_resource_info info;

	if (library_of(frame->texture)->resource_get_info((int)frame->texture->info.id, &info) ==
		0) {
		frame->gl_name = info.tex_id;
		frame->upside_down = info.flags & RESOURCE_Y_0_TOP;
	}
	frame->can_be_read_aside = frame->gl_name && virgl_of(frame->texture)->reader;
	frame->dmabuf.fd = -1;
}

static struct frame *texture_get_frame(
	struct render_resource *base, const struct render_blob_layout *layout)
{
	struct virgl_texture *texture = to_texture(base);
	struct texture_frame *frame = calloc(1, sizeof(*frame));

	assert(!layout && texture->info.frame_format);
	if (!frame) {
		return NULL;
	}
	frame->shadow = frame_create_private(texture->info.width, texture->info.height,
		texture->info.frame_format, &frame->pixels, &frame->stride);
	if (!frame->shadow) {
		free(frame);
		errno = ENOMEM;
		return NULL;
	}
	frame_init(&frame->base, &texture_frame_ops, texture->info.width, texture->info.height,
		texture->info.frame_format);
	frame->texture = texture;
	list_init(&frame->reads);
	describe(frame);
	list_append(&texture->frames, &frame->link);
	return &frame->base;
}

static int texture_destroy(struct render_resource *base, uint64_t token)
{
	struct virgl_texture *texture = to_texture(base);

	list_for_each_safe(link, following, &texture->frames) {
		leave_texture(container_of(link, struct texture_frame, link));
	}
	virgl_resource_detach_backing(base, token);
	leave_contexts(library_of(texture), &texture->info);
	virgl_resource_unref(&texture->base);
	free(texture);
	return 0;
}

static const struct render_resource_ops texture_ops = {
	.attach_backing = virgl_resource_attach_backing,
	.detach_backing = virgl_resource_detach_backing,
	.transfer_to_host = render_no_transfer,
	.get_frame = texture_get_frame,
	.destroy = texture_destroy,
};

static struct virgl_texture *to_texture(struct render_resource *resource)
{
	assert(resource->ops == &texture_ops);
	return container_of(resource, struct virgl_texture, base.base);
}

int virgl_texture_create(struct renderer *renderer, const struct render_texture_info *info,
	struct render_resource **resource)
{
	struct virgl_device *device = virgl_device_of(renderer);
	struct virgl_renderer_resource_create_args args = {
		.handle = info->id,
		.target = info->target,
		.format = info->format,
		.bind = info->bind,
		.width = info->width,
		.height = info->height,
		.depth = info->depth,
		.array_size = info->array_size,
		.last_level = info->last_level,
		.nr_samples = info->nr_samples,
		.flags = info->flags,
	};
	struct virgl_texture *texture = calloc(1, sizeof(*texture));
	int error;

	if (!texture) {
		return -ENOMEM;
	}
	leave_contexts(&device->virgl->library, info);
	error = device->virgl->library.resource_create(&args, NULL, 0);
	if (error) {
		free(texture);
		return error == ENOMEM || error == -ENOMEM ? -ENOMEM : -EINVAL;
	}
	render_resource_init(&texture->base.base, &texture_ops, renderer);
	texture->base.device = device;
	texture->base.id = info->id;
	texture->info = *info;
	list_init(&texture->frames);
	*resource = &texture->base.base;
	return 0;
}

int virgl_texture_transfer(
	struct render_resource *resource, const struct render_transfer_3d *transfer)
{
	struct virgl_texture *texture = to_texture(resource);
	struct virgl_library *library = library_of(texture);
	struct virgl_box box = { transfer->box.x, transfer->box.y, transfer->box.z,
		transfer->box.width, transfer->box.height, transfer->box.depth };
	int error;

	if (!texture->base.mapping) {
		return -EINVAL;
	}
	if (!transfer->to_host &&
		virgl_getimage_is_used(&virgl_of(texture)->drawn, &texture->info)) {
		return virgl_getimage_read(
			library, &texture->info, texture->base.mapping, transfer);
	}
	if (transfer->to_host) {
		error = library->transfer_write_iov(texture->info.id, transfer->context_id,
			(int)transfer->level, transfer->stride, transfer->layer_stride, &box,
			transfer->offset, NULL, 0);
	} else {
		error = library->transfer_read_iov(texture->info.id, transfer->context_id,
			transfer->level, transfer->stride, transfer->layer_stride, &box,
			transfer->offset, NULL, 0);
	}
	return error ? -EINVAL : 0;
}

int virgl_texture_upload(
	struct render_resource *resource, const struct rect *rect, struct frame *frame)
{
	struct virgl_texture *texture = to_texture(resource);
	struct virgl_library *library = library_of(texture);
	struct virgl_box box = box_of(rect);
	struct frame_view view;
	struct iovec iov;
	int error = frame_begin_read(frame, rect, &view);

	if (error < 0) {
		return error;
	}
	iov = (struct iovec){
		.iov_base = (void *)view.pixels,
		.iov_len = view.stride * (rect->height - 1) +
			(size_t)rect->width * FRAME_PIXEL_SIZE,
	};
	library->force_ctx_0();
	error = library->transfer_write_iov(
		texture->info.id, 0, 0, (uint32_t)view.stride, 0, &box, 0, &iov, 1);
	frame_end_read(frame);
	return error ? -EIO : 0;
}
