/* SPDX-License-Identifier: MIT */
#include "render/format.h"

#include <stddef.h>

/*
 * How this works
 *
 * The numbers are VirGL's (virgl_hw.h, enum virgl_formats), which no package has the header of. Formats in
 * a row mostly have one, two, three and four channels, so a row of the table has four sizes, used in turn.
 */

struct format {
	uint16_t first;
	uint16_t last;
	uint8_t bytes[4]; // of a block, of formats first, first + 1, first + 2, ...
	uint8_t width; // of a block in pixels
	uint8_t height;
	bool unpacked;
};

#define BLOCKS(first, last, size, width, height) \
	{ first, last, { size, size, size, size }, width, height, false }
#define UNPACKED(first, last, size, width, height) \
	{ first, last, { size, size, size, size }, width, height, true }
#define PIXELS(first, last, size) BLOCKS(first, last, size, 1, 1)
#define CHANNELS(first, last, size) \
	{ first, last, { size, 2 * (size), 3 * (size), 4 * (size) }, 1, 1, false }

static const struct format formats[] = {
	PIXELS(1, 4, 4), // B8G8R8A8 in four orders
	PIXELS(5, 7, 2), // B5G5R5A1, B4G4R4A4, B5G6R5
	PIXELS(8, 8, 4), // R10G10B10A2
	PIXELS(9, 11, 1), // L8, A8, I8
	PIXELS(12, 13, 2), // L8A8, L16
	BLOCKS(14, 15, 4, 2, 1), // UYVY, YUYV
	PIXELS(16, 16, 2), // Z16
	PIXELS(17, 22, 4), // Z32, Z24S8 and the like
	PIXELS(23, 23, 1), // S8
	CHANNELS(24, 27, 8), // R64_FLOAT to R64G64B64A64_FLOAT
	CHANNELS(28, 47, 4), // R32: float, unorm, uscaled, snorm, sscaled
	CHANNELS(48, 63, 2), // R16: unorm, uscaled, snorm, sscaled
	CHANNELS(64, 67, 1), // R8: unorm
	PIXELS(68, 68, 4), // X8B8G8R8
	CHANNELS(69, 72, 1), // R8: uscaled
	CHANNELS(74, 77, 1), // R8: snorm
	CHANNELS(82, 85, 1), // R8: sscaled
	CHANNELS(87, 90, 4), // R32: fixed
	CHANNELS(91, 94, 2), // R16: float
	PIXELS(95, 95, 1), // L8 srgb
	PIXELS(96, 96, 2), // L8A8 srgb
	PIXELS(97, 97, 3), // R8G8B8 srgb
	PIXELS(98, 104, 4), // R8G8B8A8 srgb in all orders
	BLOCKS(105, 106, 8, 4, 4), // DXT1
	BLOCKS(107, 108, 16, 4, 4), // DXT3, DXT5
	BLOCKS(109, 110, 8, 4, 4), // DXT1 srgb
	BLOCKS(111, 112, 16, 4, 4), // DXT3, DXT5 srgb
	BLOCKS(113, 114, 8, 4, 4), // RGTC1
	BLOCKS(115, 116, 16, 4, 4), // RGTC2
	BLOCKS(117, 118, 4, 2, 1), // R8G8_B8G8, G8R8_G8B8
	PIXELS(119, 119, 4), // R8SG8SB8UX8U
	PIXELS(120, 120, 2), // R5SG5SB6U
	PIXELS(121, 121, 4), // A8B8G8R8
	PIXELS(122, 122, 2), // B5G5R5X1
	PIXELS(123, 125, 4), // R10G10B10A2, R11G11B10, R9G9B9E5
	PIXELS(126, 126, 8), // Z32_FLOAT_S8X24
	PIXELS(127, 127, 1), // R1
	PIXELS(128, 129, 4), // R10G10B10X2
	PIXELS(130, 130, 1), // L4A4
	PIXELS(131, 132, 4), // B10G10R10A2, R10SG10SB10SA2U
	PIXELS(133, 133, 2), // R8G8Bx
	PIXELS(134, 134, 4), // R8G8B8X8
	PIXELS(135, 135, 2), // B4G4R4X4
	PIXELS(136, 137, 4), // X24S8, S8X24
	PIXELS(138, 138, 8), // X32_S8X24
	PIXELS(139, 139, 1), // B2G3R3
	PIXELS(140, 140, 4), // L16A16
	PIXELS(141, 142, 2), // A16, I16
	BLOCKS(143, 144, 8, 4, 4), // LATC1
	BLOCKS(145, 146, 16, 4, 4), // LATC2
	PIXELS(147, 148, 1), // A8, L8 snorm
	PIXELS(149, 149, 2), // L8A8 snorm
	PIXELS(150, 150, 1), // I8 snorm
	PIXELS(151, 152, 2), // A16, L16 snorm
	PIXELS(153, 153, 4), // L16A16 snorm
	PIXELS(154, 156, 2), // I16 snorm, A16, L16 float
	PIXELS(157, 157, 4), // L16A16 float
	PIXELS(158, 158, 2), // I16 float
	PIXELS(159, 160, 4), // A32, L32 float
	PIXELS(161, 161, 8), // L32A32 float
	PIXELS(162, 162, 4), // I32 float
	PIXELS(163, 167, 2), // planar YUV of 12 or 16 bits a pixel
	PIXELS(168, 169, 1), // A4R4, R4A4
	PIXELS(170, 171, 2), // R8A8, A8R8
	PIXELS(172, 176, 4), // R10G10B10A2, B10G10R10A2
	CHANNELS(177, 184, 1), // R8: uint, sint
	CHANNELS(185, 192, 2), // R16: uint, sint
	CHANNELS(193, 200, 4), // R32: uint, sint
	PIXELS(201, 203, 1), // A8, I8, L8 uint
	PIXELS(204, 204, 2), // L8A8 uint
	PIXELS(205, 207, 1), // A8, I8, L8 sint
	PIXELS(208, 211, 2), // L8A8 sint, A16, I16, L16 uint
	PIXELS(212, 212, 4), // L16A16 uint
	PIXELS(213, 215, 2), // A16, I16, L16 sint
	PIXELS(216, 219, 4), // L16A16 sint, A32, I32, L32 uint
	PIXELS(220, 220, 8), // L32A32 uint
	PIXELS(221, 223, 4), // A32, I32, L32 sint
	PIXELS(224, 224, 8), // L32A32 sint
	PIXELS(225, 225, 4), // B10G10R10A2
	UNPACKED(226, 226, 8, 4, 4), // ETC1
	BLOCKS(227, 228, 4, 2, 1), // R8G8_R8B8, G8R8_B8R8
	PIXELS(229, 233, 4), // R8G8B8X8, B10G10R10X2
	PIXELS(234, 238, 8), // R16G16B16X16
	PIXELS(239, 241, 16), // R32G32B32X32
	PIXELS(242, 242, 2), // R8A8
	PIXELS(243, 245, 4), // R16A16
	PIXELS(246, 246, 8), // R32A32
	PIXELS(247, 248, 2), // R8A8
	PIXELS(249, 250, 4), // R16A16
	PIXELS(251, 252, 8), // R32A32
	PIXELS(253, 253, 4), // R10G10B10A2
	PIXELS(254, 254, 2), // B5G6R5 srgb
	BLOCKS(255, 258, 16, 4, 4), // BPTC (BC6, BC7)
	PIXELS(263, 264, 2), // G8R8
	PIXELS(265, 268, 4), // G16R16, A8B8G8R8, X8B8G8R8
	UNPACKED(269, 272, 8, 4, 4), // ETC2: RGB8, RGB8A1
	UNPACKED(273, 274, 16, 4, 4), // ETC2: RGBA8
	UNPACKED(275, 276, 8, 4, 4), // ETC2: R11
	UNPACKED(277, 278, 16, 4, 4), // ETC2: RG11
	UNPACKED(279, 279, 16, 4, 4), // ASTC
	UNPACKED(280, 280, 16, 5, 4), UNPACKED(281, 281, 16, 5, 5), UNPACKED(282, 282, 16, 6, 5),
	UNPACKED(283, 283, 16, 6, 6), UNPACKED(284, 284, 16, 8, 5), UNPACKED(285, 285, 16, 8, 6),
	UNPACKED(286, 286, 16, 8, 8), UNPACKED(287, 287, 16, 10, 5), UNPACKED(288, 288, 16, 10, 6),
	UNPACKED(289, 289, 16, 10, 8), UNPACKED(290, 290, 16, 10, 10),
	UNPACKED(291, 291, 16, 12, 10), UNPACKED(292, 292, 16, 12, 12),
	PIXELS(308, 308, 4), // R10G10B10X2
	PIXELS(311, 311, 2), // A4B4G4R4
	PIXELS(312, 312, 1), // R8 srgb
	PIXELS(313, 313, 2), // R8G8 srgb
	PIXELS(314, 316, 4), // planar YUV of up to 24 bits a pixel
	PIXELS(317, 317, 3), // B8G8R8
	PIXELS(318, 318, 1), // R3G3B2
	PIXELS(319, 321, 2), // R4G4B4A4, R5G5B5A1, R5G6B5
};

#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

/* ASTC's srgb formats follow its others, block by block. */
enum {
	ASTC_SRGB_FIRST = 293,
	ASTC_SRGB_LAST = 306,
	ASTC_COUNT = 14,
};

bool render_format_block(uint32_t number, struct render_block *block)
{
	if (number >= ASTC_SRGB_FIRST && number <= ASTC_SRGB_LAST) {
		number -= ASTC_COUNT;
	}
	for (size_t i = 0; i < FORMAT_COUNT; i++) {
		const struct format *format = &formats[i];

		if (number >= format->first && number <= format->last) {
			*block = (struct render_block){
				.width = format->width,
				.height = format->height,
				.bytes = format->bytes[(number - format->first) % 4],
				.unpacked = format->unpacked,
			};
			return true;
		}
	}
	return false;
}
