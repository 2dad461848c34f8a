# SPDX-License-Identifier: MIT
"""A client of QEMU's machine protocol: JSON lines over a unix socket."""

import json
import socket
import time

from .say import VmError


class QmpError(VmError):
    """QEMU refused a command; `reason` is its own description."""

    def __init__(self, command, error):
        super().__init__(f"QMP {command}: {error.get('desc', error)}")
        self.reason = error.get("desc", "")


class Qmp:
    def __init__(self, path, timeout=20.0):
        self.events = []
        self.timeout = timeout
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._read(time.monotonic() + timeout)
        self.command("qmp_capabilities")

    def close(self):
        self._socket.close()

    def _read(self, deadline):
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise VmError("QEMU does not answer on its QMP socket")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise VmError("QEMU closed its QMP socket")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def command(self, name, timeout=None, **arguments):
        """Returns the answer's "return" value; raises QmpError when QEMU refuses."""
        deadline = time.monotonic() + (timeout or self.timeout)
        message = {"execute": name}
        if arguments:
            message["arguments"] = arguments
        self._socket.sendall(json.dumps(message).encode() + b"\n")
        while True:
            answer = self._read(deadline)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise QmpError(name, answer["error"])
            elif "return" in answer:
                return answer["return"]

    def wait_event(self, name, timeout):
        """Wait for an event that came since the last call for it; returns its data."""
        deadline = time.monotonic() + timeout
        while True:
            for index, event in enumerate(self.events):
                if event["event"] == name:
                    del self.events[index]
                    return event.get("data", {})
            answer = self._read(deadline)
            if "event" in answer:
                self.events.append(answer)
