// SPDX-License-Identifier: MIT
#version 450
// The same turns as in vulkan_work.comp, from a number of each pixel and tile.
layout(push_constant) uniform Push {
	uint turns;
	uint tile;
};
layout(location = 0) out uint word;

void main()
{
	uvec2 place = uvec2(gl_FragCoord.xy);

	word = place.y << 16 ^ place.x ^ tile << 8;
	for (uint turn = 0; turn < turns; turn++) {
		word = word * 1664525u + 1013904223u;
		word ^= word >> 13;
	}
}
