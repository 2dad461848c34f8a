/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

/* The rows of the table: what is measured, and beside which limit of the machine. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum row_kind {
	ROW_EMPTY, // flush of a resource that is not shown
	ROW_CREATE, // create, attach, destroy
	ROW_UPDATE, // transfer and flush, whole at the display
	ROW_FLUSH, // flush alone, whole at the display
	ROW_TRANSFER, // transfer alone
	ROW_CURSOR, // move
};

enum row_limit {
	ROW_NO_LIMIT,
	ROW_PING_PONG, // of two processes
	ROW_SOCKET, // messages as large as the row's UPDATEs
	ROW_MEMCPY,
};

struct row {
	const char *name;
	enum row_kind kind;
	enum row_limit limit;
	uint32_t screen_width; // 0: nothing shown
	uint32_t screen_height;
	uint32_t width; // of what is created, transferred or flushed
	uint32_t height;
	uint32_t in_flight;
	bool spin; // the driver polls the used ring; only with --poll
};

extern const struct row rows[];
extern const size_t row_count;

#endif
