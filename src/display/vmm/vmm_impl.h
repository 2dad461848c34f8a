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
	uint32_t sent_width; // of the last SCANOUT; 0: off
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

/* The flush is done; it is owned and ends here. */
void vmm_end_flush(struct vmm_display *display, struct vmm_flush *flush);

/* Queues a SCANOUT when the viewer knows another size. */
void vmm_send_scanout(struct vmm_display *display, uint32_t output);

/* Queues what is due of the cursor, as far as there is room. */
void vmm_send_cursor(struct vmm_display *display, uint32_t output);

/* Queues the UPDATE of rect; see display_flush. */
int vmm_send_update(
	struct vmm_display *display, uint32_t output, const struct rect *rect, uint64_t token);

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
