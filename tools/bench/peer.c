/* SPDX-License-Identifier: MIT */
#include "bench/peer.h"

#include <errno.h>

#include "base/fd.h"

#define GUEST_MEMORY (UINT64_C(64) << 20)
#define UHD_BYTES    (UINT64_C(3840) * 2160 * 4)

static bool make_resource(struct peer *peer, uint32_t id, uint32_t width, uint32_t height)
{
	struct virtio_gpu_mem_entry entry = { .addr = peer->pixels.addr,
		.length = width * height * 4 };

	return fe_gpu_create_2d(&peer->device.gpu, id, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, width,
		       height) == VIRTIO_GPU_RESP_OK_NODATA &&
		fe_gpu_attach(&peer->device.gpu, id, &entry, 1) == VIRTIO_GPU_RESP_OK_NODATA &&
		fe_gpu_transfer(&peer->device.gpu, id, fe_rect(0, 0, width, height), 0) ==
		VIRTIO_GPU_RESP_OK_NODATA;
}

static int make_resources(struct peer *peer)
{
	peer->pixels = fe_memory_alloc(&peer->device.gpu.memory, UHD_BYTES, 4096);
	if (peer->pixels.size == 0) {
		return -ENOMEM;
	}
	uint32_t *pixels = peer->pixels.host;
	for (uint32_t i = 0; i < UHD_BYTES / 4; i++) {
		pixels[i] = i * 2654435761u;
	}
	bool good = make_resource(peer, PEER_SMALL, 64, 64) &&
		make_resource(peer, PEER_HD, 1920, 1080) &&
		make_resource(peer, PEER_UHD, 3840, 2160) &&
		fe_gpu_update_cursor(&peer->device.gpu, 0, 0, 0, PEER_SMALL, 0, 0) >= 0;
	return good ? 0 : -EIO;
}

void peer_init(struct peer *peer)
{
	device_init(&peer->device);
	peer->reader = (struct reader){ .socket = -1 };
}

static int start_device(struct peer *peer, const struct options_backend *backend,
	const struct options *options, int log_fd)
{
	const struct fe_gpu_options gpu = {
		.dialect = FE_DIALECT_VMM,
		.memory_size = GUEST_MEMORY,
		.control_size = 256,
		.cursor_size = 16,
		.display_socket = peer->reader.socket,
	};
	int error = device_start(&peer->device, backend, &gpu, options->backend_cpu, log_fd);

	fd_close(&peer->reader.socket);
	return error;
}

int peer_start(struct peer *peer, const struct options_backend *backend,
	const struct options *options, int log_fd)
{
	peer_init(peer);
	peer->device.name = backend->name;
	int error = reader_start(&peer->reader, options->display_cpu, 3840, 2160);

	if (error < 0) {
		return device_complain(&peer->device, "display process", error);
	}
	error = start_device(peer, backend, options, log_fd);
	if (error < 0) {
		return error;
	}
	error = make_resources(peer);
	return error < 0 ? device_complain(&peer->device, "making resources", error) : 0;
}

void peer_stop(struct peer *peer)
{
	device_stop(&peer->device);
	reader_stop(&peer->reader);
}

int peer_show(struct peer *peer, uint32_t id, uint32_t width, uint32_t height)
{
	int answer = fe_gpu_set_scanout(&peer->device.gpu, 0, id, fe_rect(0, 0, width, height));

	return answer == VIRTIO_GPU_RESP_OK_NODATA ? 0 : -EIO;
}
