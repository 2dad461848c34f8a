/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VULKAN_WORKER_H
#define BENCH_VULKAN_WORKER_H

/*
 * `virtio-gpu-bench vulkan-worker --fd=N`, which `vulkan` starts once for each participant, with the
 * participant's Vulkan driver in the environment. In a guest, `--port=FILE` names a virtio-serial port, and it serves
 * one round after the other. Returns the exit status.
 */
int vulkan_worker_main(int argc, char **argv);

#endif
