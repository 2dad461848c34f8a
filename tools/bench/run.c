/* SPDX-License-Identifier: MIT */
#include "bench/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "bench/drive.h"
#include "bench/limits.h"
#include "bench/peer.h"

/*
 * How this works
 *
 * A round starts a fresh process for each participant, so that the luck of one address layout is not
 * taken for speed, and goes through the rows. Within a row every participant has its turn before the
 * next row begins: what a shared machine does to one, it does to its neighbours in the same second. The
 * first to go is another one in each row and round.
 */

struct run {
	struct results *results;
	struct peer peers[RESULTS_PARTICIPANTS];
	struct limits limits;
	struct latencies latencies;
	int log_fd; // what back ends say
	int round;
};

static struct process_sample describe(const struct peer *peer)
{
	return (struct process_sample){
		.start_ms = peer->start_ms,
		.start_cpu_ms = peer->start_cpu_ms,
		.idle_rss = peer->idle.rss,
		.idle_pss = peer->idle.pss,
		.idle_anonymous = peer->idle.anonymous,
		.peak_rss = 0,
		.has_renderer = peer->has_renderer,
	};
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

static int start(struct run *run, size_t index)
{
	struct participant *participant = &run->results->participants[index];

	if (!participant->backend) {
		return limits_start(&run->limits, run->results->options);
	}
	int error = peer_start(
		&run->peers[index], participant->backend, run->results->options, run->log_fd);
	if (error < 0) {
		participant->failed = true;
		show_log(run);
	} else {
		participant->processes[run->round] = describe(&run->peers[index]);
	}
	return error;
}

static void stop(struct run *run, size_t index)
{
	struct participant *participant = &run->results->participants[index];

	if (!participant->backend) {
		limits_stop(&run->limits);
		return;
	}
	if (!participant->failed) {
		participant->processes[run->round].peak_rss =
			usage_read_memory(run->peers[index].process.pid).peak_rss;
	}
	peer_stop(&run->peers[index]);
}

static void measure(struct run *run, size_t index, size_t row)
{
	struct participant *participant = &run->results->participants[index];
	struct sample *sample = &participant->samples[row][run->round];
	double seconds = run->results->options->seconds_per_cell;

	if (participant->failed || !results_has_row(run->results, participant, &rows[row])) {
		return;
	}
	if (!participant->backend) {
		limits_measure(&run->limits, &rows[row], seconds, &run->latencies, sample);
	} else if (drive_row(&run->peers[index], participant->name, &rows[row], seconds,
			   run->results->options->operations, &run->latencies, sample) < 0) {
		// in an unknown state: left out for good rather than measured wrongly
		participant->failed = true;
		show_log(run);
	}
}

static void run_row(struct run *run, size_t row)
{
	size_t count = run->results->count;

	for (size_t i = 0; i < count; i++) {
		measure(run, (i + row + (size_t)run->round) % count, row);
	}
}

static void run_round(struct run *run)
{
	size_t count = run->results->count;

	for (size_t i = 0; i < count; i++) {
		size_t index = (i + (size_t)run->round) % count;

		if (!run->results->participants[index].failed) {
			start(run, index);
		}
	}
	for (size_t row = 0; row < row_count; row++) {
		if (results_wants_row(run->results, &rows[row])) {
			run_row(run, row);
		}
	}
	for (size_t i = 0; i < count; i++) {
		stop(run, i);
	}
}

int run_rounds(struct results *results)
{
	static struct run run;
	const struct options *options = results->options;

	run = (struct run){ .results = results, .log_fd = memfd_create("log", MFD_CLOEXEC) };
	for (size_t i = 0; i < RESULTS_PARTICIPANTS; i++) {
		run.peers[i].process.socket = -1;
		run.peers[i].reader.socket = -1;
		run.peers[i].call_epoll = -1;
		run.peers[i].instructions_fd = -1;
	}
	latencies_init(&run.latencies);
	int error = usage_pin(options->driver_cpu);
	for (run.round = 0; error == 0 && run.round < options->rounds; run.round++) {
		if (isatty(STDERR_FILENO)) {
			fprintf(stderr, "\rround %d of %d ", run.round + 1, options->rounds);
		}
		run_round(&run);
		error = results->participants[results->subject].failed ? -EIO : 0;
	}
	if (isatty(STDERR_FILENO)) {
		fputs("\r\033[K", stderr);
	}
	fd_close(&run.log_fd);
	return error;
}
