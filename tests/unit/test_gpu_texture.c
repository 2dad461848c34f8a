/* SPDX-License-Identifier: MIT */
#include "gpu/texture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "render/format.h"

/* What textures cost, against sums done by hand. */

#define KIB 1024ull
#define MIB (1024 * KIB)

enum {
	BGRA = 1,
	B5G6R5 = 7,
	L8 = 9,
	Z16 = 16,
	Z24S8 = 19,
	RGBA64F = 27,
	RG32F = 29,
	RGB32F = 30,
	R16 = 48,
	RGB8 = 66,
	RGBA16F = 94,
	RGB8_SRGB = 97,
	DXT1 = 105,
	DXT5 = 108,
	RGTC1 = 113,
	Z32F_S8 = 126,
	R32_SINT = 197,
	ETC1 = 226,
	BPTC = 255,
	ETC2_RGBA8 = 273,
	ASTC_4X4 = 279,
	ASTC_12X12 = 292,
	ASTC_4X4_SRGB = 293,
	ASTC_12X12_SRGB = 306,
	UNKNOWN = 5000,
};

static struct render_texture_info texture_2d(uint32_t format, uint32_t width, uint32_t height)
{
	return (struct render_texture_info){
		.target = GPU_TEXTURE_2D,
		.format = format,
		.width = width,
		.height = height,
		.depth = 1,
		.array_size = 1,
	};
}

static uint64_t size_of(const struct render_texture_info *info)
{
	uint64_t bytes = 0;

	assert_true(gpu_texture_size(info, &bytes));
	return bytes;
}

/* In guest memory, where three channels take no more than that. */
static void blocks_are_exact(void **state)
{
	static const struct {
		uint32_t format, width, height, bytes;
	} known[] = {
		{ BGRA, 1, 1, 4 },
		{ L8, 1, 1, 1 },
		{ RGB8, 1, 1, 3 },
		{ RGB8_SRGB, 1, 1, 3 },
		{ RGB32F, 1, 1, 12 },
		{ RGBA64F, 1, 1, 32 },
		{ DXT5, 4, 4, 16 },
		{ ETC1, 4, 4, 8 },
		{ ASTC_12X12_SRGB, 12, 12, 16 },
	};
	struct render_block block;

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_true(render_format_block(known[i].format, &block));
		assert_int_equal(block.width, known[i].width);
		assert_int_equal(block.height, known[i].height);
		assert_int_equal(block.bytes, known[i].bytes);
	}
	assert_false(render_format_block(UNKNOWN, &block));
}

static void formats_have_their_sizes(void **state)
{
	static const struct {
		uint32_t format;
		uint64_t bytes; // of 256x256
	} known[] = {
		{ BGRA, 256 * KIB },
		{ B5G6R5, 128 * KIB },
		{ L8, 64 * KIB },
		{ Z16, 128 * KIB },
		{ Z24S8, 256 * KIB },
		{ Z32F_S8, 512 * KIB },
		{ R16, 128 * KIB },
		{ RG32F, 512 * KIB },
		{ RGB8, 256 * KIB }, // as RGBA8
		{ RGB32F, 1 * MIB }, // as RGBA32F
		{ RGBA16F, 512 * KIB },
		{ RGBA64F, 2 * MIB },
		{ R32_SINT, 256 * KIB },
		{ DXT1, 32 * KIB },
		{ DXT5, 64 * KIB },
		{ RGTC1, 32 * KIB },
		{ BPTC, 64 * KIB },
		{ ETC1, 32 * KIB + 256 * KIB }, // packed, and its pixels
		{ ETC2_RGBA8, 64 * KIB + 256 * KIB },
		{ ASTC_4X4, 64 * KIB + 256 * KIB },
		{ ASTC_4X4_SRGB, 64 * KIB + 256 * KIB },
		/* 22x22 blocks of 16 + 576 bytes, in whole pages. */
		{ ASTC_12X12, 280 * KIB },
		{ ASTC_12X12_SRGB, 280 * KIB },
		{ UNKNOWN, 2 * MIB },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct render_texture_info info = texture_2d(known[i].format, 256, 256);

		assert_int_equal(size_of(&info), known[i].bytes);
	}
}

/* No format is free, and none that is not compressed has more than 32 bytes a pixel. */
static void each_number_has_a_size(void **state)
{
	(void)state;
	for (uint32_t format = 0; format < 600; format++) {
		const struct render_texture_info info = texture_2d(format, 1024, 1024);

		assert_in_range(size_of(&info), MIB / 2, 32 * MIB);
	}
}

/* Blocks at the edge are whole, and so are pages. */
static void odd_sizes_are_rounded_up(void **state)
{
	const struct render_texture_info pixel = texture_2d(BGRA, 1, 1);
	const struct render_texture_info line = texture_2d(DXT1, 4097, 1);
	const struct render_texture_info nothing = texture_2d(BGRA, 0, 0);

	(void)state;
	assert_int_equal(size_of(&pixel), 4 * KIB);
	assert_int_equal(size_of(&line), 12 * KIB); // 1025 blocks of 8 bytes
	assert_int_equal(size_of(&nothing), 4 * KIB);
}

static void levels_are_summed(void **state)
{
	struct render_texture_info info = texture_2d(BGRA, 1024, 512);

	(void)state;
	info.last_level = 1;
	assert_int_equal(size_of(&info), 2 * MIB + 512 * KIB);
	info.last_level = 10;
	/* 4 * (524288 + 131072 + 32768 + 8192 + 2048 + 512 + 128 + 32 + 8 + 2 + 1) = 2796244 */
	assert_int_equal(size_of(&info), (2796244 / 4096 + 1) * 4096);
	/* A level of a compressed texture is one block at least. */
	info = texture_2d(DXT1, 256, 256);
	info.last_level = 8;
	assert_int_equal(size_of(&info), 44 * KIB); // 32768 + 8192 + 2048 + 512 + 128 + 32 + 3 * 8
	/* What the renderer will refuse is no matter, as long as it ends. */
	info.last_level = UINT32_MAX;
	assert_int_equal(size_of(&info), 44 * KIB);
}

static void layers_faces_and_samples_multiply(void **state)
{
	struct render_texture_info info = texture_2d(BGRA, 64, 64);

	(void)state;
	info.array_size = 5;
	assert_int_equal(size_of(&info), 5 * 16 * KIB);
	info.nr_samples = 4;
	assert_int_equal(size_of(&info), 4 * 5 * 16 * KIB);
	info = texture_2d(BGRA, 64, 64);
	info.target = GPU_TEXTURE_CUBE;
	assert_int_equal(size_of(&info), 6 * 16 * KIB);
	info.array_size = 6;
	assert_int_equal(size_of(&info), 6 * 16 * KIB);
}

static void depth_halves_with_the_level(void **state)
{
	struct render_texture_info info = texture_2d(BGRA, 64, 64);

	(void)state;
	info.target = GPU_TEXTURE_3D;
	info.depth = 64;
	assert_int_equal(size_of(&info), 1 * MIB);
	info.last_level = 2;
	assert_int_equal(size_of(&info), MIB + MIB / 8 + MIB / 64);
}

static void buffers_are_bytes(void **state)
{
	struct render_texture_info info = texture_2d(RGBA64F, 100000, 1);

	(void)state;
	info.target = GPU_TEXTURE_BUFFER;
	assert_int_equal(size_of(&info), 100 * KIB);
	info.width = UINT32_MAX;
	assert_int_equal(size_of(&info), 1ull << 32);
}

static void nothing_wraps(void **state)
{
	struct render_texture_info info = texture_2d(BGRA, UINT32_MAX, UINT32_MAX);
	uint64_t bytes = 7;

	(void)state;
	assert_false(gpu_texture_size(&info, &bytes)); // 2^66
	info = texture_2d(BGRA, 1u << 31, 1u << 30); // 2^63
	assert_true(gpu_texture_size(&info, &bytes));
	info.last_level = 1;
	assert_true(gpu_texture_size(&info, &bytes));
	info.array_size = 2;
	assert_false(gpu_texture_size(&info, &bytes));
	info.array_size = 1;
	info.nr_samples = 2;
	assert_false(gpu_texture_size(&info, &bytes));
	info.nr_samples = 0;
	info.depth = 2;
	assert_false(gpu_texture_size(&info, &bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_exact),
		cmocka_unit_test(formats_have_their_sizes),
		cmocka_unit_test(each_number_has_a_size),
		cmocka_unit_test(odd_sizes_are_rounded_up),
		cmocka_unit_test(levels_are_summed),
		cmocka_unit_test(layers_faces_and_samples_multiply),
		cmocka_unit_test(depth_halves_with_the_level),
		cmocka_unit_test(buffers_are_bytes),
		cmocka_unit_test(nothing_wraps),
	};

	return cmocka_run_group_tests_name("gpu_texture", tests, NULL, NULL);
}
