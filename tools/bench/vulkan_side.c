/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_side.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "frontend/pump.h"
#include "frontend/session.h"
#include "frontend/wire.h"

/*
 * How this works
 *
 * Programs get their Vulkan driver from the environment, so each is started by env(1). A server's processes
 * get the machine's driver, its worker Mesa's virtio driver and the server's socket.
 */

#define LAYER_NAME "VK_LAYER_VIRTIO_GPUD_exportable_memory"

enum {
	COMMAND_SIZE = 4 * PATH_MAX,
	CONNECT_WAIT_MS = 1000, // to a VMM that runs
	END_WAIT_MS = 5000,
	WAIT_MS = 60000, // for drivers that compile; also how long one that hangs is waited for
};

int vulkan_side_complain(const struct vulkan_side *side, const char *what, int error)
{
	fprintf(stderr, "virtio-gpu-bench: %s: %s: %s\n", side->name, what, strerror(-error));
	return error;
}

void vulkan_side_init(struct vulkan_side *side)
{
	*side = (struct vulkan_side){ .server.socket = -1, .worker.socket = -1 };
}

struct command {
	char words[COMMAND_SIZE];
};

__attribute__((format(printf, 2, 3))) static void append(
	struct command *command, const char *format, ...)
{
	size_t length = strlen(command->words);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command->words + length, sizeof(command->words) - length, format, arguments);
	va_end(arguments);
}

/* The second name is for loaders before 1.3.207. */
static void append_driver(struct command *command, const char *file)
{
	if (file) {
		append(command, " VK_DRIVER_FILES=%s VK_ICD_FILENAMES=%s", file, file);
	}
}

static void append_layer(struct command *command, const char *folder)
{
	if (folder) {
		append(command, " VK_ADD_LAYER_PATH=%s VK_INSTANCE_LAYERS=%s", folder, LAYER_NAME);
	}
}

int vulkan_side_write_command(
	char *command, size_t size, const struct options_vulkan *vulkan, const char *daemon)
{
	struct command whole = { "env" };

	append_driver(&whole, vulkan->driver);
	append(&whole, " %s", daemon);
	return (size_t)snprintf(command, size, "%s", whole.words) < size ? 0 : -ENAMETOOLONG;
}

/* Our own servers bring the layer where it is needed, and are told of the render server by an option. */
static void append_for_reference(struct command *command, const struct options_vulkan *vulkan)
{
	append_layer(command, vulkan->layer);
	if (vulkan->render_server) {
		append(command, " RENDER_SERVER_EXEC_PATH=%s", vulkan->render_server);
	}
}

static int start_server(struct vulkan_side *side, const struct options_backend *backend,
	const struct options *options, int log_fd)
{
	struct command command = { "env" };

	append_driver(&command, options->vulkan.driver);
	if (strcmp(backend->name, "reference") == 0) {
		append_for_reference(&command, &options->vulkan);
	}
	append(&command, " %s", backend->command);
	usage_pin_two(options->backend_cpu, options->display_cpu);
	int error = fe_backend_start(&side->server, command.words, log_fd, -1);

	usage_pin(options->driver_cpu);
	fd_close(&side->server.socket); // the worker connects for itself
	return error < 0 ? vulkan_side_complain(side, "cannot start", error) : 0;
}

/* Where distributions put it; NULL: nowhere (said). */
static const char *find_client_driver(const struct vulkan_side *side)
{
	static const char *const usual[] = {
		"/usr/share/vulkan/icd.d/virtio_icd.json",
		"/usr/share/vulkan/icd.d/virtio_icd.x86_64.json",
		"/usr/share/vulkan/icd.d/virtio_icd.aarch64.json",
	};

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (access(usual[i], R_OK) == 0) {
			return usual[i];
		}
	}
	fprintf(stderr,
		"virtio-gpu-bench: %s: there is no Vulkan driver `virtio' (Mesa's of Debian 13 "
		"has it; --client-driver names its JSON file)\n",
		side->name);
	return NULL;
}

static int append_client(const struct vulkan_side *side, const struct options_vulkan *vulkan,
	struct command *command)
{
	const char *file = vulkan->client_driver ? vulkan->client_driver : find_client_driver(side);

	if (!file) {
		return -ENOENT;
	}
	append(command, " -u VK_INSTANCE_LAYERS");
	append_driver(command, file);
	append(command, " VN_DEBUG=vtest VTEST_SOCKET_NAME=%s", side->server.path);
	return 0;
}

static void append_worker(struct command *command, const char *worker)
{
	char program[PATH_MAX] = "";

	if (!worker && readlink("/proc/self/exe", program, sizeof(program) - 1) > 0) {
		worker = program;
	}
	append(command, " %s vulkan-worker --fd=%%s", worker ? worker : "virtio-gpu-bench");
}

static int start_worker(struct vulkan_side *side, const struct options_vulkan *vulkan, int log_fd)
{
	struct command command = { "env" };

	if (side->server.pid > 0) {
		int error = append_client(side, vulkan, &command);

		if (error < 0) {
			return error;
		}
	} else {
		append_driver(&command, vulkan->driver);
		append_layer(&command, vulkan->layer);
	}
	append_worker(&command, vulkan->worker);
	int error = fe_backend_start(&side->worker, command.words, log_fd, -1);

	return error < 0 ? vulkan_side_complain(side, "cannot start its worker", error) : 0;
}

static int receive(const struct vulkan_side *side, void *bytes, size_t size)
{
	return fe_wire_read(side->worker.socket, NULL, bytes, size, NULL, WAIT_MS);
}

static int send_bytes(const struct vulkan_side *side, const void *bytes, size_t size)
{
	return fe_wire_write(side->worker.socket, bytes, size, NULL, 0);
}

static int start_here(struct vulkan_side *side, const struct options_backend *backend,
	const struct options *options, int log_fd)
{
	int error = backend ? start_server(side, backend, options, log_fd) : 0;

	return error < 0 ? error : start_worker(side, &options->vulkan, log_fd);
}

static int connect_to_guest(struct vulkan_side *side, const char *path)
{
	int fd = fe_session_connect(path, CONNECT_WAIT_MS);

	side->worker.socket = fd < 0 ? -1 : fd;
	return fd < 0 ? vulkan_side_complain(side, path, fd) : 0;
}

int vulkan_side_start(struct vulkan_side *side, const char *name,
	const struct options_backend *backend, const struct options *options, int log_fd)
{
	vulkan_side_init(side);
	side->name = name;
	int error = backend && backend->guest ? connect_to_guest(side, backend->command)
					      : start_here(side, backend, options, log_fd);

	if (error < 0) {
		return error;
	}
	error = send_bytes(side, "", 1); // begin
	if (error == 0) {
		error = receive(side, &side->hello, sizeof(side->hello));
	}
	return error < 0 ? vulkan_side_complain(side, "opening a Vulkan device", error) : 0;
}

void vulkan_side_stop(struct vulkan_side *side)
{
	struct vulkan_job end = { .work = VULKAN_END };
	char ended;

	/* The VMM drops what a port has not read yet when its socket is closed. */
	if (side->worker.socket >= 0 && send_bytes(side, &end, sizeof(end)) == 0) {
		fe_wire_read(side->worker.socket, NULL, &ended, 1, NULL, END_WAIT_MS);
	}
	fe_backend_stop(&side->worker);
	fe_backend_stop(&side->server);
}

static int begin_job(
	struct vulkan_side *side, const struct vulkan_job *job, struct vulkan_ready *ready)
{
	int error = send_bytes(side, job, sizeof(*job));

	return error < 0 ? error : receive(side, ready, sizeof(*ready));
}

int vulkan_side_find_scale(struct vulkan_side *side, const struct vulkan_job *job)
{
	struct vulkan_ready ready = { 0 };
	int error = begin_job(side, job, &ready);

	return error < 0 ? vulkan_side_complain(side, "finding out how much to do", error)
			 : (int)ready.scale;
}

static int receive_latencies(struct vulkan_side *side, uint64_t count, struct latencies *latencies)
{
	if (count > latencies->capacity) {
		return -EPROTO;
	}
	latencies->count = count;
	return receive(side, latencies->values, count * sizeof(uint32_t));
}

static struct usage_counters read_usage(const struct vulkan_side *side)
{
	struct usage_counters worker;

	if (side->worker.pid <= 0) {
		return (struct usage_counters){ NAN, NAN, NAN };
	}
	worker = usage_read_family(side->worker.pid);
	return side->server.pid > 0 ? usage_sum(worker, usage_read_family(side->server.pid))
				    : worker;
}

static int run_job(
	struct vulkan_side *side, struct latencies *latencies, struct vulkan_result *result)
{
	struct usage_counters before = read_usage(side);
	int error = send_bytes(side, "", 1);

	if (error == 0) {
		error = receive(side, &result->ran, sizeof(result->ran));
	}
	result->used = usage_difference(read_usage(side), before);
	return error < 0 ? error : receive_latencies(side, result->ran.latency_count, latencies);
}

static int check_job(struct vulkan_side *side)
{
	char checked;
	int error = send_bytes(side, "", 1);

	return error < 0 ? error : receive(side, &checked, 1);
}

int vulkan_side_do(struct vulkan_side *side, const struct vulkan_job *job,
	struct latencies *latencies, struct vulkan_result *result)
{
	struct vulkan_ready ready = { 0 };
	int error = begin_job(side, job, &ready);

	if (error == 0 && ready.status != VULKAN_READY) {
		return (int)ready.status;
	}
	if (error == 0) {
		error = run_job(side, latencies, result);
	}
	if (error == 0) {
		error = check_job(side);
	}
	return error;
}
