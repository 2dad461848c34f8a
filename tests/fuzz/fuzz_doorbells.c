/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "fuzz/target.h"
#include "render/virgl/doorbells.h"

/*
 * A driver that puts anything into its streams, with pauses between. A byte says what comes: a pause, a
 * while, or a stream of so many bytes.
 *
 * What must hold: only rings that were rung and not destroyed since are rung again, once each, and not at once.
 */

enum {
	PAUSE = 254,
	WHILE = 255,
	DESTROY_RING = 189,
	NOTIFY_RING = 190,
	STEPS_MAX = 4096,
};

/* What was said of rings, in order: a ring's last line counts. */
struct line {
	uint64_t ring;
	bool rung; // else destroyed
	bool again; // it was rung again since
	uint32_t age; // in whiles
};

static struct line lines[STEPS_MAX];
static size_t line_count;

static void write_line(const uint8_t *stream, size_t size)
{
	struct doorbell doorbell = { 0 };

	memcpy(&doorbell, stream, size < sizeof(doorbell) ? size : sizeof(doorbell));
	if ((doorbell.command == NOTIFY_RING && size >= sizeof(doorbell)) ||
		(doorbell.command == DESTROY_RING && size >= offsetof(struct doorbell, seqno))) {
		lines[line_count++] = (struct line){ .ring = doorbell.ring,
			.rung = doorbell.command == NOTIFY_RING };
	}
}

static void check(const struct doorbell *doorbell)
{
	size_t i = line_count;

	demand(doorbell->command == NOTIFY_RING && doorbell->command_flags == 0, "no doorbell");
	while (i > 0 && lines[i - 1].ring != doorbell->ring) {
		i--;
	}
	demand(i > 0 && lines[i - 1].rung, "a ring that is not there");
	demand(!lines[i - 1].again && lines[i - 1].age > 0, "a ring that was not due");
	lines[i - 1].again = true;
}

static void pause_all(struct doorbells *bells)
{
	doorbells_resume(bells);
	for (size_t i = 0; i < line_count; i++) {
		lines[i].again = false;
		lines[i].age++;
	}
}

static void wait_a_while(struct doorbells *bells)
{
	struct doorbell doorbell;

	while (doorbells_next(bells, &doorbell)) {
		check(&doorbell);
	}
	doorbells_age(bells);
	for (size_t i = 0; i < line_count; i++) {
		lines[i].age++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct doorbells bells = { 0 };

	line_count = 0;
	for (size_t at = 0, steps = 0; at < size && steps < STEPS_MAX; steps++) {
		size_t what = bytes[at++];

		if (what == PAUSE) {
			pause_all(&bells);
		} else if (what == WHILE) {
			wait_a_while(&bells);
		} else {
			size_t len = what < size - at ? what : size - at;
			uint8_t *stream = malloc(len ? len : 1); // just so long

			demand(stream != NULL, "no memory");
			memcpy(stream, bytes + at, len);
			write_line(stream, len);
			doorbells_note(&bells, stream, len);
			free(stream);
			at += len;
		}
	}
	return 0;
}
