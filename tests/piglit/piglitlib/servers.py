# SPDX-License-Identifier: MIT
"""The two vtest servers that are compared, each with a folder of its own."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import client

LISTEN_SECONDS = 20
# Words of sanitizers and asserts in a log: of a process that may have ended after its client.
ALARMS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Assertion")
REFERENCE = "virgl_test_server --use-egl-surfaceless --socket-path={}"


class Trouble(Exception):
    """The run cannot go on; the text says why."""


class Server:
    """A vtest server, started again where it ends: its end fails one test, not all that follow."""

    def __init__(self, name, command):
        """`command`: words in which {} is the socket's path."""
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"piglit-{name}-"))
        self.folder.chmod(0o700)
        # Not in the folder: the clients have that as their /tmp, with other paths.
        self.log_path = Path(f"{self.folder}.log")
        self._socket = self.folder / client.SOCKET
        self._command = [word.replace("{}", str(self._socket)) for word in command.split()]
        self._process = None
        self.renderer = self.version = ""

    def start(self):
        self._socket.unlink(missing_ok=True)
        with open(self.log_path, "ab") as log:
            try:
                self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL,
                                                 stdout=log, stderr=log)
            except OSError as error:
                raise Trouble(f"{self._command[0]} cannot be run: {error.strerror}") from None
        deadline = time.monotonic() + LISTEN_SECONDS
        while not self._socket.exists():
            if self.status() is not None or time.monotonic() > deadline:
                raise Trouble(f"the {self.name} server did not start: {' '.join(self._command)}\n"
                              f"{self.log_tail()}")
            time.sleep(0.01)
        # A test that draws with the client's own llvmpipe would pass and tell nothing.
        self.renderer, self.version = client.renderer(self.folder)
        if not self.renderer.startswith("virgl ("):
            raise Trouble(f"the {self.name} server's clients do not draw with it: GL_RENDERER is "
                          f"{self.renderer}\n{self.log_tail()}")

    def status(self):
        """The exit status; None while it runs."""
        return self._process.poll()

    def _log_lines(self):
        return self.log_path.read_text(errors="replace").splitlines()

    def log_tail(self, lines=12):
        return f"-- {self.name} server ({self.log_path}):\n" + \
            "\n".join(self._log_lines()[-lines:])

    def alarms(self):
        return [line for line in self._log_lines() if any(word in line for word in ALARMS)]

    def end(self, keep_log):
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if not keep_log:
            self.log_path.unlink(missing_ok=True)
