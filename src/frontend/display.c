/* SPDX-License-Identifier: MIT */
#include "frontend/display.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/rect.h"
#include "frontend/wire.h"

/*
 * How this works
 *
 * A message is read in two steps, header and payload, each as far as bytes are there; the state is in
 * header_got and payload_got, so the socket may be non-blocking (fe_display_serve) or blocking
 * (fe_display_read_message). A whole message goes to handle(), which looks its size up, counts it and
 * draws. The payload buffer grows to the largest message and stays.
 */

/* A frame of 16384x16384 pixels does not fit: nothing here draws so much. */
#define PAYLOAD_MAX (256u << 20)

static void blame(struct fe_display *display, const char *what, uint32_t request)
{
	if (display->violations++ == 0) {
		snprintf(display->violation, sizeof(display->violation), "request %u: %s", request,
			what);
	}
}

static void fill_edid(struct virtio_gpu_resp_edid *edid)
{
	static const uint8_t magic[8] = { 0, 255, 255, 255, 255, 255, 255, 0 };
	uint8_t sum = 0;

	*edid = (struct virtio_gpu_resp_edid){ .hdr.type = VIRTIO_GPU_RESP_OK_EDID, .size = 128 };
	memcpy(edid->edid, magic, sizeof(magic));
	edid->edid[18] = 1; // EDID 1.4
	edid->edid[19] = 4;
	for (size_t i = 0; i < 127; i++) {
		sum = (uint8_t)(sum + edid->edid[i]);
	}
	edid->edid[127] = (uint8_t)(256 - sum);
}

void fe_display_set_outputs(
	struct fe_display *display, uint32_t count, uint32_t width, uint32_t height)
{
	display->info = (struct virtio_gpu_resp_display_info){
		.hdr.type = VIRTIO_GPU_RESP_OK_DISPLAY_INFO,
	};
	for (uint32_t i = 0; i < count; i++) {
		display->info.pmodes[i].enabled = 1;
		display->info.pmodes[i].r.width = width;
		display->info.pmodes[i].r.height = height;
	}
}

void fe_display_init(struct fe_display *display)
{
	*display = (struct fe_display){
		.socket = -1,
		.passed_fd = -1,
		.protocol_features = (1u << VMM_PROTOCOL_F_EDID) | (1u << VMM_PROTOCOL_F_DMABUF2),
	};
	for (size_t i = 0; i < FE_DISPLAY_OUTPUTS; i++) {
		display->outputs[i].buffer_fd = -1;
	}
	fe_display_set_outputs(display, 1, 1024, 768);
	fill_edid(&display->edid);
}

void fe_display_close(struct fe_display *display)
{
	fd_close(&display->socket);
	fd_close(&display->passed_fd);
	display->header_got = 0;
	display->payload_got = 0;
	display->late_count = 0;
	display->tick = false;
}

void fe_display_finish(struct fe_display *display)
{
	fe_display_close(display);
	for (size_t i = 0; i < FE_DISPLAY_OUTPUTS; i++) {
		free(display->outputs[i].pixels);
		display->outputs[i].pixels = NULL;
		fd_close(&display->outputs[i].buffer_fd);
	}
	free(display->payload);
	display->payload = NULL;
	display->capacity = 0;
}

int fe_display_open(struct fe_display *display)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		return -errno;
	}
	fe_display_close(display);
	display->socket = ends[0];
	display->closed = false;
	fd_set_nonblocking(display->socket);
	return ends[1];
}

void fe_display_attach(struct fe_display *display, struct fe_pump *pump)
{
	fe_pump_add(pump, &display->socket, &display->tick, fe_display_serve, display);
}

static void send_late(struct fe_display *display)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < display->late_count; i++) {
		struct fe_display_late *late = &display->late[i];

		if (late->due_ns <= fe_now_ns()) {
			fe_wire_write(display->socket, late->bytes, late->size, NULL, 0);
		} else {
			display->late[kept++] = *late;
		}
	}
	display->late_count = kept;
	display->tick = kept > 0 || display->paused;
}

static void answer(struct fe_display *display, const void *payload, uint32_t size)
{
	struct vmm_header header = { display->header.request, VMM_FLAG_REPLY, size };

	if (display->silent & (1u << display->header.request)) {
		return;
	}
	if (display->delay_ms == 0) {
		struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)payload, size } };

		fe_wire_writev(display->socket, iov, size > 0 ? 2 : 1, NULL, 0);
	} else if (display->late_count < FE_DISPLAY_LATE) {
		struct fe_display_late *late = &display->late[display->late_count++];

		late->due_ns = fe_now_ns() + (uint64_t)display->delay_ms * 1000000u;
		late->size = (uint32_t)sizeof(header) + size;
		memcpy(late->bytes, &header, sizeof(header));
		if (size > 0) {
			memcpy(late->bytes + sizeof(header), payload, size);
		}
		display->tick = true;
	}
}

static void resize(struct fe_display *display, struct fe_display_output *output, uint32_t width,
	uint32_t height)
{
	free(output->pixels);
	output->pixels = NULL;
	output->width = width;
	output->height = height;
	output->enabled = width > 0 && height > 0;
	if (output->enabled && !display->discard) {
		output->pixels = calloc((size_t)width * height, sizeof(uint32_t));
	}
}

static void handle_scanout(struct fe_display *display)
{
	struct vmm_scanout scanout;

	memcpy(&scanout, display->payload, sizeof(scanout));
	if (scanout.output >= FE_DISPLAY_OUTPUTS) {
		blame(display, "no such output", VMM_SCANOUT);
		return;
	}
	struct fe_display_output *output = &display->outputs[scanout.output];

	fd_close(&output->buffer_fd);
	resize(display, output, scanout.width, scanout.height);
	output->scanouts++;
}

static const char *find_buffer_fault(
	const struct fe_display *display, const struct vmm_dmabuf_scanout *buffer)
{
	const struct rect part = { buffer->x, buffer->y, buffer->width, buffer->height };

	if (buffer->output >= FE_DISPLAY_OUTPUTS) {
		return "no such output";
	}
	if (!(display->accepted_features >> VMM_PROTOCOL_F_DMABUF2 & 1)) {
		return "DMABUF2 was not accepted";
	}
	if (display->passed_fd >= 0 &&
		(rect_is_empty(&part) ||
			!rect_within(&part, buffer->fd_width, buffer->fd_height))) {
		return "part not within the buffer";
	}
	return NULL;
}

/* Nothing is drawn before the next DMABUF_UPDATE. */
static void handle_buffer(struct fe_display *display)
{
	struct vmm_dmabuf_scanout buffer;

	memcpy(&buffer, display->payload, sizeof(buffer));
	const char *fault = find_buffer_fault(display, &buffer);

	if (fault) {
		blame(display, fault, VMM_DMABUF_SCANOUT2);
		return;
	}
	struct fe_display_output *output = &display->outputs[buffer.output];
	bool off = display->passed_fd < 0;

	fd_close(&output->buffer_fd);
	output->buffer_fd = display->passed_fd;
	display->passed_fd = -1;
	output->buffer = buffer;
	resize(display, output, off ? 0 : buffer.width, off ? 0 : buffer.height);
}

static const char *find_update_fault(
	const struct fe_display *display, const struct vmm_update *update)
{
	const struct rect rect = { update->x, update->y, update->width, update->height };

	if (update->output >= FE_DISPLAY_OUTPUTS) {
		return "no such output";
	}
	const struct fe_display_output *output = &display->outputs[update->output];

	if (!output->enabled) {
		return "output is off";
	}
	if (rect_is_empty(&rect) || !rect_within(&rect, output->width, output->height)) {
		return "rectangle not within the output";
	}
	if (display->header.size !=
		sizeof(*update) + (uint64_t)update->width * update->height * sizeof(uint32_t)) {
		return "size is not width * height * 4";
	}
	return NULL;
}

static void draw(
	struct fe_display_output *output, const struct vmm_update *update, const uint8_t *pixels)
{
	size_t row = (size_t)update->width * sizeof(uint32_t);

	for (uint32_t y = 0; y < update->height; y++) {
		memcpy(output->pixels + (size_t)(update->y + y) * output->width + update->x,
			pixels + y * row, row);
	}
}

/* From a buffer that can be read as a file, as the tests' are. */
static void draw_buffer(struct fe_display_output *output, const struct vmm_update *update)
{
	const struct vmm_dmabuf_scanout *buffer = &output->buffer;
	size_t row = (size_t)update->width * sizeof(uint32_t);

	for (uint32_t y = update->y; y < update->y + update->height; y++) {
		off_t at = (off_t)(buffer->y + y) * buffer->fd_stride +
			(off_t)(buffer->x + update->x) * (off_t)sizeof(uint32_t);

		if (pread(output->buffer_fd, output->pixels + (size_t)y * output->width + update->x,
			    row, at) != (ssize_t)row) {
			return; // it stays as it was
		}
	}
}

static void handle_drawing(struct fe_display *display)
{
	const struct fe_display_output *outputs = display->outputs;
	struct vmm_update update;

	memcpy(&update, display->payload, sizeof(update));
	const struct rect rect = { update.x, update.y, update.width, update.height };

	if (update.output >= FE_DISPLAY_OUTPUTS || outputs[update.output].buffer_fd < 0 ||
		rect_is_empty(&rect) ||
		!rect_within(&rect, outputs[update.output].width, outputs[update.output].height)) {
		blame(display, "no such part of a buffer", VMM_DMABUF_UPDATE);
		return;
	}
	struct fe_display_output *output = &display->outputs[update.output];

	if (output->pixels && !display->discard) {
		draw_buffer(output, &update);
	}
	output->drawings++;
	output->last = update;
	answer(display, NULL, 0);
}

static void handle_update(struct fe_display *display)
{
	struct vmm_update update;

	memcpy(&update, display->payload, sizeof(update));
	const char *fault = find_update_fault(display, &update);

	if (fault) {
		blame(display, fault, VMM_UPDATE);
		return;
	}
	struct fe_display_output *output = &display->outputs[update.output];

	if (output->pixels && !display->discard) {
		draw(output, &update, display->payload + sizeof(update));
	}
	output->updates++;
	output->updated_pixels += (uint64_t)update.width * update.height;
	output->last = update;
}

static void handle_cursor_update(struct fe_display *display)
{
	struct vmm_cursor_update *update = (void *)display->payload;
	struct fe_display_cursor *cursor = &display->cursor;

	cursor->pos = update->pos;
	cursor->hot_x = update->hot_x;
	cursor->hot_y = update->hot_y;
	memcpy(cursor->pixels, update->pixels, sizeof(cursor->pixels));
	cursor->visible = true;
	cursor->shapes++;
}

static void handle_cursor_pos(struct fe_display *display)
{
	struct fe_display_cursor *cursor = &display->cursor;

	memcpy(&cursor->pos, display->payload, sizeof(cursor->pos));
	cursor->visible = display->header.request == VMM_CURSOR_POS;
	if (cursor->visible) {
		cursor->moves++;
	} else {
		cursor->hides++;
	}
}

static void handle_get_edid(struct fe_display *display)
{
	uint32_t output;

	memcpy(&output, display->payload, sizeof(output));
	if (output >= FE_DISPLAY_OUTPUTS) {
		blame(display, "no such output", VMM_GET_EDID);
		return; // QEMU does not answer either
	}
	answer(display, &display->edid, sizeof(display->edid));
}

/* Is the payload as large as the message wants it? UPDATE is looked at when it is drawn. */
static bool size_is_right(const struct vmm_header *header)
{
	static const uint32_t sizes[VMM_DMABUF_SCANOUT2 + 1] = {
		[VMM_SET_PROTOCOL_FEATURES] = 8,
		[VMM_CURSOR_POS] = sizeof(struct vmm_cursor_pos),
		[VMM_CURSOR_POS_HIDE] = sizeof(struct vmm_cursor_pos),
		[VMM_CURSOR_UPDATE] = sizeof(struct vmm_cursor_update),
		[VMM_SCANOUT] = sizeof(struct vmm_scanout),
		[VMM_DMABUF_SCANOUT] = 40,
		[VMM_DMABUF_UPDATE] = sizeof(struct vmm_update),
		[VMM_GET_EDID] = 4,
		[VMM_DMABUF_SCANOUT2] = sizeof(struct vmm_dmabuf_scanout),
	};

	if (header->request == VMM_UPDATE) {
		return header->size >= sizeof(struct vmm_update);
	}
	return header->request >= 1 && header->request <= VMM_DMABUF_SCANOUT2 &&
		header->size == sizes[header->request];
}

static void dispatch(struct fe_display *display)
{
	switch (display->header.request) {
	case VMM_GET_PROTOCOL_FEATURES:
		answer(display, &display->protocol_features, sizeof(uint64_t));
		break;
	case VMM_SET_PROTOCOL_FEATURES:
		memcpy(&display->accepted_features, display->payload, sizeof(uint64_t));
		break;
	case VMM_GET_DISPLAY_INFO:
		answer(display, &display->info, sizeof(display->info));
		break;
	case VMM_CURSOR_POS:
	case VMM_CURSOR_POS_HIDE:
		handle_cursor_pos(display);
		break;
	case VMM_CURSOR_UPDATE:
		handle_cursor_update(display);
		break;
	case VMM_SCANOUT:
		handle_scanout(display);
		break;
	case VMM_UPDATE:
		handle_update(display);
		break;
	case VMM_GET_EDID:
		handle_get_edid(display);
		break;
	case VMM_DMABUF_SCANOUT2:
		handle_buffer(display);
		break;
	case VMM_DMABUF_UPDATE:
		handle_drawing(display);
		break;
	default:
		break;
	}
}

static void note(struct fe_display *display)
{
	struct fe_display_entry *entry = &display->log[display->messages % FE_DISPLAY_LOG];
	uint32_t size = display->header.size;

	*entry = (struct fe_display_entry){ .request = display->header.request, .size = size };
	if (size > 0) {
		memcpy(entry->words, display->payload,
			size < sizeof(entry->words) ? size : sizeof(entry->words));
	}
	display->messages++;
	display->bytes += sizeof(display->header) + size;
}

static void handle(struct fe_display *display)
{
	note(display);
	if (display->header.flags != 0 && !display->any_flags) {
		blame(display, "flags are not 0", display->header.request);
	}
	if (!size_is_right(&display->header)) {
		blame(display, "wrong size", display->header.request);
		return;
	}
	display->received[display->header.request]++;
	dispatch(display);
}

static int reserve_payload(struct fe_display *display)
{
	uint32_t size = display->header.size;

	if (size > PAYLOAD_MAX) {
		blame(display, "payload too large", display->header.request);
		return -EMSGSIZE;
	}
	if (size > display->capacity) {
		uint8_t *payload = realloc(display->payload, size);

		if (!payload) {
			return -ENOMEM;
		}
		display->payload = payload;
		display->capacity = size;
	}
	return 0;
}

/* Reads up to `want` bytes in all into bytes. Returns 0 when they are there, or -errno. */
static int fill(int socket, void *bytes, uint32_t *got, uint32_t want)
{
	while (*got < want) {
		ssize_t count = recv(socket, (char *)bytes + *got, want - *got, 0);

		if (count == 0) {
			return -ECONNRESET;
		}
		if (count < 0 && errno != EINTR) {
			return -errno;
		}
		if (count > 0) {
			*got += (uint32_t)count;
		}
	}
	return 0;
}

/* The header, and the descriptor that comes with its first byte. */
static int fill_header(struct fe_display *display)
{
	while (display->header_got < sizeof(display->header)) {
		int fds[FD_MESSAGE_MAX];
		size_t fd_count = 0;
		bool too_many = false;
		ssize_t count = fd_receive(display->socket,
			(char *)&display->header + display->header_got,
			sizeof(display->header) - display->header_got, fds, &fd_count, &too_many);

		if (fd_count == 1 && display->header_got == 0) {
			fd_close(&display->passed_fd);
			display->passed_fd = fds[0];
		} else if (fd_count > 0) {
			fd_close_all(fds, fd_count);
			blame(display, "a descriptor out of place", 0);
		}
		if (count <= 0) {
			return count < 0 ? (int)count : -ECONNRESET;
		}
		display->header_got += (uint32_t)count;
	}
	return 0;
}

/* Goes on with the message; 0 when it was whole and has been handled. */
static int read_message(struct fe_display *display)
{
	int error = 0;

	if (display->header_got < sizeof(display->header)) {
		error = fill_header(display);
		if (error < 0) {
			return error;
		}
		error = reserve_payload(display);
		if (error < 0) {
			return error;
		}
	}
	error = fill(
		display->socket, display->payload, &display->payload_got, display->header.size);
	if (error < 0) {
		return error;
	}
	handle(display);
	if (display->passed_fd >= 0) {
		fd_close(&display->passed_fd);
		blame(display, "a descriptor that nothing asks for", display->header.request);
	}
	display->header_got = 0;
	display->payload_got = 0;
	return 0;
}

int fe_display_read_message(struct fe_display *display)
{
	return read_message(display);
}

void fe_display_serve(void *data)
{
	struct fe_display *display = data;
	int error = 0;

	send_late(display);
	if (display->paused) {
		usleep(1000); // the socket stays readable: do not let the pump spin
		return;
	}
	while (error == 0 && display->socket >= 0) {
		error = read_message(display);
	}
	if (error < 0 && error != -EAGAIN) {
		display->closed = true;
		fe_display_close(display);
	}
}

int fe_display_wait(struct fe_pump *pump, const uint64_t *count, uint64_t target, int timeout_ms)
{
	uint64_t end = fe_now_ns() + (uint64_t)timeout_ms * 1000000u;

	while (*count < target) {
		if (fe_now_ns() >= end) {
			return -ETIMEDOUT;
		}
		fe_pump_wait(pump, -1, 1);
	}
	return 0;
}

void fe_display_settle(struct fe_display *display, struct fe_pump *pump, int quiet_ms)
{
	uint64_t seen;

	do {
		seen = display->messages;
		fe_pump_wait(pump, -1, quiet_ms);
	} while (display->messages != seen);
}

const struct fe_display_entry *fe_display_last(const struct fe_display *display, uint64_t nth)
{
	if (nth >= display->messages || nth >= FE_DISPLAY_LOG) {
		return NULL;
	}
	return &display->log[(display->messages - 1 - nth) % FE_DISPLAY_LOG];
}

uint32_t fe_display_pixel(const struct fe_display *display, uint32_t output, uint32_t x, uint32_t y)
{
	const struct fe_display_output *o = &display->outputs[output];

	if (!o->pixels || x >= o->width || y >= o->height) {
		return UINT32_MAX;
	}
	return o->pixels[(size_t)y * o->width + x] & 0xffffff;
}
