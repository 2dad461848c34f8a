/* SPDX-License-Identifier: MIT */
#include "bench/gl_target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of `renderer` in VirGL's second capset (virgl_hw.h); it has been there since virglrenderer 0.8. */
#define RENDERER_OFFSET 696

uint32_t gl_resource_stride(const struct gl_resource *resource)
{
	return resource->target == 0 ? 0 : resource->width * 4;
}

size_t gl_resource_size(const struct gl_resource *resource)
{
	return (size_t)resource->width * resource->height * (resource->target == 0 ? 1 : 4);
}

int gl_target_do(struct gl_target *target, const struct gl_operation *operation)
{
	target->ops->prepare(target, operation);
	int error = target->ops->begin(target);

	if (error < 0) {
		return error;
	}
	target->ops->flush(target);
	int ended = target->ops->wait(target, false);

	return ended < 0 ? ended : 0;
}

int gl_target_complain(const struct gl_target *target, const char *what, int error)
{
	fprintf(stderr, "virtio-gpu-bench: %s: %s: %s\n", target->name, what, strerror(-error));
	return error;
}

void gl_target_read_renderer(struct gl_target *target, const void *capset, size_t size)
{
	target->renderer[0] = '\0';
	if (size >= RENDERER_OFFSET + GL_TARGET_RENDERER_SIZE) {
		memcpy(target->renderer, (const char *)capset + RENDERER_OFFSET,
			GL_TARGET_RENDERER_SIZE);
		target->renderer[GL_TARGET_RENDERER_SIZE] = '\0';
	}
}
