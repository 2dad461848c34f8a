/* SPDX-License-Identifier: MIT */
#include "display/edid.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * How this works
 *
 * Block 0 is the base block of VESA E-EDID Standard, Release A, Revision 2 (EDID 1.4): its first
 * detailed timing is the preferred mode. A mode that such a timing cannot say (over 4095 pixels, over
 * 655.35 MHz) goes into a DisplayID 1.3 section in block 1, marked as preferred; block 0 then starts
 * with a smaller mode. Linux takes the larger of two preferred modes, and its virtio-gpu driver drops
 * preferred modes that differ from the display information's size.
 *
 * Timings are those of VESA CVT 1.2 with reduced blanking, but for two things: any width is taken, not
 * just multiples of 8, and the pixel clock is rounded to 10 kHz, not to 250 kHz (small modes keep
 * 60 Hz).
 */

#define BLOCK_SIZE 128

#define MANUFACTURER    "VGD"
#define MANUFACTURER_ID (('V' - 'A' + 1) << 10 | ('G' - 'A' + 1) << 5 | ('D' - 'A' + 1))
#define PRODUCT_CODE    1
#define MODEL_YEAR      2026

#define REFRESH_HZ   60
#define DOTS_PER_DM  394 // 100 dots an inch; so QEMU's displays have it, and guests do not scale
#define SIZE_MAX_MM  2550 // an EDID says centimetres in a byte
#define DTD_SIZE_MAX 4095 // 12 bits
#define DTD_10KHZ    0xffff // 16 bits

/* CVT 1.2, reduced blanking timing version 1, in pixels and lines. */
#define RB_H_BLANK    160
#define RB_H_FRONT    48
#define RB_H_SYNC     32
#define RB_V_FRONT    3
#define RB_V_BACK_MIN 6
#define RB_V_BLANK_US 460

/* Readers take a slower pixel clock for a mistake: a tiny mode gets more blanking. */
#define LEAST_HZ 10000000

struct timing {
	uint32_t clock_10khz;
	uint32_t width;
	uint32_t height;
	uint32_t v_blank;
	uint32_t v_sync;
};

struct screen_size {
	uint32_t width_mm;
	uint32_t height_mm;
};

static bool has_ratio(uint32_t width, uint32_t height, uint32_t a, uint32_t b)
{
	return (uint64_t)width * b == (uint64_t)height * a;
}

/* CVT 1.2: the width of the vertical sync tells the aspect ratio. */
static uint32_t cvt_v_sync(uint32_t width, uint32_t height)
{
	if (has_ratio(width, height, 4, 3)) {
		return 4;
	}
	if (has_ratio(width, height, 16, 9)) {
		return 5;
	}
	if (has_ratio(width, height, 16, 10)) {
		return 6;
	}
	if (has_ratio(width, height, 5, 4) || has_ratio(width, height, 15, 9)) {
		return 7;
	}
	return 10;
}

static struct timing make_timing(uint32_t width, uint32_t height)
{
	const uint32_t active_us = 1000000 / REFRESH_HZ - RB_V_BLANK_US;
	struct timing timing = {
		.width = width,
		.height = height,
		.v_sync = cvt_v_sync(width, height),
		.v_blank = RB_V_BLANK_US * height / active_us + 1,
	};
	uint32_t least = RB_V_FRONT + timing.v_sync + RB_V_BACK_MIN;
	uint64_t hz;

	if (timing.v_blank < least) {
		timing.v_blank = least;
	}
	least = LEAST_HZ / REFRESH_HZ / (width + RB_H_BLANK) + 1;
	if (timing.v_blank + height < least) {
		timing.v_blank = least - height;
	}
	hz = (uint64_t)(width + RB_H_BLANK) * (height + timing.v_blank) * REFRESH_HZ;
	timing.clock_10khz = (uint32_t)((hz + 5000) / 10000);
	return timing;
}

static bool fits_detailed(const struct timing *timing)
{
	return timing->width <= DTD_SIZE_MAX && timing->height <= DTD_SIZE_MAX &&
		timing->clock_10khz <= DTD_10KHZ;
}

/* A very large screen gets smaller dots, with the same ratio. At least 1 cm: 0 means "unknown". */
static struct screen_size make_size(uint32_t width, uint32_t height)
{
	uint32_t longer = width > height ? width : height;
	uint32_t longer_mm = longer * 100 / DOTS_PER_DM;
	struct screen_size size;

	if (longer_mm > SIZE_MAX_MM) {
		longer_mm = SIZE_MAX_MM;
	}
	size.width_mm = width * longer_mm / longer;
	size.height_mm = height * longer_mm / longer;
	size.width_mm = size.width_mm < 10 ? 10 : size.width_mm;
	size.height_mm = size.height_mm < 10 ? 10 : size.height_mm;
	return size;
}

/* All bytes of the range and its checksum after it are 0 together. */
static void put_checksum(uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + bytes[i]);
	}
	bytes[size] = (uint8_t)(0x100 - sum);
}

static void put_u8(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)value;
}

static void put_le16(uint8_t *bytes, uint32_t value)
{
	put_u8(bytes, value & 0xff);
	put_u8(bytes + 1, value >> 8 & 0xff);
}

/* E-EDID A2, 3.4 Vendor and product identification. */
static void put_identity(uint8_t *block, uint32_t output)
{
	static const uint8_t header[8] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };

	memcpy(block, header, sizeof(header));
	put_u8(block + 8, MANUFACTURER_ID >> 8);
	put_u8(block + 9, MANUFACTURER_ID & 0xff);
	put_le16(block + 10, PRODUCT_CODE);
	put_le16(block + 12, output + 1);
	put_u8(block + 16, 0xff); // the year is the model's
	put_u8(block + 17, MODEL_YEAR - 1990);
	put_u8(block + 18, 1);
	put_u8(block + 19, 4);
}

/* E-EDID A2, 3.6 Basic display parameters and features, 3.7 Colour: those of sRGB. */
static void put_features(uint8_t *block, const struct screen_size *size)
{
	static const uint8_t srgb[10] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50,
		0x54 };

	put_u8(block + 20, 0xa0); // digital, 8 bits a colour, interface not told
	put_u8(block + 21, size->width_mm / 10);
	put_u8(block + 22, size->height_mm / 10);
	put_u8(block + 23, 120); // gamma 2.2
	put_u8(block + 24, 0x06); // sRGB; the preferred timing is the native one
	memcpy(block + 25, srgb, sizeof(srgb));
}

/* Is the mode smaller than the preferred one, which is listed already? */
static bool is_smaller(const struct timing *preferred, uint32_t width, uint32_t height)
{
	return width <= preferred->width && height <= preferred->height &&
		(width < preferred->width || height < preferred->height);
}

/* E-EDID A2, 3.8 Established timings. */
static void put_established(uint8_t *block, const struct timing *preferred)
{
	block[35] = (uint8_t)((is_smaller(preferred, 640, 480) ? 0x20 : 0) |
		(is_smaller(preferred, 800, 600) ? 0x01 : 0));
	block[36] = is_smaller(preferred, 1024, 768) ? 0x08 : 0;
}

/* E-EDID A2, 3.9 Standard timings: at most 8, at 60 Hz; unused ones are 01 01. */
static void put_standard(uint8_t *block, const struct timing *preferred)
{
	static const struct {
		uint16_t width;
		uint16_t height;
		uint8_t ratio; // 0: 16:10, 1: 4:3, 2: 5:4, 3: 16:9
	} modes[8] = {
		{ 1920, 1200, 0 },
		{ 1920, 1080, 3 },
		{ 1680, 1050, 0 },
		{ 1600, 900, 3 },
		{ 1440, 900, 0 },
		{ 1280, 1024, 2 },
		{ 1280, 800, 0 },
		{ 1280, 720, 3 },
	};
	uint8_t *at = block + 38;

	memset(at, 1, 16);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (is_smaller(preferred, modes[i].width, modes[i].height)) {
			put_u8(at, modes[i].width / 8u - 31u);
			put_u8(at + 1, (uint32_t)modes[i].ratio << 6 | (REFRESH_HZ - 60));
			at += 2;
		}
	}
}

/* E-EDID A2, 3.10.2 Detailed timing descriptor: 18 bytes. */
static void put_detailed(uint8_t *at, const struct timing *timing, const struct screen_size *size)
{
	put_le16(at, timing->clock_10khz);
	put_u8(at + 2, timing->width & 0xff);
	put_u8(at + 3, RB_H_BLANK & 0xff);
	put_u8(at + 4, timing->width >> 8 << 4 | RB_H_BLANK >> 8);
	put_u8(at + 5, timing->height & 0xff);
	put_u8(at + 6, timing->v_blank & 0xff);
	put_u8(at + 7, timing->height >> 8 << 4 | timing->v_blank >> 8);
	put_u8(at + 8, RB_H_FRONT);
	put_u8(at + 9, RB_H_SYNC);
	put_u8(at + 10, RB_V_FRONT << 4 | timing->v_sync);
	put_u8(at + 12, size->width_mm & 0xff);
	put_u8(at + 13, size->height_mm & 0xff);
	put_u8(at + 14, size->width_mm >> 8 << 4 | size->height_mm >> 8);
	put_u8(at + 17, 0x1a); // digital separate sync, horizontal positive (CVT-RB)
}

/* E-EDID A2, 3.10.3 Display descriptor with text: 13 characters, ended by a newline if shorter. */
static void put_text(uint8_t *at, uint8_t tag, const char *text)
{
	size_t len = strlen(text);

	assert(len <= 13);
	at[3] = tag;
	memset(at + 5, ' ', 13);
	memcpy(at + 5, text, len);
	if (len < 13) {
		at[5 + len] = '\n';
	}
}

static void put_descriptors(
	uint8_t *block, uint32_t output, const struct timing *first, const struct screen_size *size)
{
	char text[16];

	put_detailed(block + 54, first, size);
	snprintf(text, sizeof(text), "virtio-gpu %u", output);
	put_text(block + 72, 0xfc, text);
	snprintf(text, sizeof(text), "output-%u", output);
	put_text(block + 90, 0xff, text);
	block[108 + 3] = 0x10; // unused
}

/* VESA DisplayID 1.3, Type I detailed timing: 20 bytes, each number one less than it means. */
static void put_type_1(uint8_t *at, const struct timing *timing)
{
	const uint32_t positive = 0x8000;

	put_le16(at, (timing->clock_10khz - 1) & 0xffff);
	put_u8(at + 2, (timing->clock_10khz - 1) >> 16);
	put_u8(at + 3, 0x88); // preferred, progressive, aspect ratio not told
	put_le16(at + 4, timing->width - 1);
	put_le16(at + 6, RB_H_BLANK - 1);
	put_le16(at + 8, (RB_H_FRONT - 1) | positive);
	put_le16(at + 10, RB_H_SYNC - 1);
	put_le16(at + 12, timing->height - 1);
	put_le16(at + 14, timing->v_blank - 1);
	put_le16(at + 16, RB_V_FRONT - 1);
	put_le16(at + 18, timing->v_sync - 1);
}

/* The header of a DisplayID block; returns where its payload begins. */
static uint8_t *put_block(uint8_t **at, uint8_t tag, uint8_t size)
{
	uint8_t *payload = *at + 3;

	(*at)[0] = tag;
	(*at)[2] = size;
	*at = payload + size;
	return payload;
}

/* VESA DisplayID 1.3, Product identification: as in the base block. */
static void put_product(uint8_t *payload, uint32_t output)
{
	memcpy(payload, MANUFACTURER, 3);
	put_le16(payload + 3, PRODUCT_CODE);
	put_le16(payload + 5, output + 1);
	put_u8(payload + 9, 0xff);
	put_u8(payload + 10, MODEL_YEAR - 2000);
}

/* VESA DisplayID 1.3, Display parameters. */
static void put_parameters(
	uint8_t *payload, const struct timing *preferred, const struct screen_size *size)
{
	uint32_t longer = preferred->width, shorter = preferred->height;
	uint32_t ratio; // over 1, in hundredths

	if (longer < shorter) {
		longer = preferred->height;
		shorter = preferred->width;
	}
	ratio = (longer - shorter) * 100 / shorter;
	put_le16(payload, size->width_mm * 10);
	put_le16(payload + 2, size->height_mm * 10);
	put_le16(payload + 4, preferred->width);
	put_le16(payload + 6, preferred->height);
	put_u8(payload + 9, 120); // gamma 2.2
	put_u8(payload + 10, ratio < 0xff ? ratio : 0xff);
	put_u8(payload + 11, 0x77); // 8 bits a colour
}

/* VESA DisplayID 1.3, Display interface features: no wire there is has such a picture. */
static void put_interface(uint8_t *payload)
{
	put_u8(payload, 0xa1); // proprietary digital, one link
	put_u8(payload + 2, 0x02); // RGB, 8 bits a colour
}

/* E-EDID extension 0x70: a DisplayID section. */
static void put_displayid(uint8_t *block, uint32_t output, const struct timing *preferred,
	const struct screen_size *size)
{
	uint8_t *at = block + 5;

	block[0] = 0x70;
	block[1] = 0x13;
	block[3] = 0x03; // a stand-alone display
	put_product(put_block(&at, 0x00, 12), output);
	put_parameters(put_block(&at, 0x01, 12), preferred, size);
	put_type_1(put_block(&at, 0x03, 20), preferred);
	put_interface(put_block(&at, 0x0f, 10));
	put_u8(block + 2, (uint32_t)(at - block) - 5);
	put_checksum(block + 1, (size_t)(at - block) - 1);
	put_checksum(block, BLOCK_SIZE - 1);
}

/* What the base block starts with when the preferred mode does not fit there. */
static struct timing fallback_timing(uint32_t width, uint32_t height)
{
	return make_timing(width < 1920 ? width : 1920, height < 1080 ? height : 1080);
}

void edid_make(uint32_t output, uint32_t width, uint32_t height, struct display_edid *edid)
{
	struct timing preferred = make_timing(width, height);
	bool fits = fits_detailed(&preferred);
	struct timing first = fits ? preferred : fallback_timing(width, height);
	struct screen_size size = make_size(width, height);

	*edid = (struct display_edid){ .size = fits ? BLOCK_SIZE : 2 * BLOCK_SIZE };
	put_identity(edid->bytes, output);
	put_features(edid->bytes, &size);
	put_established(edid->bytes, &preferred);
	put_standard(edid->bytes, &preferred);
	put_descriptors(edid->bytes, output, &first, &size);
	edid->bytes[126] = fits ? 0 : 1;
	put_checksum(edid->bytes, BLOCK_SIZE - 1);
	if (!fits) {
		put_displayid(edid->bytes + BLOCK_SIZE, output, &preferred, &size);
	}
}
