/* SPDX-License-Identifier: MIT */
#include "frontend/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BASE UINT64_C(0x40000000)
#define SIZE UINT64_C(0x10000)

static int setup(void **state)
{
	static struct fe_memory memory;

	fe_memory_init(&memory);
	assert_int_equal(fe_memory_add_region(&memory, BASE, SIZE), 0);
	*state = &memory;
	return 0;
}

static int teardown(void **state)
{
	fe_memory_finish(*state);
	return 0;
}

static void test_spans_are_aligned_and_apart(void **state)
{
	struct fe_memory *memory = *state;
	struct fe_span a = fe_memory_alloc(memory, 10, 1);
	struct fe_span b = fe_memory_alloc(memory, 10, 4096);

	assert_int_equal(a.addr, BASE);
	assert_int_equal(b.addr, BASE + 4096);
	assert_ptr_equal((char *)a.host + 4096, b.host);
	assert_ptr_equal(fe_memory_at(memory, b.addr, 10), b.host);
	assert_int_equal(fe_memory_addr(memory, b.host), b.addr);
}

static void test_freed_neighbours_join(void **state)
{
	struct fe_memory *memory = *state;
	struct fe_span spans[4];

	for (int i = 0; i < 4; i++) {
		spans[i] = fe_memory_alloc(memory, SIZE / 4, 1);
		assert_int_equal(spans[i].size, SIZE / 4);
	}
	assert_int_equal(fe_memory_alloc(memory, 1, 1).size, 0);
	fe_memory_free(memory, &spans[2]);
	fe_memory_free(memory, &spans[0]);
	fe_memory_free(memory, &spans[1]);
	assert_int_equal(spans[1].size, 0);
	fe_memory_free(memory, &spans[3]);
	assert_int_equal(fe_memory_alloc(memory, SIZE, 1).size, SIZE);
}

static void test_reused_memory_is_zero(void **state)
{
	struct fe_memory *memory = *state;
	struct fe_span span = fe_memory_alloc(memory, 64, 1);

	memset(span.host, 0xff, 64);
	fe_memory_free(memory, &span);
	span = fe_memory_alloc(memory, 64, 1);
	assert_int_equal(span.addr, BASE);
	assert_int_equal(*(uint64_t *)span.host, 0);
}

static void test_lookup_stays_within_one_region(void **state)
{
	struct fe_memory *memory = *state;

	assert_int_equal(fe_memory_add_region(memory, BASE + SIZE, SIZE), 1);
	assert_non_null(fe_memory_at(memory, BASE + SIZE - 4, 4));
	assert_null(fe_memory_at(memory, BASE + SIZE - 4, 8));
	assert_null(fe_memory_at(memory, BASE - 1, 1));
	assert_int_equal(fe_memory_addr(memory, state), UINT64_MAX);
	assert_int_equal(fe_memory_alloc_in(memory, 1, 8, 8).addr, BASE + SIZE);
	fe_memory_remove_region(memory, 1);
	assert_null(fe_memory_at(memory, BASE + SIZE, 1));
}

static void test_region_begins_within_its_file(void **state)
{
	struct fe_memory *memory = *state;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int index = fe_memory_add_region_at_offset(memory, 0, page, 2 * page);
	struct fe_region *region = &memory->regions[index];
	struct stat status;

	assert_int_equal(fstat(region->fd, &status), 0);
	assert_int_equal(status.st_size, 3 * page);
	region->host[0] = 42;
	uint8_t *whole = mmap(NULL, 3 * page, PROT_READ, MAP_SHARED, region->fd, 0);
	assert_int_equal(whole[2 * page], 42);
	munmap(whole, 3 * page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_spans_are_aligned_and_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_neighbours_join, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reused_memory_is_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_lookup_stays_within_one_region, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_region_begins_within_its_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
