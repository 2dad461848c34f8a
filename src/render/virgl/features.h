/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_FEATURES_H
#define RENDER_VIRGL_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a libvirglrenderer can do: it does not say its version, so by the functions that it has. Writes
 * one line of text, with what is missing and why that matters. waits_for_fences: does it have a thread
 * that does?
 */
void features_describe(void *library, bool waits_for_fences, char *text, size_t size);

#endif
