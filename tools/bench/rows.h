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
	ROW_VK_EMPTY, // a submission of nothing, and a wait for its fence
	ROW_VK_COMPUTE, // a dispatch that takes the native driver width microseconds
	ROW_VK_DRAW, // a frame of many draws that takes it so long
	ROW_VK_WRITE_CACHED, // the processor copies into mapped memory of the host
	ROW_VK_WRITE_UNCACHED,
	ROW_VK_WRITE_LOCAL, // of the device
	ROW_VK_READ_CACHED, // and from there
	ROW_VK_READ_UNCACHED,
	ROW_VK_READ_LOCAL,
	ROW_VK_MAP, // MAP_BLOB and UNMAP_BLOB of one blob, from a front end
};

enum row_limit {
	ROW_NO_LIMIT,
	ROW_PING_PONG, // of two processes
	ROW_SOCKET, // messages as large as the row's UPDATEs
	ROW_MEMCPY,
	ROW_DIRECT, // the same calls of the renderer's library in one process
	ROW_SUBJECT, // none, and other back ends than the subject have no such row either
	ROW_NATIVE, // the same Vulkan program without a back end
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

/* Bytes of one transfer of a gl or vulkan row: pixels of 4 bytes, or a buffer's. */
uint64_t row_bytes(const struct row *row);

/* What one command of the program measures. */
struct row_table {
	const char *command; // "transport"
	const char *limits; // what stands beside the back ends
	const char *ratio; // head of the column of ratios to it
	const char *second_cpu; // what runs on the third processor, for the header
	const char *driver; // head of the line that says what draws; NULL: none
	bool named_reference; // only a back end of this name is one, else the second is
	bool processes; // the table of back ends' processes is filled in
	enum sample_field last_column; // of the printed table
	const struct row *rows;
	size_t count; // at most RESULTS_ROWS
};

extern const struct row_table rows_of_transport;
extern const struct row_table rows_of_gl;
extern const struct row_table rows_of_vulkan;

#endif
