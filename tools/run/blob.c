/* SPDX-License-Identifier: MIT */
#include "run/blob.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "run/device.h"

struct blob_mapping {
	struct list link; // busy or mapped
	struct blobs *blobs;
	uint32_t resource_id;
	bool has_ended; // RESOURCE_MAP_BLOB
	bool unref; // the client has let go of it
};

uint64_t blobs_round(uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) & ~(page - 1);
}

void blobs_init(struct blobs *blobs, struct device *device)
{
	*blobs = (struct blobs){ .device = device };
	list_init(&blobs->busy);
	list_init(&blobs->mapped);
}

static void mapping_free(struct blob_mapping *mapping)
{
	list_remove(&mapping->link);
	mapping->blobs->count--;
	free(mapping);
}

static void free_all(struct list *mappings)
{
	struct list *link;

	while ((link = list_first(mappings))) {
		mapping_free(container_of(link, struct blob_mapping, link));
	}
}

void blobs_finish(struct blobs *blobs)
{
	free_all(&blobs->busy);
	free_all(&blobs->mapped);
}

static void handle_mapped(void *data)
{
	struct blob_mapping *mapping = data;

	mapping->has_ended = true;
	list_remove(&mapping->link);
	list_append(&mapping->blobs->mapped, &mapping->link);
}

static void handle_unmapped(void *data)
{
	mapping_free(data);
}

static int send_short(
	struct device *device, const void *command, size_t size, device_done_fn done, void *data)
{
	return device_send(device, command, size, (struct fe_buffer){ 0 }, done, data);
}

static int unmap(struct blob_mapping *mapping)
{
	struct device *device = mapping->blobs->device;
	const struct virtio_gpu_resource_unmap_blob command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB,
		.resource_id = mapping->resource_id,
	};
	const struct virtio_gpu_resource_unref unref = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_UNREF,
		.resource_id = mapping->resource_id,
	};
	bool is_last = mapping->unref;
	int error;

	list_remove(&mapping->link);
	list_append(&mapping->blobs->busy, &mapping->link);
	error = send_short(device, &command, sizeof(command), handle_unmapped, mapping);
	if (error == 0 && is_last) {
		error = send_short(device, &unref, sizeof(unref), NULL, NULL);
	}
	device_kick(device);
	return error;
}

int blobs_settle(struct blobs *blobs)
{
	struct list *link;
	int error = 0;

	while (error == 0 && (link = list_first(&blobs->mapped))) {
		error = unmap(container_of(link, struct blob_mapping, link));
	}
	return error;
}

bool blobs_are_busy(const struct blobs *blobs)
{
	return blobs->count > 0;
}

/* Waits until no more than so many are left. */
static int drain(struct blobs *blobs, uint32_t count)
{
	int error = blobs_settle(blobs);

	while (error == 0 && blobs->count > count) {
		error = device_wait(blobs->device, blobs->device->in_flight - 1);
		if (error == 0) {
			error = blobs_settle(blobs);
		}
	}
	return error;
}

static int find_place(struct blobs *blobs, uint64_t size, uint64_t *place)
{
	uint64_t window = blobs->device->gpu.window.size;
	int error;

	if (window == 0) {
		log_error("the daemon lends no memory: it does so with Vulkan (--capset=venus)");
		return -ENODATA;
	}
	if (size > window) {
		log_error("a blob of %llu bytes is larger than the daemon's window of %llu "
			  "(--host-visible)",
			(unsigned long long)size, (unsigned long long)window);
		return -ENODATA;
	}
	error = drain(blobs, size > window - blobs->next ? 0 : BLOB_MAPPINGS_MAX - 1);
	if (size > window - blobs->next) {
		blobs->next = 0;
	}
	*place = blobs->next;
	blobs->next += size;
	return error;
}

/* Returns the file or -errno. */
static int map(struct blobs *blobs, uint32_t resource_id, uint64_t place, uint64_t size)
{
	const struct virtio_gpu_resource_map_blob command = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB,
		.resource_id = resource_id,
		.offset = place,
	};
	struct blob_mapping *mapping = calloc(1, sizeof(*mapping));
	int error;

	if (!mapping) {
		return -ENOMEM;
	}
	mapping->blobs = blobs;
	mapping->resource_id = resource_id;
	list_init(&mapping->link);
	list_append(&blobs->busy, &mapping->link);
	blobs->count++;
	error = send_short(blobs->device, &command, sizeof(command), handle_mapped, mapping);
	if (error < 0) {
		mapping_free(mapping);
		return error;
	}
	error = device_take_file(blobs->device, place, size, &mapping->has_ended);
	if (error == -ENODATA) {
		mapping_free(mapping);
	}
	return error;
}

int blobs_open(struct blobs *blobs, uint32_t resource_id, uint64_t size)
{
	uint64_t place = 0;
	int error = find_place(blobs, size, &place);

	return error < 0 ? error : map(blobs, resource_id, place, size);
}

bool blobs_unref_later(struct blobs *blobs, uint32_t resource_id)
{
	list_for_each(link, &blobs->busy) {
		struct blob_mapping *mapping = container_of(link, struct blob_mapping, link);

		if (mapping->resource_id == resource_id && !mapping->has_ended) {
			mapping->unref = true;
			return true;
		}
	}
	return false;
}
