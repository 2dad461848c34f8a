/* SPDX-License-Identifier: MIT */
#include "bench/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_header(const struct results *results, const struct environment *environment)
{
	const struct options *options = results->options;
	char version[128];

	printf("virtio-gpu-bench %s %s, %s\n", PROJECT_VERSION, results->table->command,
		environment->time);
	printf("kernel      %s\n", environment->kernel);
	printf("processor   %s, %ld online, load %s before the run\n", environment->cpu,
		environment->processors, environment->load);
	if (options->driver_cpu >= 0) {
		printf("pinned      driver %d, back end %d, %s %d\n", options->driver_cpu,
			options->backend_cpu, results->table->second_cpu, options->display_cpu);
	} else {
		printf("pinned      no\n");
	}
	printf("rounds      %d, %g s for each cell, fresh processes in each round\n",
		options->rounds, options->seconds_per_cell);
	for (size_t i = 0; i < options->backend_count; i++) {
		const struct options_backend *backend = &options->backends[i];

		version[0] = '\0';
		if (!backend->guest) {
			environment_read_version(backend->command, version);
		}
		printf("%-11s %s = %s%s%s\n", backend->guest ? "guest" : "back end", backend->name,
			backend->command, version[0] ? "  # " : "", version);
	}
	if (results->table->driver) {
		printf("%-11s %s\n", results->table->driver, results->driver);
	}
	if (options->vulkan.layer) {
		printf("layer       %s, for the native driver and the reference\n",
			options->vulkan.layer);
	}
	if (options->note) {
		printf("note        %s\n", options->note);
	}
}

/* A number in so many columns, with the digits that mean something. */
static void print_number(double value, int width)
{
	if (isnan(value)) {
		printf(" %*s", width, "n/a");
	} else if (fabs(value) >= 1000) {
		printf(" %*.0f", width, value);
	} else if (fabs(value) >= 10) {
		printf(" %*.1f", width, value);
	} else {
		printf(" %*.3f", width, value);
	}
}

static void print_ratio(struct stats_interval ratio)
{
	char text[40] = "";

	if (!isnan(ratio.median)) {
		snprintf(text, sizeof(text), "%.2f [%.2f, %.2f]", ratio.median, ratio.low,
			ratio.high);
	}
	printf("  %-20s", text);
}

static void print_line(const struct results *results, int index, size_t row)
{
	printf("  %-24s", results->participants[index].name);
	print_number(results_field(results, index, row, SAMPLE_RATE).median, 9);
	print_number(results_field(results, index, row, SAMPLE_P50).median, 9);
	print_number(results_field(results, index, row, SAMPLE_P99).median, 9);
	print_number(results_field(results, index, row, SAMPLE_CPU).median, 9);
	print_number(results_field(results, index, row, SAMPLE_INSTRUCTIONS).median, 9);
	print_number(results_field(results, index, row, SAMPLE_SWITCHES).median, 8);
	print_number(results_field(results, index, row, results->table->last_column).median, 7);
	int reference = index == results->control ? results->subject : results->reference;
	struct stats_interval none = { NAN, NAN, NAN };

	print_ratio(index == reference || index == results->limits
			? none
			: results_ratio(results, index, reference, row, SAMPLE_RATE));
	print_ratio(index == results->limits
			? none
			: results_ratio(results, index, results->limits, row, SAMPLE_RATE));
	printf("\n");
}

static bool is_measured(const struct results *results, size_t row)
{
	for (size_t i = 0; i < results->count; i++) {
		if (!isnan(results_field(results, (int)i, row, SAMPLE_RATE).median)) {
			return true;
		}
	}
	return false;
}

static void print_row(const struct results *results, size_t row)
{
	printf("\n%s\n", results->table->rows[row].name);
	if (!is_measured(results, row)) {
		printf("  not measured\n");
		return;
	}
	for (size_t i = 0; i < results->count; i++) {
		if (results_has_row(
			    results, &results->participants[i], &results->table->rows[row])) {
			print_line(results, (int)i, row);
		}
	}
}

static void print_processes(const struct results *results)
{
	static const size_t offsets[] = {
		offsetof(struct process_sample, start_ms),
		offsetof(struct process_sample, start_cpu_ms),
		offsetof(struct process_sample, idle_rss),
		offsetof(struct process_sample, idle_pss),
		offsetof(struct process_sample, idle_anonymous),
		offsetof(struct process_sample, peak_rss),
		offsetof(struct process_sample, has_renderer),
	};
	static const double factors[] = { 1, 1, 1.0 / (1 << 20), 1.0 / (1 << 20), 1.0 / (1 << 20),
		1.0 / (1 << 20), 1 };

	printf("\nprocess                    start ms   CPU ms  RSS MiB  PSS MiB anon MiB peak MiB "
	       "renderer\n");
	for (size_t i = 0; i < results->count; i++) {
		if (!results->participants[i].backend) {
			continue;
		}
		printf("  %-24s", results->participants[i].name);
		for (size_t k = 0; k < sizeof(offsets) / sizeof(offsets[0]); k++) {
			print_number(
				results_process(results, (int)i, offsets[k]).median * factors[k],
				8);
		}
		printf("\n");
	}
}

static void print_failures(const struct results *results)
{
	for (size_t i = 0; i < results->count; i++) {
		if (results->participants[i].failed) {
			printf("\n%s FAILED and was left out from then on: do not use its figures\n",
				results->participants[i].name);
		}
	}
}

void report_print(const struct results *results, const struct environment *environment)
{
	print_header(results, environment);
	printf("\nMedians of the rounds; ratios are of rates, paired in each round, with 95 %% "
	       "bootstrap intervals.\n"
	       "The A/A line is the first back end once more, as a ratio to itself: what differs "
	       "there is noise.\n");
	printf("\n%-26s %9s %9s %9s %9s %9s %8s %7s  %-20s  %-20s\n", "", "ops/s", "p50 us",
		"p99 us", "CPU us/op", "instr/op", "switch/op",
		results->table->last_column == SAMPLE_MESSAGES ? "msg/op" : "MB/s",
		"rate / reference", results->table->ratio);
	for (size_t row = 0; row < results->table->count; row++) {
		if (results_wants_row(results, &results->table->rows[row])) {
			print_row(results, row);
		}
	}
	if (results->table->processes) {
		print_processes(results);
	}
	print_failures(results);
}
