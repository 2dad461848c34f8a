/* SPDX-License-Identifier: MIT */
#include "daemon/values.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/checked.h"

/*
 * Reads the digits at the start of text. *rest is what follows them. strtoull is not used: it takes
 * signs, spaces, and wraps negative numbers.
 */
static int parse_digits(const char *text, uint64_t *out, const char **rest)
{
	uint64_t value = 0;

	if (*text < '0' || *text > '9') {
		return -EINVAL;
	}
	for (; *text >= '0' && *text <= '9'; text++) {
		if (!checked_mul_u64(value, 10, &value) ||
			!checked_add_u64(value, (uint64_t)(*text - '0'), &value)) {
			return -ERANGE;
		}
	}
	*out = value;
	*rest = text;
	return 0;
}

static int check_range(uint64_t value, uint64_t min, uint64_t max, uint64_t *out)
{
	if (value < min || value > max) {
		return -ERANGE;
	}
	*out = value;
	return 0;
}

int value_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *rest;
	uint64_t value;
	int result = parse_digits(text, &value, &rest);

	if (result < 0) {
		return result;
	}
	return *rest ? -EINVAL : check_range(value, min, max, out);
}

/* The factor that a suffix stands for; 0 when it stands for none. */
static uint64_t size_unit(const char *suffix)
{
	static const struct {
		const char *letters;
		uint64_t factor;
	} units[] = {
		{ "kK", 1ull << 10 },
		{ "mM", 1ull << 20 },
		{ "gG", 1ull << 30 },
	};

	if (!*suffix) {
		return 1;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strchr(units[i].letters, suffix[0]) && !suffix[1]) {
			return units[i].factor;
		}
	}
	return 0;
}

int value_parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *suffix;
	uint64_t value, unit;
	int result = parse_digits(text, &value, &suffix);

	if (result < 0) {
		return result;
	}
	unit = size_unit(suffix);
	if (!unit) {
		return -EINVAL;
	}
	return checked_mul_u64(value, unit, &value) ? check_range(value, min, max, out) : -ERANGE;
}

int value_parse_mode(const char *text, uint32_t max, uint32_t *width, uint32_t *height)
{
	const char *rest;
	uint64_t w, h;
	int result = parse_digits(text, &w, &rest);

	if (result < 0) {
		return result;
	}
	if (*rest != 'x') {
		return -EINVAL;
	}
	result = value_parse_number(rest + 1, 1, max, &h);
	if (result == 0) {
		result = check_range(w, 1, max, &w);
	}
	if (result == 0) {
		*width = (uint32_t)w;
		*height = (uint32_t)h;
	}
	return result;
}
