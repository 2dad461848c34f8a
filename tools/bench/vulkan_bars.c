/* SPDX-License-Identifier: MIT */
#include "bench/bars.h"

static void add_row_bars(struct bars *bars, const struct results *results, size_t i)
{
	const struct row *row = &results->table->rows[i];
	struct stats_interval rate = results_ratio(
		results, results->subject, results->limits, i, SAMPLE_RATE);

	switch (row->kind) {
	case ROW_VK_EMPTY:
		bars_add(bars, row->name, "median - reference's", "us",
			results_difference(
				results, results->subject, results->reference, i, SAMPLE_P50),
			30, false);
		break;
	case ROW_VK_DRAW:
		if (row->in_flight == 1) {
			break; // the device waits for each frame's commands
		}
		bars_add(bars, row->name, "rate / native", "x", rate, 0.98, true);
		break;
	case ROW_VK_COMPUTE:
		bars_add(bars, row->name, "rate / native", "x", rate, 0.98, true);
		break;
	case ROW_VK_MAP:
		bars_add(bars, row->name, "of the daemon, a second", "",
			results_field(results, results->subject, i, SAMPLE_RATE), 5000, true);
		break;
	default:
		bars_add(bars, row->name, "bandwidth / native", "x", rate, 0.95, true);
		break;
	}
}

void bars_of_vulkan(const struct results *results, struct bars *bars)
{
	for (size_t i = 0; i < results->table->count; i++) {
		if (results_wants_row(results, &results->table->rows[i])) {
			add_row_bars(bars, results, i);
		}
	}
}
