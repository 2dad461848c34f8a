# SPDX-License-Identifier: MIT
"""The daemon under test as a child process, and virtio-gpu-ctl asking it."""

import array
import json
import mmap
import os
import re
import socket
import subprocess
import time
from pathlib import Path

from . import picture
from .say import VmError

# A daemon built with sanitizers on a busy machine; a plain one listens within milliseconds.
LISTEN_SECONDS = 20
# Words that sanitizers and asserts put into the log.
_ALARMS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Assertion")


class NoPicture(VmError):
    """The output shows nothing just now."""


class Frames:
    """Asks the daemon's control socket for pictures: faster than virtio-gpu-ctl's PNG files."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(10)
        self._socket.connect(str(path))

    def close(self):
        self._socket.close()

    def take(self, output=0, cursor=True):
        """(width, height, pixels of 4 bytes: blue, green, red, unused)."""
        request = {"command": "screenshot", "output": output, "cursor": cursor}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        text, fds = b"", []
        while not text.endswith(b"\n"):
            data, control, *_ = self._socket.recvmsg(65536, socket.CMSG_SPACE(4))
            if not data:
                raise VmError("the daemon closed its control socket")
            text += data
            for _level, _kind, body in control:
                numbers = array.array("i")
                numbers.frombytes(body[:len(body) - len(body) % numbers.itemsize])
                fds += numbers
        try:
            answer = json.loads(text)
            if not answer.get("ok"):
                raise NoPicture(answer.get("error", text.decode(errors="replace")))
            if answer["format"] not in ("XR24", "AR24"):
                raise VmError(f"a screenshot of format {answer['format']} is not understood here")
            size = answer["stride"] * answer["height"]
            with mmap.mmap(fds[0], size, prot=mmap.PROT_READ) as pixels:
                return answer["width"], answer["height"], pixels[:]
        finally:
            for fd in fds:
                os.close(fd)


class Daemon:
    def __init__(self, build, work, *options, name="guest", root=None):
        """`build`: meson's folder. `work`: a folder for the sockets and the log. `root`: the VmRoot
        whose libraries it runs with; the machine's if there is none."""
        self.build = Path(build).resolve()
        self.socket = work / "gpu.sock"
        self.control = work / "control.sock"
        self.log_path = work / "daemon.log"
        self._frames = None
        program = self.build / "virtio-gpud"
        if not program.exists():
            raise VmError(f"{program} is not there: build it with `ninja -C {build}`")
        words = root.command(program) if root else [str(program)]
        command = [*words, f"--socket-path={self.socket}", f"--control={self.control}",
                   f"--name={name}", *options]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True,
                                            env=root.environment() if root else None)
        self._wait_listening(command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def _wait_listening(self, command):
        deadline = time.monotonic() + LISTEN_SECONDS
        while not (self.socket.exists() and self.control.exists()):
            if not self.alive() or time.monotonic() > deadline:
                self.end()
                raise VmError(f"the daemon did not start: {' '.join(command)}\n{self.log_tail()}")
            time.sleep(0.01)

    def alive(self):
        return self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=12):
        return f"-- daemon ({self.log_path}):\n" + "\n".join(self.log().splitlines()[-lines:])

    def description(self):
        """What the daemon said of its 3D renderers at its start; empty without one."""
        return next((re.split(r"(?:VirGL|Venus) on ", line, maxsplit=1)[1].split("; display", 1)[0]
                     for line in self.log().splitlines()
                     if "VirGL on " in line or "Venus on " in line), "")

    def need_alive(self):
        if not self.alive():
            raise VmError(f"the daemon ended with status {self.process.returncode}\n"
                          f"{self.log_tail()}")

    def ctl(self, *words, timeout=20):
        """virtio-gpu-ctl's output; an error if it fails."""
        self.need_alive()
        command = [str(self.build / "virtio-gpu-ctl"), "--socket", str(self.control), *words]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                check=False)
        if answer.returncode:
            raise VmError(f"virtio-gpu-ctl {' '.join(words)} ended with {answer.returncode}: "
                          f"{answer.stderr.strip()}\n{self.log_tail()}")
        return answer.stdout

    def resident_kib(self):
        """The memory that the process has."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s*(\d+) kB", status).group(1))

    def stats(self):
        """The numbers of the VM that is served now; an error if there is none."""
        stats = json.loads(self.ctl("--json", "stats"))["vm"]
        if stats is None:
            raise VmError("the daemon serves no VM just now")
        return stats

    def commands(self):
        """How often each command came: {name without its prefix: count}."""
        return {name.removeprefix("VIRTIO_GPU_CMD_").upper(): one["count"]
                for name, one in self.stats()["commands"].items()}

    def screenshot_file(self, path, output=0, cursor=False):
        self.ctl("screenshot", str(path), "--output", str(output),
                 *(["--cursor"] if cursor else []))

    def screenshot(self, output=0, cursor=False):
        """What the daemon shows on an output."""
        self.need_alive()
        if self._frames is None:
            self._frames = Frames(self.control)
        width, height, pixels = self._frames.take(output, cursor)
        rgb = bytearray(width * height * 3)
        for channel in range(3):
            rgb[channel::3] = pixels[2 - channel::4]
        return picture.Picture(width, height, rgb)

    def end(self):
        """End it as an administrator would; returns what was wrong with that, or None."""
        if self._frames is not None:
            self._frames.close()
            self._frames = None
        if self.alive():
            self.process.terminate()
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"the daemon did not end on SIGTERM\n{self.log_tail()}"
        alarms = [line for line in self.log().splitlines()
                  if any(alarm in line for alarm in _ALARMS)]
        if alarms:
            return f"the daemon's log has `{alarms[0].strip()}` ({self.log_path})"
        if status:
            return f"the daemon ended with status {status}\n{self.log_tail()}"
        return None
