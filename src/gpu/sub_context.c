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

/* Steps to the next command that makes or ends one. With other lengths renderers refuse it. */
static bool next(struct gpu_stream *stream, bool *makes, uint32_t *id)
{
	struct gpu_stream_command command;

	while (gpu_stream_next(stream, &command)) {
		*makes = command.number == GPU_STREAM_CREATE_SUB_CONTEXT;
		if ((*makes || command.number == GPU_STREAM_DESTROY_SUB_CONTEXT) &&
			command.count == 1) {
			*id = gpu_stream_argument(&command, 0);
			if (*id != 0) {
				return true;
			}
		}
	}
	return false;
}

static int note(struct gpu_context_table *table, struct gpu_context *context, bool makes,
	uint32_t id, uint32_t *added)
{
	struct gpu_sub_context *sub = find(context, id);

	if (sub) {
		sub->ends = !makes;
	} else if (makes) {
		int error = add_one(table, context, id);

		*added += error == 0;
		return error;
	}
	return 0;
}

int gpu_sub_contexts_begin(struct gpu_context_table *table, struct gpu_context *context,
	struct gpu_stream stream, bool *ends)
{
	uint32_t added = 0, id;
	bool makes;

	*ends = false;
	while (next(&stream, &makes, &id)) {
		int error = note(table, context, makes, id, &added);

		if (error < 0) {
			remove_first(table, context, added);
			gpu_sub_contexts_end(table, context, false);
			return error;
		}
		*ends = *ends || !makes;
	}
	return 0;
}

void gpu_sub_contexts_end(struct gpu_context_table *table, struct gpu_context *context, bool ran)
{
	list_for_each_safe(link, following, &context->sub_contexts) {
		struct gpu_sub_context *sub = container_of(link, struct gpu_sub_context, link);

		if (sub->ends && ran) {
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
