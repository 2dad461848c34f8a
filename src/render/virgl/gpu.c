/* SPDX-License-Identifier: MIT */
#include "render/virgl/gpu.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int parse_index(struct gpu_name *name, const char *text)
{
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > 4 || text[len]) {
		return -EINVAL;
	}
	name->kind = GPU_NAME_INDEX;
	name->index = (uint32_t)strtoul(text, NULL, 10);
	return 0;
}

/* A number of min to max hexadecimal digits and the character that must follow; *text moves past both. */
static bool parse_hex(const char **text, size_t min, size_t max, char end, unsigned int *number)
{
	size_t len = strspn(*text, "0123456789abcdefABCDEF");

	if (len < min || len > max || (*text)[len] != end) {
		return false;
	}
	*number = (unsigned int)strtoul(*text, NULL, 16);
	*text += len + (end ? 1 : 0);
	return true;
}

static int parse_pci(struct gpu_name *name, const char *text)
{
	const char *colon = strchr(text, ':');
	unsigned int domain = 0, bus, slot, function;

	/* nvidia-smi writes domains of 8 digits. */
	if (colon && strchr(colon + 1, ':') && !parse_hex(&text, 1, 8, ':', &domain)) {
		return -EINVAL;
	}
	if (!parse_hex(&text, 1, 2, ':', &bus) || !parse_hex(&text, 1, 2, '.', &slot) ||
		!parse_hex(&text, 1, 1, '\0', &function) || slot > 0x1f || function > 7) {
		return -EINVAL;
	}
	name->kind = GPU_NAME_PCI;
	snprintf(name->text, GPU_PCI_SIZE, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return 0;
}

static int parse_uuid(struct gpu_name *name, const char *text)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strncasecmp(text, "GPU-", 4) == 0) {
		text += 4;
	}
	if (strlen(text) != strlen(shape)) {
		return -EINVAL;
	}
	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != '-') {
			return -EINVAL;
		}
		name->text[i] = (char)tolower((unsigned char)text[i]);
	}
	name->kind = GPU_NAME_UUID;
	return 0;
}

int gpu_name_parse(struct gpu_name *name, const char *text)
{
	*name = (struct gpu_name){ 0 };
	if (parse_index(name, text) == 0 || parse_pci(name, text) == 0) {
		return 0;
	}
	return parse_uuid(name, text);
}

static bool is_named(const struct gpu *gpu, const struct gpu_name *name)
{
	return strcmp(name->kind == GPU_NAME_PCI ? gpu->pci : gpu->uuid, name->text) == 0;
}

const struct gpu *gpu_list_find(const struct gpu_list *list, const struct gpu_name *name)
{
	if (name->kind == GPU_NAME_INDEX) {
		return name->index < list->count ? &list->gpus[name->index] : NULL;
	}
	for (uint32_t i = 0; i < list->count; i++) {
		if (is_named(&list->gpus[i], name)) {
			return &list->gpus[i];
		}
	}
	return NULL;
}

static const struct gpu *find_usable(
	const struct gpu_list *list, enum gpu_route route, bool software)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const struct gpu *gpu = &list->gpus[i];

		if (gpu->route == route && !gpu->error[0] && (software || !gpu->software)) {
			return gpu;
		}
	}
	return NULL;
}

/* The order of egl_open. */
const struct gpu *gpu_list_default(const struct gpu_list *list)
{
	const struct gpu *gpu = find_usable(list, GPU_EGL_DEVICE, false);

	if (!gpu) {
		gpu = find_usable(list, GPU_SURFACELESS, true);
	}
	return gpu ? gpu : find_usable(list, GPU_EGL_DEVICE, true);
}

void gpu_list_add(struct gpu_list *list, const struct gpu *gpu)
{
	if (list->count < GPU_MAX) {
		list->gpus[list->count++] = *gpu;
	}
}

void gpu_describe_route(const struct gpu *gpu, char *text, size_t size)
{
	switch (gpu->route) {
	case GPU_EGL_DEVICE:
		snprintf(text, size, "EGL device %u", gpu->device);
		break;
	case GPU_RENDER_NODE:
		snprintf(text, size, "render node %s", gpu->node);
		break;
	case GPU_SURFACELESS:
		snprintf(text, size, "surfaceless");
		break;
	}
}

__attribute__((format(printf, 4, 5))) static size_t append(
	char *text, size_t size, size_t used, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text + used, size - used, format, args);
	va_end(args);
	return used + (size_t)len < size ? used + (size_t)len : size - 1;
}

/* What a person knows it by. */
static const char *title(const struct gpu *gpu)
{
	if (gpu->renderer[0]) {
		return gpu->renderer;
	}
	return gpu->driver[0] ? gpu->driver : "unknown";
}

void gpu_list_describe(const struct gpu_list *list, char *text, size_t size)
{
	char route[GPU_ROUTE_SIZE];
	size_t used = 0;

	snprintf(text, size, "none");
	for (uint32_t i = 0; i < list->count; i++) {
		const struct gpu *gpu = &list->gpus[i];

		gpu_describe_route(gpu, route, sizeof(route));
		used = append(text, size, used, "%s%u = %s (%s%s%s%s%s)", i ? ", " : "", i,
			title(gpu), route, gpu->pci[0] ? ", PCI " : "", gpu->pci,
			gpu->uuid[0] ? ", UUID " : "", gpu->uuid);
	}
}

enum {
	COLUMN_INDEX,
	COLUMN_KIND,
	COLUMN_ROUTE,
	COLUMN_PCI,
	COLUMN_UUID,
	COLUMN_NODE,
	COLUMN_DRIVER,
	COLUMN_RENDERER,
	COLUMN_COUNT,
};

static const char *const heads[COLUMN_COUNT] = { "GPU", "KIND", "ROUTE", "PCI ADDRESS", "UUID",
	"RENDER NODE", "DRIVER", "RENDERER" };

#define CELL_SIZE 400

typedef char row_cells[COLUMN_COUNT][CELL_SIZE];

static void fill_cell(char *cell, const char *text)
{
	snprintf(cell, CELL_SIZE, "%s", text[0] ? text : "unknown");
}

/* A software renderer has none of what hardware has, unless its driver is to blame. */
static void fill_identity(char *cell, const struct gpu *gpu, const char *text)
{
	fill_cell(cell, text[0] || !gpu->software ? text : "none");
}

static void fill_cells(row_cells cells, const struct gpu_list *list, const struct gpu *gpu)
{
	snprintf(cells[COLUMN_INDEX], CELL_SIZE, "%u%s", (unsigned int)(gpu - list->gpus),
		gpu == gpu_list_default(list) ? " *" : "");
	fill_cell(cells[COLUMN_KIND], gpu->software ? "software" : gpu->error[0] ? "" : "hardware");
	gpu_describe_route(gpu, cells[COLUMN_ROUTE], CELL_SIZE);
	fill_identity(cells[COLUMN_PCI], gpu, gpu->pci);
	fill_identity(cells[COLUMN_UUID], gpu, gpu->uuid);
	fill_identity(cells[COLUMN_NODE], gpu, gpu->node);
	fill_cell(cells[COLUMN_DRIVER], gpu->driver);
	if (gpu->error[0]) {
		snprintf(cells[COLUMN_RENDERER], CELL_SIZE, "cannot be used: %s", gpu->error);
	} else {
		snprintf(cells[COLUMN_RENDERER], CELL_SIZE, "%s, OpenGL %s", gpu->renderer,
			gpu->version);
	}
}

static void print_row(FILE *file, row_cells cells, const size_t widths[COLUMN_COUNT])
{
	for (int i = 0; i < COLUMN_COUNT - 1; i++) {
		fprintf(file, "%-*s  ", (int)widths[i], cells[i]);
	}
	fprintf(file, "%s\n", cells[COLUMN_COUNT - 1]);
}

void gpu_list_print(const struct gpu_list *list, FILE *file)
{
	size_t widths[COLUMN_COUNT] = { 0 };
	row_cells cells;

	for (uint32_t row = 0; row <= list->count; row++) {
		for (int i = 0; i < COLUMN_COUNT && row == list->count; i++) {
			snprintf(cells[i], CELL_SIZE, "%s", heads[i]);
		}
		if (row < list->count) {
			fill_cells(cells, list, &list->gpus[row]);
		}
		for (int i = 0; i < COLUMN_COUNT; i++) {
			size_t len = strlen(cells[i]);

			widths[i] = len > widths[i] ? len : widths[i];
		}
	}
	print_row(file, cells, widths); // the heads, which were measured last
	for (uint32_t row = 0; row < list->count; row++) {
		fill_cells(cells, list, &list->gpus[row]);
		print_row(file, cells, widths);
	}
}

void gpu_format_uuid(const uint8_t bytes[static 16], char uuid[static GPU_UUID_SIZE])
{
	size_t used = 0;
	bool any = false;

	for (size_t i = 0; i < 16; i++) {
		used += (size_t)snprintf(uuid + used, GPU_UUID_SIZE - used, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
		any |= bytes[i] != 0;
	}
	if (!any) {
		uuid[0] = '\0';
	}
}
