/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/client.h"
#include "ctl/message.h"
#include "ctl/picture.h"
#include "ctl/report.h"

/* Exit statuses: 0 done, 1 the daemon could not or cannot be reached, 2 wrong arguments. */
#define EXIT_USAGE 2

static const char usage_text[] =
	"usage: virtio-gpu-ctl --socket PATH [--json] COMMAND\n"
	"\n"
	"Asks and steers the virtio-gpud whose --control socket is PATH.\n"
	"\n"
	"Commands:\n"
	"  status                   who is served, and what each output shows\n"
	"  stats                    commands, errors, bytes, resources, queues\n"
	"  screenshot FILE.png      write what an output shows ('-': to stdout)\n"
	"  resize WIDTHxHEIGHT      give an output another size (0x0: switch it off)\n"
	"\n"
	"Options:\n"
	"  --socket PATH            the daemon's control socket\n"
	"  --output N               the output of screenshot and resize (0)\n"
	"  --cursor                 draw the cursor onto the screenshot\n"
	"  --json                   print the daemon's answer as it is\n"
	"  --version                print the version and exit\n"
	"  --help                   print this help and exit\n";

enum option_value {
	OPTION_SOCKET = 256,
	OPTION_OUTPUT,
	OPTION_CURSOR,
	OPTION_JSON,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option option_specs[] = {
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "output", required_argument, NULL, OPTION_OUTPUT },
	{ "cursor", no_argument, NULL, OPTION_CURSOR },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 },
};

struct arguments {
	const char *socket;
	int output; // -1: not given
	bool cursor;
	bool json;
	char **words; // the command and what it takes
	int word_count;
};

struct command {
	const char *name;
	const char *argument; // what it takes; NULL: nothing
	bool takes_output;
	bool takes_cursor;
	/* Adds what is particular to the request. Returns 0, or -1 (a message was printed). */
	int (*prepare)(json_t *request, const struct arguments *arguments);
	/* Prints or writes the answer. fd is borrowed. Returns 0, or -1 (a message was printed). */
	int (*finish)(const json_t *answer, int fd, const struct arguments *arguments);
};

/* Digits alone, up to max; *end is what follows them. Returns -1 when there are none. */
static int parse_number(const char *text, int max, const char **end)
{
	int value = 0;

	if (*text < '0' || *text > '9') {
		return -1;
	}
	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (*text - '0');
		if (value > max) {
			return -1;
		}
	}
	*end = text;
	return value;
}

static int prepare_nothing(json_t *request, const struct arguments *arguments)
{
	(void)request;
	(void)arguments;
	return 0;
}

static int prepare_screenshot(json_t *request, const struct arguments *arguments)
{
	if (strcmp(arguments->words[1], "-") == 0 && isatty(STDOUT_FILENO)) {
		message("a PNG is not for a terminal: redirect it, or name a file");
		return -1;
	}
	return json_object_set_new(request, "cursor", json_boolean(arguments->cursor));
}

static int prepare_resize(json_t *request, const struct arguments *arguments)
{
	const char *rest = "";
	int width = parse_number(arguments->words[1], UINT16_MAX, &rest);
	int height = *rest == 'x' ? parse_number(rest + 1, UINT16_MAX, &rest) : -1;

	if (width < 0 || height < 0 || *rest) {
		message("%s is not WIDTHxHEIGHT, such as 1920x1080", arguments->words[1]);
		return -1;
	}
	json_object_set_new(request, "width", json_integer(width));
	return json_object_set_new(request, "height", json_integer(height));
}

static int finish_status(const json_t *answer, int fd, const struct arguments *arguments)
{
	(void)fd;
	(void)arguments;
	report_status(answer);
	return 0;
}

static int finish_stats(const json_t *answer, int fd, const struct arguments *arguments)
{
	(void)fd;
	(void)arguments;
	report_stats(answer);
	return 0;
}

static int finish_screenshot(const json_t *answer, int fd, const struct arguments *arguments)
{
	return picture_write(answer, fd, arguments->words[1]);
}

static int finish_resize(const json_t *answer, int fd, const struct arguments *arguments)
{
	(void)answer;
	(void)fd;
	(void)arguments;
	return 0;
}

static const struct command commands[] = {
	{ "status", NULL, false, false, prepare_nothing, finish_status },
	{ "stats", NULL, false, false, prepare_nothing, finish_stats },
	{ "screenshot", "FILE.png", true, true, prepare_screenshot, finish_screenshot },
	{ "resize", "WIDTHxHEIGHT", true, false, prepare_resize, finish_resize },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			return &commands[i];
		}
	}
	message("unknown command '%s': known are status, stats, screenshot and resize", name);
	return NULL;
}

/* Do the arguments fit the command? */
static bool check_arguments(const struct command *command, const struct arguments *arguments)
{
	const int wanted = command->argument ? 2 : 1;

	if (arguments->word_count < wanted) {
		message("%s needs %s", command->name, command->argument);
	} else if (arguments->word_count > wanted) {
		message("unexpected argument '%s'", arguments->words[wanted]);
	} else if (arguments->output >= 0 && !command->takes_output) {
		message("%s takes no --output", command->name);
	} else if (arguments->cursor && !command->takes_cursor) {
		message("%s takes no --cursor", command->name);
	} else {
		return true;
	}
	return false;
}

static int print_json(const json_t *answer)
{
	int result = json_dumpf(answer, stdout, JSON_INDENT(2));

	putchar('\n');
	return result;
}

/* --json replaces the tables, not the file that screenshot writes. */
static int finish(const struct command *command, const json_t *answer, int fd,
	const struct arguments *arguments)
{
	if (arguments->json && command->finish != finish_screenshot) {
		return print_json(answer);
	}
	return command->finish(answer, fd, arguments);
}

static int run_command(const struct command *command, const struct arguments *arguments)
{
	json_t *request = json_pack("{s:s}", "command", command->name);
	json_t *answer;
	int fd = -1;
	int result;

	if (arguments->output >= 0) {
		json_object_set_new(request, "output", json_integer(arguments->output));
	}
	if (command->prepare(request, arguments) < 0) {
		json_decref(request);
		return EXIT_USAGE;
	}
	answer = client_ask(arguments->socket, request, &fd);
	json_decref(request);
	if (!answer) {
		return EXIT_FAILURE;
	}
	result = finish(command, answer, fd, arguments);
	json_decref(answer);
	fd_close(&fd);
	return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Returns -1 to go on, or the exit status. */
static int take_option(struct arguments *arguments, int option)
{
	const char *end = "";

	switch (option) {
	case OPTION_SOCKET:
		arguments->socket = optarg;
		return -1;
	case OPTION_OUTPUT:
		arguments->output = parse_number(optarg, UINT16_MAX, &end);
		if (arguments->output >= 0 && !*end) {
			return -1;
		}
		message("--output %s is not a number: outputs count from 0", optarg);
		return EXIT_USAGE;
	case OPTION_CURSOR:
		arguments->cursor = true;
		return -1;
	case OPTION_JSON:
		arguments->json = true;
		return -1;
	case OPTION_VERSION:
		puts("virtio-gpu-ctl " PROJECT_VERSION);
		return EXIT_SUCCESS;
	case OPTION_HELP:
		fputs(usage_text, stdout);
		return EXIT_SUCCESS;
	default: // getopt_long has said what is wrong
		fputs("'virtio-gpu-ctl --help' lists the options\n", stderr);
		return EXIT_USAGE;
	}
}

static int run_arguments(const struct arguments *arguments)
{
	const struct command *command;

	if (!arguments->word_count) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	command = find_command(arguments->words[0]);
	if (!command || !check_arguments(command, arguments)) {
		return EXIT_USAGE;
	}
	if (!arguments->socket) {
		message("give --socket PATH, the path of the daemon's --control option");
		return EXIT_USAGE;
	}
	return run_command(command, arguments);
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .output = -1 };
	int option, status;

	while ((option = getopt_long(argc, argv, "", option_specs, NULL)) != -1) {
		status = take_option(&arguments, option);
		if (status >= 0) {
			return status;
		}
	}
	arguments.words = argv + optind;
	arguments.word_count = argc - optind;
	status = run_arguments(&arguments);
	if (fflush(stdout) && status == EXIT_SUCCESS) {
		message("cannot write to stdout");
		status = EXIT_FAILURE;
	}
	return status;
}
