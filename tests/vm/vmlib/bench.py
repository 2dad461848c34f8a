# SPDX-License-Identifier: MIT
"""A daemon with a guest on it, shared by the tests of one dialect, and the questions they ask.

How this works: Bench.vm boots a guest when there is none; a test that failed closes the bench, so
the next one starts afresh. The dialects: "vmm" (QEMU owns the display, vhost-user-gpu-pci), "own"
(the daemon owns it, QEMU's generic device), and "reference" (QEMU's own virtio-gpu without any
daemon), which shows that a test expects what a known good device does."""

import shutil
import tempfile
import time
from pathlib import Path

from . import image, picture, vm, vulkanroot
from .daemon import Daemon
from .say import VmError

DIALECTS = ("vmm", "own")
# The same with a daemon that offers OpenGL.
GL_DIALECTS = ("vmm-gl", "own-gl")
# The same with Vulkan: QEMU's vhost-user-gpu-pci lets no blobs through. The daemon runs in the
# Vulkan root, on lavapipe.
VULKAN_DIALECTS = ("own-vk",)
REFERENCE = "reference"
OUTPUTS = 2
MODE = (1280, 800)
SECOND_MODE = (1024, 768)


class Failure(VmError):
    """A test's expectation did not come true."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def expect_same(got, wanted, what):
    text = picture.difference(got, wanted)
    if text:
        raise Failure(f"{what}: {text}")


class Bench:
    def __init__(self, dialect, build, accel, keep=False):
        self.gl = dialect.endswith("-gl")
        self.dialect = dialect.removesuffix("-gl").removesuffix("-vk")
        self.vulkan_root = vulkanroot.vulkanroot() if dialect.endswith("-vk") else None
        self.build = build
        self.accel = accel
        self.keep = keep
        self.root = image.vmroot()
        self.guest = image.guest()
        self.daemon = None
        self.work = None
        self._vm = None

    def _start_daemon(self):
        # /tmp, not the build folder: a unix socket's path may have 107 bytes only
        self.work = Path(tempfile.mkdtemp(prefix=f"virtio-gpud-{self.dialect}-"))
        options = []
        if self.dialect == "own":
            options = ["--display", f"headless,outputs={OUTPUTS},mode={MODE[0]}x{MODE[1]}"]
        if self.gl:
            options.append("--capset=virgl")
        if self.vulkan_root:
            options += ["--capset=venus", f"--render-server={self.vulkan_root.render_server}",
                        f"--vulkan-driver={self.vulkan_root.driver('lvp')}",
                        "--max-vulkan-memory=256M"]
        if self.dialect != REFERENCE:
            self.daemon = Daemon(self.build, self.work, *options, name=f"test-{self.dialect}",
                                 root=self.vulkan_root)

    def _devices(self):
        if self.dialect == "own":
            return vm.own_display(self.daemon.socket)
        if self.dialect == "vmm":
            return vm.vmm_display(self.daemon.socket, OUTPUTS)
        return vm.in_process(OUTPUTS)

    @property
    def vm(self):
        """The running guest; booted if there is none."""
        if self._vm is None or not self._vm.alive():
            self.boot()
        return self._vm

    def boot(self):
        if self.work is None:
            self._start_daemon()
        self._vm = vm.Vm(self.root, self.guest, self.work, self.accel,
                         vm.input_devices() + self._devices())
        self._vm.wait_ready()

    def close(self):
        """End both; returns what was wrong with the daemon's end, or None."""
        trouble = None
        if self._vm is not None:
            self._vm.close()
        if self.daemon is not None:
            trouble = self.daemon.end()
        if self.work is not None and not self.keep and not trouble:
            shutil.rmtree(self.work, ignore_errors=True)
        self._vm = self.daemon = self.work = None
        return trouble

    def check_alive(self):
        if self.daemon is not None:
            self.daemon.need_alive()

    # -- what the tests ask

    def screenshot(self, output=0, cursor=False):
        """The daemon's picture of an output."""
        if self.daemon is not None:
            return self.daemon.screenshot(output, cursor)
        return self.screendump(output)

    def screenshot_png(self):
        """The same as virtio-gpu-ctl writes it."""
        path = self.work / "screenshot.png"
        self.daemon.screenshot_file(path)
        return picture.read_png(path)

    def screendump(self, output=0):
        """QEMU's picture of an output; not in the own dialect."""
        path = self.work / "screendump.ppm"
        self.vm.screendump(path, output)
        return picture.read_ppm(path)

    def wait_picture(self, good, what, seconds=20, output=0, cursor=False):
        """Wait until good(picture) is None; returns the picture. `good` says what is wrong."""
        deadline = time.monotonic() + seconds * vm.PATIENCE
        while True:
            got = None
            try:
                got = self.screenshot(output, cursor)
                wrong = good(got)
            except VmError as error:
                # an output that shows nothing yet has no screenshot
                self.check_alive()
                wrong = str(error)
            if got and wrong is None:
                return got
            if time.monotonic() > deadline:
                raise Failure(f"{what}: {wrong}{self._keep_wrong(got)}")
            time.sleep(0.2)

    def _keep_wrong(self, got):
        """Keep a wrong picture for a person to look at; returns words about where."""
        if not got:
            return ""
        self.keep = True
        path = self.work / "wrong.png"
        got.write_png(path)
        return f" ({path})"

    def wait_same(self, wanted, what, seconds=20, output=0):
        return self.wait_picture(lambda got: picture.difference(got, wanted), what, seconds, output)

    def commands(self):
        """The daemon's count of commands by name."""
        return self.daemon.commands()

    # -- what the tests do in the guest

    def own_program(self, name):
        """The name in the guest of a program of the build's tests/run, copied there if need be."""
        target = f"/tmp/{name}"
        if self.vm.run(f"test -x {target}")[0]:
            program = Path(self.build) / "tests/run" / name
            expect(program.exists(), f"{program} is not there: install libvulkan-dev and build")
            self.vm.put_file(program, target)
        return target

    def modetest(self, *words):
        """Leave modetest running in the guest, with words such as "-v"."""
        self.vm.background("modetest -M virtio_gpu " + " ".join(words))
        self.vm.check("sleep 0.5; pidof modetest >/dev/null || { cat /run/background.log; false; }")

    def connect_second_output(self):
        """Where the VMM has the display, a head that no viewer looks at is not connected, and
        QEMU's VNC takes no vhost-user-gpu; so the guest is told to use the connector anyhow."""
        if self.dialect != "own":
            self.vm.check("echo on >/sys/class/drm/card0-Virtual-2/status")

    def end_modetest(self):
        """Returns what modetest said."""
        return self.vm.check("killall modetest; while pidof modetest; do sleep 0.1; done; "
                             "cat /run/background.log")

    def desktop(self):
        """Start weston with a client that moves, and wait for its picture."""
        self.vm.check("vm-desktop -- weston-flower weston-simple-damage", timeout=60)
        return self.wait_picture(desktop_trouble, "weston's desktop")

    def end_desktop(self):
        self.vm.check("killall weston; while pidof weston; do sleep 0.1; done", timeout=20)

    def expect_moving(self, what, seconds=15):
        """The client on the desktop still draws: the picture changes."""
        before = self.screenshot()
        deadline = time.monotonic() + seconds * vm.PATIENCE
        while self.screenshot() == before:
            expect(time.monotonic() < deadline, f"{what}: the picture does not change any more")
            time.sleep(0.2)


BACKGROUND = (0x1F, 0x3A, 0x5F)


def desktop_trouble(got):
    """None if a picture is weston's desktop with a window on it, else what is missing."""
    if (got.width, got.height) != MODE:
        return f"the picture is {got.width}x{got.height}"
    plain = bytes(BACKGROUND)
    ours = sum(1 for offset in range(0, len(got.pixels), 3 * 97)
               if got.pixels[offset:offset + 3] == plain)
    share = ours * 97 / (got.width * got.height)
    if share < 0.2:
        return f"the desktop's background fills only {share:.0%} of the picture"
    colours = got.colours(64)
    if colours < 16:
        return f"only {colours} colours: there is no window on the desktop"
    return None
