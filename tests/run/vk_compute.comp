// SPDX-License-Identifier: MIT
#version 450
// words[i] = words[i] * factor + i: what vk_compute.c checks.
layout(local_size_x = 64) in;
layout(std430, binding = 0) buffer Data {
	uint words[];
};
layout(push_constant) uniform Push {
	uint factor;
};

void main()
{
	uint i = gl_GlobalInvocationID.x;

	if (i < words.length()) {
		words[i] = words[i] * factor + i;
	}
}
