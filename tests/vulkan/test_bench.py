# SPDX-License-Identifier: MIT
"""`virtio-gpu-bench vulkan`: a short run of every row on lavapipe, through virgl_test_server and the daemon, all from the
Vulkan root (tests/vm/vmlib/vulkanroot.py)."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "protocol"), str(HERE.parent / "vm")]

import daemonlib  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.vulkanroot import vulkanroot  # noqa: E402 pylint: disable=wrong-import-position

BUILD = Path(os.environ.get("BUILD", "build")).absolute()
BENCH = str(BUILD / "virtio-gpu-bench")
DAEMON = str(BUILD / "virtio-gpud")
LAYER = str(BUILD / "src/vulkan_layer")
# Lavapipe has one kind of memory, which counts as the device's.
UNKNOWN_MEMORY = ("cached", "not cached")


def bench(*arguments):
    return subprocess.run([BENCH, "vulkan", "--rounds", "1", "--operations", "3", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=250,
                          check=False)


class Measurement(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = vulkanroot()

    def measure(self, *arguments):
        root = self.root
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.json"
            options = ("--driver", root.driver("lvp"), "--client-driver", root.driver("virtio"),
                       "--layer", LAYER, "--render-server", root.render_server,
                       "--worker", " ".join(root.command(BENCH)), "--json", str(path))
            result = bench(*options, *arguments)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            return result, json.loads(path.read_text())

    def server(self):
        return self.root.program("virgl_test_server") + " --venus --no-virgl --socket-path=%s"

    def subject(self):
        """The same as the subject: only the reference is told of layer and render server."""
        return (f"env RENDER_SERVER_EXEC_PATH={self.root.render_server} VK_ADD_LAYER_PATH={LAYER} "
                f"VK_INSTANCE_LAYERS=VK_LAYER_VIRTIO_GPUD_exportable_memory {self.server()}")

    def daemon(self):
        return (" ".join(self.root.command(DAEMON)) + " --venus --socket-path=%s "
                f"--render-server={self.root.render_server}")

    def test_every_row(self):
        _, results = self.measure("--bars", "--daemon", self.daemon(),
                                  "--backend", f"subject={self.subject()}",
                                  "--backend", f"reference={self.server()}")
        self.assertIn("llvmpipe", results["vulkan_driver"])
        rates = {}
        for cell in results["cells"]:
            if cell["row"] == "compute 50 ms":  # shorter ones may end before the kernel counts
                self.assertGreater(cell["cpu_us_per_op"][0], 0, cell["participant"])
            rates.setdefault(cell["row"], {})[cell["participant"]] = cell["ops_per_second"][0]
        self.assertEqual(len(rates), 12)
        for row, values in rates.items():
            names = {"subject", "subject (A/A)"}
            if row != "map + unmap":
                names |= {"reference", "native driver"}
            self.assertEqual(set(values), names, row)
            for name, rate in values.items():
                if row.split(", ")[-1] in UNKNOWN_MEMORY:
                    self.assertIsNone(rate, (row, name))
                else:
                    self.assertGreater(rate, 0, (row, name))
        judged = [bar["name"] for bar in results["promises"] if bar["met"] is not None]
        self.assertEqual(len(judged), 7, judged)

    def test_without_a_daemon_the_other_rows_are_measured(self):
        result, _ = self.measure("--only", "m", "--daemon", "",
                                 "--backend", f"subject={self.subject()}")
        self.assertRegex(result.stdout, r"map \+ unmap\n  not measured")
        self.assertRegex(result.stdout, r"compute 10 ms\n  subject +[\d.]+ ")


if __name__ == "__main__":
    daemonlib.main()
