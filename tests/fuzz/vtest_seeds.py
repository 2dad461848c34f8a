#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the first seeds of fuzz_vtest: what Mesa says in each version of vtest, and things that are wrong.

The encoding is that of fuzz_vtest.c: two bytes, then the stream."""

import struct
from pathlib import Path

(GET_CAPS, RESOURCE_CREATE, RESOURCE_UNREF, TRANSFER_GET, TRANSFER_PUT, SUBMIT_CMD, BUSY_WAIT,
 CREATE_RENDERER, GET_CAPS2, PING, PROTOCOL_VERSION, RESOURCE_CREATE2, TRANSFER_GET2, TRANSFER_PUT2,
 GET_PARAM, GET_CAPSET, CONTEXT_INIT, CREATE_BLOB, SYNC_CREATE, SYNC_UNREF, SYNC_READ, SYNC_WRITE,
 SYNC_WAIT, SUBMIT_CMD2) = range(1, 25)
BOX = (0, 0, 0, 4, 4, 1)
TEXTURE = (2, 1, 2, 4, 4, 1, 1, 0, 0)
QUERY = (0, 64, 1 << 17, 32, 1, 1, 1, 0, 0)
FENCE = (0, 64, 1 << 17, 8, 1, 1, 1, 0, 0)


def message(command, *words, extra=b""):
    return struct.pack(f"<{len(words) + 2}I", len(words), command, *words) + extra


NAME = struct.pack("<2I", 5, CREATE_RENDERER) + b"seed\0"


def start(version):
    return (NAME + message(PING) + message(BUSY_WAIT, 0, 0) + message(PROTOCOL_VERSION, version) +
            message(GET_CAPS2) + message(GET_CAPS))


def frames(create):
    return (create + message(TRANSFER_PUT2, 1, 0, *BOX, 0, 0) + message(SUBMIT_CMD, 0, 0, 0) +
            message(BUSY_WAIT, 1, 1) + message(TRANSFER_GET2, 1, 0, *BOX, 0, 16) +
            message(BUSY_WAIT, 1, 1)) * 2


def batches(*syncs):
    return message(SUBMIT_CMD2, 2, 0, 17, 1, 18, 1, 0, 0, 0, 1, 17, 1, 21, 1, 3, 0, 0,
                   0, syncs[0], 4, 0, syncs[1], 9, 0)


def blob(kind, size, number=0, flags=1):
    return message(CREATE_BLOB, kind, flags, size, 0, number, 0)


# Memory that is taken and let go of in a row fills the window again and again.
VULKAN = (message(GET_PARAM, 1) + message(GET_CAPSET, 4, 0) + message(CONTEXT_INIT, 4) +
          b"".join(blob(2, 30000, number) + message(RESOURCE_UNREF, number + 1)
                   for number in range(12)) +
          blob(2, 131200) + blob(3, 5000) + blob(1, 4096) + message(SYNC_CREATE, 0, 0) +
          message(SUBMIT_CMD2, 1, 1, 12, 2, 9, 1, 1, 0, 0, 1, 7, 0, 77, 78) +
          message(SYNC_WAIT, 0, 5, 1, 7, 0) + message(SYNC_UNREF, 1) +
          b"".join(message(RESOURCE_UNREF, number) for number in range(13, 17)))

INLINE = (message(RESOURCE_CREATE, 1, *TEXTURE) +
          message(TRANSFER_PUT, 1, 0, 16, 0, *BOX, 64, extra=b"x" * 64) +
          message(TRANSFER_PUT, 1, 0, 4, 0, 0, 0, 0, 1, 1, 1, 3, extra=b"abc") +
          message(TRANSFER_GET, 1, 0, 16, 0, *BOX, 64) + message(RESOURCE_UNREF, 1))
SYNCS = (message(SYNC_CREATE, 0, 0) * 2 + message(SYNC_WAIT, 0, 1000, 1, 4, 0, 2, 9, 0) +
         message(SYNC_WAIT, 1, 2 ** 32 - 1, 1, 1, 0) + batches(1, 2) + message(SYNC_READ, 1) +
         message(SYNC_WRITE, 2, 10, 0) + message(SYNC_UNREF, 1) + message(BUSY_WAIT, 0, 1))
SHARED = b"".join(
    message(RESOURCE_CREATE2, handle, *FENCE, 8) for handle in range(10, 14)) + b"".join(
    message(RESOURCE_UNREF, handle) for handle in range(10, 14))

SEEDS = {
    "version-0": start(0) + INLINE,
    "version-2": start(2) + message(RESOURCE_CREATE2, 1, *TEXTURE, 64) +
    frames(b"") + message(RESOURCE_CREATE2, 2, *QUERY, 32) + SHARED,
    "version-3": start(3) + message(GET_PARAM, 1) + message(GET_CAPSET, 2, 1) +
    message(CONTEXT_INIT, 2) + message(RESOURCE_CREATE2, 0, *TEXTURE, 64) + frames(b"") + SYNCS,
    "streams": start(2) + message(SUBMIT_CMD, *range(1000)) * 3 + message(SUBMIT_CMD),
    "blob": start(3) + message(CREATE_BLOB, 2, 1, 4096, 0, 0, 0),
    "no-name": message(PING),
    "too-long": start(2) + struct.pack("<2I", 2 ** 31, SUBMIT_CMD),
    "outside": start(3) + message(SUBMIT_CMD2, 1, 0, 9, 2 ** 32 - 1, 0, 0, 0, 0, 0),
    "cut": start(2) + message(RESOURCE_CREATE2, 1, *TEXTURE, 64)[:-3],
    "vulkan": start(3) + VULKAN,
    "large-blob": start(3) + blob(2, 2 ** 31),
    "vulkan-slow": start(3) + VULKAN,  # by its place: commands end late
    "no-bytes": start(3) + blob(2, 0),
    "not-mapped": start(3) + blob(2, 4096, 0, 2),
}


def main():
    folder = Path(__file__).parent / "corpus/vtest"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, stream) in enumerate(SEEDS.items()):
        (folder / name).write_bytes(bytes([(0, 1, 7, 0)[number % 4], (0, 5, 63)[number % 3]]) + stream)


if __name__ == "__main__":
    main()
