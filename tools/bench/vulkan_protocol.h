/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VULKAN_PROTOCOL_H
#define BENCH_VULKAN_PROTOCOL_H

/*
 * What `virtio-gpu-bench vulkan` and its workers say to each other, two processes of one program, over a
 * socket pair; or over a virtio-serial port, with a worker in a guest, which does not learn for certain that
 * somebody else is at the other end now. So the bench says when it begins and ends:
 *
 *	begin -> <- hello
 *	jobs
 *	VULKAN_END -> <- ended
 *
 * For each other job:
 *
 *	job ->   <- ready      set up, and warm; a status other than VULKAN_READY ends the job here, as does a
 *	                       job that only asks for a scale
 *	go ->    <- ran, and its latencies (uint32_t, ns)
 *	check -> <- checked    what was made is what it must be; all is taken down
 *
 * begin, ended, go, check and checked are single bytes. A worker that cannot go on says on stderr why, and ends.
 */

#include <stdint.h>

enum vulkan_protocol_limits {
	VULKAN_IN_FLIGHT = 4,
	VULKAN_MEMORY_TYPES = 32,
	VULKAN_NAME_SIZE = 256,
};

enum vulkan_work {
	VULKAN_EMPTY, // a submission of nothing, and a fence
	VULKAN_COMPUTE,
	VULKAN_DRAW,
	VULKAN_WRITE, // the processor, into mapped memory
	VULKAN_READ,
	VULKAN_END,
};

enum vulkan_status {
	VULKAN_READY,
	VULKAN_NO_MEMORY_TYPE, // no mappable memory has exactly these flags
	VULKAN_OUT_OF_MEMORY, // of that type
};

struct vulkan_hello {
	char device[VULKAN_NAME_SIZE];
	char driver[VULKAN_NAME_SIZE]; // name, version, API
	uint32_t memory_type_count;
	uint32_t memory_flags[VULKAN_MEMORY_TYPES]; // VkMemoryPropertyFlags
};

struct vulkan_job {
	uint32_t work; // enum vulkan_work
	uint32_t memory_flags; // WRITE, READ: of the mapped memory, exactly
	uint32_t scale; // COMPUTE, DRAW: how much is done; 0: find out how much takes ns
	uint32_t in_flight; // 1 to VULKAN_IN_FLIGHT; WRITE, READ: 1
	uint64_t bytes; // WRITE, READ: of one operation
	uint64_t ns; // begin operations for so long
	uint64_t operations; // exactly so many instead; 0: by time
};

struct vulkan_ready {
	uint32_t status; // enum vulkan_status
	uint32_t scale; // the job's, or the one that was found
};

struct vulkan_ran {
	uint64_t operations;
	uint64_t ns; // from the first one's begin to the last one's end
	uint64_t latency_count; // may be less than operations
};

#endif
