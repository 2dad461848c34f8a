/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/target.h"
#include "run/client.h"

/*
 * A vtest client that says anything, to a server whose device is a fake: it takes commands, and ends them
 * in an order and with answers that the input chooses. Two bytes choose how the stream comes in pieces and
 * when commands end; the rest is the stream.
 *
 * What must hold: commands name guest memory that is there; each ends once; memory that is added is removed
 * only when no command can use it; blobs are mapped where there is room, and once, and do not go before they are
 * unmapped; nothing is left.
 */

#define COMMANDS_MAX 64
#define MEMORY_MAX   (8u << 20) // of a client
#define REGIONS_MAX  4096
#define WINDOW_SIZE  (256u << 10)
#define BLOBS_MAX    512

struct blob {
	uint32_t id;
	uint64_t size;
	uint64_t place;
	bool mapped;
	bool unmapping;
};

struct world {
	const uint8_t *bytes;
	size_t left;
	uint8_t piece; // bytes of each recv; 0: all
	uint8_t rhythm; // commands end after so many others
	struct fe_region regions[REGIONS_MAX];
	size_t region_count;
	struct blob blobs[BLOBS_MAX]; // of the daemon's memory
	size_t blob_count;
	uint32_t subjects[COMMANDS_MAX]; // the resources that commands under way name
	bool silent; // the last look at the socket found nothing
	struct device device;
};

static struct world world;

void __wrap_log_write(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
ssize_t __wrap_recv(int socket, void *buffer, size_t size, int flags);
ssize_t __wrap_send(int socket, const void *buffer, size_t size, int flags);
ssize_t __wrap_sendmsg(int socket, const struct msghdr *message, int flags);

ssize_t __wrap_recv(int socket, void *buffer, size_t size, int flags)
{
	size_t part = world.piece && world.piece < size ? world.piece : size;

	(void)socket;
	world.silent = flags & MSG_DONTWAIT && world.piece % 2 && !world.silent;
	if (world.silent) {
		errno = EAGAIN;
		return -1;
	}
	part = part < world.left ? part : world.left;
	memcpy(buffer, world.bytes, part);
	world.bytes += part;
	world.left -= part;
	return (ssize_t)part;
}

ssize_t __wrap_send(int socket, const void *buffer, size_t size, int flags)
{
	volatile uint8_t sum = 0; // uninitialised or foreign bytes are found out here

	(void)socket;
	(void)flags;
	for (size_t i = 0; i < size; i++) {
		sum = (uint8_t)(sum + ((const uint8_t *)buffer)[i]);
	}
	return (ssize_t)size;
}

ssize_t __wrap_sendmsg(int socket, const struct msghdr *message, int flags)
{
	(void)socket;
	(void)flags;
	demand(message->msg_controllen > 0, "a descriptor is missing");
	return 1;
}

/* Each input ends with a line, which nobody reads. */
void __wrap_log_write(enum log_level level, const char *format, ...)
{
	char line[256];
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
}

static bool is_guest_memory(uint64_t addr, uint64_t size)
{
	if (fe_memory_at(&world.device.gpu.memory, addr, size)) {
		return true;
	}
	for (size_t i = 0; i < world.region_count; i++) {
		const struct fe_region *region = &world.regions[i];

		if (addr >= region->guest_addr && addr - region->guest_addr < region->size &&
			size <= region->size - (addr - region->guest_addr)) {
			return true;
		}
	}
	return false;
}

int device_add_memory(struct device *device, const struct fe_region *region, uint64_t *when)
{
	*when = ++device->added;
	if (world.region_count == REGIONS_MAX) {
		return -ENOSPC;
	}
	demand(!is_guest_memory(region->guest_addr, 1), "a region over another one");
	world.regions[world.region_count++] = *region;
	return 0;
}

int device_confirm_memory(struct device *device, uint64_t when)
{
	demand(when <= device->added, "memory that was not added");
	return 0;
}

void device_remove_memory(struct device *device, const struct fe_region *region)
{
	(void)device;
	for (size_t i = 0; i < world.region_count; i++) {
		if (world.regions[i].guest_addr == region->guest_addr) {
			world.regions[i] = world.regions[--world.region_count];
			return;
		}
	}
	demand(false, "a region is removed that is not there");
}

static struct blob *find_blob(uint32_t id)
{
	for (size_t i = 0; i < world.blob_count; i++) {
		if (world.blobs[i].id == id) {
			return &world.blobs[i];
		}
	}
	return NULL;
}

static void note_blob(const struct virtio_gpu_resource_create_blob *command)
{
	demand(command->size > 0 && command->size % 4096 == 0 && !find_blob(command->resource_id),
		"a blob's size or number");
	if (world.blob_count == BLOBS_MAX) {
		world.device.error = -EREMOTEIO; // as a daemon that has no room
		return;
	}
	world.blobs[world.blob_count++] = (struct blob){ .id = command->resource_id,
		.size = command->size };
}

static void map_blob(const struct virtio_gpu_resource_map_blob *command)
{
	struct blob *blob = find_blob(command->resource_id);

	if (world.device.error < 0) {
		return;
	}
	demand(blob && !blob->mapped && command->offset % 4096 == 0 &&
			command->offset <= WINDOW_SIZE &&
			blob->size <= WINDOW_SIZE - command->offset,
		"a mapping");
	for (size_t i = 0; i < world.blob_count; i++) {
		const struct blob *other = &world.blobs[i];

		demand(!other->mapped || other->place >= command->offset + blob->size ||
				command->offset >= other->place + other->size,
			"a mapping over another one");
	}
	blob->place = command->offset;
	blob->mapped = true;
}

/* Commands of the same number as blobs are of textures, which are not noted. */
static void check_blobs(const void *command)
{
	const struct virtio_gpu_resource_create_blob *create = command;
	const struct virtio_gpu_resource_unref *named = command; // as RESOURCE_UNMAP_BLOB
	struct blob *blob;

	switch (create->hdr.type) {
	case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
		if (create->blob_mem == VIRTIO_GPU_BLOB_MEM_HOST3D) {
			note_blob(create);
		}
		break;
	case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
		map_blob(command);
		break;
	case VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB:
		blob = find_blob(named->resource_id);
		demand(blob && blob->mapped && !blob->unmapping, "an unmapping");
		blob->unmapping = true;
		break;
	case VIRTIO_GPU_CMD_RESOURCE_UNREF:
		blob = find_blob(named->resource_id);
		demand(!blob || !blob->mapped || blob->unmapping, "a blob goes that is mapped");
		break;
	default:
		break;
	}
}

static void end_first(struct device *device)
{
	struct device_pending pending = device->pending[0];
	struct blob *blob = find_blob(world.subjects[0]);

	device->in_flight--;
	memmove(device->pending, device->pending + 1, device->in_flight * sizeof(pending));
	memmove(world.subjects, world.subjects + 1, device->in_flight * sizeof(world.subjects[0]));
	if (pending.command == VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB) {
		blob->mapped = false;
		blob->unmapping = false;
	}
	if (pending.done) {
		pending.done(pending.data);
	}
}

static void check_command(const void *command, size_t size, struct fe_buffer tail)
{
	const struct virtio_gpu_cmd_submit *submit = command;
	const struct {
		struct virtio_gpu_resource_attach_backing head;
		struct virtio_gpu_mem_entry entry;
	} *attach = command;

	if (submit->hdr.type == VIRTIO_GPU_CMD_SUBMIT_3D) {
		demand(size == sizeof(*submit) && submit->size == tail.len && tail.addr % 4 == 0,
			"a submit's size");
		demand(tail.len == 0 || is_guest_memory(tail.addr, tail.len), "a stream's place");
	}
	if (submit->hdr.type == VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING) {
		demand(size == sizeof(*attach) &&
				is_guest_memory(attach->entry.addr, attach->entry.length),
			"a backing's place");
	}
}

int device_send(struct device *device, const void *command, size_t size, struct fe_buffer tail,
	device_done_fn done, void *data)
{
	const struct virtio_gpu_ctrl_hdr *header = command;

	if (device->in_flight == COMMANDS_MAX) {
		end_first(device);
	}
	check_command(command, size, tail);
	check_blobs(command);
	world.subjects[device->in_flight] =
		((const struct virtio_gpu_resource_unref *)command)->resource_id;
	device->pending[device->in_flight++] = (struct device_pending){ header->type, done, data };
	if (device->in_flight > world.rhythm % COMMANDS_MAX) {
		end_first(device);
	}
	return device->error;
}

void device_kick(struct device *device)
{
	(void)device;
}

/* A rhythm of 255: the daemon breaks down on the way. */
int device_reap(struct device *device)
{
	if (world.rhythm == 255 && device->in_flight > 40) {
		device->error = -EREMOTEIO;
	}
	return device->error;
}

int device_wait(struct device *device, uint32_t in_flight)
{
	while (device->in_flight > in_flight) {
		end_first(device);
	}
	return device_reap(device);
}

int device_wait_until(struct device *device, const bool *done)
{
	while (!*done) {
		demand(device->in_flight > 0, "a wait for nothing");
		end_first(device);
	}
	return device_reap(device);
}

void device_set(void *data)
{
	*(bool *)data = true;
}

int device_wait_with(struct device *device, int other)
{
	(void)other;
	demand(device->in_flight > 0, "a wait for nothing");
	end_first(device);
	return device_reap(device) < 0 ? device->error : device->in_flight % 3 == 0;
}

int device_take_file(struct device *device, uint64_t place, uint64_t size, const bool *ended)
{
	(void)place;
	(void)size;
	(void)ended;
	return device_reap(device) < 0 ? device->error : eventfd(0, EFD_CLOEXEC);
}

void device_hang_up(struct device *device)
{
	device_wait(device, 0);
}

int device_find_capset(struct device *device, uint32_t id, struct virtio_gpu_resp_capset_info *info)
{
	(void)device;
	*info = (struct virtio_gpu_resp_capset_info){
		.capset_id = id, .capset_max_version = 2, .capset_max_size = id % 2 ? 308 : 1384
	};
	return id == 1 || id == 2 ? 0 : -ENOENT;
}

int device_get_capset(
	struct device *device, uint32_t id, uint32_t version, void *bytes, uint32_t size)
{
	(void)id;
	(void)version;
	memset(bytes, 0xff, size);
	return device_wait(device, 0);
}

int device_create_context(
	struct device *device, uint32_t capset_id, const char *name, uint32_t name_len)
{
	const struct virtio_gpu_ctx_create command = { .hdr.type = VIRTIO_GPU_CMD_CTX_CREATE };

	(void)capset_id;
	demand(name_len <= 64 && (name_len == 0 || name), "a context's name");
	device->has_context = true;
	return device_send(device, &command, sizeof(command), (struct fe_buffer){ 0 }, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct device_pending pending[COMMANDS_MAX];
	int before = target_count_open();
	int error;

	if (size < 2) {
		return 0;
	}
	world = (struct world){
		.bytes = bytes + 2, .left = size - 2, .piece = bytes[0], .rhythm = bytes[1]
	};
	world.device.pending = pending;
	world.device.gpu.window.size = WINDOW_SIZE;
	fe_memory_init(&world.device.gpu.memory);
	if (fe_memory_add_region(&world.device.gpu.memory, UINT64_C(0x100000000), 1u << 20) < 0) {
		abort();
	}
	error = client_serve(-1, &world.device, MEMORY_MAX);
	demand(error <= 0 && world.device.in_flight == 0, "something is left");
	fe_memory_finish(&world.device.gpu.memory);
	demand(target_count_open() == before, "a descriptor is left");
	return 0;
}
