/* SPDX-License-Identifier: MIT */
#include "render/virgl/symbols.h"

#include <dlfcn.h>
#include <string.h>

const char *symbols_find(void *library, const struct symbol *symbols, size_t count, void *structure)
{
	for (size_t i = 0; i < count; i++) {
		void *function = dlsym(library, symbols[i].name);

		if (!function) {
			return symbols[i].name;
		}
		/* POSIX lets a function's address be an object pointer; C does not let it be cast. */
		memcpy((char *)structure + symbols[i].place, &function, sizeof(function));
	}
	return NULL;
}
