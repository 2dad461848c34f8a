/* SPDX-License-Identifier: MIT */
#include "gpu/encode.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

static struct virtio_gpu_display_one one_output(const struct display_output_info *output)
{
	return (struct virtio_gpu_display_one){
		.r = {
			.x = htole32(output->rect.x),
			.y = htole32(output->rect.y),
			.width = htole32(output->rect.width),
			.height = htole32(output->rect.height),
		},
		.enabled = htole32(output->enabled),
	};
}

void encode_display_info(
	union gpu_response *response, const struct display_info *info, uint32_t outputs)
{
	memset(response->display_info.pmodes, 0, sizeof(response->display_info.pmodes));
	for (uint32_t i = 0; i < outputs; i++) {
		response->display_info.pmodes[i] = one_output(&info->outputs[i]);
	}
}

void encode_edid(union gpu_response *response, const struct display_edid *edid)
{
	struct virtio_gpu_resp_edid *wire = &response->edid;

	static_assert(sizeof(wire->edid) == DISPLAY_EDID_MAX, "a display's EDID fits");
	assert(edid->size <= sizeof(wire->edid));
	wire->size = htole32(edid->size);
	wire->padding = 0;
	memcpy(wire->edid, edid->bytes, edid->size);
	memset(wire->edid + edid->size, 0, sizeof(wire->edid) - edid->size);
}

void encode_uuid(union gpu_response *response, const uint8_t uuid[static WIRE_UUID_SIZE])
{
	memcpy(response->uuid.uuid, uuid, WIRE_UUID_SIZE);
}

void encode_capset_info(union gpu_response *response, const struct render_capset *capset)
{
	response->capset_info.capset_id = htole32(capset->id);
	response->capset_info.capset_max_version = htole32(capset->max_version);
	response->capset_info.capset_max_size = htole32(capset->max_size);
	response->capset_info.padding = 0;
}

void encode_map_info(union gpu_response *response, uint32_t map_info)
{
	response->map_info.map_info = htole32(map_info);
	response->map_info.padding = 0;
}

static size_t response_size(uint32_t type)
{
	switch (type) {
	case VIRTIO_GPU_RESP_OK_DISPLAY_INFO:
		return sizeof(struct virtio_gpu_resp_display_info);
	case VIRTIO_GPU_RESP_OK_EDID:
		return sizeof(struct virtio_gpu_resp_edid);
	case VIRTIO_GPU_RESP_OK_RESOURCE_UUID:
		return sizeof(struct virtio_gpu_resp_resource_uuid);
	case VIRTIO_GPU_RESP_OK_CAPSET_INFO:
		return sizeof(struct virtio_gpu_resp_capset_info);
	case VIRTIO_GPU_RESP_OK_MAP_INFO:
		return sizeof(struct virtio_gpu_resp_map_info);
	default:
		return sizeof(struct virtio_gpu_ctrl_hdr);
	}
}

/*
 * VIRTIO 1.3, 5.7.6.7 Device Operation: Request header: with VIRTIO_GPU_FLAG_FENCE the device MUST set
 * it in the answer and copy fence_id. Drivers match the answer of a context's ring by ctx_id and
 * ring_idx, so these are copied too, whatever the flags.
 */
size_t encode_header(union gpu_response *response, uint32_t type, const uint8_t *request)
{
	static const uint32_t echoed = VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX;
	struct virtio_gpu_ctrl_hdr wire = { 0 };

	if (request) {
		memcpy(&wire, request, sizeof(wire));
		memset(wire.padding, 0, sizeof(wire.padding));
	}
	wire.type = htole32(type);
	wire.flags &= htole32(echoed);
	response->header = wire;
	return response_size(type);
}
