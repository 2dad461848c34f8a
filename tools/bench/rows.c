/* SPDX-License-Identifier: MIT */
#include "bench/rows.h"

const struct row rows[] = {
	{ "empty, 1 in flight", ROW_EMPTY, ROW_PING_PONG, 0, 0, 64, 64, 1, false },
	{ "empty, 1, driver polls", ROW_EMPTY, ROW_NO_LIMIT, 0, 0, 64, 64, 1, true },
	{ "empty, 64 in flight", ROW_EMPTY, ROW_NO_LIMIT, 0, 0, 64, 64, 64, false },
	{ "create 64x64", ROW_CREATE, ROW_PING_PONG, 0, 0, 64, 64, 1, false },
	{ "create 1080p", ROW_CREATE, ROW_PING_PONG, 0, 0, 1920, 1080, 1, false },
	{ "create 64x64, 16", ROW_CREATE, ROW_NO_LIMIT, 0, 0, 64, 64, 16, false },
	{ "create 1080p, 16", ROW_CREATE, ROW_NO_LIMIT, 0, 0, 1920, 1080, 16, false },
	{ "update 1080p", ROW_UPDATE, ROW_SOCKET, 1920, 1080, 1920, 1080, 1, false },
	{ "update 2160p", ROW_UPDATE, ROW_SOCKET, 3840, 2160, 3840, 2160, 1, false },
	{ "flush 1080p", ROW_FLUSH, ROW_SOCKET, 1920, 1080, 1920, 1080, 1, false },
	{ "flush 2160p", ROW_FLUSH, ROW_SOCKET, 3840, 2160, 3840, 2160, 1, false },
	{ "update 64x64 of 1080p", ROW_UPDATE, ROW_SOCKET, 1920, 1080, 64, 64, 1, false },
	{ "update 64x64 of 2160p", ROW_UPDATE, ROW_SOCKET, 3840, 2160, 64, 64, 1, false },
	{ "update 64x64 of 1080p, 16", ROW_UPDATE, ROW_SOCKET, 1920, 1080, 64, 64, 16, false },
	{ "update 64x64 of 2160p, 16", ROW_UPDATE, ROW_SOCKET, 3840, 2160, 64, 64, 16, false },
	{ "transfer 1080p", ROW_TRANSFER, ROW_MEMCPY, 0, 0, 1920, 1080, 1, false },
	{ "transfer 2160p", ROW_TRANSFER, ROW_MEMCPY, 0, 0, 3840, 2160, 1, false },
	{ "cursor move, 1 in flight", ROW_CURSOR, ROW_NO_LIMIT, 1920, 1080, 0, 0, 1, false },
	{ "cursor move, 16 in flight", ROW_CURSOR, ROW_NO_LIMIT, 1920, 1080, 0, 0, 16, false },
};
const size_t row_count = sizeof(rows) / sizeof(rows[0]);
