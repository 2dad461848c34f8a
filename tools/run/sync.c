/* SPDX-License-Identifier: MIT */
#include "run/sync.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "frontend/pump.h"

struct sync {
	uint32_t id;
	uint32_t references; // the client's is one
	uint64_t value;
};

struct sync_goal {
	struct sync *sync; // a reference
	uint64_t value;
};

struct sync_wait {
	struct list link;
	int fd; // a duplicate of the client's
	bool any;
	uint64_t end_ns; // nobody looks at it afterwards
	size_t left; // goals that are not reached
	struct sync_goal goals[];
};

void syncs_init(struct syncs *syncs)
{
	*syncs = (struct syncs){ .next_id = 1 };
	list_init(&syncs->waits);
}

static int compare(const void *left, const void *right)
{
	const struct sync *a = left;
	const struct sync *b = right;

	return a->id < b->id ? -1 : a->id > b->id;
}

static struct sync *find(const struct syncs *syncs, uint32_t id)
{
	const struct sync key = { .id = id };
	struct sync *const *found = tfind(&key, &syncs->by_id, compare);

	return found ? *found : NULL;
}

uint32_t syncs_create(struct syncs *syncs, uint64_t value)
{
	struct sync *sync = syncs->count < SYNC_MAX ? calloc(1, sizeof(*sync)) : NULL;

	if (!sync) {
		return 0;
	}
	*sync = (struct sync){ .id = syncs->next_id, .references = 1, .value = value };
	if (find(syncs, sync->id) || !tsearch(sync, &syncs->by_id, compare)) {
		free(sync);
		return 0;
	}
	syncs->next_id += syncs->next_id == UINT32_MAX ? 2 : 1; // 0 is no number
	syncs->count++;
	return sync->id;
}

void syncs_release(struct syncs *syncs, struct sync *sync)
{
	assert(sync->references > 0);
	sync->references--;
	if (sync->references == 0) {
		syncs->count--;
		free(sync);
	}
}

void syncs_unref(struct syncs *syncs, uint32_t id)
{
	struct sync *sync = find(syncs, id);

	if (sync) {
		tdelete(sync, &syncs->by_id, compare);
		syncs_release(syncs, sync);
	}
}

bool syncs_read(const struct syncs *syncs, uint32_t id, uint64_t *value)
{
	const struct sync *sync = find(syncs, id);

	if (sync) {
		*value = sync->value;
	}
	return sync != NULL;
}

struct sync *syncs_hold(const struct syncs *syncs, uint32_t id)
{
	struct sync *sync = find(syncs, id);

	if (sync) {
		sync->references++;
	}
	return sync;
}

static void wait_free(struct syncs *syncs, struct sync_wait *wait)
{
	list_remove(&wait->link);
	syncs->wait_count--;
	for (size_t i = 0; i < wait->left; i++) {
		syncs_release(syncs, wait->goals[i].sync);
	}
	fd_close(&wait->fd);
	free(wait);
}

void syncs_finish(struct syncs *syncs)
{
	struct list *link;

	while ((link = list_first(&syncs->waits))) {
		wait_free(syncs, container_of(link, struct sync_wait, link));
	}
	tdestroy(syncs->by_id, free);
	syncs->by_id = NULL;
}

/* Drops the goals that the object's value reaches. Is the wait over? */
static bool reach(struct syncs *syncs, struct sync_wait *wait, const struct sync *sync)
{
	size_t before = wait->left;

	for (size_t i = wait->left; i-- > 0;) {
		struct sync_goal *goal = &wait->goals[i];

		if (goal->sync == sync && goal->value <= sync->value) {
			syncs_release(syncs, goal->sync);
			*goal = wait->goals[--wait->left];
		}
	}
	return wait->left == 0 || (wait->any && wait->left < before);
}

static void end_waits(struct syncs *syncs, const struct sync *sync)
{
	list_for_each_safe(link, following, &syncs->waits) {
		struct sync_wait *wait = container_of(link, struct sync_wait, link);

		if (reach(syncs, wait, sync)) {
			fd_event_signal(wait->fd);
			wait_free(syncs, wait);
		}
	}
}

void syncs_set(struct syncs *syncs, struct sync *sync, uint64_t value)
{
	bool rises = value > sync->value;

	sync->value = value;
	if (rises) {
		sync->references++; // a wait's may be the last
		end_waits(syncs, sync);
		syncs_release(syncs, sync);
	}
}

static void drop_expired(struct syncs *syncs)
{
	uint64_t now = list_is_empty(&syncs->waits) ? 0 : fe_now_ns();

	list_for_each_safe(link, following, &syncs->waits) {
		struct sync_wait *wait = container_of(link, struct sync_wait, link);

		if (wait->end_ns < now) {
			wait_free(syncs, wait);
		}
	}
}

/* Takes references of the objects that have not come so far. Returns 0 or -ENOENT. */
static int add_goals(struct syncs *syncs, struct sync_wait *wait,
	const struct vtest_sync_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = vtest_u64(values[i].value);
		struct sync *sync = find(syncs, values[i].id);

		if (!sync) {
			return -ENOENT;
		}
		if (sync->value < value) {
			sync->references++;
			wait->goals[wait->left++] = (struct sync_goal){ sync, value };
		}
	}
	return 0;
}

static struct sync_wait *make_wait(struct syncs *syncs, size_t count, bool any, uint32_t timeout_ms)
{
	struct sync_wait *wait = malloc(sizeof(*wait) + count * sizeof(wait->goals[0]));

	if (wait) {
		*wait = (struct sync_wait){
			.fd = -1,
			.any = any,
			.end_ns = timeout_ms > INT32_MAX
				? UINT64_MAX
				: fe_now_ns() + (uint64_t)timeout_ms * 1000000u,
		};
		list_init(&wait->link);
		list_append(&syncs->waits, &wait->link);
		syncs->wait_count++;
	}
	return wait;
}

/* The client's descriptor, or -errno. A wait that goes on keeps a duplicate. */
static int open_wait(struct sync_wait *wait, bool is_over)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0) {
		return -errno;
	}
	if (is_over) {
		fd_event_signal(fd);
		return fd;
	}
	wait->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (wait->fd < 0) {
		int error = errno;

		fd_close(&fd);
		return -error;
	}
	return fd;
}

int syncs_wait(struct syncs *syncs, const struct vtest_sync_value *values, size_t count, bool any,
	uint32_t timeout_ms)
{
	struct sync_wait *wait;
	bool is_over;
	int error, fd;

	drop_expired(syncs);
	if (syncs->wait_count == SYNC_WAIT_MAX) {
		return -ENOSPC;
	}
	wait = make_wait(syncs, count, any, timeout_ms);
	if (!wait) {
		return -ENOMEM;
	}
	error = add_goals(syncs, wait, values, count);
	is_over = wait->left == 0 || (any && wait->left < count);
	fd = error < 0 ? error : open_wait(wait, is_over);
	if (fd < 0 || is_over || timeout_ms == 0) {
		wait_free(syncs, wait);
	}
	return fd;
}

bool syncs_are_awaited(const struct syncs *syncs)
{
	return !list_is_empty(&syncs->waits);
}
