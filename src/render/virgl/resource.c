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

/*
 * The library tells the process of each context that has it, and would wait without a limit for one that reads
 * nothing. So each is told before, and guarded.
 */
void virgl_resource_unref(struct virgl_resource *resource)
{
	list_for_each(link, &resource->device->contexts) {
		struct virgl_context *context = container_of(link, struct virgl_context, link);

		if (virgl_context_is_venus(context)) {
			virgl_context_detach(&context->base, &resource->base);
		}
	}
	virgl_library_of(resource)->resource_unref(resource->id);
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
