/* SPDX-License-Identifier: MIT */
#include "bench/bars.h"

/* Transfers from here on are judged: below, the ring's round trip weighs more than the copy. */
#define JUDGED_BYTES ((uint64_t)4 << 20)

static bool is_transfer(const struct row *row)
{
	return row->kind == ROW_GL_UPLOAD || row->kind == ROW_GL_DOWNLOAD;
}

static void add_row_bars(struct bars *bars, const struct results *results, size_t i)
{
	const struct row *row = &results->table->rows[i];
	struct stats_interval rate = results_ratio(
		results, results->subject, results->limits, i, SAMPLE_RATE);
	struct stats_interval later = results_difference(
		results, results->subject, results->limits, i, SAMPLE_P50);

	if (row->kind == ROW_GL_EMPTY && row->in_flight == 1 && !row->spin) {
		bars_add(bars, row->name, "median - direct calls'", "us", later, 10, false);
	} else if (row->kind == ROW_GL_EMPTY && row->in_flight > 1) {
		bars_add(bars, row->name, "rate / direct calls'", "x", rate, 0.9, true);
	} else if (is_transfer(row) && row_bytes(row) >= JUDGED_BYTES) {
		bars_add(bars, row->name, "bandwidth / direct calls'", "x", rate, 0.9, true);
	}
}

void bars_of_gl(const struct results *results, struct bars *bars)
{
	for (size_t i = 0; i < results->table->count; i++) {
		if (results_wants_row(results, &results->table->rows[i])) {
			add_row_bars(bars, results, i);
		}
	}
}
