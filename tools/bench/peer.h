/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

/*
 * One back end under measurement, with the front end that drives it and the display process that
 * reads from it. Lives for one round.
 */

#include <stdint.h>

#include "bench/device.h"
#include "bench/reader.h"

/* Resources that are there for all rows. All are backed by the same guest memory. */
enum peer_resource {
	PEER_SMALL = 1, // 64x64, never shown; also the cursor's picture
	PEER_HD = 2, // 1920x1080
	PEER_UHD = 3, // 3840x2160
	PEER_SCRATCH = 100, // created and destroyed by rows
};

struct peer {
	struct device device;
	struct reader reader;
	struct fe_span pixels; // 3840x2160x4 bytes
};

/* Nothing is started: peer_stop is fine. */
void peer_init(struct peer *peer);

/*
 * Starts all, with the back end's words going to log_fd. Returns 0, or -errno after saying on stderr
 * what failed; peer_stop is due in both cases.
 */
int peer_start(struct peer *peer, const struct options_backend *backend,
	const struct options *options, int log_fd);

void peer_stop(struct peer *peer);

/* Shows resource id of width x height on the screen, or nothing (id 0). Returns 0 or -EIO. */
int peer_show(struct peer *peer, uint32_t id, uint32_t width, uint32_t height);

#endif
