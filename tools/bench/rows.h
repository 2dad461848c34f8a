/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

/* The rows of the table: what is measured, and beside which limit of the machine. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/sample.h"

enum row_kind {
	ROW_EMPTY, // flush of a resource that is not shown
	ROW_CREATE, // create, attach, destroy
	ROW_UPDATE, // transfer and flush, whole at the display
	ROW_FLUSH, // flush alone, whole at the display
	ROW_TRANSFER, // transfer alone
	ROW_CURSOR, // move
	ROW_GL_EMPTY, // a stream of one command that does nothing, and a fence
	ROW_GL_UPLOAD, // TRANSFER_TO_HOST_3D and a fence
	ROW_GL_DOWNLOAD, // TRANSFER_FROM_HOST_3D and a fence
	ROW_GL_DRAW, // a frame of many small draws, and a fence
};

enum row_limit {
	ROW_NO_LIMIT,
	ROW_PING_PONG, // of two processes
	ROW_SOCKET, // messages as large as the row's UPDATEs
	ROW_MEMCPY,
	ROW_DIRECT, // the same calls of the renderer's library in one process
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
	bool buffer; // a buffer is transferred, width bytes; else a texture (gl)
};

/* Bytes of one transfer of a gl row: pixels of 4 bytes, or a buffer's. */
uint64_t row_bytes(const struct row *row);

/* What one command of the program measures. */
struct row_table {
	const char *command; // "transport"
	const char *limits; // what stands beside the back ends
	enum sample_field last_column; // of the printed table
	const struct row *rows;
	size_t count; // at most RESULTS_ROWS
};

extern const struct row_table rows_of_transport;
extern const struct row_table rows_of_gl;

#endif
