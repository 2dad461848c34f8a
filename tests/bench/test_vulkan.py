# SPDX-License-Identifier: MIT
"""`virtio-gpu-bench vulkan`: what it says where nothing can be measured. (tests/vulkan/test_bench.py measures.)"""

import os
import subprocess
import unittest

BENCH = os.environ["VIRTIO_GPU_BENCH"]


def bench(*arguments, **environment):
    return subprocess.run([BENCH, "vulkan", "--rounds", "1", "--operations", "3", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=250,
                          env={**os.environ, **environment}, check=False)


class Refusals(unittest.TestCase):
    def refuse(self, *arguments, **environment):
        """Returns what the program says when it fails."""
        result = bench("--only", "empty", *arguments, **environment)
        self.assertEqual(result.returncode, 1, result.stderr)
        return result.stderr

    def test_no_driver(self):
        said = self.refuse("--backend", "server=/bin/false %s", "--driver", "/nonexistent")
        self.assertIn("native driver: opening a Vulkan device", said)
        self.assertRegex(said, "vulkan worker: (vkCreateInstance|there is no Vulkan|libvulkan)")

    def test_no_server(self):
        said = self.refuse("--backend", "server=/bin/false %s", "--driver", "/nonexistent")
        self.assertIn("server: cannot start", said)

    def test_guest_without_a_socket(self):
        said = self.refuse("--backend", "server=/bin/false %s", "--guest", "guest=/nonexistent")
        self.assertIn("guest: /nonexistent: No such file or directory", said)

    def test_wrong_guest(self):
        for words, text in ((("--guest", "guest"), "not NAME=VALUE: guest"),
                            (("--guest", "=/a"), "not NAME=VALUE: =/a")):
            result = bench("--backend", "server=/bin/false %s", *words)
            self.assertEqual(result.returncode, 2)
            self.assertIn(text, result.stderr)
        result = subprocess.run([BENCH, "gl", "--guest", "guest=/a"], stderr=subprocess.PIPE,
                                text=True, check=False)
        self.assertIn("only `vulkan' has this option: guest", result.stderr)

    def test_worker_without_a_port(self):
        result = subprocess.run([BENCH, "vulkan-worker", "--port=/nonexistent"],
                                stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nonexistent: No such file or directory", result.stderr)

    def test_the_worker_is_no_command(self):
        result = subprocess.run([BENCH, "vulkan-worker"], stderr=subprocess.PIPE, text=True,
                                check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("only `virtio-gpu-bench vulkan' starts this", result.stderr)


if __name__ == "__main__":
    unittest.main()
