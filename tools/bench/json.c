/* SPDX-License-Identifier: MIT */
#include "bench/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/bars.h"

static const char *const field_names[SAMPLE_FIELDS] = {
	[SAMPLE_RATE] = "ops_per_second",
	[SAMPLE_P50] = "p50_us",
	[SAMPLE_P99] = "p99_us",
	[SAMPLE_CPU] = "cpu_us_per_op",
	[SAMPLE_INSTRUCTIONS] = "instructions_per_op",
	[SAMPLE_SWITCHES] = "switches_per_op",
	[SAMPLE_MESSAGES] = "messages_per_op",
	[SAMPLE_BANDWIDTH] = "mb_per_second",
};

static void put_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\') {
			fputc('\\', file);
		}
		if ((unsigned char)*text >= 0x20) {
			fputc(*text, file);
		}
	}
	fputc('"', file);
}

static void put_number(FILE *file, double value)
{
	if (isnan(value) || isinf(value)) {
		fputs("null", file);
	} else {
		fprintf(file, "%.9g", value);
	}
}

static void put_interval(FILE *file, const char *name, struct stats_interval value)
{
	fprintf(file, "\"%s\": {\"median\": ", name);
	put_number(file, value.median);
	fputs(", \"low\": ", file);
	put_number(file, value.low);
	fputs(", \"high\": ", file);
	put_number(file, value.high);
	fputs("}", file);
}

static void put_environment(
	FILE *file, const struct results *results, const struct environment *environment)
{
	const struct options *options = results->options;

	fprintf(file, "{\n\"format\": 1,\n\"version\": \"%s\",\n\"time\": \"%s\",\n\"kernel\": ",
		PROJECT_VERSION, environment->time);
	put_string(file, environment->kernel);
	fputs(",\n\"cpu\": ", file);
	put_string(file, environment->cpu);
	fprintf(file,
		",\n\"processors\": %ld,\n\"load\": %s,\n\"pinned\": [%d, %d, %d],\n"
		"\"rounds\": %d,\n\"seconds_per_cell\": %g,\n\"note\": ",
		environment->processors, environment->load, options->driver_cpu,
		options->backend_cpu, options->display_cpu, options->rounds,
		options->seconds_per_cell);
	put_string(file, options->note ? options->note : "");
	fprintf(file, ",\n\"command\": \"%s\",\n\"%s\": ", results->table->command,
		results->table == &rows_of_vulkan ? "vulkan_driver" : "gl_driver");
	put_string(file, results->driver);
}

static void put_samples(FILE *file, const struct results *results, int index, size_t row)
{
	const struct sample *samples = results->participants[index].samples[row];

	for (int field = 0; field < SAMPLE_FIELDS; field++) {
		fprintf(file, ", \"%s\": [", field_names[field]);
		for (int round = 0; round < results->options->rounds; round++) {
			fputs(round ? ", " : "", file);
			put_number(file, samples[round].fields[field]);
		}
		fputs("]", file);
	}
}

static void put_cell(FILE *file, const struct results *results, int index, size_t row)
{
	fputs("{\"row\": ", file);
	put_string(file, results->table->rows[row].name);
	fputs(", \"participant\": ", file);
	put_string(file, results->participants[index].name);
	put_samples(file, results, index, row);
	fputs(", ", file);
	put_interval(file, "rate_vs_reference",
		results_ratio(results, index, results->reference, row, SAMPLE_RATE));
	fputs(", ", file);
	put_interval(file, "rate_vs_limit",
		results_ratio(results, index, results->limits, row, SAMPLE_RATE));
	fputs(", ", file);
	put_interval(file, "rate_vs_subject",
		results_ratio(results, index, results->subject, row, SAMPLE_RATE));
	fputs("}", file);
}

static void put_cells(FILE *file, const struct results *results)
{
	const char *separator = "";

	fputs(",\n\"cells\": [\n", file);
	for (size_t row = 0; row < results->table->count; row++) {
		for (size_t i = 0; i < results->count; i++) {
			if (results_has_row(results, &results->participants[i],
				    &results->table->rows[row])) {
				fputs(separator, file);
				put_cell(file, results, (int)i, row);
				separator = ",\n";
			}
		}
	}
	fputs("\n]", file);
}

static void put_process(FILE *file, const struct results *results, size_t index)
{
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = {
		{ "start_ms", offsetof(struct process_sample, start_ms) },
		{ "start_cpu_ms", offsetof(struct process_sample, start_cpu_ms) },
		{ "idle_rss", offsetof(struct process_sample, idle_rss) },
		{ "idle_pss", offsetof(struct process_sample, idle_pss) },
		{ "idle_anonymous", offsetof(struct process_sample, idle_anonymous) },
		{ "peak_rss", offsetof(struct process_sample, peak_rss) },
		{ "has_renderer", offsetof(struct process_sample, has_renderer) },
	};
	const struct participant *participant = &results->participants[index];

	fputs("{\"name\": ", file);
	put_string(file, participant->name);
	fputs(", \"command\": ", file);
	put_string(file, participant->backend->command);
	fprintf(file, ", \"failed\": %s", participant->failed ? "true" : "false");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		fputs(", ", file);
		put_interval(file, fields[i].name,
			results_process(results, (int)index, fields[i].offset));
	}
	fputs("}", file);
}

static void put_processes(FILE *file, const struct results *results)
{
	const char *separator = "";

	fputs(",\n\"processes\": [\n", file);
	for (size_t i = 0; i < results->count; i++) {
		if (results->participants[i].backend) {
			fputs(separator, file);
			put_process(file, results, i);
			separator = ",\n";
		}
	}
	fputs("\n]", file);
}

static void put_bars(FILE *file, const struct results *results)
{
	static struct bars bars;

	bars_collect(results, &bars);
	fputs(",\n\"promises\": [\n", file);
	for (size_t i = 0; i < bars.count; i++) {
		fputs(i ? ",\n{\"name\": " : "{\"name\": ", file);
		put_string(file, bars.all[i].name);
		fputs(", ", file);
		put_interval(file, "measured", bars.all[i].value);
		fprintf(file, ", \"%s\": %g, \"met\": %s}",
			bars.all[i].at_least ? "at_least" : "at_most", bars.all[i].wanted,
			!bar_is_measured(&bars.all[i])     ? "null"
				: bar_is_met(&bars.all[i]) ? "true"
							   : "false");
	}
	fputs("\n]\n}\n", file);
}

int report_write_json(const struct results *results, const struct environment *environment)
{
	FILE *file = fopen(results->options->json, "we");

	if (!file) {
		return -errno;
	}
	put_environment(file, results, environment);
	put_cells(file, results);
	put_processes(file, results);
	put_bars(file, results);
	bool good = !ferror(file);
	return fclose(file) == 0 && good ? 0 : -EIO;
}
