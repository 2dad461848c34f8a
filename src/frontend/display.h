/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_DISPLAY_H
#define FRONTEND_DISPLAY_H

/*
 * The display of the VMM: the other end of the socket that GPU_SET_SOCKET hands over. It answers what
 * the back end asks and draws what it sends into frame buffers. It can also be unkind: stop reading,
 * answer late or never. Rules that the back end breaks are counted, the first is kept in words.
 *
 * Used in the thread of a test (fe_pump serves it) or in a process of its own (fe_display_run).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "display/vmm/protocol.h"
#include "frontend/pump.h"
#include "gpu/wire.h"

enum fe_display_limits {
	FE_DISPLAY_OUTPUTS = VIRTIO_GPU_MAX_SCANOUTS,
	FE_DISPLAY_LOG = 128,
	FE_DISPLAY_LATE = 32,
};

struct fe_display_output {
	bool enabled; // a SCANOUT with a size came last
	uint32_t width;
	uint32_t height;
	uint32_t *pixels; // x8r8g8b8, width * height, owned; black after each SCANOUT
	uint64_t scanouts; // SCANOUT messages
	uint64_t updates; // UPDATE messages that came whole
	uint64_t updated_pixels;
	struct vmm_update last;
	struct vmm_dmabuf_scanout buffer; // the last DMABUF_SCANOUT2
	int buffer_fd; // its descriptor, owned; -1: none
	uint64_t drawings; // DMABUF_UPDATE messages; the pixels come from the buffer then
};

struct fe_display_cursor {
	bool visible;
	struct vmm_cursor_pos pos;
	uint32_t hot_x;
	uint32_t hot_y;
	uint32_t pixels[VMM_CURSOR_SIZE * VMM_CURSOR_SIZE];
	uint64_t moves; // CURSOR_POS
	uint64_t hides; // CURSOR_POS_HIDE
	uint64_t shapes; // CURSOR_UPDATE
};

/* One message that came: its number and, where it has them, the first five words of its payload. */
struct fe_display_entry {
	uint32_t request;
	uint32_t size;
	uint32_t words[5];
};

struct fe_display_late {
	uint64_t due_ns;
	uint32_t size;
	uint8_t bytes[sizeof(struct vmm_header) + sizeof(struct virtio_gpu_resp_edid)];
};

struct fe_display {
	int socket; // ours; -1: none
	bool closed; // the back end hung up

	/* How to behave; change it at any time. */
	bool paused; // do not read
	bool discard; // do not draw: count only (for measuring)
	bool any_flags; // blame no flags: QEMU's reference leaves those of UPDATE to chance
	bool tick; // for the pump; kept by the display
	uint32_t silent; // bit n: never answer request n
	uint32_t delay_ms; // of each answer
	uint64_t protocol_features; // what we offer
	struct virtio_gpu_resp_display_info info; // the answer to GET_DISPLAY_INFO
	struct virtio_gpu_resp_edid edid; // the answer to GET_EDID

	/* What was seen. */
	uint64_t accepted_features; // SET_PROTOCOL_FEATURES
	struct fe_display_output outputs[FE_DISPLAY_OUTPUTS];
	struct fe_display_cursor cursor;
	uint64_t received[VMM_DMABUF_SCANOUT2 + 1]; // messages by number
	uint64_t messages;
	uint64_t bytes; // of payloads and headers
	uint64_t violations;
	char violation[160]; // the first
	struct fe_display_entry log[FE_DISPLAY_LOG]; // message n is at n % FE_DISPLAY_LOG

	/* The message that is being read. */
	struct vmm_header header;
	uint32_t header_got;
	uint32_t payload_got;
	int passed_fd; // that came with it, owned; -1: none
	uint8_t *payload;
	uint32_t capacity;

	struct fe_display_late late[FE_DISPLAY_LATE];
	uint32_t late_count;
};

/* No socket yet; one output of 1024x768 enabled; EDID and DMABUF2 as QEMU offers them. */
void fe_display_init(struct fe_display *display);

/* Closes and frees. */
void fe_display_finish(struct fe_display *display);

/* Says how many outputs GET_DISPLAY_INFO lists as enabled, and their size. */
void fe_display_set_outputs(
	struct fe_display *display, uint32_t count, uint32_t width, uint32_t height);

/*
 * Makes a new socketpair, closes an older one as QEMU does, and returns the back end's end (the
 * caller's) or -errno. Frame buffers and counters stay.
 */
int fe_display_open(struct fe_display *display);

/* Closes our end: the VMM's display goes away. */
void fe_display_close(struct fe_display *display);

/* Lets the pump serve the display from now on. */
void fe_display_attach(struct fe_display *display, struct fe_pump *pump);

/* Reads what there is without waiting (socket non-blocking) and sends late answers that are due. */
void fe_display_serve(void *display);

/*
 * Serves until *count reaches target, where count is a counter of this display (as
 * &display->outputs[0].updates). Returns 0 or -ETIMEDOUT. Only for attached displays.
 */
int fe_display_wait(struct fe_pump *pump, const uint64_t *count, uint64_t target, int timeout_ms);

/* Serves for as long as the back end says nothing new for quiet_ms; for "and nothing else came". */
void fe_display_settle(struct fe_display *display, struct fe_pump *pump, int quiet_ms);

/*
 * Reads one whole message, waiting for it: for a process that does nothing else. Returns 0,
 * -ECONNRESET or -errno.
 */
int fe_display_read_message(struct fe_display *display);

/* The nth message from the end (0: the last); NULL when there was none or it is forgotten. */
const struct fe_display_entry *fe_display_last(const struct fe_display *display, uint64_t nth);

/* The pixel of a frame buffer, without its X byte; UINT32_MAX outside. */
uint32_t fe_display_pixel(
	const struct fe_display *display, uint32_t output, uint32_t x, uint32_t y);

#endif
