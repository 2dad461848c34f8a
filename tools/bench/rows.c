/* SPDX-License-Identifier: MIT */
#include "bench/rows.h"

static const struct row transport[] = {
	{ "empty, 1 in flight", ROW_EMPTY, ROW_PING_PONG, 0, 0, 64, 64, 1, false, false },
	{ "empty, 1, driver polls", ROW_EMPTY, ROW_NO_LIMIT, 0, 0, 64, 64, 1, true, false },
	{ "empty, 64 in flight", ROW_EMPTY, ROW_NO_LIMIT, 0, 0, 64, 64, 64, false, false },
	{ "create 64x64", ROW_CREATE, ROW_PING_PONG, 0, 0, 64, 64, 1, false, false },
	{ "create 1080p", ROW_CREATE, ROW_PING_PONG, 0, 0, 1920, 1080, 1, false, false },
	{ "create 64x64, 16", ROW_CREATE, ROW_NO_LIMIT, 0, 0, 64, 64, 16, false, false },
	{ "create 1080p, 16", ROW_CREATE, ROW_NO_LIMIT, 0, 0, 1920, 1080, 16, false, false },
	{ "update 1080p", ROW_UPDATE, ROW_SOCKET, 1920, 1080, 1920, 1080, 1, false, false },
	{ "update 2160p", ROW_UPDATE, ROW_SOCKET, 3840, 2160, 3840, 2160, 1, false, false },
	{ "flush 1080p", ROW_FLUSH, ROW_SOCKET, 1920, 1080, 1920, 1080, 1, false, false },
	{ "flush 2160p", ROW_FLUSH, ROW_SOCKET, 3840, 2160, 3840, 2160, 1, false, false },
	{ "update 64x64 of 1080p", ROW_UPDATE, ROW_SOCKET, 1920, 1080, 64, 64, 1, false, false },
	{ "update 64x64 of 2160p", ROW_UPDATE, ROW_SOCKET, 3840, 2160, 64, 64, 1, false, false },
	{ "update 64x64 of 1080p, 16", ROW_UPDATE, ROW_SOCKET, 1920, 1080, 64, 64, 16, false,
		false },
	{ "update 64x64 of 2160p, 16", ROW_UPDATE, ROW_SOCKET, 3840, 2160, 64, 64, 16, false,
		false },
	{ "transfer 1080p", ROW_TRANSFER, ROW_MEMCPY, 0, 0, 1920, 1080, 1, false, false },
	{ "transfer 2160p", ROW_TRANSFER, ROW_MEMCPY, 0, 0, 3840, 2160, 1, false, false },
	{ "cursor move, 1 in flight", ROW_CURSOR, ROW_NO_LIMIT, 1920, 1080, 0, 0, 1, false, false },
	{ "cursor move, 16 in flight", ROW_CURSOR, ROW_NO_LIMIT, 1920, 1080, 0, 0, 16, false,
		false },
};

#define GL_TEXTURE(name, kind, side) { name, kind, ROW_DIRECT, 0, 0, side, side, 1, false, false }
#define GL_BUFFER(name, kind, bytes) { name, kind, ROW_DIRECT, 0, 0, bytes, 1, 1, false, true }

static const struct row gl[] = {
	{ "empty, 1 in flight", ROW_GL_EMPTY, ROW_DIRECT, 0, 0, 0, 0, 1, false, false },
	{ "empty, 1, driver polls", ROW_GL_EMPTY, ROW_DIRECT, 0, 0, 0, 0, 1, true, false },
	{ "empty, 64 in flight", ROW_GL_EMPTY, ROW_DIRECT, 0, 0, 0, 0, 64, false, false },
	GL_TEXTURE("upload 64 KiB texture", ROW_GL_UPLOAD, 128),
	GL_TEXTURE("upload 1 MiB texture", ROW_GL_UPLOAD, 512),
	GL_TEXTURE("upload 4 MiB texture", ROW_GL_UPLOAD, 1024),
	GL_TEXTURE("upload 16 MiB texture", ROW_GL_UPLOAD, 2048),
	GL_TEXTURE("upload 64 MiB texture", ROW_GL_UPLOAD, 4096),
	GL_BUFFER("upload 64 KiB buffer", ROW_GL_UPLOAD, 64 << 10),
	GL_BUFFER("upload 1 MiB buffer", ROW_GL_UPLOAD, 1 << 20),
	GL_BUFFER("upload 4 MiB buffer", ROW_GL_UPLOAD, 4 << 20),
	GL_BUFFER("upload 16 MiB buffer", ROW_GL_UPLOAD, 16 << 20),
	GL_BUFFER("upload 64 MiB buffer", ROW_GL_UPLOAD, 64 << 20),
	GL_TEXTURE("download 64 KiB texture", ROW_GL_DOWNLOAD, 128),
	GL_TEXTURE("download 1 MiB texture", ROW_GL_DOWNLOAD, 512),
	GL_TEXTURE("download 4 MiB texture", ROW_GL_DOWNLOAD, 1024),
	GL_TEXTURE("download 16 MiB texture", ROW_GL_DOWNLOAD, 2048),
	GL_TEXTURE("download 64 MiB texture", ROW_GL_DOWNLOAD, 4096),
	GL_BUFFER("download 64 KiB buffer", ROW_GL_DOWNLOAD, 64 << 10),
	GL_BUFFER("download 1 MiB buffer", ROW_GL_DOWNLOAD, 1 << 20),
	GL_BUFFER("download 4 MiB buffer", ROW_GL_DOWNLOAD, 4 << 20),
	GL_BUFFER("download 16 MiB buffer", ROW_GL_DOWNLOAD, 16 << 20),
	GL_BUFFER("download 64 MiB buffer", ROW_GL_DOWNLOAD, 64 << 20),
	{ "draw, 1 in flight", ROW_GL_DRAW, ROW_DIRECT, 0, 0, 0, 0, 1, false, false },
	{ "draw, 3 in flight", ROW_GL_DRAW, ROW_DIRECT, 0, 0, 0, 0, 3, false, false },
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

const struct row_table rows_of_transport = {
	.command = "transport",
	.limits = "limit of the machine",
	.last_column = SAMPLE_MESSAGES,
	.rows = transport,
	.count = COUNT(transport),
};
const struct row_table rows_of_gl = {
	.command = "gl",
	.limits = "direct calls",
	.last_column = SAMPLE_BANDWIDTH,
	.rows = gl,
	.count = COUNT(gl),
};

uint64_t row_bytes(const struct row *row)
{
	return (uint64_t)row->width * row->height * (row->buffer ? 1 : 4);
}
