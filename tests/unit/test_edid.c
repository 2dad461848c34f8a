/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "display/edid.h"

/* Reads EDIDs as a driver does, without the code that made them. */

struct mode {
	uint32_t clock_10khz;
	uint32_t width, h_blank, h_front, h_sync;
	uint32_t height, v_blank, v_front, v_sync;
	bool preferred;
};

static const struct {
	uint32_t width, height;
} sizes[] = {
	{ 1, 1 },
	{ 1, 16384 },
	{ 16384, 1 },
	{ 64, 64 },
	{ 640, 480 },
	{ 800, 600 },
	{ 1024, 768 },
	{ 1280, 800 },
	{ 1366, 768 },
	{ 1921, 1081 },
	{ 1920, 1200 },
	{ 3840, 2160 },
	{ 4000, 3000 }, // too fast for a detailed timing
	{ 4095, 2160 },
	{ 4096, 2160 },
	{ 600, 4095 },
	{ 600, 4096 },
	{ 7680, 4320 },
	{ 16384, 16384 },
};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	for (size_t i = 0; i < size; i++) {
		total = (uint8_t)(total + bytes[i]);
	}
	return total;
}

static uint32_t bits(uint8_t low, uint8_t high)
{
	return (uint32_t)low | (uint32_t)high << 8;
}

static struct mode read_detailed(const uint8_t *d)
{
	return (struct mode){
		.clock_10khz = bits(d[0], d[1]),
		.width = bits(d[2], d[4] >> 4),
		.h_blank = bits(d[3], d[4] & 15),
		.height = bits(d[5], d[7] >> 4),
		.v_blank = bits(d[6], d[7] & 15),
		.h_front = bits(d[8], d[11] >> 6),
		.h_sync = bits(d[9], d[11] >> 4 & 3),
		.v_front = (uint32_t)(d[10] >> 4 | (d[11] >> 2 & 3) << 4),
		.v_sync = (uint32_t)((d[10] & 15) | (d[11] & 3) << 4),
		.preferred = true,
	};
}

static struct mode read_type_1(const uint8_t *d)
{
	return (struct mode){
		.clock_10khz = (bits(d[0], d[1]) | (uint32_t)d[2] << 16) + 1,
		.preferred = d[3] & 0x80,
		.width = bits(d[4], d[5]) + 1,
		.h_blank = bits(d[6], d[7]) + 1,
		.h_front = (bits(d[8], d[9]) & 0x7fff) + 1,
		.h_sync = bits(d[10], d[11]) + 1,
		.height = bits(d[12], d[13]) + 1,
		.v_blank = bits(d[14], d[15]) + 1,
		.v_front = (bits(d[16], d[17]) & 0x7fff) + 1,
		.v_sync = bits(d[18], d[19]) + 1,
	};
}

/* The timing block of the section, as Linux looks for it. */
static struct mode read_displayid(const uint8_t *block)
{
	size_t end = 5u + block[2], at = 5;

	assert_int_equal(block[0], 0x70);
	assert_int_equal(block[1], 0x13);
	assert_true(end < 127);
	assert_int_equal(sum(block + 1, end), 0); // the section, its checksum included
	while (at + 3 <= end && block[at] != 0x03) {
		at += 3u + block[at + 2];
	}
	assert_true(at + 3 + 20 <= end);
	assert_int_equal(block[at + 2], 20);
	return read_type_1(block + at + 3);
}

static uint32_t area(const struct mode *mode)
{
	return mode->width * mode->height;
}

/* Of preferred modes Linux takes the one with more pixels. */
static struct mode preferred_mode(const struct display_edid *edid)
{
	struct mode first = read_detailed(edid->bytes + 54), other;

	if (edid->bytes[126] == 0) {
		return first;
	}
	other = read_displayid(edid->bytes + 128);
	assert_true(other.preferred);
	return area(&other) > area(&first) ? other : first;
}

static void check_timing(const struct mode *mode)
{
	uint64_t total = (uint64_t)(mode->width + mode->h_blank) * (mode->height + mode->v_blank);
	uint64_t milli_hz = mode->clock_10khz * UINT64_C(10000000) / total;

	assert_in_range(milli_hz, 59950, 60050);
	assert_true(mode->h_sync > 0 && mode->v_sync > 0);
	assert_true(mode->h_front + mode->h_sync < mode->h_blank);
	assert_true(mode->v_front + mode->v_sync < mode->v_blank);
	assert_true(mode->v_blank * UINT64_C(1000000000) / 60 / (mode->height + mode->v_blank) >=
		460 * UINT64_C(999)); // reduced blanking keeps 460 us
}

static void blocks_are_whole(void **state)
{
	static const uint8_t header[8] = { 0, 255, 255, 255, 255, 255, 255, 0 };

	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		struct display_edid edid;

		edid_make((uint32_t)i % 16, sizes[i].width, sizes[i].height, &edid);
		assert_memory_equal(edid.bytes, header, 8);
		assert_int_equal(edid.size, 128 * (1 + edid.bytes[126]));
		assert_int_equal(edid.bytes[18], 1);
		assert_int_equal(edid.bytes[19], 4);
		for (size_t block = 0; block < edid.size; block += 128) {
			assert_int_equal(sum(edid.bytes + block, 128), 0);
		}
		for (size_t rest = edid.size; rest < sizeof(edid.bytes); rest++) {
			assert_int_equal(edid.bytes[rest], 0);
		}
	}
}

static void preferred_mode_is_the_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		struct display_edid edid;
		struct mode mode;

		edid_make(0, sizes[i].width, sizes[i].height, &edid);
		mode = preferred_mode(&edid);
		assert_int_equal(mode.width, sizes[i].width);
		assert_int_equal(mode.height, sizes[i].height);
		/* At 16384x1 one line is 6% of a frame's time. */
		if (sizes[i].height > 1) {
			check_timing(&mode);
		}
		mode = read_detailed(edid.bytes + 54);
		assert_true(mode.clock_10khz >= 1000); // less is taken for a mistake
		assert_true(mode.width <= sizes[i].width && mode.height <= sizes[i].height);
		assert_int_equal(edid.bytes[24] & 2, 2);
	}
}

/* CVT 1.2 reduced blanking, by its own calculator: 1920x1080R is 138.50 MHz of 2080 x 1111. */
static void timing_is_cvt_rb(void **state)
{
	struct display_edid edid;
	struct mode mode;

	(void)state;
	edid_make(0, 1920, 1080, &edid);
	mode = read_detailed(edid.bytes + 54);
	assert_int_equal(mode.width + mode.h_blank, 2080);
	assert_int_equal(mode.height + mode.v_blank, 1111);
	assert_in_range(mode.clock_10khz, 13850, 13874);
	assert_int_equal(mode.h_front, 48);
	assert_int_equal(mode.h_sync, 32);
	assert_int_equal(mode.v_front, 3);
	assert_int_equal(mode.v_sync, 5);
	assert_int_equal(edid.bytes[54 + 17], 0x1a);
}

static void read_text(const struct display_edid *edid, uint8_t tag, char text[14])
{
	memset(text, 0, 14);
	for (size_t at = 54; at < 126; at += 18) {
		const uint8_t *d = edid->bytes + at;

		if (bits(d[0], d[1]) == 0 && d[3] == tag) {
			memcpy(text, d + 5, 13);
			text[strcspn(text, "\n")] = 0;
		}
	}
}

static void outputs_differ(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < DISPLAY_OUTPUT_MAX; i++) {
		struct display_edid edid;
		char text[14], want[16];

		edid_make(i, 1280, 800, &edid);
		snprintf(want, sizeof(want), "virtio-gpu %u", i);
		read_text(&edid, 0xfc, text);
		assert_string_equal(text, want);
		snprintf(want, sizeof(want), "output-%u", i);
		read_text(&edid, 0xff, text);
		assert_string_equal(text, want);
		assert_int_equal(bits(edid.bytes[12], edid.bytes[13]), i + 1);
		/* "VGD" in five bits a letter */
		assert_int_equal(edid.bytes[8] << 8 | edid.bytes[9], 22 << 10 | 7 << 5 | 4);
	}
}

/* Standard timings: width / 8 - 31, aspect ratio, refresh rate - 60. */
static uint32_t count_standard(const struct display_edid *edid, uint32_t width, uint32_t height)
{
	static const uint32_t ratios[4][2] = { { 16, 10 }, { 4, 3 }, { 5, 4 }, { 16, 9 } };
	uint32_t count = 0;

	for (size_t at = 38; at < 54; at += 2) {
		const uint8_t *d = edid->bytes + at;
		const uint32_t *ratio = ratios[d[1] >> 6];
		uint32_t w = (d[0] + 31u) * 8, h = w * ratio[1] / ratio[0];

		if (d[0] == 1 && d[1] == 1) {
			continue;
		}
		assert_true(w <= width && h <= height && (w < width || h < height));
		assert_int_equal(d[1] & 0x3f, 0);
		count++;
	}
	return count;
}

static void smaller_modes_are_listed(void **state)
{
	struct display_edid edid;

	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		edid_make(0, sizes[i].width, sizes[i].height, &edid);
		count_standard(&edid, sizes[i].width, sizes[i].height);
	}
	edid_make(0, 3840, 2160, &edid);
	assert_int_equal(count_standard(&edid, 3840, 2160), 8);
	assert_int_equal(edid.bytes[35], 0x21);
	assert_int_equal(edid.bytes[36], 0x08);
	edid_make(0, 1280, 800, &edid);
	assert_int_equal(count_standard(&edid, 1280, 800), 1);
	edid_make(0, 800, 600, &edid);
	assert_int_equal(count_standard(&edid, 800, 600), 0);
	assert_int_equal(edid.bytes[35], 0x20);
	assert_int_equal(edid.bytes[36], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_whole),
		cmocka_unit_test(preferred_mode_is_the_size),
		cmocka_unit_test(timing_is_cvt_rb),
		cmocka_unit_test(outputs_differ),
		cmocka_unit_test(smaller_modes_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
