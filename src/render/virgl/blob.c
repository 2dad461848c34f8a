/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/magic.h>
#include <linux/virtio_gpu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "frame/frame_impl.h"
#include "render/virgl/virgl_impl.h"

/*
 * How this works
 *
 * A blob is memory of a Vulkan driver, or plain shared memory, that a render process exported as a file. The
 * library keeps that file; a copy of it goes to whoever maps the blob. The file must not be able to shrink:
 * a reader of what was cut off is ended by the kernel. A dma-buf cannot; anonymous memory is sealed, by the
 * library or by our layer (vulkan_layer/), or it is not taken.
 *
 * A frame of a blob maps the file, and copies just the rectangle that is asked for into a shadow: what is
 * shown does not change under a display's hands, and outlives the blob.
 */

struct virgl_blob {
	struct virgl_resource base;
	struct render_host_blob_info info;
};

struct blob_frame {
	struct frame base;
	struct render_blob_layout layout;
	struct render_export file; // kept open
	uint8_t *mapping; // of the whole file
	size_t mapping_size;
	struct frame *shadow;
	uint8_t *pixels; // of shadow
	size_t stride;
};

static struct blob_frame *to_blob_frame(struct frame *frame);

static struct virgl_blob *to_blob(struct render_resource *resource);

/* Is it a dma-buf (1), sealed memory (0), or what may shrink (-EINVAL)? */
static int kind_of_file(int fd)
{
	struct statfs system;
	int seals;

	if (fstatfs(fd, &system) == 0 && system.f_type == DMA_BUF_MAGIC) {
		return 1;
	}
	seals = fcntl(fd, F_GET_SEALS);
	return seals >= 0 && seals & F_SEAL_SHRINK ? 0 : -EINVAL;
}

static int check_file(const struct virgl_blob *blob, struct render_export *export)
{
	static struct log_limit limit = LOG_LIMIT_INIT;
	int kind = kind_of_file(export->fd);
	off_t size = lseek(export->fd, 0, SEEK_END);

	if (kind < 0 || size < 0 || (uint64_t)size < blob->info.size) {
		log_limited(&limit, LOG_ERROR, "resource %u: the render server's file for it %s",
			blob->base.id, kind < 0 ? "could be cut off" : "is too short");
		return -EIO;
	}
	export->is_dmabuf = kind == 1;
	return 0;
}

int virgl_blob_export(struct render_resource *resource, struct render_export *export)
{
	struct virgl_blob *blob = to_blob(resource);
	struct virgl_library *library = virgl_library_of(&blob->base);
	uint32_t type = 0;
	int error;

	*export = (struct render_export){ .fd = -1 };
	error = library->resource_get_map_info(blob->base.id, &export->map_info);
	error = error ? error : library->resource_export_blob(blob->base.id, &type, &export->fd);
	if (error) {
		return -ENOTSUP;
	}
	if (type != VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF && type != VIRGL_RENDERER_BLOB_FD_TYPE_SHM) {
		error = -ENOTSUP; // an opaque file: only a Vulkan driver can do something with it
	} else {
		export->map_info &= VIRTIO_GPU_MAP_CACHE_MASK;
		error = check_file(blob, export);
	}
	if (error < 0) {
		fd_close(&export->fd);
	}
	return error;
}

/* What the GPU wrote is in the memory, and not in a cache of its, between the two. */
static void sync_dmabuf(const struct blob_frame *frame, uint64_t which)
{
	const struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_READ | which };

	if (frame->file.is_dmabuf) {
		ioctl(frame->file.fd, DMA_BUF_IOCTL_SYNC, &sync);
	}
}

static int blob_begin_read(struct frame *base, const struct rect *rect, struct frame_view *view)
{
	struct blob_frame *frame = to_blob_frame(base);
	const struct render_blob_layout *layout = &frame->layout;
	size_t x = (size_t)rect->x * FRAME_PIXEL_SIZE;

	sync_dmabuf(frame, DMA_BUF_SYNC_START);
	for (size_t y = rect->y; y < (size_t)rect->y + rect->height; y++) {
		memcpy(frame->pixels + y * frame->stride + x,
			frame->mapping + layout->offset + y * layout->stride + x,
			(size_t)rect->width * FRAME_PIXEL_SIZE);
	}
	sync_dmabuf(frame, DMA_BUF_SYNC_END);
	return frame_begin_read(frame->shadow, rect, view);
}

static void blob_end_read(struct frame *base)
{
	frame_end_read(to_blob_frame(base)->shadow);
}

/* The wire to a VMM has no offset (docs/interop/vhost-user-gpu.rst, VHOST_USER_GPU_DMABUF_SCANOUT2). */
static int blob_get_dmabuf(struct frame *base, struct frame_dmabuf *dmabuf)
{
	const struct blob_frame *frame = to_blob_frame(base);

	if (!frame->file.is_dmabuf || frame->layout.offset != 0) {
		return -ENOTSUP;
	}
	*dmabuf = (struct frame_dmabuf){
		.fd = frame->file.fd,
		.stride = frame->layout.stride,
		.format = frame->layout.format,
		.modifier = 0, // DRM_FORMAT_MOD_LINEAR: the guest's layout is rows
	};
	return 0;
}

static void blob_frame_destroy(struct frame *base)
{
	struct blob_frame *frame = to_blob_frame(base);

	munmap(frame->mapping, frame->mapping_size);
	fd_close(&frame->file.fd);
	frame_unref(frame->shadow);
	free(frame);
}

static const struct frame_ops blob_frame_ops = {
	.begin_read = blob_begin_read,
	.end_read = blob_end_read,
	.start_read = frame_start_at_once,
	.stop_read = frame_stop_at_once,
	.get_dmabuf = blob_get_dmabuf,
	.destroy = blob_frame_destroy,
};

static struct blob_frame *to_blob_frame(struct frame *frame)
{
	assert(frame->ops == &blob_frame_ops);
	return container_of(frame, struct blob_frame, base);
}

/* Returns 0 or -errno. */
static int open_frame(struct blob_frame *frame, struct virgl_blob *blob)
{
	int error = virgl_blob_export(&blob->base.base, &frame->file);
	void *mapping;

	if (error < 0) {
		return error;
	}
	frame->mapping_size = (size_t)blob->info.size;
	mapping = mmap(NULL, frame->mapping_size, PROT_READ, MAP_SHARED, frame->file.fd, 0);
	if (mapping == MAP_FAILED) {
		error = -errno;
		fd_close(&frame->file.fd);
		return error;
	}
	frame->mapping = mapping;
	return 0;
}

static struct frame *blob_get_frame(
	struct render_resource *base, const struct render_blob_layout *layout)
{
	struct blob_frame *frame = calloc(1, sizeof(*frame));
	int error = frame ? open_frame(frame, to_blob(base)) : -ENOMEM;

	if (error < 0) {
		free(frame);
		errno = -error;
		return NULL;
	}
	frame_init(&frame->base, &blob_frame_ops, layout->width, layout->height, layout->format);
	frame->layout = *layout;
	frame->shadow = frame_create_private(
		layout->width, layout->height, layout->format, &frame->pixels, &frame->stride);
	if (!frame->shadow) {
		blob_frame_destroy(&frame->base);
		errno = ENOMEM;
		return NULL;
	}
	return &frame->base;
}

static int blob_destroy(struct render_resource *base, uint64_t token)
{
	struct virgl_blob *blob = to_blob(base);

	virgl_resource_detach_backing(base, token);
	virgl_resource_unref(&blob->base);
	free(blob);
	return 0;
}

static const struct render_resource_ops blob_ops = {
	.attach_backing = virgl_resource_attach_backing,
	.detach_backing = virgl_resource_detach_backing,
	.transfer_to_host = render_no_transfer,
	.get_frame = blob_get_frame,
	.destroy = blob_destroy,
};

static struct virgl_blob *to_blob(struct render_resource *resource)
{
	assert(resource->ops == &blob_ops);
	return container_of(resource, struct virgl_blob, base.base);
}

static int create_in_process(
	struct virgl_context *context, const struct virgl_renderer_resource_create_blob_args *args)
{
	int error;

	if (context->lost) {
		return -EIO;
	}
	virgl_context_begin_call(context);
	error = context->device->virgl->library.resource_create_blob(args);
	virgl_context_end_call(context);
	return error ? -EINVAL : 0;
}

/*
 * What the resource keeps alive, of which the guest may have made a blob as small as it likes. A file of a Vulkan
 * driver's own may not tell; where Vulkan memory has a limit, such a blob would be a way around it.
 */
static int find_size(
	struct virgl_context *context, const struct render_host_blob_info *info, uint64_t *held)
{
	const struct virgl *virgl = context->device->virgl;
	uint32_t type;
	off_t end = -1;
	int fd = -1;

	if (virgl->library.resource_export_blob(info->id, &type, &fd) == 0) {
		end = lseek(fd, 0, SEEK_END);
		fd_close(&fd);
	}
	if (end < 0 && virgl_server_has_limit(virgl->server)) {
		log_debug("resource %u: the size of its memory is not known", info->id);
		return -ENOTSUP;
	}
	*held = end > 0 && (uint64_t)end > info->size ? (uint64_t)end : info->size;
	return 0;
}

/*
 * VirGL has blobs too, but as GL's own memory, which no driver that was met can export as a file; so contexts
 * of VirGL have none. The memory of BLOB_MEM_HOST3D_GUEST is the host's; the guest's comes as its backing.
 */
int virgl_blob_create(struct render_context *base, const struct render_host_blob_info *info,
	uint64_t *held, struct render_resource **resource)
{
	struct virgl_context *context = virgl_context_of(base);
	struct virgl_blob *blob;
	int error;
	const struct virgl_renderer_resource_create_blob_args args = {
		.res_handle = info->id,
		.ctx_id = context->id,
		.blob_mem = VIRGL_RENDERER_BLOB_MEM_HOST3D,
		.blob_flags = info->flags,
		.blob_id = info->blob_id,
		.size = info->size,
	};

	if (!virgl_context_is_venus(context)) {
		return -ENOTSUP;
	}
	blob = calloc(1, sizeof(*blob));
	if (!blob) {
		return -ENOMEM;
	}
	error = create_in_process(context, &args);
	if (error == 0) {
		error = find_size(context, info, held);
		if (error < 0) {
			context->device->virgl->library.resource_unref(info->id);
		}
	}
	if (error < 0) {
		free(blob);
		return error;
	}
	render_resource_init(&blob->base.base, &blob_ops, base->renderer);
	blob->base.device = context->device;
	blob->base.id = info->id;
	blob->info = *info;
	*resource = &blob->base.base;
	return 0;
}
