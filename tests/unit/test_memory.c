/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory/memory.h"
#include "memory/mmap.h"
#include "support/array_memory.h"

static size_t page;

/* Where a front end would see a guest address. */
static uint64_t user(uint64_t guest_addr)
{
	return guest_addr + 0x7f0000000000;
}

static struct memory_region_info region(uint64_t guest_addr, uint64_t size)
{
	return (struct memory_region_info){
		.guest_addr = guest_addr, .size = size, .user_addr = user(guest_addr)
	};
}

/* A file of pages, each filled with its number, from `first` on. */
static int make_file(size_t pages, uint8_t first)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint8_t *bytes = malloc(page);

	assert_true(fd >= 0);
	assert_non_null(bytes);
	for (size_t i = 0; i < pages; i++) {
		memset(bytes, (int)(first + i), page);
		assert_int_equal(write(fd, bytes, page), page);
	}
	free(bytes);
	return fd;
}

static struct memory *make_memory(void)
{
	struct memory *memory = memory_create(&memory_mmap_ops, 16);

	assert_non_null(memory);
	return memory;
}

/* Adds pages of a new file that begin with `first`. */
static void add_pages(struct memory *memory, uint64_t guest_addr, size_t pages, uint8_t first)
{
	const struct memory_region_info info = region(guest_addr, pages * page);
	int fd = make_file(pages, first);

	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	close(fd);
}

static void expect_byte(struct memory *memory, uint64_t guest_addr, uint8_t expected)
{
	uint8_t byte = 0;

	assert_int_equal(memory_read(memory, guest_addr, &byte, 1), 0);
	assert_int_equal(byte, expected);
}

static void expect_nothing(struct memory *memory, uint64_t guest_addr)
{
	uint8_t byte = 0;

	assert_int_equal(memory_read(memory, guest_addr, &byte, 1), -EFAULT);
	assert_int_equal(memory_write(memory, guest_addr, &byte, 1), -EFAULT);
}

static void test_copies(void **state)
{
	struct memory *memory = make_memory();
	uint8_t bytes[8] = { 0 };

	(void)state;
	add_pages(memory, 0, 2, 1);
	add_pages(memory, 2 * page, 1, 7);
	add_pages(memory, 4 * page, 1, 9);
	expect_byte(memory, 0, 1);
	expect_byte(memory, 2 * page - 1, 2);
	expect_byte(memory, 2 * page, 7);
	assert_int_equal(memory_read(memory, 2 * page - 4, bytes, 8), 0);
	assert_memory_equal(bytes, "\2\2\2\2\7\7\7\7", 8);
	assert_int_equal(memory_write(memory, 2 * page - 4, "abcdefgh", 8), 0);
	assert_int_equal(memory_read(memory, 2 * page - 4, bytes, 8), 0);
	assert_memory_equal(bytes, "abcdefgh", 8);
	expect_nothing(memory, 3 * page);
	expect_nothing(memory, 5 * page);
	expect_nothing(memory, UINT64_MAX);
	assert_int_equal(memory_read(memory, 3 * page - 4, bytes, 8), -EFAULT);
	assert_int_equal(memory_write(memory, 5 * page - 4, bytes, 8), -EFAULT);
	assert_int_equal(memory_read(memory, 3 * page, bytes, 0), 0);
	memory_destroy(memory);
}

static void test_file_offsets(void **state)
{
	struct memory *memory = make_memory();
	struct memory_region_info info = region(0x100000, page);
	int fd = make_file(4, 1);

	(void)state;
	info.mmap_offset = 2 * page;
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	expect_byte(memory, 0x100000, 3);
	expect_byte(memory, 0x100000 + page - 1, 3);
	/* Not at a page's beginning: the mapping is, the region need not be. */
	info = region(0x200000, page);
	info.mmap_offset = page + 16;
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	expect_byte(memory, 0x200000, 2);
	expect_byte(memory, 0x200000 + page - 17, 2);
	expect_byte(memory, 0x200000 + page - 16, 3);
	expect_nothing(memory, 0x200000 + page);
	close(fd);
	memory_destroy(memory);
}

static void test_short_files_are_refused(void **state)
{
	struct memory *memory = make_memory();
	struct memory_region_info info = region(0, 3 * page);
	int fd = make_file(2, 1);

	(void)state;
	assert_int_equal(memory_add_region(memory, &info, fd), -EINVAL);
	info = region(0, 2 * page);
	info.mmap_offset = 1;
	assert_int_equal(memory_add_region(memory, &info, fd), -EINVAL);
	info = region(0, 1);
	info.mmap_offset = 2 * page;
	assert_int_equal(memory_add_region(memory, &info, fd), -EINVAL);
	info.mmap_offset = UINT64_MAX - 2;
	assert_int_equal(memory_add_region(memory, &info, fd), -EINVAL);
	assert_int_equal(memory_region_count(memory), 0);
	info = region(0, 2 * page);
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	close(fd);
	memory_destroy(memory);
}

static void test_files_that_cannot_be_mapped_are_refused(void **state)
{
	struct memory *memory = make_memory();
	struct memory_region_info info = region(0, page);
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_true(memory_add_region(memory, &info, pipes[0]) < 0);
	assert_int_equal(memory_add_region(memory, &info, -1), -EBADF);
	assert_int_equal(memory_region_count(memory), 0);
	close(pipes[0]);
	close(pipes[1]);
	memory_destroy(memory);
}

static void test_hugetlbfs(void **state)
{
	struct memory *memory = make_memory();
	struct memory_region_info info;
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	struct stat status = { 0 };
	char *host = MAP_FAILED;
	size_t huge;

	(void)state;
	huge = fd >= 0 && fstat(fd, &status) == 0 ? (size_t)status.st_blksize : 0;
	if (huge && ftruncate(fd, 2 * (off_t)huge) == 0) {
		host = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	if (host == MAP_FAILED) {
		close(fd);
		memory_destroy(memory);
		skip(); // this machine has set no huge pages aside
	}
	/* Begins and ends within pages, by less than the file system's own. */
	info = region(0, huge);
	info.mmap_offset = page;
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	host[page] = 5;
	host[page + huge - 1] = 6;
	expect_byte(memory, 0, 5);
	expect_byte(memory, huge - 1, 6);
	assert_int_equal(memory_remove_region(memory, &info), 0);
	munmap(host, 2 * huge);
	close(fd);
	memory_destroy(memory);
}

static void test_wrong_regions_are_refused(void **state)
{
	struct memory *memory = make_memory();
	int fd = make_file(4, 1);
	struct memory_region_info info = region(0x10000000, 0);

	(void)state;
	assert_int_equal(memory_add_region(memory, &info, fd), -EINVAL);
	info = region(UINT64_MAX - page + 1, page);
	info.user_addr = 0;
	assert_int_equal(memory_add_region(memory, &info, fd), -EINVAL);
	info = region(0, page);
	info.user_addr = UINT64_MAX - 1;
	assert_int_equal(memory_add_region(memory, &info, fd), -EINVAL);
	info = region(8, UINT64_MAX - 8);
	assert_true(memory_add_region(memory, &info, fd) < 0);
	assert_int_equal(memory_region_count(memory), 0);
	close(fd);
	memory_destroy(memory);
}

static void test_overlaps_are_refused(void **state)
{
	struct memory *memory = make_memory();
	const uint64_t base = 0x10000000;
	int fd = make_file(4, 1);
	struct memory_region_info info = region(base, 2 * page);

	(void)state;
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	assert_int_equal(memory_add_region(memory, &info, fd), -EEXIST);
	info = region(base + page, page);
	assert_int_equal(memory_add_region(memory, &info, fd), -EEXIST);
	info = region(base - page, 2 * page);
	assert_int_equal(memory_add_region(memory, &info, fd), -EEXIST);
	info = region(base - page, 4 * page);
	assert_int_equal(memory_add_region(memory, &info, fd), -EEXIST);
	info = region(base + 0x1000000, page);
	info.user_addr = user(base + page);
	assert_int_equal(memory_add_region(memory, &info, fd), -EEXIST);
	assert_int_equal(memory_region_count(memory), 1);
	/* Neighbours are fine. */
	info = region(base + 2 * page, page);
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	info = region(base - page, page);
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	close(fd);
	memory_destroy(memory);
}

static void test_max_regions(void **state)
{
	struct memory *memory = memory_create(&memory_mmap_ops, 2);
	int fd = make_file(1, 1);
	struct memory_region_info info = region(0, page);

	(void)state;
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	info = region(page, page);
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	info = region(2 * page, page);
	assert_int_equal(memory_add_region(memory, &info, fd), -ENOSPC);
	info = region(page, page);
	assert_int_equal(memory_remove_region(memory, &info), 0);
	info = region(2 * page, page);
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	close(fd);
	memory_destroy(memory);
}

static void test_remove_names_the_region_exactly(void **state)
{
	struct memory *memory = make_memory();
	struct memory_region_info info;

	(void)state;
	add_pages(memory, 0x100000, 2, 1);
	info = region(0x100000, page);
	assert_int_equal(memory_remove_region(memory, &info), -ENOENT);
	info = region(0x100000 + page, page);
	assert_int_equal(memory_remove_region(memory, &info), -ENOENT);
	info = region(0x100000, 2 * page);
	info.user_addr += page;
	assert_int_equal(memory_remove_region(memory, &info), -ENOENT);
	expect_byte(memory, 0x100000, 1);
	info = region(0x100000, 2 * page);
	assert_int_equal(memory_remove_region(memory, &info), 0);
	expect_nothing(memory, 0x100000);
	assert_int_equal(memory_remove_region(memory, &info), -ENOENT);
	memory_destroy(memory);
}

static void test_user_addresses(void **state)
{
	struct memory *memory = make_memory();
	uint64_t guest = 0;

	(void)state;
	add_pages(memory, 0x100000, 2, 1);
	add_pages(memory, 0x100000 + 2 * page, 1, 1);
	assert_true(memory_user_to_guest(memory, user(0x100000 + 5), 1, &guest));
	assert_int_equal(guest, 0x100005);
	assert_true(memory_user_to_guest(memory, user(0x100000), 2 * page, &guest));
	assert_int_equal(guest, 0x100000);
	assert_true(memory_user_to_guest(memory, user(0x100000 + 2 * page), page, &guest));
	assert_int_equal(guest, 0x100000 + 2 * page);
	guest = 1;
	assert_false(memory_user_to_guest(memory, user(0x100000 + page), page + 1, &guest));
	assert_false(memory_user_to_guest(memory, user(0x100000 + page), UINT64_MAX, &guest));
	assert_false(memory_user_to_guest(memory, 0x100000, 1, &guest));
	assert_false(memory_user_to_guest(memory, user(0x100000 - 1), 1, &guest));
	assert_false(memory_user_to_guest(memory, user(0x100000 + 3 * page), 1, &guest));
	assert_int_equal(guest, 1);
	memory_destroy(memory);
}

static void test_resolve(void **state)
{
	struct memory *memory = make_memory();
	struct memory_span spans[4];

	(void)state;
	add_pages(memory, 0x100000, 1, 1);
	add_pages(memory, 0x100000 + page, 1, 2);
	add_pages(memory, 0x100000 + 2 * page, 1, 3);
	assert_int_equal(memory_resolve(memory, 0x100000, 0, spans, 0), 0);
	assert_int_equal(memory_resolve(memory, 0x100008, 16, spans, 4), 1);
	assert_int_equal(spans[0].offset, 8);
	assert_int_equal(spans[0].len, 16);
	assert_int_equal(memory_resolve(memory, 0x100008, 2 * page, spans, 4), 3);
	assert_int_equal(spans[0].len, page - 8);
	assert_int_equal(spans[1].offset, 0);
	assert_int_equal(spans[1].len, page);
	assert_int_equal(spans[2].len, 8);
	assert_true(spans[0].region_id != spans[1].region_id);
	assert_int_equal(memory_resolve(memory, 0x100008, 2 * page, spans, 2), -ENOSPC);
	assert_int_equal(memory_resolve(memory, 0x100000, page, spans, 0), -ENOSPC);
	assert_int_equal(memory_resolve(memory, 0x100008, 3 * page, spans, 4), -EFAULT);
	assert_int_equal(memory_resolve(memory, 0x100008, UINT64_MAX, spans, 4), -EFAULT);
	assert_int_equal(memory_resolve(memory, 0, 1, spans, 4), -EFAULT);
	memory_destroy(memory);
}

static void test_map_merges_neighbours(void **state)
{
	struct memory *memory = make_memory();
	struct memory_mapping *mapping;
	struct memory_span spans[6];

	(void)state;
	add_pages(memory, 0, 4, 1);
	add_pages(memory, 4 * page, 1, 5);
	assert_int_equal(memory_resolve(memory, 0, page, &spans[0], 1), 1);
	assert_int_equal(memory_resolve(memory, page, page, &spans[1], 1), 1);
	assert_int_equal(memory_resolve(memory, 2 * page, 100, &spans[2], 1), 1);
	assert_int_equal(memory_resolve(memory, 3 * page, page, &spans[3], 1), 1);
	assert_int_equal(memory_resolve(memory, 4 * page, page, &spans[4], 1), 1);
	spans[5] = spans[0]; // a page can come twice
	mapping = memory_map(memory, spans, 6, MEMORY_READ);
	assert_non_null(mapping);
	assert_int_equal(mapping->iov_count, 4);
	assert_int_equal(mapping->len, 5 * page + 100);
	assert_int_equal(mapping->iov[0].iov_len, 2 * page + 100);
	assert_int_equal(((uint8_t *)mapping->iov[0].iov_base)[2 * page], 3);
	assert_int_equal(*(uint8_t *)mapping->iov[1].iov_base, 4);
	assert_int_equal(*(uint8_t *)mapping->iov[2].iov_base, 5);
	assert_int_equal(*(uint8_t *)mapping->iov[3].iov_base, 1);
	memory_mapping_unref(mapping);
	mapping = memory_map(memory, spans, 0, MEMORY_READ);
	assert_non_null(mapping);
	assert_int_equal(mapping->iov_count, 0);
	memory_mapping_unref(mapping);
	memory_mapping_unref(NULL);
	memory_destroy(memory);
}

static void expect_no_mapping(struct memory *memory, const struct memory_span *span)
{
	errno = 0;
	assert_null(memory_map(memory, span, 1, MEMORY_READ));
	assert_int_equal(errno, EFAULT);
}

static void test_map_checks_spans(void **state)
{
	struct memory *memory = make_memory();
	struct memory_span span;
	struct memory_span spans[2];

	(void)state;
	add_pages(memory, 0, 1, 1);
	assert_int_equal(memory_resolve(memory, 0, page, &span, 1), 1);
	spans[0] = span;
	span.len = page + 1;
	expect_no_mapping(memory, &span);
	span.len = 0;
	expect_no_mapping(memory, &span);
	span = (struct memory_span){ spans[0].region_id, page, 1 };
	expect_no_mapping(memory, &span);
	span = (struct memory_span){ spans[0].region_id, UINT64_MAX, 2 };
	expect_no_mapping(memory, &span);
	span = (struct memory_span){ spans[0].region_id + 1, 0, 1 };
	expect_no_mapping(memory, &span);
	spans[1] = span;
	assert_null(memory_map(memory, spans, 2, MEMORY_READ));
	memory_destroy(memory);
}

static void test_map_range_lies_in_one_region(void **state)
{
	struct memory *memory = make_memory();
	struct memory_mapping *mapping;

	(void)state;
	add_pages(memory, 0, 1, 1);
	add_pages(memory, page, 1, 2);
	mapping = memory_map_range(memory, page - 8, 8, MEMORY_READ_WRITE);
	assert_non_null(mapping);
	assert_int_equal(mapping->iov_count, 1);
	memset(mapping->iov[0].iov_base, 0x55, 8);
	expect_byte(memory, page - 8, 0x55);
	memory_mapping_unref(mapping);
	assert_null(memory_map_range(memory, page - 8, 9, MEMORY_READ));
	assert_int_equal(errno, EFAULT);
	assert_null(memory_map_range(memory, 2 * page, 1, MEMORY_READ));
	assert_null(memory_map_range(memory, 0, 0, MEMORY_READ));
	assert_null(memory_map_range(memory, 0, UINT64_MAX, MEMORY_READ));
	memory_destroy(memory);
}

static void test_mappings_keep_removed_regions(void **state)
{
	struct memory *memory = make_memory();
	const struct memory_region_info info = region(0, page);
	struct memory_mapping *mapping;
	struct memory_span span;

	(void)state;
	add_pages(memory, 0, 1, 1);
	assert_int_equal(memory_resolve(memory, 0, page, &span, 1), 1);
	mapping = memory_map(memory, &span, 1, MEMORY_READ);
	assert_ptr_equal(memory_mapping_ref(mapping), mapping);
	assert_int_equal(memory_remove_region(memory, &info), 0);
	assert_int_equal(memory_region_count(memory), 0);
	expect_nothing(memory, 0);
	add_pages(memory, 0, 1, 9); // other memory at the same place
	expect_byte(memory, 0, 9);
	memory_mapping_unref(mapping);
	assert_int_equal(*(uint8_t *)mapping->iov[0].iov_base, 1);
	expect_no_mapping(memory, &span); // the id is not used again
	memory_mapping_unref(mapping);
	memory_destroy(memory);
}

static void test_regions_go_with_the_last_mapping(void **state)
{
	struct memory *memory = array_memory_create();
	const struct memory_region_info info = { .size = page };
	struct memory_mapping *mapping;
	struct memory_mapping *other;

	(void)state;
	array_memory_add(memory, 0, page);
	mapping = memory_map_range(memory, 0, page, MEMORY_READ);
	other = memory_map_range(memory, 0, 16, MEMORY_READ);
	assert_int_equal(array_memory_mapped(), 2);
	memory_remove_region(memory, &info);
	memory_mapping_unref(mapping);
	assert_int_equal(array_memory_mapped(), 1);
	memset(other->iov[0].iov_base, 1, 16); // unmapped by now, were it not counted
	memory_mapping_unref(other);
	assert_int_equal(array_memory_mapped(), 0);
	memory_destroy(memory);
}

static uint32_t id_at(struct memory *memory, uint64_t guest_addr)
{
	struct memory_span span;

	assert_int_equal(memory_resolve(memory, guest_addr, 1, &span, 1), 1);
	return span.region_id;
}

static void test_set_table_keeps_ids(void **state)
{
	struct memory *memory = make_memory();
	int fds[] = { make_file(2, 1), make_file(2, 3), make_file(2, 5) };
	struct memory_region_info infos[] = {
		region(0, 2 * page),
		region(0x200000, 2 * page),
		region(0x400000, 2 * page),
	};
	struct memory_mapping *mapping;
	uint32_t first, second;

	(void)state;
	assert_int_equal(memory_set_table(memory, infos, fds, 2), 0);
	first = id_at(memory, 0);
	second = id_at(memory, 0x200000);
	mapping = memory_map_range(memory, 0, page, MEMORY_READ);
	assert_int_equal(memory_set_table(memory, infos, fds, 3), 0);
	assert_int_equal(memory_region_count(memory), 3);
	assert_int_equal(id_at(memory, 0), first);
	assert_int_equal(id_at(memory, 0x200000), second);
	expect_byte(memory, 0x400000, 5);
	/* Another order, without the first. */
	infos[0] = infos[2];
	fds[0] = dup(fds[2]);
	assert_int_equal(memory_set_table(memory, infos, fds, 2), 0);
	expect_nothing(memory, 0);
	assert_int_equal(id_at(memory, 0x200000), second);
	expect_byte(memory, 0x400000, 5);
	assert_int_equal(*(uint8_t *)mapping->iov[0].iov_base, 1);
	memory_mapping_unref(mapping);
	memory_clear(memory);
	assert_int_equal(memory_region_count(memory), 0);
	expect_nothing(memory, 0x200000);
	memory_destroy(memory);
}

static void test_set_table_sees_other_files(void **state)
{
	struct memory *memory = make_memory();
	int old = make_file(2, 1);
	int new = make_file(2, 3);
	struct memory_region_info info = region(0, page);
	uint32_t id;

	(void)state;
	assert_int_equal(memory_set_table(memory, &info, &old, 1), 0);
	id = id_at(memory, 0);
	assert_int_equal(memory_set_table(memory, &info, &new, 1), 0);
	assert_true(id_at(memory, 0) != id);
	expect_byte(memory, 0, 3);
	id = id_at(memory, 0);
	info.mmap_offset = page;
	assert_int_equal(memory_set_table(memory, &info, &new, 1), 0);
	assert_true(id_at(memory, 0) != id);
	expect_byte(memory, 0, 4);
	id = id_at(memory, 0);
	info.user_addr += page;
	assert_int_equal(memory_set_table(memory, &info, &new, 1), 0);
	assert_true(id_at(memory, 0) != id);
	assert_int_equal(memory_set_table(memory, NULL, NULL, 0), 0);
	assert_int_equal(memory_region_count(memory), 0);
	close(old);
	close(new);
	memory_destroy(memory);
}

static void test_set_table_changes_all_or_nothing(void **state)
{
	struct memory *memory = make_memory();
	int fds[] = { make_file(2, 1), make_file(2, 3), make_file(1, 5) };
	struct memory_region_info infos[] = {
		region(0, 2 * page), region(0x200000, 2 * page),
		region(0x400000, 2 * page), // more than its file
	};
	uint32_t id;

	(void)state;
	assert_int_equal(memory_set_table(memory, infos, fds, 1), 0);
	id = id_at(memory, 0);
	assert_int_equal(memory_set_table(memory, infos, fds, 3), -EINVAL);
	assert_int_equal(memory_region_count(memory), 1);
	assert_int_equal(id_at(memory, 0), id);
	expect_byte(memory, 0, 1);
	expect_nothing(memory, 0x200000);
	infos[2] = infos[1];
	assert_int_equal(memory_set_table(memory, infos, fds, 3), -EEXIST);
	infos[2] = infos[0]; // the kept region, twice
	assert_int_equal(memory_set_table(memory, infos, fds, 3), -EEXIST);
	assert_int_equal(memory_region_count(memory), 1);
	assert_int_equal(id_at(memory, 0), id);
	memory_destroy(memory);
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
	}
}

/* Thousands of regions come in no order, go in another, and each byte is found all the while. */
static void test_many_regions(void **state)
{
	enum {
		COUNT = 4096,
		STEP = 1237, // prime to COUNT
	};
	struct memory *memory = array_memory_create();

	(void)state;
	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t place = i * STEP % COUNT;

		array_memory_add(memory, place * 64, 32)[0] = (uint8_t)(place * 31);
	}
	assert_int_equal(memory_region_count(memory), COUNT);
	for (uint64_t i = 0; i < COUNT; i += 2) {
		const struct memory_region_info info = {
			.guest_addr = i * 64, .size = 32, .user_addr = i * 64
		};

		expect_byte(memory, i * 64, (uint8_t)(i * 31));
		assert_int_equal(memory_remove_region(memory, &info), 0);
		expect_nothing(memory, i * 64);
		expect_byte(memory, (i + 1) * 64, (uint8_t)((i + 1) * 31));
		expect_nothing(memory, (i + 1) * 64 + 32);
	}
	assert_int_equal(memory_region_count(memory), COUNT / 2);
	memory_destroy(memory);
}

static void test_lost_pages_become_zeros(void **state)
{
	struct memory *memory = make_memory();
	struct memory_region_info info = region(0x100000, 4 * page);
	int fd = make_file(4, 1);
	struct memory_mapping *mapping;

	(void)state;
	memory_mmap_install_sigbus_handler();
	add_pages(memory, 0, 1, 1);
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	mapping = memory_map_range(memory, 0x100000, 4 * page, MEMORY_READ_WRITE);
	assert_false(memory_is_damaged(memory));
	assert_int_equal(ftruncate(fd, (off_t)(2 * page)), 0);
	expect_byte(memory, 0x100000 + page, 2);
	assert_false(memory_is_damaged(memory)); // nobody has looked
	expect_byte(memory, 0x100000 + 2 * page, 0);
	assert_true(memory_is_damaged(memory));
	expect_byte(memory, 0x100000 + page, 2);
	memset((uint8_t *)mapping->iov[0].iov_base + 3 * page, 7, page);
	expect_byte(memory, 0x100000 + 4 * page - 1, 7);
	assert_int_equal(memory_remove_region(memory, &info), 0);
	assert_true(memory_is_damaged(memory)); // still mapped
	memory_mapping_unref(mapping);
	assert_true(memory_is_damaged(memory)); // and for good
	close(fd);
	memory_destroy(memory);
}

/* Damage is of the memory that has it. */
static void test_damage_stays_where_it_is(void **state)
{
	struct memory *memory = make_memory();
	struct memory *other = make_memory();
	struct memory_region_info info = region(0, page);
	int fd = make_file(1, 1);

	(void)state;
	memory_mmap_install_sigbus_handler();
	add_pages(other, 0, 1, 3);
	assert_int_equal(memory_add_region(memory, &info, fd), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	expect_byte(memory, 0, 0);
	assert_true(memory_is_damaged(memory));
	assert_false(memory_is_damaged(other));
	memory_destroy(memory);
	memory = make_memory(); // a guard that is used again has no memory of it
	add_pages(memory, 0, 1, 4);
	assert_false(memory_is_damaged(memory));
	close(fd);
	memory_destroy(memory);
	memory_destroy(other);
}

/* Runs act in a child; returns the signal that ended it, or 0. */
static int signal_of(void (*act)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0 };

		setrlimit(RLIMIT_CORE, &none);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_unguarded(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	volatile uint8_t *bytes;

	memory_mmap_install_sigbus_handler();
	/* An emulator maps no file beyond its end; so the page is lost after it was mapped. */
	if (ftruncate(fd, (off_t)page) < 0) {
		return;
	}
	bytes = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	if (ftruncate(fd, 0) == 0) {
		(void)bytes[0];
	}
}

static void send_signal(void)
{
	memory_mmap_install_sigbus_handler();
	kill(getpid(), SIGBUS);
	sleep(1);
}

static void test_other_signals_kill(void **state)
{
	(void)state;
	assert_int_equal(signal_of(touch_unguarded), SIGBUS);
	assert_int_equal(signal_of(send_signal), SIGBUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_file_offsets),
		cmocka_unit_test(test_short_files_are_refused),
		cmocka_unit_test(test_files_that_cannot_be_mapped_are_refused),
		/* Its name is what a report of skipped tests shows. */
		{ .name = "test_hugetlbfs: no huge pages are reserved (vm.nr_hugepages)",
			.test_func = test_hugetlbfs },
		cmocka_unit_test(test_wrong_regions_are_refused),
		cmocka_unit_test(test_overlaps_are_refused),
		cmocka_unit_test(test_max_regions),
		cmocka_unit_test(test_remove_names_the_region_exactly),
		cmocka_unit_test(test_user_addresses),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_map_merges_neighbours),
		cmocka_unit_test(test_map_checks_spans),
		cmocka_unit_test(test_map_range_lies_in_one_region),
		cmocka_unit_test(test_mappings_keep_removed_regions),
		cmocka_unit_test(test_regions_go_with_the_last_mapping),
		cmocka_unit_test(test_set_table_keeps_ids),
		cmocka_unit_test(test_set_table_sees_other_files),
		cmocka_unit_test(test_set_table_changes_all_or_nothing),
		cmocka_unit_test(test_many_regions),
		cmocka_unit_test(test_lost_pages_become_zeros),
		cmocka_unit_test(test_damage_stays_where_it_is),
		cmocka_unit_test(test_other_signals_kill),
	};

	page = (size_t)sysconf(_SC_PAGESIZE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
