/* SPDX-License-Identifier: MIT */
#ifndef DAEMON_SCREENSHOT_H
#define DAEMON_SCREENSHOT_H

#include <stdint.h>

#include "frame/frame.h"

/*
 * Copies the whole frame to a memory file: rows of width * 4 bytes, as they are in the frame's
 * format, one after the other. The file is sealed: whoever gets it can trust its size and bytes.
 * Returns the descriptor or -errno.
 */
int screenshot_to_memfd(struct frame *frame);

#endif
