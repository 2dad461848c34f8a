/* SPDX-License-Identifier: MIT */
#include "display/vmm/vmm.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "display/vmm/vmm_impl.h"

/*
 * How this works
 *
 * Calls from the device queue messages in the outbox. At the end of the loop's turn vmm_pump writes
 * them, so a batch of small ones is one sendmsg. A small update is a copy of its pixels, and done at
 * once. A large one is a vmm_flush: its pixels are read when the socket takes them, and it is done with
 * its last byte, so the guest keeps the viewer's pace. Pixels in a GPU are read at once, whatever their
 * number, as that takes its time: until they are there the flush waits beside the outbox.
 *
 * A viewer that stops reading must not stop the guest. When the socket takes no byte for STALL_MS, the
 * display is stalled: all flushes are done, and what is not on the wire becomes damage, one rectangle an
 * output. New flushes add to it and are done at once; sizes and cursors are remembered. The message that
 * is partly on the wire stays, and with it at most one frame: its size has been promised. Once all is
 * out, the newest sizes, pixels and cursors go, and work is normal again.
 *
 * What waits is bounded: copies by VMM_OUTBOX_COPY_MAX (over it, updates are not copied, and cursors are
 * due until there is room), flushes by VMM_OUTBOX_FLUSH_MAX (over it, the display is stalled), frames by
 * one an output and one on the wire.
 *
 * A frame of the size that the viewer knows needs no SCANOUT. So a page flip costs what has changed, and
 * QEMU does not start with a black picture each time. What was queued of the former frame, and is left
 * out, is sent with the next flush.
 *
 * Frames of a GPU that can be shown without a copy go as their buffers, if the VMM offers DMABUF2 and
 * whoever started us says that its display can (the protocol cannot): dmabuf.c. DMABUF_SCANOUT is not
 * sent: without a modifier it is a guess.
 *
 * Listeners are called from the loop's callbacks only (and from vmm_destroy), by vmm_settle or when a
 * reply comes. `lost` is the last thing that a callback does, so it may destroy the display.
 */

/*
 * Enough that the viewer has something to read while this process wakes, and little enough that what it
 * reads is still in the cache: of a plain socketpair's rate, full screens of 1920x1080 and 3840x2160 got
 * 0.92 and 0.85 so, 0.88 and 0.88 with 256 KiB, 0.65 and 0.8 with 512 KiB and more (2 cores, 4 MiB of
 * second-level cache). The kernel counts it twice, and clamps it to net.core.wmem_max.
 */
#define SEND_BUFFER (192 << 10)

static struct vmm_display *to_vmm(struct display *display);

static void release_output(struct vmm_output *output)
{
	frame_unref(output->frame);
	frame_unref(output->cursor);
	*output = (struct vmm_output){ 0 };
}

static void drop_list(struct vmm_display *display, struct list *flushes)
{
	list_for_each_safe(link, next, flushes) {
		struct vmm_flush *flush = container_of(link, struct vmm_flush, link);

		vmm_outbox_remove_flush(&display->outbox, flush);
		vmm_end_flush(display, flush);
	}
}

static void drop_outbox(struct vmm_display *display)
{
	drop_list(display, &display->outbox.waiting);
	drop_list(display, &display->outbox.flushes);
	vmm_outbox_clear_bytes(&display->outbox);
}

void vmm_hang_up(struct vmm_display *display)
{
	if (display->socket < 0) {
		return;
	}
	loop_remove_fd(display->source);
	display->source = NULL;
	fd_close(&display->socket);
	display->blocked = false;
	drop_outbox(display);
	vmm_drop_drawings(display);
	vmm_end_queries(display);
	for (uint32_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		release_output(&display->outputs[i]);
	}
	loop_deferred_schedule(display->turn_end);
}

static void tell_flushes(struct vmm_display *display)
{
	const struct display *base = &display->base;
	struct list *link;

	while ((link = list_first(&display->ended))) {
		struct vmm_pending *pending = container_of(link, struct vmm_pending, link);
		uint64_t token = pending->token;

		list_remove(link);
		free(pending);
		base->listener->frame_done(base->listener_data, token);
	}
}

static void tell_queries(struct vmm_display *display)
{
	const struct display *base = &display->base;
	struct list *link;

	while ((link = list_first(&display->unanswered))) {
		struct vmm_query *query = container_of(link, struct vmm_query, link);
		const struct vmm_query told = *query;

		list_remove(link);
		free(query);
		if (told.request == VMM_GET_EDID) {
			base->listener->edid_ready(base->listener_data, told.token, NULL);
		} else {
			base->listener->info_ready(base->listener_data, told.token, NULL);
		}
	}
}

void vmm_settle(struct vmm_display *display)
{
	tell_flushes(display);
	tell_queries(display);
	if (display->socket < 0 && !display->lost_told && display->base.listener) {
		display->lost_told = true;
		display->base.listener->lost(display->base.listener_data);
	}
}

static void handle_socket(void *data, int events)
{
	struct vmm_display *display = data;

	if (events & LOOP_READABLE) {
		vmm_read_replies(display);
	}
	if (events & LOOP_WRITABLE) {
		vmm_pump(display);
	}
	vmm_settle(display);
}

static void handle_turn_end(void *data)
{
	struct vmm_display *display = data;

	if (!display->blocked) {
		vmm_pump(display);
	}
	vmm_settle(display);
}

static int vmm_query_info(struct display *base, uint64_t token, struct display_info *info)
{
	(void)info;
	return vmm_ask(to_vmm(base), VMM_GET_DISPLAY_INFO, 0, token);
}

static int vmm_query_edid(
	struct display *base, uint32_t output, uint64_t token, struct display_edid *edid)
{
	(void)edid;
	return vmm_ask(to_vmm(base), VMM_GET_EDID, output, token);
}

/* Does a viewer that does not read see nothing of the new frame's size yet? Then all of it is new. */
static struct rect damage_of_new_size(const struct vmm_display *display, const struct rect *part)
{
	return display->stalled ? (struct rect){ 0, 0, part->width, part->height }
				: (struct rect){ 0 };
}

static void vmm_set_frame(
	struct display *base, uint32_t index, struct frame *frame, const struct rect *part)
{
	struct vmm_display *display = to_vmm(base);
	struct vmm_output *output = &display->outputs[index];
	const struct rect off = { 0 };
	struct frame *former = output->frame;
	bool resized;

	if (display->socket < 0) {
		return;
	}
	part = part ? part : &off;
	resized = part->width != output->part.width || part->height != output->part.height;
	vmm_drop_flushes(display, index);
	output->frame = frame ? frame_ref(frame) : NULL;
	output->part = *part;
	output->flipped = true;
	frame_unref(former);
	vmm_send_scanout(display, index);
	if (resized) {
		output->damage = damage_of_new_size(display, part);
	}
}

static int vmm_flush_output(
	struct display *base, uint32_t index, const struct rect *damage, uint64_t token)
{
	struct vmm_display *display = to_vmm(base);
	const struct vmm_output *output = &display->outputs[index];

	if (display->socket < 0) {
		return 0;
	}
	assert(output->frame && rect_within(damage, output->part.width, output->part.height));
	return vmm_send_update(display, index, damage, token);
}

static void vmm_set_cursor(
	struct display *base, uint32_t index, const struct display_cursor *cursor)
{
	struct vmm_display *display = to_vmm(base);
	struct vmm_output *output = &display->outputs[index];
	struct frame *former = output->cursor;

	if (display->socket < 0) {
		return;
	}
	assert(!cursor->image ||
		(cursor->image->width == VMM_CURSOR_SIZE &&
			cursor->image->height == VMM_CURSOR_SIZE));
	output->cursor = cursor->image ? frame_ref(cursor->image) : NULL;
	frame_unref(former);
	output->cursor_pos = (struct vmm_cursor_pos){ index, cursor->x, cursor->y };
	output->hot_x = cursor->hot_x;
	output->hot_y = cursor->hot_y;
	output->cursor_due = CURSOR_CHANGED;
	vmm_send_cursor(display, index);
}

static void vmm_move_cursor(struct display *base, uint32_t index, uint32_t x, uint32_t y)
{
	struct vmm_display *display = to_vmm(base);
	struct vmm_output *output = &display->outputs[index];

	if (display->socket < 0) {
		return;
	}
	output->cursor_pos = (struct vmm_cursor_pos){ index, x, y };
	if (output->cursor_due == CURSOR_SENT && output->cursor) {
		output->cursor_due = CURSOR_MOVED;
	}
	vmm_send_cursor(display, index);
}

/* The VMM's windows have their own sizes. */
static int vmm_resize(struct display *base, uint32_t output, uint32_t width, uint32_t height)
{
	(void)base;
	(void)output;
	(void)width;
	(void)height;
	return -ENOTSUP;
}

static void vmm_pause(struct display *base, bool paused)
{
	struct vmm_display *display = to_vmm(base);

	display->paused = paused;
	if (!paused) {
		loop_deferred_schedule(display->turn_end);
	}
}

static void vmm_destroy(struct display *base)
{
	struct vmm_display *display = to_vmm(base);

	vmm_hang_up(display);
	display->lost_told = true;
	vmm_settle(display);
	vmm_outbox_finish(&display->outbox);
	loop_remove_timer(display->stall_timer);
	loop_remove_timer(display->query_timer);
	loop_remove_deferred(display->turn_end);
	free(display);
}

static const struct display_ops vmm_ops = {
	.name = "vmm",
	.owns_outputs = false,
	.query_info = vmm_query_info,
	.query_edid = vmm_query_edid,
	.set_frame = vmm_set_frame,
	.flush = vmm_flush_output,
	.set_cursor = vmm_set_cursor,
	.move_cursor = vmm_move_cursor,
	.resize = vmm_resize,
	.pause = vmm_pause,
	.destroy = vmm_destroy,
};

static struct vmm_display *to_vmm(struct display *display)
{
	assert(display->ops == &vmm_ops);
	return container_of(display, struct vmm_display, base);
}

static int create_sources(struct vmm_display *display, struct loop *loop)
{
	display->turn_end = loop_add_deferred(loop, handle_turn_end, display);
	display->stall_timer = loop_add_timer(loop, vmm_handle_stall_timer, display);
	display->query_timer = loop_add_timer(loop, vmm_handle_query_timer, display);
	display->source = loop_add_fd(loop, display->socket, LOOP_READABLE, handle_socket, display);
	return display->turn_end && display->stall_timer && display->query_timer && display->source
		? 0
		: -ENOMEM;
}

static int init_socket(int socket)
{
	const int size = SEND_BUFFER;
	int result = fd_set_nonblocking(socket);

	if (result < 0) {
		return result;
	}
	/* Clamped, never refused; and with a small one all works, just slower. */
	setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

static int init(struct vmm_display *display, struct loop *loop)
{
	int result = init_socket(display->socket);

	if (result == 0) {
		result = vmm_outbox_init(&display->outbox);
	}
	return result == 0 ? create_sources(display, loop) : result;
}

static void abandon(struct vmm_display *display)
{
	loop_remove_fd(display->source);
	loop_remove_timer(display->stall_timer);
	loop_remove_timer(display->query_timer);
	loop_remove_deferred(display->turn_end);
	vmm_outbox_finish(&display->outbox);
	fd_close(&display->socket);
	free(display);
}

struct display *vmm_display_create(struct loop *loop, int socket, const struct vmm_config *config)
{
	struct vmm_display *display = calloc(1, sizeof(*display));
	int result;

	if (!display) {
		close(socket);
		log_error("cannot make a display: no memory");
		return NULL;
	}
	display_init(&display->base, &vmm_ops);
	display->socket = socket;
	display->features_wanted = 1u << VMM_PROTOCOL_F_EDID |
		(config->dmabuf ? 1u << VMM_PROTOCOL_F_DMABUF2 : 0);
	list_init(&display->outbox.flushes);
	list_init(&display->outbox.waiting);
	list_init(&display->outbox.fds);
	list_init(&display->drawings);
	list_init(&display->ended);
	list_init(&display->queries);
	list_init(&display->unanswered);
	result = init(display, loop);
	if (result < 0) {
		log_error("cannot use the display socket: %s", strerror(-result));
		abandon(display);
		return NULL;
	}
	vmm_start_queries(display);
	return &display->base;
}

struct vmm_display_stats vmm_display_stats(const struct display *display)
{
	assert(display->ops == &vmm_ops);
	return ((const struct vmm_display *)(const void *)display)->stats;
}
