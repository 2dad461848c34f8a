/* SPDX-License-Identifier: MIT */
#include "bench/direct.h"

#include <errno.h>
#include <stdio.h>

/* For builds without the headers of libvirglrenderer and EGL. */

int direct_start(struct direct *direct, const struct options *options)
{
	(void)options;
	*direct = (struct direct){ 0 };
	fprintf(stderr,
		"virtio-gpu-bench: direct calls: this program was built without virglrenderer "
		"(meson setup -Dvirgl=enabled)\n");
	return -ENOTSUP;
}

void direct_stop(struct direct *direct)
{
	(void)direct;
}

int direct_measure(struct direct *direct, const struct row *row, struct sample *sample)
{
	(void)direct;
	(void)row;
	(void)sample;
	return -ENOTSUP;
}
