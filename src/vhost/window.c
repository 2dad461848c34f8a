/* SPDX-License-Identifier: MIT */
#include "vhost/session_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/log.h"

/*
 * How this works
 *
 * The front end fills a range of guest addresses with files of ours, asked by SHMEM_MAP and SHMEM_UNMAP
 * on the channel for back-end requests. Nothing here waits for an answer: QEMU's main loop, which would
 * give it, may be waiting for ours to a SET_MEM_TABLE or GET_VRING_BASE. A mapping is on `mappings` from
 * vhost_session_map until it is unmapped; a map or unmap that is under way moves it through
 *
 *   waiting   to be sent: behind others, to a socket that is full, or to a device that is suspended
 *   asked     sent, with NEED_REPLY: without it QEMU says nothing
 *   acked     a map that the front end says it made (below)
 *   ended     the device is told at the end of the turn, behind the answer to the message that ended it
 *
 * An ack is not enough. QEMU answers before it commits the mapping, and a guest that looks at once may
 * see zeros. The commit sends a memory table that names the mapping's file, so a map ends when that has
 * come, or after LISTING_LIMIT_MS: a front end may list no mappings at all, as crosvm, which is learned
 * at the first one, or may have no room for one more. The files are known by device and inode; of several
 * mappings of one file, the oldest ones are listed.
 *
 * A region of the table that is a mapping is no guest memory. It is noted, so that it can be removed,
 * and otherwise left alone.
 *
 * A reset ends all mappings in the front end, without a message, and all are forgotten here. But a map
 * that the front end handles after its reset is there then, where the next driver knows of nothing. Such
 * a mapping, one whose answer did not come before the device was suspended, is kept as an orphan: unmapped
 * when the device runs, before anything else is mapped. That this may be refused is no harm. The same is
 * done, when another channel comes, with what was lost with its channel.
 *
 * An unmap ends with its ack. What follows it is in the front end's hands: it handles the next map, of the
 * same place, when it has committed the unmap. One that is refused has ended, too: the front end knows
 * of no such mapping.
 */

#define LISTING_LIMIT_MS 250u

/* Requests without an answer: the kernel limits the descriptors that are on their way. */
#define ASKED_MAX 64u

/*
 * QEMU has a memory region for each mapping and aborts at the 513th of a device with CONFIGURE_MEM_SLOTS;
 * some are the guest's memory, and a guest may get more of it. Without, a table has eight, and with
 * one more QEMU cannot start the device again after a pause.
 */
#define VMM_REGIONS_MAX 512u
#define LISTED_MAPS_MAX 480u

struct vhost_mapping {
	struct list link; // vhost_window.mappings
	struct list step; // vhost_window.stages[stage]
	enum vhost_stage stage;
	struct vhost_window_map map; // fd is ours, until it is sent
	dev_t device; // of the file, as the next
	ino_t inode;
	uint64_t token;
	uint64_t limit_ns; // while acked: not to be waited for after this
	int result; // while ended
	bool unmapping; // what is under way, or has ended, is an unmap
	bool orphaned; // nobody waits for it
	bool late; // the front end answered while the device was suspended
};

/* A region of the memory table that is a mapping. */
struct listed_region {
	struct list link; // vhost_window.listed
	struct vhost_memory_region region;
	dev_t device;
	ino_t inode;
};

static struct vhost_mapping *from_step(struct list *step)
{
	return container_of(step, struct vhost_mapping, step);
}

static void leave_stage(struct vhost_window *window, struct vhost_mapping *mapping)
{
	list_remove(&mapping->step);
	window->counts[mapping->stage]--;
}

/* Puts it behind `position`, which is on the stage's list. */
static void enter_stage(struct vhost_window *window, struct vhost_mapping *mapping,
	enum vhost_stage stage, struct list *position)
{
	mapping->stage = stage;
	window->counts[stage]++;
	list_insert_after(position, &mapping->step);
}

static void move(struct vhost_window *window, struct vhost_mapping *mapping, enum vhost_stage stage)
{
	leave_stage(window, mapping);
	enter_stage(window, mapping, stage, window->stages[stage].prev);
}

static void free_mapping(struct vhost_window *window, struct vhost_mapping *mapping)
{
	leave_stage(window, mapping);
	list_remove(&mapping->link);
	window->count--;
	fd_close(&mapping->map.fd);
	free(mapping);
}

static void schedule(struct vhost_window *window)
{
	if (window->turn) {
		loop_deferred_schedule(window->turn);
	}
}

static void end_operation(struct vhost_window *window, struct vhost_mapping *mapping, int result)
{
	mapping->result = result;
	move(window, mapping, VHOST_STAGE_ENDED);
	schedule(window);
}

/* Before all that waits: a map of what comes next may need its place. */
static void unmap_orphan(struct vhost_window *window, struct vhost_mapping *mapping)
{
	mapping->orphaned = true;
	mapping->unmapping = true;
	leave_stage(window, mapping);
	enter_stage(window, mapping, VHOST_STAGE_WAITING, &window->stages[VHOST_STAGE_WAITING]);
	schedule(window);
}

/* Telling the device. */

static void tell_ended(struct vhost_session *session)
{
	struct vhost_window *window = &session->window;
	struct list *step;

	while ((step = list_first(&window->stages[VHOST_STAGE_ENDED]))) {
		struct vhost_mapping *mapping = from_step(step);
		uint64_t token = mapping->token;
		int result = mapping->result;

		move(window, mapping, VHOST_STAGE_NONE);
		if (mapping->orphaned) {
			unmap_orphan(window, mapping);
		} else if (mapping->unmapping || result < 0) {
			free_mapping(window, mapping);
		}
		session->ops->window_operation_done(session->device, token, result);
	}
}

static bool is_same_file(const struct vhost_mapping *mapping, dev_t device, ino_t inode)
{
	return mapping->device == device && mapping->inode == inode;
}

static bool is_listed(const struct vhost_window *window, const struct vhost_mapping *mapping)
{
	uint32_t older = 0;
	uint32_t listed = 0;

	list_for_each(link, &window->listed) {
		const struct listed_region *region = container_of(link, struct listed_region, link);

		listed += is_same_file(mapping, region->device, region->inode);
	}
	list_for_each(link, &window->mappings) {
		const struct vhost_mapping *other = container_of(link, struct vhost_mapping, link);

		if (other == mapping) {
			break;
		}
		older += is_same_file(other, mapping->device, mapping->inode);
	}
	return listed > older;
}

static void end_listed(struct vhost_window *window)
{
	list_for_each_safe(step, next, &window->stages[VHOST_STAGE_ACKED]) {
		struct vhost_mapping *mapping = from_step(step);

		if (window->listing == VHOST_LISTING_NO || is_listed(window, mapping)) {
			end_operation(window, mapping, 0);
		}
	}
}

static void start_limit(struct vhost_window *window, uint64_t now)
{
	struct list *step = list_first(&window->stages[VHOST_STAGE_ACKED]);

	if (step && !loop_timer_is_running(window->limit)) {
		uint64_t limit = from_step(step)->limit_ns;
		uint64_t left = limit > now ? limit - now : 0;

		loop_timer_start(window->limit, (uint32_t)(left / 1000000) + 1);
	}
}

static void end_after_limit(struct vhost_window *window, uint64_t now)
{
	static struct log_limit limit = LOG_LIMIT_INIT;

	list_for_each_safe(step, next, &window->stages[VHOST_STAGE_ACKED]) {
		struct vhost_mapping *mapping = from_step(step);

		if (mapping->limit_ns > now) {
			break;
		}
		log_limited(&limit, LOG_WARN,
			"window: the front end has not listed the mapping at 0x%llx in its memory "
			"table for %u ms; the guest may see zeros there for a moment",
			(unsigned long long)mapping->map.offset, LISTING_LIMIT_MS);
		end_operation(window, mapping, 0);
	}
}

static void handle_limit(void *data)
{
	struct vhost_session *session = data;
	struct vhost_window *window = &session->window;
	struct list *step = list_first(&window->stages[VHOST_STAGE_ACKED]);
	uint64_t now = loop_now_ns();

	if (step && window->listing == VHOST_LISTING_UNKNOWN && from_step(step)->limit_ns <= now) {
		log_debug("window: the front end does not list mappings in its memory table");
		window->listing = VHOST_LISTING_NO;
	}
	if (window->listing == VHOST_LISTING_NO) {
		end_listed(window);
	} else {
		end_after_limit(window, now);
	}
	start_limit(window, now);
}

/* Requests and answers. */

/* An orphan that the front end may still map must be unmapped before anything takes its place. */
static bool awaits_orphan(const struct vhost_window *window)
{
	list_for_each(step, &window->stages[VHOST_STAGE_ASKED]) {
		const struct vhost_mapping *mapping = from_step(step);

		if (mapping->orphaned && !mapping->unmapping) {
			return true;
		}
	}
	return false;
}

static int send_request(struct vhost_session *session, struct vhost_mapping *mapping)
{
	const struct vhost_shmem_map message = {
		.region = VHOST_SHMEM_HOST_VISIBLE,
		.fd_offset = mapping->unmapping ? 0 : mapping->map.fd_offset,
		.offset = mapping->map.offset,
		.len = mapping->map.len,
		.flags = mapping->map.writable && !mapping->unmapping ? VHOST_SHMEM_WRITABLE : 0,
	};
	uint32_t request = mapping->unmapping ? VHOST_BACKEND_SHMEM_UNMAP : VHOST_BACKEND_SHMEM_MAP;
	int error = vhost_wire_send_fd(&session->channel, request,
		VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY, &message, sizeof(message),
		mapping->map.fd);

	if (error == 0) {
		fd_close(&mapping->map.fd);
		move(&session->window, mapping, VHOST_STAGE_ASKED);
	}
	return error;
}

static void send_waiting(struct vhost_session *session)
{
	struct vhost_window *window = &session->window;
	struct list *step;
	int error = 0;

	while (error == 0 && window->counts[VHOST_STAGE_ASKED] < ASKED_MAX &&
		!awaits_orphan(window) &&
		(step = list_first(&window->stages[VHOST_STAGE_WAITING]))) {
		error = send_request(session, from_step(step));
	}
	if (error < 0 && error != -EAGAIN) {
		vhost_channel_close(session, "cannot send", -error);
	}
}

static void handle_turn(void *data)
{
	struct vhost_session *session = data;

	end_listed(&session->window);
	tell_ended(session);
	if (session->channel.fd >= 0 && vhost_session_takes_requests(session)) {
		send_waiting(session);
	}
}

void vhost_window_send(struct vhost_session *session)
{
	schedule(&session->window);
}

static void log_refused(const struct vhost_mapping *mapping)
{
	static struct log_limit limit = LOG_LIMIT_INIT;

	log_limited(&limit, mapping->orphaned ? LOG_DEBUG : LOG_WARN,
		"window: the front end refused to %s %llu bytes at 0x%llx",
		mapping->unmapping ? "unmap" : "map", (unsigned long long)mapping->map.len,
		(unsigned long long)mapping->map.offset);
}

static void take_orphans_answer(
	struct vhost_window *window, struct vhost_mapping *mapping, bool refused)
{
	if (refused || mapping->unmapping) {
		free_mapping(window, mapping);
	} else {
		unmap_orphan(window, mapping);
	}
}

static void await_listing(struct vhost_session *session, struct vhost_mapping *mapping)
{
	struct vhost_window *window = &session->window;
	bool runs = vhost_session_is_started(session);
	uint64_t now = loop_now_ns();

	mapping->late = !runs;
	mapping->limit_ns = now + LISTING_LIMIT_MS * UINT64_C(1000000);
	move(window, mapping, VHOST_STAGE_ACKED);
	if (runs) {
		start_limit(window, now);
	}
}

int vhost_window_take_answer(struct vhost_session *session, const struct vhost_message *answer)
{
	struct vhost_window *window = &session->window;
	bool unmapping = answer->header.request == VHOST_BACKEND_SHMEM_UNMAP;
	bool refused = answer->payload.u64 != 0;
	struct list *step = list_first(&window->stages[VHOST_STAGE_ASKED]);
	struct vhost_mapping *mapping = step ? from_step(step) : NULL;

	if (!mapping || mapping->unmapping != unmapping) {
		return -EBADMSG;
	}
	if (refused) {
		log_refused(mapping);
	}
	if (mapping->orphaned) {
		take_orphans_answer(window, mapping, refused);
	} else if (refused || unmapping) {
		end_operation(window, mapping, refused ? -EIO : 0);
	} else {
		await_listing(session, mapping);
	}
	schedule(window);
	return 0;
}

/* What the device asks for. */

bool vhost_session_has_window(const struct vhost_session *session)
{
	return session->window.wanted && session->channel.fd >= 0 &&
		vhost_session_has(session, VHOST_PROTOCOL_F_SHMEM) &&
		vhost_session_has(session, VHOST_PROTOCOL_F_REPLY_ACK) &&
		vhost_session_has(session, VHOST_PROTOCOL_F_BACKEND_SEND_FD);
}

static uint32_t max_mappings(const struct vhost_session *session)
{
	bool slots = vhost_session_has(session, VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	uint32_t regions = slots ? VMM_REGIONS_MAX : VHOST_MEMORY_TABLE_MAX;
	uint32_t memory = memory_region_count(session->memory);
	uint32_t left = regions > memory ? regions - memory : 0;

	if (session->window.listing == VHOST_LISTING_NO) {
		return session->config.max_memory_slots;
	}
	return left < LISTED_MAPS_MAX ? left : LISTED_MAPS_MAX;
}

static bool is_of_pages(const struct vhost_window_map *map)
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);

	return map->len > 0 && ((map->fd_offset | map->offset | map->len) & (page_size - 1)) == 0;
}

static bool is_within_file(const struct vhost_window_map *map, const struct stat *status)
{
	/* What is no regular file (a dma-buf) has no size to look at. */
	uint64_t size = S_ISREG(status->st_mode) ? (uint64_t)status->st_size : INT64_MAX;

	return checked_range_within(map->fd_offset, map->len, size);
}

/* Orphans are gone before a new mapping is made. */
static bool overlaps(const struct vhost_window *window, const struct vhost_window_map *map)
{
	list_for_each(link, &window->mappings) {
		const struct vhost_mapping *other = container_of(link, struct vhost_mapping, link);

		if (!other->orphaned &&
			checked_ranges_overlap(
				map->offset, map->len, other->map.offset, other->map.len)) {
			return true;
		}
	}
	return false;
}

static int check_room(const struct vhost_session *session)
{
	static struct log_limit limit = LOG_LIMIT_INIT;
	uint32_t max = max_mappings(session);

	if (session->window.count < max) {
		return 0;
	}
	log_limited(
		&limit, LOG_WARN, "window: %u mappings are all that the front end can have", max);
	return -ENOSPC;
}

static int check_map(const struct vhost_session *session, const struct vhost_window_map *map)
{
	if (!vhost_session_has_window(session)) {
		return -ENOTSUP;
	}
	if (!is_of_pages(map) ||
		!checked_range_within(map->offset, map->len, session->config.window_size)) {
		return -EINVAL;
	}
	return overlaps(&session->window, map) ? -EEXIST : check_room(session);
}

static int create_mapping(const struct vhost_window_map *map, struct vhost_mapping **created)
{
	struct vhost_mapping *mapping;
	struct stat status;

	if (fstat(map->fd, &status) < 0) {
		return -errno;
	}
	if (!is_within_file(map, &status)) {
		return -EINVAL;
	}
	mapping = calloc(1, sizeof(*mapping));
	if (!mapping) {
		return -ENOMEM;
	}
	mapping->map = *map;
	mapping->map.fd = fcntl(map->fd, F_DUPFD_CLOEXEC, 0);
	if (mapping->map.fd < 0) {
		int error = errno;

		free(mapping);
		return -error;
	}
	mapping->device = status.st_dev;
	mapping->inode = status.st_ino;
	*created = mapping;
	return 0;
}

int vhost_session_map(
	struct vhost_session *session, const struct vhost_window_map *map, uint64_t token)
{
	struct vhost_window *window = &session->window;
	struct vhost_mapping *mapping = NULL;
	int error = check_map(session, map);

	if (error == 0) {
		error = create_mapping(map, &mapping);
	}
	if (error < 0) {
		log_debug("window: cannot map %llu bytes at 0x%llx: %s",
			(unsigned long long)map->len, (unsigned long long)map->offset,
			strerror(-error));
		return error;
	}
	mapping->token = token;
	window->count++;
	list_append(&window->mappings, &mapping->link);
	enter_stage(window, mapping, VHOST_STAGE_WAITING, window->stages[VHOST_STAGE_WAITING].prev);
	schedule(window);
	return VHOST_PENDING;
}

static struct vhost_mapping *find_mapped(struct vhost_window *window, uint64_t offset, uint64_t len)
{
	list_for_each(step, &window->stages[VHOST_STAGE_NONE]) {
		struct vhost_mapping *mapping = from_step(step);

		if (mapping->map.offset == offset && mapping->map.len == len) {
			return mapping;
		}
	}
	return NULL;
}

int vhost_session_unmap(
	struct vhost_session *session, uint64_t offset, uint64_t len, uint64_t token)
{
	struct vhost_window *window = &session->window;
	struct vhost_mapping *mapping = find_mapped(window, offset, len);

	if (!mapping) {
		return -ENOENT;
	}
	if (!vhost_session_has_window(session)) {
		unmap_orphan(window, mapping);
		return -ENOTSUP;
	}
	mapping->token = token;
	mapping->unmapping = true;
	move(window, mapping, VHOST_STAGE_WAITING);
	schedule(window);
	return VHOST_PENDING;
}

/* The memory table. */

static bool is_mapped_file(const struct vhost_window *window, const struct stat *status)
{
	list_for_each(link, &window->mappings) {
		const struct vhost_mapping *mapping = container_of(
			link, struct vhost_mapping, link);

		if (is_same_file(mapping, status->st_dev, status->st_ino)) {
			return true;
		}
	}
	return false;
}

int vhost_window_list(struct vhost_session *session, struct list *listed,
	const struct vhost_memory_region *region, int fd)
{
	struct vhost_window *window = &session->window;
	struct listed_region *noted;
	struct stat status;

	if (list_is_empty(&window->mappings) || fstat(fd, &status) < 0 ||
		!is_mapped_file(window, &status)) {
		return 0;
	}
	if (listed == &window->listed && window->listed_count >= VMM_REGIONS_MAX) {
		return -ENOSPC;
	}
	noted = calloc(1, sizeof(*noted));
	if (!noted) {
		return -ENOMEM;
	}
	*noted = (struct listed_region){
		.region = *region, .device = status.st_dev, .inode = status.st_ino
	};
	list_append(listed, &noted->link);
	window->listed_count += listed == &window->listed;
	window->listing = VHOST_LISTING_YES;
	schedule(window);
	return 1;
}

bool vhost_window_unlist(struct vhost_session *session, const struct vhost_memory_region *region)
{
	struct vhost_window *window = &session->window;

	list_for_each(link, &window->listed) {
		struct listed_region *noted = container_of(link, struct listed_region, link);

		if (noted->region.guest_addr == region->guest_addr &&
			noted->region.user_addr == region->user_addr &&
			noted->region.size == region->size) {
			list_remove(link);
			free(noted);
			window->listed_count--;
			return true;
		}
	}
	return false;
}

void vhost_window_drop_listed(struct list *listed)
{
	struct list *link;

	while ((link = list_first(listed))) {
		list_remove(link);
		free(container_of(link, struct listed_region, link));
	}
}

void vhost_window_replace_listed(struct vhost_session *session, struct list *listed)
{
	struct vhost_window *window = &session->window;
	struct list *link;

	vhost_window_drop_listed(&window->listed);
	window->listed_count = 0;
	while ((link = list_first(listed))) {
		list_remove(link);
		list_append(&window->listed, link);
		window->listed_count++;
	}
}

/* The session. */

int vhost_handle_get_shmem_config(struct vhost_session *session, struct vhost_message *message)
{
	struct vhost_shmem_config config = { .count = session->config.window_size != 0 };

	config.sizes[VHOST_SHMEM_HOST_VISIBLE] = session->config.window_size;
	session->window.wanted = config.count > 0;
	return vhost_message_reply(session, message, &config, sizeof(config));
}

int vhost_window_init(struct vhost_session *session)
{
	struct vhost_window *window = &session->window;

	*window = (struct vhost_window){ 0 };
	list_init(&window->mappings);
	list_init(&window->listed);
	for (int i = 0; i < VHOST_STAGE_COUNT; i++) {
		list_init(&window->stages[i]);
	}
	if (session->config.window_size == 0) {
		return 0;
	}
	window->turn = loop_add_deferred(session->loop, handle_turn, session);
	window->limit = loop_add_timer(session->loop, handle_limit, session);
	return window->turn && window->limit ? 0 : -ENOMEM;
}

void vhost_window_finish(struct vhost_session *session)
{
	struct vhost_window *window = &session->window;

	list_for_each_safe(link, next, &window->mappings) {
		free_mapping(window, container_of(link, struct vhost_mapping, link));
	}
	assert(window->count == 0);
	vhost_window_drop_listed(&window->listed);
	loop_remove_deferred(window->turn);
	window->turn = NULL;
	loop_remove_timer(window->limit);
	window->limit = NULL;
}

void vhost_window_suspend(struct vhost_session *session)
{
	/* No table comes while the device is suspended: the one of the restart names all. */
	if (session->window.limit) {
		loop_timer_stop(session->window.limit);
	}
}

void vhost_window_resume(struct vhost_session *session)
{
	struct vhost_window *window = &session->window;
	uint64_t now = loop_now_ns();

	list_for_each(link, &window->mappings) {
		struct vhost_mapping *mapping = container_of(link, struct vhost_mapping, link);

		mapping->late = false;
		mapping->limit_ns = now + LISTING_LIMIT_MS * UINT64_C(1000000);
	}
	start_limit(window, now);
	schedule(window);
}

void vhost_window_reset(struct vhost_session *session)
{
	struct vhost_window *window = &session->window;

	list_for_each_safe(link, next, &window->mappings) {
		struct vhost_mapping *mapping = container_of(link, struct vhost_mapping, link);

		if (mapping->stage == VHOST_STAGE_ASKED) {
			mapping->orphaned = true;
		} else if (mapping->late) {
			unmap_orphan(window, mapping);
		} else {
			free_mapping(window, mapping);
		}
	}
}

/* What was sent may have been done: the answer is lost. */
static void lose_request(struct vhost_window *window, struct vhost_mapping *mapping)
{
	bool was_asked = mapping->stage == VHOST_STAGE_ASKED;

	if (!mapping->orphaned) {
		mapping->orphaned = was_asked || mapping->unmapping;
		end_operation(window, mapping, -EIO);
	} else if (was_asked) {
		unmap_orphan(window, mapping);
	}
}

void vhost_window_lose_channel(struct vhost_session *session)
{
	struct vhost_window *window = &session->window;

	list_for_each_safe(link, next, &window->mappings) {
		struct vhost_mapping *mapping = container_of(link, struct vhost_mapping, link);

		if (mapping->stage == VHOST_STAGE_WAITING || mapping->stage == VHOST_STAGE_ASKED) {
			lose_request(window, mapping);
		}
	}
}
