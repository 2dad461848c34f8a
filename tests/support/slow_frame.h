/* SPDX-License-Identifier: MIT */
#ifndef SUPPORT_SLOW_FRAME_H
#define SUPPORT_SLOW_FRAME_H

/* A frame as of a GPU: what frame_read_start began ends when the test says. */

#include "frame/frame_impl.h"

struct slow_frame {
	struct frame base;
	struct frame *shadow;
	uint8_t *pixels; // the test writes them
	size_t stride; // bytes
	struct list reads; // frame_read.link: pending, oldest first
	uint32_t pending;
	uint32_t open; // reads that are ready and not stopped
	uint32_t waits; // calls of frame_begin_read
	struct frame_dmabuf dmabuf; // fd -1: none
	uint32_t pictures; // calls of frame_get_dmabuf
	int failure; // what frame_read_start returns next, once; 0: none
};

struct slow_frame *slow_frame_create(uint32_t width, uint32_t height, uint32_t format);
struct slow_frame *slow_frame_of(struct frame *frame);

/* Gives it a buffer: a memory file with the pixels of now. */
void slow_frame_export(struct slow_frame *frame);

/* The oldest read that is pending is ready (0), or over (-errno). */
void slow_frame_end(struct slow_frame *frame, int result);

#endif
