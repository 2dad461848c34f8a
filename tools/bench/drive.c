/* SPDX-License-Identifier: MIT */
#include "bench/drive.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * How this works
 *
 * An operation is one to three commands that are put into the ring together and notified once. Up to
 * in_flight operations are under way; when answers come, all that are there are taken, as many
 * operations are begun, and the device is notified once. An operation ends with the answer to its last
 * command. For frames it ends when the display process has read the frame's last byte: that process
 * notes the time of each frame, and the n-th frame belongs to the n-th operation because nothing
 * may be merged (the count is checked at the end).
 */

enum {
	COMMANDS_MAX = 3,
	ATTEMPTS_MAX = 3, // at a row, while frames are merged
	SLOTS_MAX = 1024,
	// a power of two, and no larger than READER_TIMES: operations are found again by number
	OPERATIONS_MAX = READER_TIMES,
};

/* The time for a number of operations, when one was asked for. */
static const double unhurried_seconds = 600;

struct command {
	union {
		struct virtio_gpu_resource_create_2d create;
		struct virtio_gpu_resource_unref unref;
		struct virtio_gpu_resource_flush flush;
		struct virtio_gpu_transfer_to_host_2d transfer;
		struct virtio_gpu_update_cursor cursor;
		struct {
			struct virtio_gpu_resource_attach_backing head;
			struct virtio_gpu_mem_entry entry;
		} attach;
	} bytes;
	size_t size;
};

struct drive {
	struct peer *peer;
	const struct row *row;
	struct latencies *latencies;
	uint32_t queue;
	struct command commands[COMMANDS_MAX];
	size_t command_count;
	uint64_t target; // operations, at most OPERATIONS_MAX
	uint64_t begun; // operations
	uint64_t ended;
	uint64_t started_ns;
	uint64_t ended_ns; // last answer, or last frame
	uint64_t begin_ns[OPERATIONS_MAX]; // of each operation
	uint8_t missing[OPERATIONS_MAX]; // answers that operation n still waits for
	uint64_t operation_of[SLOTS_MAX];
	uint32_t bad_answer; // the first answer that was not OK; 0: none
	bool merged; // not every frame came
};

static bool ends_at_display(const struct row *row)
{
	return row->kind == ROW_UPDATE || row->kind == ROW_FLUSH;
}

static uint32_t resource_of(const struct row *row)
{
	if (row->kind == ROW_EMPTY) {
		return PEER_SMALL;
	}
	uint32_t width = row->screen_width ? row->screen_width : row->width;

	return width == 1920 ? PEER_HD : PEER_UHD;
}

static void add_command(struct drive *drive, const void *bytes, size_t size)
{
	struct command *command = &drive->commands[drive->command_count++];

	memcpy(&command->bytes, bytes, size);
	command->size = size;
}

static void prepare_create(struct drive *drive)
{
	const struct row *row = drive->row;
	struct virtio_gpu_resource_create_2d create = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
		.resource_id = PEER_SCRATCH,
		.format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
		.width = row->width,
		.height = row->height,
	};
	struct virtio_gpu_resource_unref unref = { .hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNREF,
		.resource_id = PEER_SCRATCH };
	struct command attach = { 0 };

	attach.bytes.attach.head = (struct virtio_gpu_resource_attach_backing){
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
		.resource_id = PEER_SCRATCH,
		.nr_entries = 1,
	};
	attach.bytes.attach.entry = (struct virtio_gpu_mem_entry){ .addr = drive->peer->pixels.addr,
		.length = row->width * row->height * 4 };
	add_command(drive, &create, sizeof(create));
	add_command(drive, &attach.bytes.attach, sizeof(attach.bytes.attach));
	add_command(drive, &unref, sizeof(unref));
}

static void prepare(struct drive *drive)
{
	const struct row *row = drive->row;
	uint32_t id = resource_of(row);
	// away from the corner, so that rows do not lie together; 0, 0 for whole pictures
	uint32_t x = row->screen_width > row->width ? 128 : 0;
	struct virtio_gpu_rect rect = fe_rect(x, x, row->width, row->height);
	uint64_t offset = ((uint64_t)x * row->screen_width + x) * 4;
	struct virtio_gpu_transfer_to_host_2d transfer = fe_gpu_make_transfer(id, rect, offset);
	struct virtio_gpu_resource_flush flush = fe_gpu_make_flush(id, rect);
	struct virtio_gpu_update_cursor move = fe_gpu_make_move(0, 10, 20, PEER_SMALL);

	if (row->kind == ROW_CREATE) {
		prepare_create(drive);
	} else if (row->kind == ROW_CURSOR) {
		drive->queue = WIRE_CURSOR_QUEUE;
		add_command(drive, &move, sizeof(move));
	} else {
		if (row->kind == ROW_UPDATE || row->kind == ROW_TRANSFER) {
			add_command(drive, &transfer, sizeof(transfer));
		}
		if (row->kind != ROW_TRANSFER) {
			add_command(drive, &flush, sizeof(flush));
		}
	}
}

static int begin_operation(struct drive *drive, uint64_t now)
{
	uint64_t number = drive->begun++ % OPERATIONS_MAX;

	drive->begin_ns[number] = now;
	drive->missing[number] = (uint8_t)drive->command_count;
	for (size_t i = 0; i < drive->command_count; i++) {
		int slot = fe_gpu_submit(&drive->peer->device.gpu, drive->queue,
			&drive->commands[i].bytes, drive->commands[i].size,
			sizeof(struct virtio_gpu_ctrl_hdr));

		if (slot < 0) {
			return slot;
		}
		drive->operation_of[slot] = number;
	}
	return 0;
}

static void end_command(struct drive *drive, const struct fe_gpu_answer *answer)
{
	uint64_t number = drive->operation_of[answer->slot];

	// QEMU's reference writes no answer to cursor commands
	if (answer->type != VIRTIO_GPU_RESP_OK_NODATA && drive->row->kind != ROW_CURSOR &&
		drive->bad_answer == 0) {
		drive->bad_answer = answer->type ? answer->type : 1;
	}
	if (--drive->missing[number] == 0) {
		drive->ended_ns = fe_now_ns();
		drive->ended++;
		if (!ends_at_display(drive->row)) {
			latencies_add(drive->latencies, drive->ended_ns - drive->begin_ns[number]);
		}
	}
}

static int take_answers(struct drive *drive)
{
	struct fe_gpu *gpu = &drive->peer->device.gpu;
	struct fe_gpu_answer answer;
	int error = device_wait(&drive->peer->device, drive->queue, drive->row->spin);

	while (error == 0 && fe_gpu_take(gpu, drive->queue, &answer)) {
		end_command(drive, &answer);
	}
	return error;
}

static int begin_operations(struct drive *drive, uint64_t end)
{
	uint64_t now = fe_now_ns();
	uint64_t before = drive->begun;
	int error = 0;

	while (error == 0 && now < end && drive->begun < drive->target &&
		drive->begun - drive->ended < drive->row->in_flight) {
		error = begin_operation(drive, now);
	}
	if (drive->begun != before) {
		fe_gpu_flush(&drive->peer->device.gpu, drive->queue);
	}
	return error;
}

static int run(struct drive *drive, double seconds)
{
	drive->started_ns = fe_now_ns();
	uint64_t end = drive->started_ns + (uint64_t)(seconds * 1e9);
	int error = begin_operations(drive, end);

	if (drive->row->spin) {
		fe_queue_disable_call(&drive->peer->device.gpu.queues[drive->queue]);
	}
	while (error == 0 && drive->ended < drive->begun) {
		error = take_answers(drive);
		if (error == 0 && drive->bad_answer == 0) {
			error = begin_operations(drive, end);
		}
	}
	return error;
}

/* Waits for every frame, and takes the latencies from the display's clock. */
static int collect_frames(struct drive *drive)
{
	struct reader *reader = &drive->peer->reader;
	const struct reader_shared *shared = reader->shared;
	int error = reader_wait(reader, &shared->frames, drive->begun, DEVICE_WAIT_MS);

	if (error < 0) {
		return error;
	}
	for (uint64_t i = 0; i < drive->begun; i++) {
		latencies_add(drive->latencies, shared->times[i] - drive->begin_ns[i]);
	}
	uint64_t last = shared->times[drive->begun - 1];
	drive->ended_ns = last > drive->ended_ns ? last : drive->ended_ns;
	return 0;
}

static int complain(const struct drive *drive, const char *name, const char *what, int error)
{
	const struct reader_shared *shared = drive->peer->reader.shared;

	fprintf(stderr,
		"virtio-gpu-bench: %s: %s: %s (%s; answer 0x%x, %llu begun, %llu ended, %llu "
		"frames)\n",
		name, drive->row->name, what, strerror(-error), drive->bad_answer,
		(unsigned long long)drive->begun, (unsigned long long)drive->ended,
		(unsigned long long)shared->frames);
	return error;
}

/* Cursor moves are no frames: a back end may merge them, which SAMPLE_MESSAGES then tells. */
static void settle_cursor(struct drive *drive, uint64_t before)
{
	struct reader *reader = &drive->peer->reader;

	reader_wait(reader, &reader->shared->cursor_moves, before + drive->begun, 200);
}

static uint64_t messages_so_far(const struct drive *drive)
{
	const struct reader_shared *shared = drive->peer->reader.shared;

	return drive->row->kind == ROW_CURSOR ? shared->cursor_moves : shared->updates;
}

static void fill_sample(const struct drive *drive, struct usage_counters used, uint64_t messages,
	struct sample *sample)
{
	double count = (double)drive->ended;

	sample->operations = drive->ended;
	sample->fields[SAMPLE_RATE] = count / ((double)(drive->ended_ns - drive->started_ns) / 1e9);
	sample->fields[SAMPLE_CPU] = used.cpu_ns / 1e3 / count;
	sample->fields[SAMPLE_INSTRUCTIONS] = used.instructions / count;
	sample->fields[SAMPLE_SWITCHES] = used.switches / count;
	if (drive->row->screen_width) {
		sample->fields[SAMPLE_MESSAGES] = (double)messages / count;
	}
	latencies_report(drive->latencies, sample);
}

static int measure(struct drive *drive, const char *name, double seconds, struct sample *sample)
{
	struct peer *peer = drive->peer;
	struct usage_counters before = usage_read(
		peer->device.process.pid, peer->device.instructions_fd);
	uint64_t messages = messages_so_far(drive);
	int error = run(drive, seconds);

	if (error < 0 || drive->bad_answer) {
		return complain(drive, name, "the back end failed", error < 0 ? error : -EIO);
	}
	if (ends_at_display(drive->row) && (error = collect_frames(drive)) < 0) {
		drive->merged = true;
		return complain(drive, name, "frames were merged or lost", error);
	}
	if (drive->row->kind == ROW_CURSOR) {
		settle_cursor(drive, messages);
	}
	struct usage_counters after = usage_read(
		peer->device.process.pid, peer->device.instructions_fd);
	if (peer->reader.shared->violations > 0) {
		return complain(drive, name, peer->reader.shared->violation, -EPROTO);
	}
	fill_sample(
		drive, usage_difference(after, before), messages_so_far(drive) - messages, sample);
	return 0;
}

/* The answer to this comes from the display process, when it has read all that was sent before. */
static void settle_display(struct peer *peer)
{
	struct virtio_gpu_resp_display_info info;

	fe_gpu_get_display_info(&peer->device.gpu, &info);
}

static int attempt(struct drive *drive, const char *name, double seconds, struct sample *sample)
{
	const struct row *row = drive->row;
	int error = peer_show(drive->peer, row->screen_width ? resource_of(row) : 0,
		row->screen_width, row->screen_height);

	*sample = sample_none();
	drive->latencies->count = 0;
	if (error < 0) {
		return complain(drive, name, "SET_SCANOUT failed", error);
	}
	settle_display(drive->peer);
	reader_begin(&drive->peer->reader, (uint64_t)row->width * row->height);
	prepare(drive);
	return measure(drive, name, seconds, sample);
}

int drive_row(struct peer *peer, const char *name, const struct row *row, double seconds,
	long operations, struct latencies *latencies, struct sample *sample)
{
	static struct drive drive; // large, and one at a time
	int attempts = 0;
	int error;

	/* A reader that a busy machine does not run for 100 ms has stopped, to a back end. */
	do {
		drive = (struct drive){ .peer = peer, .row = row, .latencies = latencies };
		drive.queue = WIRE_CONTROL_QUEUE;
		drive.target = operations > 0 ? (uint64_t)operations : OPERATIONS_MAX;
		error = attempt(&drive, name, operations > 0 ? unhurried_seconds : seconds, sample);
	} while (drive.merged && ++attempts < ATTEMPTS_MAX);
	return error;
}
