#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the first seeds of fuzz_session: sessions as real drivers and front ends lead them.

The encoding is that of fuzz_session.c and gpu_script.c: when their grammar changes, this changes
with them, and the seeds are written anew. More seeds come from tests/fuzz/run --merge."""

from pathlib import Path

USUAL = (0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 48, 63, 64, 65, 100, 128, 255, 256, 1024, 4096,
         16383, 16384, 16385, 65535, 65536, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff)
COMMAND, RESTART, RING, MESSAGE, VRING, BYTES, CONFIG, REGION, DISPLAY, CONTROL, PIXELS = (
    0, *range(7, 17))
# Bits of a start.
NO_EVENT_IDX, NO_INDIRECT, NO_BLOB, OWN_DISPLAY, BY_SLOT, STATUS, CLOSE_DISPLAY, RESET = (
    1 << bit for bit in range(8))
HANG_UP = 0x08  # in the first byte
FENCED = 0x80


def number(value):
    if value in USUAL:
        return bytes([USUAL.index(value)])
    return b"\xff" + value.to_bytes(4, "little")


def numbers(*values):
    return b"".join(number(value) for value in values)


def command(kind, *parts, fence=0, queue=b"", buffers=0):
    body = b"".join(part if isinstance(part, bytes) else bytes([part]) for part in parts)
    return bytes([COMMAND, kind]) + body + queue + bytes([fence, 0, buffers, 1])


def create(resource, width, height, form=1):
    return command(0, resource, form, numbers(width, height))


def entries(pages):
    # An odd kind is a whole page; the page's number is the kind modulo the pages there are.
    return bytes([pages]) + b"".join(bytes([2 * page + 1]) for page in range(pages)) + b"\0"


def attach(resource, pages):
    return command(1, resource, entries(pages))


def set_scanout(scanout, resource, width, height):
    return command(2, numbers(0, 0, width, height), scanout, resource)


def transfer(resource, width, height):
    return command(3, numbers(0, 0, width, height), number(0), resource, fence=FENCED)


def flush(resource, width, height, buffers=0):
    return command(4, numbers(0, 0, width, height), resource, fence=FENCED, buffers=buffers)


def short(which, argument):
    return command(6, which, argument)


DISPLAY_INFO, UNREF, DETACH, CAPSET_INFO, CAPSET, EDID, UUID, CONTEXT_DESTROY = range(8)


def blob(resource, pages):
    return command(7, resource, 1, 1, entries(pages), 0)


def scanout_blob(scanout, resource, width, height):
    return command(8, numbers(0, 0, width, height), scanout, resource, numbers(width, height), 1, 0,
                   number(0))


def cursor(move, scanout, x, y, resource):
    return command(9, move, scanout, numbers(x, y), resource, numbers(0, 0), queue=b"\0")


def pixels(at, count):
    return bytes([PIXELS]) + at.to_bytes(2, "little") + bytes([count]) + bytes(range(count))


def restart(how):
    return bytes([RESTART, how])


def message(request, payload=b"", fds=0, flags=0):
    return bytes([MESSAGE, request, flags, len(payload), fds]) + payload


def desktop(width=64, height=48):
    return (short(DISPLAY_INFO, 0) + short(EDID, 0) + create(1, width, height) + attach(1, 3) +
            pixels(0, 200) + transfer(1, width, height) + set_scanout(0, 1, width, height) +
            flush(1, width, height))


def with_cursor():
    return (create(2, 64, 64) + attach(2, 4) + transfer(2, 64, 64) + cursor(0, 0, 3, 4, 2) +
            cursor(1, 0, 7, 8, 2))


def sessions():
    yield "desktop-vmm", 0, STATUS, desktop() + with_cursor()
    yield "desktop-own", HANG_UP, OWN_DISPLAY | BY_SLOT, desktop() + with_cursor()
    yield "split-ring-only", 2, NO_EVENT_IDX | NO_INDIRECT, desktop() + flush(1, 64, 48, 3)
    yield "poll", 1, STATUS, desktop() + flush(1, 64, 48)
    yield "blob", 4, STATUS, (blob(3, 3) + scanout_blob(1, 3, 32, 32) + flush(3, 32, 32) +
                              short(UUID, 3) + short(UNREF, 3))
    yield "stop-cont", 0, STATUS, (desktop() + restart(CLOSE_DISPLAY | STATUS) + flush(1, 64, 48) +
                                   restart(BY_SLOT | OWN_DISPLAY) + flush(1, 64, 48))
    yield "reset", HANG_UP, BY_SLOT, desktop() + restart(RESET | BY_SLOT) + desktop()
    yield "wrong-use", 0, 0, (flush(4, 64, 48) + attach(4, 2) + create(1, 0, 0) + create(1, 64, 48) +
                              create(1, 64, 48) + set_scanout(3, 1, 64, 48) + short(DETACH, 1) +
                              transfer(1, 65, 48) + short(CAPSET_INFO, 0) + short(CAPSET, 1) +
                              short(CONTEXT_DESTROY, 1) + short(UNREF, 1))
    yield "region", 0, BY_SLOT, (bytes([REGION]) + create(1, 64, 64) +
                                 command(1, 1, bytes([2, 33, 61, 0])) + transfer(1, 64, 64) +
                                 bytes([REGION]) + transfer(1, 64, 64) + bytes([REGION]))
    yield "display-goes", 0, STATUS, (desktop() + bytes([DISPLAY, 2]) + flush(1, 64, 48) +
                                      bytes([DISPLAY, 3]) + flush(1, 64, 48))
    yield "display-silent", 0, 0, (bytes([DISPLAY, 1]) + b"\xff\xff\xff\xff" +
                                   short(DISPLAY_INFO, 0) + short(EDID, 1) + restart(RESET))
    yield "display-rubbish", 0, 0, (bytes([DISPLAY, 6, 20]) + bytes(range(21)) +
                                    short(DISPLAY_INFO, 0))
    yield "display-paused", 0, 0, bytes([DISPLAY, 0]) + desktop() + flush(1, 64, 48)
    yield "screenshot", 0, 0, desktop() + with_cursor() + bytes([CONTROL, 3, CONTROL, 5])
    yield "ring-descriptor", 0, NO_INDIRECT, (
        bytes([RING, 0, 3, 0]) + b"\0\0" + numbers(64) + bytes([1]) + b"\4\0" + bytes([3]))
    yield "ring-index", 0, 0, desktop() + bytes([RING, 0, 0, 2]) + b"\xff\x7f" + desktop()
    yield "config", 0, 0, (bytes([CONFIG]) + number(0) + bytes([16]) + bytes(16) + b"\0" +
                           bytes([CONFIG]) + number(4) + bytes([4]) + b"\1\0\0\0" + b"\1")
    yield "vring-again", 0, 0, b"".join(bytes([VRING, 0]) + number(1) + bytes([what])
                                        for what in range(8))
    yield "messages", 0, 0, b"".join(message(request, bytes(8)) for request in range(1, 45))
    yield "message-fds", 0, 0, (message(5, bytes(40), 1) + message(33, b"", 1) +
                                message(37, bytes(40), 1) + message(12, bytes(8), 2))
    yield "pieces", 0, 0, (bytes([BYTES, 6, 1, 0, 0, 0, 1, 0]) +
                           bytes([BYTES, 6, 0, 0, 0, 0, 0, 0]))


def main():
    folder = Path(__file__).resolve().parent / "corpus" / "session"
    folder.mkdir(parents=True, exist_ok=True)
    for name, how, start, steps in sessions():
        (folder / name).write_bytes(bytes([how, start]) + steps)
    # Without a handshake: the first byte is 0xf0 or more.
    (folder / "no-handshake").write_bytes(bytes([0xf8]) + message(1) + message(15) +
                                          message(16, bytes(8)) + message(24, bytes(28)))


if __name__ == "__main__":
    main()
