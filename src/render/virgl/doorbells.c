/* SPDX-License-Identifier: MIT */
#include "render/virgl/doorbells.h"

#include <string.h>

/* Of VkCommandTypeEXT (Mesa and virglrenderer, venus-protocol). */
enum {
	DESTROY_RING = 189, // vkDestroyRingMESA
	NOTIFY_RING = 190, // vkNotifyRingMESA
};

/* What the commands of rings begin with. */
struct ring_command {
	uint32_t command;
	uint32_t flags;
	uint64_t ring;
};

/* Returns its place, or count. */
static uint32_t find(const struct doorbells *bells, uint64_t ring)
{
	uint32_t i = 0;

	while (i < bells->count && bells->rings[i] != ring) {
		i++;
	}
	return i;
}

/* Its doorbell would cost the driver its context. */
static void forget(struct doorbells *bells, uint64_t ring)
{
	uint32_t i = find(bells, ring);

	if (i < bells->count) {
		bells->count--;
		bells->rings[i] = bells->rings[bells->count];
		bells->ages[i] = bells->ages[bells->count];
	}
}

static bool remember(struct doorbells *bells, uint64_t ring)
{
	uint32_t i = find(bells, ring);

	if (i == DOORBELLS_MAX) {
		return false;
	}
	bells->rings[i] = ring;
	bells->ages[i] = DOORBELL_FRESH;
	bells->count += i == bells->count;
	return true;
}

bool doorbells_note(struct doorbells *bells, const void *stream, size_t size)
{
	struct ring_command command;

	if (size < sizeof(command)) {
		return false;
	}
	memcpy(&command, stream, sizeof(command));
	if (command.command == DESTROY_RING) {
		forget(bells, command.ring);
	}
	return command.command == NOTIFY_RING && size >= sizeof(struct doorbell) &&
		remember(bells, command.ring);
}

bool doorbells_resume(struct doorbells *bells)
{
	for (uint32_t i = 0; i < bells->count; i++) {
		bells->ages[i] = DOORBELL_DUE;
	}
	return bells->count > 0;
}

bool doorbells_next(struct doorbells *bells, struct doorbell *doorbell)
{
	uint32_t i = 0;

	while (i < bells->count && bells->ages[i] != DOORBELL_DUE) {
		i++;
	}
	if (i == bells->count) {
		return false;
	}
	bells->ages[i] = DOORBELL_DONE;
	*doorbell = (struct doorbell){ .command = NOTIFY_RING, .ring = bells->rings[i] };
	return true;
}

bool doorbells_age(struct doorbells *bells)
{
	bool any = false;

	for (uint32_t i = 0; i < bells->count; i++) {
		if (bells->ages[i] == DOORBELL_FRESH) {
			bells->ages[i] = DOORBELL_DUE;
		}
		any |= bells->ages[i] == DOORBELL_DUE;
	}
	return any;
}
