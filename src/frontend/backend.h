/* SPDX-License-Identifier: MIT */
#ifndef FRONTEND_BACKEND_H
#define FRONTEND_BACKEND_H

/*
 * A back end as a child process, started from a command line. "%s" in it becomes a fresh socket's
 * path, or, right behind "fd=" or "fd ", the number of a connected socket that the child inherits.
 * Words are parted by blanks; there is no quoting.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fe_backend {
	pid_t pid; // 0: none
	int socket; // connected, for fe_gpu_start (which takes it: set to -1 then); -1: none
	char path[108]; // socket path; "" with an inherited socket
	uint64_t spawned_ns; // when the child was asked for
	uint64_t ready_ns; // when the connection stood (path) or the child was there (inherited)
};

/*
 * Starts the command with what it prints going to log_fd (borrowed; -1: ours) and connects within 60 s. cpu: the
 * processor to run on; -1: any. Returns 0 or -errno; after -errno nothing is left behind.
 */
int fe_backend_start(struct fe_backend *backend, const char *command, int log_fd, int cpu);

/*
 * Starts a program from its words, of which one has a "%s" (at most one, only there), on a socket that it
 * inherits. Blanks in words are fine. Returns 0 or -errno.
 */
int fe_backend_start_inherited(struct fe_backend *backend, char *const words[], int log_fd);

/* Connects once more to the path (the older socket, if still here, is closed). Returns 0 or -errno. */
int fe_backend_reconnect(struct fe_backend *backend, int timeout_ms);

/* Has it ended? Then *status is waitpid's and the pid is 0. */
bool fe_backend_has_ended(struct fe_backend *backend, int *status);

/* Waits for its end, at most timeout_ms. Returns waitpid's status or -ETIMEDOUT. */
int fe_backend_wait(struct fe_backend *backend, int timeout_ms);

/*
 * Closes the socket, sends SIGTERM, and SIGKILL after 5 s; removes the socket file. Returns waitpid's
 * status. Can be called twice.
 */
int fe_backend_stop(struct fe_backend *backend);

#endif
