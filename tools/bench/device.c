/* SPDX-License-Identifier: MIT */
#include "bench/device.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"

void device_init(struct device *device)
{
	*device = (struct device){ .process.socket = -1, .call_epoll = -1, .instructions_fd = -1 };
}

int device_complain(const struct device *device, const char *what, int error)
{
	fprintf(stderr, "virtio-gpu-bench: %s: %s: %s\n", device->name, what, strerror(-error));
	return error;
}

static int start_process(
	struct device *device, const struct options_backend *backend, int cpu, int log_fd)
{
	int error = fe_backend_start(&device->process, backend->command, log_fd, cpu);

	if (error < 0) {
		return device_complain(device, "cannot start", error);
	}
	device->about.start_ms = device->process.path[0] == '\0'
		? NAN
		: (double)(device->process.ready_ns - device->process.spawned_ns) / 1e6;
	device->about.peak_rss = NAN; // known at the end
	device->instructions_fd = usage_open_instructions(device->process.pid);
	return 0;
}

static int start_gpu(struct device *device, const struct fe_gpu_options *options)
{
	int socket = device->process.socket;
	int error = fe_gpu_init(&device->gpu, options);

	if (error < 0) {
		return device_complain(device, "guest memory", error);
	}
	device->process.socket = -1;
	device->gpu.timeout_ms = DEVICE_WAIT_MS;
	error = fe_gpu_start(&device->gpu, socket);
	return error < 0 ? device_complain(device, device->gpu.failed_at, error) : 0;
}

static void look_at_idle(struct device *device)
{
	struct virtio_gpu_resp_display_info info;
	pid_t pid = device->process.pid;

	fe_gpu_get_display_info(&device->gpu, &info);
	usleep(20000);
	struct usage_memory idle = usage_read_memory(pid);

	device->about.idle_rss = idle.rss;
	device->about.idle_pss = idle.pss;
	device->about.idle_anonymous = idle.anonymous;
	device->about.has_renderer = usage_has_renderer(pid);
	device->about.start_cpu_ms = usage_read(pid, -1).cpu_ns / 1e6;
	usage_reset_peak(pid);
}

static int watch_calls(struct device *device)
{
	device->call_epoll = epoll_create1(EPOLL_CLOEXEC);
	for (uint32_t i = 0; i < WIRE_QUEUE_COUNT; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };
		int fd = device->gpu.queues[i].call;

		if (epoll_ctl(device->call_epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
			return device_complain(device, "watching the rings", -errno);
		}
	}
	return 0;
}

int device_start(struct device *device, const struct options_backend *backend,
	const struct fe_gpu_options *gpu, int cpu, int log_fd)
{
	device_init(device);
	device->name = backend->name;
	int error = start_process(device, backend, cpu, log_fd);

	if (error == 0) {
		error = start_gpu(device, gpu);
	}
	if (error == 0) {
		error = watch_calls(device);
	}
	if (error == 0) {
		look_at_idle(device);
	}
	return error;
}

void device_stop(struct device *device)
{
	fd_close(&device->call_epoll);
	fd_close(&device->instructions_fd);
	if (device->gpu.memory.count > 0) {
		fe_gpu_finish(&device->gpu);
	}
	fe_backend_stop(&device->process);
}

/* Sleeps until the device notifies; epoll and read, as an event loop does. */
static int sleep_for_call(struct device *device, struct fe_queue *queue)
{
	struct epoll_event event;

	if (fe_queue_enable_call(queue)) {
		return 0;
	}
	if (epoll_wait(device->call_epoll, &event, 1, DEVICE_WAIT_MS) <= 0) {
		return -ETIMEDOUT;
	}
	fd_event_clear(queue->call);
	return 0;
}

static int spin_for_used(struct fe_queue *queue)
{
	uint64_t end = fe_now_ns() + DEVICE_WAIT_MS * UINT64_C(1000000);

	for (uint32_t turn = 1; !fe_queue_has_used(queue); turn++) {
		if (turn % 65536 == 0 && fe_now_ns() >= end) {
			return -ETIMEDOUT;
		}
	}
	return 0;
}

int device_wait(struct device *device, uint32_t index, bool spin)
{
	struct fe_queue *queue = &device->gpu.queues[index];
	int error = 0;

	while (error == 0 && !fe_queue_has_used(queue)) {
		error = spin ? spin_for_used(queue) : sleep_for_call(device, queue);
	}
	return error;
}
