/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_SYMBOLS_H
#define RENDER_VIRGL_SYMBOLS_H

/* Functions of a library that is opened at run time, found by name into a structure of pointers. */

#include <stddef.h>

struct symbol {
	const char *name;
	size_t place; // of the pointer in the structure, bytes
};

/* Fills in count pointers. Returns NULL, or the name of the first that the library does not have. */
const char *symbols_find(
	void *library, const struct symbol *symbols, size_t count, void *structure);

#endif
