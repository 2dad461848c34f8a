/* SPDX-License-Identifier: MIT */
#ifndef RENDER_RENDER_H
#define RENDER_RENDER_H

/*
 * What draws: a renderer owns resources, moves pixels between guest memory and itself, and hands out
 * frames. The interface is data in, data out, so that a renderer can live in another process: backing
 * memory is a list of spans, and everything that such a process would delay returns RENDER_PENDING and
 * ends later with operation_done. A renderer in this process finishes at once.
 *
 * Numbers arrive checked by gpu/ (sizes, rectangles, formats); guest ids do not reach this room. One
 * thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rect.h"
#include "frame/frame.h"
#include "memory/memory.h"

struct renderer;
struct render_resource;

/* Returned by an operation that ends later with operation_done and its token. */
#define RENDER_PENDING 1

/* What a renderer tells its user. All entries must be present. */
struct render_listener_ops {
	/* An operation that returned RENDER_PENDING ended: 0 or -errno. Never called from within it. */
	void (*operation_done)(void *data, uint64_t token, int result);

	/* The renderer died. Pending operations were ended with -EIO before; what it owned is gone. */
	void (*lost)(void *data);
};

/* An image: CREATE_2D. */
struct render_image_info {
	uint32_t width; // pixels, not 0
	uint32_t height;
	uint32_t format; // DRM_FORMAT_*
};

/* Guest memory that is shown as it is: RESOURCE_CREATE_BLOB with BLOB_MEM_GUEST. */
struct render_blob_info {
	uint64_t size; // bytes, not 0
};

/* How a blob is to be read as an image: SET_SCANOUT_BLOB. It fits into the blob. */
struct render_blob_layout {
	uint32_t width;
	uint32_t height;
	uint32_t format; // DRM_FORMAT_*
	uint32_t stride; // bytes, at least width * 4
	uint64_t offset; // bytes from the blob's start
};

/* TRANSFER_TO_HOST_2D: backing, from `offset` on with the image's own stride, to the rectangle. */
struct render_transfer {
	struct rect rect; // within the image
	uint64_t offset; // bytes
};

void renderer_destroy(struct renderer *renderer); // all resources must be gone; NULL is fine

/*
 * Creators return 0 and *resource, or -ENOMEM; the resource can be used at once, also when it is made
 * in another process. Fresh resources are all zero.
 */
int render_create_image(struct renderer *renderer, const struct render_image_info *info,
	struct render_resource **resource);
int render_create_blob(struct renderer *renderer, const struct render_blob_info *info,
	struct render_resource **resource);

/*
 * Lets go of backing and frames it still holds. 0 or RENDER_PENDING: the guest's pages are in use until
 * then. The pointer is void at once.
 */
int render_resource_destroy(struct render_resource *resource, uint64_t token);

/*
 * Gives the resource its guest memory; it must have none. spans are borrowed. 0, RENDER_PENDING, or
 * -ENOMEM, -EFAULT.
 */
int render_attach_backing(struct render_resource *resource, const struct memory_span *spans,
	size_t count, uint64_t token);

/* Takes the guest memory away: 0 or RENDER_PENDING, as render_resource_destroy. */
int render_detach_backing(struct render_resource *resource, uint64_t token);

/*
 * Copies from backing into the image. 0, RENDER_PENDING, -EINVAL when the backing is too short for it
 * or absent, -ENOTSUP for a blob.
 */
int render_transfer_to_host(
	struct render_resource *resource, const struct render_transfer *transfer, uint64_t token);

/*
 * A frame that shows the resource now and later. Returns a new reference, or NULL with errno. An image
 * takes no layout (NULL); a blob needs one, and its frame is refreshed from guest memory when it is
 * read.
 */
struct frame *render_get_frame(
	struct render_resource *resource, const struct render_blob_layout *layout);

#endif
