/* SPDX-License-Identifier: MIT */
#include "bench/environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void read_cpu(char cpu[static 128])
{
	char line[512];
	FILE *file = fopen("/proc/cpuinfo", "re");

	strcpy(cpu, "unknown");
	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon) {
			snprintf(cpu, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
			break;
		}
	}
	if (file) {
		fclose(file);
	}
}

struct environment environment_read(void)
{
	struct environment environment = { .processors = sysconf(_SC_NPROCESSORS_ONLN) };
	struct utsname names;
	time_t now = time(NULL);
	struct tm parts;
	double load = 0;

	uname(&names);
	snprintf(environment.kernel, sizeof(environment.kernel), "%.64s %.64s %.64s", names.sysname,
		names.release, names.machine);
	read_cpu(environment.cpu);
	strftime(environment.time, sizeof(environment.time), "%Y-%m-%d %H:%M:%S UTC",
		gmtime_r(&now, &parts));
	getloadavg(&load, 1);
	snprintf(environment.load, sizeof(environment.load), "%.2f", load);
	return environment;
}

void environment_read_version(const char *command, char version[static 128])
{
	char line[600];

	version[0] = '\0';
	snprintf(line, sizeof(line), "timeout 2 %.*s --version 2>/dev/null",
		(int)strcspn(command, " "), command);
	FILE *pipe = popen(line, "re");
	if (!pipe) {
		return;
	}
	if (fgets(version, 128, pipe)) {
		version[strcspn(version, "\n")] = '\0';
	}
	if (pclose(pipe) != 0) {
		version[0] = '\0';
	}
}
