/* SPDX-License-Identifier: MIT */
#include "run/resource.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

enum {
	PAGE = 4096,
	BIND_CUSTOM = 1 << 17, // of virgl_hw.h
	FENCE_SIZE = 8,
};

/* Above the region of rings and input, which ends far below. */
#define FIRST_ADDR UINT64_C(0x10000000000)

void resources_init(struct resources *resources, struct device *device, uint64_t max_bytes)
{
	*resources = (struct resources){
		.device = device,
		.next_addr = FIRST_ADDR,
		.max_bytes = max_bytes,
	};
	list_init(&resources->used);
	list_init(&resources->spare);
	blobs_init(&resources->blobs, device);
}

static int compare(const void *left, const void *right)
{
	const struct resource *a = left;
	const struct resource *b = right;

	return a->id < b->id ? -1 : a->id > b->id;
}

struct resource *resources_find(const struct resources *resources, uint32_t id)
{
	const struct resource key = { .id = id };
	struct resource *const *found = tfind(&key, &resources->by_id, compare);

	return found ? *found : NULL;
}

static void memory_free(struct resource_memory *memory)
{
	list_remove(&memory->link);
	if (memory->mapping) {
		munmap(memory->mapping, memory->region.size);
	}
	fd_close(&memory->region.fd);
	memory->owner->bytes -= memory->region.size;
	memory->owner->kept_count -= memory->is_kept;
	free(memory);
}

static void free_all(struct list *memories)
{
	struct list *link;

	while ((link = list_first(memories))) {
		memory_free(container_of(link, struct resource_memory, link));
	}
}

void resources_finish(struct resources *resources)
{
	tdestroy(resources->by_id, free);
	resources->by_id = NULL;
	blobs_finish(&resources->blobs);
	free_all(&resources->used);
	free_all(&resources->spare);
}

/* A file that nobody can shorten: the daemon would meet a hole in its memory. */
static int open_file(uint64_t size)
{
	int fd = memfd_create("vtest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0) {
		return -errno;
	}
	if (ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int error = errno;

		fd_close(&fd);
		return -error;
	}
	return fd;
}

static int map(struct resource_memory *memory)
{
	void *mapping = mmap(NULL, memory->region.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		memory->region.fd, 0);

	if (mapping == MAP_FAILED) {
		return -errno;
	}
	memory->mapping = mapping;
	return 0;
}

static struct resource_memory *take_spare(struct resources *resources)
{
	struct list *link = list_first(&resources->spare);
	struct resource_memory *memory;

	if (!link) {
		return NULL;
	}
	memory = container_of(link, struct resource_memory, link);
	list_remove(link);
	list_append(&resources->used, link);
	resources->spare_count--;
	memset(memory->mapping, 0, memory->region.size);
	return memory;
}

/* On error the memory is there nevertheless, and freed with the others. */
static int open_memory(struct resources *resources, struct resource_memory *memory)
{
	struct fe_region *region = &memory->region;

	region->fd = open_file(region->size);
	if (region->fd < 0) {
		return region->fd;
	}
	if (memory->is_kept) {
		int error = map(memory);

		if (error < 0) {
			return error;
		}
	}
	region->guest_addr = resources->next_addr;
	region->host = (uint8_t *)(uintptr_t)region->guest_addr; // only must differ from others'
	resources->next_addr += region->size;
	return device_add_memory(resources->device, region, &memory->added);
}

static int make_memory(struct resources *resources, uint64_t size, struct resource_memory **created)
{
	struct resource_memory *memory = calloc(1, sizeof(*memory));

	if (!memory) {
		return -ENOMEM;
	}
	list_init(&memory->link);
	list_append(&resources->used, &memory->link);
	memory->owner = resources;
	memory->region.size = size;
	memory->is_kept = size == PAGE && resources->kept_count < RESOURCE_KEPT_MAX;
	resources->kept_count += memory->is_kept;
	resources->bytes += size;
	*created = memory;
	return open_memory(resources, memory);
}

static int get_memory(struct resources *resources, uint32_t bytes, struct resource_memory **memory)
{
	uint64_t size = ((uint64_t)bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	int error;

	*memory = size == PAGE ? take_spare(resources) : NULL;
	if (*memory) {
		return 0;
	}
	if (size > resources->max_bytes - resources->bytes) {
		log_error("the client shares more than %llu bytes (--max-memory)",
			(unsigned long long)resources->max_bytes);
		return -ENOMEM;
	}
	error = make_memory(resources, size, memory);
	if (error < 0) {
		log_error(
			"cannot share %llu bytes: %s", (unsigned long long)size, strerror(-error));
	}
	return error;
}

static void put_aside(struct resource_memory *memory)
{
	list_remove(&memory->link);
	list_append(&memory->owner->spare, &memory->link);
	memory->owner->spare_count++;
}

/* The daemon uses it no longer. */
static void handle_released(void *data)
{
	struct resource_memory *memory = data;

	if (memory->is_kept) {
		put_aside(memory);
		return;
	}
	device_remove_memory(memory->owner->device, &memory->region);
	memory_free(memory);
}

/* Without room there is just none ahead. */
static void make_spares(struct resources *resources)
{
	while (resources->spare_count < RESOURCE_SPARE_MIN &&
		resources->kept_count < RESOURCE_KEPT_MAX &&
		PAGE <= resources->max_bytes - resources->bytes) {
		struct resource_memory *memory;

		if (make_memory(resources, PAGE, &memory) < 0) {
			return;
		}
		put_aside(memory);
	}
}

void resources_given(struct resources *resources, struct resource *resource)
{
	if (!resource->memory->is_kept) {
		fd_close(&resource->memory->region.fd);
		return;
	}
	make_spares(resources);
}

static int send_short(struct resources *resources, const void *command, size_t size,
	device_done_fn done, void *data)
{
	return device_send(resources->device, command, size, (struct fe_buffer){ 0 }, done, data);
}

static int send_attach(struct resources *resources, uint32_t id)
{
	const struct virtio_gpu_ctx_resource command = {
		.hdr = { .type = VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, .ctx_id = DEVICE_CONTEXT },
		.resource_id = id,
	};

	return send_short(resources, &command, sizeof(command), NULL, NULL);
}

static int send_create(struct resources *resources, const struct vtest_resource_create *info)
{
	const struct virtio_gpu_resource_create_3d command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,
		.resource_id = info->handle,
		.target = info->target,
		.format = info->format,
		.bind = info->bind,
		.width = info->width,
		.height = info->height,
		.depth = info->depth,
		.array_size = info->array_size,
		.last_level = info->last_level,
		.nr_samples = info->nr_samples,
	};
	int error = send_short(resources, &command, sizeof(command), NULL, NULL);

	return error < 0 ? error : send_attach(resources, info->handle);
}

static int send_backing(struct resources *resources, const struct resource *resource)
{
	const struct {
		struct virtio_gpu_resource_attach_backing head;
		struct virtio_gpu_mem_entry entry;
	} command = {
		.head = {
			.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
			.resource_id = resource->id,
			.nr_entries = 1,
		},
		.entry = { .addr = resource->memory->region.guest_addr, .length = resource->size },
	};

	int error = device_confirm_memory(resources->device, resource->memory->added);

	resources->is_attached = false;
	return error < 0 ? error
			 : send_short(resources, &command, sizeof(command), device_set,
				   &resources->is_attached);
}

/*
 * When memory is attached to a buffer of BIND_CUSTOM, libvirglrenderer copies the first contents into it:
 * whoever wrote into it before would lose that. So Mesa's queries must not have it early. Its fences, a
 * buffer of 8 bytes for each frame, are never written into, and need not wait.
 */
static bool is_copied_into(const struct vtest_resource_create *info)
{
	return info->bind & BIND_CUSTOM && info->data_size > FENCE_SIZE;
}

static int attach_backing(struct resources *resources, const struct resource *resource, bool waits)
{
	int error = send_backing(resources, resource);

	return error < 0 || !waits ? error
				   : device_wait_until(resources->device, &resources->is_attached);
}

static int make(struct resources *resources, const struct vtest_resource_create *info,
	struct resource *resource)
{
	int error = 0;

	if (info->data_size > 0) {
		error = get_memory(resources, info->data_size, &resource->memory);
	}
	if (error == 0) {
		error = send_create(resources, info);
	}
	if (error == 0 && resource->memory) {
		error = attach_backing(resources, resource, is_copied_into(info));
	}
	return error;
}

/* NULL: no memory. */
static struct resource *add(struct resources *resources, uint32_t id, uint32_t size)
{
	struct resource *resource = calloc(1, sizeof(*resource));

	if (!resource) {
		return NULL;
	}
	*resource = (struct resource){ .id = id, .size = size };
	if (!tsearch(resource, &resources->by_id, compare)) {
		free(resource);
		return NULL;
	}
	if (id > resources->last_id) {
		resources->last_id = id;
	}
	return resource;
}

/* An error ends the client, and with it the resource. */
int resources_create(struct resources *resources, const struct vtest_resource_create *info,
	struct resource **created)
{
	struct resource *resource = add(resources, info->handle, info->data_size);

	if (!resource) {
		return -ENOMEM;
	}
	resource->is_inline = info->data_size == 0;
	*created = resource;
	return make(resources, info, resource);
}

static int send_blob(struct resources *resources, const struct resource *resource, uint64_t size,
	const struct vtest_create_blob *info)
{
	const struct {
		struct virtio_gpu_resource_create_blob head;
		struct virtio_gpu_mem_entry entry;
	} command = {
		.head = {
			.hdr = {
				.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
				.ctx_id = DEVICE_CONTEXT,
			},
			.resource_id = resource->id,
			.blob_mem = info->type,
			.blob_flags = info->flags,
			.nr_entries = resource->memory != NULL,
			.blob_id = vtest_u64(info->blob_id),
			.size = size,
		},
		.entry = {
			.addr = resource->memory ? resource->memory->region.guest_addr : 0,
			.length = resource->size,
		},
	};
	int error = send_short(resources, &command,
		resource->memory ? sizeof(command) : sizeof(command.head), NULL, NULL);

	return error < 0 ? error : send_attach(resources, resource->id);
}

static int share(struct resources *resources, struct resource *resource, uint64_t size)
{
	int error;

	if (size > UINT32_MAX) {
		log_error("a blob of %llu bytes: less than 4 GiB can be shared",
			(unsigned long long)size);
		return -ENOMEM;
	}
	resource->size = (uint32_t)size;
	error = get_memory(resources, resource->size, &resource->memory);
	return error < 0 ? error
			 : device_confirm_memory(resources->device, resource->memory->added);
}

int resources_create_blob(struct resources *resources, uint32_t id, uint64_t size,
	const struct vtest_create_blob *info, struct resource **created, int *file)
{
	struct resource *resource = add(resources, id, 0);
	int error = 0;

	*file = -1;
	*created = resource;
	if (!resource) {
		return -ENOMEM;
	}
	if (info->type != VTEST_BLOB_TYPE_HOST3D) {
		error = share(resources, resource, size);
	}
	if (error == 0) {
		error = send_blob(resources, resource, size, info);
	}
	if (error == 0 && !resource->memory && info->flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE) {
		int opened = blobs_open(&resources->blobs, id, size);

		*file = opened < 0 ? -1 : opened;
		error = opened < 0 && opened != -ENODATA ? opened : 0;
	}
	return error;
}

int resources_unref(struct resources *resources, struct resource *resource)
{
	const struct virtio_gpu_resource_unref command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNREF,
		.resource_id = resource->id,
	};
	struct resource_memory *memory = resource->memory;

	tdelete(resource, &resources->by_id, compare);
	free(resource);
	if (!memory && blobs_unref_later(&resources->blobs, command.resource_id)) {
		return 0;
	}
	return send_short(
		resources, &command, sizeof(command), memory ? handle_released : NULL, memory);
}

static int send_detach(struct resources *resources, const struct resource *resource)
{
	const struct virtio_gpu_resource_detach_backing command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
		.resource_id = resource->id,
	};

	return send_short(resources, &command, sizeof(command), handle_released, resource->memory);
}

int resources_map_inline(struct resources *resources, struct resource *resource, uint32_t size)
{
	int error = 0;

	if (resource->memory && resource->size < size) {
		error = send_detach(resources, resource);
		resource->memory = NULL;
	}
	if (error == 0) {
		error = device_wait(resources->device, 0);
	}
	if (error < 0 || resource->memory) {
		return error;
	}
	resource->size = size;
	error = get_memory(resources, size, &resource->memory);
	if (error == 0 && !resource->memory->mapping) {
		error = map(resource->memory);
	}
	return error < 0 ? error : attach_backing(resources, resource, true);
}
