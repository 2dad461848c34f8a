/* SPDX-License-Identifier: MIT */
#include "bench/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROUNDS_MAX = 1000, // options.c allows no more
};

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory) {
		fprintf(stderr, "virtio-gpu-bench: out of memory\n");
		exit(1);
	}
	return memory;
}

static int add(struct results *results, const char *name, const char *suffix,
	const struct options_backend *backend)
{
	struct participant *participant = &results->participants[results->count];
	size_t rounds = (size_t)results->options->rounds;

	snprintf(participant->name, sizeof(participant->name), "%s%s", name, suffix);
	participant->backend = backend;
	participant->processes = allocate(rounds, sizeof(struct process_sample));
	for (size_t i = 0; i < rounds; i++) {
		participant->processes[i] = (struct process_sample){ NAN, NAN, NAN, NAN, NAN, NAN,
			NAN };
	}
	for (size_t row = 0; row < results->table->count; row++) {
		participant->samples[row] = allocate(rounds, sizeof(struct sample));
		for (size_t i = 0; i < rounds; i++) {
			participant->samples[row][i] = sample_none();
		}
	}
	return (int)results->count++;
}

static void find_roles(struct results *results)
{
	const struct options *options = results->options;

	for (size_t i = 0; i < options->backend_count; i++) {
		const struct options_backend *backend = &options->backends[i];
		int index = add(results, backend->name, "", backend);

		if (strcmp(backend->name, "reference") == 0) {
			results->reference = index;
		}
		if (results->polling < 0 && strstr(backend->command, "--poll-us")) {
			results->polling = index;
		}
	}
	results->subject = 0;
	if (results->reference < 0 && options->backend_count > 1 &&
		!results->table->named_reference) {
		results->reference = 1;
	}
	if (results->reference == results->subject) {
		results->reference = -1;
	}
}

void results_init(
	struct results *results, const struct options *options, const struct row_table *table)
{
	*results = (struct results){
		.options = options, .table = table, .subject = -1, .reference = -1, .polling = -1
	};
	find_roles(results);
	results->control = add(results, options->backends[0].name, " (A/A)", &options->backends[0]);
	results->limits = add(results, table->limits, "", NULL);
}

void results_finish(struct results *results)
{
	for (size_t i = 0; i < results->count; i++) {
		free(results->participants[i].processes);
		for (size_t row = 0; row < results->table->count; row++) {
			free(results->participants[i].samples[row]);
		}
	}
	results->count = 0;
}

bool results_any_failed(const struct results *results)
{
	for (size_t i = 0; i < results->count; i++) {
		if (results->participants[i].failed) {
			return true;
		}
	}
	return false;
}

/* A row of exactly that name alone, else every row that contains the text. */
static bool is_chosen(const struct row_table *table, const char *only, const struct row *row)
{
	for (size_t i = 0; i < table->count; i++) {
		if (strcmp(table->rows[i].name, only) == 0) {
			return &table->rows[i] == row;
		}
	}
	return strstr(row->name, only);
}

bool results_wants_row(const struct results *results, const struct row *row)
{
	const struct options *options = results->options;

	return (!row->spin || options->poll) &&
		(!options->only || is_chosen(results->table, options->only, row));
}

bool results_has_row(
	const struct results *results, const struct participant *participant, const struct row *row)
{
	const struct options_backend *backend = participant->backend;

	if (row->limit == ROW_SUBJECT && backend != &results->options->backends[0]) {
		return false;
	}
	return results_wants_row(results, row) && (backend || row->limit != ROW_NO_LIMIT);
}

static size_t collect(const struct results *results, int participant, size_t row,
	enum sample_field field, double values[ROUNDS_MAX])
{
	size_t rounds = (size_t)results->options->rounds;

	for (size_t i = 0; i < rounds; i++) {
		values[i] = participant < 0
			? NAN
			: results->participants[participant].samples[row][i].fields[field];
	}
	return rounds;
}

struct stats_interval results_field(
	const struct results *results, int participant, size_t row, enum sample_field field)
{
	double values[ROUNDS_MAX];
	size_t rounds = collect(results, participant, row, field, values);

	return stats_bootstrap(values, rounds);
}

struct stats_interval results_ratio(
	const struct results *results, int a, int b, size_t row, enum sample_field field)
{
	double values_a[ROUNDS_MAX];
	double values_b[ROUNDS_MAX];
	size_t rounds = collect(results, a, row, field, values_a);

	collect(results, b, row, field, values_b);
	return stats_ratio(values_a, values_b, rounds);
}

struct stats_interval results_difference(
	const struct results *results, int a, int b, size_t row, enum sample_field field)
{
	double values_a[ROUNDS_MAX];
	double values_b[ROUNDS_MAX];
	size_t rounds = collect(results, a, row, field, values_a);

	collect(results, b, row, field, values_b);
	return stats_difference(values_a, values_b, rounds);
}

struct stats_interval results_process(const struct results *results, int participant, size_t offset)
{
	double values[ROUNDS_MAX];
	size_t rounds = (size_t)results->options->rounds;

	for (size_t i = 0; i < rounds; i++) {
		const char *sample = (const char *)&results->participants[participant].processes[i];

		memcpy(&values[i], sample + offset, sizeof(values[i]));
	}
	return stats_bootstrap(values, rounds);
}
