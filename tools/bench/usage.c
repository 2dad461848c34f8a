/* SPDX-License-Identifier: MIT */
#include "bench/usage.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int usage_open_instructions(pid_t pid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.inherit = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static double read_instructions(int fd)
{
	uint64_t count;

	return fd >= 0 && read(fd, &count, sizeof(count)) == sizeof(count) ? (double)count : NAN;
}

static void add_run_time(const char *task, struct usage_counters *counters)
{
	char path[320];
	unsigned long long ns = 0;

	snprintf(path, sizeof(path), "%s/schedstat", task);
	FILE *file = fopen(path, "re");
	if (file) {
		if (fscanf(file, "%llu", &ns) == 1) {
			counters->cpu_ns += (double)ns;
		}
		fclose(file);
	}
}

static void add_switches(const char *task, struct usage_counters *counters)
{
	char path[320];
	char line[256];
	unsigned long long count;

	snprintf(path, sizeof(path), "%s/status", task);
	FILE *file = fopen(path, "re");
	if (!file) {
		return;
	}
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &count) == 1 ||
			sscanf(line, "nonvoluntary_ctxt_switches: %llu", &count) == 1) {
			counters->switches += (double)count;
		}
	}
	fclose(file);
}

struct usage_counters usage_read(pid_t pid, int instructions_fd)
{
	struct usage_counters counters = { .instructions = read_instructions(instructions_fd) };
	char path[300];

	snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	DIR *tasks = opendir(path);
	for (struct dirent *entry = tasks ? readdir(tasks) : NULL; entry; entry = readdir(tasks)) {
		if (entry->d_name[0] != '.') {
			snprintf(path, sizeof(path), "/proc/%ld/task/%.16s", (long)pid,
				entry->d_name);
			add_run_time(path, &counters);
			add_switches(path, &counters);
		}
	}
	if (tasks) {
		closedir(tasks);
	}
	return counters;
}

/* proc(5), /proc/pid/task/tid/children; adds up those of one thread. */
static void add_children(const char *task, struct usage_counters *counters)
{
	char path[320];
	long pid;

	snprintf(path, sizeof(path), "%s/children", task);
	FILE *file = fopen(path, "re");
	while (file && fscanf(file, "%ld", &pid) == 1) {
		*counters = usage_sum(*counters, usage_read_family((pid_t)pid));
	}
	if (file) {
		fclose(file);
	}
}

struct usage_counters usage_read_family(pid_t pid)
{
	struct usage_counters counters = usage_read(pid, -1);
	char path[300];

	snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	DIR *tasks = opendir(path);
	for (struct dirent *entry = tasks ? readdir(tasks) : NULL; entry; entry = readdir(tasks)) {
		if (entry->d_name[0] != '.') {
			snprintf(path, sizeof(path), "/proc/%ld/task/%.16s", (long)pid,
				entry->d_name);
			add_children(path, &counters);
		}
	}
	if (tasks) {
		closedir(tasks);
	}
	return counters;
}

struct usage_counters usage_sum(struct usage_counters a, struct usage_counters b)
{
	return (struct usage_counters){
		.cpu_ns = a.cpu_ns + b.cpu_ns,
		.switches = a.switches + b.switches,
		.instructions = a.instructions + b.instructions,
	};
}

struct usage_counters usage_difference(struct usage_counters a, struct usage_counters b)
{
	return (struct usage_counters){
		.cpu_ns = a.cpu_ns - b.cpu_ns,
		.switches = a.switches - b.switches,
		.instructions = a.instructions - b.instructions,
	};
}

/* Reads "Name:  N kB" lines; NAN when there is none. */
static double read_kilobytes(pid_t pid, const char *file_name, const char *name)
{
	char path[64];
	char line[256];
	double bytes = NAN;
	size_t length = strlen(name);

	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, file_name);
	FILE *file = fopen(path, "re");
	if (!file) {
		return NAN;
	}
	while (isnan(bytes) && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, length) == 0 && line[length] == ':') {
			bytes = strtod(line + length + 1, NULL) * 1024;
		}
	}
	fclose(file);
	return bytes;
}

struct usage_memory usage_read_memory(pid_t pid)
{
	return (struct usage_memory){
		.rss = read_kilobytes(pid, "status", "VmRSS"),
		.pss = read_kilobytes(pid, "smaps_rollup", "Pss"),
		.anonymous = read_kilobytes(pid, "status", "RssAnon"),
		.peak_rss = read_kilobytes(pid, "status", "VmHWM"),
	};
}

void usage_reset_peak(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/clear_refs", (long)pid);
	FILE *file = fopen(path, "we");
	if (file) {
		fputs("5", file);
		fclose(file);
	}
}

bool usage_has_renderer(pid_t pid)
{
	static const char *const names[] = { "libvirglrenderer", "libEGL", "libGL", "libgbm",
		"libepoxy", "libvulkan", "libOpenGL" };
	char path[64];
	char line[4352];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%ld/maps", (long)pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			found = found || strstr(line, names[i]);
		}
	}
	if (file) {
		fclose(file);
	}
	return found;
}

int usage_pin(int cpu)
{
	return usage_pin_two(cpu, cpu);
}

int usage_pin_two(int cpu, int other)
{
	cpu_set_t set;

	if (cpu < 0) {
		return 0;
	}
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	CPU_SET((size_t)other, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}
