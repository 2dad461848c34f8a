/* SPDX-License-Identifier: MIT */
#include "bench/bars.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void bars_add(struct bars *bars, const char *name, const char *what, const char *unit,
	struct stats_interval value, double wanted, bool at_least)
{
	if (bars->count == BARS_MAX) {
		return;
	}
	struct bar *bar = &bars->all[bars->count++];

	*bar = (struct bar){ .unit = unit, .value = value, .wanted = wanted, .at_least = at_least };
	snprintf(bar->name, sizeof(bar->name), "%s: %s", name, what);
}

void bars_collect(const struct results *results, struct bars *bars)
{
	bars->count = 0;
	if (results->table == &rows_of_gl) {
		bars_of_gl(results, bars);
	} else if (results->table == &rows_of_vulkan) {
		bars_of_vulkan(results, bars);
	} else {
		bars_of_transport(results, bars);
	}
}

bool bar_is_measured(const struct bar *bar)
{
	return !isnan(bar->value.median);
}

bool bar_is_met(const struct bar *bar)
{
	return bar->at_least ? bar->value.high >= bar->wanted : bar->value.low <= bar->wanted;
}

static const char *verdict(const struct bar *bar)
{
	if (!bar_is_measured(bar)) {
		return "not measured";
	}
	return bar_is_met(bar) ? "met" : "MISSED";
}

void bars_print(const struct results *results)
{
	static struct bars bars;
	size_t missed = 0;

	bars_collect(results, &bars);

	printf("\nPromises (met: the 95 %% interval does not exclude the bar)\n");
	printf("%-52s %9s %19s  %9s  %s\n", "what", "measured", "95 % interval", "bar", "");
	for (size_t i = 0; i < bars.count; i++) {
		const struct bar *bar = &bars.all[i];

		printf("%-52s %9.3f [%8.3f,%8.3f]  %s %6.2f %-3s %s\n", bar->name,
			bar->value.median, bar->value.low, bar->value.high,
			bar->at_least ? ">=" : "<=", bar->wanted, bar->unit, verdict(bar));
		missed += bar_is_measured(bar) && !bar_is_met(bar);
	}
	printf("%zu promises, %zu missed\n", bars.count, missed);
}
