#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of fuzz_virtq (corpus/virtq): scripts as that file reads them."""

import struct
from pathlib import Path

NEXT, WRITE, INDIRECT = 1, 2, 4
RAM, TABLE, WILD = 5, 2, 4  # low bits of an address's first byte
PLAIN, EVENT_IDX, NO_INDIRECT = 0, 16, 32
PUBLISH, ENABLE, DISABLE, RESTART = bytes([12]), bytes([13, 1]), bytes([13, 0]), bytes([15])


def address(kind, offset=0):
    if kind == RAM:
        return bytes([RAM]) + struct.pack("<H", offset)
    return bytes([WILD]) + struct.pack("<Q", offset) if kind == WILD else bytes([kind])


def descriptor(flags, length, where, following=0):
    return bytes([flags, length]) + where + bytes([following])


def desc(index, *rest):
    return bytes([0, index]) + descriptor(*rest)


def table(index, *rest):
    return bytes([3, index]) + descriptor(*rest)


def offer(head):
    return bytes([5, head])


def pop(slot=0):
    return bytes([7, slot])


def push(slot=0, length=12):
    return bytes([10, slot, length])


def seed(size_log2, how, index, changes, *steps):
    return bytes([size_log2 | how]) + struct.pack("<H", index) + bytes([changes]) + b"".join(steps)


def chain():
    return (desc(0, NEXT, 32, address(RAM, 16), 1) + desc(1, NEXT, 100, address(RAM, 0x7ff0), 2) +
            desc(2, WRITE, 24, address(RAM, 0x200)))


def tables():
    return (table(0, NEXT, 32, address(RAM, 16), 1) + table(1, NEXT, 0, address(RAM), 2) +
            table(2, NEXT, 200, address(RAM, 0x7f80), 3) + table(3, WRITE, 24, address(RAM, 64)))


def seeds():
    trip = offer(0) + pop() + push() + PUBLISH
    whole = desc(0, INDIRECT, 4, address(TABLE))
    yield "chain", seed(3, PLAIN, 0, 0, chain(), trip, trip)
    yield "chain-changes", seed(3, PLAIN, 0, 2, chain(), trip, trip, bytes(range(64)))
    yield "chain-thread", seed(3, PLAIN, 0, 0xf0, chain(), trip * 40)
    yield "chain-event", seed(2, EVENT_IDX, 65533, 0, chain(), (ENABLE + trip + DISABLE) * 6)
    yield "table", seed(4, PLAIN, 0, 0, tables(), whole, trip, trip)
    yield "table-changes", seed(4, PLAIN, 0, 3, tables(), whole, trip, bytes(range(200)))
    yield "table-thread", seed(4, EVENT_IDX, 0, 0xf3, tables(), whole, trip * 40)
    yield "table-refused", seed(4, NO_INDIRECT, 0, 0, tables(), whole, trip)
    yield "table-after-chain", seed(3, PLAIN, 0, 0, tables(), whole,
                                    desc(1, NEXT, 8, address(RAM), 0), offer(1), pop(), push())
    yield "loop", seed(3, PLAIN, 0, 0, desc(0, NEXT, 1, address(RAM), 1),
                       desc(1, NEXT, 1, address(RAM), 0), trip)
    yield "wild", seed(3, PLAIN, 0, 0, desc(0, 0, 1, address(WILD, 2**64 - 1)), trip)
    yield "restart", seed(3, PLAIN, 9, 0, chain(), offer(0), pop(1), RESTART, push(1), trip)
    yield "large", seed(10, PLAIN, 0, 0, chain(), trip * 3)
    yield "batch", seed(2, PLAIN, 0, 0, chain(), offer(0) * 4, *(pop(i) for i in range(4)),
                        *(push(i) for i in range(4)), PUBLISH)


def main():
    folder = Path(__file__).resolve().parent / "corpus" / "virtq"
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in seeds():
        (folder / name).write_bytes(script)


if __name__ == "__main__":
    main()
