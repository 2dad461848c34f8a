/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_GPU_FIXTURE_H
#define SUPPORT_GPU_FIXTURE_H

/*
 * A device with array memory, a fake display and one of the renderers, and a driver's side of it: each
 * function sends one command and returns the VIRTIO_GPU_RESP_* of its answer.
 *
 * Guest memory: RAM_SIZE bytes at RAM_ADDR, in two regions that touch in the middle, and a third one
 * apart. ram_bytes gives the bytes behind an address.
 */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gpu/device.h"
#include "support/fake_display.h"

#define RAM_ADDR  UINT64_C(0x100000)
#define RAM_SIZE  (8u << 20)
#define FAR_ADDR  UINT64_C(0x40000000)
#define FAR_SIZE  (1u << 20)
#define HOLE_ADDR UINT64_C(0x20000000) // no memory there

enum renderer_kind {
	RENDERER_SOFT,
	RENDERER_REMOTE,
	RENDERER_NULL,
};

/* What the device asked of the window and the test has not ended. */
struct window_operation {
	bool is_map;
	uint64_t offset;
	uint64_t len;
	uint64_t token;
};

#define WINDOW_OPERATIONS 16

/* A request that was submitted. */
struct ticket {
	struct gpu_request request;
	uint8_t *bytes;
	uint32_t completions;
	uint32_t order; // of its completion among all
	struct ticket *next;
};

struct fixture {
	enum renderer_kind kind;
	struct memory *memory;
	uint8_t *ram[2];
	uint8_t *far;
	struct gpu_device *device;
	struct renderer *renderer;
	struct fake_display *display;
	struct ticket *tickets; // all of the test
	uint32_t completions;
	uint32_t config_changes;
	uint64_t window_size; // 0: the driver has none
	int window_error; // that map and unmap return; 0: they begin
	struct window_operation window[WINDOW_OPERATIONS];
	uint32_t window_count;
	union gpu_response response; // of the last command that was run
	const struct virtio_gpu_resp_capset *capset; // of it; NULL for all but GET_CAPSET
	size_t response_len;
};

struct fixture_config {
	enum renderer_kind kind;
	uint64_t max_memory; // 0: 64 MiB
	uint32_t max_resources; // 0: 64
	uint32_t outputs; // 0: 4
	uint64_t features; // 0: all that are offered
};

struct fixture *fixture_create(const struct fixture_config *config);
void fixture_destroy(struct fixture *fixture); // also checks that nothing leaked

/* For cmocka: *state becomes a fixture; the initial state points at an enum renderer_kind. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
extern enum renderer_kind fixture_soft, fixture_remote, fixture_null;

#define TEST_SOFT(name) { #name " (soft)", name, fixture_setup, fixture_teardown, &fixture_soft }
#define TEST_REMOTE(name) \
	{ #name " (remote)", name, fixture_setup, fixture_teardown, &fixture_remote }
#define TEST_BOTH(name) TEST_SOFT(name), TEST_REMOTE(name)

/* Bytes of guest memory; [addr, addr + len) must be of one region. */
uint8_t *ram_bytes(struct fixture *fixture, uint64_t addr);

/* Fills all guest memory with numbers that look random. */
void fill_ram(struct fixture *fixture, uint32_t seed);

/* Submits a copy of the bytes. The ticket is the fixture's. */
struct ticket *submit(struct fixture *fixture, uint32_t queue, const void *bytes, size_t len);

/* Lets a remote renderer end what was begun. */
void settle(struct fixture *fixture);

/* Ends the oldest operation of the window and returns it. */
struct window_operation end_window_operation(struct fixture *fixture, int result);

/* Submits, waits for the answer, which must come once. */
uint32_t run(struct fixture *fixture, uint32_t queue, const void *bytes, size_t len);
uint32_t control(struct fixture *fixture, const void *bytes, size_t len);

/* The type of a ticket's answer. */
uint32_t answer_of(const struct ticket *ticket);

struct virtio_gpu_ctrl_hdr header_of(uint32_t type);
struct virtio_gpu_rect wire_rect(uint32_t x, uint32_t y, uint32_t width, uint32_t height);

uint32_t create_2d(
	struct fixture *fixture, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
uint32_t unref(struct fixture *fixture, uint32_t id);
uint32_t attach(struct fixture *fixture, uint32_t id, const struct virtio_gpu_mem_entry *entries,
	uint32_t count);
uint32_t attach_one(struct fixture *fixture, uint32_t id, uint64_t addr, uint32_t len);
uint32_t detach(struct fixture *fixture, uint32_t id);
uint32_t transfer(struct fixture *fixture, uint32_t id, uint32_t x, uint32_t y, uint32_t width,
	uint32_t height, uint64_t offset);
uint32_t set_scanout(struct fixture *fixture, uint32_t scanout, uint32_t id, uint32_t x, uint32_t y,
	uint32_t width, uint32_t height);
uint32_t flush(struct fixture *fixture, uint32_t id, uint32_t x, uint32_t y, uint32_t width,
	uint32_t height);
uint32_t create_blob(struct fixture *fixture, uint32_t id, uint64_t size, uint64_t addr);
struct virtio_gpu_set_scanout_blob blob_scanout(
	uint32_t scanout, uint32_t id, uint32_t width, uint32_t height, uint32_t stride);
uint32_t update_cursor(struct fixture *fixture, uint32_t scanout, uint32_t id, uint32_t x,
	uint32_t y, uint32_t hot_x, uint32_t hot_y);
uint32_t move_cursor(struct fixture *fixture, uint32_t scanout, uint32_t x, uint32_t y);

/* An image of the size with backing at RAM_ADDR, shown whole on the scanout. */
void show_image(struct fixture *fixture, uint32_t id, uint32_t format, uint32_t width,
	uint32_t height, uint32_t scanout);

/* One pixel of the scanout's picture, 0xRRGGBB. */
uint32_t picture_pixel(struct frame *picture, uint32_t x, uint32_t y);

#define OK              VIRTIO_GPU_RESP_OK_NODATA
#define ERR_UNSPEC      VIRTIO_GPU_RESP_ERR_UNSPEC
#define ERR_MEMORY      VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
#define ERR_SCANOUT     VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID
#define ERR_RESOURCE    VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define ERR_PARAMETER   VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define FORMAT_BGRX     VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define FORMAT_BGRA     VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM
#define VIEW_SIZE(w, h) ((w) * (h) * 4u)

#endif
