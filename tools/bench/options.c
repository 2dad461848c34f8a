/* SPDX-License-Identifier: MIT */
#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMON_USAGE \
	"  --rounds N                interleaved rounds, each with fresh processes (default 9)\n" \
	"  --seconds-per-cell S      time for each row of each participant in each round (default 0.25)\n" \
	"  --operations N            exactly N operations for each row instead of a time (for counting\n" \
	"                            instructions under valgrind)\n" \
	"  --poll                    also measure with a driver that polls the used ring\n" \
	"  --only TEXT               only the row TEXT, or the rows that contain it\n" \
	"  --bars                    print what was promised, and whether it is met\n" \
	"  --json FILE               write all samples and results as JSON\n" \
	"  --note TEXT               put TEXT into the header\n" \
	"  --help\n"

const struct options_kind options_of_transport = {
	.command = "transport",
	.usage =
		"Usage: virtio-gpu-bench transport [OPTION...]\n"
		"Measures vhost-user-gpu back ends side by side.\n"
		"\n"
		"  --backend NAME=COMMAND    a back end; %s in COMMAND becomes the socket's path, or its number\n"
		"                            behind --fd=; several times; the first is the subject, the one\n"
		"                            named `reference' (else the second) is what it is compared with\n"
		"  --cpus DRIVER,BACKEND,DISPLAY\n"
		"                            processors to pin to (default: not pinned)\n" COMMON_USAGE,
	.program = "virtio-gpud",
	.arguments = "--socket-path=%s",
	.reference = "/usr/lib/qemu/vhost-user-gpu --socket-path=%s",
};

const struct options_kind options_of_gl = {
	.command = "gl",
	.usage =
		"Usage: virtio-gpu-bench gl [OPTION...]\n"
		"Measures OpenGL through back ends beside the same calls of virglrenderer in one process.\n"
		"\n"
		"  --backend NAME=COMMAND    as for `transport', but only one named `reference' is compared\n"
		"                            with; must offer VirGL (default: virtio-gpud --virgl)\n"
		"  --cpus DRIVER,BACKEND,BACKEND\n"
		"                            processors to pin to: the driver's, and two for the threads of\n"
		"                            a back end or of the direct calls (default: not pinned)\n" COMMON_USAGE,
	.program = "virtio-gpud",
	.arguments = "--virgl --socket-path=%s",
};

const struct options_kind options_of_vulkan = {
	.command = "vulkan",
	.usage =
		"Usage: virtio-gpu-bench vulkan [OPTION...]\n"
		"Measures a Vulkan program through servers of Venus beside the machine's own driver.\n"
		"\n"
		"  --backend NAME=COMMAND    a server that speaks vtest on the socket %s; several times; the\n"
		"                            first is the subject, `reference' is what its latency is\n"
		"                            compared with (default: virtio-gpu-run --vulkan, and\n"
		"                            virgl_test_server --venus)\n"
		"  --driver FILE             JSON file of the machine's Vulkan driver\n"
		"  --client-driver FILE      likewise of Mesa's virtio driver, which speaks to servers\n"
		"  --layer FOLDER            the memory layer's folder, for the native driver and the reference\n"
		"  --render-server PROGRAM   virglrenderer's, for the reference\n"
		"  --daemon COMMAND          a daemon with Venus on the socket %s, for the row `map + unmap'; empty:\n"
		"                            none (default: virtio-gpud --venus)\n"
		"  --worker COMMAND          words that start this program (under an ld.so of another release)\n"
		"  --guest NAME=SOCKET       also a worker that runs in a guest, behind a virtio-serial port that is\n"
		"                            the UNIX socket SOCKET here\n"
		"  --cpus DRIVER,BACKEND,BACKEND\n"
		"                            processors to pin to: the Vulkan program's, and two for a server\n"
		"                            and its processes (default: not pinned)\n" COMMON_USAGE,
	.program = "virtio-gpu-run",
	.arguments = "--vulkan --listen=%s",
	.reference = "/usr/bin/virgl_test_server --venus --no-virgl --socket-path=%s",
	.vulkan = true,
};

static int fail(const char *what, const char *value)
{
	fprintf(stderr, "virtio-gpu-bench: %s: %s\n", what, value);
	return -EINVAL;
}

static int add_named(struct options *options, const char *text)
{
	const char *equals = strchr(text, '=');

	if (options->backend_count == OPTIONS_BACKENDS) {
		return fail("too many back ends", text);
	}
	struct options_backend *backend = &options->backends[options->backend_count];

	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(backend->name) ||
		strlen(equals + 1) >= sizeof(backend->command)) {
		return fail("not NAME=VALUE", text);
	}
	memcpy(backend->name, text, (size_t)(equals - text));
	strcpy(backend->command, equals + 1);
	options->backend_count++;
	return 0;
}

static int add_backend(struct options *options, const char *text)
{
	const char *equals = strchr(text, '=');

	return equals && !strstr(equals, "%s") ? fail("no %s in the command", text)
					       : add_named(options, text);
}

/* The last one: what is first, and what the reference is, does not depend on it. */
static int add_guest(struct options *options)
{
	int error = options->vulkan.guest ? add_named(options, options->vulkan.guest) : 0;

	if (error == 0 && options->vulkan.guest) {
		options->backends[options->backend_count - 1].guest = true;
	}
	return error;
}

static bool is_present(const char *command)
{
	char program[PATH_MAX];

	snprintf(program, sizeof(program), "%.*s", (int)strcspn(command, " "), command);
	return access(program, X_OK) == 0;
}

static void add_if_present(struct options *options, const char *name, const char *command)
{
	char text[OPTIONS_COMMAND_SIZE + 128];

	if (is_present(command)) {
		snprintf(text, sizeof(text), "%s=%s", name, command);
		add_backend(options, text);
	}
}

/* The command line of a program in the folder of this one; "" when there is none. */
static void write_command_beside(
	char command[static OPTIONS_COMMAND_SIZE], const char *program, const char *arguments)
{
	char self[PATH_MAX] = "";
	char *slash = readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 ? strrchr(self, '/')
									     : NULL;

	if (slash) {
		*slash = '\0';
		snprintf(command, OPTIONS_COMMAND_SIZE, "%.*s/%s %s", OPTIONS_COMMAND_SIZE / 2,
			self, program, arguments);
	}
	if (!slash || !is_present(command)) {
		command[0] = '\0';
	}
}

static int add_default_backends(struct options *options, const struct options_kind *kind)
{
	char command[OPTIONS_COMMAND_SIZE];

	write_command_beside(command, kind->program, kind->arguments);
	if (command[0] != '\0') {
		add_if_present(options, kind->program, command);
	}
	if (kind->reference) {
		add_if_present(options, "reference", kind->reference);
	}
	return options->backend_count > 0 ? 0 : fail("no back end found", "use --backend");
}

static void add_default_daemon(struct options *options)
{
	if (!options->vulkan.daemon) {
		write_command_beside(
			options->default_daemon, "virtio-gpud", "--venus --socket-path=%s");
		options->vulkan.daemon = options->default_daemon;
	}
}

static int read_cpus(struct options *options, const char *text)
{
	int end = 0;
	int count = sscanf(text, "%d,%d,%d%n", &options->driver_cpu, &options->backend_cpu,
		&options->display_cpu, &end);

	return count == 3 && text[end] == '\0' ? 0 : fail("not three processors", text);
}

static int read_rounds(struct options *options, const char *text)
{
	options->rounds = atoi(text);
	return options->rounds >= 1 && options->rounds <= 1000 ? 0 : fail("not 1 to 1000", text);
}

static int read_seconds(struct options *options, const char *text)
{
	options->seconds_per_cell = strtod(text, NULL);
	return options->seconds_per_cell > 0 && options->seconds_per_cell <= 60
		? 0
		: fail("not above 0 and at most 60", text);
}

static int read_operations(struct options *options, const char *text)
{
	options->operations = atol(text);
	return options->operations >= 1 && options->operations <= 65536
		? 0
		: fail("not 1 to 65536", text);
}

static int read_vulkan_option(
	struct options *options, const struct options_kind *kind, int option, const char *name)
{
	struct options_vulkan *vulkan = &options->vulkan;

	if (!kind->vulkan) {
		return fail("only `vulkan' has this option", name);
	}
	switch (option) {
	case 'D':
		vulkan->driver = optarg;
		return 0;
	case 'C':
		vulkan->client_driver = optarg;
		return 0;
	case 'L':
		vulkan->layer = optarg;
		return 0;
	case 'R':
		vulkan->render_server = optarg;
		return 0;
	case 'V':
		vulkan->daemon = optarg;
		return 0;
	case 'G':
		vulkan->guest = optarg;
		return 0;
	default:
		vulkan->worker = optarg;
		return 0;
	}
}

static int read_option(
	struct options *options, const struct options_kind *kind, int option, const char *name)
{
	switch (option) {
	case 'D':
	case 'C':
	case 'L':
	case 'R':
	case 'V':
	case 'W':
	case 'G':
		return read_vulkan_option(options, kind, option, name);
	case 'b':
		return add_backend(options, optarg);
	case 'c':
		return read_cpus(options, optarg);
	case 'r':
		return read_rounds(options, optarg);
	case 's':
		return read_seconds(options, optarg);
	case 'O':
		return read_operations(options, optarg);
	case 'p':
		options->poll = true;
		return 0;
	case 'B':
		options->bars = true;
		return 0;
	case 'o':
		options->only = optarg;
		return 0;
	case 'j':
		options->json = optarg;
		return 0;
	case 'n':
		options->note = optarg;
		return 0;
	case 'h':
		fputs(kind->usage, stdout);
		return 1;
	default:
		return -EINVAL;
	}
}

int options_read(struct options *options, const struct options_kind *kind, int argc, char **argv)
{
	static const struct option table[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "seconds-per-cell", required_argument, NULL, 's' },
		{ "operations", required_argument, NULL, 'O' },
		{ "driver", required_argument, NULL, 'D' },
		{ "client-driver", required_argument, NULL, 'C' },
		{ "layer", required_argument, NULL, 'L' },
		{ "render-server", required_argument, NULL, 'R' },
		{ "daemon", required_argument, NULL, 'V' },
		{ "worker", required_argument, NULL, 'W' },
		{ "guest", required_argument, NULL, 'G' },
		{ "poll", no_argument, NULL, 'p' },
		{ "bars", no_argument, NULL, 'B' },
		{ "only", required_argument, NULL, 'o' },
		{ "json", required_argument, NULL, 'j' },
		{ "note", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};

	*options = (struct options){
		.driver_cpu = -1,
		.backend_cpu = -1,
		.display_cpu = -1,
		.rounds = 9,
		.seconds_per_cell = 0.25,
	};
	for (;;) {
		int index = 0;
		int option = getopt_long(argc, argv, "", table, &index);

		if (option < 0) {
			break;
		}
		int result = read_option(options, kind, option, table[index].name);
		if (result != 0) {
			return result;
		}
	}
	if (optind < argc) {
		return fail("unexpected argument", argv[optind]);
	}
	if (kind->vulkan) {
		add_default_daemon(options);
	}
	int error = options->backend_count > 0 ? 0 : add_default_backends(options, kind);

	return error < 0 ? error : add_guest(options);
}
