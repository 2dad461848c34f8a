# SPDX-License-Identifier: MIT
"""Ordinary GL programs of Debian, unmodified, through virtio-gpu-run.

Each must name virgl, on the host's driver, as its renderer: a program that fell back to the
client's own llvmpipe would draw as well. What it drew is looked at in the X server's frame buffer,
or by the program's own validation."""

import os
import re
import shutil
import struct
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))

import daemonlib  # noqa: E402 pylint: disable=wrong-import-position
from daemonlib import wait_for  # noqa: E402 pylint: disable=wrong-import-position

RUN = os.path.abspath(os.environ.get("VIRTIO_GPU_RUN", "build/virtio-gpu-run"))
LIMIT = 120  # glmark2's scenes take 7 s on an idle machine
VIRGL = r"virgl \(.+\)"
PACKAGES = {"Xvfb": "xvfb", "glmark2": "glmark2-x11", "glmark2-es2": "glmark2-es2-x11"}


class Screen:
    """An X server whose frame buffer is a file (X's window dump format, XWDFile.h)."""

    def __init__(self, folder):
        self._file = folder / "Xvfb_screen0"
        reader, writer = os.pipe()
        with open(folder / "xvfb.log", "wb") as log:
            self.process = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten",
                 "tcp", "-fbdir", str(folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writer])
        os.close(writer)
        with open(reader, encoding="ascii") as answer:
            number = answer.readline().strip()
        if not number:
            self.end()
            raise AssertionError("Xvfb did not start: " + (folder / "xvfb.log").read_text())
        self.display = f":{number}"

    def colours(self):
        """How often each colour (red, green, blue) is on the screen."""
        data = self._file.read_bytes()
        header = struct.unpack_from(">25I", data)
        size, width, height, stride, entries = (header[index] for index in (0, 4, 5, 12, 19))
        counts = {}
        pixels = size + entries * 12
        for row in range(height):
            start = pixels + row * stride
            for pixel in struct.unpack_from(f"<{width}I", data, start):
                counts[pixel & 0xffffff] = counts.get(pixel & 0xffffff, 0) + 1
        return {(pixel >> 16, pixel >> 8 & 255, pixel & 255): count
                for pixel, count in counts.items()}

    def end(self):
        self.process.terminate()
        self.process.wait(daemonlib.LIMIT)


class Programs(daemonlib.DaemonTest):
    def need(self, *programs):
        for program in programs:
            if shutil.which(program) is None:
                self.skipTest(f"{program} is not installed (Debian's package "
                              f"{PACKAGES.get(program, 'mesa-utils')})")

    def screen(self):
        self.need("Xvfb")
        screen = Screen(self.folder)
        self.addCleanup(screen.end)
        return screen

    def environment(self, screen=None):
        """This process's, but with this screen or none."""
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        return environment if screen is None else {**environment, "DISPLAY": screen.display}

    def command(self, *program, screen=None):
        return {"args": [RUN, "--", *program], "env": self.environment(screen),
                "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT, "text": True}

    def run_program(self, *program, screen=None, status=0):
        """Runs it to its end; returns its output."""
        self.need(program[0])
        done = subprocess.run(**self.command(*program, screen=screen), timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, status, done.stdout[-2000:])
        return done.stdout

    def assert_virgl(self, output):
        renderers = re.findall(r"(?:GL_RENDERER|renderer(?: string)?)\s*[:=]\s*(.+)", output)
        self.assertTrue(renderers, output)
        for renderer in renderers:
            self.assertRegex(renderer, VIRGL)

    def watch(self, *program):
        """Runs a program that draws gears on the screen for ever, until they are seen to turn;
        returns its output."""
        self.need(program[0])
        screen = self.screen()
        # Lines, not blocks: it is ended by a signal.
        process = subprocess.Popen(**self.command("stdbuf", "-oL", *program, screen=screen))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def gears():
            self.assertIsNone(process.poll(), "it ended by itself")
            # The three gears are red, green and blue, each shaded.
            colours = screen.colours()
            counts = [sum(count for colour, count in colours.items()
                          if colour[main] > 1.5 * max(colour[:main] + colour[main + 1:]))
                      for main in range(3)]
            return colours if min(counts) > 1000 else None

        first = wait_for("three gears on the screen", gears)
        wait_for("the gears to turn", lambda: gears() not in (None, first))
        process.terminate()
        return process.communicate(timeout=daemonlib.LIMIT)[0]

    def check_scenes(self, program):
        """glmark2 compares a few pixels of each scene with what they must be; a scene that it
        cannot validate it calls "Unknown"."""
        output = self.run_program(program, "--off-screen", "--validate", screen=self.screen())
        self.assert_virgl(output)
        scenes = re.findall(r"^\[(.+?)\] (.+): Validation: (\w+)", output, re.M)
        self.assertEqual([scene for scene in scenes if scene[2] not in ("Success", "Unknown")], [],
                         output)
        self.assertGreaterEqual(sum(scene[2] == "Success" for scene in scenes), 20, output)

    def test_eglinfo(self):
        self.need("eglinfo")
        # Its status is the number of platforms that it did not find: no X server, no GPU.
        native = subprocess.run(["eglinfo"], stdin=subprocess.DEVNULL, capture_output=True,
                                env=self.environment(), timeout=LIMIT, check=False)
        output = self.run_program("eglinfo", status=native.returncode)
        self.assertRegex(output, r"Surfaceless platform:\nEGL API version: 1\.")
        if "renderer" in output:  # since mesa-utils 9.0
            self.assert_virgl(output)

    def test_es2_info(self):
        output = self.run_program("es2_info", screen=self.screen())
        self.assert_virgl(output)
        self.assertIn("OpenGL ES 3", output)

    def test_glxgears(self):
        self.assert_virgl(self.watch("glxgears", "-info"))

    def test_es2gears(self):
        self.watch("es2gears_x11")  # its -info names no renderer

    def test_glmark2(self):
        self.check_scenes("glmark2")

    def test_glmark2_es2(self):
        self.check_scenes("glmark2-es2")


if __name__ == "__main__":
    if not os.access(RUN, os.X_OK):
        sys.exit(f"{RUN} is not there: set VIRTIO_GPU_RUN, or build first")
    daemonlib.main()
