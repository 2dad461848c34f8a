/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "bench/gl.h"
#include "bench/transport.h"
#include "bench/vulkan.h"
#include "bench/vulkan_worker.h"

static const char usage[] =
	"Usage: virtio-gpu-bench COMMAND [OPTION...]\n"
	"  transport    measure vhost-user-gpu back ends side by side\n"
	"  gl           measure OpenGL through them beside direct calls of virglrenderer\n"
	"  vulkan       measure Vulkan through servers of Venus beside the native driver\n"
	"  --version\n"
	"  --help\n"
	"`virtio-gpu-bench COMMAND --help' tells more.\n";

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "transport") == 0) {
		return transport_main(argc - 1, argv + 1);
	}
	if (strcmp(command, "gl") == 0) {
		return gl_main(argc - 1, argv + 1);
	}
	if (strcmp(command, "vulkan") == 0) {
		return vulkan_main(argc - 1, argv + 1);
	}
	if (strcmp(command, "vulkan-worker") == 0) {
		return vulkan_worker_main(argc - 1, argv + 1);
	}
	if (strcmp(command, "--version") == 0) {
		printf("virtio-gpu-bench %s\n", PROJECT_VERSION);
		return 0;
	}
	if (strcmp(command, "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	fputs(usage, stderr);
	return 2;
}
