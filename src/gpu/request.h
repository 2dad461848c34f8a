/* SPDX-License-Identifier: MIT */
#ifndef GPU_REQUEST_H
#define GPU_REQUEST_H

/*
 * How this works
 *
 * A request is with the device from gpu_device_submit to `complete`. Most end within the handler. One
 * that began something which ends later (a renderer's operation, a flush, a query) has a token, which
 * comes back from below with each end, and a count of what it waits for. The count starts at one, for the
 * handler itself: so whatever order things end in, exactly one end finds the count at zero and completes.
 *
 * A token is a place in the table of pending requests and a number that is never used again. What ends
 * after a reset therefore finds nobody, and is ignored.
 */

#include <stddef.h>
#include <stdint.h>

#include "gpu/device.h"

struct gpu_request_table {
	struct gpu_request **slots; // NULL: free
	uint32_t slot_count;
	uint32_t used;
	uint32_t search_from; // no free slot before this one
	uint64_t serial; // of the next token
};

void gpu_request_table_finish(struct gpu_request_table *table); // must be empty

/* The request's token, made when first asked for; 0 when there is no memory (logged by the caller). */
uint64_t gpu_request_token(struct gpu_device *device, struct gpu_request *request);

/* Who waits for this token; NULL when nobody does any more. */
struct gpu_request *gpu_request_find(const struct gpu_device *device, uint64_t token);

/* An operation began that will end later with the request's token. */
void gpu_request_begin(struct gpu_request *request);

/* An operation ended; if it was the last, the request is completed. */
void gpu_request_end(struct gpu_device *device, struct gpu_request *request);

/* Completes all that are pending, whatever they wait for; that is no answer, and not counted as one. */
void gpu_request_abort_all(struct gpu_device *device);

#endif
