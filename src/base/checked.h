/* SPDX-License-Identifier: MIT */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

/*
 * Arithmetic on numbers that a guest or a front end chose. Nothing here wraps: a result that does
 * not fit is an answer of its own (false), never a small number.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *sum = a + b; false, and *sum untouched, when that does not fit. */
static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	if (b > UINT64_MAX - a) {
		return false;
	}
	*sum = a + b;
	return true;
}

/* *product = a * b; false, and *product untouched, when that does not fit. */
static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *product)
{
	if (a != 0 && b > UINT64_MAX / a) {
		return false;
	}
	*product = a * b;
	return true;
}

/* Does [off, off + len) lie within [0, size)? An empty range may end exactly at size. */
static inline bool checked_range_within(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

/* Do [a, a + a_len) and [b, b + b_len) share a byte? Neither range may wrap. */
static inline bool checked_ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b ? a_len > b - a : b_len > a - b;
}

/* Is value a power of two? Zero is none. */
static inline bool checked_is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

#endif
