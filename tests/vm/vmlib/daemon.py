# SPDX-License-Identifier: MIT
"""The daemon under test as a child process, and virtio-gpu-ctl asking it."""

import json
import subprocess
import time
from pathlib import Path

from . import picture
from .say import VmError

# A daemon built with sanitizers on a busy machine; a plain one listens within milliseconds.
LISTEN_SECONDS = 20
# Words that sanitizers and asserts put into the log.
_ALARMS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Assertion")


class Daemon:
    def __init__(self, build, work, *options, name="guest"):
        """`build`: meson's folder. `work`: a folder for the sockets and the log."""
        self.build = Path(build).resolve()
        self.socket = work / "gpu.sock"
        self.control = work / "control.sock"
        self.log_path = work / "daemon.log"
        self._work = work
        self._pictures = 0
        program = self.build / "virtio-gpud"
        if not program.exists():
            raise VmError(f"{program} is not there: build it with `ninja -C {build}`")
        command = [str(program), f"--socket-path={self.socket}", f"--control={self.control}",
                   f"--name={name}", *options]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
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
        """What the daemon shows on an output. The file stays in the work folder."""
        self._pictures += 1
        path = self._work / f"shot-{self._pictures:03d}.png"
        self.screenshot_file(path, output, cursor)
        return picture.read_png(path)

    def end(self):
        """End it as an administrator would; returns what was wrong with that, or None."""
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
