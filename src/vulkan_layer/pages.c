/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Address space of that size; what is needed to find it at a multiple of alignment is given back. */
static uint8_t *reserve(size_t size, size_t alignment)
{
	uint8_t *begin = mmap(NULL, size + alignment, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (begin == MAP_FAILED) {
		return NULL;
	}
	before = (alignment - (uintptr_t)begin % alignment) % alignment;
	if (before > 0) {
		munmap(begin, before);
	}
	munmap(begin + before + size, alignment - before);
	return begin + before;
}

static int map(int fd, uint64_t size, uint64_t alignment, struct pages *pages)
{
	uint8_t *place;

	if (alignment > SIZE_MAX / 4 || size > SIZE_MAX / 2) {
		return -ENOMEM;
	}
	place = reserve((size_t)size, (size_t)alignment);
	if (!place) {
		return -errno;
	}
	if (mmap(place, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		MAP_FAILED) {
		int error = -errno;

		munmap(place, (size_t)size);
		return error;
	}
	*pages = (struct pages){ .fd = fd, .address = place, .size = (size_t)size };
	return 0;
}

int pages_create(uint64_t size, uint64_t alignment, struct pages *pages)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
	int fd = memfd_create("virtio-gpud-vulkan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int result = -EINVAL;

	if (fd < 0) {
		return -errno;
	}
	if (size <= INT64_MAX) {
		result = ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0
			? -errno
			: map(fd, size, alignment, pages);
	}
	if (result < 0) {
		close(fd);
	}
	return result;
}

/* Memory that somebody else may shrink would be a bus error here, one day. */
static bool keeps_its_size(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat status;

	if (seals >= 0) {
		return seals & F_SEAL_SHRINK;
	}
	return fstat(fd, &status) == 0 && !S_ISREG(status.st_mode);
}

int pages_import(int fd, uint64_t size, uint64_t alignment, struct pages *pages)
{
	off_t end = lseek(fd, 0, SEEK_END);

	if (end < 0 || (uint64_t)end < size || !keeps_its_size(fd)) {
		return -EINVAL;
	}
	return map(fd, size, alignment, pages);
}

int pages_release(struct pages *pages)
{
	int fd = pages->fd;

	munmap(pages->address, pages->size);
	*pages = (struct pages){ .fd = -1 };
	return fd;
}

void pages_destroy(struct pages *pages)
{
	close(pages_release(pages));
}
