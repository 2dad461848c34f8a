/* SPDX-License-Identifier: MIT */
#include "fuzz/gpu_script.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
	RESOURCES = 6, // ids 0 to 5: few, so that commands meet
	PAGE = 4096,
};

static uint32_t take_id(struct input *input)
{
	uint8_t id = input_u8(input);

	return id < 0xf8 ? id % RESOURCES : input_u32(input);
}

static uint32_t take_format(struct input *input)
{
	static const uint32_t formats[] = { VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM,
		VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM,
		VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM,
		VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM,
		VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM };
	uint8_t which = input_u8(input);

	return which < 0xf0 ? formats[which % COUNT(formats)] : input_u32(input);
}

static struct virtio_gpu_rect take_rect(struct input *input)
{
	struct virtio_gpu_rect rect;

	rect.x = input_number(input);
	rect.y = input_number(input);
	rect.width = input_number(input);
	rect.height = input_number(input);
	return rect;
}

/* A page or a part of one, mostly within the guest's memory; neighbours touch and overlap. */
static struct virtio_gpu_mem_entry take_entry(
	struct input *input, const struct gpu_script_memory *memory)
{
	struct virtio_gpu_mem_entry entry = { .padding = 0 };
	uint8_t kind = input_u8(input);

	if (kind >= 0xf0) {
		entry.addr = input_u64(input);
		entry.length = input_number(input);
		return entry;
	}
	entry.addr = memory->addr + (uint64_t)(kind % (memory->size / PAGE)) * PAGE;
	entry.length = kind & 1 ? PAGE : input_number(input);
	return entry;
}

static size_t append_entries(struct input *input, const struct gpu_script_memory *memory,
	uint8_t *command, size_t size, uint32_t *count)
{
	uint32_t entries = input_u8(input) % (GPU_SCRIPT_ENTRIES + 1);

	for (uint32_t i = 0; i < entries; i++) {
		struct virtio_gpu_mem_entry entry = take_entry(input, memory);

		memcpy(command + size, &entry, sizeof(entry));
		size += sizeof(entry);
	}
	/* Now and then the count does not fit the list. */
	*count = input_u8(input) < 0xf0 ? entries : input_number(input);
	return size;
}

static size_t make_create(struct input *input, uint8_t *command)
{
	struct virtio_gpu_resource_create_2d create = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D
	};

	create.resource_id = take_id(input);
	create.format = take_format(input);
	create.width = input_number(input);
	create.height = input_number(input);
	memcpy(command, &create, sizeof(create));
	return sizeof(create);
}

static size_t make_attach(
	struct input *input, const struct gpu_script_memory *memory, uint8_t *command)
{
	struct virtio_gpu_resource_attach_backing attach = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING
	};
	size_t size;

	attach.resource_id = take_id(input);
	size = append_entries(input, memory, command, sizeof(attach), &attach.nr_entries);
	memcpy(command, &attach, sizeof(attach));
	return size;
}

static size_t make_blob(
	struct input *input, const struct gpu_script_memory *memory, uint8_t *command)
{
	struct virtio_gpu_resource_create_blob create = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB
	};
	size_t size;

	create.resource_id = take_id(input);
	create.blob_mem = input_u8(input) % 5;
	create.blob_flags = input_u8(input) % 9;
	size = append_entries(input, memory, command, sizeof(create), &create.nr_entries);
	create.size = (uint64_t)(size - sizeof(create)) / sizeof(struct virtio_gpu_mem_entry) *
		PAGE;
	if (input_u8(input) >= 0xc0) {
		create.size = input_number(input);
	}
	memcpy(command, &create, sizeof(create));
	return size;
}

static size_t make_scanout_blob(struct input *input, uint8_t *command)
{
	struct virtio_gpu_set_scanout_blob set = { .hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB };

	set.r = take_rect(input);
	set.scanout_id = input_u8(input) % 4;
	set.resource_id = take_id(input);
	set.width = input_number(input);
	set.height = input_number(input);
	set.format = take_format(input);
	set.strides[0] = input_u8(input) < 0xc0 ? set.width * 4 : input_number(input);
	set.offsets[0] = input_number(input);
	memcpy(command, &set, sizeof(set));
	return sizeof(set);
}

static size_t make_scanout(struct input *input, uint8_t *command)
{
	struct virtio_gpu_set_scanout set = { .hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT };

	set.r = take_rect(input);
	set.scanout_id = input_u8(input) % 4;
	set.resource_id = take_id(input);
	memcpy(command, &set, sizeof(set));
	return sizeof(set);
}

static size_t make_transfer(struct input *input, uint8_t *command)
{
	struct virtio_gpu_transfer_to_host_2d transfer = {
		.hdr.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D
	};

	transfer.r = take_rect(input);
	transfer.offset = input_number(input);
	transfer.resource_id = take_id(input);
	memcpy(command, &transfer, sizeof(transfer));
	return sizeof(transfer);
}

static size_t make_flush(struct input *input, uint8_t *command)
{
	struct virtio_gpu_resource_flush flush = { .hdr.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH };

	flush.r = take_rect(input);
	flush.resource_id = take_id(input);
	memcpy(command, &flush, sizeof(flush));
	return sizeof(flush);
}

static size_t make_cursor(struct input *input, uint8_t *command)
{
	struct virtio_gpu_update_cursor cursor = { .hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR };

	if (input_u8(input) & 1) {
		cursor.hdr.type = VIRTIO_GPU_CMD_MOVE_CURSOR;
	}
	cursor.pos.scanout_id = input_u8(input) % 4;
	cursor.pos.x = input_number(input);
	cursor.pos.y = input_number(input);
	cursor.resource_id = take_id(input);
	cursor.hot_x = input_number(input);
	cursor.hot_y = input_number(input);
	memcpy(command, &cursor, sizeof(cursor));
	return sizeof(cursor);
}

/* A command of a header, one number and a padding: most of the rest. */
static size_t make_short(struct input *input, uint8_t *command)
{
	static const uint32_t types[] = { VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
		VIRTIO_GPU_CMD_RESOURCE_UNREF, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
		VIRTIO_GPU_CMD_GET_CAPSET_INFO, VIRTIO_GPU_CMD_GET_CAPSET, VIRTIO_GPU_CMD_GET_EDID,
		VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, VIRTIO_GPU_CMD_CTX_DESTROY };
	struct virtio_gpu_resource_unref unref = { 0 };
	uint8_t which = input_u8(input);

	unref.hdr.type = which < 0xf0 ? types[which % COUNT(types)] : input_number(input);
	unref.resource_id = take_id(input);
	memcpy(command, &unref, sizeof(unref));
	return unref.hdr.type == VIRTIO_GPU_CMD_GET_DISPLAY_INFO ? sizeof(unref.hdr)
								 : sizeof(unref);
}

static size_t make_raw(struct input *input, uint8_t *command)
{
	size_t size = input_u8(input);

	input_take(input, command, size);
	return size < GPU_SCRIPT_MAX ? size : GPU_SCRIPT_MAX;
}

/* What all commands have: a fence mostly, other header fields seldom. */
static void dress(struct input *input, uint8_t *command, size_t size)
{
	uint8_t how = input_u8(input);
	struct virtio_gpu_ctrl_hdr header;

	if (size < sizeof(header) || how < 0x60) {
		return;
	}
	memcpy(&header, command, sizeof(header));
	header.flags = VIRTIO_GPU_FLAG_FENCE;
	header.fence_id = how;
	if (how >= 0xf8) {
		header.flags = input_u32(input);
		header.ctx_id = input_u32(input);
	}
	memcpy(command, &header, sizeof(header));
}

/* Mostly the right size. */
static size_t cut(struct input *input, size_t size)
{
	return input_u8(input) < 0xf0 ? size : input_u8(input) % (size + 1);
}

size_t gpu_script_make(struct input *input, const struct gpu_script_memory *memory,
	uint8_t command[static GPU_SCRIPT_MAX], uint32_t *queue)
{
	size_t size;

	memset(command, 0, GPU_SCRIPT_MAX);
	*queue = WIRE_CONTROL_QUEUE;
	switch (input_u8(input) % 11) {
	case 0:
		size = make_create(input, command);
		break;
	case 1:
		size = make_attach(input, memory, command);
		break;
	case 2:
		size = make_scanout(input, command);
		break;
	case 3:
		size = make_transfer(input, command);
		break;
	case 4:
	case 5:
		size = make_flush(input, command);
		break;
	case 6:
		size = make_short(input, command);
		break;
	case 7:
		size = make_blob(input, memory, command);
		break;
	case 8:
		size = make_scanout_blob(input, command);
		break;
	case 9:
		size = make_cursor(input, command);
		*queue = input_u8(input) < 0xf0 ? WIRE_CURSOR_QUEUE : WIRE_CONTROL_QUEUE;
		break;
	default:
		size = make_raw(input, command);
		*queue = input_u8(input) & 1;
		break;
	}
	dress(input, command, size);
	return cut(input, size);
}
