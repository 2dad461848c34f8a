/* SPDX-License-Identifier: MIT */
#include "gpu/context.h"

#include <stdlib.h>

void gpu_context_table_init(struct gpu_context_table *table)
{
	list_init(&table->all);
	table->count = 0;
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

struct gpu_context *gpu_context_create(struct gpu_context_table *table, uint32_t id)
{
	struct gpu_context *context = calloc(1, sizeof(*context));

	if (context) {
		context->id = id;
		list_init(&context->link);
		list_insert_after(&table->all, &context->link);
		table->count++;
	}
	return context;
}

void gpu_context_destroy(struct gpu_context_table *table, struct gpu_context *context)
{
	render_context_destroy(context->render);
	list_remove(&context->link);
	table->count--;
	free(context);
}
