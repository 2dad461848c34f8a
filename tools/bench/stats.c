/* SPDX-License-Identifier: MIT */
#include "bench/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	COUNT_MAX = 1000, // rounds, options.c allows no more
	RESAMPLES = 4000,
};

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Copies what is not NAN. */
static size_t pick(double *to, const double *values, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count && kept < COUNT_MAX; i++) {
		if (!isnan(values[i])) {
			to[kept++] = values[i];
		}
	}
	return kept;
}

static double median_of_sorted(const double *values, size_t count)
{
	if (count == 0) {
		return NAN;
	}
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double stats_median(const double *values, size_t count)
{
	double copy[COUNT_MAX];
	size_t kept = pick(copy, values, count);

	qsort(copy, kept, sizeof(copy[0]), compare_double);
	return median_of_sorted(copy, kept);
}

uint32_t stats_quantile(uint32_t *values, size_t count, double q)
{
	if (count == 0) {
		return 0;
	}
	qsort(values, count, sizeof(values[0]), compare_u32);
	size_t rank = (size_t)ceil(q * (double)count);

	return values[rank == 0 ? 0 : rank - 1];
}

static double resample_median(const double *values, size_t count, uint64_t *seed)
{
	double sample[COUNT_MAX];

	for (size_t i = 0; i < count; i++) {
		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		sample[i] = values[(*seed >> 33) % count];
	}
	qsort(sample, count, sizeof(sample[0]), compare_double);
	return median_of_sorted(sample, count);
}

struct stats_interval stats_bootstrap(const double *values, size_t count)
{
	double kept[COUNT_MAX];
	double medians[RESAMPLES];
	size_t n = pick(kept, values, count);
	uint64_t seed = 1;

	if (n == 0) {
		return (struct stats_interval){ NAN, NAN, NAN };
	}
	for (size_t i = 0; i < RESAMPLES; i++) {
		medians[i] = resample_median(kept, n, &seed);
	}
	qsort(medians, RESAMPLES, sizeof(medians[0]), compare_double);
	return (struct stats_interval){
		.median = stats_median(kept, n),
		.low = medians[RESAMPLES * 25 / 1000],
		.high = medians[RESAMPLES * 975 / 1000 - 1],
	};
}

struct stats_interval stats_ratio(const double *a, const double *b, size_t count)
{
	double ratios[COUNT_MAX];

	for (size_t i = 0; i < count && i < COUNT_MAX; i++) {
		ratios[i] = b[i] > 0 ? a[i] / b[i] : NAN;
	}
	return stats_bootstrap(ratios, count < COUNT_MAX ? count : COUNT_MAX);
}

struct stats_interval stats_difference(const double *a, const double *b, size_t count)
{
	double differences[COUNT_MAX];

	for (size_t i = 0; i < count && i < COUNT_MAX; i++) {
		differences[i] = a[i] - b[i];
	}
	return stats_bootstrap(differences, count < COUNT_MAX ? count : COUNT_MAX);
}
