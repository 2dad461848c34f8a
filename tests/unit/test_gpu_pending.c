/* SPDX-License-Identifier: MIT */
/* Requests that end later, each exactly once: fences, flushes, a renderer that is elsewhere, resets. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "support/array_memory.h"
#include "support/gpu_fixture.h"
#include "support/remote_renderer.h"

static struct ticket *submit_transfer(struct fixture *fixture, uint32_t id, uint32_t size)
{
	const struct virtio_gpu_transfer_to_host_2d command = {
		.hdr = header_of(VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D),
		.r = wire_rect(0, 0, size, size),
		.resource_id = htole32(id),
	};

	return submit(fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
}

static struct ticket *submit_flush(struct fixture *fixture, uint32_t id, uint32_t size)
{
	const struct virtio_gpu_resource_flush command = {
		.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_FLUSH),
		.r = wire_rect(0, 0, size, size),
		.resource_id = htole32(id),
	};

	return submit(fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
}

static struct ticket *submit_id(struct fixture *fixture, uint32_t type, uint32_t id)
{
	const struct virtio_gpu_resource_unref command = {
		.hdr = header_of(type),
		.resource_id = htole32(id),
	};

	return submit(fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
}

static struct ticket *submit_attach(struct fixture *fixture, uint32_t id, uint64_t addr)
{
	const struct {
		struct virtio_gpu_resource_attach_backing fixed;
		struct virtio_gpu_mem_entry entry;
	} command = {
		.fixed = {
			.hdr = header_of(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
			.resource_id = htole32(id),
			.nr_entries = htole32(1),
		},
		.entry = { .addr = htole64(addr), .length = htole32(65536) },
	};

	return submit(fixture, WIRE_CONTROL_QUEUE, &command, sizeof(command));
}

static void a_flush_ends_with_its_last_output(void **state)
{
	struct fixture *fixture = *state;
	struct ticket *ticket;

	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	assert_int_equal(set_scanout(fixture, 1, 1, 0, 0, 8, 8), OK);
	assert_int_equal(set_scanout(fixture, 3, 1, 0, 0, 4, 4), OK);
	fixture->display->flush_later = true;
	ticket = submit_flush(fixture, 1, 8);
	assert_int_equal(fixture->display->pending_count, 3);
	fake_display_end(fixture->display, 1, true);
	fake_display_end(fixture->display, 0, true);
	assert_int_equal(ticket->completions, 0);
	fake_display_end(fixture->display, 0, true);
	assert_int_equal(answer_of(ticket), OK);
}

static void flushes_end_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	struct ticket *tickets[100];

	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	fixture->display->flush_later = true;
	for (size_t i = 0; i < 100; i++) {
		tickets[i] = submit_flush(fixture, 1, 8);
	}
	assert_int_equal(gpu_device_totals(fixture->device).pending, 100);
	assert_true(gpu_device_totals(fixture->device).memory_used > 256);
	/* The fake takes the last into the place of the one that ended, so these come mixed. */
	for (size_t i = 0; i < 100; i++) {
		uint32_t before = fixture->completions;

		fake_display_end(
			fixture->display, (i * 37) % fixture->display->pending_count, true);
		assert_int_equal(fixture->completions, before + 1);
	}
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(answer_of(tickets[i]), OK);
	}
	assert_int_equal(gpu_device_totals(fixture->device).pending, 0);
	assert_true(gpu_device_totals(fixture->device).memory_used > 256);
	assert_int_equal(unref(fixture, 1), OK);
	assert_true(gpu_device_totals(fixture->device).memory_used == 0);
}

static void a_flush_ends_when_its_scanout_changes(void **state)
{
	struct fixture *fixture = *state;
	struct ticket *first, *second;

	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	fixture->display->flush_later = true;
	first = submit_flush(fixture, 1, 8);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 4, 4), OK);
	assert_int_equal(answer_of(first), OK);
	second = submit_flush(fixture, 1, 8);
	assert_int_equal(unref(fixture, 1), OK);
	assert_int_equal(answer_of(second), OK);
}

static void pending_small_requests_never_fail_for_memory(void **state)
{
	const struct fixture_config config = { .max_memory = 256 };
	struct fixture *fixture = fixture_create(&config);
	struct ticket *ticket;

	(void)state;
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 8, 8), OK);
	fixture->display->flush_later = true;
	ticket = submit_flush(fixture, 1, 8);
	assert_int_equal(ticket->completions, 0);
	assert_true(gpu_device_totals(fixture->device).memory_used > 256);
	/* Over the bound, and yet everything can be freed. */
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 1, 1), ERR_MEMORY);
	assert_int_equal(unref(fixture, 1), OK);
	assert_int_equal(answer_of(ticket), OK);
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 8, 8), OK);
	fixture_destroy(fixture);
}

static uint64_t errors(const struct fixture *fixture)
{
	const struct gpu_device_stats *stats;
	uint64_t sum = 0;

	for (size_t i = 0; (stats = gpu_device_command_stats(fixture->device, i)); i++) {
		sum += stats->errors;
	}
	return sum;
}

static void a_reset_ends_all(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_ctrl_hdr info = header_of(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
	struct ticket *flush_ticket, *info_ticket, *next;
	struct wire_config config;

	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRA, 64, 64), OK);
	assert_int_equal(update_cursor(fixture, 1, 2, 3, 4, 5, 6), OK);
	fake_display_change_modes(fixture->display);
	fixture->display->flush_later = true;
	fixture->display->answer_later = true;
	info_ticket = submit(fixture, 0, &info, sizeof(info));
	flush_ticket = submit_flush(fixture, 1, 8);
	gpu_device_reset(fixture->device);
	assert_int_equal(flush_ticket->completions, 1);
	assert_int_equal(info_ticket->completions, 1);
	assert_int_equal(errors(fixture), 0); // nobody gets an answer
	assert_null(fixture->display->outputs[0].frame);
	assert_null(fixture->display->outputs[1].cursor);
	assert_int_equal(array_memory_mapped(), 0);
	assert_int_equal(gpu_device_totals(fixture->device).resources, 0);
	assert_true(gpu_device_totals(fixture->device).memory_used == 0);
	gpu_device_get_config(fixture->device, &config);
	assert_int_equal(config.events_read, 0);
	/* What comes late reaches nobody, not even a new request in the same place. */
	next = submit(fixture, 0, &info, sizeof(info));
	assert_int_equal(fixture->display->pending_count, 2);
	fake_display_end(fixture->display, 0, true);
	assert_int_equal(next->completions, 0);
	fake_display_end(fixture->display, 0, true);
	assert_int_equal(answer_of(next), VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	/* All as at first; the features hold until others are set. */
	fixture->display->flush_later = false;
	assert_int_equal(unref(fixture, 1), ERR_RESOURCE);
	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	assert_int_equal(flush(fixture, 1, 0, 0, 8, 8), OK);
	gpu_device_reset(fixture->device);
	gpu_device_reset(fixture->device);
}

static void a_reset_ends_a_remote_renderers_operations(void **state)
{
	struct fixture *fixture = *state;
	struct ticket *attached, *transferred, *flushed, *gone;

	/* A flush that waits for its transfer. */
	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	transferred = submit_transfer(fixture, 1, 8);
	flushed = submit_flush(fixture, 1, 8);
	gpu_device_reset(fixture->device);
	assert_int_equal(transferred->completions, 1);
	assert_int_equal(flushed->completions, 1);
	/* All kinds at once. */
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(set_scanout(fixture, 0, 1, 0, 0, 8, 8), OK);
	attached = submit_attach(fixture, 1, RAM_ADDR);
	transferred = submit_transfer(fixture, 1, 8);
	flushed = submit_flush(fixture, 1, 8);
	gone = submit_id(fixture, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1);
	assert_int_equal(attached->completions, 0);
	assert_int_equal(transferred->completions, 0);
	gpu_device_reset(fixture->device);
	assert_int_equal(attached->completions, 1);
	assert_int_equal(transferred->completions, 1);
	assert_int_equal(flushed->completions, 1);
	assert_int_equal(gone->completions, 1);
	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	settle(fixture);
	assert_int_equal(flush(fixture, 1, 0, 0, 8, 8), OK);
}

/* Drivers send a transfer and a flush at once: the flush must show what the transfer brings. */
static void a_flush_waits_for_transfers_before_it(void **state)
{
	struct fixture *fixture = *state;
	struct ticket *transfers[2], *flushes[2];

	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	transfers[0] = submit_transfer(fixture, 1, 8);
	flushes[0] = submit_flush(fixture, 1, 8);
	transfers[1] = submit_transfer(fixture, 1, 8);
	flushes[1] = submit_flush(fixture, 1, 4);
	assert_int_equal(fixture->display->outputs[0].flushes, 0);
	assert_int_equal(flushes[0]->completions, 0);
	fixture->display->flush_later = true;
	settle(fixture);
	assert_int_equal(answer_of(transfers[0]), OK);
	assert_int_equal(answer_of(transfers[1]), OK);
	assert_int_equal(fixture->display->outputs[0].flushes, 2);
	assert_int_equal(fixture->display->outputs[0].damage.width, 4);
	assert_int_equal(flushes[0]->completions, 0);
	assert_int_equal(flushes[1]->completions, 0);
	fake_display_end(fixture->display, 0, true);
	fake_display_end(fixture->display, 0, true);
	assert_int_equal(answer_of(flushes[0]), OK);
	assert_int_equal(answer_of(flushes[1]), OK);
	/* For all of them, not for the first. */
	fixture->display->flush_later = false;
	transfers[0] = submit_transfer(fixture, 1, 8);
	transfers[1] = submit_transfer(fixture, 1, 8);
	flushes[0] = submit_flush(fixture, 1, 8);
	settle(fixture);
	assert_int_equal(answer_of(flushes[0]), OK);
	assert_int_equal(flushes[0]->order, transfers[1]->order + 1);
}

static void unref_is_answered_when_the_renderer_let_go(void **state)
{
	struct fixture *fixture = *state;
	struct ticket *transferred, *flushed, *gone, *detached;

	show_image(fixture, 1, FORMAT_BGRX, 64, 64, 0);
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRX, 8, 8), OK);
	assert_int_equal(attach_one(fixture, 2, RAM_ADDR, 256), OK);
	transferred = submit_transfer(fixture, 1, 8);
	flushed = submit_flush(fixture, 1, 8);
	gone = submit_id(fixture, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1);
	detached = submit_id(fixture, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 2);
	/* Nothing to show any more: the flush need not wait. */
	assert_int_equal(answer_of(flushed), OK);
	assert_int_equal(gone->completions, 0);
	assert_int_equal(detached->completions, 0);
	/* Its memory is held until then; its id is free. */
	assert_true(gpu_device_totals(fixture->device).memory_used >= VIEW_SIZE(64, 64));
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	settle(fixture);
	assert_int_equal(answer_of(transferred), OK);
	assert_int_equal(answer_of(gone), OK);
	assert_int_equal(answer_of(detached), OK);
	assert_true(transferred->order < gone->order);
	assert_true(gpu_device_totals(fixture->device).memory_used == 512);
}

#define LATE_ADDR UINT64_C(0x50000000)

/* The other process does not know this region: what it is told to attach fails, when all seemed well. */
static void a_late_failure_is_answered(void **state)
{
	struct fixture *fixture = *state;
	struct ticket *first, *detached, *second;
	uint64_t used;

	array_memory_add(fixture->memory, LATE_ADDR, 1u << 20);
	assert_int_equal(create_2d(fixture, 1, FORMAT_BGRX, 8, 8), OK);
	used = gpu_device_totals(fixture->device).memory_used;
	assert_int_equal(attach_one(fixture, 1, LATE_ADDR, 256), ERR_PARAMETER);
	assert_true(gpu_device_totals(fixture->device).memory_used == used);
	assert_int_equal(detach(fixture, 1), ERR_UNSPEC);
	assert_int_equal(attach_one(fixture, 1, RAM_ADDR, 256), OK);
	assert_int_equal(detach(fixture, 1), OK);
	/* A blob that could not be made is not there. */
	assert_int_equal(create_blob(fixture, 2, 65536, LATE_ADDR), ERR_PARAMETER);
	assert_int_equal(gpu_device_totals(fixture->device).resources, 1);
	assert_int_equal(create_blob(fixture, 2, 65536, RAM_ADDR), OK);
	assert_int_equal(unref(fixture, 2), OK);
	/* The failure of one attachment does not undo the next. */
	first = submit_attach(fixture, 1, LATE_ADDR);
	detached = submit_id(fixture, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 1);
	second = submit_attach(fixture, 1, RAM_ADDR);
	settle(fixture);
	assert_int_equal(answer_of(first), ERR_PARAMETER);
	assert_int_equal(answer_of(detached), OK);
	assert_int_equal(answer_of(second), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 8, 0), OK);
	/* Nor does it touch a resource that went meanwhile. */
	first = submit_attach(fixture, 1, LATE_ADDR);
	assert_int_equal(answer_of(first), ERR_UNSPEC);
	assert_int_equal(detach(fixture, 1), OK);
	first = submit_attach(fixture, 1, LATE_ADDR);
	assert_int_equal(unref(fixture, 1), OK);
	assert_int_equal(answer_of(first), ERR_PARAMETER);
	assert_true(gpu_device_totals(fixture->device).memory_used == 0);
}

static void a_lost_renderer_ends_what_it_had(void **state)
{
	struct fixture *fixture = *state;
	struct ticket *transferred, *flushed;

	show_image(fixture, 1, FORMAT_BGRX, 8, 8, 0);
	remote_renderer_kill(fixture->renderer);
	transferred = submit_transfer(fixture, 1, 8);
	flushed = submit_flush(fixture, 1, 8);
	settle(fixture);
	assert_int_equal(answer_of(transferred), ERR_UNSPEC);
	assert_int_equal(answer_of(flushed), OK);
	assert_int_equal(transfer(fixture, 1, 0, 0, 8, 8, 0), ERR_UNSPEC);
	assert_null(gpu_device_screenshot(fixture->device, 0, false));
	assert_int_equal(detach(fixture, 1), OK);
	assert_int_equal(unref(fixture, 1), OK);
}

static void a_new_display_gets_all(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_gpu_ctrl_hdr info = header_of(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
	struct fake_display *next = fake_display_create(false);
	struct wire_config config;
	struct ticket *flushed, *asked;
	uint32_t destroyed = 0;

	show_image(fixture, 1, FORMAT_BGRX, 16, 16, 0);
	assert_int_equal(set_scanout(fixture, 3, 1, 4, 5, 6, 7), OK);
	assert_int_equal(create_2d(fixture, 2, FORMAT_BGRA, 64, 64), OK);
	assert_int_equal(update_cursor(fixture, 0, 2, 3, 4, 5, 6), OK);
	assert_int_equal(move_cursor(fixture, 0, 7, 8), OK);
	assert_int_equal(set_scanout(fixture, 4, 1, 0, 0, 1, 1), ERR_SCANOUT);
	assert_ptr_equal(gpu_device_display(fixture->device), &fixture->display->base);
	fixture->display->flush_later = true;
	fixture->display->answer_later = true;
	fixture->display->destroyed = &destroyed;
	flushed = submit_flush(fixture, 1, 8);
	asked = submit(fixture, 0, &info, sizeof(info));
	gpu_device_set_display(fixture->device, &next->base);
	assert_int_equal(destroyed, 1);
	/* What the old one had not ended is ended. */
	assert_int_equal(answer_of(flushed), OK);
	assert_int_equal(answer_of(asked), ERR_UNSPEC);
	assert_memory_equal(
		&next->outputs[0].part, &((struct rect){ 0, 0, 16, 16 }), sizeof(struct rect));
	assert_memory_equal(
		&next->outputs[0].damage, &((struct rect){ 0, 0, 16, 16 }), sizeof(struct rect));
	assert_memory_equal(
		&next->outputs[3].part, &((struct rect){ 4, 5, 6, 7 }), sizeof(struct rect));
	assert_memory_equal(
		&next->outputs[3].damage, &((struct rect){ 0, 0, 6, 7 }), sizeof(struct rect));
	assert_int_equal(next->outputs[1].frames_set + next->outputs[1].cursors_set, 0);
	assert_non_null(next->outputs[0].cursor);
	assert_int_equal(next->outputs[0].cursor_place.x, 7);
	assert_int_equal(next->outputs[0].cursor_place.hot_y, 6);
	/* The driver is told to ask again. */
	assert_int_equal(fixture->config_changes, 1);
	gpu_device_get_config(fixture->device, &config);
	assert_int_equal(le32toh(config.events_read), VIRTIO_GPU_EVENT_DISPLAY);
	/* A VMM's display may have as many outputs as there can be. */
	assert_int_equal(set_scanout(fixture, 15, 1, 0, 0, 1, 1), OK);
	assert_int_equal(set_scanout(fixture, 16, 1, 0, 0, 1, 1), ERR_SCANOUT);
	fixture->display = next;
	/* It went: the guest goes on. */
	fake_display_lose(next);
	assert_int_equal(flush(fixture, 1, 0, 0, 16, 16), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_SOFT(a_flush_ends_with_its_last_output),
		TEST_SOFT(flushes_end_in_any_order),
		TEST_BOTH(a_flush_ends_when_its_scanout_changes),
		cmocka_unit_test(pending_small_requests_never_fail_for_memory),
		TEST_BOTH(a_reset_ends_all),
		TEST_REMOTE(a_reset_ends_a_remote_renderers_operations),
		TEST_REMOTE(a_flush_waits_for_transfers_before_it),
		TEST_REMOTE(unref_is_answered_when_the_renderer_let_go),
		TEST_REMOTE(a_late_failure_is_answered),
		TEST_REMOTE(a_lost_renderer_ends_what_it_had),
		TEST_BOTH(a_new_display_gets_all),
	};

	return cmocka_run_group_tests_name("gpu_pending", tests, NULL, NULL);
}
