# SPDX-License-Identifier: MIT
"""The root in which libvirt runs: Debian 13, unpacked from packages into the cache.

No maintainer script runs, so the little that libvirt needs of them is done here. The root is never
written afterwards: what programs write goes to tmpfs mounts (inside.py)."""

from pathlib import Path

from vmlib import cache, debs, image

RECIPE = Path(__file__).resolve().parent / "recipe"
SUITE = "trixie"
# Mount points, for file systems and for the programs under test.
FOLDERS = ("dev", "etc/libvirt", "guest", "proc", "root", "run", "sys", "tmp", "usr/local/bin",
           "usr/share/qemu/vhost-user", "var")
PROGRAMS = ("usr/bin/virtio-gpud", "usr/local/bin/virtio-gpud")
USERS = """root:x:0:0:root:/root:/bin/sh
libvirt-qemu:x:64055:106:libvirt:/var/lib/libvirt:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
"""
GROUPS = """root:x:0:
tty:x:5:
kvm:x:106:
libvirt:x:107:
libvirt-qemu:x:64055:
nogroup:x:65534:
"""


def _build(folder):
    fetched = debs.fetch_and_unpack(folder, [SUITE], debs.host_arch(),
                                    debs.read_list(RECIPE / "packages"),
                                    debs.read_list(RECIPE / "provided"))
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        (folder / name).touch()
    (folder / "etc/passwd").write_text(USERS)
    (folder / "etc/group").write_text(GROUPS)
    debs.forget(fetched)


def get():
    key = cache.key_of(debs.host_arch(), Path(__file__), Path(debs.__file__),
                       RECIPE / "packages", RECIPE / "provided")
    image.say_if_missing("libvirt", key, "the root with libvirt")
    return cache.get("libvirt", key, _build)
