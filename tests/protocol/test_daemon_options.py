# SPDX-License-Identifier: MIT
"""What the program says and how it exits, before it serves anybody."""

import json
import re
import subprocess
from pathlib import Path

import daemonlib
from daemonlib import wait_for

MAN = Path(__file__).resolve().parents[2] / "docs" / "man"


class Answers(daemonlib.DaemonTest):
    def test_version(self):
        status, out, log = self.run_daemon("--version")
        self.assertEqual((status, log), (0, ""))
        self.assertRegex(out, r"\Avirtio-gpud \d+\.\d+\.\d+\n\Z")

    def test_help(self):
        status, out, log = self.run_daemon("--help")
        self.assertEqual((status, log), (0, ""))
        self.assertIn("--socket-path=PATH", out)
        self.assertLess(max(map(len, out.splitlines())), 100)

    def test_capabilities_are_those_of_this_host(self):
        status, out, log = self.run_daemon("--print-capabilities")
        self.assertEqual((status, log), (0, ""))
        answer = json.loads(out)
        self.assertEqual(answer["type"], "gpu")
        # libvirt passes over a back end without the list.
        if "virgl" in answer["features"]:
            daemon = self.start_listening("--virgl", ready=None)
            wait_for("a start or a reason", lambda: re.search("listens|cannot be", daemon.log))
            # The library can be loaded; what it may lack is a driver.
            self.assertNotIn("VirGL cannot be offered: lib", daemon.log)
        else:
            self.assertEqual(answer["features"], [])
            self.assert_refused([f"--socket-path={self.socket_path}", "--virgl"],
                                "cannot be offered", status=1)

    def test_capabilities_ignore_other_options(self):
        status, out, _ = self.run_daemon("--fd=3", "--nonsense", "--print-capabilities", "--virgl")
        self.assertEqual(status, 0)
        self.assertEqual(json.loads(out)["type"], "gpu")

    def test_capabilities_that_cannot_be_written_fail(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([daemonlib.DAEMON, "--print-capabilities"], stdout=full,
                                  timeout=daemonlib.LIMIT, check=False)
        self.assertEqual(done.returncode, 1)

    def test_man_pages_have_each_option(self):
        for program, page in ((daemonlib.DAEMON, "virtio-gpud.1"),
                              (daemonlib.CTL, "virtio-gpu-ctl.1")):
            text = (MAN / page).read_text()
            out = subprocess.run([program, "--help"], capture_output=True, text=True,
                                 timeout=daemonlib.LIMIT, check=True).stdout
            options = re.findall(r"^  --([a-z-]+)", out, re.M)
            self.assertGreater(len(options), 4)
            for option in options:
                self.assertRegex(text, rf"Fl -{option}\b", f"{page}: --{option}")
            for option in re.findall(r"^\.It Fl -([a-z-]+)", text, re.M):
                self.assertIn(option, options, f"{page}: --{option} is not in --help")


class Refusals(daemonlib.DaemonTest):
    def test_no_socket(self):
        self.assert_refused([], "--socket-path", "--fd", status=1)

    def test_unknown_option(self):
        self.assert_refused(["--frobnicate"], "--frobnicate", "--help")

    def test_contradiction(self):
        self.assert_refused(["--socket-path=a", "--fd=3"], "--socket-path and --fd")

    def test_render_node(self):
        node = "--render-node=/dev/dri/x"
        self.assert_refused([f"--socket-path={self.socket_path}", node], node, "--capset=virgl")
        self.assertFalse(Path(self.socket_path).exists())

    def test_render_node_that_is_not_there(self):
        """Asked for a GPU, the daemon never draws with something else: it says what is there."""
        status, _, log = self.run_daemon(f"--socket-path={self.socket_path}", "--virgl",
                                         "--render-node=/dev/dri/x")
        self.assertEqual(status, 1)
        self.assertRegex(log, "VirGL cannot be offered|cannot open render node /dev/dri/x: No such "
                              "file or directory \\(have: ")
        self.assertFalse(Path(self.socket_path).exists())

    def test_capset(self):
        self.assert_refused([f"--socket-path={self.socket_path}", "--capset=drm"],
                            "--capset=drm", "'drm' cannot be offered", status=1)

    def test_render_server_that_is_not_there(self):
        """Either the library is too old, or there is nothing to run: it is said before a VM comes."""
        status, _, log = self.run_daemon(f"--socket-path={self.socket_path}", "--venus",
                                         "--render-server=/nowhere/server")
        self.assertEqual(status, 1)
        self.assertRegex(log, "Vulkan cannot be offered|OpenGL nor Vulkan can be offered|no GL renderer")
        self.assertFalse(Path(self.socket_path).exists())

    def test_display(self):
        self.assert_refused(["--display=headless,outputs=99"], "outputs=99", "1 to 16")


if __name__ == "__main__":
    daemonlib.main()
