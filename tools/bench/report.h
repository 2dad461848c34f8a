/* SPDX-License-Identifier: MIT */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

/* The results as text for people and as JSON for programs. */

#include "bench/environment.h"
#include "bench/results.h"

void report_print(const struct results *results, const struct environment *environment);

/* Writes everything, single samples included. Returns 0 or -errno. */
int report_write_json(const struct results *results, const struct environment *environment);

#endif
