/* SPDX-License-Identifier: MIT */
#include "bench/transport.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench/bars.h"
#include "bench/environment.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/run.h"

static int measure(const struct options *options)
{
	static struct results results;
	struct environment environment = environment_read();
	int status = 0;

	results_init(&results, options);
	if (run_rounds(&results) < 0 || results_any_failed(&results)) {
		status = 1;
	}
	report_print(&results, &environment);
	if (options->bars) {
		bars_print(&results);
	}
	int error = options->json ? report_write_json(&results, &environment) : 0;
	if (error < 0) {
		fprintf(stderr, "virtio-gpu-bench: %s: %s\n", options->json, strerror(-error));
		status = 1;
	}
	results_finish(&results);
	return status;
}

int transport_main(int argc, char **argv)
{
	static struct options options;

	signal(SIGPIPE, SIG_IGN);
	switch (options_read(&options, argc, argv)) {
	case 0:
		return measure(&options);
	case 1:
		return 0;
	default:
		fprintf(stderr, "Try `virtio-gpu-bench transport --help'.\n");
		return 2;
	}
}
