# SPDX-License-Identifier: MIT
"""Vulkan programs, unmodified, through virtio-gpu-run, and what it answers to a client of Venus.

The daemon, its render server with lavapipe, and the programs run in the Vulkan root
(tests/vm/vmlib/vulkanroot.py). The programs' only Vulkan driver is Mesa's virtio, so that nothing is
drawn in software of their own unnoticed."""

import json
import mmap
import os
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "protocol"), str(HERE.parent / "vm")]

# pylint: disable=wrong-import-position
import daemonlib  # noqa: E402
import test_run_vtest as vtest  # noqa: E402
from daemonlib import CTL, wait_for  # noqa: E402
from vmlib import picture, vulkanroot  # noqa: E402

BUILD = Path(os.environ.get("BUILD", "build")).absolute()
RUN = vtest.RUN
LIMIT = 120
VENUS = 4  # capset
GUEST, HOST3D, HOST3D_GUEST = 1, 2, 3
MAPPABLE = 1


class VulkanTest(vtest.RunTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = vulkanroot.vulkanroot()

    def setUp(self):
        super().setUp()
        self.daemon = str(self.folder / "daemon")
        words = shlex.join(self.root.command(BUILD / "virtio-gpud"))
        Path(self.daemon).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        os.chmod(self.daemon, 0o755)

    def options(self, *more):
        return ["--vulkan", f"--daemon-program={self.daemon}",
                f"--render-server={self.root.render_server}",
                f"--vulkan-driver={self.root.driver('lvp')}", *more]


class Shrinker:
    """Stands between a client and the server, and makes a page of each blob of Vulkan's memory."""

    def __init__(self, path, server):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._server = server
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.close()

    def _serve(self):
        with self._listener.accept()[0] as client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._server)
            answers = threading.Thread(target=self._forward_answers, args=(server, client))
            answers.start()
            with client.makefile("rb") as stream:
                self._forward_commands(stream, server)
            server.shutdown(socket.SHUT_RDWR)
            answers.join()

    @staticmethod
    def _forward_commands(stream, server):
        while head := stream.read(8):
            length, command = struct.unpack("<2I", head)
            body = stream.read(length if command == vtest.CREATE_RENDERER else length * 4)
            if command == vtest.CREATE_BLOB:
                memory, flags, *size, number, high = struct.unpack("<6I", body)
                if number:
                    size = 4096, 0
                body = vtest.words(memory, flags, *size, number, high)
            server.sendall(head + body)

    @staticmethod
    def _forward_answers(server, client):
        """By the byte, or a descriptor would come with others than its own."""
        while True:
            data, fds, _, _ = socket.recv_fds(server, 1, 4)
            if not data:
                client.shutdown(socket.SHUT_RDWR)
                return
            socket.send_fds(client, [data], fds)
            for fd in fds:
                os.close(fd)


class Programs(VulkanTest):
    def environment(self):
        return {name: value for name, value in self.root.environment().items()
                if not name.startswith("VK_") and name not in ("DISPLAY", "WAYLAND_DISPLAY")}

    def run_program(self, *words, options=(), status=0):
        """Runs it to its end; returns its output."""
        done = subprocess.run(
            [RUN, *self.options(f"--client-driver={self.root.driver('virtio')}", *options), "--",
             *words], env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT,
            check=False)
        self.assertEqual(done.returncode, status, done.stdout[-4000:])
        return done.stdout

    def own_program(self, name):
        return self.root.command(BUILD / "tests/run" / name)

    def assert_venus(self, output):
        """A program of ours names the device and the driver that it uses."""
        self.assertRegex(output, r"(?m)^device: Virtio-GPU Venus \(llvmpipe")
        self.assertRegex(output, r"(?m)^driver: venus")

    def test_vulkaninfo(self):
        output = self.run_program(self.root.program("vulkaninfo"), "--summary")
        names = re.findall(r"deviceName\s*= (.+)", output)
        self.assertEqual(len(names), 1, output)
        self.assertRegex(names[0], r"^Virtio-GPU Venus \(llvmpipe")
        self.assertIn("DRIVER_ID_MESA_VENUS", output)

    def test_all_that_vulkaninfo_asks_for(self):
        self.assertIn("VkPhysicalDeviceMemoryProperties",
                      self.run_program(self.root.program("vulkaninfo")))

    def test_computed_in_mapped_memory(self):
        """Read back is what the driver wrote, by a pointer into its memory."""
        output = self.run_program(*self.own_program("vk_compute"))
        self.assert_venus(output)
        for part in ("memory", "copy", "image"):
            self.assertRegex(output, rf"(?m)^{part}: .*right")

    def test_drawn_picture(self):
        """To the last bit, what the same driver draws natively."""
        program = self.own_program("vk_draw")
        drawn, native = self.folder / "drawn.ppm", self.folder / "native.ppm"
        output = self.run_program(*program, "--size=320x240", f"--output={drawn}")
        self.assert_venus(output)
        subprocess.run([*program, "--size=320x240", f"--output={native}"],
                       env=self.root.environment(), stdout=subprocess.DEVNULL, timeout=LIMIT,
                       check=True)
        pictures = [picture.read_ppm(path) for path in (drawn, native)]
        self.assertGreater(pictures[0].colours(), 100)
        self.assertTrue(pictures[0] == pictures[1], "another picture")

    def test_too_little_memory(self):
        """Vulkan's error reaches the program, which ends by itself (and not by a signal)."""
        output = self.run_program(*self.own_program("vk_draw"), "--size=1024x1024", status=2,
                                  options=("--max-memory=8M",))
        self.assertRegex(output, r"vk_draw: vk[A-Za-z]+ failed")

    def test_limit_of_vulkan_memory(self):
        """Mesa's driver does not wait for the answer to an allocation unless it is told to: without that the
        program sees at its next step that there is no memory."""
        program = self.own_program("vk_compute") + ["--words=1000000", "copy"]
        waiting = ["env", "VN_PERF=no_async_mem_alloc", *program]
        for words, call in ((waiting, r"vkAllocateMemory failed \(-2\)"),
                            (program, r"vkMapMemory failed")):
            output = self.run_program(*words, status=2, options=("--max-vulkan-memory=5M",))
            self.assertRegex(output, rf"vk_compute: {call}")
            self.assertIn("no room for 4063232 bytes of Vulkan memory: of the VM's 5242880 "
                          "(--max-vulkan-memory)", output)
        output = self.run_program(*waiting, options=("--max-vulkan-memory=32M",))
        self.assertRegex(output, r"(?m)^copy: .*right")
        self.assertNotIn("no room", output)

    def test_limit_is_told(self):
        output = self.run_program(self.root.program("vulkaninfo"),
                                  options=("--max-vulkan-memory=100M",))
        self.assertRegex(output, r"memoryHeaps\[0\]:\s+size\s*= 104857600 ")

    def compute_in_shrunk_blobs(self, *options):
        """32 MB that are a blob of 4 KiB; returns what is said, of the program and of the server."""
        self.start_server(*self.options(*options))
        shrinker = Shrinker(str(self.folder / "shrunk.sock"), self.path)
        self.addCleanup(shrinker.close)
        done = subprocess.run(
            [*self.own_program("vk_compute"), "--words=8000000", "memory"],
            env={**self.environment(), "VN_DEBUG": "vtest",
                 "VTEST_SOCKET_NAME": str(self.folder / "shrunk.sock"),
                 "VK_DRIVER_FILES": self.root.driver("virtio")},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LIMIT, check=False)
        return done.stdout + self.log()

    def test_a_blob_counts_for_its_memory(self):
        """It keeps all of it, whatever the guest says of its size."""
        said = self.compute_in_shrunk_blobs("--max-memory=24M")
        self.assertIn("vkMapMemory failed", said)
        self.assertIn("refused RESOURCE_CREATE_BLOB: out of memory", said)

    def test_a_blob_of_memory_that_there_is_room_for(self):
        self.assertRegex(self.compute_in_shrunk_blobs("--max-memory=64M"),
                         r"(?m)^memory: .*right")

    def test_limit_that_nothing_would_keep(self):
        done = subprocess.run(
            [self.daemon, f"--socket-path={self.socket_path}", "--venus",
             f"--render-server={self.root.render_server}",
             f"--vulkan-driver={self.root.driver('lvp')}", "--max-vulkan-memory=100M"],
            env={**self.environment(), "VK_LOADER_LAYERS_DISABLE": "~all~"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("the limit of --max-vulkan-memory would not be kept: the Vulkan loader does "
                      "not load virtio-gpud's memory layer", done.stdout)

    def test_many_frames(self):
        self.assert_venus(self.run_program(*self.own_program("vk_draw"), "--frames=200"))

    def test_opengl_beside_it(self):
        """One program with both: its OpenGL goes by VirGL, its Vulkan by Venus."""
        script = f"{self.root.program('eglinfo')} -B; {self.root.program('vulkaninfo')} --summary"
        output = self.run_program("sh", "-c", script, options=("--gl",))
        self.assertRegex(output, r"renderer(?: string)?: virgl \(")
        self.assertIn("DRIVER_ID_MESA_VENUS", output)


class Answers(VulkanTest):
    """What a client of Venus is told."""

    def listen(self, *options):
        self.start_server(*self.options(*options))

    def venus(self):
        client = self.client(3)
        client.send(vtest.CONTEXT_INIT, VENUS)
        return client

    def blob(self, client, size, kind=HOST3D, memory=0):
        number, = client.ask(vtest.CREATE_BLOB, kind, MAPPABLE, size, 0, memory, 0)
        return number, client.read_fd()

    def processes_below(self, pid):
        """All that it started, and these, by their names."""
        found = {}
        for child in vtest.children_of(pid):
            name = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            found[child] = name
            found.update(self.processes_below(child))
        return found

    def render_server(self):
        return wait_for("a render server", lambda: [
            pid for pid, name in self.processes_below(self.server.pid).items()
            if "libexec/virgl_render_server" in name])[0]

    def assert_lost(self, client):
        """What is no command ends its context, which the render server tells when it likes."""
        with self.assertRaises(OSError):
            for _ in range(100000):
                client.send(vtest.SUBMIT_CMD, *([0xffffffff] * 8))
                client.wait_idle()
        self.assertIn("the daemon refused SUBMIT_3D", self.log())

    def test_capset(self):
        self.listen()
        known, *capset = self.client(3).ask(vtest.GET_CAPSET, VENUS, 0)
        self.assertEqual(known, 1)
        self.assertNotEqual(capset[0], 0, "version of the wire's format")

    def test_memory(self):
        """The renderer's own memory: as large as asked for, and nobody else's."""
        self.listen()
        client = self.venus()
        numbers = set()
        for size in (1, 4096, 131200):
            number, fd = self.blob(client, size)
            self.addCleanup(os.close, fd)
            numbers.add(number)
            with mmap.mmap(fd, size) as memory:
                self.assertEqual(memory[:], bytes(size))
                memory[:] = b"x" * size
            with self.assertRaises(PermissionError):  # the daemon reads it, too
                os.ftruncate(fd, 0)
        self.assertEqual(len(numbers), 3)
        for number in (*numbers, *numbers, 77):
            client.send(vtest.RESOURCE_UNREF, number)
        client.wait_idle()

    def test_more_memory_than_can_be_mapped(self):
        """Mapped is one at a time: neither the VMM's limit nor the window's size counts."""
        self.listen("--host-visible=16M")
        client = self.venus()
        numbers = []
        for _ in range(600):
            number, fd = self.blob(client, 1 << 20)
            os.close(fd)
            numbers.append(number)
        for number in numbers:
            client.send(vtest.RESOURCE_UNREF, number)
        client.wait_idle()

    def test_memory_that_is_let_go_of_at_once(self):
        self.listen()
        client = self.venus()
        for _ in range(200):
            number, fd = self.blob(client, 4096)
            os.close(fd)
            client.send(vtest.RESOURCE_UNREF, number)
        client.wait_idle()
        self.assertNotIn("refused", self.log())

    def test_memory_that_cannot_be_had(self):
        """Instead of its file comes one that cannot be mapped."""
        self.listen("--host-visible=16M")
        client = self.venus()
        for text, flags, size, memory in (
                ("the daemon refused RESOURCE_CREATE_BLOB: ", MAPPABLE, 4096, 77),
                ("the daemon refused RESOURCE_CREATE_BLOB: a number", 0xff, 4096, 0),
                ("the daemon refused RESOURCE_CREATE_BLOB: out of memory", MAPPABLE, 15 << 30, 0),
                ("larger than the daemon's window", MAPPABLE, 17 << 20, 0)):
            number, = client.ask(vtest.CREATE_BLOB, HOST3D, flags, size & 0xffffffff, size >> 32,
                                 memory, 0)
            with self.assertRaises(OSError):
                client.map_fd(4096)
            client.send(vtest.RESOURCE_UNREF, number)
            client.wait_idle()
            self.assertIn(text, self.log())
        os.close(self.blob(client, 4096)[1])

    def test_another_context(self):
        self.listen()
        client = self.venus()
        client.send(vtest.CONTEXT_INIT, VENUS)
        client.wait_idle()
        client.send(vtest.CONTEXT_INIT, 2)
        self.assert_ends(client, "CONTEXT_INIT")

    def test_rings(self):
        """A ring's fence sets the object; 0 is the processor's."""
        self.listen()
        client = self.venus()
        sync, = client.ask(vtest.SYNC_CREATE, 0, 0)
        self.assertEqual(client.ask(vtest.SYNC_WAIT, 0, 2 ** 32 - 1, sync, 3, 0), ())
        fd = client.read_fd()
        self.addCleanup(os.close, fd)
        client.send(vtest.SUBMIT_CMD2, 1, 1, 9, 0, 9, 1, 0, 0, 0, sync, 3, 0)
        self.assertTrue(select.select([fd], [], [], daemonlib.LIMIT)[0])
        self.assertEqual(client.ask(vtest.SYNC_READ, sync), (3, 0))

    def test_a_ring_that_no_queue_has(self):
        self.listen()
        client = self.venus()
        sync, = client.ask(vtest.SYNC_CREATE, 0, 0)
        client.send(vtest.SUBMIT_CMD2, 1, 1, 9, 0, 9, 1, 63, 0, 0, sync, 3, 0)
        client.send(vtest.BUSY_WAIT, 0, vtest.WAIT)
        self.assert_ends(client, "the daemon refused SUBMIT_3D")

    def test_commands_that_are_none(self):
        self.listen()
        client = self.venus()
        self.assert_lost(client)
        self.blob(self.venus(), 4096)

    def test_a_render_server_that_dies(self):
        self.listen()
        client = self.venus()
        self.blob(client, 4096)
        os.kill(self.render_server(), signal.SIGKILL)
        self.assert_lost(client)
        self.blob(self.venus(), 4096)

    def test_nothing_is_left_of_a_client(self):
        daemon = subprocess.Popen(
            [self.daemon, f"--socket-path={self.socket_path}", f"--control={self.control_path}",
             "--capset=venus", f"--render-server={self.root.render_server}",
             f"--vulkan-driver={self.root.driver('lvp')}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        wait_for("the daemon", lambda: Path(self.socket_path).exists())
        self.start_server("--vulkan", f"--daemon={self.socket_path}")
        def descriptors():
            return len(os.listdir(f"/proc/{daemon.pid}/fd"))

        after_first = 0
        for _ in range(3):
            client = self.venus()
            client.ask(vtest.SYNC_CREATE, 0, 0)
            for _ in range(20):
                os.close(self.blob(client, 100000)[1])
            client.close()
            wait_for("the client's process to end",
                     lambda: not vtest.children_of(self.server.pid))
            wait_for("the daemon to be free", lambda: json.loads(subprocess.run(
                [CTL, "--socket", self.control_path, "--json", "stats"], capture_output=True,
                check=True).stdout)["vm"] is None)
            # The render server may stay, but not the process of the client's context.
            wait_for("the context's process to end",
                     lambda: len(self.processes_below(daemon.pid)) <= 1)
            after_first = after_first or descriptors()
        # The daemon may be a while behind: with what a client of its control socket had, too.
        wait_for("no more descriptors than after the first client",
                 lambda: descriptors() <= after_first)


if __name__ == "__main__":
    daemonlib.main()
