/* SPDX-License-Identifier: MIT */
#include "frontend/window.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "frontend/wire.h"

/*
 * How this works
 *
 * A request is refused where QEMU refuses it: no window of this id, no descriptor, no whole pages, past
 * the end of the window or of the file, overlapping another mapping, or an unmap that is not exactly one
 * map. A message about the memory table is sent behind the answer, as QEMU does, but nobody waits for
 * its answer here: the pump may serve us while an answer to something else is awaited.
 */

enum {
	CAPACITY_FIRST = 16,
	REQUEST_MS = 1000, // a request comes whole, or not at all
};

struct request {
	struct vhost_header header;
	struct vhost_shmem_map map;
	int fd; // -1: none
};

void fe_window_init(struct fe_window *window)
{
	*window = (struct fe_window){ .channel = -1 };
}

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The first mapping that ends behind the offset. */
static size_t find_place(const struct fe_window *window, uint64_t offset)
{
	size_t i = 0;

	while (i < window->count &&
		window->mappings[i].offset + window->mappings[i].len <= offset) {
		i++;
	}
	return i;
}

/* The mapping that has all of the range; NULL when none has. */
static struct fe_window_mapping *find_mapping(
	const struct fe_window *window, uint64_t offset, uint64_t len)
{
	size_t place = find_place(window, offset);
	struct fe_window_mapping *mapping = &window->mappings[place];

	if (place == window->count || mapping->offset > offset ||
		!checked_range_within(offset - mapping->offset, len, mapping->len)) {
		return NULL;
	}
	return mapping;
}

static int reserve_area(struct fe_window *window)
{
	void *area = mmap(
		NULL, window->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (area == MAP_FAILED) {
		return -errno;
	}
	window->area = area;
	return 0;
}

int fe_window_open(struct fe_window *window, const struct fe_window_options *options,
	struct fe_session *session, const struct fe_memory *memory)
{
	struct vhost_shmem_config config;
	int error = fe_session_get_shmem_config(session, &config);

	fe_window_init(window);
	if (error < 0 || config.sizes[VHOST_SHMEM_HOST_VISIBLE] == 0) {
		return error;
	}
	window->options = *options;
	window->session = session;
	window->memory = memory;
	window->size = config.sizes[VHOST_SHMEM_HOST_VISIBLE];
	window->channel = session->backend_requests;
	if (options->kind == FE_WINDOW_MAPPED) {
		error = reserve_area(window);
	}
	if (error < 0) {
		fe_window_init(window);
		return error;
	}
	fe_pump_add(session->pump, &window->channel, NULL, fe_window_serve, window);
	return 0;
}

void fe_window_hold(struct fe_window *window, bool hold)
{
	window->channel = hold || !window->session ? -1 : window->session->backend_requests;
}

static void protect(struct fe_window *window, const struct fe_window_mapping *mapping)
{
	if (window->area) {
		mmap(window->area + mapping->offset, mapping->len, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	}
}

static void remove_mapping(struct fe_window *window, size_t index)
{
	struct fe_window_mapping *mapping = &window->mappings[index];

	protect(window, mapping);
	fd_close(&mapping->fd);
	window->count--;
	memmove(mapping, mapping + 1, (window->count - index) * sizeof(*mapping));
}

void fe_window_close(struct fe_window *window)
{
	if (window->session) {
		fe_pump_remove(window->session->pump, window);
	}
	while (window->count > 0) {
		remove_mapping(window, window->count - 1);
	}
	free(window->mappings);
	if (window->area) {
		munmap(window->area, window->size);
	}
	fe_window_init(window);
}

/* The memory table. */

static struct fe_region region_of(const struct fe_window_mapping *mapping)
{
	return (struct fe_region){
		.fd = mapping->fd,
		.host = (uint8_t *)(uintptr_t)(FE_WINDOW_AT + mapping->offset), // names it only
		.guest_addr = FE_WINDOW_AT + mapping->offset,
		.size = mapping->len,
		.mmap_offset = mapping->fd_offset,
	};
}

static bool has_slots(const struct fe_window *window)
{
	return window->session->protocol_features >> VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS & 1;
}

static int add_to_table(struct vhost_memory_table *table, int fds[static VHOST_MEMORY_TABLE_MAX],
	const struct fe_region *region)
{
	if (table->count == VHOST_MEMORY_TABLE_MAX) {
		return -ENOBUFS;
	}
	table->regions[table->count] = fe_session_describe(region);
	fds[table->count++] = region->fd;
	return 0;
}

/* Returns the message's size or -errno. */
static int make_table(const struct fe_window *window, struct vhost_memory_table *table,
	int fds[static VHOST_MEMORY_TABLE_MAX])
{
	int error = 0;

	*table = (struct vhost_memory_table){ 0 };
	for (size_t i = 0; error == 0 && i < window->memory->count; i++) {
		if (window->memory->regions[i].fd >= 0) {
			error = add_to_table(table, fds, &window->memory->regions[i]);
		}
	}
	for (size_t i = 0; error == 0 && window->options.lists && i < window->count; i++) {
		const struct fe_region region = region_of(&window->mappings[i]);

		error = add_to_table(table, fds, &region);
	}
	if (error < 0) {
		return error;
	}
	return (int)(offsetof(struct vhost_memory_table, regions) +
		table->count * sizeof(table->regions[0]));
}

int fe_window_send_table(struct fe_window *window)
{
	struct vhost_memory_table table;
	int fds[VHOST_MEMORY_TABLE_MAX];
	int size = make_table(window, &table, fds);

	if (size < 0) {
		return size;
	}
	return fe_session_tell(
		window->session, VHOST_SET_MEM_TABLE, &table, (uint32_t)size, fds, table.count);
}

/* As QEMU over the limit of regions, it says nothing then. */
static void commit_table(struct fe_window *window)
{
	struct vhost_memory_table table;
	int fds[VHOST_MEMORY_TABLE_MAX];
	int size = make_table(window, &table, fds);

	if (size > 0) {
		fe_session_send(window->session, VHOST_SET_MEM_TABLE, VHOST_FLAG_VERSION, &table,
			(uint32_t)size, fds, table.count);
	}
}

static void commit_slot(struct fe_window *window, uint32_t request, const struct fe_region *region)
{
	struct vhost_single_region message = { .region = fe_session_describe(region) };

	fe_session_send(window->session, request, VHOST_FLAG_VERSION, &message, sizeof(message),
		&region->fd, request == VHOST_ADD_MEM_REG);
}

static void list_mapping(struct fe_window *window, struct fe_window_mapping *mapping)
{
	const struct fe_region region = region_of(mapping);

	if (has_slots(window)) {
		mapping->listed = true;
		commit_slot(window, VHOST_ADD_MEM_REG, &region);
	} else {
		commit_table(window);
	}
}

void fe_window_reset(struct fe_window *window)
{
	while (window->count > 0) {
		const struct fe_window_mapping *last = &window->mappings[window->count - 1];
		const struct fe_region region = region_of(last);

		if (last->listed) {
			commit_slot(window, VHOST_REM_MEM_REG, &region);
		}
		remove_mapping(window, window->count - 1);
	}
}

/* Requests. */

static bool is_sound(const struct fe_window *window, const struct vhost_shmem_map *map)
{
	return map->region == VHOST_SHMEM_HOST_VISIBLE && map->len > 0 &&
		((map->fd_offset | map->offset | map->len) & (page_size() - 1)) == 0 &&
		checked_range_within(map->offset, map->len, window->size);
}

static bool is_within_file(const struct vhost_shmem_map *map, int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0) {
		return false;
	}
	/* What is no regular file (a dma-buf) has no size to look at. */
	return !S_ISREG(status.st_mode) ||
		checked_range_within(map->fd_offset, map->len, (uint64_t)status.st_size);
}

static bool is_free(const struct fe_window *window, uint64_t offset, uint64_t len)
{
	size_t place = find_place(window, offset);

	return place == window->count ||
		!checked_ranges_overlap(
			offset, len, window->mappings[place].offset, window->mappings[place].len);
}

static bool map_into_area(struct fe_window *window, const struct request *request)
{
	int protection = PROT_READ | (request->map.flags & VHOST_SHMEM_WRITABLE ? PROT_WRITE : 0);

	return !window->area ||
		mmap(window->area + request->map.offset, request->map.len, protection,
			MAP_SHARED | MAP_FIXED, request->fd,
			(off_t)request->map.fd_offset) != MAP_FAILED;
}

static bool grow(struct fe_window *window)
{
	size_t capacity = window->capacity ? 2 * window->capacity : CAPACITY_FIRST;
	struct fe_window_mapping *grown;

	if (window->count < window->capacity) {
		return true;
	}
	grown = realloc(window->mappings, capacity * sizeof(*grown));
	if (!grown) {
		return false;
	}
	window->mappings = grown;
	window->capacity = capacity;
	return true;
}

/* Takes the descriptor. NULL when it is refused. */
static struct fe_window_mapping *map(struct fe_window *window, struct request *request)
{
	const struct vhost_shmem_map *wanted = &request->map;
	size_t place = find_place(window, wanted->offset);
	struct fe_window_mapping *mapping;

	if (request->fd < 0 || !is_sound(window, wanted) || !is_within_file(wanted, request->fd) ||
		!is_free(window, wanted->offset, wanted->len) || !grow(window) ||
		!map_into_area(window, request)) {
		return NULL;
	}
	mapping = &window->mappings[place];
	memmove(mapping + 1, mapping, (window->count - place) * sizeof(*mapping));
	window->count++;
	*mapping = (struct fe_window_mapping){
		.fd = request->fd,
		.fd_offset = wanted->fd_offset,
		.offset = wanted->offset,
		.len = wanted->len,
		.writable = wanted->flags & VHOST_SHMEM_WRITABLE,
	};
	request->fd = -1;
	return mapping;
}

static int answer(struct fe_window *window, const struct request *request, bool good)
{
	window->refused += !good;
	if (!(request->header.flags & VHOST_FLAG_NEED_REPLY)) {
		return 0;
	}
	return fe_session_backend_reply(window->session, &request->header, good ? 0 : 1);
}

static int handle_map(struct fe_window *window, struct request *request, bool refuse)
{
	struct fe_window_mapping *mapping = refuse ? NULL : map(window, request);
	int error = answer(window, request, mapping);

	window->maps++;
	if (mapping && window->options.lists) {
		list_mapping(window, mapping);
	}
	return error;
}

static int handle_unmap(struct fe_window *window, const struct request *request, bool refuse)
{
	const struct vhost_shmem_map *wanted = &request->map;
	size_t place = find_place(window, wanted->offset);
	bool good = !refuse && request->fd < 0 && is_sound(window, wanted) &&
		place < window->count && window->mappings[place].offset == wanted->offset &&
		window->mappings[place].len == wanted->len;
	int error = answer(window, request, good);

	window->unmaps++;
	if (!good) {
		return error;
	}
	const struct fe_region region = region_of(&window->mappings[place]);
	bool listed = window->mappings[place].listed;

	remove_mapping(window, place);
	if (listed) {
		commit_slot(window, VHOST_REM_MEM_REG, &region);
	} else if (window->options.lists) {
		commit_table(window);
	}
	return error;
}

static int handle_request(struct fe_window *window, struct request *request)
{
	bool refuse = window->refuse > 0;

	switch (request->header.request) {
	case VHOST_BACKEND_SHMEM_MAP:
		window->refuse -= refuse;
		return handle_map(window, request, refuse);
	case VHOST_BACKEND_SHMEM_UNMAP:
		window->refuse -= refuse;
		return handle_unmap(window, request, refuse);
	case VHOST_BACKEND_CONFIG_CHANGE:
		window->config_changes++;
		return answer(window, request, true);
	default:
		return answer(window, request, false);
	}
}

/* Without the pump, which would call us again. */
static int receive(struct fe_window *window, struct request *request)
{
	int error = fe_wire_read(window->channel, NULL, &request->header, sizeof(request->header),
		&request->fd, REQUEST_MS);

	if (error == 0 && request->header.size > sizeof(request->map)) {
		error = -EMSGSIZE;
	}
	if (error == 0) {
		error = fe_wire_read(window->channel, NULL, &request->map, request->header.size,
			NULL, REQUEST_MS);
	}
	return error;
}

void fe_window_serve(void *data)
{
	struct fe_window *window = data;
	struct request request = { .fd = -1 };
	int error = receive(window, &request);

	if (error == 0) {
		error = handle_request(window, &request);
	}
	fd_close(&request.fd);
	if (error < 0) {
		window->channel = -1; // broken, or at its end
	}
}

/* Users. */

int64_t fe_window_find(const struct fe_window *window, uint64_t len)
{
	uint64_t offset = 0;
	uint64_t whole;

	if (len == 0 || !checked_add_u64(len, page_size() - 1, &whole)) {
		return -ENOSPC;
	}
	whole &= ~(page_size() - 1);
	for (size_t i = 0; i < window->count; i++) {
		if (window->mappings[i].offset - offset >= whole) {
			break;
		}
		offset = window->mappings[i].offset + window->mappings[i].len;
	}
	return checked_range_within(offset, whole, window->size) ? (int64_t)offset : -ENOSPC;
}

int fe_window_take_fd(
	const struct fe_window *window, uint64_t offset, uint64_t len, uint64_t *fd_offset)
{
	const struct fe_window_mapping *mapping = find_mapping(window, offset, len);
	int fd = mapping ? fcntl(mapping->fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (!mapping) {
		return -ENOENT;
	}
	if (fd < 0) {
		return -errno;
	}
	*fd_offset = mapping->fd_offset + (offset - mapping->offset);
	return fd;
}

void *fe_window_at(const struct fe_window *window, uint64_t offset, uint64_t len)
{
	return window->area && find_mapping(window, offset, len) ? window->area + offset : NULL;
}
