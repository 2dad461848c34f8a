/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/quota.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE "VIRTIO_GPUD_MEMORY_QUOTA"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes share the counters");

static struct {
	pthread_mutex_t lock; // of this process's threads
	unsigned int users;
	int fd;
	uint64_t limit; // 0: there is no bound
	_Atomic uint64_t *counters;
	size_t count;
	pid_t owner; // the process whose counter own is; a forked one gets another
	size_t own;
	bool has_complained;
} quota = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void report(const char *text)
{
	fprintf(stderr, "virtio-gpud's memory layer: %s\n", text);
}

/* The mapping keeps its size: the daemon has sealed the file. */
static bool map_counters(void)
{
	struct stat status;
	void *address;

	if (fstat(quota.fd, &status) < 0 || status.st_size < (off_t)sizeof(*quota.counters)) {
		return false;
	}
	address = mmap(
		NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, quota.fd, 0);
	if (address == MAP_FAILED) {
		return false;
	}
	fcntl(quota.fd, F_SETFD, FD_CLOEXEC);
	quota.counters = address;
	quota.count = (size_t)status.st_size / sizeof(*quota.counters);
	return true;
}

static bool open_file(const char *text)
{
	uint64_t limit;
	char rest;

	if (sscanf(text, "%d:%" SCNu64 "%c", &quota.fd, &limit, &rest) != 2 || limit == 0 ||
		!map_counters()) {
		report(VARIABLE " names no counters and limit, and without it there is no Vulkan");
		return false;
	}
	quota.limit = limit;
	return true;
}

bool quota_open(void)
{
	const char *text = getenv(VARIABLE);
	bool is_usable;

	pthread_mutex_lock(&quota.lock);
	is_usable = !text || quota.limit > 0 || open_file(text);
	quota.users += is_usable;
	pthread_mutex_unlock(&quota.lock);
	return is_usable;
}

bool quota_is_set(void)
{
	return quota.limit > 0;
}

uint64_t quota_limit(void)
{
	return quota.limit ? quota.limit : UINT64_MAX;
}

/* Of a counter's bytes, without waiting. What this process has locked itself it can lock again. */
static bool set_lock(size_t index, short type)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(index * sizeof(*quota.counters)),
		.l_len = sizeof(*quota.counters),
	};

	return fcntl(quota.fd, F_SETLK, &lock) == 0;
}

static bool has_own(void)
{
	return quota.owner == getpid();
}

/* The descriptor stays: closing it would drop the lock. */
static void close_file(void)
{
	if (has_own() && atomic_load(&quota.counters[quota.own]) == 0) {
		set_lock(quota.own, F_UNLCK);
		quota.owner = 0;
	}
	munmap(quota.counters, quota.count * sizeof(*quota.counters));
	quota.limit = 0;
}

void quota_close(void)
{
	pthread_mutex_lock(&quota.lock);
	if (--quota.users == 0 && quota.limit > 0) {
		close_file();
	}
	pthread_mutex_unlock(&quota.lock);
}

/* Finds this process a counter. */
static bool claim(void)
{
	if (has_own()) {
		return true;
	}
	for (size_t i = 0; i < quota.count; i++) {
		if (set_lock(i, F_WRLCK)) {
			atomic_store(&quota.counters[i], 0);
			quota.own = i;
			quota.owner = getpid();
			return true;
		}
	}
	return false;
}

/* Frees what processes that are gone have left. */
static void sweep(void)
{
	for (size_t i = 0; i < quota.count; i++) {
		bool is_own = has_own() && i == quota.own;

		if (!is_own && atomic_load(&quota.counters[i]) > 0 && set_lock(i, F_WRLCK)) {
			atomic_store(&quota.counters[i], 0);
			set_lock(i, F_UNLCK);
		}
	}
}

/* By all; a counter that somebody has spoilt makes no less of it. */
static uint64_t taken(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < quota.count; i++) {
		uint64_t bytes = atomic_load(&quota.counters[i]);

		sum = bytes > UINT64_MAX - sum ? UINT64_MAX : sum + bytes;
	}
	return sum;
}

static uint64_t left(void)
{
	uint64_t bytes = taken();

	return bytes < quota.limit ? quota.limit - bytes : 0;
}

/* The order of store and loads matters (both are sequentially consistent): of two, one sees the other. */
static bool try_take(uint64_t bytes)
{
	_Atomic uint64_t *own = &quota.counters[quota.own];
	uint64_t before = atomic_load(own);

	if (bytes > left()) {
		return false;
	}
	atomic_store(own, before + bytes);
	if (taken() > quota.limit) {
		atomic_store(own, before);
		return false;
	}
	return true;
}

static void complain(uint64_t bytes)
{
	char text[160];

	if (quota.has_complained) {
		return;
	}
	quota.has_complained = true;
	if (!has_own()) {
		snprintf(text, sizeof(text),
			"no Vulkan memory: %zu processes of this VM have some, and --max-vulkan-memory "
			"allows no more",
			quota.count);
	} else {
		snprintf(text, sizeof(text),
			"no room for %" PRIu64 " bytes of Vulkan memory: of the VM's %" PRIu64
			" (--max-vulkan-memory) %" PRIu64 " are left; said once",
			bytes, quota.limit, left());
	}
	report(text);
}

bool quota_take(uint64_t bytes)
{
	bool is_taken;

	if (!quota_is_set()) {
		return true;
	}
	pthread_mutex_lock(&quota.lock);
	is_taken = claim() && try_take(bytes);
	if (!is_taken) {
		sweep();
		is_taken = claim() && try_take(bytes);
	}
	if (!is_taken) {
		complain(bytes);
	}
	pthread_mutex_unlock(&quota.lock);
	return is_taken;
}

/* A forked process may free what its parent took: nothing goes below zero. */
void quota_give(uint64_t bytes)
{
	pthread_mutex_lock(&quota.lock);
	if (quota_is_set() && has_own()) {
		_Atomic uint64_t *own = &quota.counters[quota.own];
		uint64_t before = atomic_load(own);

		atomic_store(own, before > bytes ? before - bytes : 0);
	}
	pthread_mutex_unlock(&quota.lock);
}

uint64_t quota_left(void)
{
	uint64_t bytes = UINT64_MAX;

	if (quota_is_set()) {
		pthread_mutex_lock(&quota.lock);
		sweep();
		bytes = left();
		pthread_mutex_unlock(&quota.lock);
	}
	return bytes;
}
