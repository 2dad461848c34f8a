# SPDX-License-Identifier: MIT
"""The Vulkan root: virglrenderer with Venus, and Vulkan drivers newer than the machine's.

How this works: it is unpacked from packages as the VM root is (image.py), and programs run in it in
place, our daemon too. Two things in it name absolute paths of a system that is not there. A driver's
JSON file names its library: copies in `drivers/` name it by a path relative to themselves. A program
names its ld.so, which the kernel looks for in the machine's own /lib64: scripts in `programs/` start
it by the root's instead, so that virglrenderer can execute its render server and a shell or
virtio-gpu-run any program. A driver of the root can only be loaded by a program of the root, or by
ours run by VulkanRoot.command: the libc of the machine may be older."""

import json
import os
import subprocess
from pathlib import Path

from . import cache, debs, image
from .say import VmError

PROGRAMS = {"virgl_render_server": "usr/libexec/virgl_render_server",
            "virgl_test_server": "usr/bin/virgl_test_server",
            "vulkaninfo": "usr/bin/vulkaninfo",
            "eglinfo": "usr/bin/eglinfo.TRIPLET"}
# Drivers of hardware, which machines without their Vulkan driver hardly have: half the disk.
KEPT_DRIVERS = ("lvp", "virtio")
SCRIPT = """#!/bin/sh
# {program}, by the ld.so of the root that this file lies in.
root=$(cd "${{0%/*}}/.." && pwd)
exec "$root/{loader}" --argv0 "$0" --library-path "$root/{libraries}" "$root/{program}" "$@"
"""


class VulkanRoot(image.VmRoot):
    """A folder with virglrenderer, its render server and Vulkan drivers in it."""

    @property
    def render_server(self):
        """What the daemon's --render-server takes."""
        return self.program("virgl_render_server")

    def program(self, name):
        """A program of the root as one word, executable by anybody."""
        return str(self.path / "programs" / name)

    def driver(self, name):
        """The JSON file of a Vulkan driver: "lvp" (lavapipe) or "virtio" (Venus in a guest)."""
        return str(self.path / f"drivers/{name}.json")

    def environment(self):
        return {**super().environment(), **self.gl_environment(),
                "VK_DRIVER_FILES": self.driver("lvp")}


def _write_drivers(root):
    (root.path / "drivers").mkdir()
    for name in KEPT_DRIVERS:
        found = list((root.path / "usr/share/vulkan/icd.d").glob(f"{name}_icd*.json"))
        if len(found) != 1:
            raise VmError(f"mesa-vulkan-drivers has no Vulkan driver {name}")
        description = json.loads(found[0].read_text())
        library = root.libraries / Path(description["ICD"]["library_path"]).name
        description["ICD"]["library_path"] = os.path.relpath(library, root.path / "drivers")
        Path(root.driver(name)).write_text(json.dumps(description, indent=4) + "\n")


def _write_programs(root):
    (root.path / "programs").mkdir()
    for name, program in PROGRAMS.items():
        program = program.replace("TRIPLET", root.libraries.name)
        if not (root.path / program).exists():
            raise VmError(f"the Vulkan root has no {program}")
        path = Path(root.program(name))
        path.write_text(SCRIPT.format(program=program, loader=root.loader,
                                      libraries=root.libraries.relative_to(root.path)))
        path.chmod(0o755)


def _check(root):
    """A hole that vulkanroot.provided left is better found here."""
    answer = subprocess.run([root.program("vulkaninfo"), "--summary"], env=root.environment(),
                            capture_output=True, text=True, check=False)
    if answer.returncode or "llvmpipe" not in answer.stdout:
        raise VmError("vulkaninfo does not find lavapipe in the Vulkan root: "
                      f"{answer.stderr.strip() or answer.stdout.strip()}")


def _build(folder):
    fetched = debs.fetch_and_unpack(folder, debs.read_list(image.RECIPE / "vulkanroot.suites"),
                                    debs.host_arch(),
                                    debs.read_list(image.RECIPE / "vulkanroot.packages"),
                                    debs.read_list(image.RECIPE / "vulkanroot.provided"))
    image.remove_drivers(folder, KEPT_DRIVERS)
    root = VulkanRoot(folder)
    _write_drivers(root)
    _write_programs(root)
    _check(root)
    debs.forget(fetched)


def _key():
    here = Path(__file__).resolve()
    return cache.key_of(debs.host_arch(), here, here.parent / "debs.py",
                        *sorted(image.RECIPE.glob("vulkanroot.*")))


def is_missing():
    """Would vulkanroot() have to make it?"""
    return not cache.find("vulkanroot", _key())


def vulkanroot():
    if debs.host_arch() not in image.TRIPLETS:
        raise VmError(f"guests run on {' and '.join(image.TRIPLETS)} only")
    image.say_if_missing("vulkanroot", _key(), "virglrenderer with Venus")
    return VulkanRoot(cache.get("vulkanroot", _key(), _build))
