/* SPDX-License-Identifier: MIT */
#include "vulkan_layer/chain.h"

#include <stddef.h>

/* The structure whose pNext is of that type, or NULL. */
static VkBaseOutStructure *find_before(const void *structure, VkStructureType type)
{
	VkBaseOutStructure *before = (VkBaseOutStructure *)structure;

	while (before->pNext && before->pNext->sType != type) {
		before = before->pNext;
	}
	return before->pNext ? before : NULL;
}

void *chain_find(const void *structure, VkStructureType type)
{
	VkBaseOutStructure *before = find_before(structure, type);

	return before ? before->pNext : NULL;
}

struct chain_cut chain_cut(const void *structure, VkStructureType type)
{
	VkBaseOutStructure *before = find_before(structure, type);
	struct chain_cut cut = { .before = before, .cut = before ? before->pNext : NULL };

	if (before) {
		before->pNext = cut.cut->pNext;
	}
	return cut;
}

void chain_restore(struct chain_cut cut)
{
	if (cut.before) {
		cut.before->pNext = cut.cut;
	}
}
