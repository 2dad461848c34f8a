// SPDX-License-Identifier: MIT
#version 450
// 8 x 8 tiles on the left half, then a triangle on the right: what vk_draw.c checks.
layout(push_constant) uniform Push {
	float shade;
};
layout(location = 0) out vec3 color;

const int TILES = 64;
const vec2 corners[3] = vec2[](vec2(0.5, -0.8), vec2(0.9, 0.8), vec2(0.1, 0.8));

void main()
{
	if (gl_InstanceIndex < TILES) {
		vec2 cell = vec2(gl_InstanceIndex % 8, gl_InstanceIndex / 8);
		vec2 corner = vec2(gl_VertexIndex & 1, gl_VertexIndex >> 1);
		vec2 at = (cell + 0.125 + 0.75 * corner) / 8.0;

		gl_Position = vec4(at.x - 1.0, at.y * 2.0 - 1.0, 0.0, 1.0);
		color = vec3(cell * 34.0 / 255.0, shade);
	} else {
		gl_Position = vec4(corners[gl_VertexIndex % 3], 0.0, 1.0);
		color = vec3(equal(ivec3(gl_VertexIndex % 3), ivec3(0, 1, 2)));
	}
}
