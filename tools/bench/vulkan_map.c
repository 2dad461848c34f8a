/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/device.h"
#include "bench/usage.h"
#include "bench/vulkan_side.h"
#include "frontend/commands_3d.h"
#include "frontend/pump.h"

enum {
	CONTEXT = 1,
	BLOB = 1,
	LEAST = 3, // operations
	MARK = 0x6b,
};

#define BLOB_SIZE (UINT64_C(1) << 20)

static int expect(const struct device *device, const char *what, int answer, int wanted)
{
	if (answer >= 0 && answer != wanted) {
		fprintf(stderr, "virtio-gpu-bench: %s: %s: answer 0x%x\n", device->name, what,
			(unsigned int)answer);
		return -EIO;
	}
	return answer < 0 ? device_complain(device, what, answer) : 0;
}

/* Memory that the render server makes for it: blob 0. */
static int create_blob(struct device *device)
{
	const struct virtio_gpu_resource_create_blob blob = {
		.resource_id = BLOB,
		.blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
		.size = BLOB_SIZE,
	};
	int error = expect(device, "making a context of Venus",
		fe_gpu_ctx_create(&device->gpu, CONTEXT, WIRE_CAPSET_VENUS, "bench"),
		VIRTIO_GPU_RESP_OK_NODATA);

	return error < 0 ? error
			 : expect(device, "making a blob",
				   fe_gpu_create_context_blob(&device->gpu, CONTEXT, &blob, NULL),
				   VIRTIO_GPU_RESP_OK_NODATA);
}

static int map(struct device *device)
{
	struct virtio_gpu_resp_map_info info;

	return expect(device, "mapping a blob", fe_gpu_map_blob(&device->gpu, BLOB, 0, &info),
		VIRTIO_GPU_RESP_OK_MAP_INFO);
}

static int unmap(struct device *device)
{
	return expect(device, "unmapping a blob", fe_gpu_unmap_blob(&device->gpu, BLOB),
		VIRTIO_GPU_RESP_OK_NODATA);
}

static int map_and_unmap(struct device *device)
{
	int error = map(device);

	return error < 0 ? error : unmap(device);
}

/* Writes a byte through one mapping, or looks whether it is there in another. */
static int touch(struct device *device, bool writes)
{
	int error = map(device);
	uint8_t *bytes;

	if (error < 0) {
		return error;
	}
	bytes = fe_window_at(&device->gpu.window, 0, BLOB_SIZE);
	if (!bytes) {
		return device_complain(device, "looking for the mapped blob", -ENOENT);
	}
	if (writes) {
		bytes[BLOB_SIZE - 1] = MARK;
	} else if (bytes[BLOB_SIZE - 1] != MARK) {
		return device_complain(device, "reading the mapped blob", -EIO);
	}
	return unmap(device);
}

static int run(struct device *device, const struct options *options, struct latencies *latencies,
	struct sample *sample)
{
	uint64_t started = fe_now_ns();
	uint64_t end = started + (uint64_t)(options->seconds_per_cell * 1e9);
	uint64_t limit = options->operations > 0 ? (uint64_t)options->operations : UINT64_MAX;
	uint64_t least = options->operations > 0 ? limit : LEAST;
	uint64_t now = started;
	uint64_t count = 0;
	int error = 0;

	while (error == 0 && (count < least || (count < limit && now < end))) {
		error = map_and_unmap(device);
		uint64_t after = fe_now_ns();

		latencies_add(latencies, after - now);
		now = after;
		count++;
	}
	sample->operations = count;
	sample->fields[SAMPLE_RATE] = (double)count / ((double)(now - started) / 1e9);
	return error;
}

static int measure(struct device *device, const struct options *options,
	struct latencies *latencies, struct sample *sample)
{
	struct usage_counters before = usage_read_family(device->process.pid);
	int error = run(device, options, latencies, sample);
	struct usage_counters used = usage_difference(
		usage_read_family(device->process.pid), before);

	if (error == 0) {
		sample->fields[SAMPLE_CPU] = used.cpu_ns / 1e3 / (double)sample->operations;
		sample->fields[SAMPLE_SWITCHES] = used.switches / (double)sample->operations;
		latencies_report(latencies, sample);
	}
	return error;
}

static int start(struct device *device, const char *name, const struct options *options, int log_fd)
{
	const struct fe_gpu_options gpu = {
		.dialect = FE_DIALECT_OWN,
		.renderer = true,
		.window = { .kind = FE_WINDOW_MAPPED },
	};
	struct options_backend daemon = { 0 };

	snprintf(daemon.name, sizeof(daemon.name), "%s", name);
	device->name = name;
	int error = vulkan_side_write_command(
		daemon.command, sizeof(daemon.command), &options->vulkan, options->vulkan.daemon);

	if (error < 0) {
		return device_complain(device, "the command line", error);
	}
	usage_pin_two(options->backend_cpu, options->display_cpu);
	error = device_start(device, &daemon, &gpu, -1, log_fd);
	usage_pin(options->driver_cpu);
	device->name = name; // daemon's ends here
	if (error == 0 && device->gpu.window.size == 0) {
		error = device_complain(device, "there is no host-visible window", -ENOTSUP);
	}
	return error;
}

int vulkan_map_measure(const char *name, const struct options *options, int log_fd,
	struct latencies *latencies, struct sample *sample)
{
	static struct device device; // large, and one at a time
	int error;

	device_init(&device);
	error = start(&device, name, options, log_fd);
	error = error < 0 ? error : create_blob(&device);
	error = error < 0 ? error : touch(&device, true);
	error = error < 0 ? error : measure(&device, options, latencies, sample);
	error = error < 0 ? error : touch(&device, false);
	device_stop(&device);
	return error;
}
