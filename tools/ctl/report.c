/* SPDX-License-Identifier: MIT */
#include "ctl/report.h"

#include <inttypes.h>
#include <stdio.h>

static const char *get_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static uint64_t get_number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* 12345678 -> "11.8 MiB" */
static const char *format_size(uint64_t bytes, char text[static 32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

static void print_names(const char *label, const json_t *names)
{
	size_t index;
	const json_t *name;

	printf("%-18s", label);
	json_array_foreach((json_t *)names, index, name)
	{
		printf("%s%s", index ? " " : "", json_string_value(name));
	}
	puts(json_array_size(names) ? "" : "-");
}

static const char *format_rect(const json_t *rect, char text[static 64])
{
	if (!rect) {
		return "-";
	}
	snprintf(text, 64, "%" PRIu64 "x%" PRIu64 "+%" PRIu64 "+%" PRIu64,
		get_number(rect, "width"), get_number(rect, "height"), get_number(rect, "x"),
		get_number(rect, "y"));
	return text;
}

static const char *format_cursor(const json_t *cursor, char text[static 64])
{
	if (!json_is_object(cursor)) {
		return "hidden";
	}
	snprintf(
		text, 64, "%" PRIu64 ",%" PRIu64, get_number(cursor, "x"), get_number(cursor, "y"));
	return text;
}

static void print_output(const json_t *output)
{
	const json_t *mode = json_object_get(output, "mode");
	const json_t *resource = json_object_get(output, "resource");
	char mode_text[64], rect_text[64], cursor_text[64], resource_text[32] = "-";

	if (resource) {
		snprintf(resource_text, sizeof(resource_text), "%" PRIu64,
			(uint64_t)json_integer_value(resource));
	}
	printf("%6" PRIu64 "  %-20s %8s  %-20s %-6s  %s\n", get_number(output, "output"),
		mode && !json_is_true(json_object_get(output, "enabled"))
			? "off"
			: format_rect(mode, mode_text),
		resource_text, format_rect(json_object_get(output, "rect"), rect_text),
		get_text(output, "format"),
		format_cursor(json_object_get(output, "cursor"), cursor_text));
}

static void print_outputs(const json_t *outputs)
{
	size_t index;
	const json_t *output;

	printf("\n%6s  %-20s %8s  %-20s %-6s  %s\n", "output", "mode", "resource", "shows",
		"format", "cursor");
	json_array_foreach((json_t *)outputs, index, output)
	{
		print_output(output);
	}
}

void report_status(const json_t *answer)
{
	const json_t *vm = json_object_get(answer, "vm");

	printf("%-18s%s\n", "name", get_text(answer, "name"));
	printf("%-18s%s\n", "version", get_text(answer, "version"));
	printf("%-18s%" PRIu64 "\n", "pid", get_number(answer, "pid"));
	printf("%-18s%" PRIu64 " (%" PRIu64 " refused)\n", "VMs served",
		get_number(answer, "vms_served"), get_number(answer, "vms_refused"));
	if (!json_is_object(vm)) {
		printf("%-18s%s\n", "VM", "none");
		return;
	}
	printf("%-18s%s\n", "VM",
		json_is_true(json_object_get(vm, "running")) ? "running" : "stopped");
	printf("%-18s%s\n", "dialect", get_text(vm, "dialect"));
	printf("%-18s%s\n", "display", get_text(vm, "display"));
	print_names("features offered", json_object_get(vm, "features_offered"));
	print_names("features taken", json_object_get(vm, "features"));
	print_outputs(json_object_get(vm, "outputs"));
}

static void print_commands(const json_t *commands)
{
	const char *name;
	const json_t *command;

	printf("%-28s %12s %10s\n", "command", "count", "errors");
	json_object_foreach((json_t *)commands, name, command)
	{
		printf("%-28s %12" PRIu64 " %10" PRIu64 "\n", name, get_number(command, "count"),
			get_number(command, "errors"));
	}
}

static void print_errors(const json_t *errors)
{
	const char *name;
	const json_t *count;

	if (!json_object_size(errors)) {
		return;
	}
	printf("\n%-28s %12s\n", "error answer", "count");
	json_object_foreach((json_t *)errors, name, count)
	{
		printf("%-28s %12" PRIu64 "\n", name, (uint64_t)json_integer_value(count));
	}
}

static void print_queues(const json_t *queues)
{
	const char *name;
	const json_t *queue;

	printf("\n%-28s %12s %10s %8s %8s\n", "queue", "requests", "batches", "depth", "deepest");
	json_object_foreach((json_t *)queues, name, queue)
	{
		printf("%-28s %12" PRIu64 " %10" PRIu64 " %8" PRIu64 " %8" PRIu64 "%s\n", name,
			get_number(queue, "requests"), get_number(queue, "batches"),
			get_number(queue, "depth"), get_number(queue, "depth_peak"),
			json_is_true(json_object_get(queue, "running")) ? "" : "  stopped");
	}
}

static void print_sizes(const json_t *vm)
{
	const json_t *bytes = json_object_get(vm, "bytes");
	const json_t *memory = json_object_get(vm, "memory");
	char a[32], b[32], c[32];

	printf("\n%-28s %s\n", "requests", format_size(get_number(bytes, "requests"), a));
	printf("%-28s %s\n", "transferred", format_size(get_number(bytes, "transfers"), a));
	printf("%-28s %" PRIu64 "\n", "pixels flushed", get_number(bytes, "flushed_pixels"));
	printf("%-28s %s (peak %s, at most %s)\n", "memory held",
		format_size(get_number(memory, "used"), a),
		format_size(get_number(memory, "peak"), b),
		format_size(get_number(memory, "max"), c));
}

static void print_window(const json_t *window)
{
	char mapped[32], size[32];

	if (json_is_object(window)) {
		printf("%-28s %" PRIu64 " (%s in a window of %s)\n", "blobs mapped",
			get_number(window, "mappings"),
			format_size(get_number(window, "mapped"), mapped),
			format_size(get_number(window, "size"), size));
	}
}

static void print_contexts(const json_t *contexts)
{
	const json_t *list = json_object_get(contexts, "list");
	char submitted[32], held[32];
	size_t index;
	const json_t *context;

	if (!json_array_size(list)) {
		return;
	}
	printf("\n%-28s %-8s %10s %12s %8s %10s %12s %8s\n", "context", "capset", "submits",
		"submitted", "sub-ctx.", "resources", "their size", "fences");
	json_array_foreach((json_t *)list, index, context)
	{
		printf("%-6" PRIu64 " %-21s %-8s %10" PRIu64 " %12s %8" PRIu64 " %10" PRIu64
		       " %12s %8" PRIu64 "\n",
			get_number(context, "context"), get_text(context, "name"),
			get_text(context, "capset"), get_number(context, "submits"),
			format_size(get_number(context, "submit_bytes"), submitted),
			get_number(context, "sub_contexts"), get_number(context, "resources"),
			format_size(get_number(context, "resource_bytes"), held),
			get_number(context, "fences"));
	}
	if (get_number(contexts, "count") > json_array_size(list)) {
		printf("... of %" PRIu64 "\n", get_number(contexts, "count"));
	}
}

void report_stats(const json_t *answer)
{
	const json_t *vm = json_object_get(answer, "vm");
	const json_t *resources = json_object_get(vm, "resources");
	const json_t *notifications = json_object_get(vm, "notifications");

	if (!json_is_object(vm)) {
		puts("no VM is connected");
		return;
	}
	print_commands(json_object_get(vm, "commands"));
	print_errors(json_object_get(vm, "errors"));
	print_queues(json_object_get(vm, "queues"));
	print_contexts(json_object_get(vm, "contexts"));
	print_sizes(vm);
	print_window(json_object_get(vm, "window"));
	printf("%-28s %" PRIu64 " (at most %" PRIu64 ")\n", "resources",
		get_number(resources, "count"), get_number(resources, "max"));
	printf("%-28s %" PRIu64 "\n", "requests pending", get_number(vm, "pending"));
	printf("%-28s %" PRIu64 " in, %" PRIu64 " out\n", "notifications",
		get_number(notifications, "received"), get_number(notifications, "sent"));
	printf("%-28s %" PRIu64 "\n", "vhost-user messages", get_number(vm, "messages"));
	printf("%-28s %" PRIu64 "\n", "resets", get_number(vm, "resets"));
}
