/* SPDX-License-Identifier: MIT */
#include "memory/mmap.h"

#include <assert.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/log.h"
#include "memory/guard.h"

/*
 * How this works
 *
 * A region is mapped once, whole, for reading and writing, when it comes; map and unmap only hand out
 * addresses. A file is mapped in its own pages, which hugetlbfs makes large: the mapping begins at the
 * page in which the region begins, and ends at the end of the page in which it ends, so the region lies
 * `lead` bytes into it. A guard watches it (guard.h).
 */

struct mmap_region {
	uint8_t *base; // of the mapping
	size_t mapped_len;
	size_t lead; // bytes from base to the region
	dev_t device;
	ino_t inode;
	uint64_t mmap_offset;
	struct guard *guard;
};

/* The unit in which the file is mapped: a power of two, at least the system's page size. */
static size_t file_page_size(int fd)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	struct statfs system;

	if (fstatfs(fd, &system) == 0 && system.f_type == HUGETLBFS_MAGIC &&
		(size_t)system.f_bsize > page_size &&
		checked_is_power_of_two((uint64_t)system.f_bsize)) {
		page_size = (size_t)system.f_bsize;
	}
	return page_size;
}

/*
 * Refuses a file that ends before the region does: touching what is not there would raise SIGBUS. What
 * is no regular file (a device's memory) has no size to look at, and mmap(2) decides.
 */
static int check_file(const struct memory_region_info *info, int fd, struct stat *status)
{
	if (fstat(fd, status) < 0) {
		int error = errno;

		log_errno(LOG_ERROR, error, "memory region at 0x%llx: cannot stat its file",
			(unsigned long long)info->guest_addr);
		return -error;
	}
	if (S_ISREG(status->st_mode) &&
		!checked_range_within(info->mmap_offset, info->size, (uint64_t)status->st_size)) {
		log_error("memory region at 0x%llx: %llu bytes at offset %llu are more than its "
			  "file's %llu",
			(unsigned long long)info->guest_addr, (unsigned long long)info->size,
			(unsigned long long)info->mmap_offset, (unsigned long long)status->st_size);
		return -EINVAL;
	}
	return 0;
}

/* Fills in where and how much to map; false when that fits no address space. */
static bool lay_out(
	struct mmap_region *region, const struct memory_region_info *info, size_t page_size)
{
	uint64_t lead = info->mmap_offset & (page_size - 1);
	uint64_t len;

	if (!checked_add_u64(info->size, lead, &len) ||
		!checked_add_u64(len, page_size - 1, &len) || len > PTRDIFF_MAX ||
		info->mmap_offset > INT64_MAX) {
		return false;
	}
	region->lead = (size_t)lead;
	region->mapped_len = (size_t)len & ~(page_size - 1);
	region->mmap_offset = info->mmap_offset;
	return true;
}

static int map_file(struct mmap_region *region, int fd, size_t page_size)
{
	region->base = mmap(NULL, region->mapped_len, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_NORESERVE, fd, (off_t)(region->mmap_offset - region->lead));
	if (region->base == MAP_FAILED) {
		return -errno;
	}
	region->guard = guard_add(region->base, region->mapped_len, page_size);
	if (!region->guard) {
		munmap(region->base, region->mapped_len);
		return -ENOMEM;
	}
	/* A guest's memory does not belong into our core file; where this fails it gets larger. */
	madvise(region->base, region->mapped_len, MADV_DONTDUMP);
	return 0;
}

static int mmap_add_region(const struct memory_region_info *info, int fd, void **added)
{
	size_t page_size = file_page_size(fd);
	struct mmap_region *region;
	struct stat status;
	int result = check_file(info, fd, &status);

	if (result < 0) {
		return result;
	}
	region = calloc(1, sizeof(*region));
	if (!region) {
		result = -ENOMEM;
	} else if (!lay_out(region, info, page_size)) {
		result = -EINVAL;
	} else {
		result = map_file(region, fd, page_size);
	}
	if (result < 0) {
		log_errno(LOG_ERROR, -result, "memory region at 0x%llx: cannot map %llu bytes",
			(unsigned long long)info->guest_addr, (unsigned long long)info->size);
		free(region);
		return result;
	}
	region->device = status.st_dev;
	region->inode = status.st_ino;
	*added = region;
	return 0;
}

static void mmap_remove_region(void *data)
{
	struct mmap_region *region = data;

	guard_remove(region->guard);
	munmap(region->base, region->mapped_len);
	free(region);
}

/* The mapping keeps the file, so its number cannot have gone to another one meanwhile. */
static bool mmap_same_region(const void *data, const struct memory_region_info *info, int fd)
{
	const struct mmap_region *region = data;
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_dev == region->device &&
		status.st_ino == region->inode && info->mmap_offset == region->mmap_offset;
}

static void *mmap_map(void *data, uint64_t offset, uint64_t len, enum memory_access access)
{
	const struct mmap_region *region = data;

	(void)len;
	(void)access;
	return region->base + region->lead + offset;
}

static void mmap_unmap(void *data, void *address, uint64_t offset, uint64_t len)
{
	(void)data;
	(void)address;
	(void)offset;
	(void)len;
}

static bool mmap_is_damaged(const void *data)
{
	const struct mmap_region *region = data;

	return guard_was_hit(region->guard);
}

const struct memory_ops memory_mmap_ops = {
	.add_region = mmap_add_region,
	.remove_region = mmap_remove_region,
	.same_region = mmap_same_region,
	.map = mmap_map,
	.unmap = mmap_unmap,
	.is_damaged = mmap_is_damaged,
};

void memory_mmap_install_sigbus_handler(void)
{
	guard_install_handler();
}
