/* SPDX-License-Identifier: MIT */
#include "bench/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "bench/bars.h"
#include "bench/report.h"
#include "bench/usage.h"

/*
 * How this works
 *
 * A round starts a fresh process for each participant, so that the luck of one address layout is not
 * taken for speed, and goes through the rows. Within a row every participant has its turn before the
 * next row begins: what a shared machine does to one, it does to its neighbours in the same second. The
 * first to go is another one in each row and round.
 */

struct process_sample *run_process(struct run *run, size_t index)
{
	return &run->results->participants[index].processes[run->round];
}

/* Shows the end of what back ends said, when one has failed. */
static void show_log(const struct run *run)
{
	char tail[1024];
	off_t size = lseek(run->log_fd, 0, SEEK_END);
	off_t from = size > (off_t)sizeof(tail) ? size - (off_t)sizeof(tail) : 0;
	ssize_t got = pread(run->log_fd, tail, sizeof(tail), from);

	if (got > 0) {
		fprintf(stderr, "the back ends said at last:\n%.*s\n", (int)got, tail);
	}
}

/* In an unknown state: left out for good rather than measured wrongly. */
static void give_up(struct run *run, size_t index)
{
	run->results->participants[index].failed = true;
	show_log(run);
}

static void start(struct run *run, size_t index)
{
	if (!run->results->participants[index].failed && run->ops->start(run, index) < 0) {
		give_up(run, index);
	}
}

static void measure(struct run *run, size_t index, size_t number)
{
	struct participant *participant = &run->results->participants[index];
	const struct row *row = &run->results->table->rows[number];

	if (!participant->failed && results_has_row(run->results, participant, row) &&
		run->ops->measure(run, index, row, &participant->samples[number][run->round]) < 0) {
		give_up(run, index);
	}
}

static void run_row(struct run *run, size_t row)
{
	size_t count = run->results->count;

	for (size_t i = 0; i < count; i++) {
		measure(run, (i + row + (size_t)run->round) % count, row);
	}
}

/* Without the subject or without what it stands beside there is nothing to say. */
static bool is_hopeless(const struct results *results)
{
	return results->participants[results->subject].failed ||
		results->participants[results->limits].failed;
}

static void run_round(struct run *run)
{
	const struct results *results = run->results;
	size_t count = results->count;

	for (size_t i = 0; i < count; i++) {
		start(run, (i + (size_t)run->round) % count);
	}
	for (size_t row = 0; row < results->table->count; row++) {
		if (!is_hopeless(results) &&
			results_wants_row(results, &results->table->rows[row])) {
			run_row(run, row);
		}
	}
	for (size_t i = 0; i < count; i++) {
		run->ops->stop(run, i);
	}
}

static int run_rounds(struct run *run)
{
	const struct results *results = run->results;
	const struct options *options = results->options;
	int error = usage_pin(options->driver_cpu);

	if (error < 0) {
		fprintf(stderr, "virtio-gpu-bench: cannot run on processor %d: %s\n",
			options->driver_cpu, strerror(-error));
	}
	for (run->round = 0; error == 0 && run->round < options->rounds; run->round++) {
		if (isatty(STDERR_FILENO)) {
			fprintf(stderr, "\rround %d of %d ", run->round + 1, options->rounds);
		}
		run_round(run);
		error = is_hopeless(results) ? -EIO : 0;
	}
	if (isatty(STDERR_FILENO)) {
		fputs("\r\033[K", stderr);
	}
	return error;
}

static int report(const struct results *results, const struct environment *environment)
{
	const char *json = results->options->json;

	report_print(results, environment);
	if (results->options->bars) {
		bars_print(results);
	}
	int error = json ? report_write_json(results, environment) : 0;
	if (error < 0) {
		fprintf(stderr, "virtio-gpu-bench: %s: %s\n", json, strerror(-error));
	}
	return error;
}

int run_measure(struct run *run, const struct run_ops *ops, const struct options *options,
	const struct row_table *table)
{
	static struct results results;
	struct environment environment = environment_read();

	signal(SIGPIPE, SIG_IGN);
	results_init(&results, options, table);
	latencies_init(&run->latencies);
	run->ops = ops;
	run->results = &results;
	run->log_fd = memfd_create("log", MFD_CLOEXEC);
	int error = run_rounds(run);

	if (report(&results, &environment) < 0 || results_any_failed(&results)) {
		error = -EIO;
	}
	results_finish(&results);
	fd_close(&run->log_fd);
	return error < 0 ? 1 : 0;
}
