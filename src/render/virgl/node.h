/* SPDX-License-Identifier: MIT */
#ifndef RENDER_VIRGL_NODE_H
#define RENDER_VIRGL_NODE_H

/*
 * What the kernel's files say about GPUs. root stands before each path: "" for this host, a folder for
 * a test.
 */

#include <stddef.h>

#include "render/virgl/gpu.h"

#define NODE_MAX 16

/* The render nodes' paths, lowest number first. Returns how many there are. */
size_t node_list(const char *root, char paths[NODE_MAX][64]);

/* "renderD128 renderD129", or "none". */
void node_describe(const char *root, char *text, size_t size);

/* Fills in the PCI address of a character device, or the empty text. */
void node_pci(const char *root, unsigned int major, unsigned int minor, char pci[GPU_PCI_SIZE]);

/* The same for a DRM node's path; the file itself need not be there. */
void node_pci_of_file(const char *root, const char *path, char pci[GPU_PCI_SIZE]);

/*
 * What NVIDIA's driver says in /proc: fills in the PCI address of the GPU with that UUID, or, where
 * either side does not tell UUIDs, of the only GPU. The empty text when it cannot be told.
 */
void node_pci_of_nvidia(const char *root, const char *uuid, char pci[GPU_PCI_SIZE]);

#endif
