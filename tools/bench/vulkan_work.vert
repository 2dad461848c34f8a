// SPDX-License-Identifier: MIT
#version 450
// One tile of SIDE x SIDE as a triangle strip of four vertices.
const uint SIDE = 16;
layout(push_constant) uniform Push {
	uint turns;
	uint tile;
};

void main()
{
	uvec2 corner = uvec2(tile % SIDE, tile / SIDE) + uvec2(gl_VertexIndex & 1, gl_VertexIndex >> 1);

	gl_Position = vec4(vec2(corner) * (2.0 / float(SIDE)) - 1.0, 0.0, 1.0);
}
