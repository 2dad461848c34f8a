/* SPDX-License-Identifier: MIT */
#include "vhost/session_impl.h"

#include <errno.h>
#include <stddef.h>

/*
 * Rings that run while the table changes are taken off the old mapping first, and put on the new one
 * after it: a ring whose memory is gone is broken then.
 *
 * QEMU also names what it mapped into the window for us. That is no guest memory: a file that cannot be
 * mapped here (a dma-buf) must not fail the table, nor may a guest lay a ring into a blob (window.c).
 */

static void update_queues(struct vhost_session *session)
{
	for (uint32_t i = 0; i < session->config.queue_count; i++) {
		vhost_queue_update(&session->queues[i]);
	}
}

static struct memory_region_info describe(const struct vhost_memory_region *region)
{
	return (struct memory_region_info){
		.guest_addr = region->guest_addr,
		.size = region->size,
		.user_addr = region->user_addr,
		.mmap_offset = region->mmap_offset,
	};
}

/* UINT32_MAX, which no message has, when the count is out of bounds. */
uint32_t vhost_memory_table_size(const union vhost_payload *payload)
{
	const struct vhost_memory_table *table = &payload->table;

	if (table->count > VHOST_MEMORY_TABLE_MAX) {
		return UINT32_MAX;
	}
	return (uint32_t)(offsetof(struct vhost_memory_table, regions) +
		table->count * sizeof(table->regions[0]));
}

struct memory_table {
	struct memory_region_info infos[VHOST_MEMORY_TABLE_MAX];
	int fds[VHOST_MEMORY_TABLE_MAX];
	uint32_t count;
};

/* Parts guest memory from the window's mappings. Returns 0 or -errno. */
static int sort_table(struct vhost_session *session, const struct vhost_message *message,
	struct memory_table *memory, struct list *listed)
{
	const struct vhost_memory_table *table = &message->payload.table;

	memory->count = 0;
	for (uint32_t i = 0; i < table->count; i++) {
		int result = vhost_window_list(
			session, listed, &table->regions[i], message->fds[i]);

		if (result < 0) {
			return result;
		}
		if (result == 0) {
			memory->infos[memory->count] = describe(&table->regions[i]);
			memory->fds[memory->count++] = message->fds[i];
		}
	}
	return 0;
}

int vhost_handle_set_mem_table(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_memory_table *table = &message->payload.table;
	struct memory_table memory;
	struct list listed;
	int error;

	if (message->fd_count != table->count) {
		return vhost_message_refuse(message, -EBADMSG, "%u regions with %zu descriptors",
			table->count, message->fd_count);
	}
	list_init(&listed);
	error = sort_table(session, message, &memory, &listed);
	if (error == 0) {
		vhost_session_pause_queues(session);
		error = memory_set_table(session->memory, memory.infos, memory.fds, memory.count);
		update_queues(session);
	}
	if (error < 0) {
		vhost_window_drop_listed(&listed);
		return vhost_message_refuse(message, error, "the table cannot be used");
	}
	vhost_window_replace_listed(session, &listed);
	return 0;
}

int vhost_handle_get_max_mem_slots(struct vhost_session *session, struct vhost_message *message)
{
	const uint64_t slots = session->config.max_memory_slots;

	return vhost_message_reply(session, message, &slots, sizeof(slots));
}

int vhost_handle_add_mem_reg(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_memory_region *region = &message->payload.region.region;
	const struct memory_region_info info = describe(region);
	int result = vhost_window_list(session, &session->window.listed, region, message->fds[0]);

	if (result == 0) {
		result = memory_add_region(session->memory, &info, message->fds[0]);
	}
	if (result < 0) {
		return vhost_message_refuse(message, result, "the region cannot be added");
	}
	return 0;
}

int vhost_handle_rem_mem_reg(struct vhost_session *session, struct vhost_message *message)
{
	const struct vhost_memory_region *region = &message->payload.region.region;
	const struct memory_region_info info = describe(region);
	int error;

	if (vhost_window_unlist(session, region)) {
		return 0;
	}
	vhost_session_pause_queues(session);
	error = memory_remove_region(session->memory, &info);
	update_queues(session);
	if (error < 0) {
		return vhost_message_refuse(message, error, "there is no such region");
	}
	return 0;
}
