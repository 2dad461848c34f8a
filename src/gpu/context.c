/* SPDX-License-Identifier: MIT */
#include "gpu/context.h"

#include <errno.h>
#include <stdlib.h>

#include "gpu/resource.h"
#include "gpu/sub_context.h"

/* An attachment, and its place in the renderer's own table. */
#define ATTACHMENT_COST (sizeof(struct gpu_attachment) + 64)

void gpu_context_table_init(struct gpu_context_table *table, struct gpu_limits *limits)
{
	*table = (struct gpu_context_table){ .limits = limits };
	list_init(&table->all);
}

struct gpu_context *gpu_context_find(struct gpu_context_table *table, uint32_t id)
{
	list_for_each(link, &table->all) {
		struct gpu_context *context = container_of(link, struct gpu_context, link);

		if (context->id == id) {
			list_remove(link);
			list_insert_after(&table->all, link);
			return context;
		}
	}
	return NULL;
}

/* The driver's bytes go to logs and terminals. */
static void copy_name(struct gpu_context *context, const char *name, uint32_t name_len)
{
	for (uint32_t i = 0; i < name_len && i < WIRE_CONTEXT_NAME_SIZE && name[i]; i++) {
		context->name[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
	}
}

struct gpu_context *gpu_context_create(struct gpu_context_table *table, uint32_t id,
	uint32_t capset, const char *name, uint32_t name_len)
{
	struct gpu_context *context;

	if (!gpu_limits_take(table->limits, GPU_CONTEXT_COST)) {
		errno = EDQUOT;
		return NULL;
	}
	context = calloc(1, sizeof(*context));
	if (!context) {
		gpu_limits_give(table->limits, GPU_CONTEXT_COST);
		errno = ENOMEM;
		return NULL;
	}
	context->id = id;
	context->capset = capset;
	copy_name(context, name, name_len);
	list_init(&context->sub_contexts);
	list_init(&context->attachments);
	list_init(&context->link);
	list_insert_after(&table->all, &context->link);
	table->count++;
	return context;
}

void gpu_context_destroy(struct gpu_context_table *table, struct gpu_context *context)
{
	struct list *link;

	render_context_destroy(context->render);
	while ((link = list_first(&context->attachments))) {
		gpu_attachment_destroy(
			table, container_of(link, struct gpu_attachment, in_context));
	}
	gpu_sub_contexts_drop(table, context);
	list_remove(&context->link);
	table->count--;
	free(context);
	gpu_limits_give(table->limits, GPU_CONTEXT_COST);
}

/* Few contexts share a resource, and a context may have thousands. */
struct gpu_attachment *gpu_attachment_find(
	const struct gpu_context *context, const struct gpu_resource *resource)
{
	list_for_each(link, &resource->attachments) {
		struct gpu_attachment *attachment = container_of(
			link, struct gpu_attachment, in_resource);

		if (attachment->context == context) {
			return attachment;
		}
	}
	return NULL;
}

bool gpu_attachment_create(
	struct gpu_context_table *table, struct gpu_context *context, struct gpu_resource *resource)
{
	struct gpu_attachment *attachment;

	if (!gpu_limits_take(table->limits, ATTACHMENT_COST)) {
		return false;
	}
	attachment = calloc(1, sizeof(*attachment));
	if (!attachment) {
		gpu_limits_give(table->limits, ATTACHMENT_COST);
		return false;
	}
	attachment->context = context;
	attachment->resource = resource;
	attachment->bytes = resource->charged;
	list_init(&attachment->in_context);
	list_init(&attachment->in_resource);
	list_append(&context->attachments, &attachment->in_context);
	list_append(&resource->attachments, &attachment->in_resource);
	context->resources++;
	context->resource_bytes += attachment->bytes;
	return true;
}

void gpu_attachment_destroy(struct gpu_context_table *table, struct gpu_attachment *attachment)
{
	attachment->context->resources--;
	attachment->context->resource_bytes -= attachment->bytes;
	list_remove(&attachment->in_context);
	list_remove(&attachment->in_resource);
	free(attachment);
	gpu_limits_give(table->limits, ATTACHMENT_COST);
}

void gpu_attachments_drop(struct gpu_context_table *table, struct gpu_resource *resource)
{
	struct list *link;

	while ((link = list_first(&resource->attachments))) {
		gpu_attachment_destroy(
			table, container_of(link, struct gpu_attachment, in_resource));
	}
}
