/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_VMM_VMM_IMPL_H
#define DISPLAY_VMM_VMM_IMPL_H

/* What the files of this folder share. vmm.c says how it works. */

#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_gpu.h>

#include "base/list.h"
#include "base/loop.h"
#include "display/display_impl.h"
#include "display/vmm/outbox.h"
#include "display/vmm/vmm.h"

enum cursor_due {
	CURSOR_SENT,
	CURSOR_MOVED,
	CURSOR_CHANGED,
};

struct vmm_output {
	struct frame *frame; // referenced; NULL: off
	struct rect part; // of the frame; empty: off
	bool flipped; // frame or part changed, and the viewer has not been told
	bool sent_dmabuf; // the viewer shows a buffer: the last scanout was a DMABUF_SCANOUT2
	uint32_t sent_width; // of the last scanout; 0: off
	uint32_t sent_height;
	struct rect damage; // what the viewer lacks and no queued flush brings
	struct frame *cursor; // referenced; NULL: hidden
	struct vmm_cursor_pos cursor_pos;
	uint32_t hot_x;
	uint32_t hot_y;
	enum cursor_due cursor_due; // what there was no room for
};

struct vmm_query {
	struct list link;
	uint32_t request; // VMM_GET_DISPLAY_INFO or VMM_GET_EDID
	uint32_t output;
	uint64_t token;
	uint64_t deadline_ns;
	bool asked; // on its way: there is a vmm_expected for it
};

/* A DMABUF_UPDATE whose reply has not come: it comes when the viewer has drawn. */
struct vmm_drawing {
	struct list link;
	uint32_t output;
	uint64_t since_ns;
	struct vmm_pending *pending; // owned; NULL: nobody waits
};

/* A reply that should come. */
struct vmm_expected {
	uint32_t request;
	struct vmm_query *query; // NULL: nobody waits any more
};

/* One of each: GET_PROTOCOL_FEATURES, GET_DISPLAY_INFO, GET_EDID. */
#define VMM_EXPECTED_MAX 3

/* The largest reply: GET_EDID's. */
#define VMM_REPLY_MAX (sizeof(struct vmm_header) + sizeof(struct virtio_gpu_resp_edid))

struct vmm_display {
	struct display base;
	int socket; // -1: the viewer went away
	bool lost_told;
	struct loop_fd *source;
	struct loop_deferred *turn_end;
	struct vmm_display_stats stats;

	struct vmm_outbox outbox;
	struct vmm_output outputs[DISPLAY_OUTPUT_MAX];
	uint32_t cursors_due; // bit n: cursor_due of output n
	struct list drawings; // vmm_drawing.link, in the order of their replies
	struct list ended; // vmm_pending.link: flushes that are done, to be told
	bool blocked; // the socket was full: waiting until it is writable
	bool stalled;
	bool paused;
	struct loop_timer *stall_timer;
	uint64_t progress_ns; // while blocked: when the socket took a byte last

	struct list queries; // vmm_query.link, oldest first
	struct list unanswered; // vmm_query.link: to be told so
	struct loop_timer *query_timer;
	struct vmm_expected expected[VMM_EXPECTED_MAX];
	uint32_t expected_count;
	uint64_t features_wanted; // a mask of VMM_PROTOCOL_F_*
	bool features_known;
	uint64_t features;
	uint8_t reply[VMM_REPLY_MAX];
	size_t reply_size; // bytes of it that are there
};

/* The viewer is gone, or breaks the protocol: all that is pending is done, nothing is held. */
void vmm_hang_up(struct vmm_display *display);

/* Tells the listener what ended. Last in each callback of the loop: the display may be destroyed. */
void vmm_settle(struct vmm_display *display);

/* flow.c: what goes out, and when. */

/* Sends what the socket takes. */
void vmm_pump(struct vmm_display *display);

/* The socket takes nothing: what waits is merged, and guests wait no longer. */
void vmm_stall(struct vmm_display *display);
void vmm_handle_stall_timer(void *data);

/* The flush of what is queued of the output is done; what is not on the wire is damage again. */
void vmm_drop_flushes(struct vmm_display *display, uint32_t output);

/* Tells at the end of the turn that the flush is done; pending is taken, NULL is fine. */
void vmm_end_pending(struct vmm_display *display, struct vmm_pending *pending);

/* The flush is done; it is owned and ends here. */
void vmm_end_flush(struct vmm_display *display, struct vmm_flush *flush);

/* Tells the viewer of a new buffer or another size, if there is one. */
void vmm_send_scanout(struct vmm_display *display, uint32_t output);

/* Queues what is due of the cursor, as far as there is room. */
void vmm_send_cursor(struct vmm_display *display, uint32_t output);

/* Queues the UPDATE of rect; see display_flush. */
int vmm_send_update(
	struct vmm_display *display, uint32_t output, const struct rect *rect, uint64_t token);

/* dmabuf.c: buffers that the viewer shows as they are. */

/* May the frame be sent as its buffer? Then *dmabuf is it. */
bool vmm_has_dmabuf(
	const struct vmm_display *display, struct frame *frame, struct frame_dmabuf *dmabuf);

/* Queues a DMABUF_SCANOUT2 of the output's frame; false: there is no room. */
bool vmm_send_dmabuf(
	struct vmm_display *display, uint32_t output, const struct frame_dmabuf *dmabuf);

/* Queues one that switches the output off; false: there is no room. */
bool vmm_send_no_dmabuf(struct vmm_display *display, uint32_t output);

/* Queues a DMABUF_UPDATE of rect; see display_flush. pending is taken (NULL: nobody waits). */
int vmm_send_drawing(struct vmm_display *display, uint32_t output, const struct rect *rect,
	struct vmm_pending *pending);

/* The reply to the oldest came. */
void vmm_end_drawing(struct vmm_display *display);

/* Who waits for these waits no longer; the replies will come all the same. */
void vmm_release_drawings(struct vmm_display *display, uint32_t output);
void vmm_release_all_drawings(struct vmm_display *display);

/* No reply will come. */
void vmm_drop_drawings(struct vmm_display *display);

/* For how long the viewer owes the oldest reply, nanoseconds; 0: it owes none. */
uint64_t vmm_drawing_age(const struct vmm_display *display);

/* queries.c: questions and replies. */

/* Asks for the features that the other end knows. */
void vmm_start_queries(struct vmm_display *display);

/* See display_query_info, display_query_edid. */
int vmm_ask(struct vmm_display *display, uint32_t request, uint32_t output, uint64_t token);

/* Sends the questions that may go now. */
void vmm_send_queries(struct vmm_display *display);

/* Reads what came. */
void vmm_read_replies(struct vmm_display *display);

/* No question will be answered. */
void vmm_end_queries(struct vmm_display *display);
void vmm_handle_query_timer(void *data);

#endif
