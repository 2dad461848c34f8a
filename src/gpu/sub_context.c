/* SPDX-License-Identifier: MIT */
#include "gpu/sub_context.h"

#include <errno.h>
#include <stdlib.h>

/*
 * How this works
 *
 * A context keeps the numbers of those that it may have; the renderer has no others. What a stream makes is
 * added before it runs. What it ends is taken away when all of it has run: of a stream that failed on the
 * way nobody knows how far it came, so then it counts until the context goes.
 */

struct gpu_sub_context {
	struct list link; // gpu_context.sub_contexts
	uint32_t id; // the guest's; not 0, which is the first and goes with the context
	bool ends; // by the stream that is to run
};

static struct gpu_sub_context *find(const struct gpu_context *context, uint32_t id)
{
	list_for_each(link, &context->sub_contexts) {
		struct gpu_sub_context *sub = container_of(link, struct gpu_sub_context, link);

		if (sub->id == id) {
			return sub;
		}
	}
	return NULL;
}

static void remove_one(
	struct gpu_context_table *table, struct gpu_context *context, struct gpu_sub_context *sub)
{
	list_remove(&sub->link);
	free(sub);
	context->sub_context_count--;
	gpu_limits_give(table->limits, GPU_CONTEXT_COST);
}

/* As the first of the list. */
static int add_one(struct gpu_context_table *table, struct gpu_context *context, uint32_t id)
{
	struct gpu_sub_context *sub;

	if (!gpu_limits_take(table->limits, GPU_CONTEXT_COST)) {
		return -EDQUOT;
	}
	sub = calloc(1, sizeof(*sub));
	if (!sub) {
		gpu_limits_give(table->limits, GPU_CONTEXT_COST);
		return -ENOMEM;
	}
	sub->id = id;
	list_init(&sub->link);
	list_insert_after(&context->sub_contexts, &sub->link);
	context->sub_context_count++;
	return 0;
}

static void remove_first(
	struct gpu_context_table *table, struct gpu_context *context, uint32_t count)
{
	while (count-- > 0) {
		remove_one(table, context,
			container_of(
				list_first(&context->sub_contexts), struct gpu_sub_context, link));
	}
}

int gpu_sub_contexts_note(struct gpu_context_table *table, struct gpu_context *context,
	const struct gpu_stream_command *command, struct gpu_sub_context_changes *changes)
{
	bool makes = command->number == GPU_STREAM_CREATE_SUB_CONTEXT;
	/* With other lengths renderers refuse it. */
	uint32_t id = command->count == 1 ? gpu_stream_argument(command, 0) : 0;
	struct gpu_sub_context *sub = id ? find(context, id) : NULL;
	int error = 0;

	if (sub) {
		sub->ends = !makes;
		changes->ends = changes->ends || sub->ends;
	} else if (id && makes) {
		error = add_one(table, context, id);
		changes->added += error == 0;
	}
	return error;
}

void gpu_sub_contexts_settle(struct gpu_context_table *table, struct gpu_context *context,
	const struct gpu_sub_context_changes *changes, enum gpu_stream_outcome outcome)
{
	if (outcome == GPU_STREAM_REFUSED) {
		remove_first(table, context, changes->added);
	}
	if (!changes->ends) {
		return;
	}
	list_for_each_safe(link, following, &context->sub_contexts) {
		struct gpu_sub_context *sub = container_of(link, struct gpu_sub_context, link);

		if (sub->ends && outcome == GPU_STREAM_RAN) {
			remove_one(table, context, sub);
		} else {
			sub->ends = false;
		}
	}
}

void gpu_sub_contexts_drop(struct gpu_context_table *table, struct gpu_context *context)
{
	remove_first(table, context, context->sub_context_count);
}
