# SPDX-License-Identifier: MIT
"""Which kernel modules to load, and in which order, read from the modules themselves."""

import lzma
import re

from .say import VmError


def _plain_name(name):
    return name.replace("-", "_")


class Modules:
    """The modules below a kernel's lib/modules/VERSION/kernel folder."""

    def __init__(self, folder):
        self.files = {}
        for path in folder.rglob("*.ko*"):
            self.files[_plain_name(path.name.split(".")[0])] = path
        builtin = folder.parent / "modules.builtin"
        names = builtin.read_text().split() if builtin.exists() else []
        self.builtin = {_plain_name(name.rsplit("/", 1)[-1].split(".")[0]) for name in names}

    def read(self, name):
        """The module as the kernel takes it, uncompressed."""
        data = self.files[name].read_bytes()
        if self.files[name].suffix == ".xz":
            data = lzma.decompress(data)
        return data

    def in_order(self, wanted):
        """[(name, data)] of `wanted` and all that they depend on, dependencies first."""
        order = {}

        def add(name, needed_by):
            name = _plain_name(name)
            if name in order or name in self.builtin:
                return
            if name not in self.files:
                raise VmError(f"the guest's kernel has no module {name} (for {needed_by})")
            data = self.read(name)
            # .modinfo holds NUL-separated key=value strings.
            depends = re.search(rb"\0depends=([^\0]*)\0", data)
            softdep = re.search(rb"\0softdep=pre: ([^\0]*)\0", data)
            for other in depends.group(1).decode().split(",") if depends else []:
                if other:
                    add(other, name)
            for other in softdep.group(1).decode().split() if softdep else []:
                if _plain_name(other) in self.files:
                    add(other, name)
            order[name] = data

        for name in wanted:
            add(name, "the recipe")
        return list(order.items())
