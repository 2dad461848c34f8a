/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_DISPLAY_H
#define DISPLAY_DISPLAY_H

/*
 * Where frames are shown: up to DISPLAY_OUTPUT_MAX outputs, each with a mode, an EDID, a frame and a
 * cursor. A display is fed by gpu/ and answers through its listener. It never stops the guest: what it
 * cannot show in time it leaves out. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rect.h"
#include "frame/frame.h"

struct display;

#define DISPLAY_OUTPUT_MAX 16 // VIRTIO_GPU_MAX_SCANOUTS
#define DISPLAY_EDID_MAX   1024 // bytes

/* Returned by what ends later through the listener with its token. */
#define DISPLAY_PENDING 1

struct display_output_info {
	bool enabled;
	struct rect rect; // position in the desktop, and the preferred mode, in pixels
};

struct display_info {
	struct display_output_info outputs[DISPLAY_OUTPUT_MAX];
};

struct display_edid {
	uint32_t size; // bytes, at most DISPLAY_EDID_MAX
	uint8_t bytes[DISPLAY_EDID_MAX];
};

/* What a display tells its user. All entries must be present; none comes from within the call it ends. */
struct display_listener_ops {
	/* Outputs came, went, or changed their mode: the guest should ask again. */
	void (*modes_changed)(void *data);

	/* The answer to display_query_info that was pending. info is NULL when none came in time. */
	void (*info_ready)(void *data, uint64_t token, const struct display_info *info);

	/* The answer to display_query_edid that was pending. edid is NULL when none came in time. */
	void (*edid_ready)(void *data, uint64_t token, const struct display_edid *edid);

	/* A pending display_flush was shown, or left out. */
	void (*frame_done)(void *data, uint64_t token);

	/* The display went away (its peer hung up). Pending calls were ended before. It shows nothing
	 * until it is replaced; calls are harmless. */
	void (*lost)(void *data);
};

struct display_cursor {
	struct frame *image; // 64 x 64, with its format's alpha; NULL hides the cursor
	uint32_t x; // of the hot spot, in the output
	uint32_t y;
	uint32_t hot_x; // of the hot spot, in the image
	uint32_t hot_y;
};

/* Sets who is told; before the first other call. The listener is borrowed. */
void display_set_listener(
	struct display *display, const struct display_listener_ops *listener, void *data);

/* Ends what is pending (listener calls come from within), lets frames go. NULL is fine. */
void display_destroy(struct display *display);

/* Its name: "headless", "vmm". */
const char *display_name(const struct display *display);

/* Does the display own its outputs (the device then says how many, and makes EDIDs)? */
bool display_owns_outputs(const struct display *display);

/* Fills *info and returns 0, or returns DISPLAY_PENDING: then info_ready follows. */
int display_query_info(struct display *display, uint64_t token, struct display_info *info);

/* As display_query_info. output < DISPLAY_OUTPUT_MAX; -EINVAL when there is no such output, -ENOTSUP
 * when there is no EDID. */
int display_query_edid(
	struct display *display, uint32_t output, uint64_t token, struct display_edid *edid);

/*
 * Shows `part` (within the frame, not empty) of the frame on the output from now on; NULL and NULL switch
 * it off. The frame is referenced. Nothing need be visible before the next flush. What was queued of the
 * output's former frame is left out, and its flushes are done.
 */
void display_set_frame(
	struct display *display, uint32_t output, struct frame *frame, const struct rect *part);

/*
 * The pixels of `damage` (in the output's coordinates, within its part, not empty) changed. Returns 0
 * when all is done, or DISPLAY_PENDING: then frame_done follows.
 */
int display_flush(
	struct display *display, uint32_t output, const struct rect *damage, uint64_t token);

/* Sets the cursor's shape and place. The image is copied or referenced. */
void display_set_cursor(
	struct display *display, uint32_t output, const struct display_cursor *cursor);

/* Moves the cursor; it keeps its shape. A hidden one stays hidden. */
void display_move_cursor(struct display *display, uint32_t output, uint32_t x, uint32_t y);

/*
 * Asks the output to take another size (0 x 0: to be switched off); modes_changed follows. Returns 0,
 * -EINVAL (no such output, size out of range) or -ENOTSUP.
 */
int display_resize(struct display *display, uint32_t output, uint32_t width, uint32_t height);

/*
 * While paused nothing goes out (the VM is stopped, and its VMM must not be talked to), but for the rest of
 * a message of which a part has gone. What is asked for meanwhile waits.
 */
void display_pause(struct display *display, bool paused);

#endif
