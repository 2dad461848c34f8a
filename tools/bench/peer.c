/* SPDX-License-Identifier: MIT */
#include "bench/peer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"

#define GUEST_MEMORY (UINT64_C(64) << 20)
#define UHD_BYTES    (UINT64_C(3840) * 2160 * 4)

static int fail(const struct options_backend *backend, const char *what, int error)
{
	fprintf(stderr, "virtio-gpu-bench: %s: %s: %s\n", backend->name, what, strerror(-error));
	return error;
}

static int start_process(struct peer *peer, const struct options_backend *backend,
	const struct options *options, int log_fd)
{
	int error = fe_backend_start(
		&peer->process, backend->command, log_fd, options->backend_cpu);

	if (error < 0) {
		return fail(backend, "cannot start", error);
	}
	peer->start_ms = peer->process.path[0] == '\0'
		? NAN
		: (double)(peer->process.ready_ns - peer->process.spawned_ns) / 1e6;
	peer->instructions_fd = usage_open_instructions(peer->process.pid);
	return 0;
}

static int start_device(struct peer *peer, const struct options_backend *backend)
{
	const struct fe_gpu_options options = {
		.dialect = FE_DIALECT_VMM,
		.memory_size = GUEST_MEMORY,
		.control_size = 256,
		.cursor_size = 16,
		.display_socket = peer->reader.socket,
	};
	int socket = peer->process.socket;
	int error = fe_gpu_init(&peer->gpu, &options);

	if (error < 0) {
		return fail(backend, "guest memory", error);
	}
	peer->process.socket = -1;
	error = fe_gpu_start(&peer->gpu, socket);
	if (error < 0) {
		return fail(backend, peer->gpu.failed_at, error);
	}
	fd_close(&peer->reader.socket);
	return 0;
}

static void look_at_idle(struct peer *peer)
{
	struct virtio_gpu_resp_display_info info;

	fe_gpu_get_display_info(&peer->gpu, &info);
	usleep(20000);
	peer->idle = usage_read_memory(peer->process.pid);
	peer->has_renderer = usage_has_renderer(peer->process.pid);
	peer->start_cpu_ms = usage_read(peer->process.pid, -1).cpu_ns / 1e6;
	usage_reset_peak(peer->process.pid);
}

static bool make_resource(struct peer *peer, uint32_t id, uint32_t width, uint32_t height)
{
	struct virtio_gpu_mem_entry entry = { .addr = peer->pixels.addr,
		.length = width * height * 4 };

	return fe_gpu_create_2d(&peer->gpu, id, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, width, height) ==
		VIRTIO_GPU_RESP_OK_NODATA &&
		fe_gpu_attach(&peer->gpu, id, &entry, 1) == VIRTIO_GPU_RESP_OK_NODATA &&
		fe_gpu_transfer(&peer->gpu, id, fe_rect(0, 0, width, height), 0) ==
		VIRTIO_GPU_RESP_OK_NODATA;
}

static int make_resources(struct peer *peer)
{
	peer->pixels = fe_memory_alloc(&peer->gpu.memory, UHD_BYTES, 4096);
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
		fe_gpu_update_cursor(&peer->gpu, 0, 0, 0, PEER_SMALL, 0, 0) >= 0;
	return good ? 0 : -EIO;
}

static int watch_calls(struct peer *peer)
{
	peer->call_epoll = epoll_create1(EPOLL_CLOEXEC);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		if (epoll_ctl(peer->call_epoll, EPOLL_CTL_ADD, peer->gpu.queues[i].call, &event) <
			0) {
			return -errno;
		}
	}
	return 0;
}

int peer_start(struct peer *peer, const struct options_backend *backend,
	const struct options *options, int log_fd)
{
	*peer = (struct peer){
		.process.socket = -1, .call_epoll = -1, .instructions_fd = -1, .reader.socket = -1
	};
	int error = reader_start(&peer->reader, options->display_cpu, 3840, 2160);

	if (error < 0) {
		return fail(backend, "display process", error);
	}
	error = start_process(peer, backend, options, log_fd);
	if (error == 0) {
		error = start_device(peer, backend);
	}
	if (error < 0) {
		return error;
	}
	look_at_idle(peer);
	error = make_resources(peer);
	if (error == 0) {
		error = watch_calls(peer);
	}
	return error < 0 ? fail(backend, "making resources", error) : 0;
}

void peer_stop(struct peer *peer)
{
	fd_close(&peer->call_epoll);
	fd_close(&peer->instructions_fd);
	if (peer->gpu.memory.count > 0) {
		fe_gpu_finish(&peer->gpu);
	}
	fe_backend_stop(&peer->process);
	reader_stop(&peer->reader);
}

int peer_show(struct peer *peer, uint32_t id, uint32_t width, uint32_t height)
{
	int answer = fe_gpu_set_scanout(&peer->gpu, 0, id, fe_rect(0, 0, width, height));

	return answer == VIRTIO_GPU_RESP_OK_NODATA ? 0 : -EIO;
}
