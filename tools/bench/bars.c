/* SPDX-License-Identifier: MIT */
#include "bench/bars.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct list {
	struct bar *bars;
	size_t count;
};

static void add(struct list *list, const char *name, const char *what, const char *unit,
	struct stats_interval value, double wanted, bool at_least)
{
	if (list->count == BARS_MAX) {
		return;
	}
	struct bar *bar = &list->bars[list->count++];

	*bar = (struct bar){ .unit = unit, .value = value, .wanted = wanted, .at_least = at_least };
	snprintf(bar->name, sizeof(bar->name), "%s: %s", name, what);
}

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

static void add_rate_bars(struct list *list, const struct results *results, size_t i)
{
	const struct row *row = &rows[i];
	struct stats_interval ratio = against_reference(results, i, SAMPLE_RATE);
	bool update = row->kind == ROW_UPDATE || row->kind == ROW_FLUSH;

	if (update && is_full(row)) {
		add(list, row->name, "rate / socketpair's", "x",
			against_limit(results, i, SAMPLE_RATE), 0.8, true);
		add(list, row->name, "rate / reference's", "x", ratio, 1.2, true);
	} else if (update || row->kind == ROW_CREATE || row->in_flight == 64) {
		add(list, row->name, "rate / reference's", "x", ratio, 2.0, true);
	} else if (row->kind == ROW_CURSOR) {
		add(list, row->name, "rate / reference's", "x", ratio, 1.5, true);
	} else if (row->kind == ROW_TRANSFER) {
		add(list, row->name, "rate / memcpy's", "x", against_limit(results, i, SAMPLE_RATE),
			0.9, true);
	} else if (row->kind == ROW_EMPTY && row->limit == ROW_PING_PONG) {
		add(list, row->name, "median / ping-pong's", "x",
			against_limit(results, i, SAMPLE_P50), 1.25, false);
	} else if (row->spin) {
		int who = results->polling;
		struct stats_interval none = { NAN, NAN, NAN };

		add(list, row->name, "median with --poll-us", "us",
			who < 0 ? none : results_field(results, who, i, SAMPLE_P50), 3, false);
	}
}

static void add_row_bars(struct list *list, const struct results *results, size_t i)
{
	add_rate_bars(list, results, i);
	if (!rows[i].spin) {
		add(list, rows[i].name, "CPU time / reference's", "x",
			against_reference(results, i, SAMPLE_CPU), 1, false);
		add(list, rows[i].name, "p99 / reference's", "x",
			against_reference(results, i, SAMPLE_P99), 1, false);
	}
}

static struct stats_interval scale(struct stats_interval value, double factor)
{
	return (struct stats_interval){ value.median * factor, value.low * factor,
		value.high * factor };
}

static void add_process_bars(struct list *list, const struct results *results)
{
	struct stats_interval rss = results_process(
		results, results->subject, offsetof(struct process_sample, idle_rss));
	struct stats_interval start = results_process(
		results, results->subject, offsetof(struct process_sample, start_ms));
	struct stats_interval renderer = results_process(
		results, results->subject, offsetof(struct process_sample, has_renderer));

	add(list, "process", "idle memory (RSS)", "MiB", scale(rss, 1.0 / (1 << 20)), 8, false);
	add(list, "process", "spawn to listening", "ms", start, 10, false);
	add(list, "process", "renderer libraries mapped", "", renderer, 0, false);
}

size_t bars_collect(const struct results *results, struct bar bars[static BARS_MAX])
{
	struct list list = { .bars = bars };

	for (size_t i = 0; i < row_count; i++) {
		if (results_wants_row(results, &rows[i])) {
			add_row_bars(&list, results, i);
		}
	}
	add_process_bars(&list, results);
	return list.count;
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
	static struct bar bars[BARS_MAX];
	size_t count = bars_collect(results, bars);
	size_t missed = 0;

	printf("\nPromises (met: the 95 %% interval does not exclude the bar)\n");
	printf("%-52s %9s %19s  %9s  %s\n", "what", "measured", "95 % interval", "bar", "");
	for (size_t i = 0; i < count; i++) {
		const struct bar *bar = &bars[i];

		printf("%-52s %9.3f [%8.3f,%8.3f]  %s %6.2f %-3s %s\n", bar->name,
			bar->value.median, bar->value.low, bar->value.high,
			bar->at_least ? ">=" : "<=", bar->wanted, bar->unit, verdict(bar));
		missed += bar_is_measured(bar) && !bar_is_met(bar);
	}
	printf("%zu promises, %zu missed\n", count, missed);
}
