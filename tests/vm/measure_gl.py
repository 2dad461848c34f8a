#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures OpenGL in a guest, through virtio-gpud and through QEMU's own virtio-gpu-gl-pci:
measure_gl.py [options] BUILD RESULTS. Needs Xvfb and what the tests with guests need.

Participants: vmm (vhost-user-gpu-pci; QEMU shows the frames in a window of SDL, with OpenGL), again
(the same once more: what the machine's drift alone does), own (QEMU's generic device; the daemon
has the display, there is no window), peer (virtio-gpu-gl-pci in the same window). All have the same
QEMU, guest, Mesa and libvirglrenderer, from one folder of packages of their own in the cache: the
daemon that is measured runs with its libraries, not with the machine's.

Every participant draws every scene in every round with a fresh guest, and each round begins with
another one; ratios are formed inside a round. A scene draws for some seconds before it is looked
at: programs that start and shaders that are compiled do not count. Frames are the RESOURCE_FLUSHes
that the guest's kernel sent meanwhile, as its trace events tell; programs wait for each frame to be
shown.

CPU is that of the daemon and of QEMU without the threads that run the guest's processors. The X
server's is told apart: it stands for a compositor, which own does not have."""

import argparse
import base64
import os
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from vmlib import cache, debs, image, picture, vm  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.daemon import Daemon  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.say import VmError, say  # noqa: E402 pylint: disable=wrong-import-position

PACKAGES = ("qemu-system-x86", "qemu-system-gui", "qemu-system-modules-opengl", "libvirglrenderer1",
            "libegl1", "libgl1", "libgl1-mesa-dri", "libglx-mesa0", "libgbm1", "libuv1t64",
            "libjansson4", "libpixman-1-0")
VERSIONS = ("qemu-system-x86", "libvirglrenderer1", "libgl1-mesa-dri")
PARTICIPANTS = ("vmm", "again", "own", "peer")
RATIOS = (("vmm", "peer"), ("own", "peer"), ("again", "vmm"))
MODE = (1280, 800)
GLMARK2 = "glmark2-es2-drm --visual-config alpha=0 --swap-mode fifo -b {}:duration=600"
SCENES = {"kmscube": "kmscube", **{name: GLMARK2.format(options) for name, options in (
    ("build", "build"), ("texture", "texture:texture-filter=mipmap"),
    ("shading", "shading:shading=phong"), ("desktop", "desktop"))}}
# Frames before a scene is looked at.
WARM_FRAMES = 30
RESOURCE_FLUSH, SUBMIT_3D = 0x104, 0x207
TRACE = "/sys/kernel/tracing/events/virtio_gpu/virtio_gpu_cmd_queue"
# SDL opens its window in the middle before the guest has a mode, and then it grows.
SCREEN = (1920, 1200)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("results", type=Path, help="a folder for the table and the pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="of each scene")
    parser.add_argument("--only", help="participants, with commas")
    parser.add_argument("--scenes", help="with commas")
    parser.add_argument("--hold", metavar="SCENE",
                        help="draw one scene, say the processes' ids and wait for --seconds: "
                        "for a profiler")
    return parser.parse_args()


class Root(image.VmRoot):
    """QEMU with its windows and OpenGL, and the GL driver and renderer for all participants."""

    display = ""

    def command(self, program):
        """The words that run a program with the libraries of this root, wherever it is."""
        words = super().command(program)
        words[2] += f":{self.libraries}/pulseaudio"  # where libpulse, SDL's, looks for its own
        return words

    def environment(self):
        # The cache of shaders is shared with others, and only the first would compile.
        return {**super().environment(), **self.gl_environment(), "DISPLAY": self.display,
                "SDL_VIDEODRIVER": "x11", "MESA_SHADER_CACHE_DISABLE": "true"}


def build_root(folder):
    suites = debs.read_list(image.RECIPE / "suites")
    fetched = debs.fetch_and_unpack(folder, suites, debs.host_arch(), PACKAGES,
                                    debs.read_list(image.RECIPE / "vmroot.provided"),
                                    release=suites[-1])
    names = (re.match(r"([^_]+)_([^_]+)_", path.name).groups() for path in fetched)
    (folder / "versions.txt").write_text("".join(
        f"{name} {version.replace('%3a', ':')}\n" for name, version in names if name in VERSIONS))
    debs.forget(fetched)


def gl_root():
    key = cache.key_of(debs.host_arch(), image.RECIPE / "suites", " ".join(PACKAGES + VERSIONS))
    return Root(cache.get("glroot", key, build_root))


class Screen:
    """An X server without a screen, and what it shows."""

    def __init__(self, folder):
        self.folder = folder
        reading, writing = os.pipe()
        with open(folder / "x.log", "wb") as log:
            self.process = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{SCREEN[0]}x{SCREEN[1]}x24",
                 "-fbdir", str(folder), "-nolisten", "tcp"],
                pass_fds=[writing], stdout=log, stderr=log)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self.display = f":{pipe.readline().strip()}"
        if self.display == ":":
            raise VmError(f"Xvfb does not start:\n{(folder / 'x.log').read_text()}")

    def take(self):
        """The whole screen; its file is X's window dump (XWDFile.h), big-endian."""
        data = (self.folder / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", data[:100])
        width, height, stride, colours = header[4], header[5], header[12], header[19]
        begin = header[0] + 12 * colours
        rgb = bytearray(width * height * 3)
        for channel in range(3):
            rgb[channel::3] = b"".join(
                data[begin + stride * y + 2 - channel:begin + stride * y + 4 * width:4]
                for y in range(height))
        return picture.Picture(width, height, rgb)

    def end(self):
        self.process.terminate()
        self.process.wait(10)


def cpu_of(pid, thread=None):
    """CPU seconds of a process, with its threads that have ended, or of one thread."""
    path = f"/proc/{pid}/task/{thread}/stat" if thread else f"/proc/{pid}/stat"
    fields = Path(path).read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one_mode(edid):
    """An EDID with nothing but the preferred mode of another: glmark2 takes the largest.

    VESA E-EDID 1.4, 3.6 to 3.11."""
    block = bytearray(edid[:128])
    block[24] &= ~1  # no continuous frequencies, from which Linux would derive modes
    block[35:38] = bytes(3)  # no established timings
    block[38:54] = b"\x01" * 16  # no standard timings
    for begin in (72, 90, 108):
        block[begin:begin + 18] = bytes((0, 0, 0, 0x10)) + bytes(14)  # dummy descriptors
    block[126] = 0  # no extensions
    block[127] = -sum(block[:127]) & 255
    return bytes(block)


class Participant:
    """A fresh guest, with its X server and, but for the peer, its daemon."""

    def __init__(self, name, build, root, guest):
        self.name = name
        self.work = Path(tempfile.mkdtemp(prefix=f"virtio-gpud-measure-{name}-"))
        self.daemon = self.screen = self.vm = None
        try:
            self._start(build, root, guest)
            self.vm.wait_ready()
            self._choose_mode()
        except BaseException:
            self.end()
            raise

    def _start(self, build, root, guest):
        self.screen = Screen(self.work)
        root.display = self.screen.display
        size = f"xres={MODE[0]},yres={MODE[1]}"
        display = ["-display", "sdl,gl=on"]
        if self.name == "peer":
            devices = ["-device", f"virtio-gpu-gl-pci,id=gpu,{size}"]
        else:
            options = ["--capset=virgl"]
            if self.name == "own":
                options += ["--display", f"headless,outputs=1,mode={MODE[0]}x{MODE[1]}"]
            self.daemon = Daemon(build, self.work, *options, name=self.name, root=root)
            devices = vm.own_display(self.daemon.socket)
            if self.name == "own":
                display = ["-display", "none"]
            else:
                devices = vm.vmm_display(self.daemon.socket)
                devices[-1] += f",{size}"
        self.vm = vm.Vm(root, guest, self.work, vm.TCG, vm.input_devices() + devices, extra=display)

    def _choose_mode(self):
        """Load the guest's driver anew, with a monitor that has one mode."""
        edid = base64.b64decode(self.vm.check("base64 /sys/class/drm/card0-Virtual-1/edid"))
        text = base64.b64encode(one_mode(edid)).decode()
        self.vm.check(
            "mkdir -p /run/firmware && "
            f"echo {text} | base64 -d >/run/firmware/edid && "
            "echo -n /run/firmware >/sys/module/firmware_class/parameters/path && "
            "echo -n edid >/sys/module/drm/parameters/edid_firmware && "
            "cd /sys/bus/virtio/drivers/virtio_gpu && device=$(echo virtio*) && "
            "echo $device >unbind && sleep 0.5 && echo $device >bind")
        self.vm.check("mount -t tracefs none /sys/kernel/tracing && "
                      f"echo hist:key=type >{TRACE}/trigger")
        modes = self.vm.check("cat /sys/class/drm/card0-Virtual-1/modes").split()
        if modes != [f"{MODE[0]}x{MODE[1]}"]:
            raise VmError(f"{self.name}: the guest's screen has the modes {' '.join(modes)}")

    def end(self):
        for end in (self.vm and self.vm.close, self.daemon and self.daemon.end,
                    self.screen and self.screen.end):
            if end:
                end()
        shutil.rmtree(self.work, ignore_errors=True)

    def _cpu(self):
        """CPU seconds of the daemon, of QEMU without and with the guest's processors, and of X."""
        qemu = self.vm.process.pid
        whole = cpu_of(qemu)
        guest = sum(cpu_of(qemu, one["thread-id"])
                    for one in self.vm.qmp.command("query-cpus-fast"))
        daemon = cpu_of(self.daemon.process.pid) if self.daemon else 0.0
        return daemon, whole - guest, whole, cpu_of(self.screen.process.pid)

    def _commands(self):
        """How many commands of a kind the guest has sent."""
        text = self.vm.check(f"cat {TRACE}/hist")
        return {int(kind): int(count) for kind, count in
                re.findall(r"type: +(\d+) .*hitcount: +(\d+)", text)}

    def draw(self, scene):
        """Let a scene draw, and wait until it has for a while."""
        self.vm.background(SCENES[scene])
        wanted = self._commands().get(RESOURCE_FLUSH, 0) + WARM_FRAMES
        deadline = time.monotonic() + 60
        while self._commands().get(RESOURCE_FLUSH, 0) < wanted:
            if time.monotonic() > deadline:
                raise VmError(f"{self.name}: {scene} does not draw: {self._log()}")
            time.sleep(0.5)

    def _log(self):
        return self.vm.check("cat /run/background.log")

    def measure(self, scene, seconds):
        """{what: a frame's milliseconds}."""
        self.draw(scene)
        begun, cpu, commands = time.monotonic(), self._cpu(), self._commands()
        time.sleep(seconds)
        took, used, sent = time.monotonic() - begun, self._cpu(), self._commands()
        program = SCENES[scene].split()[0]
        self.vm.check(f"killall {program}; while pidof {program}; do sleep 0.1; done")
        if not re.search(r"renderer: .*virgl", self._log(), re.I):
            raise VmError(f"{self.name}: {scene} is not drawn by VirGL: {self._log()}")
        frames = sent[RESOURCE_FLUSH] - commands[RESOURCE_FLUSH]
        daemon, qemu, whole, server = ((b - a) * 1e3 / frames for a, b in zip(cpu, used))
        return {"time": took * 1e3 / frames, "daemon": daemon, "qemu": qemu,
                "device": daemon + qemu, "all": daemon + whole, "x": server,
                "submits": (sent[SUBMIT_3D] - commands[SUBMIT_3D]) / frames}

    def take(self):
        return self.daemon.screenshot() if self.name == "own" else self.screen.take()


def keep_picture(participant, results):
    """What is on the screen while a cube turns: for a person to look at, and it must be shaded."""
    participant.draw("kmscube")
    got = participant.take()
    got.write_png(results / f"guest-gl-{participant.name}.png")
    participant.vm.check("killall kmscube; while pidof kmscube; do sleep 0.1; done")
    if got.colours(200) < 200:
        raise VmError(f"{participant.name} does not show kmscube: see the picture in {results}")


def median(samples, name, scene, what):
    return statistics.median(one[what] for one in samples[name][scene])


def ratio(samples, pair, scene, what, invert=False):
    """Median and range of the ratios that were formed inside the rounds."""
    rounds = zip(samples[pair[0]][scene], samples[pair[1]][scene])
    values = [right[what] / left[what] if invert else left[what] / right[what]
              for left, right in rounds]
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def table(samples, scenes):
    names = list(samples)
    pairs = [pair for pair in RATIOS if pair[0] in samples and pair[1] in samples]
    lines = []
    for what, head in (("rate", "frames a second"),
                       ("device", "CPU of the device: daemon and QEMU without vCPUs, ms a frame"),
                       ("daemon", "of that the daemon"),
                       ("qemu", "of that QEMU"),
                       ("all", "daemon and QEMU with vCPUs, ms a frame"),
                       ("x", "X server, ms a frame"), ("submits", "SUBMIT_3D a frame")):
        compared = pairs if what in ("rate", "device", "all") else ()
        lines += ["", head, f"{'':20}" + "".join(f"{name:>9}" for name in names) +
                  "".join(f"{'/'.join(pair):>22}" for pair in compared)]
        for scene in scenes:
            row = f"{scene:20}"
            for name in names:
                value = median(samples, name, scene, "time" if what == "rate" else what)
                row += f"{1e3 / value if what == 'rate' else value:9.1f}"
            for pair in compared:
                row += f"{ratio(samples, pair, scene, 'time', True):>22}" if what == "rate" else (
                    f"{ratio(samples, pair, scene, what):>22}")
            lines.append(row)
    return "\n".join(lines)


def processors():
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    name = names[0] if names else os.uname().machine
    return f"{len(os.sched_getaffinity(0))} processors ({name})"


def measure_rounds(given, root, guest, names, scenes):
    samples = {name: {scene: [] for scene in scenes} for name in names}
    for number in range(given.rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            say(f"round {number + 1}: {name}")
            participant = Participant(name, given.build, root, guest)
            try:
                if number == 0:
                    keep_picture(participant, given.results)
                for scene in scenes:
                    samples[name][scene].append(participant.measure(scene, given.seconds))
            finally:
                participant.end()
        text = (f"{(root.path / 'versions.txt').read_text()}{processors()}, TCG, load "
                f"{os.getloadavg()[0]:.1f}; {number + 1} rounds, {given.seconds} s a "
                f"scene of {MODE[0]}x{MODE[1]}; medians, ratios with their range\n"
                f"{table(samples, scenes)}\n")
        (given.results / "guest-gl.txt").write_text(text)
    print(text)


def hold(given, root, guest, name):
    participant = Participant(name, given.build, root, guest)
    try:
        participant.draw(given.hold)
        say(f"{name}: QEMU is process {participant.vm.process.pid}" +
            (f", the daemon {participant.daemon.process.pid}" if participant.daemon else ""))
        time.sleep(given.seconds)
    finally:
        participant.end()


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no guest is left behind
    names = given.only.split(",") if given.only else list(PARTICIPANTS)
    scenes = given.scenes.split(",") if given.scenes else list(SCENES)
    if not shutil.which("Xvfb"):
        print("measure_gl.py: Xvfb is missing: install xvfb", file=sys.stderr)
        return 2
    given.results.mkdir(parents=True, exist_ok=True)
    try:
        root, guest = gl_root(), image.guest()
        if given.hold:
            for name in names:
                hold(given, root, guest, name)
        else:
            measure_rounds(given, root, guest, names, scenes)
    except VmError as error:
        print(f"measure_gl.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
