/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRANSPORT_H
#define BENCH_TRANSPORT_H

/* `virtio-gpu-bench transport`: argv[0] is "transport". Returns the exit status. */
int transport_main(int argc, char **argv);

#endif
