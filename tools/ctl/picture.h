/* SPDX-License-Identifier: MIT */
#ifndef CTL_PICTURE_H
#define CTL_PICTURE_H

#include <jansson.h>

/*
 * Writes the picture that a screenshot's answer describes as a PNG; "-" is stdout. fd is borrowed.
 * Returns 0, or -1 (a message was printed, and no file is left).
 */
int picture_write(const json_t *answer, int fd, const char *path);

#endif
