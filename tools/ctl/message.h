/* SPDX-License-Identifier: MIT */
#ifndef CTL_MESSAGE_H
#define CTL_MESSAGE_H

#include <stdio.h>

/* What went wrong, for a person, on stderr. */
#define message(...) \
	do { \
		fputs("virtio-gpu-ctl: ", stderr); \
		fprintf(stderr, __VA_ARGS__); \
		fputc('\n', stderr); \
	} while (0)

#endif
