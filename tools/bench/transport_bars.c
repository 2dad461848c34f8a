/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stddef.h>

#include "bench/bars.h"

static struct stats_interval against_reference(
	const struct results *results, size_t row, enum sample_field field)
{
	return results_ratio(results, results->subject, results->reference, row, field);
}

static struct stats_interval against_limit(
	const struct results *results, size_t row, enum sample_field field)
{
	return results_ratio(results, results->subject, results->limits, row, field);
}

static bool is_full(const struct row *row)
{
	return row->width == row->screen_width;
}

static void add_rate_bars(struct bars *bars, const struct results *results, size_t i)
{
	const struct row *row = &results->table->rows[i];
	struct stats_interval ratio = against_reference(results, i, SAMPLE_RATE);
	bool update = row->kind == ROW_UPDATE || row->kind == ROW_FLUSH;

	if (update && is_full(row)) {
		bars_add(bars, row->name, "rate / socketpair's", "x",
			against_limit(results, i, SAMPLE_RATE), 0.8, true);
		bars_add(bars, row->name, "rate / reference's", "x", ratio, 1.2, true);
	} else if (update || row->kind == ROW_CREATE || row->in_flight == 64) {
		bars_add(bars, row->name, "rate / reference's", "x", ratio, 2.0, true);
	} else if (row->kind == ROW_CURSOR) {
		bars_add(bars, row->name, "rate / reference's", "x", ratio, 1.5, true);
	} else if (row->kind == ROW_TRANSFER) {
		bars_add(bars, row->name, "rate / memcpy's", "x",
			against_limit(results, i, SAMPLE_RATE), 0.9, true);
	} else if (row->kind == ROW_EMPTY && row->limit == ROW_PING_PONG) {
		bars_add(bars, row->name, "median / ping-pong's", "x",
			against_limit(results, i, SAMPLE_P50), 1.25, false);
	} else if (row->spin) {
		int who = results->polling;
		struct stats_interval none = { NAN, NAN, NAN };

		bars_add(bars, row->name, "median with --poll-us", "us",
			who < 0 ? none : results_field(results, who, i, SAMPLE_P50), 3, false);
	}
}

static void add_row_bars(struct bars *bars, const struct results *results, size_t i)
{
	const struct row *row = &results->table->rows[i];

	add_rate_bars(bars, results, i);
	if (!row->spin) {
		bars_add(bars, row->name, "CPU time / reference's", "x",
			against_reference(results, i, SAMPLE_CPU), 1, false);
		bars_add(bars, row->name, "p99 / reference's", "x",
			against_reference(results, i, SAMPLE_P99), 1, false);
	}
}

static struct stats_interval scale(struct stats_interval value, double factor)
{
	return (struct stats_interval){ value.median * factor, value.low * factor,
		value.high * factor };
}

static void add_process_bars(struct bars *bars, const struct results *results)
{
	struct stats_interval rss = results_process(
		results, results->subject, offsetof(struct process_sample, idle_rss));
	struct stats_interval start = results_process(
		results, results->subject, offsetof(struct process_sample, start_ms));
	struct stats_interval renderer = results_process(
		results, results->subject, offsetof(struct process_sample, has_renderer));

	bars_add(
		bars, "process", "idle memory (RSS)", "MiB", scale(rss, 1.0 / (1 << 20)), 8, false);
	bars_add(bars, "process", "spawn to listening", "ms", start, 10, false);
	bars_add(bars, "process", "renderer libraries mapped", "", renderer, 0, false);
}

void bars_of_transport(const struct results *results, struct bars *bars)
{
	for (size_t i = 0; i < results->table->count; i++) {
		if (results_wants_row(results, &results->table->rows[i])) {
			add_row_bars(bars, results, i);
		}
	}
	add_process_bars(bars, results);
}
