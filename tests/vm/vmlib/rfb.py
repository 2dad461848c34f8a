# SPDX-License-Identifier: MIT
"""A viewer of QEMU's VNC server that says one thing: how large its window is.

That is how a head of a VMM's display that nobody looked at becomes a connected output in the
guest (RFB protocol, RFC 6143, and the ExtendedDesktopSize pseudo-encoding)."""

import socket
import struct

from .say import VmError

_EXTENDED_DESKTOP_SIZE = -308
_SECURITY_NONE = 1
_SET_ENCODINGS, _SET_DESKTOP_SIZE = 2, 251


class Viewer:
    def __init__(self, path, timeout=10.0):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._read(12)
        self._socket.sendall(b"RFB 003.008\n")
        kinds = self._read(self._read(1)[0])
        if _SECURITY_NONE not in kinds:
            raise VmError("QEMU's VNC server wants a password")
        self._socket.sendall(bytes([_SECURITY_NONE]))
        if self._read(4) != bytes(4):
            raise VmError("QEMU's VNC server refused the connection")
        self._socket.sendall(b"\1")
        *_, name_size = struct.unpack(">HH16sI", self._read(24))
        self._read(name_size)
        self._socket.sendall(struct.pack(">BBHi", _SET_ENCODINGS, 0, 1, _EXTENDED_DESKTOP_SIZE))

    def _read(self, size):
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise VmError("QEMU's VNC server closed the connection")
            data += piece
        return data

    def resize(self, width, height):
        self._socket.sendall(struct.pack(">BBHHBB", _SET_DESKTOP_SIZE, 0, width, height, 1, 0) +
                             struct.pack(">IHHHHI", 0, 0, 0, width, height, 0))

    def close(self):
        self._socket.close()
