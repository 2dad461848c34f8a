# SPDX-License-Identifier: MIT
"""The two things that are made once: the VM root (QEMU) and the guest (kernel, initrd, image).

How this works: both are unpacked from Debian packages (debs.py). QEMU then runs in place, by the
ld.so and libraries beside it, so neither root nor a matching libc is needed. The guest's root
becomes an ext4 image (mke2fs -d), shared read-only by all guests that run; its kernel's modules
go, uncompressed and in loading order, into an initial root of busybox (kmod.py, cpio.py)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from . import cache, cpio, debs, kmod
from .say import VmError, say, step

RECIPE = Path(__file__).resolve().parent.parent / "recipe"
HERE = Path(__file__).resolve().parent
GUEST_ARCH = "amd64"
CHECKED_PROGRAMS = ("usr/bin/weston", "usr/bin/weston-*", "usr/bin/modetest", "usr/bin/kmscube",
                    "usr/bin/glmark2-es2-drm", "usr/lib/TRIPLET/faketime/libfaketime.so.1",
                    "usr/sbin/seatd", "usr/bin/udevadm", "usr/lib/TRIPLET/libweston-14/*drm*.so",
                    "usr/lib/TRIPLET/libweston-14/gl-renderer.so",
                    "usr/lib/TRIPLET/weston/desktop-shell.so", "usr/libexec/weston-*",
                    "usr/lib/TRIPLET/libEGL_mesa.so.0", "usr/lib/TRIPLET/gbm/*.so",
                    "usr/lib/TRIPLET/libvulkan_virtio.so", "usr/bin/vulkaninfo", "usr/bin/vkcube",
                    "usr/bin/vkmark", "usr/lib/TRIPLET/vkmark/*.so")
# Without lavapipe among them no program draws in software when Venus fails.
GUEST_VULKAN_DRIVERS = ("virtio",)
TRIPLETS = {"amd64": ("x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2"),
            "arm64": ("aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1")}


def _suites():
    return debs.read_list(RECIPE / "suites")


def _recipe(*names):
    return [RECIPE / name for name in names]


class VmRoot:
    """A folder with QEMU in it, and how to run it."""

    def __init__(self, path):
        self.path = path
        triplet, self.loader = TRIPLETS[debs.host_arch()]
        self.libraries = path / "usr/lib" / triplet
        # libsystemd-shared and its like lie one folder deeper; QEMU needs none of them.

    def command(self, program):
        """The words that run a program of this root on this machine."""
        return [str(self.path / self.loader), "--library-path", str(self.libraries),
                str(self.path / program)]

    def environment(self):
        return {**os.environ, "QEMU_MODULE_DIR": str(self.libraries / "qemu"), "LC_ALL": "C"}

    def gl_environment(self):
        """Variables by which this root's EGL finds this root's Mesa."""
        return {"__EGL_VENDOR_LIBRARY_DIRS": str(self.path / "usr/share/glvnd/egl_vendor.d"),
                "LIBGL_DRIVERS_PATH": str(self.libraries / "dri"),
                "GBM_BACKENDS_PATH": str(self.libraries / "gbm")}

    def qemu(self):
        return self.command("usr/bin/qemu-system-x86_64") + [
            "-L", str(self.path / "usr/share/qemu"), "-L", str(self.path / "usr/share/seabios")]

    def run_qemu(self, *arguments):
        return subprocess.run(self.qemu() + list(arguments), env=self.environment(),
                              capture_output=True, text=True, check=False)


def _build_vmroot(folder):
    suites = _suites()
    fetched = debs.fetch_and_unpack(folder, suites, debs.host_arch(),
                                    debs.read_list(RECIPE / "vmroot.packages"),
                                    debs.read_list(RECIPE / "vmroot.provided"),
                                    release=suites[-1])
    # Device by device: "-device help" alone loads every module there is, also those of another
    # QEMU that may be installed on this machine, and gives up on them.
    for device in ("vhost-user-gpu-pci", "vhost-user-test-device-pci"):
        answer = VmRoot(folder).run_qemu("-device", f"{device},help")
        if answer.returncode or f"{device} options" not in answer.stdout:
            raise VmError(f"QEMU of {suites[-1]} has no {device}, or does not start: "
                          f"{answer.stderr.strip()}")
    debs.forget(fetched)


def _vmroot_key():
    return cache.key_of(debs.host_arch(), HERE / "debs.py",
                        *_recipe("suites", "vmroot.packages", "vmroot.provided"))


def vmroot():
    if debs.host_arch() not in TRIPLETS:
        raise VmError(f"guests run on {' and '.join(TRIPLETS)} only")
    say_if_missing("vmroot", _vmroot_key(), "QEMU")
    return VmRoot(cache.get("vmroot", _vmroot_key(), _build_vmroot))


def remove_drivers(root, kept):
    """Removes Mesa's Vulkan drivers of `root` but those named: each has some 10 MiB of its own."""
    for description in root.glob("usr/share/vulkan/icd.d/*.json"):
        if description.name.split("_icd")[0] not in kept:
            library = json.loads(description.read_text())["ICD"]["library_path"]
            for path in root.glob(f"usr/lib/*/{Path(library).name}"):
                path.unlink()
            description.unlink()


class Guest:
    """The files that a guest boots from."""

    def __init__(self, path):
        self.kernel = path / "vmlinuz"
        self.initrd = path / "initrd"
        self.image = path / "root.ext4"


def _pack_initrd(kernel_version_folder, busybox):
    archive = cpio.Cpio()
    for name in ("bin", "dev", "proc", "root", "modules"):
        archive.folder(name)
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", busybox.read_bytes(), 0o755)
    archive.file("init", (RECIPE / "initrd-init").read_bytes(), 0o755)
    modules = kmod.Modules(kernel_version_folder / "kernel")
    order = modules.in_order(debs.read_list(RECIPE / "modules"))
    for name, data in order:
        archive.file(f"modules/{name}.ko", data)
    archive.file("modules/order", "\n".join(name for name, _ in order).encode() + b"\n")
    return archive.finish()


def _finish_guest_root(root):
    """What maintainer scripts would have done, as far as the guest needs it."""
    busybox = root / "usr/bin/busybox"
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True,
                             check=True).stdout.split()
    for name in applets:
        path = root / "usr/bin" / name
        if not path.exists() and not path.is_symlink():
            path.symlink_to("busybox")
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "etc"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nvideo:x:44:\nrender:x:105:\ninput:x:104:\n")
    remove_drivers(root, GUEST_VULKAN_DRIVERS)
    (root / "etc/weston.ini").write_bytes((RECIPE / "weston.ini").read_bytes())
    for name in ("vm-init", "vm-desktop", "vm-hello"):
        path = root / "usr/sbin" / name
        path.write_bytes((RECIPE / name).read_bytes())
        path.chmod(0o755)


def _check_libraries(root):
    """Every program and plug-in that the tests use must find its libraries.

    A package claimed as installed (guest.provided) may leave a hole; better found here."""
    if debs.host_arch() != GUEST_ARCH:
        return
    triplet, loader = TRIPLETS[GUEST_ARCH]
    libraries = root / "usr/lib" / triplet
    search = f"{libraries}:{libraries}/systemd:{libraries}/weston"
    for name in CHECKED_PROGRAMS:
        files = list(root.glob(name.replace("TRIPLET", triplet)))
        if not files:
            raise VmError(f"the guest has no {name}")
        for file in files:
            answer = subprocess.run([root / loader, "--library-path", search, "--list", file],
                                    capture_output=True, text=True, check=False)
            holes = [line.strip() for line in (answer.stdout + answer.stderr).splitlines()
                     if "not found" in line or "cannot open" in line]
            if holes:
                raise VmError(f"in the guest, {name} lacks libraries: {'; '.join(holes)}")


def _build_guest(folder):
    root = folder / "root"
    root.mkdir()
    fetched = debs.fetch_and_unpack(root, _suites(), GUEST_ARCH,
                                    debs.read_list(RECIPE / "guest.packages"),
                                    debs.read_list(RECIPE / "guest.provided"))
    guest = Guest(folder)
    with step("making the guest's disk image"):
        kernels = sorted(root.glob("boot/vmlinuz-*"))
        if len(kernels) != 1:
            raise VmError(f"expected one kernel in the guest, found {len(kernels)}")
        version = kernels[0].name[len("vmlinuz-"):]
        shutil.move(kernels[0], guest.kernel)
        _finish_guest_root(root)
        _check_libraries(root)
        guest.initrd.write_bytes(_pack_initrd(root / "usr/lib/modules" / version,
                                              root / "usr/bin/busybox"))
        shutil.rmtree(root / "boot")
        shutil.rmtree(root / "usr/lib/modules")
        _make_ext4(root, guest.image)
        shutil.rmtree(root)
    debs.forget(fetched)


def _make_ext4(root, image):
    size = sum(path.lstat().st_size + 4096 for path in root.rglob("*")) >> 20
    mke2fs = shutil.which("mke2fs", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not mke2fs:
        raise VmError("mke2fs is missing: install e2fsprogs")
    # No journal and no lazy tables: the image is never written after this.
    answer = subprocess.run(
        [mke2fs, "-q", "-t", "ext4", "-O", "^has_journal,^resize_inode", "-m", "0", "-F",
         "-E", "lazy_itable_init=0,root_owner=0:0", "-d", root, image,
         f"{size + size // 10 + 16}M"],
        capture_output=True, text=True, check=False)
    if answer.returncode:
        raise VmError(f"making the guest's disk image failed: {answer.stderr.strip()}")


def _guest_key():
    return cache.key_of(GUEST_ARCH, *(HERE / name for name in ("debs.py", "kmod.py", "cpio.py",
                                                                "image.py")),
                        *(path for path in sorted(RECIPE.iterdir())
                          if not path.name.startswith(("vmroot.", "vulkanroot."))))


def guest():
    say_if_missing("guest", _guest_key(), "the guest")
    return Guest(cache.get("guest", _guest_key(), _build_guest))


def say_if_missing(name, key, what):
    if not cache.find(name, key):
        say(f"{what} is not in the cache yet: making it ({cache.folder()})")


def missing():
    """What would have to be fetched and made now, as words."""
    wanted = (("QEMU", "vmroot", _vmroot_key()), ("the guest", "guest", _guest_key()))
    return [what for what, name, key in wanted if not cache.find(name, key)]
