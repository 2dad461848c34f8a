/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_FAKE_DISPLAY_H
#define SUPPORT_FAKE_DISPLAY_H

/* A display for tests: it notes what it is told, and answers at once or when the test says. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "display/display_impl.h"

struct fake_output {
	struct frame *frame; // referenced; NULL: off
	struct rect part;
	uint32_t frames_set;
	uint32_t flushes;
	struct rect damage; // of the last flush
	struct frame *cursor; // referenced; NULL: hidden
	struct display_cursor cursor_place; // its image is not referenced
	uint32_t cursors_set;
	uint32_t cursor_moves;
};

enum fake_pending_kind {
	FAKE_FLUSH,
	FAKE_INFO,
	FAKE_EDID,
};

struct fake_pending {
	enum fake_pending_kind kind;
	uint32_t output;
	uint64_t token;
};

#define FAKE_PENDING_MAX 4096

struct fake_display {
	struct display base;
	struct fake_output outputs[DISPLAY_OUTPUT_MAX];
	bool flush_later; // flushes end with fake_display_end
	bool answer_later; // and so do queries
	struct display_info info; // to answer with
	struct display_edid edid;
	int query_result; // 0, or the error of queries
	struct fake_pending pending[FAKE_PENDING_MAX];
	size_t pending_count;
	uint32_t *destroyed; // counts; may be NULL
};

/* With owned outputs (the device's own display), or without (a VMM's). */
struct fake_display *fake_display_create(bool owns_outputs);

/* Ends the pending thing at this index; `answered` false: the query got no answer. */
void fake_display_end(struct fake_display *fake, size_t index, bool answered);

/* Tells the listener that modes changed. */
void fake_display_change_modes(struct fake_display *fake);

/* Tells the listener that the display went. */
void fake_display_lose(struct fake_display *fake);

#endif
