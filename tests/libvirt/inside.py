# SPDX-License-Identifier: MIT
"""The part of `run` that is alone: first process of its namespaces, with a root to mount things on.

How this works: the root from the cache stays as it is; everything that is written lies on tmpfs
mounted over its folders. libvirtd and virsh run in the chroot, this program outside of it, so it
needs no Python there; so does the daemon that libvirt does not start, with the libraries of the
Vulkan root. What the tests look at comes from virsh, from /proc, and from a shell in the
guest (recipe/vm-init of tests/vm, through a channel that libvirt makes)."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))

import readme  # noqa: E402 pylint: disable=wrong-import-position
from vmlib import image, pattern, picture  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.daemon import Daemon  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.say import VmError  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.vulkanroot import VulkanRoot  # noqa: E402 pylint: disable=wrong-import-position

DOMAIN = "gpud-test"
DECOY = "/usr/local/bin/decoy-virtio-gpud"
# QEMU with the generic device, as one word, and the VM root that it lies in.
EMULATOR = "/tmp/qemu-system-x86_64"
VM_ROOT = "/tmp/vmroot"
# Under TCG on two busy cores a guest needs some ten seconds.
BOOT_LIMIT = 120
LIMIT = 30
TMPFS = ("dev", "etc/libvirt", "run", "tmp", "usr/share/qemu/vhost-user", "var")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
QEMU_CONF = """user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
remember_owner = 0
"""


class Failure(VmError):
    """A test failed; the text says how."""


def expect(true, text):
    if not true:
        raise Failure(text)


def wait_for(what, condition, limit=LIMIT):
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        expect(time.monotonic() < end, f"waited {limit} s for {what}")
        time.sleep(0.05)


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


class Machine:
    """The root with everything mounted, libvirtd running, and our programs installed."""

    def __init__(self, root, stage, guest, vm_root, vulkan_root, work):
        self.root, self.stage, self.work = root, stage, work
        self.vulkan_root = VulkanRoot(vulkan_root)
        self.daemon = None
        self._mount_file_systems(guest, work)
        self._write_emulator(vm_root)
        self.binary = self._install(stage)
        (root / "etc/libvirt/qemu.conf").write_text(QEMU_CONF)
        (root / "var/run").symlink_to("/run")
        for name in ("run/libvirt", "var/lib/libvirt", "var/cache/libvirt", "var/log/libvirt/qemu"):
            (root / name).mkdir(parents=True)
        with open(work / "libvirtd.log", "wb") as log:
            self.libvirtd = subprocess.Popen(self.command("/usr/sbin/libvirtd"), stdout=log,
                                             stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_for("libvirtd", self._libvirtd_answers)
        except Failure as failure:
            raise Failure(f"{failure}: {self.virsh('list').stderr.strip()}") from failure

    def _libvirtd_answers(self):
        expect(self.libvirtd.poll() is None, "libvirtd ended")
        return self.virsh("list").returncode == 0

    def _mount_file_systems(self, guest, work):
        # So that nothing mounted here shows outside.
        mount("--make-rprivate", "/")
        mount("--bind", self.root, self.root)
        for name in TMPFS:
            mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.root / name)
        mount("-t", "proc", "proc", self.root / "proc")
        mount("-t", "sysfs", "-o", "ro", "sysfs", self.root / "sys")
        for name in DEVICES:
            (self.root / "dev" / name).touch()
            mount("--bind", Path("/dev") / name, self.root / "dev" / name)
        for name in ("shm", "pts"):
            (self.root / "dev" / name).mkdir()
        mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", self.root / "dev/pts")
        (self.root / "dev/ptmx").symlink_to("pts/ptmx")
        mount("--bind", "-o", "ro", guest, self.root / "guest")
        (self.root / "tmp/work").mkdir()
        mount("--bind", work, self.root / "tmp/work")

    def _write_emulator(self, vm_root):
        """Puts the VM root's QEMU beside the one of this root: a script, for it needs its own
        ld.so, and libvirt gives it an environment that does not say where its modules are."""
        (self.root / VM_ROOT.lstrip("/")).mkdir()
        mount("--bind", "-o", "ro", vm_root, self.root / VM_ROOT.lstrip("/"))
        inside = image.VmRoot(Path(VM_ROOT))
        path = self.root / EMULATOR.lstrip("/")
        path.write_text(f"#!/bin/sh\nQEMU_MODULE_DIR={inside.environment()['QEMU_MODULE_DIR']} "
                        f"exec {shlex.join(inside.qemu())} \"$@\"\n")
        path.chmod(0o755)

    def _install(self, stage):
        """Puts the installed files into the root; returns the program's path there."""
        found = list(stage.glob("**/qemu/vhost-user/40-virtio-gpud.json"))
        expect(len(found) == 1, f"meson install gave {len(found)} files 40-virtio-gpud.json")
        back_end = json.loads(found[0].read_text())
        binary = back_end["binary"]
        expect(sorted(back_end) == ["binary", "description", "type"], f"its keys: {back_end}")
        place = self.root / binary.lstrip("/")
        expect(place.exists(), f"the build's prefix is neither /usr nor /usr/local: {binary}")
        if binary.startswith("/usr/local/"):
            mount("-t", "tmpfs", "tmpfs", self.root / "usr/local")
            place.parent.mkdir()
            shutil.copy(stage / binary.lstrip("/"), place)
        else:
            mount("--bind", stage / binary.lstrip("/"), place)
            mount("-t", "tmpfs", "tmpfs", self.root / "usr/local")
            (self.root / "usr/local/bin").mkdir()
        # A copy whose number comes later, and who could serve as well.
        shutil.copy(stage / binary.lstrip("/"), self.root / DECOY.lstrip("/"))
        folder = self.root / "usr/share/qemu/vhost-user"
        shutil.copy(found[0], folder)
        (folder / "50-decoy.json").write_text(json.dumps({**back_end, "binary": DECOY}))
        return binary

    def command(self, *words):
        return ["chroot", str(self.root), *words]

    def virsh(self, *words, limit=LIMIT):
        environment = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C", "HOME": "/root"}
        return subprocess.run(self.command("/usr/bin/virsh", "-q", "-c", "qemu:///system", *words),
                              capture_output=True, text=True, timeout=limit, check=False,
                              stdin=subprocess.DEVNULL, env=environment)

    def check_virsh(self, *words, limit=LIMIT):
        done = self.virsh(*words, limit=limit)
        expect(done.returncode == 0, f"virsh {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def define(self, xml):
        (self.work / "domain.xml").write_text(xml.replace("/work/", "/tmp/work/"))
        self.virsh("undefine", DOMAIN)  # what an earlier test may have left
        self.check_virsh("define", "/tmp/work/domain.xml")

    def back_ends(self):
        """(process id, arguments) of processes that run the installed program or the decoy."""
        found = []
        for folder in (self.root / "proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")[:-1]
            except OSError:
                continue
            if words and words[0].decode(errors="replace") in (self.binary, DECOY):
                found.append((int(folder.name), [word.decode() for word in words]))
        return found

    def back_end(self):
        """The one back end's process id, which must be the installed program's."""
        found = wait_for("a back end", self.back_ends)
        expect(len(found) == 1, f"not one back end: {found}")
        pid, words = found[0]
        expect(words[0] == self.binary, f"not the first in lexical order: {words[0]}")
        expect(len(words) == 2 and words[1].startswith("--fd="), f"its arguments: {words}")
        return pid

    def maps(self, pid):
        return (self.root / f"proc/{pid}/maps").read_text()

    def start_daemon(self):
        """The installed daemon with Vulkan, where README's domain looks for it."""
        programs = (self.stage / self.binary.lstrip("/")).parent
        self.daemon = Daemon(programs, self.root / "tmp", "--venus",
                             f"--render-server={self.vulkan_root.render_server}",
                             f"--vulkan-driver={self.vulkan_root.driver('lvp')}",
                             root=self.vulkan_root)

    def close(self):
        self.virsh("destroy", DOMAIN)
        if self.daemon:
            self.daemon.end()
            shutil.copy(self.daemon.log_path, self.work)
        self.libvirtd.send_signal(signal.SIGTERM)
        try:
            self.libvirtd.wait(10)
        except subprocess.TimeoutExpired:
            self.libvirtd.kill()
        for log in (self.root / "var/log/libvirt/qemu").glob("*.log"):
            shutil.copy(log, self.work)


def back_end_domain():
    return (HERE / "domain.xml").read_text()


class Shell:
    """The guest's shell (tests/vm/recipe/vm-init)."""

    def __init__(self, path):
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.channel.connect(str(path))
        self.buffer = b""
        line = self.line(BOOT_LIMIT)
        expect(line.startswith("READY "), f"the guest said {line!r}")

    def receive(self, limit):
        self.channel.settimeout(limit)
        try:
            data = self.channel.recv(65536)
        except TimeoutError as error:
            raise Failure(f"the guest did not answer in {limit} s") from error
        expect(data, "the guest's channel closed")
        self.buffer += data

    def line(self, limit):
        while b"\n" not in self.buffer:
            self.receive(limit)
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def run(self, line, limit=LIMIT):
        self.channel.sendall(f"{limit} {line}\n".encode())
        status, size = map(int, self.line(limit + 10).split())
        while len(self.buffer) < size:
            self.receive(limit)
        output, self.buffer = self.buffer[:size].decode(errors="replace"), self.buffer[size:]
        expect(status == 0, f"in the guest, {line!r} ended with {status}: {output}")
        return output


class Tests:
    """Run in the order of the file: each one goes on where the one before ended."""

    def __init__(self, machine):
        self.machine = machine
        self.guest_shell = None

    @property
    def shell(self):
        expect(self.guest_shell, "no guest runs: an earlier test failed")
        return self.guest_shell

    def start_guest(self):
        self.guest_shell = None
        self.machine.check_virsh("start", DOMAIN, limit=BOOT_LIMIT)
        self.guest_shell = Shell(self.machine.root / "run/channel.sock")

    def expect_state(self, state):
        got = self.machine.check_virsh("domstate", DOMAIN).strip()
        expect(got == state, f"the domain is {got}, not {state}")

    def expect_device(self):
        """The guest's driver has one device."""
        devices = self.shell.run("ls -d /sys/bus/virtio/drivers/virtio_gpu/virtio*").split()
        expect(len(devices) == 1, f"the guest's virtio_gpu driver has {devices}")


class BackEndTests(Tests):
    """<driver name='vhostuser'/>: libvirt finds the daemon and starts it."""

    pid = None

    def screenshot(self):
        self.machine.check_virsh("screenshot", DOMAIN, "/tmp/work/screen.ppm")
        path = self.machine.work / "screen.ppm"
        if path.read_bytes()[:4] == b"\x89PNG":
            return picture.read_png(path)
        return picture.read_ppm(path)

    def expect_pattern(self):
        def equal():
            got = self.screenshot()
            return picture.difference(got, pattern.smpte(got.width, got.height)) is None
        try:
            wait_for("the picture", equal, 10)
        except Failure as failure:
            got = self.screenshot()
            difference = picture.difference(got, pattern.smpte(got.width, got.height))
            raise Failure(f"the picture of virsh: {difference}") from failure

    def start_domain(self):
        self.start_guest()
        self.pid = self.machine.back_end()

    def expect_end(self):
        wait_for("the back end's end", lambda: not self.machine.back_ends(), 10)
        wait_for("the domain's end",
                 lambda: self.machine.check_virsh("domstate", DOMAIN).strip() == "shut off")

    def test_3d_is_refused(self):
        """A domain that wants what --print-capabilities does not list finds no back end."""
        model = "<model type='virtio' heads='1' primary='yes'"
        self.machine.define(back_end_domain().replace(
            f"{model}/>", f"{model}><acceleration accel3d='yes'/></model>"))
        done = self.machine.virsh("start", DOMAIN, limit=BOOT_LIMIT)
        expect(done.returncode != 0, "the domain started")
        expect("satisfying vhost-user-gpu" in done.stderr, f"virsh said: {done.stderr.strip()}")
        expect(not self.machine.back_ends(), "a back end was left")

    def test_domain_starts_our_binary(self):
        self.machine.define(back_end_domain())
        self.start_domain()
        self.expect_state("running")

    def test_guest_finds_the_device(self):
        self.expect_device()
        expect("memfd:" in self.machine.maps(self.pid),
               "the back end has not mapped the guest's memory")

    def test_guest_draws(self):
        """modetest's pattern, pixel by pixel, as libvirt has it from QEMU."""
        connector = self.shell.run(
            "modetest -M virtio_gpu -c | awk '$3 == \"connected\" {print $1}'").strip()
        self.shell.run(f"modetest -M virtio_gpu -s {connector}:#0@XR24 <>/run/never "
                       ">/run/background.log 2>&1 & sleep 1; pidof modetest")
        self.expect_pattern()

    def test_suspend_and_resume(self):
        self.machine.check_virsh("suspend", DOMAIN)
        self.expect_state("paused")
        self.expect_pattern()
        self.machine.check_virsh("resume", DOMAIN)
        self.shell.run("true")
        self.expect_pattern()

    def test_migration_is_refused(self):
        """The device's state cannot move, so what needs that must be refused, with a reason.

        QEMU is asked: `virsh save` fails before it gets there, because libvirt 11.3 adds an empty
        <acceleration> to every vhostuser video, which it then cannot read back."""
        done = self.machine.virsh("qemu-monitor-command", DOMAIN, "--hmp", "migrate exec:true")
        said = done.stdout + done.stderr
        expect("Migration disabled" in said, f"QEMU said: {said.strip()}")
        self.shell.run("true")

    def test_destroy_ends_it(self):
        self.machine.check_virsh("destroy", DOMAIN)
        self.expect_end()

    def test_poweroff_ends_it(self):
        self.start_domain()
        self.shell.channel.sendall(b"5 poweroff -f\n")
        self.expect_end()

    def test_back_end_obeys_sigterm(self):
        """What libvirt does when it cleans up after a QEMU that crashed."""
        self.start_domain()
        os.kill(self.pid, signal.SIGTERM)
        wait_for("the back end's end", lambda: not self.machine.back_ends(), 10)
        self.machine.check_virsh("destroy", DOMAIN)
        self.expect_end()


class VulkanTests(Tests):
    """README's domain: QEMU's generic device, and a daemon that libvirt knows nothing of."""

    def expect_venus(self):
        """A Vulkan program of the guest's uses the daemon's driver, in memory that it maps."""
        text = self.shell.run("vulkaninfo --summary", limit=90)
        devices = [line for line in text.splitlines() if "deviceName" in line]
        expect(len(devices) == 1 and "Venus" in devices[0] and "llvmpipe" in devices[0],
               f"not one device of Venus's: {devices}")
        commands = self.machine.daemon.commands()
        expect(commands.get("RESOURCE_MAP_BLOB", 0) > 0, f"no memory was mapped: {commands}")

    def test_vulkan_domain_starts(self):
        self.machine.start_daemon()
        self.machine.define(readme.domain(EMULATOR))
        self.start_guest()
        self.expect_state("running")

    def test_vulkan_guest_finds_the_device(self):
        self.expect_device()
        expect(not self.machine.back_ends(), "libvirt started a back end as well")

    def test_vulkan_works(self):
        self.expect_venus()

    def expect_unmapped(self):
        """QEMU 11.1.3 crashes if a pause meets an unmap (docs/protocol-notes.md), and those of a
        program come when it is gone already."""
        wait_for("the end of the program's mappings",
                 lambda: self.machine.daemon.stats()["window"]["mappings"] == 0)

    def test_vulkan_suspend_and_resume(self):
        self.expect_unmapped()
        self.machine.check_virsh("suspend", DOMAIN)
        self.expect_state("paused")
        self.machine.check_virsh("resume", DOMAIN)
        self.expect_venus()

    def test_vulkan_destroy_leaves_the_daemon(self):
        """The same daemon serves the next VM."""
        self.machine.check_virsh("destroy", DOMAIN)
        self.expect_state("shut off")
        self.start_guest()
        self.expect_venus()
        self.machine.check_virsh("destroy", DOMAIN)
        trouble = self.machine.daemon.end()
        expect(not trouble, trouble)


def run_one(name, function):
    began = time.monotonic()
    try:
        function()
        trouble = None
    except VmError as error:
        trouble = str(error)
    except Exception:  # pylint: disable=broad-except # a defect of the test is a failure too
        trouble = traceback.format_exc()
    seconds = time.monotonic() - began
    word = "ok  " if trouble is None else "FAIL"
    print(f"{word} libvirt/{name} ({seconds:.1f} s){': ' + trouble if trouble else ''}", flush=True)
    return trouble is None


def main():
    root, stage, guest, vm_root, vulkan_root, work = map(Path, sys.argv[1:])
    results = []
    try:
        machine = Machine(root, stage, guest, vm_root, vulkan_root, work)
    except (VmError, OSError, subprocess.CalledProcessError) as error:
        log = work / "libvirtd.log"
        print(f"FAIL libvirt/start: {error}\n{log.read_text() if log.exists() else ''}")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    for kind in (BackEndTests, VulkanTests):
        tests = kind(machine)
        for name in [name for name in vars(kind) if name.startswith("test_")]:
            results.append(run_one(name[5:], getattr(tests, name)))
    machine.close()
    failed = results.count(False)
    print(f"{len(results) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


def reap_until(child):
    """What the first process of its kind owes the others: libvirt waits for processes that left
    it, such as QEMU, until they are gone from the process table."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    fork = os.fork()
    sys.exit(main() if fork == 0 else reap_until(fork))
