/* SPDX-License-Identifier: MIT */
/* The bounds on what a guest can make the device hold. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/limits.h"
#include "support/array_memory.h"
#include "support/gpu_fixture.h"

static uint64_t used(const struct fixture *fixture)
{
	return gpu_device_totals(fixture->device).memory_used;
}

static void budgets_do_not_wrap(void **state)
{
	struct gpu_limits limits = { .max_memory = 100 };

	(void)state;
	assert_true(gpu_limits_take(&limits, 60));
	assert_false(gpu_limits_take(&limits, 41));
	assert_false(gpu_limits_take(&limits, UINT64_MAX));
	assert_false(gpu_limits_take(&limits, UINT64_MAX - 59));
	assert_true(gpu_limits_take(&limits, 40));
	gpu_limits_force(&limits, 7);
	assert_false(gpu_limits_take(&limits, 0));
	assert_false(gpu_limits_take(&limits, UINT64_MAX));
	gpu_limits_give(&limits, 107);
	assert_true(limits.used_memory == 0);
	assert_true(limits.peak_memory == 107);
	limits.max_memory = UINT64_MAX;
	assert_true(gpu_limits_take(&limits, UINT64_MAX));
	assert_false(gpu_limits_take(&limits, 1));
}

static void images_are_bounded(void **state)
{
	const struct fixture_config config = { .max_memory = 1000 };
	struct fixture *fixture = fixture_create(&config);

	(void)state;
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 10, 10), OK);
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 10, 10), OK);
	assert_int_equal(create_2d(fixture, 3, FORMAT_BGRX, 10, 10), ERR_MEMORY);
	assert_int_equal(create_2d(fixture, 3, FORMAT_BGRX, 50, 1), OK);
	assert_int_equal(create_2d(fixture, 4, FORMAT_BGRX, 1, 1), ERR_MEMORY);
	/* All goes on. */
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 10, 10), OK);
	assert_int_equal(flush(fixture, 1, 0, 0, 10, 10), OK);
	assert_int_equal(unref(fixture, 2), OK);
	assert_int_equal(create_2d(fixture, 4, FORMAT_BGRX, 10, 10), OK);
	assert_true(used(fixture) == 1000);
	assert_true(gpu_device_totals(fixture->device).memory_peak == 1000);
	fixture_destroy(fixture);
}

static void resources_are_bounded(void **state)
{
	const struct fixture_config config = { .max_resources = 200, .kind = RENDERER_NULL };
	struct fixture *fixture = fixture_create(&config);

	(void)state;
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 200; i++) {
			assert_int_equal(create_2d(fixture, 1 + i * 64, FORMAT_BGRX, 1, 1), OK);
		}
		assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 1, 1), ERR_MEMORY);
		assert_int_equal(create_blob(fixture, 2, 4096, RAM_ADDR), ERR_MEMORY);
		/* Every one is found, and no other. */
		for (uint32_t i = 0; i < 200; i++) {
			assert_int_equal(flush(fixture, 2 + i * 64, 0, 0, 1, 1), ERR_RESOURCE);
			assert_int_equal(unref(fixture, 1 + i * 64), OK);
		}
	}
	assert_true(used(fixture) == 0);
	fixture_destroy(fixture);
}

static void scatter_lists_are_counted(void **state)
{
	const struct fixture_config config = { .max_memory = 300000 };
	struct fixture *fixture = fixture_create(&config);
	struct virtio_gpu_mem_entry *entries = calloc(16384, sizeof(*entries));
	uint64_t cost;

	(void)state;
	for (uint32_t i = 0; i < 16384; i++) {
		entries[i].addr = htole64(RAM_ADDR + (uint64_t)i * 128);
		entries[i].length = htole32(64);
	}
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 1, 1), OK);
	assert_int_equal(attach(fixture, 1, entries, 100), OK);
	cost = used(fixture) - 4;
	assert_true(cost >= 100 * 40);
	assert_int_equal(detach(fixture, 1), OK);
	assert_true(used(fixture) == 4);
	/* The request alone fits, its list does not. */
	assert_int_equal(attach(fixture, 1, entries, 16384), ERR_MEMORY);
	assert_true(used(fixture) == 4);
	assert_int_equal(array_memory_mapped(), 0);
	assert_int_equal(attach(fixture, 1, entries, 1000), OK);
	assert_int_equal(unref(fixture, 1), OK);
	assert_true(used(fixture) == 0);
	free(entries);
	fixture_destroy(fixture);
}

/* A list may be short though its request is long: empty entries count for nothing but their bytes. */
static void large_requests_are_counted(void **state)
{
	const struct fixture_config config = { .max_memory = 100000 };
	struct fixture *fixture = fixture_create(&config);
	struct virtio_gpu_mem_entry *entries = calloc(16384, sizeof(*entries));

	(void)state;
	entries[0].addr = htole64(RAM_ADDR);
	entries[0].length = htole32(64);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 1, 1), OK);
	assert_int_equal(attach(fixture, 1, entries, 16384), ERR_MEMORY);
	assert_int_equal(attach(fixture, 1, entries, 5000), OK);
	assert_true(gpu_device_totals(fixture->device).memory_peak > 80000);
	assert_true(used(fixture) < 200);
	free(entries);
	fixture_destroy(fixture);
}

/* A short list of a guest whose memory comes in single pages could mean any number of pieces. */
static void pieces_are_bounded(void **state)
{
	const struct fixture_config config = { .kind = RENDERER_SOFT };
	struct fixture *fixture = fixture_create(&config);
	struct virtio_gpu_mem_entry *entries = calloc(100, sizeof(*entries));

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		array_memory_add(fixture->memory, UINT64_C(0x60000000) + (uint64_t)i * 4096, 4096);
	}
	for (uint32_t i = 0; i < 100; i++) {
		entries[i].addr = htole64(UINT64_C(0x60000000));
		entries[i].length = htole32(1000 * 4096);
	}
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 1, 1), OK);
	assert_int_equal(attach(fixture, 1, entries, 100), ERR_MEMORY);
	assert_true(used(fixture) == 4);
	/* 20000 pieces are more than there are entries at most, and well. */
	assert_int_equal(attach(fixture, 1, entries, 20), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 1, 1, 20 * 1000 * 4096 - 4), OK);
	assert_int_equal(unref(fixture, 1), OK);
	free(entries);
	fixture_destroy(fixture);
}

static void views_of_blobs_are_counted(void **state)
{
	const struct fixture_config config = { .max_memory = 50000 };
	struct fixture *fixture = fixture_create(&config);
	struct virtio_gpu_set_scanout_blob command = blob_scanout(0, 1, 64, 64, 256);

	(void)state;
	/* The pages themselves are the guest's. */
	assert_int_equal(create_blob(fixture, 1, 1u << 20, RAM_ADDR), OK);
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	for (uint32_t i = 1; i < 4; i++) {
		command.scanout_id = htole32(i);
		command.offsets[0] = htole32(i * 4);
		assert_int_equal(
			control(fixture, &command, sizeof(command)), i < 3 ? OK : ERR_MEMORY);
	}
	assert_null(fixture->display->outputs[3].frame);
	assert_int_equal(unref(fixture, 1), OK);
	assert_true(used(fixture) == 0);
	fixture_destroy(fixture);
}

/* A stride of 1 GiB between rows needs no gigabytes here: what is shown is what is held. */
static void huge_strides_cost_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_gpu_set_scanout_blob command = blob_scanout(0, 1, 1, 2, (1u << 20) - 4);

	assert_int_equal(create_blob(fixture, 1, 1u << 20, RAM_ADDR), OK);
	memset(ram_bytes(fixture, RAM_ADDR + (1u << 20) - 4), 0x33, 4);
	assert_int_equal(control(fixture, &command, sizeof(command)), OK);
	struct frame *picture = gpu_device_screenshot(fixture->device, 0, false);
	assert_int_equal(picture_pixel(picture, 0, 0), 0);
	assert_int_equal(picture_pixel(picture, 0, 1), 0x333333);
	frame_unref(picture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(budgets_do_not_wrap),
		cmocka_unit_test(images_are_bounded),
		cmocka_unit_test(resources_are_bounded),
		cmocka_unit_test(scatter_lists_are_counted),
		cmocka_unit_test(large_requests_are_counted),
		cmocka_unit_test(pieces_are_bounded),
		cmocka_unit_test(views_of_blobs_are_counted),
		TEST_SOFT(huge_strides_cost_nothing),
	};

	return cmocka_run_group_tests_name("gpu_limits", tests, NULL, NULL);
}
