/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_WINDOW_H
#define FRONTEND_WINDOW_H

/*
 * The host-visible window, front-end side: a range of offsets into which the back end asks to map files
 * (SHMEM_MAP, SHMEM_UNMAP). Where the guest would see a range of addresses, users here get the file
 * behind an offset, or a pointer.
 *
 * It answers while somebody waits with the session's pump. CONFIG_CHANGE, which comes on the same channel,
 * is counted and answered, too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontend/session.h"

/* Where the window lies in the guest, for a memory table that names its mappings. */
#define FE_WINDOW_AT UINT64_C(0xc000000000)

enum fe_window_kind {
	FE_WINDOW_NONE,
	FE_WINDOW_FILES, // keeps each mapping's descriptor
	FE_WINDOW_MAPPED, // and maps it, into a reserved range of addresses
};

struct fe_window_options {
	enum fe_window_kind kind;
	bool lists; // as QEMU: after its answer names the mapping in the memory table, too
};

struct fe_window_mapping {
	int fd; // owned
	uint64_t fd_offset;
	uint64_t offset; // in the window
	uint64_t len;
	bool writable;
	bool listed; // by ADD_MEM_REG
};

struct fe_window {
	struct fe_window_options options;
	struct fe_session *session; // borrowed
	const struct fe_memory *memory; // borrowed: the table's other regions
	uint64_t size; // 0: there is no window
	int channel; // the session's backend_requests; -1: not to be read now
	uint8_t *area; // FE_WINDOW_MAPPED: size bytes, inaccessible where nothing is mapped
	struct fe_window_mapping *mappings; // ascending
	size_t count;
	size_t capacity;
	uint32_t refuse; // a test's: so many of the next requests are refused
	/* What came. */
	uint64_t maps;
	uint64_t unmaps;
	uint64_t refused;
	uint64_t config_changes;
};

/* Makes it empty: no window. */
void fe_window_init(struct fe_window *window);

/*
 * Asks for the window's size and serves requests from now on. The session has a channel for the back
 * end's requests and a pump. session and memory are borrowed. Returns 0, also when the back end has no
 * window (size is 0 then), or -errno.
 */
int fe_window_open(struct fe_window *window, const struct fe_window_options *options,
	struct fe_session *session, const struct fe_memory *memory);

/* Unmaps and closes all. Can be called twice. */
void fe_window_close(struct fe_window *window);

/* The device is reset: all mappings are gone, which the back end is not told. */
void fe_window_reset(struct fe_window *window);

/* Leaves requests unread, as a front end does whose loop is busy, or reads them again. */
void fe_window_hold(struct fe_window *window, bool hold);

/* Serves one request, which is there; what the pump calls. data is the window. */
void fe_window_serve(void *data);

/* An offset at which len bytes are free, a multiple of the page size; -ENOSPC when there is none. */
int64_t fe_window_find(const struct fe_window *window, uint64_t len);

/*
 * A new descriptor of the file behind [offset, offset + len), the caller's, and where in it that
 * begins. Returns -ENOENT unless one mapping has all of it, or another -errno.
 */
int fe_window_take_fd(
	const struct fe_window *window, uint64_t offset, uint64_t len, uint64_t *fd_offset);

/* The pointer to [offset, offset + len), until it is unmapped; NULL unless FE_WINDOW_MAPPED and mapped. */
void *fe_window_at(const struct fe_window *window, uint64_t offset, uint64_t len);

/* Sends SET_MEM_TABLE with the guest's memory and, where the window lists them, all mappings. */
int fe_window_send_table(struct fe_window *window);

#endif
