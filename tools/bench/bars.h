/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BARS_H
#define BENCH_BARS_H

/* What the project promises about speed, and what was measured beside each promise. */

#include <stdbool.h>
#include <stddef.h>

#include "bench/results.h"

enum bars_limits {
	BARS_MAX = 128,
};

struct bar {
	char name[80];
	const char *unit;
	struct stats_interval value; // NAN: not measured in this run
	double wanted;
	bool at_least; // else at most
};

struct bars {
	struct bar all[BARS_MAX];
	size_t count;
};

/* Lists what the results' table promises. */
void bars_collect(const struct results *results, struct bars *bars);
void bars_of_transport(const struct results *results, struct bars *bars);
void bars_of_gl(const struct results *results, struct bars *bars);
void bars_of_vulkan(const struct results *results, struct bars *bars);

/* Adds a bar, named "name: what"; beyond BARS_MAX none. unit is borrowed. */
void bars_add(struct bars *bars, const char *name, const char *what, const char *unit,
	struct stats_interval value, double wanted, bool at_least);

/* Met: the interval does not exclude the bar. False when it was not measured. */
bool bar_is_met(const struct bar *bar);
bool bar_is_measured(const struct bar *bar);

void bars_print(const struct results *results);

#endif
