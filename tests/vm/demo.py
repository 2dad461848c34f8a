#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The part of ./demo after everything is installed and built: boot, wait for the desktop, prove."""

import argparse
import signal
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from vmlib import image, picture, vm, vulkanroot  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.bench import MODE, desktop_trouble  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.daemon import Daemon  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.say import VmError, say, step  # noqa: E402 pylint: disable=wrong-import-position
from vmlib.viewer import Viewer  # noqa: E402 pylint: disable=wrong-import-position

# The terminal first, so that the small windows come up above it.
CLIENTS = '"weston-terminal --shell=/usr/sbin/vm-hello" "sleep 2" weston-flower weston-simple-egl'
# Mesa copies each frame to weston: its software renderer takes no dma-bufs.
VULKAN_CLIENTS = ('"weston-terminal --shell=/usr/sbin/vm-hello" "sleep 2" weston-flower '
                  '"env MESA_VK_WSI_DEBUG=sw vkcube --wsi wayland"')
DESKTOP_SECONDS = 60
CLIENT_SECONDS = 20


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--is-cached", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--gl", action="store_true")
    parser.add_argument("--vulkan", action="store_true")
    parser.add_argument("--dialect", choices=("vmm", "own"), default="vmm")
    parser.add_argument("--build", default="build")
    parser.add_argument("--output", default="demo.png")
    return parser.parse_args()


def choose_accelerator(root, guest):
    with step("trying whether a guest boots with KVM"):
        works, why = vm.kvm_works(root, guest)
    say(f"using KVM: {why}" if works else f"no KVM ({why}): using TCG, QEMU's emulation")
    return vm.KVM if works else vm.TCG


def start(given, work, root, guest, accel):
    """Returns the daemon and the guest, which answers."""
    options = ["--display", f"headless,outputs=1,mode={MODE[0]}x{MODE[1]}"]
    options = options if given.dialect == "own" else []
    options += ["--capset=virgl"] if given.gl else []
    vulkan_root = vulkanroot.vulkanroot() if given.vulkan else None
    if vulkan_root:
        options += ["--capset=venus", f"--render-server={vulkan_root.render_server}",
                    f"--vulkan-driver={vulkan_root.driver('lvp')}"]
    daemon = Daemon(given.build, work, *options, name="demo", root=vulkan_root)
    try:
        device = (vm.own_display if given.dialect == "own" else vm.vmm_display)(daemon.socket)
        machine = vm.Vm(root, guest, work, accel, vm.input_devices() + device)
    except BaseException:
        daemon.end()
        raise
    return daemon, machine


def take_picture(daemon, machine, path, options="", clients=CLIENTS):
    """Start the desktop and write what the daemon has of it once a client's window is there."""
    machine.check(f"vm-desktop {options} -- {clients}", timeout=DESKTOP_SECONDS)
    deadline = time.monotonic() + DESKTOP_SECONDS
    # Where a person would put the pointer: it makes weston show its cursor.
    machine.move_pointer(0.78, 0.3)
    while True:
        time.sleep(0.5)
        try:
            daemon.screenshot_file(path, cursor=True)
            wrong = desktop_trouble(picture.read_png(path))
        except VmError as error:
            daemon.need_alive()
            wrong = str(error)
        if wrong is None:
            break
        if time.monotonic() > deadline:
            raise VmError(f"the desktop did not appear: {wrong}\n{machine.weston_log()}")
    # The client that renders with GL or Vulkan is the last to appear, and moves.
    deadline = time.monotonic() + CLIENT_SECONDS
    changes = 0
    before = None
    while changes < 3 and time.monotonic() < deadline:
        time.sleep(0.5)
        got = daemon.screenshot()
        changes += before is not None and got != before
        before = got
    daemon.screenshot_file(path, cursor=True)
    got = picture.read_png(path)
    if desktop_trouble(got):
        raise VmError(f"the desktop went away again: {desktop_trouble(got)}")
    return got


def print_proof(given, daemon, machine, got):
    print()
    print(f"Picture: {given.output}, {got.width}x{got.height}, {got.colours(1 << 24)} colours, "
          "as the daemon has it")
    print()
    print("The guest (its kernel's words, and what runs in it):")
    print(machine.check("uname -sr; dmesg | grep -e '\\[drm\\]' | cut -c1-100"), end="")
    print("    driver:", machine.check(
        "basename $(readlink /sys/class/drm/card0/device/virtio*/driver)").strip())
    print("    clients:", machine.check(
        "for exe in /proc/[0-9]*/exe; do readlink $exe; done | sed -n 's#.*/\\(weston.*\\)#\\1#p' | "
        "sort -u | tr '\\n' ' '").strip())
    if given.gl:
        print("    drawn by:", machine.check(
            "sed -n 's/.*GL renderer: //p' /run/weston.log | head -n 1").strip())
        print("    on the host:", daemon.description())
    if given.vulkan:
        print("    Vulkan device:", machine.check(
            "vulkaninfo --summary 2>/dev/null | sed -n 's/.*deviceName *= //p'").strip())
        print("    on the host:", daemon.description())
    print()
    print("What the daemon counted (virtio-gpu-ctl stats):")
    print(daemon.ctl("stats"))


def stay(daemon, machine):
    viewer = Viewer(daemon.control, machine.qmp)
    print("Live. Look on and type with a VNC viewer, for instance:")
    print(f"    vncviewer 127.0.0.1::{viewer.port}      or      "
          f"remote-viewer vnc://127.0.0.1:{viewer.port}")
    print("Press Ctrl-C here to end.", flush=True)
    try:
        while machine.alive():
            daemon.need_alive()
            time.sleep(0.5)
        print("The guest ended by itself.")
    except KeyboardInterrupt:
        print()
    finally:
        viewer.close()


def run(given, work):
    root, guest = image.vmroot(), image.guest()
    accel = choose_accelerator(root, guest)
    say(f"starting the daemon and the guest (dialect: {given.dialect})")
    daemon, machine = start(given, work, root, guest, accel)
    try:
        with step("the guest boots"):
            seconds = machine.wait_ready()
        say(f"the guest is up after {seconds:.0f} s")
        with step("weston and its clients start"):
            got = take_picture(daemon, machine, Path(given.output),
                               "--renderer=gl" if given.gl else "",
                               VULKAN_CLIENTS if given.vulkan else CLIENTS)
        print_proof(given, daemon, machine, got)
        if given.live:
            stay(daemon, machine)
        if machine.alive():
            say("powering off")
            machine.power_off()
    finally:
        machine.close()
        trouble = daemon.end()
    if trouble:
        raise VmError(trouble)
    say("done")


def main():
    given = arguments()
    if given.is_cached:
        missing = image.missing() or (given.vulkan and vulkanroot.is_missing())
        print("no" if missing else "yes")
        return 0
    # A shell that starts a command in the background lets it ignore Ctrl-C: not this one. SIGTERM
    # ends everything in order, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = Path(tempfile.mkdtemp(prefix="virtio-gpud-demo-"))
    try:
        run(given, work)
    except VmError as error:
        print(f"demo: {error}", file=sys.stderr)
        print(f"demo: the logs are in {work}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit):
        print("\ndemo: ended before it was done", file=sys.stderr)
        shutil.rmtree(work, ignore_errors=True)
        return 130
    shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
