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

#define VK_BUSY(name, kind, us, in_flight) \
	{ name, kind, ROW_NATIVE, 0, 0, us, 0, in_flight, false, false }
#define VK_COPY(name, kind, bytes) { name, kind, ROW_NATIVE, 0, 0, bytes, 1, 1, false, true }

/* What is not cached is read slowly. */
static const struct row vulkan[] = {
	VK_BUSY("empty submit + wait", ROW_VK_EMPTY, 0, 1),
	VK_BUSY("compute 10 ms", ROW_VK_COMPUTE, 10000, 1),
	VK_BUSY("compute 50 ms", ROW_VK_COMPUTE, 50000, 1),
	VK_BUSY("draw 10 ms", ROW_VK_DRAW, 10000, 1),
	VK_BUSY("draw 10 ms, 2 in flight", ROW_VK_DRAW, 10000, 2),
	VK_COPY("write 64 MiB, cached", ROW_VK_WRITE_CACHED, 64 << 20),
	VK_COPY("write 64 MiB, not cached", ROW_VK_WRITE_UNCACHED, 64 << 20),
	VK_COPY("write 16 MiB, device's", ROW_VK_WRITE_LOCAL, 16 << 20),
	VK_COPY("read 64 MiB, cached", ROW_VK_READ_CACHED, 64 << 20),
	VK_COPY("read 1 MiB, not cached", ROW_VK_READ_UNCACHED, 1 << 20),
	VK_COPY("read 1 MiB, device's", ROW_VK_READ_LOCAL, 1 << 20),
	{ "map + unmap", ROW_VK_MAP, ROW_SUBJECT, 0, 0, 0, 0, 1, false, false },
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

const struct row_table rows_of_transport = {
	.command = "transport",
	.limits = "limit of the machine",
	.ratio = "rate / limit",
	.second_cpu = "display",
	.processes = true,
	.last_column = SAMPLE_MESSAGES,
	.rows = transport,
	.count = COUNT(transport),
};
const struct row_table rows_of_gl = {
	.command = "gl",
	.limits = "direct calls",
	.ratio = "rate / direct",
	.second_cpu = "and",
	.driver = "GL driver",
	.named_reference = true,
	.processes = true,
	.last_column = SAMPLE_BANDWIDTH,
	.rows = gl,
	.count = COUNT(gl),
};
const struct row_table rows_of_vulkan = {
	.command = "vulkan",
	.limits = "native driver",
	.ratio = "rate / native",
	.second_cpu = "and",
	.driver = "Vulkan",
	.named_reference = true,
	.last_column = SAMPLE_BANDWIDTH,
	.rows = vulkan,
	.count = COUNT(vulkan),
};

uint64_t row_bytes(const struct row *row)
{
	return (uint64_t)row->width * row->height * (row->buffer ? 1 : 4);
}
