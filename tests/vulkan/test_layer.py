# SPDX-License-Identifier: MIT
"""The memory layer in the render server, under Mesa's Venus: what the layer is for, without our daemon.

virglrenderer's own test server (virgl_test_server --venus) carries Vulkan from programs of tests/run to
lavapipe, with the layer and without it. All of it but the programs and the layer is in the Vulkan root
(tests/vm/vmlib/vulkanroot.py), which is fetched when it is missing."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "protocol"), str(HERE.parent / "vm")]

import daemonlib  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.vulkanroot import vulkanroot  # noqa: E402 pylint: disable=wrong-import-position

BUILD = Path(os.environ.get("BUILD", "build")).absolute()
LAYER = {"VK_LAYER_PATH": str(BUILD / "src/vulkan_layer"),
         "VK_INSTANCE_LAYERS": "VK_LAYER_VIRTIO_GPUD_exportable_memory",
         # Where there is /dev/udmabuf lavapipe needs no layer: it is the layer that is tested.
         "VIRTIO_GPUD_MEMORY_LAYER": "always"}
LIMIT = 60  # a program takes a second on an idle machine


class Server:
    """virgl_test_server with one client at a time."""

    def __init__(self, root, folder, environment):
        self.socket = folder / "vtest.sock"
        self._log = folder / "server.log"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [root.program("virgl_test_server"), "--venus", "--no-virgl",
                 f"--socket-path={self.socket}"],
                env={**root.environment(), "RENDER_SERVER_EXEC_PATH": root.render_server,
                     **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self):
        daemonlib.wait_for("the test server", lambda: daemonlib.is_listening(self.socket))

    @property
    def log(self):
        return self._log.read_text(errors="replace")

    def end(self):
        self._process.terminate()
        self._process.wait(daemonlib.LIMIT)


class Layer(daemonlib.DaemonTest):
    def setUp(self):
        super().setUp()
        self.root = vulkanroot()

    def serve(self, environment):
        server = Server(self.root, self.folder, environment)
        self.addCleanup(server.end)
        server.wait()
        return server

    def client(self, server, *program):
        """A program that has no other Vulkan driver than Mesa's virtio."""
        environment = {**self.root.environment(), "VN_DEBUG": "vtest",
                       "VTEST_SOCKET_NAME": str(server.socket),
                       "VK_DRIVER_FILES": self.root.driver("virtio")}
        words = [*self.root.command(BUILD / "tests/run" / program[0]), *program[1:]]
        return subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run_program(self, server, *program):
        process = self.client(server, *program)
        try:
            output, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 0, f"{output}\nthe server: {server.log}")
        self.assertIn("driver: venus", output)
        self.assertIn("llvmpipe", output)
        return output

    def test_programs_see_what_the_device_wrote(self):
        output = self.run_program(self.serve(LAYER), "vk_compute")
        for part in ("memory", "copy", "image"):
            self.assertRegex(output, rf"(?m)^{part}: .*right")

    def test_one_program_after_another(self):
        server = self.serve(LAYER)
        for _ in range(3):
            self.assertIn("pixels right", self.run_program(server, "vk_draw", "--frames=5"))

    def test_without_the_layer_nothing_can_be_mapped(self):
        """So the layer is what makes the other tests pass."""
        if os.access("/dev/udmabuf", os.R_OK | os.W_OK):
            self.skipTest("with /dev/udmabuf lavapipe hands out dma-bufs by itself")
        server = self.serve({})
        process = self.client(server, "vk_compute")
        try:
            # Mesa's driver waits for ever for memory that is refused.
            daemonlib.wait_for("a refusal", lambda: "failed (-22)" in server.log, LIMIT)
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    daemonlib.main()
