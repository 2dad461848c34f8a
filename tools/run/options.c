/* SPDX-License-Identifier: MIT */
#include "run/options.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/program.h"

enum {
	OPT_LISTEN = 256,
	OPT_PRINT_ENV,
	OPT_GL,
	OPT_VULKAN,
	OPT_CLIENT_DRIVER,
	OPT_DAEMON,
	OPT_DAEMON_PROGRAM,
	OPT_DAEMON_OPTION,
	OPT_GPU,
	OPT_RENDER_NODE,
	OPT_ALLOW_SOFTWARE,
	OPT_RENDER_SERVER,
	OPT_VULKAN_DRIVER,
	OPT_HOST_VISIBLE,
	OPT_MAX_MEMORY,
	OPT_MAX_VULKAN_MEMORY,
	OPT_MAX_RESOURCES,
	OPT_POLL_US,
	OPT_MAX_CLIENTS,
	OPT_SPIN_US,
	OPT_NO_NAMESPACE,
	OPT_LOG_LEVEL,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "print-env", no_argument, NULL, OPT_PRINT_ENV },
	{ "gl", no_argument, NULL, OPT_GL },
	{ "vulkan", no_argument, NULL, OPT_VULKAN },
	{ "client-driver", required_argument, NULL, OPT_CLIENT_DRIVER },
	{ "daemon", required_argument, NULL, OPT_DAEMON },
	{ "daemon-program", required_argument, NULL, OPT_DAEMON_PROGRAM },
	{ "daemon-option", required_argument, NULL, OPT_DAEMON_OPTION },
	{ "gpu", required_argument, NULL, OPT_GPU },
	{ "render-node", required_argument, NULL, OPT_RENDER_NODE },
	{ "allow-software", no_argument, NULL, OPT_ALLOW_SOFTWARE },
	{ "render-server", required_argument, NULL, OPT_RENDER_SERVER },
	{ "vulkan-driver", required_argument, NULL, OPT_VULKAN_DRIVER },
	{ "host-visible", required_argument, NULL, OPT_HOST_VISIBLE },
	{ "max-memory", required_argument, NULL, OPT_MAX_MEMORY },
	{ "max-vulkan-memory", required_argument, NULL, OPT_MAX_VULKAN_MEMORY },
	{ "max-resources", required_argument, NULL, OPT_MAX_RESOURCES },
	{ "poll-us", required_argument, NULL, OPT_POLL_US },
	{ "max-clients", required_argument, NULL, OPT_MAX_CLIENTS },
	{ "spin-us", required_argument, NULL, OPT_SPIN_US },
	{ "no-namespace", no_argument, NULL, OPT_NO_NAMESPACE },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char help[] =
	"Usage: virtio-gpu-run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
	"       virtio-gpu-run [OPTION...] --listen=PATH\n"
	"       virtio-gpu-run --print-env [--listen=PATH]\n"
	"\n"
	"Runs a program whose OpenGL or Vulkan is drawn by virtio-gpud, in a process of its own: as in a\n"
	"virtual machine, without one. The program needs Mesa's virgl driver (Debian: libgl1-mesa-dri) or, for\n"
	"Vulkan, virtio driver (mesa-vulkan-drivers of Debian 13 or bookworm-backports).\n"
	"\n"
	"  --vulkan               for the program's Vulkan, by Venus\n"
	"  --gl                   for its OpenGL, by VirGL: without --vulkan the default\n"
	"  --client-driver=FILE   the JSON file of Mesa's virtio driver for the program's Vulkan (default: that\n"
	"                         of " PROGRAM_ICD_FOLDER ")\n"
	"  --listen=PATH          serve programs that find the socket PATH (mode 0600), until a signal\n"
	"                         ends it: for containers\n"
	"  --print-env            print what to set for such programs, and exit\n"
	"  --daemon=PATH          draw with the daemon that listens at PATH, for one program at a time\n"
	"                         (default: a daemon of its own for each connection)\n"
	"  --daemon-program=PATH  that daemon (default: virtio-gpud beside this program, or by PATH)\n"
	"  --daemon-option=OPTION give it this option; can be repeated\n"
	"  --gpu=GPU, --render-node=PATH, --allow-software, --render-server=PATH,\n"
	"  --vulkan-driver=FILE, --host-visible=SIZE, --max-memory=SIZE, --max-vulkan-memory=SIZE,\n"
	"  --max-resources=N, --poll-us=N\n"
	"                         are handed to it; --max-memory bounds what a client shares, too;\n"
	"                         --poll-us is as --spin-us if not given\n"
	"  --max-clients=N        connections at a time (default 16)\n"
	"  --spin-us=N            look for bytes and answers so long before sleeping (default: 100 with\n"
	"                         four processors or more, else 0)\n"
	"  --no-namespace         leave /tmp/.virgl_test alone: Mesa before 23.1 finds no other path, so\n"
	"                         the program gets a mount namespace in which it is the right socket\n"
	"  --log-level=LEVEL      error, warn (default), info or debug\n"
	"  --version, --help\n"
	"\n"
	"The exit status is the program's, or 128 and the number of the signal that ended it; 125 when\n"
	"virtio-gpu-run itself fails, 126 when the program cannot be run, 127 when it is not found.\n";

static int fail(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "virtio-gpu-run: --%s=%s: %s\n", option, value, why);
	return -EINVAL;
}

static int add_word(struct options *options, char *word)
{
	if (!word) {
		return -ENOMEM;
	}
	if (options->daemon_option_count == OPTIONS_DAEMON_WORDS) {
		return fail("daemon-option", word, "there are more than 32");
	}
	options->daemon_options[options->daemon_option_count++] = word;
	return 0;
}

/* Hands "--name=value" on. Lives as long as the program. */
static int hand_on(struct options *options, const char *name, const char *value)
{
	char *word = NULL;

	if (asprintf(&word, "--%s%s%s", name, value ? "=" : "", value ? value : "") < 0) {
		return -ENOMEM;
	}
	return add_word(options, word);
}

static int read_number(const char *name, const char *text, uint32_t max, uint32_t *value)
{
	char *end = NULL;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || number > max) {
		return fail(name, text, "not a number in range");
	}
	*value = (uint32_t)number;
	return 0;
}

/* As virtio-gpud reads it, which says what is wrong with it otherwise. */
static int read_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMG";
	char *end = NULL;
	const char *unit;
	uint64_t number = strtoull(text, &end, 10);

	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		number <<= 10 * (unit - units + 1);
		end++;
	}
	if (*text < '0' || *text > '9' || *end || number < 1u << 20 || number > 1ull << 40) {
		return fail("max-memory", text, "not a size: give 1M to 1024G, for instance 512M");
	}
	*size = number;
	return 0;
}

static int read_option(struct options *options, int option, const char *name)
{
	switch (option) {
	case OPT_LISTEN:
		options->listen = optarg;
		return *optarg ? 0 : fail(name, optarg, "the path is empty");
	case OPT_PRINT_ENV:
		options->print_env = true;
		return 0;
	case OPT_GL:
		options->gl = true;
		return 0;
	case OPT_VULKAN:
		options->vulkan = true;
		return 0;
	case OPT_CLIENT_DRIVER:
		options->client_driver = optarg;
		return 0;
	case OPT_DAEMON:
		options->daemon = optarg;
		return 0;
	case OPT_DAEMON_PROGRAM:
		options->daemon_program = optarg;
		return 0;
	case OPT_DAEMON_OPTION:
		return add_word(options, optarg);
	case OPT_GPU:
	case OPT_RENDER_NODE:
	case OPT_ALLOW_SOFTWARE:
	case OPT_RENDER_SERVER:
	case OPT_VULKAN_DRIVER:
	case OPT_HOST_VISIBLE:
	case OPT_MAX_VULKAN_MEMORY:
	case OPT_MAX_RESOURCES:
		return hand_on(options, name, optarg);
	case OPT_POLL_US:
		options->has_poll_us = true;
		return hand_on(options, name, optarg);
	case OPT_MAX_MEMORY:
		return read_size(optarg, &options->max_memory) < 0 ? -EINVAL
								   : hand_on(options, name, optarg);
	case OPT_MAX_CLIENTS:
		return read_number(name, optarg, OPTIONS_CLIENTS_MAX, &options->max_clients);
	case OPT_SPIN_US:
		return read_number(name, optarg, 1000000, &options->spin_us);
	case OPT_NO_NAMESPACE:
		options->no_namespace = true;
		return 0;
	case OPT_LOG_LEVEL:
		return log_level_parse(optarg, &options->log_level) == 0
			? 0
			: fail(name, optarg, "give error, warn, info or debug");
	default:
		return -EINVAL; // getopt has said it
	}
}

static int check(const struct options *options)
{
	if (options->client_driver && !options->vulkan) {
		return fail("client-driver", options->client_driver, "has no use without --vulkan");
	}
	if (options->daemon && (options->daemon_option_count > 0 || options->daemon_program)) {
		fprintf(stderr,
			"virtio-gpu-run: --daemon names a daemon that runs: give the "
			"options for one to that daemon\n");
		return -EINVAL;
	}
	if (options->program && (options->listen || options->print_env)) {
		fprintf(stderr,
			"virtio-gpu-run: a program and --%s contradict each other: give one "
			"of them\n",
			options->listen ? "listen" : "print-env");
		return -EINVAL;
	}
	if (!options->program && !options->listen && !options->print_env) {
		fprintf(stderr, "virtio-gpu-run: no program: give one, or --listen=PATH\n");
		return -EINVAL;
	}
	return 0;
}

/* The daemon looks for commands as long as we look for answers. */
static int hand_poll_on(struct options *options)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", options->spin_us);
	return options->spin_us > 0 ? hand_on(options, "poll-us", text) : 0;
}

/* Looking takes a processor from somebody: program, bridge, daemon and GL driver are four. */
static uint32_t default_spin_us(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) >= 4 ? 100 : 0;
}

int options_read(struct options *options, int argc, char **argv)
{
	int index = 0;
	int option;

	*options = (struct options){
		.max_memory = 2ull << 30, // as the daemon has it
		.max_clients = 16,
		.spin_us = default_spin_us(),
		.log_level = LOG_WARN,
	};
	/* "+": what stands behind the program is the program's. */
	while ((option = getopt_long(argc, argv, "+", long_options, &index)) != -1) {
		if (option == OPT_HELP) {
			fputs(help, stdout);
			return 1;
		}
		if (option == OPT_VERSION) {
			printf("virtio-gpu-run %s\n", PROJECT_VERSION);
			return 1;
		}
		if (read_option(options, option, long_options[index].name) < 0) {
			return -EINVAL;
		}
	}
	if (optind < argc) {
		options->program = argv + optind;
	}
	options->gl = options->gl || !options->vulkan;
	if (check(options) < 0) {
		return -EINVAL;
	}
	return options->daemon || options->has_poll_us ? 0 : hand_poll_on(options);
}
