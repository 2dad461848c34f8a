/* SPDX-License-Identifier: MIT */
#include "daemon/screenshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

static int copy_rows(struct frame *frame, uint8_t *to)
{
	const struct rect whole = { 0, 0, frame->width, frame->height };
	const size_t row = (size_t)frame->width * FRAME_PIXEL_SIZE;
	struct frame_view view;
	int result = frame_begin_read(frame, &whole, &view);

	if (result < 0) {
		return result;
	}
	for (uint32_t y = 0; y < frame->height; y++) {
		memcpy(to + y * row, view.pixels + y * view.stride, row);
	}
	frame_end_read(frame);
	return 0;
}

static int fill(int fd, struct frame *frame)
{
	const uint64_t size = frame_size(frame->width, frame->height);
	uint8_t *pixels;
	int result;

	if (size > INT64_MAX || ftruncate(fd, (off_t)size) < 0) {
		return -ENOMEM;
	}
	pixels = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pixels == MAP_FAILED) {
		return -errno;
	}
	result = copy_rows(frame, pixels);
	munmap(pixels, (size_t)size);
	return result;
}

int screenshot_to_memfd(struct frame *frame)
{
	int fd = memfd_create("screenshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int result;

	if (fd < 0) {
		return -errno;
	}
	result = fill(fd, frame);
	if (result == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) <
			0) {
		result = -errno;
	}
	if (result < 0) {
		fd_close(&fd);
		return result;
	}
	return fd;
}
