# SPDX-License-Identifier: MIT
"""A small VNC server for ./demo --live: shows what the daemon has, types into the guest.

QEMU's own VNC server refuses vhost-user-gpu ("The console requires display DMABUF support"), and
in the own dialect QEMU has no picture at all. So this one asks the daemon for its frames (its
control socket hands over pixels in a memory file) and gives keys and pointer to QEMU over QMP.

It speaks as much of RFB 3.8 (RFC 6143) as viewers need: no security (the socket listens on
127.0.0.1 only), raw rectangles of what changed, key and pointer events."""

import select
import socket
import struct
import threading
import time

from .daemon import Frames, NoPicture
from .say import VmError

_DESKTOP_SIZE = -223
_FRAME_SECONDS = 1 / 15
_BAND = 32  # rows that are compared and sent as one rectangle
# Little-endian 32-bit pixels, blue in the lowest byte: as the daemon's frames are.
_PIXEL_FORMAT = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)

_NAMED_KEYS = {
    0xFF08: "backspace", 0xFF09: "tab", 0xFF0D: "ret", 0xFF1B: "esc", 0xFF50: "home",
    0xFF51: "left", 0xFF52: "up", 0xFF53: "right", 0xFF54: "down", 0xFF55: "pgup", 0xFF56: "pgdn",
    0xFF57: "end", 0xFF63: "insert", 0xFF67: "menu", 0xFF8D: "kp_enter", 0xFFE1: "shift",
    0xFFE2: "shift_r", 0xFFE3: "ctrl", 0xFFE4: "ctrl_r", 0xFFE5: "caps_lock", 0xFFE9: "alt",
    0xFFEA: "alt_r", 0xFFEB: "meta_l", 0xFFEC: "meta_r", 0xFFFF: "delete", 0x20: "spc",
    **{0xFFBE + number: f"f{number + 1}" for number in range(12)}}
_CHARACTERS = {
    "-_": "minus", "=+": "equal", "[{": "bracket_left", "]}": "bracket_right", ";:": "semicolon",
    "'\"": "apostrophe", "`~": "grave_accent", "\\|": "backslash", ",<": "comma", ".>": "dot",
    "/?": "slash", "1!": "1", "2@": "2", "3#": "3", "4$": "4", "5%": "5", "6^": "6", "7&": "7",
    "8*": "8", "9(": "9", "0)": "0"}
_QCODES = {**_NAMED_KEYS, **{ord(character): name for both, name in _CHARACTERS.items()
                             for character in both},
           **{ord(letter): letter.lower() for letter in
              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}}
_BUTTONS = ("left", "middle", "right", "wheel-up", "wheel-down")


class _Client:
    def __init__(self, connection, viewer):
        self.socket = connection
        self.viewer = viewer
        self.sent = None
        self.size = None
        self.can_resize = False
        self.wants = False
        self.buttons = 0

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data

    def greet(self, width, height):
        self.socket.sendall(b"RFB 003.008\n")
        self.read(12)
        self.socket.sendall(b"\1\1")
        self.read(1)
        self.socket.sendall(bytes(4))
        self.read(1)
        name = b"virtio-gpud"
        self.size = (width, height)
        self.socket.sendall(struct.pack(">HH", width, height) + _PIXEL_FORMAT +
                            struct.pack(">I", len(name)) + name)

    def handle_message(self):
        kind = self.read(1)[0]
        if kind == 0:
            wanted = self.read(19)[3:]
            if wanted[:4] != _PIXEL_FORMAT[:4] or wanted[10:13] != _PIXEL_FORMAT[10:13]:
                raise ConnectionError("this VNC server has true colour of 32 bits only")
        elif kind == 2:
            count, = struct.unpack(">xH", self.read(3))
            encodings = struct.unpack(f">{count}i", self.read(4 * count))
            self.can_resize = _DESKTOP_SIZE in encodings
        elif kind == 3:
            if not self.read(9)[0]:
                self.sent = None
            self.wants = True
        elif kind == 4:
            down, keysym = struct.unpack(">BxxI", self.read(7))
            self.viewer.key(keysym, bool(down))
        elif kind == 5:
            self.handle_pointer(*struct.unpack(">BHH", self.read(5)))
        elif kind == 6:
            size, = struct.unpack(">xxxI", self.read(7))
            self.read(min(size, 1 << 20))
        else:
            raise ConnectionError(f"unknown message {kind}")

    def handle_pointer(self, buttons, x, y):
        width, height = self.size
        changed = [(name, bool(buttons >> bit & 1)) for bit, name in enumerate(_BUTTONS)
                   if (buttons ^ self.buttons) >> bit & 1]
        self.buttons = buttons
        self.viewer.pointer(x / max(width - 1, 1), y / max(height - 1, 1), changed)

    def update(self, frame):
        """Send what changed since the last time, if anything did and the viewer asked."""
        width, height, pixels = frame
        if not self.wants or pixels == self.sent:
            return
        bands = []
        if self.size != (width, height):
            if not self.can_resize:
                raise ConnectionError("the guest's mode changed, and this viewer cannot resize")
            self.size = (width, height)
            self.sent = None
            bands.append(struct.pack(">HHHHi", 0, 0, width, height, _DESKTOP_SIZE))
        step = width * 4 * _BAND
        for begin in range(0, len(pixels), step):
            band = pixels[begin:begin + step]
            if self.sent is None or self.sent[begin:begin + step] != band:
                bands.append(struct.pack(">HHHHi", 0, begin // (width * 4), width,
                                         len(band) // (width * 4), 0) + band)
        self.socket.sendall(struct.pack(">BxH", 0, len(bands)) + b"".join(bands))
        self.sent = pixels
        self.wants = False


class Viewer:
    """The server; runs in its own threads until close()."""

    def __init__(self, control_path, qmp):
        self._control_path = control_path
        self._qmp = qmp
        self._lock = threading.Lock()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", self._free_port()))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def _free_port():
        """A port as VNC viewers number them (5900 + display), or any."""
        for port in range(5900, 6000):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        return 0

    def close(self):
        self._closed = True
        self._listener.close()

    def _accept(self):
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _Client(connection, self)
        try:
            with connection:
                frames = Frames(self._control_path)
                frame = self._first_frame(frames)
                client.greet(frame[0], frame[1])
                while not self._closed:
                    self._turn(client, frames)
        except (OSError, VmError, struct.error):
            pass  # the viewer or the daemon went; the next viewer starts anew

    def _first_frame(self, frames):
        while not self._closed:
            try:
                return frames.take()
            except NoPicture:
                time.sleep(0.2)
        raise ConnectionError("the server is closing")

    def _turn(self, client, frames):
        """Read what the viewer sends until the next frame is due, then send that."""
        due = time.monotonic() + _FRAME_SECONDS
        while (left := due - time.monotonic()) > 0:
            if select.select([client.socket], [], [], left)[0]:
                client.handle_message()
        if client.wants:
            try:
                client.update(frames.take())
            except NoPicture:
                pass  # the viewer keeps what it has until there is something again

    def _send_events(self, events):
        with self._lock:
            try:
                self._qmp.command("input-send-event", events=events)
            except VmError:
                pass  # no input device takes it, or QEMU is going

    def key(self, keysym, down):
        name = _QCODES.get(keysym)
        if name:
            self._send_events([{"type": "key", "data": {
                "down": down, "key": {"type": "qcode", "data": name}}}])

    def pointer(self, x, y, buttons):
        """x and y from 0 to 1; buttons: [(name, down)] that changed."""
        events = [{"type": "abs", "data": {"axis": axis, "value": int(value * 32767)}}
                  for axis, value in (("x", x), ("y", y))]
        events += [{"type": "btn", "data": {"button": name, "down": down}}
                   for name, down in buttons]
        self._send_events(events)
