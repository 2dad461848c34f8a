# SPDX-License-Identifier: MIT
"""virtio-gpu-run as a vtest server: what it answers to exact bytes, right ones and wrong ones, with a
real daemon and the machine's GL driver behind it."""

import contextlib
import mmap
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import time
from pathlib import Path

import daemonlib
from daemonlib import DAEMON, LIMIT, wait_for

RUN = os.path.abspath(os.environ.get("VIRTIO_GPU_RUN", "build/virtio-gpu-run"))

(GET_CAPS, RESOURCE_CREATE, RESOURCE_UNREF, TRANSFER_GET, TRANSFER_PUT, SUBMIT_CMD, BUSY_WAIT,
 CREATE_RENDERER, GET_CAPS2, PING, PROTOCOL_VERSION, RESOURCE_CREATE2, TRANSFER_GET2, TRANSFER_PUT2,
 GET_PARAM, GET_CAPSET, CONTEXT_INIT, CREATE_BLOB, SYNC_CREATE, SYNC_UNREF, SYNC_READ, SYNC_WRITE,
 SYNC_WAIT, SUBMIT_CMD2) = range(1, 25)
TEXTURE_2D, BUFFER = 2, 0
FORMAT_BGRA, FORMAT_R8 = 1, 64
BIND_RENDER_TARGET, BIND_CUSTOM = 2, 1 << 17
WAIT = 1
CAPS_V1_SIZE = 308
CAPABILITY_BITS = 392
# A GL driver starts in each client's daemon.
START_LIMIT = 4 * LIMIT


def words(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers)


class Client:
    """A vtest client, message by message."""

    def __init__(self, path, version=None, name=b"test\0"):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.socket.settimeout(START_LIMIT)
        if name is not None:
            with contextlib.suppress(BrokenPipeError):  # turned away
                self.socket.sendall(words(len(name), CREATE_RENDERER) + name)
        if version is not None:
            self.version = self.ask(PROTOCOL_VERSION, version)[0]

    def close(self):
        self.socket.close()

    def send(self, command, *numbers):
        """One that was refused is turned away at any time: whoever reads next, or is_closed(), sees it."""
        with contextlib.suppress(BrokenPipeError):
            self.socket.sendall(words(len(numbers), command, *numbers))

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError(f"closed after {len(data)} of {size} bytes")
            data += part
        return data

    def read_words(self, count):
        return struct.unpack(f"<{count}I", self.read(4 * count))

    def read_answer(self, command):
        length, got = self.read_words(2)
        assert got == command, f"answer {got} for command {command}"
        return self.read_words(length)

    def ask(self, command, *numbers):
        self.send(command, *numbers)
        return self.read_answer(command)

    def read_fd(self):
        data, fds, _, _ = socket.recv_fds(self.socket, 1, 4)
        assert data == b"\0" and len(fds) == 1, (data, fds)
        return fds[0]

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def wait_idle(self):
        assert self.ask(BUSY_WAIT, 0, WAIT) == (0,)

    def create_texture(self, handle, width, height, data_size):
        """As Mesa with version 2: shared memory, mapped."""
        self.send(RESOURCE_CREATE2, handle, TEXTURE_2D, FORMAT_BGRA, BIND_RENDER_TARGET, width,
                  height, 1, 1, 0, 0, data_size)
        return self.map_fd(data_size)

    def create_buffer(self, handle, size):
        self.send(RESOURCE_CREATE2, handle, BUFFER, FORMAT_R8, BIND_CUSTOM, size, 1, 1, 1, 0, 0,
                  size)
        return self.map_fd(size)

    def map_fd(self, size):
        fd = self.read_fd()
        try:
            return mmap.mmap(fd, size)
        finally:
            os.close(fd)

    def put(self, handle, width, height, offset=0):
        self.send(TRANSFER_PUT2, handle, 0, 0, 0, 0, width, height, 1, 0, offset)

    def get(self, handle, width, height, offset=0):
        self.send(TRANSFER_GET2, handle, 0, 0, 0, 0, width, height, 1, 0, offset)


def pattern(seed, size):
    return bytes((seed + 7 * i) & 0xff for i in range(256)) * (size // 256)


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class RunTest(daemonlib.DaemonTest):
    def setUp(self):
        super().setUp()
        self.path = str(self.folder / "vtest.sock")
        self.log_path = self.folder / "run.log"
        self.clients = []

    def listen(self, *options):
        self.start_server(f"--daemon-program={DAEMON}", *options)

    def start_server(self, *options):
        with open(self.log_path, "wb") as log:
            self.server = subprocess.Popen(
                [RUN, f"--listen={self.path}", "--log-level=info", *options],
                stdin=subprocess.DEVNULL, stderr=log)
        self.addCleanup(self.end)
        wait_for("the server to listen", lambda: "listening at" in self.log())

    def end(self):
        """The clients first: each one's processes end with it."""
        for client in self.clients:
            client.close()
        if self.server.poll() is None:
            self.server.terminate()
            self.server.wait(LIMIT)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def client(self, *arguments, **named):
        client = Client(self.path, *arguments, **named)
        self.clients.append(client)
        return client

    def assert_ends(self, client, text):
        self.assertTrue(client.is_closed())
        wait_for(f"{text!r} in the log:\n{self.log()}", lambda: text in self.log())


class Answers(RunTest):
    def test_versions(self):
        self.listen()
        client = self.client()
        client.socket.sendall(words(0, PING, 2, BUSY_WAIT, 0, 0))
        self.assertEqual(client.read_words(2), (0, PING))
        self.assertEqual(client.read_answer(BUSY_WAIT), (0,))
        for wanted, given in ((0, 0), (1, 0), (2, 2), (3, 3), (4, 3), (2 ** 32 - 1, 3)):
            self.assertEqual(client.ask(PROTOCOL_VERSION, wanted), (given,))

    def test_capsets(self):
        self.listen()
        client = self.client(2)
        client.socket.sendall(words(0, GET_CAPS2, 0, GET_CAPS))
        length, capset = client.read_words(2)
        self.assertEqual(capset, 2)
        caps2 = client.read(length - 1)
        self.assertEqual(client.read_words(2), (CAPS_V1_SIZE + 1, 1))
        caps1 = client.read(CAPS_V1_SIZE)
        self.assertGreater(struct.unpack_from("<I", caps1)[0], 0)
        bits = struct.unpack_from("<I", caps2, CAPABILITY_BITS)[0]
        self.assertNotEqual(bits, 0)
        self.assertEqual(bits >> 31, 0, "buffer storage needs blobs of OpenGL's memory")
        self.assertEqual(bits >> 26 & 1, 1, "busy textures are filled by copies")
        known, *rest = client.ask(GET_CAPSET, 2, 1)
        self.assertEqual((known, struct.pack(f"<{len(rest)}I", *rest)), (1, caps2))
        for capset, version in ((99, 0), (2, 99)):
            self.assertEqual(client.ask(GET_CAPSET, capset, version), (0,))

    def test_params(self):
        self.listen()
        client = self.client(3)
        self.assertEqual(client.ask(GET_PARAM, 1), (1, 64))
        self.assertEqual(client.ask(GET_PARAM, 77), (0, 0))

    def test_texture_there_and_back(self):
        self.listen()
        client = self.client(2)
        shared = client.create_texture(1, 64, 64, 64 * 64 * 4)
        shared[:] = pattern(3, len(shared))
        client.put(1, 64, 64)
        client.wait_idle()
        shared[:] = bytes(len(shared))
        client.get(1, 64, 64)
        client.wait_idle()
        self.assertEqual(shared[:], pattern(3, len(shared)))

    def test_part_at_an_offset(self):
        self.listen()
        client = self.client(2)
        shared = client.create_texture(9, 64, 64, 64 * 64 * 4)
        shared[:] = pattern(5, len(shared))
        client.put(9, 64, 64)
        client.wait_idle()
        shared[:] = bytes(len(shared))
        client.send(TRANSFER_GET2, 9, 0, 8, 4, 0, 16, 1, 1, 0, (4 * 64 + 8) * 4)
        client.wait_idle()
        begin, end = (4 * 64 + 8) * 4, (4 * 64 + 24) * 4
        self.assertEqual(shared[begin:end], pattern(5, len(shared))[begin:end])
        self.assertEqual(shared[:begin], bytes(begin))
        self.assertEqual(shared[end:], bytes(len(shared) - end))

    def test_bytes_on_the_socket(self):
        """As before version 2, with a size that is no multiple of 4."""
        self.listen()
        client = self.client(0)
        client.send(RESOURCE_CREATE, 5, BUFFER, FORMAT_R8, BIND_CUSTOM, 103, 1, 1, 1, 0, 0)
        sent = pattern(1, 256)[:103]
        client.socket.sendall(words(11 + 26, TRANSFER_PUT, 5, 0, 0, 0, 0, 0, 0, 103, 1, 1, 103) + sent)
        client.send(TRANSFER_GET, 5, 0, 0, 0, 0, 0, 0, 103, 1, 1, 103)
        self.assertEqual(client.read(103), sent)
        client.send(TRANSFER_GET, 5, 0, 0, 0, 3, 0, 0, 50, 1, 1, 50)
        self.assertEqual(client.read(50), sent[3:53])
        client.wait_idle()

    def test_more_bytes_on_the_socket_than_before(self):
        self.listen()
        client = self.client(0)
        size = 256 * 256 * 4
        client.send(RESOURCE_CREATE, 5, TEXTURE_2D, FORMAT_BGRA, BIND_RENDER_TARGET, 256, 256, 1,
                    1, 0, 0)
        client.socket.sendall(words(12, TRANSFER_PUT, 5, 0, 4, 0, 0, 0, 0, 1, 1, 1, 4) + b"abcd")
        sent = pattern(1, size)
        client.socket.sendall(words(11 + size // 4, TRANSFER_PUT, 5, 0, 1024, 0, 0, 0, 0, 256, 256,
                                    1, size) + sent)
        client.send(TRANSFER_GET, 5, 0, 1024, 0, 0, 0, 0, 256, 256, 1, size)
        self.assertEqual(client.read(size), sent)

    def test_new_memory_is_empty(self):
        """Small files are used again: nothing of the last one may be left, and none is used early."""
        self.listen()
        client = self.client(2)
        for handle in range(1, 200):
            shared = client.create_buffer(handle, 8)
            self.assertEqual(shared[:], bytes(8))
            shared[:] = b"leftover"
            client.send(RESOURCE_UNREF, handle)

    def test_sizes_of_files_cannot_change(self):
        self.listen()
        client = self.client(2)
        client.send(RESOURCE_CREATE2, 1, BUFFER, FORMAT_R8, BIND_CUSTOM, 8, 1, 1, 1, 0, 0, 8)
        fd = client.read_fd()
        self.addCleanup(os.close, fd)
        for size in (0, 1 << 20):
            with self.assertRaises(PermissionError):
                os.ftruncate(fd, size)

    def test_many_resources(self):
        self.listen()
        client = self.client(2)
        for handle in range(1, 1001):
            client.create_buffer(handle, 10000).close()
        for handle in range(1, 1001):
            client.send(RESOURCE_UNREF, handle)
        client.wait_idle()
        client.create_buffer(1, 8)

    def test_numbers_of_version_3(self):
        self.listen()
        client = self.client(3)
        numbers = set()
        for _ in range(3):
            numbers.add(client.ask(RESOURCE_CREATE2, 0, BUFFER, FORMAT_R8, BIND_CUSTOM, 8, 1, 1, 1,
                                   0, 0, 8)[0])
            client.map_fd(8)
        numbers.add(client.ask(RESOURCE_CREATE, 0, BUFFER, FORMAT_R8, BIND_CUSTOM, 8, 1, 1, 1, 0,
                               0)[0])
        self.assertEqual(len(numbers), 4)
        self.assertNotIn(0, numbers)

    def test_blobs_of_shared_memory(self):
        self.listen()
        client = self.client(3)
        numbers = set()
        for size in (1, 4096, 100000):
            numbers.add(client.ask(CREATE_BLOB, 1, 1, size, 0, 0, 0)[0])
            shared = client.map_fd(size)
            self.assertEqual(shared[:], bytes(size))
            shared[:] = b"x" * size
        self.assertEqual(len(numbers), 3)
        for number in [*numbers, *numbers]:
            client.send(RESOURCE_UNREF, number)
        client.wait_idle()

    def test_two_clients_with_the_same_numbers(self):
        self.listen()
        clients = [self.client(2) for _ in range(2)]
        shared = [client.create_texture(1, 64, 64, 64 * 64 * 4) for client in clients]
        for seed, client, memory in zip((1, 2), clients, shared):
            memory[:] = pattern(seed, len(memory))
            client.put(1, 64, 64)
            client.wait_idle()
            memory[:] = bytes(len(memory))
        for seed, client, memory in zip((1, 2), clients, shared):
            client.get(1, 64, 64)
            client.wait_idle()
            self.assertEqual(memory[:], pattern(seed, len(memory)))

    def test_pieces_make_messages(self):
        self.listen()
        client = self.client(2)
        for byte in words(0, PING, 2, BUSY_WAIT, 0, WAIT):
            client.socket.sendall(bytes([byte]))
        self.assertEqual(client.read_words(2), (0, PING))
        self.assertEqual(client.read_answer(BUSY_WAIT), (0,))

    def test_messages_beyond_a_chunk(self):
        """Streams of more than the input has room for, in messages that meet all of its ends."""
        self.listen()
        client = self.client(2)
        client.create_buffer(1, 8)
        nothing = words(*([0] * 1023))  # NOPs of virgl_protocol.h: header 0
        for size in (1, 100, 1023):
            message = words(size, SUBMIT_CMD) + nothing[:4 * size]
            client.socket.sendall(message * (3 * 1024 * 1024 // len(message)))
        client.wait_idle()


class Syncs(RunTest):
    def setUp(self):
        super().setUp()
        self.listen()
        self.vtest = self.client(3)

    def is_ready(self, fd, limit=0):
        return bool(select.select([fd], [], [], limit)[0])

    def wait(self, timeout, *pairs, flags=0):
        numbers = [number for sync, value in pairs
                   for number in (sync, value & 0xffffffff, value >> 32)]
        self.assertEqual(self.vtest.ask(SYNC_WAIT, flags, timeout, *numbers), ())
        fd = self.vtest.read_fd()
        self.addCleanup(os.close, fd)
        return fd

    def test_values(self):
        sync, = self.vtest.ask(SYNC_CREATE, 5, 1)
        self.assertEqual(self.vtest.ask(SYNC_READ, sync), (5, 1))
        self.vtest.send(SYNC_WRITE, sync, 7, 2)
        self.assertEqual(self.vtest.ask(SYNC_READ, sync), (7, 2))
        self.vtest.send(SYNC_UNREF, sync)
        self.vtest.send(SYNC_READ, sync)
        self.assert_ends(self.vtest, "there is no sync object")

    def test_waits(self):
        one, = self.vtest.ask(SYNC_CREATE, 0, 0)
        two, = self.vtest.ask(SYNC_CREATE, 0, 0)
        both = self.wait(60000, (one, 1), (two, 1 << 33))
        either = self.wait(60000, (one, 1), (two, 1 << 33), flags=1)
        reached = self.wait(60000, (one, 0))
        self.assertTrue(self.is_ready(reached))
        self.assertFalse(self.is_ready(both) or self.is_ready(either))
        self.vtest.send(SYNC_WRITE, one, 1, 0)
        self.assertTrue(self.is_ready(either, LIMIT))
        self.assertFalse(self.is_ready(both))
        self.vtest.send(SYNC_WRITE, two, 0, 2)
        self.assertTrue(self.is_ready(both, LIMIT))

    def test_what_was_reached_stays_so(self):
        one, = self.vtest.ask(SYNC_CREATE, 0, 0)
        two, = self.vtest.ask(SYNC_CREATE, 0, 0)
        both = self.wait(60000, (one, 5), (two, 5))
        self.vtest.send(SYNC_WRITE, one, 5, 0)
        self.vtest.send(SYNC_WRITE, one, 0, 0)
        self.assertEqual(self.vtest.ask(SYNC_READ, one), (0, 0))
        self.assertFalse(self.is_ready(both))
        self.vtest.send(SYNC_WRITE, two, 7, 0)
        self.assertTrue(self.is_ready(both, LIMIT))

    def test_times_that_are_over(self):
        """Nobody looks at such a descriptor any more, and none is kept for it."""
        sync, = self.vtest.ask(SYNC_CREATE, 0, 0)
        over = self.wait(0, (sync, 1))
        self.vtest.send(SYNC_WRITE, sync, 1, 0)
        self.assertEqual(self.vtest.ask(SYNC_READ, sync), (1, 0))
        self.assertFalse(self.is_ready(over))
        self.assertTrue(self.is_ready(self.wait(0, (sync, 1))))

    def test_many_waits(self):
        sync, = self.vtest.ask(SYNC_CREATE, 0, 0)
        for _ in range(5000):
            self.assertEqual(self.vtest.ask(SYNC_WAIT, 0, 0, sync, 1, 0), ())
            os.close(self.vtest.read_fd())

    def test_many_objects(self):
        for _ in range(3):
            syncs = [self.vtest.ask(SYNC_CREATE, 0, 0)[0] for _ in range(5000)]
            self.assertEqual(len(set(syncs)), len(syncs))
            for sync in syncs:
                self.vtest.send(SYNC_UNREF, sync)

    def test_let_go_of_before_it_is_set(self):
        """As long as a batch is to set it, whoever waits for it will see that."""
        sync, = self.vtest.ask(SYNC_CREATE, 0, 0)
        fd = self.wait(2 ** 32 - 1, (sync, 1))
        daemon = children_of(children_of(self.server.pid)[0])[0]
        os.kill(daemon, signal.SIGSTOP)
        try:
            self.vtest.send(SUBMIT_CMD2, 1, 1, 9, 0, 9, 1, 0, 0, 0, sync, 1, 0)
            self.vtest.send(SYNC_UNREF, sync)
            self.vtest.ask(SYNC_CREATE, 0, 0)
            self.assertFalse(self.is_ready(fd))
        finally:
            os.kill(daemon, signal.SIGCONT)
        self.assertTrue(self.is_ready(fd, LIMIT))

    def test_batches_set_them(self):
        """At once, or with a queue when the GPU is done: nobody asks meanwhile."""
        at_once, = self.vtest.ask(SYNC_CREATE, 0, 0)
        later, = self.vtest.ask(SYNC_CREATE, 0, 0)
        fd = self.wait(2 ** 32 - 1, (later, 9))
        self.vtest.send(SUBMIT_CMD2, 2,
                        0, 17, 1, 18, 1, 0, 0, 0,
                        1, 17, 1, 21, 1, 3, 0, 0,
                        0, at_once, 4, 0, later, 9, 0)
        self.assertTrue(self.is_ready(fd, LIMIT))
        self.assertEqual(self.vtest.ask(SYNC_READ, at_once), (4, 0))
        self.assertEqual(self.vtest.ask(SYNC_READ, later), (9, 0))

    def test_batches_outside_their_message(self):
        for batch in ((0, 9, 2, 0, 0, 0, 0, 0), (0, 2 ** 32 - 1, 2, 0, 0, 0, 0, 0),
                      (0, 9, 0, 9, 2 ** 31, 0, 0, 0), (1, 9, 0, 9, 0, 64, 0, 0),
                      (2, 9, 0, 9, 0, 0, 0, 0)):
            client = self.client(3)
            client.send(SUBMIT_CMD2, 1, *batch)
            self.assertTrue(client.is_closed(), batch)
        client = self.client(3)
        client.send(SUBMIT_CMD2, 2 ** 31)
        self.assert_ends(client, "more batches than there is room for")

    def test_batches_of_unknown_objects(self):
        for flags in (0, 1):
            client = self.client(3)
            client.send(SUBMIT_CMD2, 1, flags, 9, 0, 9, 1, 0, 0, 0, 77, 1, 0)
            self.assert_ends(client, "there is no sync object (77)")

    def test_bad_waits(self):
        for numbers in ((0, 0, 1), (0, 0, 99, 0, 0), (0,)):
            client = self.client(3)
            client.send(SYNC_WAIT, *numbers)
            self.assertTrue(client.is_closed(), numbers)


class Refusals(RunTest):
    def setUp(self):
        super().setUp()
        self.listen()

    def refused(self, text, *message, version=2):
        client = self.client(version)
        client.send(*message)
        self.assert_ends(client, text)

    def test_no_name_first(self):
        client = self.client(name=None)
        client.send(PING)
        self.assert_ends(client, "does not begin with its name")

    def test_a_name_that_is_too_long(self):
        client = self.client(name=None)
        client.socket.sendall(words(2 ** 31, CREATE_RENDERER))
        self.assert_ends(client, "does not begin with its name")

    def test_a_name_with_control_bytes(self):
        client = self.client(name=b"a\x1b[2Jb\n\0")
        client.send(99)
        self.assert_ends(client, "client a?[2Jb?: there is no command")

    def test_a_second_name(self):
        self.refused("there is no command of the number (8)", CREATE_RENDERER)

    def test_unknown_commands(self):
        for number in (0, 25, 38, 2 ** 32 - 1):
            self.refused(f"number ({number})", number)

    def test_streams(self):
        self.refused("too long", SUBMIT_CMD, *([0] * 200000))
        client = self.client(2)
        client.send(SUBMIT_CMD, 0xffffffff)  # an unknown command of a length beyond the stream
        client.send(BUSY_WAIT, 0, WAIT)
        self.assert_ends(client, "the daemon refused SUBMIT_3D")

    def test_resources(self):
        texture = (TEXTURE_2D, FORMAT_BGRA, BIND_RENDER_TARGET)
        self.refused("in use", RESOURCE_CREATE, 0, *texture, 4, 4, 1, 1, 0, 0)
        self.refused("with a number", RESOURCE_CREATE, 7, *texture, 4, 4, 1, 1, 0, 0, version=3)
        client = self.client(2)
        client.create_buffer(3, 8)
        client.send(RESOURCE_CREATE, 3, *texture, 4, 4, 1, 1, 0, 0)
        self.assert_ends(client, "in use")
        client = self.client(2)
        client.send(RESOURCE_CREATE, 3, 77, 9999, 0, 4, 4, 1, 1, 0, 0)
        client.send(BUSY_WAIT, 0, WAIT)
        self.assert_ends(client, "the daemon refused RESOURCE_CREATE_3D")

    def test_unref_of_none_is_ignored(self):
        client = self.client(2)
        client.send(RESOURCE_UNREF, 42)
        client.wait_idle()

    def test_transfers(self):
        box = (0, 0, 0, 4, 4, 1)
        self.refused("resource (5)", TRANSFER_GET2, 5, 0, *box, 0, 0)
        self.refused("resource (5)", TRANSFER_PUT, 5, 0, 16, 0, *box, 64)
        client = self.client(2)
        client.create_buffer(1, 8)
        client.send(TRANSFER_PUT2, 1, 0, 0, 0, 0, 4, 1, 1, 4, 8)
        self.assert_ends(client, "memory that is not there")

    def test_a_box_outside_is_the_clients_own_fault(self):
        """As with virgl_test_server it is told in the log, and the client goes on."""
        client = self.client(2)
        client.create_texture(1, 64, 64, 64 * 64 * 4)
        client.put(1, 65, 64)
        client.wait_idle()
        wait_for("a word", lambda: "refused TRANSFER_TO_HOST_3D" in self.log())

    def test_blobs(self):
        for text, blob in (("unknown type (4)", (4, 1, 4096, 0, 0, 0)),
                           ("unknown type (0)", (0, 1, 4096, 0, 0, 0)),
                           ("impossible size", (1, 1, 0, 0, 0, 0)),
                           ("impossible size", (2, 1, 2 ** 32 - 1, 2 ** 32 - 1, 0, 0)),
                           ("--max-memory", (1, 1, 3 << 30, 0, 0, 0)),
                           ("less than 4 GiB", (3, 1, 0, 1, 0, 0))):
            self.refused(text, CREATE_BLOB, *blob, version=3)

    def test_a_blob_of_a_daemon_without_vulkan(self):
        """What the client gets cannot be mapped, and it goes on."""
        client = self.client(3)
        number, = client.ask(CREATE_BLOB, 2, 1, 4096, 0, 0, 0)
        with self.assertRaises(OSError):
            client.map_fd(4096)
        self.assertIn("lends no memory", self.log())
        client.send(RESOURCE_UNREF, number)
        client.wait_idle()

    def test_context_init(self):
        self.refused("CONTEXT_INIT", CONTEXT_INIT, 0, version=3)
        client = self.client(3)
        client.send(CONTEXT_INIT, 4)
        client.send(SUBMIT_CMD, 0)
        client.send(BUSY_WAIT, 0, WAIT)
        self.assert_ends(client, "the daemon refused CTX_CREATE")

    def test_a_client_that_leaves_in_the_middle(self):
        client = self.client(2)
        client.socket.sendall(words(100, SUBMIT_CMD, 0))
        client.close()
        wait_for("a word", lambda: "hung up in the middle" in self.log())

    def test_others_do_not_notice(self):
        good = self.client(2)
        shared = good.create_texture(1, 64, 64, 64 * 64 * 4)
        shared[:] = pattern(1, len(shared))
        self.refused("too long", SUBMIT_CMD, *([0] * 200000))
        good.put(1, 64, 64)
        good.wait_idle()
        good.get(1, 64, 64)
        good.wait_idle()
        self.assertEqual(shared[:], pattern(1, len(shared)))


class Server(RunTest):
    def processes(self):
        """Of the server's, all that live."""
        return len(children_of(self.server.pid))

    def test_mode(self):
        self.listen()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_other_users_are_turned_away(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be another user")
        self.listen()
        os.chmod(self.folder, 0o755)
        os.chmod(self.path, 0o666)
        code = ("import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
                f"s.connect({self.path!r}); s.settimeout({LIMIT}); sys.exit(len(s.recv(1)))")
        self.assertEqual(subprocess.run(["python3", "-c", code], timeout=START_LIMIT,
                                        check=False).returncode, 0)
        self.assertIn("a client of user 65534 is turned away", self.log())

    def test_too_many_clients(self):
        self.listen("--max-clients=1")
        first = self.client(2)
        self.assertTrue(self.client(name=b"").is_closed())
        self.assertIn("--max-clients", self.log())
        first.close()
        wait_for("the first to end", lambda: self.processes() == 0)
        self.client(2)

    def test_memory_is_bounded(self):
        self.listen("--max-memory=8M")
        client = self.client(2)
        client.create_buffer(1, 3000000)
        client.send(RESOURCE_CREATE2, 2, BUFFER, FORMAT_R8, BIND_CUSTOM, 6000000, 1, 1, 1, 0, 0,
                    6000000)
        self.assert_ends(client, "--max-memory")

    def test_processes_end_with_their_clients(self):
        self.listen()
        clients = [self.client(2) for _ in range(3)]
        clients[0].create_buffer(1, 8)
        self.assertEqual(self.processes(), 3)
        for client in clients:
            client.close()
        wait_for("the processes to end", lambda: self.processes() == 0)

    def test_it_ends_by_a_signal_and_removes_its_socket(self):
        self.listen()
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(LIMIT), 0)
        self.assertFalse(Path(self.path).exists())

    def test_a_socket_that_was_left_is_replaced(self):
        left = socket.socket(socket.AF_UNIX)
        left.bind(self.path)
        left.close()
        self.listen()
        self.client(2)

    def test_a_socket_in_use_is_not_replaced(self):
        self.listen()
        done = subprocess.run([RUN, f"--listen={self.path}"], capture_output=True, text=True,
                              timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn("Address already in use", done.stderr)
        self.client(2)

    def test_a_daemon_that_dies(self):
        self.listen()
        client = self.client(2)
        client.create_buffer(1, 8)
        daemon = self.daemon_of_a_client()
        os.kill(daemon, signal.SIGKILL)
        client.send(SUBMIT_CMD, 0)
        client.send(BUSY_WAIT, 0, WAIT)
        self.assert_ends(client, "the daemon has ended")
        self.client(2)

    def daemon_of_a_client(self):
        return children_of(children_of(self.server.pid)[0])[0]

    def test_a_daemon_that_is_there(self):
        """It serves one client at a time, and the next when that has gone."""
        self.start_listening("--capset=virgl")
        self.start_server(f"--daemon={self.socket_path}")
        first = self.client(2)
        self.assertTrue(self.client(name=b"second\0").is_closed())
        first.create_buffer(1, 8)
        first.close()
        wait_for("the daemon to be free", lambda: self.processes() == 0)
        self.client(2).create_buffer(1, 8)

    def test_a_daemon_without_opengl(self):
        self.start_listening()
        self.start_server(f"--daemon={self.socket_path}")
        self.assert_ends(self.client(), "--capset=virgl")


class Programs(daemonlib.DaemonTest):
    def run_program(self, *arguments, **named):
        return subprocess.run([RUN, *arguments], capture_output=True, text=True, check=False,
                              timeout=START_LIMIT, **named)

    def test_exit_statuses(self):
        for arguments, status in ((("sh", "-c", "exit 7"), 7), (("sh", "-c", "kill -9 $$"), 137),
                                  (("/nonexistent",), 127), (("/etc/passwd",), 126), ((), 125),
                                  (("--no-such-option",), 125), (("--help",), 0),
                                  (("--daemon=x", "--gpu=0", "true"), 125),
                                  (("--client-driver=/etc/passwd", "true"), 125)):
            done = self.run_program(*arguments)
            self.assertEqual(done.returncode, status, (arguments, done.stderr))

    def test_options_of_the_program_are_its_own(self):
        self.assertEqual(self.run_program("sh", "-c", "echo $0", "--help").stdout, "--help\n")

    def test_environment(self):
        printed = self.run_program("--print-env", "--listen=/run/x").stdout.splitlines()
        self.assertIn("VTEST_SOCKET_NAME=/run/x", printed)
        self.assertIn("GALLIUM_DRIVER=virpipe", printed)
        self.assertNotIn("VN_DEBUG=vtest", printed)
        seen = self.run_program("env").stdout.splitlines()
        for line in printed:
            self.assertIn(line.split("=")[0], [one.split("=")[0] for one in seen])

    def vulkan_variables(self, *options, **environment):
        driver = self.folder / "driver.json"
        driver.touch()
        done = self.run_program("--vulkan", f"--client-driver={driver}", *options, "env",
                                env={**os.environ, **environment})
        seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
            self.assertEqual(seen[name], str(driver))
        self.assertIn("VTEST_SOCKET_NAME", seen)
        return seen

    def test_environment_of_vulkan(self):
        self.assertEqual(self.vulkan_variables()["VN_DEBUG"], "vtest")
        self.assertEqual(self.vulkan_variables(VN_DEBUG="init")["VN_DEBUG"], "init,vtest")
        self.assertEqual(self.vulkan_variables(VN_DEBUG="vtest,init")["VN_DEBUG"], "vtest,init")
        self.assertNotIn("GALLIUM_DRIVER", self.vulkan_variables())
        self.assertEqual(self.vulkan_variables("--gl")["GALLIUM_DRIVER"], "virpipe")

    def test_no_vulkan_driver_for_the_program(self):
        done = self.run_program("--vulkan", "--client-driver=/nonexistent.json", "true")
        self.assertEqual(done.returncode, 125)
        self.assertIn("/nonexistent.json: No such file", done.stderr)
        if not list(Path("/usr/share/vulkan/icd.d").glob("virtio_icd.*.json")):
            done = self.run_program("--vulkan", "true")
            self.assertEqual(done.returncode, 125)
            self.assertIn("mesa-vulkan-drivers", done.stderr)

    def test_the_socket_goes_with_the_program(self):
        path = self.run_program("sh", "-c", "test -S $VTEST_SOCKET_NAME && echo $VTEST_SOCKET_NAME")
        self.assertNotEqual(path.stdout, "")
        self.assertFalse(Path(path.stdout.strip()).parent.exists())

    def test_old_path(self):
        """Mesa before 23.1 knows this path only: the program, and nobody else, sees our socket there."""
        script = "stat -Lc %i /tmp/.virgl_test $VTEST_SOCKET_NAME"
        done = self.run_program("--log-level=info", "sh", "-c", script)
        if "no namespace" in done.stderr:
            self.skipTest(done.stderr.strip())
        there, ours = done.stdout.split()
        self.assertEqual(there, ours)
        self.assertFalse(stat.S_ISSOCK(os.stat("/tmp/.virgl_test").st_mode) and
                         os.stat("/tmp/.virgl_test").st_ino == int(ours))

    def test_signals_are_handed_on(self):
        process = subprocess.Popen([RUN, "sh", "-c", "trap 'exit 5' TERM; echo ready; "
                                    "while :; do sleep 0.05; done"], stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.terminate()
        self.assertEqual(process.wait(LIMIT), 5)
        process.stdout.close()


if __name__ == "__main__":
    daemonlib.main()
