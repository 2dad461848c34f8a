/* SPDX-License-Identifier: MIT */
#include "display/vmm/flush.h"

#include <drm_fourcc.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define START_SIZE sizeof(struct vmm_update_start)

static struct log_limit read_errors = LOG_LIMIT_INIT;

static uint64_t pixels_size(const struct rect *rect)
{
	return (uint64_t)rect->width * rect->height * FRAME_PIXEL_SIZE;
}

struct vmm_update_start vmm_update_start(uint32_t output, const struct rect *rect)
{
	return (struct vmm_update_start){
		.header = {
			.request = VMM_UPDATE,
			.size = (uint32_t)(sizeof(struct vmm_update) + pixels_size(rect)),
		},
		.update = {
			.output = output,
			.x = rect->x,
			.y = rect->y,
			.width = rect->width,
			.height = rect->height,
		},
	};
}

struct vmm_flush *vmm_flush_create(
	uint32_t output, struct frame *frame, const struct rect *part, const struct rect *rect)
{
	struct vmm_flush *flush = calloc(1, sizeof(*flush));

	if (!flush) {
		return NULL;
	}
	list_init(&flush->link);
	flush->frame = frame_ref(frame);
	flush->rect = (struct rect){
		.x = part->x + rect->x,
		.y = part->y + rect->y,
		.width = rect->width,
		.height = rect->height,
	};
	flush->start = vmm_update_start(output, rect);
	flush->size = START_SIZE + pixels_size(rect);
	return flush;
}

void vmm_flush_destroy(struct vmm_flush *flush)
{
	assert(!flush->pending);
	frame_read_stop(&flush->read);
	frame_unref(flush->frame);
	list_remove(&flush->link);
	free(flush);
}

void vmm_flush_log_error(const struct vmm_flush *flush, int error)
{
	log_limited(&read_errors, LOG_WARN, "output %u: cannot read its pixels: %s",
		flush->start.update.output, strerror(-error));
}

int vmm_flush_begin(struct vmm_flush *flush)
{
	int result = 0;

	if (!flush->read.frame) {
		result = frame_read_start(&flush->read, flush->frame, &flush->rect);
	}
	if (result < 0) {
		vmm_flush_log_error(flush, result);
	}
	return result;
}

/* The pixels from this one on that fit into a stripe: whole rows, or a piece of one. */
static struct rect next_stripe(const struct rect *rect, uint64_t pixel)
{
	const uint32_t most = VMM_STRIPE_SIZE / FRAME_PIXEL_SIZE;
	uint32_t column = (uint32_t)(pixel % rect->width);
	uint32_t row = (uint32_t)(pixel / rect->width);
	uint32_t width = rect->width - column;
	uint32_t rows = 1;

	if (column == 0 && width <= most) {
		rows = most / width;
		rows = rows < rect->height - row ? rows : rect->height - row;
	}
	return (struct rect){
		.x = rect->x + column,
		.y = rect->y + row,
		.width = width < most ? width : most,
		.height = rows,
	};
}

/* The size has been promised: pixels that cannot be converted (no memory) are sent black. */
static void convert_stripe(struct vmm_flush *flush, struct vmm_stripe *stripe)
{
	const struct frame_view *all = &flush->read.view;
	struct rect rect = next_stripe(&flush->rect, stripe->end / FRAME_PIXEL_SIZE);
	const struct frame_view part = {
		.pixels = all->pixels + (rect.y - flush->rect.y) * all->stride +
			(size_t)(rect.x - flush->rect.x) * FRAME_PIXEL_SIZE,
		.stride = all->stride,
	};
	size_t size = (size_t)pixels_size(&rect);

	if (frame_convert_view(flush->frame->format, &part, rect.width, rect.height,
		    DRM_FORMAT_XRGB8888, stripe->bytes,
		    (size_t)rect.width * FRAME_PIXEL_SIZE) < 0) {
		memset(stripe->bytes, 0, size);
	}
	stripe->start = stripe->end;
	stripe->end += size;
}

static size_t smaller(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

static size_t fill_converted(struct vmm_flush *flush, struct vmm_stripe *stripe, uint64_t position,
	struct iovec *iov, size_t max)
{
	if (position == 0) {
		stripe->end = 0;
	}
	if (position == stripe->end) {
		convert_stripe(flush, stripe);
	}
	iov->iov_base = stripe->bytes + (position - stripe->start);
	iov->iov_len = smaller(stripe->end - position, max);
	return 1;
}

/* sendmsg does not write through its pointers, but they are not const. */
static struct iovec piece(const uint8_t *bytes, size_t size)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
}

static size_t fill_rows(
	struct vmm_flush *flush, uint64_t position, struct iovec *iov, size_t count, size_t max)
{
	const struct frame_view *view = &flush->read.view;
	size_t row_size = (size_t)flush->rect.width * FRAME_PIXEL_SIZE;
	uint64_t left = flush->size - START_SIZE - position;
	size_t filled = 0;

	if (view->stride == row_size) {
		iov[0] = piece(view->pixels + position, smaller(left, max));
		return 1;
	}
	while (filled < count && left > 0 && max > 0) {
		size_t column = (size_t)(position % row_size);
		size_t size = smaller(row_size - column, max);

		iov[filled++] = piece(
			view->pixels + position / row_size * view->stride + column, size);
		position += size;
		left -= size;
		max -= size;
	}
	return filled;
}

size_t vmm_flush_fill(struct vmm_flush *flush, struct vmm_stripe *stripe, struct iovec *iov,
	size_t count, size_t max)
{
	uint64_t position = 0; // in the pixels
	size_t filled = 0;

	assert(flush->read.frame && !flush->read.pending);
	if (flush->sent < START_SIZE) {
		iov[filled++] = piece((const uint8_t *)&flush->start + flush->sent,
			START_SIZE - (size_t)flush->sent);
	} else {
		position = flush->sent - START_SIZE;
	}
	if (filled == count) {
		return filled;
	}
	if (frame_format_is_xrgb(flush->frame->format)) {
		return filled + fill_rows(flush, position, iov + filled, count - filled, max);
	}
	return filled + fill_converted(flush, stripe, position, iov + filled, max);
}
