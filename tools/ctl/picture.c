/* SPDX-License-Identifier: MIT */
#include "ctl/picture.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/message.h"

/* Larger pictures do not occur (VIRTIO GPU modes end there), and sizes stay far from wrapping. */
#define SIDE_MAX 65535

struct picture {
	uint32_t width;
	uint32_t height;
	size_t stride;
	size_t size; // bytes of all rows
	const uint8_t *pixels; // DRM_FORMAT_XRGB8888: blue, green, red, nothing
};

/* 0 when the key is missing or out of range. */
static uint32_t get_side(const json_t *answer, const char *key, json_int_t max)
{
	json_int_t value = json_integer_value(json_object_get(answer, key));

	return value > 0 && value <= max ? (uint32_t)value : 0;
}

static bool describe(const json_t *answer, struct picture *picture)
{
	const char *format = json_string_value(json_object_get(answer, "format"));

	picture->width = get_side(answer, "width", SIDE_MAX);
	picture->height = get_side(answer, "height", SIDE_MAX);
	picture->stride = get_side(answer, "stride", INT32_MAX);
	picture->size = picture->stride * picture->height;
	return picture->width && picture->height && picture->stride / 4 >= picture->width &&
		format && strcmp(format, "XR24") == 0;
}

static int map(struct picture *picture, int fd)
{
	struct stat status;
	void *pixels;

	if (fstat(fd, &status) < 0 || (uint64_t)status.st_size < picture->size) {
		message("the picture's memory is smaller than it should be");
		return -1;
	}
	pixels = mmap(NULL, picture->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (pixels == MAP_FAILED) {
		message("cannot map the picture: %s", strerror(errno));
		return -1;
	}
	picture->pixels = pixels;
	return 0;
}

static void handle_png_error(png_structp png, png_const_charp text)
{
	message("cannot write the PNG: %s", text);
	longjmp(png_jmpbuf(png), 1);
}

static void write_rows(png_structp png, png_infop info, const struct picture *picture)
{
	png_set_IHDR(png, info, picture->width, picture->height, 8, PNG_COLOR_TYPE_RGB,
		PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	/* Much less time than the defaults, and hardly larger for desktops. */
	png_set_compression_level(png, 3);
	png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_UP);
	png_write_info(png, info);
	png_set_filler(png, 0, PNG_FILLER_AFTER);
	png_set_bgr(png);
	for (uint32_t y = 0; y < picture->height; y++) {
		png_write_row(png, picture->pixels + y * picture->stride);
	}
	png_write_end(png, info);
}

/* Apart, because libpng comes back here by longjmp: nothing may change after setjmp. */
static int encode_guarded(
	png_structp png, png_infop info, const struct picture *picture, FILE *file)
{
	if (setjmp(png_jmpbuf(png))) {
		return -1;
	}
	png_init_io(png, file);
	write_rows(png, info, picture);
	return 0;
}

static int encode(const struct picture *picture, FILE *file)
{
	png_structp png = png_create_write_struct(
		PNG_LIBPNG_VER_STRING, NULL, handle_png_error, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	int result = -1;

	if (info) {
		result = encode_guarded(png, info, picture, file);
	} else {
		message("no memory for the PNG");
	}
	png_destroy_write_struct(&png, &info);
	return result;
}

/* As fclose, but stdout stays open. A full disk shows here. */
static int finish_file(FILE *file, const char *path)
{
	int result = file == stdout ? fflush(file) : fclose(file);

	if (result) {
		message("%s: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

/* Is it a file that holds a picture, and not a device or a pipe? */
static bool is_regular(FILE *file)
{
	struct stat status;

	return fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode);
}

static int write_file(const struct picture *picture, const char *path)
{
	const bool to_stdout = strcmp(path, "-") == 0;
	FILE *file = to_stdout ? stdout : fopen(path, "wb");
	bool removable;
	int result;

	if (!file) {
		message("%s: %s", path, strerror(errno));
		return -1;
	}
	removable = !to_stdout && is_regular(file);
	result = encode(picture, file);
	if (finish_file(file, path) < 0) {
		result = -1;
	}
	if (result < 0 && removable) {
		unlink(path); // half a picture
	}
	return result;
}

int picture_write(const json_t *answer, int fd, const char *path)
{
	struct picture picture;
	int result;

	if (fd < 0 || !describe(answer, &picture)) {
		message("the daemon's picture is not understood: is it another version?");
		return -1;
	}
	if (map(&picture, fd) < 0) {
		return -1;
	}
	result = write_file(&picture, path);
	munmap((void *)picture.pixels, picture.size);
	return result;
}
