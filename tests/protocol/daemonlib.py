# SPDX-License-Identifier: MIT
"""Starts the real daemon for tests and takes it down again; runs test cases as TAP.

Every wait has a limit, and a limit that passes is a failure."""

import array
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

# Generous: the machine may be busy, and sanitizers are slow.
LIMIT = 20.0

# Absolute: tests run the programs in folders of their own.
DAEMON = os.path.abspath(os.environ.get("VIRTIO_GPUD", "build/virtio-gpud"))
CTL = os.path.abspath(os.environ.get("VIRTIO_GPU_CTL", "build/virtio-gpu-ctl"))


def is_sanitized():
    """Was the daemon built with AddressSanitizer? Then it is slow, and keeps freed memory."""
    return b"__asan_init" in Path(DAEMON).read_bytes()


def is_emulated():
    """Is the daemon a script that runs it under qemu-user (tests/arm64)? Then the process that is
    measured is qemu."""
    return Path(DAEMON).read_bytes()[:2] == b"#!"


def wait_for(what, condition, limit=LIMIT):
    """Return condition()'s first true value; fail after the limit."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:.0f} s for {what}")
        time.sleep(0.005)


def is_listening(path):
    """Can somebody connect? The file of a socket is there a little earlier (unix(7), proc(5))."""
    lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
    accepting = "00010000"  # __SO_ACCEPTCON
    return any(words[3] == accepting and words[-1] == str(path)
               for words in (line.split() for line in lines[1:]))


class Daemon:
    """A running virtio-gpud. Its log is collected in a file."""

    def __init__(self, arguments, folder, **popen):
        self.log_path = Path(folder) / f"log-{time.monotonic_ns()}"
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("NOTIFY_SOCKET", "JOURNAL_STREAM", "LISTEN_FDS")}
        environment.update(popen.pop("environment", {}))
        with open(self.log_path, "wb") as log:
            popen.setdefault("stderr", log)
            self.process = subprocess.Popen([DAEMON, *arguments], cwd=folder, env=environment,
                                            stdin=subprocess.DEVNULL, **popen)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, text):
        def look():
            if text in self.log:
                return True
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon exited with {self.process.returncode} before it "
                                     f"logged {text!r}:\n{self.log}")
            return False
        wait_for(f"{text!r} in the log, which is:\n{self.log}", look)

    def wait(self, limit=LIMIT):
        return self.process.wait(limit)

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class DaemonTest(unittest.TestCase):
    """A test with a folder of its own and daemons that end with it."""

    def setUp(self):
        # Short: a unix socket's path has 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="gpud-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.socket_path = str(self.folder / "gpu.sock")
        self.control_path = str(self.folder / "control")

    def start(self, *arguments, ready="listens", **popen):
        daemon = Daemon(arguments, self.folder, **popen)
        self.addCleanup(daemon.kill)
        if ready:
            daemon.wait_for_log(ready)
        return daemon

    def start_listening(self, *arguments, **popen):
        return self.start(f"--socket-path={self.socket_path}", *arguments, **popen)

    def run_daemon(self, *arguments, **popen):
        """Run the daemon to its end; returns (status, stdout, log)."""
        done = subprocess.run([DAEMON, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT, check=False, **popen)
        return done.returncode, done.stdout, done.stderr

    def connect(self, path=None, limit=LIMIT):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        # A timeout of Python's would make connect() fail at once when the backlog is full.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(limit), 0))
        client.connect(path or self.socket_path)
        client.settimeout(limit)
        return client

    def assert_refused(self, arguments, *texts, status=2, **popen):
        """The daemon exits with the status, says nothing on stdout, and each text in its log."""
        returned, out, log = self.run_daemon(*arguments, **popen)
        self.assertEqual(returned, status, log)
        self.assertEqual(out, "")
        for text in texts:
            self.assertIn(text, log)


class ControlClient:
    """A client of the control socket, byte by byte."""

    def __init__(self, client):
        self.socket = client
        self.received = b""
        self.fds = []

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")

    def receive(self):
        """The next answer; None when the daemon closed the connection."""
        while b"\n" not in self.received:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(16))
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds = array.array("i")
                    fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
                    self.fds += fds
            if not data:
                return None
            self.received += data
        line, self.received = self.received.split(b"\n", 1)
        return json.loads(line)

    def ask(self, request):
        """The answer; None when the daemon closed the connection, before it was asked or after."""
        try:
            self.send(request)
            return self.receive()
        except (BrokenPipeError, ConnectionResetError):
            return None


class TapResult(unittest.TestResult):
    def __init__(self, count):
        super().__init__()
        self.number = 0
        print(f"1..{count}", flush=True)

    def line(self, test, ok, note=""):
        self.number += 1
        print(f"{'ok' if ok else 'not ok'} {self.number} - {test.id().split('.', 1)[1]}{note}",
              flush=True)

    def complain(self, test, error):
        self.line(test, False)
        for line in self._exc_info_to_string(error, test).splitlines():
            print(f"# {line}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line(test, True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line(test, True, f" # SKIP {reason}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.complain(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.complain(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error:  # the test itself is not told of, then
            self.complain(subtest, error)


def main():
    """Run the tests of the calling file, or those named on its command line, as TAP."""
    for program in (DAEMON, CTL):
        if not os.access(program, os.X_OK):
            sys.exit(f"{program} is not there: set VIRTIO_GPUD and VIRTIO_GPU_CTL, or build first")
    module = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names, module) if names else \
        loader.loadTestsFromModule(module)
    result = TapResult(suite.countTestCases())
    suite.run(result)
    sys.exit(not result.wasSuccessful())
