#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures Vulkan in a guest beside the host's own driver: measure_vulkan.py [options] BUILD RESULTS

First programs that compute and draw run natively and in the guest, and their pictures must be the
same. Then `virtio-gpu-bench vulkan` measures the native driver, virtio-gpu-run (Venus without a VM) and
the guest, all in the same rounds and with the same work: its worker in the guest talks to it through
a virtio-serial port. Writes guest-vulkan.txt and guest-vulkan.json.

The host's driver is lavapipe, or any that --driver names by its JSON file; the libraries of a vendor's
may lie in folders that LD_LIBRARY_PATH names. QEMU, the guest, virglrenderer and the loader come from
the cache of the tests. Without KVM the guest's processors are emulated (TCG): then only rows count
in which the device is what takes the time."""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from vmlib import image, picture, vm, vulkanroot  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.daemon import Daemon  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.say import VmError, say  # noqa: E402 pylint: disable=wrong-import-position

DRAW = "--size=640x480 --frames=20"
# Longer than a driver takes to compile for an emulated processor.
GUEST_SECONDS = 60


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     epilog="\n".join(__doc__.splitlines()[2:]),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, metavar="BUILD", help="meson's folder")
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--driver", help="JSON file of the host's Vulkan driver (lavapipe)")
    parser.add_argument("--tcg", action="store_true", help="do not try KVM")
    parser.add_argument("--smp", type=int, default=2, help="processors of the guest (2)")
    parser.add_argument("bench", nargs="*", metavar="OPTION",
                        help="behind `--': options for virtio-gpu-bench, --rounds for instance")
    return parser.parse_args()


class Root(vulkanroot.VulkanRoot):
    """The Vulkan root; its programs also find what LD_LIBRARY_PATH names, and use another driver."""

    other_driver = None

    def environment(self):
        if not self.other_driver:
            return super().environment()
        # NVIDIA's finds its GPU by EGL, and that by glvnd: the root's own is left out.
        return {**image.VmRoot.environment(self), "VK_DRIVER_FILES": self.other_driver}

    def command(self, program):
        words = super().command(program)
        words[2] = ":".join(filter(None, (words[2], os.environ.get("LD_LIBRARY_PATH"))))
        return words


class Host:
    """What runs on this machine: programs, the daemon and its render server."""

    def __init__(self, build, work, driver):
        self.root = Root(vulkanroot.vulkanroot().path)
        self.root.other_driver = driver
        self.build, self.work = build.resolve(), work
        self.driver = driver or self.root.driver("lvp")
        self.server = self.script("render-server", "usr/libexec/virgl_render_server")

    def script(self, name, program):
        """One word that runs a program of the root or of the build with the root's libraries."""
        path = self.work / name
        path.write_text(f'#!/bin/sh\nexec {shlex.join(self.root.command(program))} "$@"\n')
        path.chmod(0o755)
        return path

    def run(self, program, *words):
        """A program of tests/run, natively; returns what it says."""
        answer = subprocess.run([*self.root.command(self.build / "tests/run" / program), *words],
                                env=self.root.environment(), capture_output=True, text=True, check=False)
        if answer.returncode:
            raise VmError(f"natively {program} ended with {answer.returncode}: {answer.stderr}")
        return answer.stdout

    def options(self):
        """By which our own programs find driver and render server."""
        return [f"--render-server={self.server}", f"--vulkan-driver={self.driver}"]

    def daemon(self):
        return Daemon(self.build, self.work, "--capset=venus", "--display=headless,mode=640x480",
                      *self.options(), name="measure", root=self.root)

    def bench(self, path, guest, options):
        """The table, with JSON in a file; shows it as it is written."""
        run = [str(self.build / "virtio-gpu-run"), "--vulkan", "--listen=%s",
               f"--daemon-program={self.script('virtio-gpud', self.build / 'virtio-gpud')}",
               *self.options()]
        command = [str(self.build / "virtio-gpu-bench"), "vulkan", "--driver", self.driver,
                   "--client-driver", self.root.driver("virtio"),
                   "--layer", str(self.build / "src/vulkan_layer"),
                   "--worker", " ".join(self.root.command(self.build / "virtio-gpu-bench")),
                   "--daemon", "", "--backend", f"virtio-gpu-run={' '.join(run)}",
                   "--guest", f"guest={guest}", "--json", str(path.with_suffix(".json")), *options]
        with open(path, "w", encoding="utf-8") as table:
            answer = subprocess.run(command, stdout=table, env=self.root.environment(), check=False)
        print(path.read_text(encoding="utf-8"))
        if answer.returncode:
            raise VmError(f"virtio-gpu-bench ended with status {answer.returncode}")


def compare_programs(host, guest):
    """What they say, natively and in the guest."""
    for name in ("vk_compute", "vk_draw"):
        guest.put_file(host.build / "tests/run" / name, f"/tmp/{name}")
    drawn = host.work / "native.ppm"
    text = "natively:\n" + host.run("vk_compute")
    text += host.run("vk_draw", *DRAW.split(), f"--output={drawn}")
    text += "in the guest:\n" + guest.check("/tmp/vk_compute", GUEST_SECONDS)
    text += guest.check(f"/tmp/vk_draw {DRAW} --output=/tmp/drawn.ppm", GUEST_SECONDS)
    same = picture.read_ppm(drawn).pixels == picture.parse_ppm(
        guest.get_file("/tmp/drawn.ppm"), "the guest's picture").pixels
    picture.read_ppm(drawn).write_png(host.work / "native.png")
    if not same:
        raise VmError("vk_draw's picture of the guest is not the native one")
    return text + "both pictures are the same, to the last bit\n"


def measure(given, host, results):
    works, why = (False, "--tcg") if given.tcg else vm.kvm_works(image.vmroot(), image.guest())
    say(f"the guest runs by {'KVM' if works else f'TCG ({why})'}")
    with host.daemon() as daemon:
        say(f"the daemon offers Venus on {daemon.description()}")
        with vm.Vm(image.vmroot(), image.guest(), host.work, vm.KVM if works else vm.TCG,
                   vm.own_display(daemon.socket), extra=["-smp", str(given.smp)]) as guest:
            say(f"the guest is ready after {guest.wait_ready():.0f} s")
            text = compare_programs(host, guest)
            print(text, end="")
            (results / "guest-programs.txt").write_text(text)
            shutil.copy(host.work / "native.png", results / "guest-vk_draw.png")
            guest.start_bench_worker(host.build / "virtio-gpu-bench")
            note = f"guest: Linux {guest.kernel}, {given.smp} processors, {'KVM' if works else 'TCG'}"
            try:
                host.bench(results / "guest-vulkan.txt", guest.bench_port, ["--note", note, *given.bench])
            except VmError as error:
                raise VmError(f"{error}\n-- worker in the guest:\n"
                              f"{guest.run('tail /run/background.log')[1]}{daemon.log_tail()}") from error


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no guest is left behind
    given.results.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="virtio-gpud-measure-"))
    try:
        measure(given, Host(given.build, work, given.driver), given.results)
    except VmError as error:
        print(f"measure_vulkan.py: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
