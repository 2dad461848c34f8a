# SPDX-License-Identifier: MIT
"""A writer of cpio archives in the "newc" format, which is what Linux takes as initial root."""

import stat

_FILE, _FOLDER, _CHARACTER = stat.S_IFREG, stat.S_IFDIR, stat.S_IFCHR


class Cpio:
    def __init__(self):
        self.parts = []
        self.count = 0

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.count += 1
        encoded = name.encode() + b"\0"
        fields = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        for part in (header + encoded, data):
            self.parts.append(part + bytes(-len(part) % 4))

    def folder(self, name):
        self._entry(name, _FOLDER | 0o755)

    def file(self, name, data, mode=0o644):
        self._entry(name, _FILE | mode, data)

    def character_device(self, name, major, minor):
        self._entry(name, _CHARACTER | 0o600, device=(major, minor))

    def finish(self):
        self._entry("TRAILER!!!", 0)
        return b"".join(self.parts)
