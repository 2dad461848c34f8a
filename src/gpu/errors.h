/* SPDX-License-Identifier: MIT */
#ifndef GPU_ERRORS_H
#define GPU_ERRORS_H

#include <stdint.h>

/* "ERR_UNSPEC" of a VIRTIO_GPU_RESP_ERR_*; "ERR_?" for what is none. */
const char *gpu_error_name(uint32_t response);

#endif
