/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_SYSTEMD_H
#define DAEMON_SYSTEMD_H

/*
 * The two things that a service says to systemd and hears from it, by their documented protocols
 * (sd_listen_fds(3), sd_notify(3)), without libsystemd. Without systemd both do nothing.
 */

/*
 * Takes the socket that a socket unit passed. Returns 1 and the descriptor (the caller's), 0 when
 * none was passed to this process, or -EINVAL when something else than one socket was (logged). The
 * variables are removed from the environment.
 */
int systemd_take_socket(int *fd);

/* Sends state ("READY=1") to $NOTIFY_SOCKET, if there is one. A failure is a warning. */
void systemd_notify(const char *state);

#endif
