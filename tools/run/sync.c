/* SPDX-License-Identifier: MIT */
#include "run/sync.h"

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
	uint64_t value;
};

struct sync_wait {
	struct list link;
	int fd; // a duplicate of the client's
	bool any;
	uint64_t end_ns; // nobody looks at it afterwards
	size_t count;
	struct vtest_sync_value values[];
};

void syncs_init(struct syncs *syncs)
{
	*syncs = (struct syncs){ .next_id = 1 };
	list_init(&syncs->waits);
}

static void wait_free(struct syncs *syncs, struct sync_wait *wait)
{
	list_remove(&wait->link);
	syncs->wait_count--;
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
	*sync = (struct sync){ syncs->next_id, value };
	if (!tsearch(sync, &syncs->by_id, compare)) {
		free(sync);
		return 0;
	}
	syncs->next_id++;
	syncs->count++;
	return sync->id;
}

void syncs_unref(struct syncs *syncs, uint32_t id)
{
	struct sync *sync = find(syncs, id);

	if (sync) {
		tdelete(sync, &syncs->by_id, compare);
		free(sync);
		syncs->count--;
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

/* An object that has gone is not reached. */
static bool is_over(const struct syncs *syncs, const struct sync_wait *wait)
{
	size_t reached = 0;

	for (size_t i = 0; i < wait->count; i++) {
		const struct sync *sync = find(syncs, wait->values[i].id);

		reached += sync && sync->value >= vtest_u64(wait->values[i].value);
	}
	return wait->any && wait->count > 0 ? reached > 0 : reached == wait->count;
}

static void end_waits(struct syncs *syncs)
{
	uint64_t now = list_is_empty(&syncs->waits) ? 0 : fe_now_ns();

	list_for_each_safe(link, following, &syncs->waits) {
		struct sync_wait *wait = container_of(link, struct sync_wait, link);

		if (is_over(syncs, wait)) {
			fd_event_signal(wait->fd);
			wait_free(syncs, wait);
		} else if (wait->end_ns < now) {
			wait_free(syncs, wait);
		}
	}
}

bool syncs_write(struct syncs *syncs, uint32_t id, uint64_t value)
{
	struct sync *sync = find(syncs, id);

	if (!sync) {
		return false;
	}
	sync->value = value;
	end_waits(syncs);
	return true;
}

static struct sync_wait *make_wait(
	const struct vtest_sync_value *values, size_t count, bool any, uint32_t timeout_ms)
{
	struct sync_wait *wait = malloc(sizeof(*wait) + count * sizeof(*values));

	if (wait) {
		*wait = (struct sync_wait){
			.any = any,
			.end_ns = timeout_ms > INT32_MAX
				? UINT64_MAX
				: fe_now_ns() + (uint64_t)timeout_ms * 1000000u,
			.count = count,
		};
		list_init(&wait->link);
		memcpy(wait->values, values, count * sizeof(*values));
		wait->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	return wait;
}

int syncs_wait(struct syncs *syncs, const struct vtest_sync_value *values, size_t count, bool any,
	uint32_t timeout_ms)
{
	struct sync_wait *wait;
	int fd;

	for (size_t i = 0; i < count; i++) {
		if (!find(syncs, values[i].id)) {
			return -ENOENT;
		}
	}
	end_waits(syncs);
	if (syncs->wait_count == SYNC_MAX) {
		return -ENOSPC;
	}
	wait = make_wait(values, count, any, timeout_ms);
	if (!wait) {
		return -ENOMEM;
	}
	list_append(&syncs->waits, &wait->link);
	syncs->wait_count++;
	fd = wait->fd < 0 ? -EMFILE : fcntl(wait->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		wait_free(syncs, wait);
		return -EMFILE;
	}
	end_waits(syncs);
	return fd;
}

bool syncs_are_awaited(const struct syncs *syncs)
{
	return !list_is_empty(&syncs->waits);
}
