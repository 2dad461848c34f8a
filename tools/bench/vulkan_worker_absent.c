/* SPDX-License-Identifier: MIT */
#include "bench/vulkan_worker.h"

#include <stdio.h>

/* For builds without the headers of Vulkan. */

int vulkan_worker_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	fprintf(stderr,
		"vulkan worker: this program was built without Vulkan's headers (on Debian: package "
		"libvulkan-dev)\n");
	return 1;
}
