/* SPDX-License-Identifier: MIT */
#include "display/vmm/vmm_impl.h"

#include <assert.h>
#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* See "How this works" in vmm.c. */

/*
 * Who reads has taken something within this time: a viewer at 10 frames a second would, and QEMU reads
 * from its main loop, which does not sleep so long. Shorter, and a busy host coalesces; longer, and the
 * guest's screen stands still for as long each time a viewer stops.
 */
#define STALL_MS 100

/* Larger updates are not copied. Up to here, copying costs less than coming back for the pixels. */
#define COPY_MAX (64u << 10)

/*
 * Bytes in one call and in one turn of the loop. Copying 8 MiB takes the kernel some 2 ms; then others
 * have their turn.
 */
#define TURN_MAX (8u << 20)

/* Bytes of pixels in one UPDATE: the header says up to 4 GiB, but the other end allocates it. */
#define UPDATE_MAX (64u << 20)

static struct log_limit cursor_errors = LOG_LIMIT_INIT;
static struct log_limit stall_notes = LOG_LIMIT_INIT;

static uint64_t rect_size(const struct rect *rect)
{
	return (uint64_t)rect->width * rect->height * FRAME_PIXEL_SIZE;
}

void vmm_end_pending(struct vmm_display *display, struct vmm_pending *pending)
{
	if (pending) {
		list_append(&display->ended, &pending->link);
		loop_deferred_schedule(display->turn_end);
	}
}

static void end_pending(struct vmm_display *display, struct vmm_flush *flush)
{
	vmm_end_pending(display, flush->pending);
	flush->pending = NULL;
}

void vmm_end_flush(struct vmm_display *display, struct vmm_flush *flush)
{
	end_pending(display, flush);
	vmm_flush_destroy(flush);
}

static struct rect flush_rect(const struct vmm_flush *flush)
{
	const struct vmm_update *update = &flush->start.update;

	return (struct rect){ update->x, update->y, update->width, update->height };
}

static void add_damage(struct vmm_output *output, const struct rect *rect)
{
	output->damage = rect_union(&output->damage, rect);
}

/* Takes a flush that is not on the wire back. */
static void take_back(struct vmm_display *display, struct vmm_flush *flush)
{
	struct rect rect = flush_rect(flush);

	add_damage(&display->outputs[flush->start.update.output], &rect);
	vmm_outbox_remove_flush(&display->outbox, flush);
	vmm_end_flush(display, flush);
}

static void drop_flushes(struct vmm_display *display, struct list *flushes, uint32_t output)
{
	list_for_each_safe(link, next, flushes) {
		struct vmm_flush *flush = container_of(link, struct vmm_flush, link);

		if (flush->start.update.output == output && flush->sent == 0) {
			take_back(display, flush);
		}
	}
}

void vmm_drop_flushes(struct vmm_display *display, uint32_t output)
{
	drop_flushes(display, &display->outbox.waiting, output);
	drop_flushes(display, &display->outbox.flushes, output);
	vmm_release_drawings(display, output);
}

static void stall_flushes(struct vmm_display *display, struct list *flushes)
{
	list_for_each_safe(link, next, flushes) {
		struct vmm_flush *flush = container_of(link, struct vmm_flush, link);

		if (flush->sent > 0) {
			end_pending(display, flush);
			continue;
		}
		display->stats.coalesced += flush->pending ? 1 : 0;
		take_back(display, flush);
	}
}

void vmm_stall(struct vmm_display *display)
{
	if (display->stalled) {
		return;
	}
	display->stalled = true;
	log_limited(&stall_notes, LOG_DEBUG, "the viewer does not read: updates are merged");
	stall_flushes(display, &display->outbox.waiting);
	stall_flushes(display, &display->outbox.flushes);
	vmm_release_all_drawings(display);
	loop_deferred_schedule(display->turn_end);
}

static bool append(struct vmm_display *display, uint32_t request, const void *payload,
	uint32_t size, size_t limit)
{
	bool queued = vmm_outbox_append(&display->outbox, request, payload, size, limit);

	if (queued) {
		loop_deferred_schedule(display->turn_end);
	}
	return queued;
}

static void note_scanout(struct vmm_output *output, bool dmabuf)
{
	output->sent_width = output->part.width;
	output->sent_height = output->part.height;
	output->sent_dmabuf = dmabuf;
}

/* A viewer that showed a buffer has no pixels. */
static bool leave_dmabuf(struct vmm_display *display, uint32_t index)
{
	struct vmm_output *output = &display->outputs[index];

	if (!vmm_send_no_dmabuf(display, index)) {
		return false;
	}
	output->sent_dmabuf = false;
	output->sent_width = 0;
	output->sent_height = 0;
	output->damage = (struct rect){ 0, 0, output->part.width, output->part.height };
	return true;
}

/* The size, when the viewer knows another. */
static bool send_size(struct vmm_display *display, uint32_t index)
{
	struct vmm_output *output = &display->outputs[index];
	const struct vmm_scanout scanout = { index, output->part.width, output->part.height };

	if (output->sent_dmabuf && !leave_dmabuf(display, index)) {
		return false;
	}
	if (output->part.width == output->sent_width &&
		output->part.height == output->sent_height) {
		return true;
	}
	if (!append(display, VMM_SCANOUT, &scanout, sizeof(scanout),
		    VMM_OUTBOX_COPY_MAX + VMM_OUTBOX_RESERVE)) {
		return false;
	}
	note_scanout(output, false);
	return true;
}

void vmm_send_scanout(struct vmm_display *display, uint32_t index)
{
	struct vmm_output *output = &display->outputs[index];
	struct frame_dmabuf dmabuf;

	if (display->stalled || !output->flipped) {
		return;
	}
	if (vmm_has_dmabuf(display, output->frame, &dmabuf) &&
		vmm_send_dmabuf(display, index, &dmabuf)) {
		note_scanout(output, true);
	} else if (!send_size(display, index)) {
		vmm_stall(display);
		return;
	}
	output->flipped = false;
}

static bool send_cursor_shape(struct vmm_display *display, const struct vmm_output *output)
{
	const struct vmm_header header = {
		.request = VMM_CURSOR_UPDATE,
		.size = sizeof(struct vmm_cursor_update),
	};
	const struct rect whole = { 0, 0, VMM_CURSOR_SIZE, VMM_CURSOR_SIZE };
	const uint32_t hot[2] = { output->hot_x, output->hot_y };
	const size_t size = sizeof(header) + sizeof(struct vmm_cursor_update);
	uint8_t *at = vmm_outbox_reserve(&display->outbox, size, VMM_OUTBOX_COPY_MAX);
	int result;

	if (!at) {
		return false;
	}
	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	memcpy(at, &output->cursor_pos, sizeof(output->cursor_pos));
	memcpy(at + sizeof(output->cursor_pos), hot, sizeof(hot));
	at += offsetof(struct vmm_cursor_update, pixels);
	result = frame_convert(output->cursor, &whole, DRM_FORMAT_ARGB8888, at,
		VMM_CURSOR_SIZE * FRAME_PIXEL_SIZE);
	if (result < 0) {
		log_limited(&cursor_errors, LOG_WARN, "cannot read the cursor's pixels: %s",
			strerror(-result));
		return true;
	}
	vmm_outbox_commit(&display->outbox, size);
	loop_deferred_schedule(display->turn_end);
	return true;
}

static bool send_cursor(struct vmm_display *display, const struct vmm_output *output)
{
	uint32_t request = VMM_CURSOR_POS;

	if (display->stalled) {
		return false;
	}
	if (output->cursor_due == CURSOR_CHANGED) {
		if (output->cursor) {
			return send_cursor_shape(display, output);
		}
		request = VMM_CURSOR_POS_HIDE;
	}
	return append(display, request, &output->cursor_pos, sizeof(output->cursor_pos),
		VMM_OUTBOX_COPY_MAX);
}

void vmm_send_cursor(struct vmm_display *display, uint32_t index)
{
	struct vmm_output *output = &display->outputs[index];

	if (output->cursor_due == CURSOR_SENT || send_cursor(display, output)) {
		output->cursor_due = CURSOR_SENT;
		display->cursors_due &= ~(1u << index);
	} else {
		display->cursors_due |= 1u << index;
	}
}

static void send_due_cursors(struct vmm_display *display)
{
	for (uint32_t i = 0; display->cursors_due >> i; i++) {
		if (display->cursors_due >> i & 1) {
			vmm_send_cursor(display, i);
		}
	}
}

/* A small update becomes a copy of its pixels, so it is done. False: no room, or they take time. */
static bool copy_update(struct vmm_display *display, uint32_t index, const struct rect *rect)
{
	const struct vmm_output *output = &display->outputs[index];
	const struct vmm_update_start start = vmm_update_start(index, rect);
	size_t pixels_size = (size_t)rect_size(rect);
	size_t size = sizeof(start) + pixels_size;
	struct rect source = *rect;
	uint8_t *at;

	if (pixels_size > COPY_MAX || frame_is_slow(output->frame)) {
		return false;
	}
	at = vmm_outbox_reserve(&display->outbox, size, VMM_OUTBOX_COPY_MAX);
	if (!at) {
		return false;
	}
	source.x += output->part.x;
	source.y += output->part.y;
	if (frame_convert(output->frame, &source, DRM_FORMAT_XRGB8888, at + sizeof(start),
		    (size_t)rect->width * FRAME_PIXEL_SIZE) < 0) {
		return true; // the pixels cannot be had: the update is left out
	}
	memcpy(at, &start, sizeof(start));
	vmm_outbox_commit(&display->outbox, size);
	display->stats.updates++;
	display->stats.update_bytes += pixels_size;
	return true;
}

/* The pixels of a flush that waits are there, or cannot be had: then it is left out. */
static void handle_ready(struct frame_read *read, int result)
{
	struct vmm_flush *flush = container_of(read, struct vmm_flush, read);
	struct vmm_display *display = flush->display;

	if (result < 0) {
		vmm_flush_log_error(flush, result);
		vmm_outbox_remove_flush(&display->outbox, flush);
		vmm_end_flush(display, flush);
	} else {
		vmm_outbox_let_go(&display->outbox, flush);
		loop_deferred_schedule(display->turn_end);
	}
}

/* One whose pixels take time begins with them at once. NULL: they cannot be had; it is left out. */
static struct vmm_flush *queue_one(struct vmm_display *display, struct vmm_flush *flush)
{
	flush->display = display;
	flush->read.ready = handle_ready;
	if (frame_is_slow(flush->frame) && vmm_flush_begin(flush) < 0) {
		vmm_flush_destroy(flush);
		return NULL;
	}
	vmm_outbox_append_flush(&display->outbox, flush);
	return flush;
}

/* Queues an update, in pieces that UPDATE_MAX allows. Returns the last piece, NULL: it is left out. */
static struct vmm_flush *queue_update(
	struct vmm_display *display, uint32_t index, const struct rect *rect)
{
	struct vmm_output *output = &display->outputs[index];
	struct rect half = *rect, rest = *rect;
	struct vmm_flush *flush;

	if (rect_size(rect) > UPDATE_MAX) {
		if (rect->height > 1) {
			half.height /= 2;
			rest.y += half.height;
			rest.height -= half.height;
		} else {
			half.width /= 2;
			rest.x += half.width;
			rest.width -= half.width;
		}
		queue_update(display, index, &half);
		return queue_update(display, index, &rest);
	}
	flush = vmm_flush_create(index, output->frame, &output->part, rect);
	if (!flush) {
		add_damage(output, rect);
		return NULL;
	}
	return queue_one(display, flush);
}

static struct vmm_pending *create_pending(uint64_t token)
{
	struct vmm_pending *pending = malloc(sizeof(*pending));

	if (pending) {
		list_init(&pending->link);
		pending->token = token;
	}
	return pending;
}

static int queue_flush(
	struct vmm_display *display, uint32_t index, const struct rect *rect, uint64_t token)
{
	struct vmm_pending *pending = create_pending(token);
	struct vmm_flush *flush = queue_update(display, index, rect);

	/* Without memory nobody waits; what could not be queued goes with the next flush. */
	if (!flush || !pending) {
		free(pending);
		return 0;
	}
	flush->pending = pending;
	return DISPLAY_PENDING;
}

static void start_stall_timer(struct vmm_display *display)
{
	if (!display->stalled && !loop_timer_is_running(display->stall_timer)) {
		loop_timer_start(display->stall_timer, STALL_MS);
	}
}

int vmm_send_update(
	struct vmm_display *display, uint32_t index, const struct rect *damage, uint64_t token)
{
	struct vmm_output *output = &display->outputs[index];
	struct rect rect = rect_union(damage, &output->damage);

	if (!display->stalled && display->outbox.flush_count >= VMM_OUTBOX_FLUSH_MAX) {
		vmm_stall(display);
		rect = rect_union(damage, &output->damage);
	}
	if (display->stalled) {
		output->damage = rect;
		display->stats.coalesced++;
		return 0;
	}
	output->damage = (struct rect){ 0 };
	loop_deferred_schedule(display->turn_end);
	if (output->sent_dmabuf) {
		start_stall_timer(display);
		return vmm_send_drawing(display, index, &rect, create_pending(token));
	}
	return copy_update(display, index, &rect) ? 0 : queue_flush(display, index, &rect, token);
}

/* All is out: what was merged goes, with the pixels of now. */
static void resume(struct vmm_display *display)
{
	display->stalled = false;
	for (uint32_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		struct vmm_output *output = &display->outputs[i];
		struct rect rect;

		vmm_send_scanout(display, i);
		rect = output->damage;
		if (rect_is_empty(&rect)) {
			continue;
		}
		output->damage = (struct rect){ 0 };
		if (output->sent_dmabuf) {
			vmm_send_drawing(display, i, &rect, NULL);
		} else {
			queue_update(display, i, &rect);
		}
	}
}

static void note_done(struct vmm_display *display, struct vmm_flush *flush)
{
	if (vmm_flush_is_sent(flush)) {
		display->stats.updates++;
		display->stats.update_bytes += flush->size - sizeof(flush->start);
	}
	vmm_end_flush(display, flush);
}

/* Fills an empty outbox with what waits for that. Returns false when there is nothing. */
static bool refill(struct vmm_display *display)
{
	if (display->stalled && vmm_outbox_is_empty(&display->outbox) &&
		list_is_empty(&display->drawings)) {
		resume(display);
	}
	if (!display->stalled) {
		send_due_cursors(display);
		vmm_send_queries(display);
	}
	return !vmm_outbox_is_empty(&display->outbox);
}

/* While paused a message that is partly out is finished: a VMM that waits for its end would hang. */
static bool may_send(struct vmm_display *display)
{
	return display->paused ? vmm_outbox_is_unfinished(&display->outbox) : refill(display);
}

/* Sends until the socket or the turn is full, or nothing is left. Returns the bytes taken, or -errno. */
static ssize_t send_turn(struct vmm_display *display, bool *full)
{
	size_t taken = 0;

	while (may_send(display)) {
		struct vmm_sent sent = vmm_outbox_send(
			&display->outbox, display->socket, TURN_MAX, display->paused);

		if (sent.done) {
			note_done(display, sent.done);
		}
		if (sent.count < 0 && sent.count != -EAGAIN) {
			return sent.count;
		}
		taken += sent.count > 0 ? (size_t)sent.count : 0;
		if (sent.count < 0 || sent.full || taken >= TURN_MAX) {
			*full = true;
			break;
		}
	}
	return (ssize_t)taken;
}

static void wait_until_writable(struct vmm_display *display, bool wait)
{
	if (display->blocked != wait) {
		display->blocked = wait;
		loop_fd_set_events(
			display->source, wait ? LOOP_READABLE | LOOP_WRITABLE : LOOP_READABLE);
	}
}

void vmm_pump(struct vmm_display *display)
{
	bool was_blocked = display->blocked;
	bool full = false;
	ssize_t taken;

	if (display->socket < 0) {
		return;
	}
	taken = send_turn(display, &full);
	if (taken < 0) {
		log_info("the viewer went away: %s", strerror((int)-taken));
		vmm_hang_up(display);
		return;
	}
	wait_until_writable(display, full);
	if (full && (taken > 0 || !was_blocked)) {
		display->progress_ns = loop_now_ns();
	}
	if (full) {
		start_stall_timer(display);
	}
}

/* Milliseconds since the viewer took, or drew, something that it owes. */
static uint64_t waited_ms(const struct vmm_display *display)
{
	uint64_t blocked = display->blocked ? loop_now_ns() - display->progress_ns : 0;
	uint64_t drawing = display->paused ? 0 : vmm_drawing_age(display);

	return (blocked > drawing ? blocked : drawing) / 1000000;
}

void vmm_handle_stall_timer(void *data)
{
	struct vmm_display *display = data;
	bool owes;
	uint64_t waited;

	/* The kernel calls a socket writable only when it is three quarters empty: so try. */
	if (display->blocked) {
		vmm_pump(display);
	}
	owes = display->blocked || !list_is_empty(&display->drawings);
	if (owes && !display->stalled) {
		waited = waited_ms(display);
		loop_timer_stop(display->stall_timer);
		if (waited >= STALL_MS) {
			vmm_stall(display);
		} else {
			loop_timer_start(display->stall_timer, (uint32_t)(STALL_MS - waited));
		}
	}
	vmm_settle(display);
}
