/* SPDX-License-Identifier: MIT */
#include "bench/transport.h"

#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "bench/drive.h"
#include "bench/limits.h"
#include "bench/options.h"
#include "bench/peer.h"
#include "bench/run.h"

struct transport {
	struct run run;
	struct peer peers[RESULTS_PARTICIPANTS];
	struct limits limits;
};

static struct transport *transport_of(struct run *run)
{
	return container_of(run, struct transport, run);
}

static const struct options_backend *backend_of(const struct run *run, size_t index)
{
	return run->results->participants[index].backend;
}

static int fail_limits(int error)
{
	if (error < 0) {
		fprintf(stderr, "virtio-gpu-bench: limits of the machine: %s\n", strerror(-error));
	}
	return error;
}

static int start(struct run *run, size_t index)
{
	struct transport *transport = transport_of(run);
	const struct options *options = run->results->options;

	if (!backend_of(run, index)) {
		return fail_limits(limits_start(&transport->limits, options));
	}
	int error = peer_start(
		&transport->peers[index], backend_of(run, index), options, run->log_fd);

	if (error == 0) {
		*run_process(run, index) = transport->peers[index].device.about;
	}
	return error;
}

static void stop(struct run *run, size_t index)
{
	struct transport *transport = transport_of(run);
	struct peer *peer = &transport->peers[index];

	if (!backend_of(run, index)) {
		limits_stop(&transport->limits);
		return;
	}
	if (!run->results->participants[index].failed) {
		run_process(run, index)->peak_rss =
			usage_read_memory(peer->device.process.pid).peak_rss;
	}
	peer_stop(peer);
}

static int measure(struct run *run, size_t index, const struct row *row, struct sample *sample)
{
	struct transport *transport = transport_of(run);
	const struct options *options = run->results->options;
	double seconds = options->seconds_per_cell;

	if (!backend_of(run, index)) {
		return fail_limits(
			limits_measure(&transport->limits, row, seconds, &run->latencies, sample));
	}
	return drive_row(&transport->peers[index], run->results->participants[index].name, row,
		seconds, options->operations, &run->latencies, sample);
}

static const struct run_ops transport_ops = { .start = start, .stop = stop, .measure = measure };

int transport_main(int argc, char **argv)
{
	static struct options options;
	static struct transport transport;

	for (size_t i = 0; i < RESULTS_PARTICIPANTS; i++) {
		peer_init(&transport.peers[i]);
	}
	switch (options_read(&options, &options_of_transport, argc, argv)) {
	case 0:
		return run_measure(&transport.run, &transport_ops, &options, &rows_of_transport);
	case 1:
		return 0;
	default:
		fprintf(stderr, "Try `virtio-gpu-bench transport --help'.\n");
		return 2;
	}
}
