/* SPDX-License-Identifier: MIT */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

/* Runs all rounds: every row for every participant, in an order that turns from round to round. */

#include "bench/results.h"

/* Fills results. Returns 0, or -errno when the subject could not be measured at all. */
int run_rounds(struct results *results);

#endif
