/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/capabilities.h"
#include "daemon/options.h"
#include "daemon/setup.h"
#include "memory/mmap.h"
#include "render/virgl/virgl.h"

/* Exit statuses: 0 the work is done, 1 something failed or is impossible here, 2 wrong options. */
#define EXIT_USAGE 2

#define HEAP_KEPT (4 << 20) // bytes

/*
 * A descriptor under 3 that is closed would become a socket, and the log would be written to it.
 * Returns when 0, 1 and 2 are open.
 */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

/*
 * Memory slots, rings and clients come as descriptors; the usual soft limit is for programs that
 * use select(2), and this one does not.
 */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * Command streams of some 100 KiB come and go with each frame. glibc would give their pages back each time, and
 * have them made anew; so the heap keeps as much as a few of them.
 */
static void keep_heap(void)
{
	mallopt(M_MMAP_THRESHOLD, HEAP_KEPT);
	mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
}

static int refuse_options(int result, const char *error)
{
	log_error("%s", error);
	return result == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
}

static int list_gpus(const struct virgl_config *config)
{
	int result = virgl_list_gpus(config, stdout);

	return virgl_list_vulkan(config, stdout) < 0 || result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options;
	char error[OPTIONS_ERROR_SIZE];
	int result;

	fill_standard_fds();
	signal(SIGPIPE, SIG_IGN); // a reader of the log may go before us
	raise_fd_limit();
	keep_heap();
	memory_mmap_install_sigbus_handler();
	log_init("virtio-gpud", NULL, LOG_INFO);
	result = options_parse(&options, argc, argv, error);
	if (result < 0) {
		return refuse_options(result, error);
	}
	switch (options.action) {
	case OPTIONS_HELP:
		options_print_help(stdout);
		return EXIT_SUCCESS;
	case OPTIONS_VERSION:
		puts("virtio-gpud " PROJECT_VERSION);
		return EXIT_SUCCESS;
	case OPTIONS_PRINT_CAPABILITIES:
		return capabilities_print(stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	case OPTIONS_LIST_GPUS:
		return list_gpus(&options.render);
	case OPTIONS_SERVE:
		break;
	}
	return setup_and_run(&options) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
