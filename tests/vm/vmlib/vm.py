# SPDX-License-Identifier: MIT
"""One running guest: QEMU as a child process, its QMP socket, and a shell in the guest.

How this works: guest.run() sends a shell line through a virtio-serial port to recipe/vm-init and
waits for exit status and output; after a reboot of the guest wait_ready() waits for it to say
READY again. Everything has a time limit, and close() ends QEMU whatever state it is in."""

import base64
import gzip
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import cache
from .qmp import Qmp
from .say import VmError

MEMORY = "1G"
# TCG: one thread a virtual CPU, and a code buffer that need not be flushed in a short life.
TCG = ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"]
KVM = ["-accel", "kvm", "-cpu", "host"]
KERNEL_WORDS = ("console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr audit=0 "
                "tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests "
                "net.ifnames=0 vt.global_cursor_default=0")
# A guest under TCG on two shared cores is ready after about 10 s.
READY_SECONDS = 120
BENCH_PORT = "vm.bench"
# What a shell line may carry: Linux limits each word to 128 KiB. A multiple of base64's 4.
PIECE = 64 << 10
# Where others use the machine too, what takes a second may take five: times to wait are those of an
# idle machine, times this. They end what hangs; they judge no speed.
PATIENCE = 5


def in_process(outputs=1):
    """QEMU's own virtio-gpu: the reference picture."""
    return ["-device", f"virtio-gpu-pci,id=gpu,max_outputs={outputs}"]


def vmm_display(path, outputs=1):
    """The VMM dialect: QEMU owns the display and has a console for it."""
    return ["-chardev", f"socket,id=vg,path={path}",
            "-device", f"vhost-user-gpu-pci,chardev=vg,id=gpu,max_outputs={outputs}"]


def own_display(path):
    """The own dialect: QEMU's generic vhost-user device; the daemon owns the display."""
    return ["-chardev", f"socket,id=vg,path={path}",
            "-device", "vhost-user-test-device-pci,chardev=vg,id=gpu,virtio-id=16,num_vqs=2,"
            "config_size=16,vq_size=256"]


def input_devices():
    return ["-device", "virtio-keyboard-pci", "-device", "virtio-tablet-pci"]


class Vm:
    def __init__(self, root, guest, work, accel, devices, extra=(), memory=MEMORY, words=""):
        """`work`: a folder for this VM's sockets and logs. `devices`: one of the above."""
        self.work = work
        self.console_log = work / "console.log"
        self.qemu_log = work / "qemu.log"
        self.bench_port = work / "bench.sock"  # of start_bench_worker
        self.qmp = None
        self._channel = None
        self._buffer = b""
        self.kernel = None
        for name in ("qmp.sock", "channel.sock", "bench.sock"):
            (work / name).unlink(missing_ok=True)
        command = root.qemu() + [
            "-nodefaults", "-no-user-config", "-name", "virtio-gpud-test",
            "-machine", "q35,memory-backend=ram,vmport=off", *accel,
            "-smp", "2", "-m", memory,
            "-object", f"memory-backend-memfd,id=ram,size={memory},share=on",
            "-kernel", str(guest.kernel), "-initrd", str(guest.initrd),
            "-append", f"{KERNEL_WORDS} {words}",
            "-blockdev", f"driver=file,node-name=disk,filename={guest.image},read-only=on",
            "-device", "virtio-blk-pci,drive=disk",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=channel,path={work}/channel.sock,server=on,wait=off",
            "-device", "virtserialport,chardev=channel,name=vm.control",
            "-chardev", f"socket,id=bench,path={self.bench_port},server=on,wait=off",
            "-device", f"virtserialport,chardev=bench,name={BENCH_PORT}",
            "-chardev", f"file,id=console,path={self.console_log}",
            "-serial", "chardev:console",
            "-qmp", f"unix:{work}/qmp.sock,server=on,wait=off",
            "-vga", "none", *extra, *devices]
        if not {"-vnc", "-display"} & set(extra):
            command += ["-display", "none"]
        (work / "command.txt").write_text(" ".join(command) + "\n")
        with open(self.qemu_log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=root.environment(),
                                            start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _trouble(self, text):
        """An error with what QEMU and the guest's console said last."""
        tails = []
        for what, path in (("QEMU", self.qemu_log), ("guest console", self.console_log)):
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            if lines:
                tails.append(f"-- {what} ({path}):\n" + "\n".join(lines[-8:]))
        return VmError("\n".join([text, *tails]))

    def alive(self):
        return self.process.poll() is None

    def _need_alive(self):
        if not self.alive():
            raise self._trouble(f"QEMU ended with status {self.process.returncode}")

    def _connect(self, name, make, timeout=20.0):
        deadline = time.monotonic() + timeout
        while True:
            self._need_alive()
            try:
                return make(self.work / name)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() > deadline:
                    raise self._trouble(f"QEMU's {name} cannot be reached: {error}") from error
                time.sleep(0.05)

    def _connect_channel(self, path):
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.connect(str(path))
        return channel

    def _receive(self, deadline, what):
        """One more piece from the guest's channel into the buffer."""
        while True:
            self._need_alive()
            if time.monotonic() > deadline:
                raise self._trouble(f"the guest did not answer in time: {what}")
            self._channel.settimeout(0.5)
            try:
                data = self._channel.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise self._trouble(f"QEMU closed the guest's channel: {what}")
            self._buffer += data
            return

    def _line(self, deadline, what):
        while b"\n" not in self._buffer:
            self._receive(deadline, what)
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()

    def wait_ready(self, timeout=READY_SECONDS):
        """Wait until the guest (re)started and answers; returns the seconds that took."""
        began = time.monotonic()
        if self.qmp is None:
            self.qmp = self._connect("qmp.sock", Qmp)
            self._channel = self._connect("channel.sock", self._connect_channel)
        while True:
            line = self._line(began + timeout, "waiting for its start")
            if line.startswith("READY "):
                self.kernel = line.split()[1]
                return time.monotonic() - began

    def run(self, line, timeout=30):
        """Run a shell line in the guest; returns (exit status, output)."""
        assert "\n" not in line, "one line"
        timeout *= PATIENCE
        self._channel.settimeout(10)
        self._channel.sendall(f"{timeout} {line}\n".encode())
        # The guest ends the line itself; the reserve is for the way there and back.
        deadline = time.monotonic() + timeout + 15
        status, size = (int(word) for word in self._line(deadline, line).split())
        while len(self._buffer) < size:
            self._receive(deadline, line)
        output, self._buffer = self._buffer[:size], self._buffer[size:]
        return status, output.decode(errors="replace")

    def check(self, line, timeout=30):
        """Like run(), but a status other than 0 is an error; returns the output."""
        status, output = self.run(line, timeout)
        if status:
            raise VmError(f"in the guest, `{line}` ended with status {status}:\n{output.strip()}")
        return output

    def put_file(self, path, target):
        """Copy an executable file of the host's into the guest."""
        text = base64.b64encode(gzip.compress(Path(path).read_bytes())).decode()
        self.check(f": >{target}.gz")
        for begin in range(0, len(text), PIECE):
            self.check(f"echo {text[begin:begin + PIECE]} | base64 -d >>{target}.gz")
        self.check(f"gunzip -c {target}.gz >{target} && rm {target}.gz && chmod 755 {target}")

    def get_file(self, path, timeout=30):
        """The bytes of a file of the guest's."""
        return base64.b64decode(self.check(f"base64 {path}", timeout))

    def background(self, line):
        """Start a shell line in the guest and leave it running; returns its process id there.

        Its output goes to /run/background.log."""
        # exec, so that the id is that of the program and not of a shell around it. Test programs
        # such as modetest and kmscube end as soon as they can read from their standard input.
        return int(self.check(f"sh -c 'exec {line}' <>/run/never >/run/background.log 2>&1 & "
                              "echo $!"))

    def start_bench_worker(self, program):
        """Leave the worker of virtio-gpu-bench running, for `--guest NAME=` and bench_port."""
        self.put_file(program, "/tmp/virtio-gpu-bench")
        device = self.check("for port in /sys/class/virtio-ports/*; do "
                            f"[ $(cat $port/name) != {BENCH_PORT} ] || echo /dev/${{port##*/}}; "
                            "done").strip()
        self.background(f"/tmp/virtio-gpu-bench vulkan-worker --port={device}")

    def screendump(self, path, head=0):
        """What QEMU itself shows, as a PPM file."""
        self.qmp.command("screendump", filename=str(path), device="gpu", head=head)

    def move_pointer(self, x, y):
        """Put the tablet's pointer at a place, both from 0 to 1."""
        self.qmp.command("input-send-event", events=[
            {"type": "abs", "data": {"axis": axis, "value": int(value * 32767)}}
            for axis, value in (("x", x), ("y", y))])

    def weston_log(self):
        """The end of what weston said, for an error's text."""
        _, text = self.run("tail -n 15 /run/weston.log /run/weston.out 2>/dev/null")
        return text

    def console(self):
        return self.console_log.read_text(errors="replace")

    def reboot(self, timeout=READY_SECONDS):
        """The guest restarts itself, with no orderly end of anything that runs in it."""
        self._channel.settimeout(10)
        self._channel.sendall(b"30 reboot -f\n")
        return self.wait_ready(timeout)

    def power_off(self, timeout=30):
        """Ask the guest to switch itself off; an error if QEMU does not end."""
        self._channel.settimeout(10)
        self._channel.sendall(b"30 poweroff -f\n")
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise self._trouble("the guest did not power off") from error
        self.close()

    def kill(self):
        """As if QEMU crashed."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for one in (self.qmp, self._channel):
            if one is not None:
                one.close()
        self.qmp = self._channel = None


def kvm_works(root, guest):
    """Whether a guest really boots with KVM: (answer, reason). A /dev/kvm alone proves little.

    That it does not is remembered until the machine starts anew: finding out takes a while."""
    if not os.path.exists("/dev/kvm"):
        return False, "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False, "this user may not open /dev/kvm (group kvm)"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memory = cache.folder() / "kvm-fails"
    if memory.exists() and memory.read_text().startswith(f"{boot} "):
        return False, memory.read_text().split(" ", 1)[1]
    works, why = _try_kvm(root, guest)
    if not works:
        memory.write_text(f"{boot} {why}")
    return works, why


def _try_kvm(root, guest, seconds=10):
    command = root.qemu() + [
        "-nodefaults", "-no-user-config", "-machine", "q35", *KVM, "-smp", "2", "-m", "512M",
        "-kernel", str(guest.kernel), "-initrd", str(guest.initrd), "-no-reboot",
        "-append", "console=ttyS0 quiet panic=-1 vm.probe", "-display", "none", "-vga", "none",
        "-serial", "stdio"]
    try:
        answer = subprocess.run(command, env=root.environment(), stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False, f"a guest did not boot with it in {seconds} s"
    if b"vm.probe: user space runs" in answer.stdout:
        return True, "a guest boots with it"
    text = answer.stderr.decode(errors="replace").strip()
    reason = re.sub(r"\s+", " ", text.splitlines()[-1]) if text else "no sign of life"
    return False, f"a guest does not boot with it ({reason})"
