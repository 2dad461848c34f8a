/* SPDX-License-Identifier: MIT */
#include "run/client_impl.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/fd.h"

/* The number of a new resource, which the client names before version 3. */
static int choose_id(struct client *client, struct vtest_resource_create *info)
{
	if (client->version >= 3) {
		if (info->handle != 0) {
			return client_refuse(client, "a new resource with a number", info->handle);
		}
		info->handle = client->resources.last_id + 1;
	}
	if (info->handle == 0 || resources_find(&client->resources, info->handle)) {
		return client_refuse(
			client, "a new resource with a number that is in use", info->handle);
	}
	return 0;
}

static int create(struct client *client, struct vtest_resource_create *info, uint32_t command)
{
	struct resource *resource = NULL;
	int error = choose_id(client, info);

	if (error == 0) {
		error = resources_create(&client->resources, info, &resource);
	}
	if (error == 0 && client->version >= 3) {
		error = client_reply_number(client, command, info->handle);
	}
	if (error == 0 && resource->memory) {
		error = client_reply_fd(client, resource->memory->region.fd);
		resources_given(&client->resources, resource);
	}
	return error;
}

int client_run_resource_create(struct client *client, const void *body, uint32_t length)
{
	struct vtest_resource_create info = { 0 };

	(void)length;
	memcpy(&info, body, offsetof(struct vtest_resource_create, data_size));
	return create(client, &info, VTEST_RESOURCE_CREATE);
}

int client_run_resource_create2(struct client *client, const void *body, uint32_t length)
{
	struct vtest_resource_create info = *(const struct vtest_resource_create *)body;

	(void)length;
	return create(client, &info, VTEST_RESOURCE_CREATE2);
}

static int check_blob(struct client *client, const struct vtest_create_blob *blob, uint32_t id)
{
	if (blob->type < VTEST_BLOB_TYPE_GUEST || blob->type > VTEST_BLOB_TYPE_HOST3D_GUEST) {
		return client_refuse(client, "a blob of an unknown type", blob->type);
	}
	if (blobs_round(vtest_u64(blob->size)) == 0) {
		return client_refuse(client, "a blob of an impossible size: type", blob->type);
	}
	if (id == 0 || resources_find(&client->resources, id)) {
		return client_refuse(client, "there are no more numbers for resources", id);
	}
	return 0;
}

/*
 * A descriptor that cannot be mapped stands for memory that cannot be had: Mesa's Vulkan driver tells the program
 * then, where it would abort without one, and not notice that its connection ends.
 */
static int reply_nothing(struct client *client)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	int error = fd < 0 ? -errno : client_reply_fd(client, fd);

	fd_close(&fd);
	return error;
}

static int reply_file(struct client *client, struct resource *resource, int file)
{
	int error;

	if (!resource->memory) {
		return file < 0 ? reply_nothing(client) : client_reply_fd(client, file);
	}
	error = client_reply_fd(client, resource->memory->region.fd);
	resources_given(&client->resources, resource);
	return error;
}

/* The number is chosen here, whatever the version. */
int client_run_resource_create_blob(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_create_blob *blob = body;
	uint32_t id = client->resources.last_id + 1;
	struct resource *resource = NULL;
	int file = -1;
	int error = check_blob(client, blob, id);

	(void)length;
	if (error == 0) {
		error = resources_create_blob(&client->resources, id,
			blobs_round(vtest_u64(blob->size)), blob, &resource, &file);
	}
	if (error == 0) {
		error = client_reply_number(client, VTEST_RESOURCE_CREATE_BLOB, id);
	}
	if (error == 0) {
		error = reply_file(client, resource, file);
	}
	fd_close(&file);
	return error;
}

/* One that is not there is no error, as with virgl_test_server. */
int client_run_resource_unref(struct client *client, const void *body, uint32_t length)
{
	struct resource *resource = resources_find(&client->resources, *(const uint32_t *)body);

	(void)length;
	return resource ? resources_unref(&client->resources, resource) : 0;
}

static struct virtio_gpu_transfer_host_3d make_transfer(
	uint32_t type, uint32_t id, uint32_t level, const struct vtest_box *box)
{
	return (struct virtio_gpu_transfer_host_3d){
		.hdr = { .type = type, .ctx_id = DEVICE_CONTEXT },
		.box = { box->x, box->y, box->z, box->width, box->height, box->depth },
		.resource_id = id,
		.level = level,
	};
}

static int send_transfer(struct client *client, const struct virtio_gpu_transfer_host_3d *command)
{
	int error = device_send(
		client->device, command, sizeof(*command), (struct fe_buffer){ 0 }, NULL, NULL);

	device_kick(client->device);
	return error;
}

static int transfer_shared(
	struct client *client, const struct vtest_transfer2 *transfer, uint32_t type)
{
	struct resource *resource = resources_find(&client->resources, transfer->handle);
	struct virtio_gpu_transfer_host_3d command = make_transfer(
		type, transfer->handle, transfer->level, &transfer->box);

	if (!resource || !resource->memory || transfer->offset >= resource->size) {
		return client_refuse(client, "a transfer with memory that is not there: resource",
			transfer->handle);
	}
	command.offset = transfer->offset;
	return send_transfer(client, &command);
}

int client_run_transfer_get2(struct client *client, const void *body, uint32_t length)
{
	(void)length;
	return transfer_shared(client, body, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D);
}

int client_run_transfer_put2(struct client *client, const void *body, uint32_t length)
{
	(void)length;
	return transfer_shared(client, body, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D);
}

/* Finds the resource and has memory ready, which nobody uses, for the bytes on the socket. */
static int begin_inline(
	struct client *client, const struct vtest_transfer *transfer, struct resource **found)
{
	struct resource *resource = resources_find(&client->resources, transfer->handle);

	if (!resource || !resource->is_inline || transfer->data_size == 0) {
		return client_refuse(
			client, "a transfer that is not possible: resource", transfer->handle);
	}
	*found = resource;
	return resources_map_inline(&client->resources, resource, transfer->data_size);
}

static int send_inline(struct client *client, const struct vtest_transfer *transfer, uint32_t type)
{
	struct virtio_gpu_transfer_host_3d command = make_transfer(
		type, transfer->handle, transfer->level, &transfer->box);

	command.stride = transfer->stride;
	command.layer_stride = transfer->layer_stride;
	return send_transfer(client, &command);
}

int client_run_transfer_get(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_transfer *transfer = body;
	struct resource *resource = NULL;
	int error = begin_inline(client, transfer, &resource);

	(void)length;
	if (error == 0) {
		error = send_inline(client, transfer, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D);
	}
	if (error == 0) {
		error = device_wait(client->device, 0);
	}
	return error < 0 ? error
			 : client_reply(client, resource->memory->mapping, transfer->data_size);
}

/* The bytes are not padded. */
static int read_inline(struct client *client, uint8_t *to, uint32_t size)
{
	while (size > 0) {
		int error = client_need_all(client, 1);
		size_t there = input_available(&client->input);
		uint32_t part = there < size ? (uint32_t)there : size;

		if (error < 0) {
			return error;
		}
		memcpy(to, input_at(&client->input), part);
		input_take(&client->input, part);
		to += part;
		size -= part;
	}
	return 0;
}

int client_run_transfer_put(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_transfer *transfer = body;
	struct resource *resource = NULL;
	int error = begin_inline(client, transfer, &resource);

	(void)length;
	if (error == 0) {
		error = read_inline(client, resource->memory->mapping, transfer->data_size);
	}
	return error < 0 ? error
			 : send_inline(client, transfer, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D);
}

/* All that is under way counts, whatever the resource: so does virgl_test_server. */
int client_run_busy_wait(struct client *client, const void *body, uint32_t length)
{
	const struct vtest_busy_wait *wait = body;
	int error;

	(void)length;
	device_kick(client->device);
	error = wait->flags & VTEST_BUSY_WAIT_FLAG_WAIT ? device_wait(client->device, 0)
							: device_reap(client->device);
	return error < 0 ? error
			 : client_reply_number(
				   client, VTEST_RESOURCE_BUSY_WAIT, client->device->in_flight > 0);
}
