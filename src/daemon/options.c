/* SPDX-License-Identifier: MIT */
#include "daemon/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdarg.h>
#include <string.h>

#include "base/checked.h"
#include "daemon/endpoint.h"
#include "daemon/values.h"
#include "render/virgl/gpu.h"

/*
 * How this works
 *
 * option_specs has a row for each option: its name, its argument, its help, and the function that
 * reads its value. getopt_long's array and --help are made from the rows. A row's function writes
 * only about the value into the error; the name and the value are put before it here.
 */

/* The largest mode: what headless displays make, and the textures of usual GPUs. */
#define MODE_MAX 16384

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* Below, no screen fits; above, the sums of sizes would come near to 64 bits' end for no use. */
#define MEMORY_MIN  MIB
#define MEMORY_MAX  (1024 * GIB)
#define MEMORY_HELP "512M"

/* Textures: of a 5K screen, three buffers and what a game draws with. */
#define MEMORY_3D_HELP "2G"

/* Memory that the Vulkan driver lends to the guest, beside. */
#define MEMORY_VULKAN_HELP "4G"

/* Address space costs nothing but page tables of the guest; processors with 36 bits have 64 GiB of it. */
#define WINDOW_MIN  MIB
#define WINDOW_MAX  (1024 * GIB)
#define WINDOW_HELP "4G"

#define RESOURCES_MAX  (1u << 20)
#define RESOURCES_HELP "16384"

/*
 * The largest commands carry scatter lists: 16384 entries of 16 bytes and a head, so 512K. Every
 * command without a list fits in 4K.
 */
#define REQUEST_MIN  (4 * KIB)
#define REQUEST_MAX  (64 * MIB)
#define REQUEST_HELP "512K"

/* Longer than this is a sleepless daemon, not a short wait. */
#define POLL_US_MAX 1000000

/* What is being read now, and where a message about it goes. */
struct parse_error {
	char *text; // OPTIONS_ERROR_SIZE bytes
	const char *option;
	const char *value; // NULL: takes none
};

struct option_spec {
	const char *name;
	const char *argument; // NULL: takes none
	const char *help; // lines
	int (*parse)(struct options *options, const char *value, struct parse_error *error);
};

__attribute__((format(printf, 2, 3))) static int fail(
	struct parse_error *error, const char *format, ...)
{
	size_t used;
	va_list args;

	/* A long value is cut, so that there is room for what is wrong with it. */
	snprintf(error->text, OPTIONS_ERROR_SIZE, "--%s%s%.100s: ", error->option,
		error->value ? "=" : "", error->value ? error->value : "");
	used = strlen(error->text);
	va_start(args, format);
	vsnprintf(error->text + used, OPTIONS_ERROR_SIZE - used, format, args);
	va_end(args);
	return -EINVAL;
}

static int parse_file(
	const char **path, const char *value, const char *what, struct parse_error *error)
{
	if (!*value) {
		return fail(error, "the path is empty: give %s", what);
	}
	*path = value;
	return 0;
}

static int parse_socket_path(struct options *options, const char *value, struct parse_error *error)
{
	return parse_file(&options->socket_path, value, "the socket file to make", error);
}

/* A name first, as chgrp does: a group may be named like a number. */
static int parse_socket_group(struct options *options, const char *value, struct parse_error *error)
{
	const struct group *group = getgrnam(value);
	uint64_t number;

	if (group) {
		options->socket_group = group->gr_gid;
		return 0;
	}
	if (value_parse_number(value, 0, ENDPOINT_ANY_GROUP - 1, &number) < 0) {
		return fail(
			error, "no such group: 'getent group' lists them; a number will do, too");
	}
	options->socket_group = (gid_t)number;
	return 0;
}

static int parse_control(struct options *options, const char *value, struct parse_error *error)
{
	return parse_file(&options->control_path, value, "the socket file to make", error);
}

static int parse_fd(struct options *options, const char *value, struct parse_error *error)
{
	uint64_t fd;

	/* A descriptor is an int; the kernel's own limit (fs.nr_open) lies far below. */
	if (value_parse_number(value, 0, INT32_MAX, &fd) < 0) {
		return fail(error, "not a descriptor: give the number of an open socket");
	}
	options->fd = (int)fd;
	return 0;
}

static int parse_once(struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->once = true;
	return 0;
}

static int parse_output_count(struct options *options, const char *value, struct parse_error *error)
{
	uint64_t count;

	if (value_parse_number(value, 1, DISPLAY_OUTPUT_MAX, &count) < 0) {
		return fail(error, "outputs=%s is not a number from 1 to %d", value,
			DISPLAY_OUTPUT_MAX);
	}
	options->bridge.outputs = (uint32_t)count;
	return 0;
}

static int parse_mode(struct options *options, const char *value, struct parse_error *error)
{
	struct bridge_config *bridge = &options->bridge;

	if (value_parse_mode(value, MODE_MAX, &bridge->width, &bridge->height) < 0) {
		return fail(error,
			"mode=%s is not WIDTHxHEIGHT, each from 1 to %d, such as mode=1280x800",
			value, MODE_MAX);
	}
	return 0;
}

static int parse_display_part(struct options *options, char *part, struct parse_error *error)
{
	char *value = strchr(part, '=');

	if (value) {
		*value++ = '\0';
		if (strcmp(part, "outputs") == 0) {
			return parse_output_count(options, value, error);
		}
		if (strcmp(part, "mode") == 0) {
			return parse_mode(options, value, error);
		}
	}
	return fail(error, "unknown part '%s': known are outputs=N and mode=WIDTHxHEIGHT", part);
}

static int check_display_name(const char *name, struct parse_error *error)
{
	if (strcmp(name, "headless") == 0) {
		return 0;
	}
	if (strcmp(name, "vmm") == 0) {
		return fail(error,
			"the VMM's display is not chosen here: it is used whenever the VMM offers it; "
			"leave the option out, or say what to use otherwise (headless)");
	}
	return fail(error, "unknown display '%s': known is headless", name);
}

static int parse_display(struct options *options, const char *value, struct parse_error *error)
{
	char copy[128];
	char *save = NULL;
	char *part;
	int result;

	if (strlen(value) >= sizeof(copy)) {
		return fail(error, "too long");
	}
	strcpy(copy, value);
	part = strtok_r(copy, ",", &save);
	result = check_display_name(part ? part : "", error);
	while (result == 0 && (part = strtok_r(NULL, ",", &save))) {
		result = parse_display_part(options, part, error);
	}
	return result;
}

static int parse_one_capset(struct options *options, const char *name, size_t len)
{
	const struct {
		const char *name;
		bool *offered;
	} known[] = {
		{ "virgl", &options->render.gl },
		{ "virgl2", &options->render.gl },
		{ "venus", &options->render.vulkan },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0) {
			*known[i].offered = true;
			return 0;
		}
	}
	return -ENOTSUP;
}

static int parse_capset(struct options *options, const char *value, struct parse_error *error)
{
	const char *name = value;

	if (!*value || strcmp(value, "none") == 0) {
		return 0;
	}
	for (;;) {
		size_t len = strcspn(name, ",");

		if (parse_one_capset(options, name, len) < 0) {
			fail(error,
				"'%.*s' cannot be offered: this version has virgl and virgl2 (both "
				"at once, whichever is named), venus, and none",
				(int)len, name);
			return -ENOTSUP;
		}
		if (!name[len]) {
			return 0;
		}
		name += len + 1;
	}
}

static int parse_render_node(struct options *options, const char *value, struct parse_error *error)
{
	(void)error;
	options->render.render_node = value;
	return 0;
}

static int parse_gpu(struct options *options, const char *value, struct parse_error *error)
{
	struct gpu_name name;

	if (gpu_name_parse(&name, value) < 0) {
		return fail(error,
			"give an index, a PCI address (0000:01:00.0 or 01:00.0) or a UUID (with or "
			"without GPU-), as --list-gpus shows them");
	}
	options->render.gpu = value;
	return 0;
}

static int parse_egl_library(struct options *options, const char *value, struct parse_error *error)
{
	return parse_file(&options->render.egl_library, value,
		"the file of a libEGL, or of a driver's", error);
}

static int parse_gl_library(struct options *options, const char *value, struct parse_error *error)
{
	return parse_file(&options->render.gl_library, value, "the file of a libGL", error);
}

static int parse_list_gpus(struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->action = OPTIONS_LIST_GPUS;
	return 0;
}

static int parse_virgl(struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->render.gl = true;
	return 0;
}

static int parse_venus(struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->render.vulkan = true;
	return 0;
}

static int parse_render_server(
	struct options *options, const char *value, struct parse_error *error)
{
	return parse_file(&options->render.render_server, value,
		"virglrenderer's virgl_render_server", error);
}

static int parse_vulkan_driver(
	struct options *options, const char *value, struct parse_error *error)
{
	return parse_file(
		&options->render.vulkan_driver, value, "the JSON file of a Vulkan driver", error);
}

/* A PCI device shows it as a BAR, whose size is a power of two. */
static int parse_host_visible(struct options *options, const char *value, struct parse_error *error)
{
	uint64_t size;

	if (value_parse_size(value, WINDOW_MIN, WINDOW_MAX, &size) < 0 ||
		!checked_is_power_of_two(size)) {
		return fail(error, "give a power of two, from 1M to 1024G");
	}
	options->bridge.host_visible = size;
	return 0;
}

static int parse_allow_software(
	struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->render.allow_software = true;
	return 0;
}

static int parse_dmabuf(struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->bridge.dmabuf = true;
	return 0;
}

static int parse_name(struct options *options, const char *value, struct parse_error *error)
{
	size_t len = strlen(value);

	if (len == 0 || len > OPTIONS_NAME_MAX) {
		return fail(error, "give a name of 1 to %d characters", OPTIONS_NAME_MAX);
	}
	for (size_t i = 0; i < len; i++) {
		if (iscntrl((unsigned char)value[i])) {
			return fail(error, "a control character in a name would break log lines");
		}
	}
	options->name = value;
	return 0;
}

static int parse_log_level(struct options *options, const char *value, struct parse_error *error)
{
	if (log_level_parse(value, &options->log_level) < 0) {
		return fail(error, "unknown level: known are error, warn, info and debug");
	}
	return 0;
}

static int parse_u32(
	uint32_t *out, const char *value, uint32_t min, uint32_t max, struct parse_error *error)
{
	uint64_t number;

	if (value_parse_number(value, min, max, &number) < 0) {
		return fail(error, "give a number from %u to %u", min, max);
	}
	*out = (uint32_t)number;
	return 0;
}

static int parse_poll_us(struct options *options, const char *value, struct parse_error *error)
{
	return parse_u32(&options->bridge.poll_us, value, 0, POLL_US_MAX, error);
}

static int parse_max_resources(
	struct options *options, const char *value, struct parse_error *error)
{
	return parse_u32(&options->bridge.max_resources, value, 1, RESOURCES_MAX, error);
}

static int parse_max_memory(struct options *options, const char *value, struct parse_error *error)
{
	if (value_parse_size(value, MEMORY_MIN, MEMORY_MAX, &options->bridge.max_memory) < 0) {
		return fail(error, "give bytes, or a number with K, M or G: from 1M to 1024G");
	}
	return 0;
}

static int parse_max_vulkan_memory(
	struct options *options, const char *value, struct parse_error *error)
{
	if (value_parse_size(value, MEMORY_MIN, MEMORY_MAX, &options->render.max_vulkan_memory) <
		0) {
		return fail(error, "give bytes, or a number with K, M or G: from 1M to 1024G");
	}
	return 0;
}

static int parse_max_request(struct options *options, const char *value, struct parse_error *error)
{
	uint64_t size;

	if (value_parse_size(value, REQUEST_MIN, REQUEST_MAX, &size) < 0) {
		return fail(error, "give bytes, or a number with K or M: from 4K to 64M");
	}
	options->bridge.max_request = (uint32_t)size;
	return 0;
}

static int parse_print_capabilities(
	struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->action = OPTIONS_PRINT_CAPABILITIES;
	return 0;
}

static int parse_version(struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->action = OPTIONS_VERSION;
	return 0;
}

static int parse_help(struct options *options, const char *value, struct parse_error *error)
{
	(void)value;
	(void)error;
	options->action = OPTIONS_HELP;
	return 0;
}

static const struct option_spec option_specs[] = {
	{ "socket-path", "PATH",
		"listen on a unix socket; a stale socket file is replaced,\n"
		"one that somebody listens on is not",
		parse_socket_path },
	{ "socket-group", "GROUP",
		"let this group (a name or a number) connect to the socket of\n"
		"--socket-path, whatever the umask",
		parse_socket_group },
	{ "fd", "N",
		"serve an open socket: a connected one until it closes,\n"
		"or a listening one",
		parse_fd },
	{ "once", NULL, "exit when the first VM has gone", parse_once },
	{ "print-capabilities", NULL,
		"print what this build can do here, as JSON, and exit; all\n"
		"other options are ignored",
		parse_print_capabilities },
	{ "control", "PATH", "make a socket for virtio-gpu-ctl (mode 0600)", parse_control },
	{ "display", "DISPLAY",
		"headless[,outputs=N][,mode=WIDTHxHEIGHT]: the display when the\n"
		"VMM does not bring its own (1 output, 1280x800)",
		parse_display },
	{ "capset", "LIST",
		"3D protocols to offer: virgl (OpenGL), venus (Vulkan), both by\n"
		"virgl,venus; or none (the default)",
		parse_capset },
	{ "virgl", NULL, "the same as --capset=virgl", parse_virgl },
	{ "venus", NULL, "the same as --capset=venus", parse_venus },
	{ "render-node", "PATH", "the GPU to draw with (one that is found)", parse_render_node },
	{ "gpu", "GPU",
		"the same by the index that --list-gpus shows, by PCI address or\n"
		"by UUID",
		parse_gpu },
	{ "allow-software", NULL, "draw in software where --gpu or --render-node cannot be used",
		parse_allow_software },
	{ "list-gpus", NULL, "print what can draw here, and exit", parse_list_gpus },
	{ "egl-library", "PATH",
		"the libEGL to load, or a driver's EGL for glvnd's libEGL (the\n"
		"system's)",
		parse_egl_library },
	{ "gl-library", "PATH", "the libGL to load (the system's)", parse_gl_library },
	{ "render-server", "PATH",
		"virglrenderer's program that runs the Vulkan driver (the system's\n"
		"virgl_render_server)",
		parse_render_server },
	{ "vulkan-driver", "FILE",
		"the JSON file of the Vulkan driver to draw with (what the Vulkan\n"
		"loader finds)",
		parse_vulkan_driver },
	{ "host-visible", "SIZE",
		"address space in the guest for memory that it shares with the\n"
		"host, a power of two (" WINDOW_HELP ")",
		parse_host_visible },
	{ "dmabuf", NULL,
		"let the VMM show buffers of the GPU without a copy: its display\n"
		"must be able to (QEMU's with gl=on)",
		parse_dmabuf },
	{ "poll-us", "N",
		"look for more work for N microseconds after the last request\n"
		"before sleeping (0)",
		parse_poll_us },
	{ "max-memory", "SIZE",
		"host memory that the guest can make the daemon hold (" MEMORY_HELP ",\n"
		"with OpenGL " MEMORY_3D_HELP ", with Vulkan " MEMORY_VULKAN_HELP ")",
		parse_max_memory },
	{ "max-vulkan-memory", "SIZE",
		"memory of the GPU, or of the host, that the guest can allocate with\n"
		"Vulkan (no limit)",
		parse_max_vulkan_memory },
	{ "max-resources", "N",
		"resources of the guest, and memory slots of the VMM (" RESOURCES_HELP ")",
		parse_max_resources },
	{ "max-request", "SIZE", "largest request of the guest (" REQUEST_HELP ")",
		parse_max_request },
	{ "name", "NAME", "name in log lines (the socket file's name)", parse_name },
	{ "log-level", "LEVEL", "error, warn, info (the default) or debug", parse_log_level },
	{ "version", NULL, "print the version and exit", parse_version },
	{ "help", NULL, "print this help and exit", parse_help },
};

#define OPTION_COUNT (sizeof(option_specs) / sizeof(option_specs[0]))

/* The value by which getopt_long names row i: above any character. */
#define OPTION_VALUE 256

static void make_getopt_options(struct option options[static OPTION_COUNT + 1])
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		options[i] = (struct option){
			.name = option_specs[i].name,
			.has_arg = option_specs[i].argument ? required_argument : no_argument,
			.val = OPTION_VALUE + (int)i,
		};
	}
	options[OPTION_COUNT] = (struct option){ 0 };
}

static struct options default_options(void)
{
	struct options options = {
		.socket_group = ENDPOINT_ANY_GROUP,
		.fd = -1,
		.log_level = LOG_INFO,
		.bridge = { .outputs = 1, .width = 1280, .height = 800 },
	};
	uint64_t size = 0;

	/* From the text of the help, so that it is true. */
	value_parse_size(REQUEST_HELP, REQUEST_MIN, REQUEST_MAX, &size);
	options.bridge.max_request = (uint32_t)size;
	value_parse_number(RESOURCES_HELP, 1, RESOURCES_MAX, &size);
	options.bridge.max_resources = (uint32_t)size;
	return options;
}

/* What depends on other options. From the text of the help, too. */
static void fill_defaults(struct options *options)
{
	const struct virgl_config *render = &options->render;
	const char *memory = render->vulkan ? MEMORY_VULKAN_HELP
		: render->gl                ? MEMORY_3D_HELP
					    : MEMORY_HELP;

	if (options->bridge.max_memory == 0) {
		value_parse_size(memory, MEMORY_MIN, MEMORY_MAX, &options->bridge.max_memory);
	}
	if (!render->vulkan) {
		options->bridge.host_visible = 0; // nothing else maps anything there
	} else if (options->bridge.host_visible == 0) {
		value_parse_size(
			WINDOW_HELP, WINDOW_MIN, WINDOW_MAX, &options->bridge.host_visible);
	}
}

/* QEMU's conventions: "--print-capabilities" ignores all else, mistakes included. */
static bool asks_for_capabilities(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--print-capabilities") == 0) {
			return true;
		}
	}
	return false;
}

/* What getopt_long did not take: result is '?' or ':'. */
static int fail_unknown(char *error, int result, const char *word)
{
	if (result == ':') {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"%s: needs a value; 'virtio-gpud --help' shows which", word);
	} else if (optopt >= OPTION_VALUE) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"--%s takes no value: leave out what follows '='",
			option_specs[optopt - OPTION_VALUE].name);
	} else if (optopt) {
		/* In a cluster (-xy), word need not be the one that it is in. */
		snprintf(error, OPTIONS_ERROR_SIZE,
			"unknown option '-%c'; 'virtio-gpud --help' lists the options", optopt);
	} else {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"unknown option '%s'; 'virtio-gpud --help' lists the options", word);
	}
	return -EINVAL;
}

static int parse_row(
	struct options *options, size_t row, bool seen[static OPTION_COUNT], char *error_text)
{
	const struct option_spec *spec = &option_specs[row];
	const char *value = spec->argument ? optarg : NULL;
	struct parse_error error = { .text = error_text, .option = spec->name, .value = value };

	if (seen[row]) {
		return fail(&error, "given twice: give it once");
	}
	seen[row] = true;
	return spec->parse(options, value, &error);
}

static int check_render(const struct options *options, char *error)
{
	const struct virgl_config *render = &options->render;
	const struct {
		const char *name, *value;
		bool used;
		const char *capset;
	} uses[] = {
		{ "render-node", render->render_node, render->gl, "virgl" },
		{ "gpu", render->gpu, render->gl, "virgl" },
		{ "egl-library", render->egl_library, render->gl, "virgl" },
		{ "gl-library", render->gl_library, render->gl, "virgl" },
		{ "render-server", render->render_server, render->vulkan, "venus" },
		{ "vulkan-driver", render->vulkan_driver, render->vulkan, "venus" },
	};

	if (render->render_node && render->gpu) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"--render-node and --gpu contradict each other: give one of them");
		return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		if (uses[i].value && !uses[i].used && options->action == OPTIONS_SERVE) {
			snprintf(error, OPTIONS_ERROR_SIZE,
				"--%s=%s has no use without --capset=%s: add that, or leave it out",
				uses[i].name, uses[i].value, uses[i].capset);
			return -EINVAL;
		}
	}
	return 0;
}

static int check_together(const struct options *options, int argc, char **argv, char *error)
{
	if (optind < argc) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"unexpected argument '%s'; 'virtio-gpud --help' lists the options",
			argv[optind]);
		return -EINVAL;
	}
	if (options->socket_path && options->fd >= 0) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"--socket-path and --fd contradict each other: give one of them");
		return -EINVAL;
	}
	if (options->socket_group != ENDPOINT_ANY_GROUP && options->fd >= 0) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"--socket-group has no use with --fd, whose socket has its file already: leave "
			"it out, and let who makes the file give it to the group");
		return -EINVAL;
	}
	if (options->socket_path && options->control_path &&
		strcmp(options->socket_path, options->control_path) == 0) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"--socket-path and --control name the same file: give two");
		return -EINVAL;
	}
	if (options->bridge.dmabuf && !options->render.gl && !options->render.vulkan) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"--dmabuf has no use for a 2D device: add --capset=virgl or venus, or leave it "
			"out");
		return -EINVAL;
	}
	if (options->render.max_vulkan_memory > 0 && !options->render.vulkan &&
		options->action == OPTIONS_SERVE) {
		snprintf(error, OPTIONS_ERROR_SIZE,
			"--max-vulkan-memory has no use without --capset=venus: add that, or leave it "
			"out");
		return -EINVAL;
	}
	return check_render(options, error);
}

int options_parse(
	struct options *options, int argc, char **argv, char error[static OPTIONS_ERROR_SIZE])
{
	struct option getopt_options[OPTION_COUNT + 1];
	bool seen[OPTION_COUNT] = { false };
	int option, result;

	*options = default_options();
	if (asks_for_capabilities(argc, argv)) {
		options->action = OPTIONS_PRINT_CAPABILITIES;
		return 0;
	}
	make_getopt_options(getopt_options);
	optind = 0; // starts anew, also in a test that parses twice
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", getopt_options, NULL)) != -1) {
		if (option < OPTION_VALUE) {
			return fail_unknown(error, option, argv[optind - 1]);
		}
		result = parse_row(options, (size_t)(option - OPTION_VALUE), seen, error);
		if (result < 0 || options->action == OPTIONS_HELP ||
			options->action == OPTIONS_VERSION) {
			return result;
		}
	}
	fill_defaults(options);
	return check_together(options, argc, argv, error);
}

static void print_option_help(FILE *file, const struct option_spec *spec)
{
	char left[32];
	const char *line = spec->help;
	const char *end;

	snprintf(left, sizeof(left), "--%s%s%s", spec->name, spec->argument ? "=" : "",
		spec->argument ? spec->argument : "");
	for (; (end = strchr(line, '\n')); line = end + 1) {
		fprintf(file, "  %-22s %.*s\n", left, (int)(end - line), line);
		left[0] = '\0';
	}
	fprintf(file, "  %-22s %s\n", left, line);
}

void options_print_help(FILE *file)
{
	fputs("usage: virtio-gpud --socket-path=PATH [OPTION...]\n"
	      "       virtio-gpud --fd=N [OPTION...]\n"
	      "\n"
	      "A virtio-gpu device as a vhost-user back end: a VMM (QEMU, libvirt, crosvm) plugs it\n"
	      "into a guest. Also takes its socket from systemd (LISTEN_FDS).\n"
	      "\n"
	      "Options (defaults in brackets; SIZE takes K, M or G):\n",
		file);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		print_option_help(file, &option_specs[i]);
	}
}

const char *options_name(size_t index)
{
	return index < OPTION_COUNT ? option_specs[index].name : NULL;
}
