/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_ARRAY_MEMORY_H
#define SUPPORT_ARRAY_MEMORY_H

/*
 * Guest memory for tests: plain arrays, without a front end. A child process that is forked afterwards
 * shares their bytes, and its copy of the table is its own.
 */

#include <stddef.h>
#include <stdint.h>

#include "memory/memory.h"

/* A table of at most 4096 arrays. Asserts that there is memory, as all here do. */
struct memory *array_memory_create(void);

/* Adds an array of zeros; returns its bytes, which go with the table. A touch beyond its end kills. */
uint8_t *array_memory_add(struct memory *memory, uint64_t guest_addr, size_t size);

/* Mappings of all tables that have not been undone. */
size_t array_memory_mapped(void);

/*
 * Calls hook before each mapping, copies included: the moment for a guest to change its memory. NULL:
 * none.
 */
typedef void (*array_memory_hook_fn)(void *data);
void array_memory_set_map_hook(array_memory_hook_fn hook, void *data);

#endif
