# SPDX-License-Identifier: MIT
"""What `virtio-gpu-bench gl` will not measure, and how it says so."""

import os
import subprocess
import unittest

BENCH = os.environ["VIRTIO_GPU_BENCH"]
DAEMON = os.environ["VIRTIO_GPUD"]


class Refusals(unittest.TestCase):
    def refuse(self, backend, **environment):
        """Returns what the program says when it fails."""
        result = subprocess.run(
            [BENCH, "gl", "--rounds", "1", "--operations", "1", "--only", "empty, 1 in flight",
             "--backend", f"subject={backend}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=100,
            env={**os.environ, **environment}, check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        return result.stderr

    def test_two_drivers_are_not_compared(self):
        said = self.refuse(f"env GALLIUM_DRIVER=softpipe {DAEMON} --virgl --socket-path=%s",
                           GALLIUM_DRIVER="llvmpipe", LIBGL_ALWAYS_SOFTWARE="1")
        self.assertRegex(said, "subject draws with softpipe, direct calls with (?i:llvmpipe).*: "
                         "their figures cannot be compared")

    def test_a_device_without_virgl(self):
        said = self.refuse(f"{DAEMON} --socket-path=%s")
        self.assertIn("subject: offers no VirGL", said)

    def test_no_driver(self):
        said = self.refuse(f"{DAEMON} --virgl --socket-path=%s",
                           __EGL_VENDOR_LIBRARY_FILENAMES="/nonexistent")
        self.assertIn("subject: cannot start", said)
        self.assertIn("direct calls: cannot draw here", said)
        self.assertRegex(said, "direct calls: .*EGL")


if __name__ == "__main__":
    unittest.main()
