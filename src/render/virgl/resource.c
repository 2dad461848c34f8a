/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>

#include "render/virgl/virgl_impl.h"

/* What textures and blobs have in common: a number in the library, and guest memory. */

struct virgl_library *virgl_library_of(const struct virgl_resource *resource)
{
	return &resource->device->virgl->library;
}

uint32_t virgl_resource_id(struct render_resource *resource)
{
	return container_of(resource, struct virgl_resource, base)->id;
}

int virgl_resource_attach_backing(
	struct render_resource *base, const struct memory_span *spans, size_t count, uint64_t token)
{
	struct virgl_resource *resource = container_of(base, struct virgl_resource, base);

	(void)token;
	assert(!resource->mapping);
	resource->mapping = memory_map(resource->device->memory, spans, count, MEMORY_READ_WRITE);
	if (!resource->mapping) {
		return -errno;
	}
	if (virgl_library_of(resource)->resource_attach_iov(
		    (int)resource->id, resource->mapping->iov, (int)resource->mapping->iov_count)) {
		memory_mapping_unref(resource->mapping);
		resource->mapping = NULL;
		return -EINVAL;
	}
	return 0;
}

int virgl_resource_detach_backing(struct render_resource *base, uint64_t token)
{
	struct virgl_resource *resource = container_of(base, struct virgl_resource, base);
	struct iovec *iov;
	int count;

	(void)token;
	if (resource->mapping) {
		virgl_library_of(resource)->resource_detach_iov((int)resource->id, &iov, &count);
		memory_mapping_unref(resource->mapping);
		resource->mapping = NULL;
	}
	return 0;
}
