/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/log.h"
#include "display/vmm/vmm_impl.h"

/*
 * How this works
 *
 * A frame that has a dma-buf is shown by DMABUF_SCANOUT2, whose descriptor is a copy, and each flush is
 * a DMABUF_UPDATE, a small message without pixels. The viewer replies when it has drawn, and only then
 * the flush is done: that keeps the viewer's pace, as the full socket does for pixels. Replies come in
 * order and name nothing, so each message on its way has a vmm_drawing, also when nobody waits for it
 * any more.
 */

#define APPEND_MAX (VMM_OUTBOX_COPY_MAX + VMM_OUTBOX_RESERVE)

bool vmm_has_dmabuf(
	const struct vmm_display *display, struct frame *frame, struct frame_dmabuf *dmabuf)
{
	return display->features >> VMM_PROTOCOL_F_DMABUF2 & 1 && frame &&
		frame_get_dmabuf(frame, dmabuf) == 0;
}

static bool append(struct vmm_display *display, const struct vmm_dmabuf_scanout *scanout, int fd)
{
	bool queued = vmm_outbox_append_fd(
		&display->outbox, VMM_DMABUF_SCANOUT2, scanout, sizeof(*scanout), APPEND_MAX, fd);

	if (queued) {
		loop_deferred_schedule(display->turn_end);
	}
	return queued;
}

bool vmm_send_dmabuf(struct vmm_display *display, uint32_t index, const struct frame_dmabuf *dmabuf)
{
	const struct vmm_output *output = &display->outputs[index];
	const struct vmm_dmabuf_scanout scanout = {
		.output = index,
		.x = output->part.x,
		.y = output->part.y,
		.width = output->part.width,
		.height = output->part.height,
		.fd_width = output->frame->width,
		.fd_height = output->frame->height,
		.fd_stride = dmabuf->stride,
		.fd_flags = dmabuf->upside_down ? VMM_DMABUF_Y_0_TOP : 0,
		.fd_format = (int32_t)dmabuf->format,
		.fd_modifier = dmabuf->modifier,
	};
	int fd = fcntl(dmabuf->fd, F_DUPFD_CLOEXEC, 0);

	return fd >= 0 && append(display, &scanout, fd);
}

bool vmm_send_no_dmabuf(struct vmm_display *display, uint32_t index)
{
	const struct vmm_dmabuf_scanout scanout = { .output = index };

	return append(display, &scanout, -1);
}

int vmm_send_drawing(struct vmm_display *display, uint32_t index, const struct rect *rect,
	struct vmm_pending *pending)
{
	const struct vmm_update update = { index, rect->x, rect->y, rect->width, rect->height };
	struct vmm_output *output = &display->outputs[index];
	struct vmm_drawing *drawing = calloc(1, sizeof(*drawing));
	struct frame_dmabuf dmabuf;

	frame_get_dmabuf(output->frame, &dmabuf); // what was drawn goes to the GPU
	if (!drawing ||
		!vmm_outbox_append(
			&display->outbox, VMM_DMABUF_UPDATE, &update, sizeof(update), APPEND_MAX)) {
		free(drawing);
		free(pending);
		output->damage = *rect;
		return 0;
	}
	drawing->output = index;
	drawing->since_ns = loop_now_ns();
	drawing->pending = pending;
	list_append(&display->drawings, &drawing->link);
	display->stats.dmabuf_updates++;
	loop_deferred_schedule(display->turn_end);
	return pending ? DISPLAY_PENDING : 0;
}

static struct vmm_drawing *to_drawing(struct list *link)
{
	return container_of(link, struct vmm_drawing, link);
}

static void release(struct vmm_display *display, struct vmm_drawing *drawing)
{
	vmm_end_pending(display, drawing->pending);
	drawing->pending = NULL;
}

void vmm_end_drawing(struct vmm_display *display)
{
	struct list *link = list_first(&display->drawings);

	assert(link);
	list_remove(link);
	release(display, to_drawing(link));
	free(to_drawing(link));
	loop_deferred_schedule(display->turn_end);
}

void vmm_release_drawings(struct vmm_display *display, uint32_t output)
{
	list_for_each(link, &display->drawings) {
		if (to_drawing(link)->output == output) {
			release(display, to_drawing(link));
		}
	}
}

void vmm_release_all_drawings(struct vmm_display *display)
{
	list_for_each(link, &display->drawings) {
		release(display, to_drawing(link));
	}
}

void vmm_drop_drawings(struct vmm_display *display)
{
	while (!list_is_empty(&display->drawings)) {
		vmm_end_drawing(display);
	}
}

uint64_t vmm_drawing_age(const struct vmm_display *display)
{
	struct list *first = list_first(&display->drawings);

	return first ? loop_now_ns() - to_drawing(first)->since_ns : 0;
}
