/* SPDX-License-Identifier: MIT */
#ifndef DISPLAY_EDID_H
#define DISPLAY_EDID_H

#include <stddef.h>
#include <stdint.h>

#include "display/display.h"

/*
 * Makes an EDID 1.4 (VESA E-EDID A2) for an output: a digital monitor "virtio-gpu N" whose preferred mode
 * is width x height at 60 Hz, with the usual smaller modes. Sizes over 4095 go to a DisplayID extension.
 * A pure function.
 */
void edid_make(uint32_t output, uint32_t width, uint32_t height, struct display_edid *edid);

#endif
