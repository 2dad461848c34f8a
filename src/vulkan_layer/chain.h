/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_CHAIN_H
#define VULKAN_LAYER_CHAIN_H

/*
 * Chains of Vulkan's extending structures. The layer changes an application's chain while it calls down, and
 * puts it back before it returns: copying is not possible, since structures that it does not know may be in
 * front. The application is the render server, whose chains are decoded for the one call.
 */

#include <vulkan/vulkan.h>

/* Returns the structure of that type behind a structure's pNext, or NULL. It may be written to. */
void *chain_find(const void *structure, VkStructureType type);

struct chain_cut {
	VkBaseOutStructure *before; // NULL: nothing was cut
	VkBaseOutStructure *cut;
};

/* Takes the structure of that type out, if it is there. Several cuts are undone in reverse order. */
struct chain_cut chain_cut(const void *structure, VkStructureType type);
void chain_restore(struct chain_cut cut);

#endif
