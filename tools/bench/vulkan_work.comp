// SPDX-License-Identifier: MIT
#version 450
// Turns each word over a number of times: what vulkan_work.c checks with turn().
layout(local_size_x = 64) in;
layout(std430, binding = 0) buffer Data {
	uint words[];
};
layout(push_constant) uniform Push {
	uint turns;
};

void main()
{
	uint i = gl_GlobalInvocationID.x;
	uint word = i;

	for (uint turn = 0; turn < turns; turn++) {
		word = word * 1664525u + 1013904223u;
		word ^= word >> 13;
	}
	words[i] = word;
}
