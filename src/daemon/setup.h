/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_SETUP_H
#define DAEMON_SETUP_H

#include "daemon/options.h"

/*
 * Makes everything, serves until it is told to end, and takes everything down. 0 or -errno
 * (logged).
 */
int setup_and_run(const struct options *options);

#endif
