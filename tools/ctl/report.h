/* SPDX-License-Identifier: MIT */
#ifndef CTL_REPORT_H
#define CTL_REPORT_H

#include <jansson.h>

/* Print an answer for a person, on stdout. */
void report_status(const json_t *answer);
void report_stats(const json_t *answer);

#endif
