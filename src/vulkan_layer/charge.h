/* SPDX-License-Identifier: MIT */
#ifndef VULKAN_LAYER_CHARGE_H
#define VULKAN_LAYER_CHARGE_H

/*
 * Memory objects under a bound (vulkan_layer/quota.h): each is counted until it is freed, on every GPU, whether the
 * layer makes the memory or the driver does. Imported memory counts as well: its maker may be gone.
 */

#include "vulkan_layer/dispatch.h"

/* Commands of a device when there is a bound; those of memory.h are called behind them. */
struct command_list charge_commands(void);

/* Gives back what the application left; the driver's device is gone. */
void charge_finish(struct device *device);

#endif
