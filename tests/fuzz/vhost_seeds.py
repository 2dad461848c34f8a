#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the first seeds of fuzz_vhost: what front ends say, whole, in pieces, and wrong.

The encoding is that of fuzz_vhost.c: when its grammar changes, this changes with it, and the seeds
are written anew. More seeds come from tests/fuzz/run --merge."""

import struct
from pathlib import Path

(CHUNK, MESSAGE, KICK, REQUEST, MEMORY, ANSWERS, CONFIG_CHANGED, FAIL, READ, CHANNEL,
 MODE, SHRINK, TOGETHER, MAP, UNMAP, SERVE) = range(16)
(KICK_FD, OTHER_KICK_FD, CALL_FD, MEMORY_FD, OTHER_FD, SOCKET_FD, PIPE_FD,
 NULL_FD) = range(8)
# Bits of the first byte; the lowest two say how many queues.
DESTROY, HANG_UP, SILENT, FEW_SLOTS, LATER, NARROW = 0x04, 0x08, 0x10, 0x20, 0x40, 0x80

(GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE) = range(1, 6)
(SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL,
 SET_VRING_ERR, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM,
 SET_VRING_ENABLE) = range(8, 19)
SET_BACKEND_REQ_FD, GET_CONFIG, SET_CONFIG = 21, 24, 25
GPU_SET_SOCKET, RESET_DEVICE = 33, 34
GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS, GET_STATUS = range(36, 41)
GET_SHMEM_CONFIG = 44

FEATURES = 1 << 32 | 1 << 30 | 1 << 29 | 1 << 28 | 2
PROTOCOL_FEATURES = 0x41a629
USER = 0x10000000  # where the front end has the guest's memory
SIZE = 64 << 10
NO_FD = 0x100


def descriptors(*kinds):
    lead = {0: 0, 1: 0x80, 2: 0xe0, 9: 0xf8, 32: 0xfe}[len(kinds)]
    return bytes([lead, *kinds])


def message(request, payload=b"", *kinds, ack=True):
    return (bytes([MESSAGE, request, 8 if ack else 0]) + struct.pack("<H", len(payload)) +
            descriptors(*kinds) + payload)


def frame(request, payload=b"", flags=9):
    return struct.pack("<III", request, flags, len(payload)) + payload


def chunk(data, *kinds):
    return bytes([CHUNK, len(data) - 1]) + descriptors(*kinds) + data


def chunks(data, size, *kinds):
    """The first carries the descriptors."""
    parts = [data[at:at + size] for at in range(0, len(data), size)]
    return chunk(parts[0], *kinds) + b"".join(chunk(part) for part in parts[1:])


def number(value):
    return struct.pack("<Q", value)


def state(index, value):
    return struct.pack("<II", index, value)


def region(guest=0, size=SIZE, user=USER, offset=0):
    return struct.pack("<QQQQ", guest, size, user, offset)


def table(*regions):
    return struct.pack("<II", len(regions), 0) + b"".join(regions)


def addresses(index):
    base = USER + index * 0x4000
    return struct.pack("<IIQQQQ", index, 0, base, base + 0x2000, base + 0x1000, 0)


def config(offset, size, data=None):
    return struct.pack("<III", offset, size, 0) + (bytes(size) if data is None else data)


def handshake():
    return (message(GET_FEATURES) + message(GET_PROTOCOL_FEATURES) +
            message(SET_PROTOCOL_FEATURES, number(PROTOCOL_FEATURES)) + message(GET_QUEUE_NUM) +
            message(GET_MAX_MEM_SLOTS) + message(SET_BACKEND_REQ_FD, b"", SOCKET_FD) +
            message(SET_OWNER) + message(GET_CONFIG, config(0, 20)) + message(GET_SHMEM_CONFIG))


def memory(slots=False):
    if slots:
        return message(ADD_MEM_REG, number(0) + region(), MEMORY_FD)
    return message(SET_MEM_TABLE, table(region()), MEMORY_FD)


def ring(index, base=0, enable=True):
    return (message(SET_VRING_CALL, number(index), CALL_FD) +
            message(SET_VRING_NUM, state(index, 16)) + message(SET_VRING_BASE, state(index, base)) +
            message(SET_VRING_ADDR, addresses(index)) +
            message(SET_VRING_ERR, number(index), CALL_FD) +
            message(SET_VRING_KICK, number(index), KICK_FD + index) +
            (message(SET_VRING_ENABLE, state(index, 1)) if enable else b""))


def start(base=0, slots=False, features=FEATURES):
    return (message(SET_FEATURES, number(features)) + memory(slots) + ring(0, base) + ring(1, base) +
            message(SET_STATUS, number(15)))


def stop():
    return (message(SET_VRING_ENABLE, state(0, 0)) + message(SET_VRING_ENABLE, state(1, 0)) +
            message(GET_VRING_BASE, state(0, 0)) + message(GET_VRING_BASE, state(1, 0)))


def request(queue, head=0, how=25):
    return bytes([REQUEST, queue, head, how])


def kick():
    return bytes([KICK, 0, KICK, 1])


def work():
    return request(0) + request(1) + kick() + request(0, 2) + request(0, 4) + kick()


def blob_map(page, pages=1):
    return bytes([MAP, 0x80 | OTHER_FD, page, pages, 0])


def blob_unmap(page, pages=1):
    return bytes([UNMAP, page, pages])


def serve(count=1, refuse=0):
    return bytes([SERVE, count - 1 << 5 | refuse])


def blob_region(page):
    return region(1 << 40 | page << 12, 4096, 1 << 40 | page << 12)


def listed(page):
    return message(ADD_MEM_REG, number(0) + blob_region(page), OTHER_FD)


def unlisted(page):
    return message(REM_MEM_REG, number(0) + blob_region(page))


def sessions():
    """(name, first byte, steps)"""
    two = 1  # queues: 1 more than that
    yield "handshake", two | HANG_UP, handshake()
    yield "work", two | HANG_UP, handshake() + start() + work()
    yield "work-later", two | HANG_UP | LATER, (handshake() + start() + work() + bytes([ANSWERS]) +
                                                work())
    yield "pause", two | HANG_UP | LATER, (handshake() + start() + work() + stop() +
                                           bytes([ANSWERS, CONFIG_CHANGED]) + start(base=3) +
                                           bytes([ANSWERS, READ]))
    yield "restart", two | HANG_UP, (handshake() + start() + work() + stop() +
                                     message(GET_CONFIG, config(0, 16)) + start() + work())
    yield "reset", two | DESTROY | HANG_UP, (handshake() + start() + work() +
                                             message(RESET_DEVICE) + start() + kick())
    yield "status-0", two, handshake() + start() + work() + message(SET_STATUS, number(0)) + start()
    yield "slots", two | FEW_SLOTS | HANG_UP, (
        handshake() + start(slots=True) + work() +
        message(ADD_MEM_REG, number(0) + region(SIZE, user=USER + SIZE), OTHER_FD) +
        message(ADD_MEM_REG, number(0) + region(2 * SIZE, user=USER + 2 * SIZE), OTHER_FD) +
        message(REM_MEM_REG, number(0) + region()) + kick() + memory(True))
    yield "tables", two | HANG_UP, (
        handshake() + start() + work() + message(SET_MEM_TABLE, table()) + kick() +
        message(SET_MEM_TABLE, table(region(), region(SIZE, user=USER + SIZE)), MEMORY_FD,
                OTHER_FD) + ring(0))
    other = region(SIZE, user=USER + SIZE)
    two_regions = message(SET_MEM_TABLE, table(region(), other), MEMORY_FD, OTHER_FD)
    # A request that lies in memory that went, behind one that does not.
    vanished = (request(0) + bytes([MEMORY, 0, 0, 8]) + struct.pack("<Q", SIZE + 0x100) +
                bytes([SHRINK]))
    yield "vanished", two | HANG_UP, (handshake() + start() + two_regions + work() + vanished +
                                      kick() + work())
    yield "vanished-and-gone", two, (handshake() + start() + two_regions + kick() + vanished +
                                     bytes([TOGETHER, 0, 1]))
    yield "vanished-at-the-end", two, (handshake() + start() + two_regions + kick() +
                                       bytes([MODE, 1]) + vanished + kick() + stop())
    yield "no-protocol-features", two | HANG_UP, (message(SET_FEATURES, number(1 << 32)) +
                                                  memory() + ring(0, enable=False) + work())
    yield "broken", two | HANG_UP, (handshake() + start() + work() +
                                    bytes([MEMORY, 2, 0x10, 2, 0xff, 0x7f]) + kick() +
                                    message(GET_VRING_BASE, state(0, 0)) + ring(0) + kick())
    yield "failed", two | HANG_UP | LATER, (handshake() + start() + work() + bytes([FAIL, 0]) +
                                            kick() + stop())
    yield "no-call", two | HANG_UP, (handshake() + start() +
                                     message(SET_VRING_CALL, number(NO_FD)) + work() +
                                     message(SET_VRING_CALL, number(0), CALL_FD) +
                                     message(SET_VRING_KICK, number(NO_FD)))
    yield "config", two | HANG_UP, (handshake() + message(SET_CONFIG, config(0, 16)) +
                                    message(SET_CONFIG, config(0xffffffff, 2)) +
                                    message(GET_CONFIG, config(250, 16)))
    yield "channel", two | HANG_UP, (handshake() + start() + work() + bytes([CONFIG_CHANGED]) +
                                     bytes([CHANNEL, 19]) + frame(2, number(0), 5) +
                                     bytes([CONFIG_CHANGED, CHANNEL, 7]) + bytes(8))
    mapped = handshake() + start(slots=True) + kick() + blob_map(1) + serve() + listed(1)
    yield "window", two | HANG_UP, mapped + blob_unmap(1) + serve() + unlisted(1)
    yield "window-two", two, (handshake() + start() + kick() + blob_map(1) + blob_map(2) + serve(2) +
                              listed(1) + listed(2) + blob_unmap(2) + blob_map(2))
    yield "window-table", two | HANG_UP, (
        handshake() + start() + kick() + blob_map(0) + serve() +
        message(SET_MEM_TABLE, table(region(), blob_region(0)), MEMORY_FD, OTHER_FD) + kick())
    yield "window-refused", two | HANG_UP, (handshake() + start() + kick() + blob_map(1) +
                                            serve(refuse=1) + blob_map(1) + serve() + listed(1) +
                                            blob_unmap(1) + serve(refuse=1))
    yield "window-paused", two | HANG_UP, (mapped + stop() + blob_map(3) + blob_unmap(1) +
                                           start(base=3) + serve(2))
    yield "window-reset", two | HANG_UP, (mapped + blob_map(3) + message(RESET_DEVICE) + start() + kick() +
                                          blob_map(3) + serve(4) + unlisted(1) + serve(4))
    yield "window-late", two | HANG_UP, (mapped + blob_map(3) + stop() + serve() +
                                         message(GET_CONFIG, config(0, 16)) + start() + kick() +
                                         serve(4))
    yield "window-channel", two | HANG_UP, (mapped + blob_map(3) + blob_unmap(1) +
                                            message(SET_BACKEND_REQ_FD, b"", SOCKET_FD) + serve(8))
    yield "window-unasked", two | HANG_UP, (mapped + bytes([CHANNEL, 19]) + frame(9, number(0), 5))
    yield "window-wrong", two | HANG_UP, (mapped + bytes([MAP, MEMORY_FD, 0xff]) + number(2**64 - 1) +
                                          bytes([1, 0]) + blob_map(1, 2) + blob_unmap(2))
    yield "owner", two | HANG_UP, handshake() + start() + message(RESET_OWNER) + work()
    yield "display", two | HANG_UP, (handshake() + message(GPU_SET_SOCKET, b"", SOCKET_FD) +
                                     start() + message(GPU_SET_SOCKET, b"", NULL_FD))
    yield "strange-kick", two | HANG_UP, (
        handshake() + start() + message(SET_VRING_KICK, number(0), NULL_FD) +
        message(SET_VRING_KICK, number(1), PIPE_FD) + message(SET_VRING_CALL, number(1), MEMORY_FD))
    ask = chunk(frame(GET_FEATURES) * 8)
    yield "silent", two | SILENT | NARROW | HANG_UP, ask * 40
    yield "unread-then-read", two | SILENT | NARROW, (ask * 5 + bytes([READ]) * 5) * 2
    whole = (frame(GET_FEATURES) + frame(SET_PROTOCOL_FEATURES, number(PROTOCOL_FEATURES)) +
             frame(GET_CONFIG, config(0, 16)) + frame(SET_FEATURES, number(FEATURES)))
    yield "many-in-one", two | HANG_UP, chunks(whole, 96)
    yield "pieces", two | HANG_UP, chunks(whole, 5)
    yield "bytes", two | HANG_UP, chunks(whole, 1)
    call = frame(SET_VRING_CALL, number(0))
    yield "descriptor-late", two | HANG_UP, chunk(call[:15]) + chunk(call[15:], CALL_FD)
    yield "descriptors-apart", two | HANG_UP, (
        chunk(frame(SET_MEM_TABLE, table(region(), region(SIZE, user=USER + SIZE)))[:20],
              MEMORY_FD) +
        chunk(frame(SET_MEM_TABLE, table(region(), region(SIZE, user=USER + SIZE)))[20:],
              OTHER_FD))
    yield "descriptors-heap", two, chunk(call[:4], *[CALL_FD] * 32) + chunk(call[4:], CALL_FD)
    yield "features", two | HANG_UP, (handshake() + start(features=2**64 - 1) + work() +
                                      message(SET_PROTOCOL_FEATURES, number(2**64 - 1)))
    yield "no-address", two | HANG_UP, (handshake() + memory() +
                                        message(SET_VRING_KICK, number(0), KICK_FD) +
                                        message(SET_VRING_ENABLE, state(0, 1)) + kick() + kick() +
                                        message(SET_VRING_ADDR, addresses(0)) + kick() + stop())
    yield "too-long", two, message(GET_CONFIG, config(0, 256, bytes(287)))
    yield "wrong-size", two, message(SET_VRING_NUM, bytes(9))
    yield "wrong-count", two, message(SET_MEM_TABLE, table(region())[:-32] + bytes(32))
    yield "wrong-version", two, chunk(frame(GET_FEATURES, flags=2))
    yield "reply", two, chunk(frame(GET_FEATURES, flags=5))
    yield "cut", two | HANG_UP, handshake() + chunk(call[:14], CALL_FD)


def main():
    folder = Path(__file__).resolve().parent / "corpus" / "vhost"
    folder.mkdir(parents=True, exist_ok=True)
    for name, how, steps in sessions():
        (folder / name).write_bytes(bytes([how]) + steps)


if __name__ == "__main__":
    main()
