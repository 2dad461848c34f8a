/* SPDX-License-Identifier: MIT */
#include "bench/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/stats.h"

#define LATENCIES_MAX (1u << 20)

struct sample sample_none(void)
{
	struct sample sample = { .operations = 0 };

	for (size_t i = 0; i < SAMPLE_FIELDS; i++) {
		sample.fields[i] = NAN;
	}
	return sample;
}

void latencies_init(struct latencies *latencies)
{
	*latencies = (struct latencies){ .capacity = LATENCIES_MAX };
	latencies->values = calloc(LATENCIES_MAX, sizeof(uint32_t));
	if (!latencies->values) {
		fprintf(stderr, "virtio-gpu-bench: out of memory\n");
		exit(1);
	}
}

void latencies_add(struct latencies *latencies, uint64_t ns)
{
	if (latencies->count < latencies->capacity) {
		latencies->values[latencies->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
	}
}

void latencies_report(struct latencies *latencies, struct sample *sample)
{
	uint32_t p50 = stats_quantile(latencies->values, latencies->count, 0.50);
	uint32_t p99 = stats_quantile(latencies->values, latencies->count, 0.99);

	if (latencies->count > 0) {
		sample->fields[SAMPLE_P50] = p50 / 1e3;
		sample->fields[SAMPLE_P99] = p99 / 1e3;
	}
	latencies->count = 0;
}
