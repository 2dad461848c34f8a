# SPDX-License-Identifier: MIT
"""Vulkan by Venus: the guest's Mesa draws through the daemon with the host's Vulkan driver.

The guest has no other Vulkan driver than Mesa's virtio, so nothing draws in software unnoticed."""

import json
import signal
import subprocess
import time
from pathlib import Path

from vmlib import picture
from vmlib.bench import VULKAN_DIALECTS, Failure, expect, expect_same
from vmlib.say import VmError
from vmlib.testing import Skip, test
from vmlib.vm import PATIENCE

from test_gl import expect_no_errors

SIZE = "320x240"


def expect_venus(text):
    """A program of tests/run names the device and the driver it uses."""
    lines = [line for line in text.splitlines() if line.startswith(("device:", "driver:"))]
    expect(any("Venus" in line and "llvmpipe" in line for line in lines) and
           any(line.startswith("driver: venus") for line in lines), f"not drawn by Venus: {lines}")


def native_picture(bench):
    """vk_draw's picture, drawn by the same driver on the host."""
    path = bench.work / "native.ppm"
    root = bench.vulkan_root
    program = bench.daemon.build / "tests/run/vk_draw"
    answer = subprocess.run([*root.command(program), f"--size={SIZE}", f"--output={path}"],
                            env=root.environment(), capture_output=True, text=True, check=False)
    if answer.returncode:
        raise Failure(f"natively vk_draw fails: {answer.stderr}")
    return picture.read_ppm(path)


def contexts(bench):
    """The contexts of 3D that the guest has now, by their names."""
    return [one["name"] for one in bench.daemon.stats()["contexts"]["list"]]


@test(limit=60, dialects=VULKAN_DIALECTS)
def vk_info(bench):
    """vulkaninfo finds one device: Venus, on the host's lavapipe."""
    text = bench.vm.check("vulkaninfo --summary", timeout=40)
    devices = [line.split("=")[1].strip() for line in text.splitlines() if "deviceName" in line]
    expect(len(devices) == 1 and "Venus" in devices[0] and "llvmpipe" in devices[0],
           f"not one device of Venus's: {devices}")
    expect("DRIVER_ID_MESA_VENUS" in text, f"the driver is not Venus: {text}")
    full = bench.vm.check("vulkaninfo", timeout=60)
    expect("VkPhysicalDeviceMemoryProperties" in full, f"vulkaninfo stopped early: {full[-300:]}")
    expect_no_errors(bench)


@test(limit=120, dialects=VULKAN_DIALECTS)
def vk_memory(bench):
    """A program reads in mapped memory what the device wrote, and the device what it wrote."""
    program = bench.own_program("vk_compute")
    text = bench.vm.check(program, timeout=100)
    expect_venus(text)
    for part in ("memory:", "copy:", "image:"):
        expect(any(line.startswith(part) and "right" in line for line in text.splitlines()),
               f"no line of {part} {text}")
    commands = bench.commands()
    expect(commands.get("RESOURCE_MAP_BLOB", 0) > 0, f"no memory was mapped: {commands}")
    expect_no_errors(bench)


@test(limit=120, dialects=VULKAN_DIALECTS)
def vk_picture(bench):
    """An off-screen picture is, to the last bit, the one that the host's driver draws natively."""
    program = bench.own_program("vk_draw")
    text = bench.vm.check(f"{program} --size={SIZE} --output=/tmp/drawn.ppm", timeout=100)
    expect_venus(text)
    drawn = picture.parse_ppm(bench.vm.get_file("/tmp/drawn.ppm"), "the guest's picture")
    expect_same(drawn, native_picture(bench), "vk_draw's picture")
    expect_no_errors(bench)


# weston's pixman renderer takes no dma-bufs, and lavapipe has no image modifiers to make some for
# others: Mesa copies each frame into memory that weston maps.
COPIED = "MESA_VK_WSI_DEBUG=sw"
CUBE_GROUND = bytes((51, 51, 51))


def cube_trouble(got):
    """None if vkcube's window is on the desktop, else what is missing."""
    sample = [got.pixels[offset:offset + 3] for offset in range(0, len(got.pixels), 3 * 97)]
    share = sample.count(CUBE_GROUND) / len(sample)
    if share < 0.05:
        return f"vkcube's ground fills only {share:.0%} of the picture"
    return None if got.colours(129) > 128 else "there is no cube in vkcube's window"


@test(limit=240, dialects=VULKAN_DIALECTS)
def vk_window(bench):
    """vkcube turns in a window of the guest's desktop; also after the VMM's stop and cont."""
    bench.vm.check(f'{COPIED} vm-desktop -- "vkcube --wsi wayland"', timeout=60)
    bench.wait_picture(cube_trouble, "vkcube", seconds=40)
    bench.expect_moving("vkcube")
    expect("vkcube" in contexts(bench), f"no context of vkcube's: {contexts(bench)}")
    bench.vm.qmp.command("stop")
    time.sleep(0.5)
    bench.vm.qmp.command("cont")
    bench.expect_moving("vkcube after cont")
    bench.vm.check("killall vkcube; while pidof vkcube; do sleep 0.1; done", timeout=20)
    expect_no_errors(bench)
    bench.end_desktop()


def start_drawing(bench):
    """Leave vk_draw running in the guest; it has blobs mapped then."""
    bench.vm.background(f"{bench.own_program('vk_draw')} --frames=100000")
    bench.vm.check("sleep 1; pidof vk_draw >/dev/null || { cat /run/background.log; false; }")
    expect("vk_draw" in contexts(bench), f"no context of vk_draw's: {contexts(bench)}")


def kill_drawing(bench):
    """Returns when the guest's kernel has given up what the program held."""
    bench.vm.check("killall -9 vk_draw; while pidof vk_draw; do sleep 0.1; done")
    deadline = time.monotonic() + 10 * PATIENCE
    while "vk_draw" in contexts(bench):
        expect(time.monotonic() < deadline, "a program's context outlives it")
        time.sleep(0.1)


def expect_drawing(bench):
    text = bench.vm.check(f"{bench.own_program('vk_draw')} --frames=3", timeout=100)
    expect_venus(text)
    expect_no_errors(bench)


@test(limit=240, dialects=VULKAN_DIALECTS)
def vk_reboot(bench):
    """A guest restarts after its programs have ended, and draws again."""
    start_drawing(bench)
    kill_drawing(bench)
    bench.vm.reboot()
    expect_drawing(bench)


@test(limit=240, dialects=VULKAN_DIALECTS)
def vk_reset(bench):
    """A reset in mid-frame leaves nothing behind; nor does a VMM that crashes by it."""
    start_drawing(bench)
    machine = bench.vm
    crashed = False
    try:
        machine.reboot()
    except VmError:
        # Stock QEMU 11.1 crashes when the device starts again (docs/protocol-notes.md).
        machine.close()
        crashed = machine.process.returncode == -signal.SIGSEGV
        if not crashed:
            raise
    # Booted again on the same daemon, if it crashed.
    bench.vm.check("true")
    expect("vk_draw" not in contexts(bench), f"contexts of the old guest: {contexts(bench)}")
    expect_drawing(bench)
    if crashed:
        raise Skip("QEMU ended by SIGSEGV at a reset with mapped blobs; the daemon went on")


@test(limit=240, dialects=VULKAN_DIALECTS)
def vk_killed(bench):
    """Programs that are killed in mid-frame give back what they held."""
    def held():
        return bench.daemon.stats()["memory"]["used"]

    start_drawing(bench)
    kill_drawing(bench)
    before = held()
    for _ in range(3):
        start_drawing(bench)
        kill_drawing(bench)
    deadline = time.monotonic() + 10 * PATIENCE
    while held() > before and time.monotonic() < deadline:
        time.sleep(0.1)
    expect(held() <= before, f"{before} bytes held after one program, {held()} after four")
    expect_no_errors(bench)


@test(limit=240, dialects=VULKAN_DIALECTS)
def vk_limit(bench):
    """Programs share the daemon's limit on Vulkan memory; one that is killed leaves its share to others."""
    # Two buffers of 72 MB, of the limit's 256 MiB. Told to wait, Mesa's driver hears of a refusal.
    words = "--words=18000000 --rounds=1 copy"
    compute = f"VN_PERF=no_async_mem_alloc {bench.own_program('vk_compute')} {words}"
    bench.vm.check(compute, timeout=60)
    # A picture of 67 MB, and its copy, which is mapped.
    bench.vm.background(f"{bench.own_program('vk_draw')} --size=4096x4096 --frames=100000")
    deadline = time.monotonic() + 30 * PATIENCE
    while bench.daemon.stats()["memory"]["used"] < 64 << 20:
        expect(time.monotonic() < deadline, "vk_draw gets no memory")
        time.sleep(0.1)
    status, text = bench.vm.run(compute, timeout=60)
    expect(status == 2 and "vkAllocateMemory failed (-2)" in text,
           f"what is not there is given, or not refused as it should be: {status}, {text}")
    kill_drawing(bench)
    bench.vm.check(compute, timeout=60)
    expect_no_errors(bench)


@test(limit=240, dialects=VULKAN_DIALECTS)
def vk_zink(bench):
    """OpenGL by zink on Venus: a program draws off-screen, reads back, and finds its pixels."""
    program = bench.own_program("gl_program")
    # zink takes a device that draws in software, as the host's does, only when asked to.
    text = bench.vm.check("LIBGL_ALWAYS_SOFTWARE=1 MESA_LOADER_DRIVER_OVERRIDE=zink "
                          f"{program} --frames=4 readback draws", timeout=200)
    renderer = next((line for line in text.splitlines() if line.startswith("renderer:")), "")
    expect("zink" in renderer and "Venus" in renderer, f"not drawn by zink on Venus: {renderer}")
    expect(text.count("frames/s") == 2, f"not all was drawn: {text}")
    expect_no_errors(bench)


@test(limit=240, dialects=VULKAN_DIALECTS)
def vk_bench(bench):
    """virtio-gpu-bench measures a guest beside the native driver, in each of two rounds."""
    root, build = bench.vulkan_root, Path(bench.build).resolve()
    results = bench.work / "bench.json"
    bench.vm.start_bench_worker(build / "virtio-gpu-bench")
    server = f"{root.program('virgl_test_server')} --venus --no-virgl --socket-path=%s"
    answer = subprocess.run(
        [str(build / "virtio-gpu-bench"), "vulkan", "--rounds", "2", "--operations", "3",
         "--only", "compute 10 ms", "--daemon", "", "--driver", root.driver("lvp"),
         "--client-driver", root.driver("virtio"), "--layer", str(build / "src/vulkan_layer"),
         "--render-server", root.render_server, "--json", str(results),
         "--worker", " ".join(root.command(build / "virtio-gpu-bench")),
         "--backend", f"reference={server}", "--guest", f"guest={bench.vm.bench_port}"],
        env=root.environment(), capture_output=True, text=True, check=False)
    expect(answer.returncode == 0, f"virtio-gpu-bench fails: {answer.stderr}\n"
           f"{bench.vm.run('cat /run/background.log')[1]}")
    rates = {cell["participant"]: cell["ops_per_second"]
             for cell in json.loads(results.read_text())["cells"]}
    expect(set(rates) == {"reference", "reference (A/A)", "guest", "native driver"} and
           all(rate and rate > 0 for pair in rates.values() for rate in pair),
           f"not all was measured: {rates}")
    expect("guest " in answer.stdout, f"the table does not name the guest: {answer.stdout}")
    bench.vm.check("killall virtio-gpu-bench")
    expect_no_errors(bench)
