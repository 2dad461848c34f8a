/* SPDX-License-Identifier: MIT */
/* Decoding and encoding against bytes written out by hand: each field from its own place. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <drm_fourcc.h>
#include <string.h>

#include "gpu/decode.h"
#include "gpu/encode.h"

/* Byte i is i, at an odd address: the little-endian word at offset o is then word(o). */
static const uint8_t *counting_bytes(void)
{
	static uint8_t bytes[129];

	for (size_t i = 0; i < 128; i++) {
		bytes[1 + i] = (uint8_t)i;
	}
	return bytes + 1;
}

static uint32_t word(uint32_t offset)
{
	return offset | (offset + 1) << 8 | (offset + 2) << 16 | (offset + 3) << 24;
}

static uint64_t long_word(uint32_t offset)
{
	return word(offset) | (uint64_t)word(offset + 4) << 32;
}

static void check_rect(const struct rect *rect, uint32_t offset)
{
	assert_int_equal(rect->x, word(offset));
	assert_int_equal(rect->y, word(offset + 4));
	assert_int_equal(rect->width, word(offset + 8));
	assert_int_equal(rect->height, word(offset + 12));
}

static void fields_come_from_their_places(void **state)
{
	const uint8_t *bytes = counting_bytes();
	const struct gpu_create_2d create = decode_create_2d(bytes);
	const struct gpu_set_scanout scanout = decode_set_scanout(bytes);
	const struct gpu_flush flush = decode_flush(bytes);
	const struct gpu_transfer_2d transfer = decode_transfer_2d(bytes);
	const struct gpu_attach_backing attach = decode_attach_backing(bytes);

	(void)state;
	assert_int_equal(decode_type(bytes), word(0));
	assert_int_equal(decode_id(bytes), word(24));
	assert_int_equal(create.resource_id, word(24));
	assert_int_equal(create.format, word(28));
	assert_int_equal(create.width, word(32));
	assert_int_equal(create.height, word(36));
	check_rect(&scanout.rect, 24);
	assert_int_equal(scanout.scanout_id, word(40));
	assert_int_equal(scanout.resource_id, word(44));
	check_rect(&flush.rect, 24);
	assert_int_equal(flush.resource_id, word(40));
	check_rect(&transfer.rect, 24);
	assert_true(transfer.offset == long_word(40));
	assert_int_equal(transfer.resource_id, word(48));
	assert_int_equal(attach.resource_id, word(24));
	assert_int_equal(attach.entry_count, word(28));
}

static void fields_of_blobs_come_from_their_places(void **state)
{
	const uint8_t *bytes = counting_bytes();
	const struct gpu_create_blob blob = decode_create_blob(bytes);
	const struct gpu_set_scanout_blob scanout = decode_set_scanout_blob(bytes);

	(void)state;
	assert_int_equal(blob.resource_id, word(24));
	assert_int_equal(blob.blob_mem, word(28));
	assert_int_equal(blob.blob_flags, word(32));
	assert_int_equal(blob.entry_count, word(36));
	assert_true(blob.size == long_word(48));
	check_rect(&scanout.rect, 24);
	assert_int_equal(scanout.scanout_id, word(40));
	assert_int_equal(scanout.resource_id, word(44));
	assert_int_equal(scanout.width, word(48));
	assert_int_equal(scanout.height, word(52));
	assert_int_equal(scanout.format, word(56));
	assert_int_equal(scanout.stride, word(64));
	assert_int_equal(scanout.offset, word(80));
}

static void fields_of_lists_and_cursors_come_from_their_places(void **state)
{
	const uint8_t *bytes = counting_bytes();
	const struct gpu_entry entry = decode_entry(bytes, 3);
	const struct gpu_cursor cursor = decode_cursor(bytes);

	(void)state;
	assert_true(entry.addr == long_word(48));
	assert_int_equal(entry.len, word(56));
	assert_int_equal(cursor.scanout_id, word(24));
	assert_int_equal(cursor.x, word(28));
	assert_int_equal(cursor.y, word(32));
	assert_int_equal(cursor.resource_id, word(40));
	assert_int_equal(cursor.hot_x, word(44));
	assert_int_equal(cursor.hot_y, word(48));
}

/* VIRTIO 1.3, 5.7.6.8: numbers of the formats, and their order of bytes. */
static void formats_are_renamed(void **state)
{
	(void)state;
	assert_int_equal(decode_format(1), DRM_FORMAT_ARGB8888);
	assert_int_equal(decode_format(2), DRM_FORMAT_XRGB8888);
	assert_int_equal(decode_format(3), DRM_FORMAT_BGRA8888);
	assert_int_equal(decode_format(4), DRM_FORMAT_BGRX8888);
	assert_int_equal(decode_format(67), DRM_FORMAT_ABGR8888);
	assert_int_equal(decode_format(68), DRM_FORMAT_RGBX8888);
	assert_int_equal(decode_format(121), DRM_FORMAT_RGBA8888);
	assert_int_equal(decode_format(134), DRM_FORMAT_XBGR8888);
	assert_int_equal(decode_format(0), 0);
	assert_int_equal(decode_format(5), 0);
	assert_int_equal(decode_format(UINT32_MAX), 0);
}

static void headers_are_encoded(void **state)
{
	static const uint8_t want[24] = { 0x05, 0x12, 0, 0, 3, 0, 0, 0, 8, 9, 10, 11, 12, 13, 14,
		15, 16, 17, 18, 19, 20 };
	uint8_t request[24];
	union gpu_response response;

	(void)state;
	memcpy(request, counting_bytes(), sizeof(request));
	request[4] = 0xff;
	memset(&response, 0xee, sizeof(response));
	assert_int_equal(
		encode_header(&response, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, request), 24);
	assert_memory_equal(&response, want, 24);
	assert_int_equal(encode_header(&response, VIRTIO_GPU_RESP_OK_DISPLAY_INFO, request), 408);
	assert_int_equal(encode_header(&response, VIRTIO_GPU_RESP_OK_EDID, request), 1056);
	assert_int_equal(encode_header(&response, VIRTIO_GPU_RESP_OK_RESOURCE_UUID, request), 40);
	assert_int_equal(encode_header(&response, VIRTIO_GPU_RESP_OK_NODATA, NULL), 24);
	assert_int_equal(response.header.flags, 0);
	assert_int_equal(response.header.ring_idx, 0);
}

/* No byte of a former answer, or of the host, goes out with a payload. */
static void payloads_are_encoded_whole(void **state)
{
	static const uint8_t one[24] = { 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1 };
	const struct display_info info = { .outputs[1] = { true, { 1, 2, 3, 4 } } };
	struct display_edid edid = { .size = 3, .bytes = { 7, 8, 9, 10 } };
	static const uint8_t edid_head[14] = { 3, 0, 0, 0, 0, 0, 0, 0, 7, 8, 9, 0, 0, 0 };
	static const uint8_t uuid[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
	union gpu_response response;
	const uint8_t *bytes = (const uint8_t *)&response;

	(void)state;
	memset(&response, 0xee, sizeof(response));
	encode_display_info(&response, &info, 2);
	for (size_t i = 24; i < 408; i++) {
		assert_int_equal(bytes[i], i >= 48 && i < 72 ? one[i - 48] : 0);
	}
	encode_display_info(&response, &info, 1);
	for (size_t i = 24; i < 408; i++) {
		assert_int_equal(bytes[i], 0);
	}
	memset(&response, 0xee, sizeof(response));
	encode_edid(&response, &edid);
	for (size_t i = 24; i < 1056; i++) {
		assert_int_equal(bytes[i], i < 24 + 14 ? edid_head[i - 24] : 0);
	}
	edid.size = 1024;
	edid.bytes[1023] = 0x99;
	encode_edid(&response, &edid);
	assert_int_equal(bytes[1055], 0x99);
	encode_uuid(&response, uuid);
	assert_memory_equal(bytes + 24, uuid, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_from_their_places),
		cmocka_unit_test(fields_of_blobs_come_from_their_places),
		cmocka_unit_test(fields_of_lists_and_cursors_come_from_their_places),
		cmocka_unit_test(formats_are_renamed),
		cmocka_unit_test(headers_are_encoded),
		cmocka_unit_test(payloads_are_encoded_whole),
	};

	return cmocka_run_group_tests_name("gpu_wire", tests, NULL, NULL);
}
