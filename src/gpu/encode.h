/* SPDX-License-Identifier: MIT */
#ifndef GPU_ENCODE_H
#define GPU_ENCODE_H

/* From numbers of this machine to an answer's bytes. Pure functions; each leaves the header alone. */

#include <stdint.h>

#include "display/display.h"
#include "gpu/device.h"
#include "render/render_3d.h"

/* The first `outputs` of the display; the others are off. */
void encode_display_info(
	union gpu_response *response, const struct display_info *info, uint32_t outputs);

void encode_edid(union gpu_response *response, const struct display_edid *edid);

void encode_uuid(union gpu_response *response, const uint8_t uuid[static WIRE_UUID_SIZE]);

void encode_capset_info(union gpu_response *response, const struct render_capset *capset);

void encode_map_info(union gpu_response *response, uint32_t map_info);

/*
 * The header of the answer to a request that begins with these bytes (NULL when it has no whole header),
 * with its fence. Returns how long an answer of this type is.
 */
size_t encode_header(union gpu_response *response, uint32_t type, const uint8_t *request);

#endif
