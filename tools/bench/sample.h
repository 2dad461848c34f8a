/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

/* What one row of one participant gave in one round. NAN: not measured. */

#include <stddef.h>
#include <stdint.h>

enum sample_field {
	SAMPLE_RATE, // operations a second
	SAMPLE_P50, // microseconds from submission to completion
	SAMPLE_P99,
	SAMPLE_CPU, // microseconds of the back end for each operation
	SAMPLE_INSTRUCTIONS, // of the back end for each operation
	SAMPLE_SWITCHES, // context switches of the back end for each operation
	SAMPLE_MESSAGES, // messages at the display for each operation
	SAMPLE_BANDWIDTH, // transferred, 10^6 bytes a second
	SAMPLE_FIELDS,
};

struct sample {
	double fields[SAMPLE_FIELDS];
	uint64_t operations;
};

/* All fields NAN. */
struct sample sample_none(void);

/* Latencies of one measurement, in ns; one at a time in the program. */
struct latencies {
	uint32_t *values;
	size_t count;
	size_t capacity;
};

/* Makes room once; NULL memory ends the program. */
void latencies_init(struct latencies *latencies);
void latencies_add(struct latencies *latencies, uint64_t ns); // beyond the capacity: ignored

/* Fills P50 and P99, and empties. */
void latencies_report(struct latencies *latencies, struct sample *sample);

#endif
