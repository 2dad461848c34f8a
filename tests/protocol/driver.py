# SPDX-License-Identifier: MIT
"""A front end and a driver in one: enough of vhost-user, a split ring and virtio-gpu to have a VM.

Thorough protocol tests are in C (src/frontend); this is for tests that start the real programs."""

import mmap
import os
import select
import socket
import struct

(GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR,
 SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, GET_PROTOCOL_FEATURES,
 SET_PROTOCOL_FEATURES, SET_VRING_ENABLE, GPU_SET_SOCKET) = \
    1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 15, 16, 18, 33
F_VIRGL, F_EDID, F_PROTOCOL_FEATURES, F_VERSION_1 = 0, 1, 30, 32
CONTROL, CURSOR = 0, 1

GET_DISPLAY_INFO, CREATE_2D, UNREF, SET_SCANOUT, FLUSH, TRANSFER, ATTACH = range(0x100, 0x107)
UPDATE_CURSOR, MOVE_CURSOR = 0x300, 0x301
OK_NODATA, OK_DISPLAY_INFO = 0x1100, 0x1101
ERR_INVALID_RESOURCE_ID = 0x1203
FORMAT_BGRA, FORMAT_BGRX = 1, 2

# The guest's memory: rings first, then requests, then pixels.
MEMORY_SIZE = 64 << 20
USER_ADDRESS = 0x100000000
RING_SIZE = 64
REQUESTS = 0x10000
PIXELS = 0x100000
LIMIT = 20


class Ring:
    """The driver's side of one ring, one request at a time."""

    def __init__(self, memory, base):
        self.memory, self.base = memory, base
        self.desc, self.avail, self.used = base, base + 0x1000, base + 0x2000
        self.kick, self.call = os.eventfd(0), os.eventfd(0)
        self.index = 0

    def submit(self, request, room):
        """Writes the request, lets the device answer into `room` bytes; returns the answer."""
        place = REQUESTS + self.base
        answer = place + len(request)
        self.memory[place:answer] = request
        self.memory[answer:answer + room] = bytes(room)
        struct.pack_into("<QIHH", self.memory, self.desc, place, len(request), 1, 1)
        struct.pack_into("<QIHH", self.memory, self.desc + 16, answer, room, 2, 0)
        struct.pack_into("<H", self.memory, self.avail + 4 + self.index % RING_SIZE * 2, 0)
        self.index += 1
        struct.pack_into("<H", self.memory, self.avail + 2, self.index & 0xffff)
        os.eventfd_write(self.kick, 1)
        while struct.unpack_from("<H", self.memory, self.used + 2)[0] != self.index & 0xffff:
            if not select.select([self.call], [], [], LIMIT)[0]:
                raise AssertionError("no answer from the device")
            os.eventfd_read(self.call)
        return self.memory[answer:answer + room]

    def close(self):
        os.close(self.kick)
        os.close(self.call)


class Driver:
    """A connected VM."""

    def __init__(self, client, features=(F_EDID,)):
        self.socket = client
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, MEMORY_SIZE)
        self.memory = mmap.mmap(self.fd, MEMORY_SIZE)
        self.rings = [Ring(self.memory, 0), Ring(self.memory, 0x8000)]
        self.offered = self.ask(GET_FEATURES)
        self.message(SET_OWNER)
        self.ask(GET_PROTOCOL_FEATURES)
        self.message(SET_PROTOCOL_FEATURES, struct.pack("=Q", 1))  # MQ
        wanted = sum(1 << bit for bit in (*features, F_PROTOCOL_FEATURES, F_VERSION_1))
        self.message(SET_FEATURES, struct.pack("=Q", wanted & self.offered))
        self.start()

    def message(self, request, payload=b"", fds=()):
        header = struct.pack("=III", request, 1, len(payload))
        socket.send_fds(self.socket, [header + payload], list(fds))

    def ask(self, request, payload=b""):
        """The first number of the answer's payload, of its whole size."""
        self.message(request, payload)
        number, _, size = struct.unpack("=III", self.socket.recv(12, socket.MSG_WAITALL))
        answer = self.socket.recv(size, socket.MSG_WAITALL)
        assert number == request, f"answer {number} to request {request}"
        return int.from_bytes(answer, "little")

    def start(self, base=0):
        self.message(SET_MEM_TABLE, struct.pack("=II4Q", 1, 0, 0, MEMORY_SIZE, USER_ADDRESS, 0),
                     [self.fd])
        for index, ring in enumerate(self.rings):
            self.message(SET_VRING_NUM, struct.pack("=II", index, RING_SIZE))
            self.message(SET_VRING_BASE, struct.pack("=II", index, base))
            self.message(SET_VRING_ADDR, struct.pack(
                "=II4Q", index, 0, *(USER_ADDRESS + at
                                     for at in (ring.desc, ring.used, ring.avail)), 0))
            self.message(SET_VRING_KICK, struct.pack("=Q", index), [ring.kick])
            self.message(SET_VRING_CALL, struct.pack("=Q", index), [ring.call])
            self.message(SET_VRING_ENABLE, struct.pack("=II", index, 1))
        self.ask(GET_FEATURES)  # its answer says that all before was taken

    def stop(self):
        """As a VMM stops its guest; returns where each ring was."""
        return [self.ask(GET_VRING_BASE, struct.pack("=II", index, 0)) >> 32
                for index in range(len(self.rings))]

    def command(self, kind, payload=b"", room=24, queue=CONTROL):
        """Returns the answer's type and what follows its header."""
        answer = self.rings[queue].submit(struct.pack("<IIQII", kind, 0, 0, 0, 0) + payload, room)
        return struct.unpack_from("<I", answer)[0], answer[24:]

    def check(self, kind, payload=b"", **how):
        answer, _ = self.command(kind, payload, **how)
        assert answer == OK_NODATA, f"command {kind:#x}: answer {answer:#x}"

    def create(self, resource, width, height, pixels, layout=FORMAT_BGRX):
        """A resource with these pixels."""
        assert len(pixels) == width * height * 4
        place = PIXELS + resource * 0x400000
        self.memory[place:place + len(pixels)] = pixels
        self.check(CREATE_2D, struct.pack("<4I", resource, layout, width, height))
        self.check(ATTACH, struct.pack("<IIQII", resource, 1, place, len(pixels), 0))
        self.check(TRANSFER, struct.pack("<4IQII", 0, 0, width, height, 0, resource, 0))

    def show(self, output, resource, width, height, x=0, y=0):
        self.check(SET_SCANOUT, struct.pack("<6I", x, y, width, height, output, resource))
        self.check(FLUSH, struct.pack("<6I", x, y, width, height, resource, 0))

    def show_cursor(self, output, resource, x, y):
        # Nothing is answered on the cursor queue; the buffer comes back all the same.
        self.command(UPDATE_CURSOR, struct.pack("<8I", output, x, y, 0, resource, 0, 0, 0),
                     queue=CURSOR)

    def modes(self):
        """(width, height) of each enabled output; None for the others."""
        kind, answer = self.command(GET_DISPLAY_INFO, room=408)
        assert kind == OK_DISPLAY_INFO
        found = []
        for index in range(16):
            _, _, width, height, enabled, _ = struct.unpack_from("<6I", answer, index * 24)
            found.append((width, height) if enabled else None)
        return found

    def close(self):
        self.socket.close()
        for ring in self.rings:
            ring.close()
        self.memory.close()
        os.close(self.fd)
