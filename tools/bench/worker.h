/* SPDX-License-Identifier: MIT */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

/*
 * A process of our own that stands where a back end stands: it sleeps until it is given a job, does it
 * and says so. Driver and worker share some memory, and never look at it at the same time: two
 * eventfds order them.
 */

#include <stddef.h>
#include <sys/types.h>

struct worker {
	pid_t pid; // 0: none
	int ping; // to it: there is a job
	int ping_epoll; // its own: it sleeps as an event loop does
	int pong; // from it: the job is done
	int pong_epoll; // also becomes readable when it ends
	int life; // end of a pipe whose other end is the child's alone
	void *shared;
	size_t shared_size;
};

/* What the child does; ends it by returning. */
typedef void (*worker_fn)(struct worker *worker, void *data);

/* Makes the shared memory (zeroed) and the descriptors. Returns 0 or -errno; worker_stop is due. */
int worker_init(struct worker *worker, size_t shared_size);

/* Forks. Returns 0 or -errno. */
int worker_start(struct worker *worker, worker_fn work, void *data);
void worker_stop(struct worker *worker); // a zeroed one is fine

/* Gives a job and waits until it is done. Returns 0, or -ECHILD when the worker has ended. */
int worker_run(struct worker *worker);

/* In the child: waits for a job; says that it is done. */
void worker_wait(struct worker *worker);
void worker_done(struct worker *worker);

#endif
