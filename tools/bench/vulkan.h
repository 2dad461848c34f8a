/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VULKAN_H
#define BENCH_VULKAN_H

/* `virtio-gpu-bench vulkan`: argv[0] is "vulkan". Returns the exit status. */
int vulkan_main(int argc, char **argv);

#endif
