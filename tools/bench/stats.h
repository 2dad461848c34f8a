/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

/* Medians, quantiles, and bootstrap confidence intervals. NAN stands for "not measured". */

#include <stddef.h>
#include <stdint.h>

struct stats_interval {
	double median;
	double low; // 95 % interval of the median
	double high;
};

/* The median of the values that are not NAN; NAN when there is none. */
double stats_median(const double *values, size_t count);

/* Sorts in place and returns the q-quantile (0..1), nearest rank; 0 for none. */
uint32_t stats_quantile(uint32_t *values, size_t count, double q);

/* Median and bootstrap interval (fixed seed: the same samples give the same interval). */
struct stats_interval stats_bootstrap(const double *values, size_t count);

/*
 * The same for the ratio a / b, paired: values of one round are divided before anything else, so what
 * slows a whole round down does not count.
 */
struct stats_interval stats_ratio(const double *a, const double *b, size_t count);

/* The same for the difference a - b. */
struct stats_interval stats_difference(const double *a, const double *b, size_t count);

#endif
