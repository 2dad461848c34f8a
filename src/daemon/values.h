/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_VALUES_H
#define DAEMON_VALUES_H

/* Numbers as a person writes them on a command line. Pure functions; *out is kept on failure. */

#include <stdint.h>

/* Digits alone, from min to max. Returns 0, -EINVAL (no such number) or -ERANGE. */
int value_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* As above, with an optional K, M or G (1024, its square, its cube) in either case. */
int value_parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* WIDTHxHEIGHT, each from 1 to max. Returns 0, -EINVAL or -ERANGE. */
int value_parse_mode(const char *text, uint32_t max, uint32_t *width, uint32_t *height);

#endif
