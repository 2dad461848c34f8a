/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GL_H
#define BENCH_GL_H

/* `virtio-gpu-bench gl`: argv[0] is "gl". Returns the exit status. */
int gl_main(int argc, char **argv);

#endif
