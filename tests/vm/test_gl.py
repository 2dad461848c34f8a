# SPDX-License-Identifier: MIT
"""OpenGL by VirGL: the guest's Mesa draws through the daemon with the host's GL driver."""

import time

from vmlib.bench import (BACKGROUND, GL_DIALECTS, Failure, desktop_trouble, expect,
                          expect_same)
from vmlib.testing import test

from test_picture import shaded


def expect_virgl(bench, text):
    """Mesa falls back to its software renderer without a word: that would be a failure."""
    lines = [line for line in text.splitlines() if "renderer" in line.lower()]
    expect(any("virgl" in line for line in lines), f"not drawn by VirGL: {lines}")


def expect_no_errors(bench):
    errors = {name: one["errors"] for name, one in bench.daemon.stats()["commands"].items()
              if one["errors"]}
    expect(not errors, f"commands of the driver failed: {errors}")


def start_cube(bench):
    bench.vm.background("kmscube")
    return bench.wait_picture(shaded, "kmscube", seconds=40)


def end_cube(bench):
    bench.vm.check("killall kmscube; while pidof kmscube; do sleep 0.1; done", timeout=20)


@test(limit=120, dialects=GL_DIALECTS)
def gl_kmscube(bench):
    """A GL program draws into scanout buffers: the picture turns, and VirGL drew it."""
    first = start_cube(bench)
    bench.wait_picture(lambda got: "it does not turn" if got == first else shaded(got), "kmscube")
    expect_virgl(bench, bench.vm.check("cat /run/background.log"))
    commands = bench.commands()
    expect(commands.get("SUBMIT_3D", 0) > 10, f"no command streams came: {commands}")
    expect_no_errors(bench)
    end_cube(bench)


@test(limit=180, dialects=GL_DIALECTS)
def gl_desktop_as_in_software(bench):
    """weston's desktop drawn with GL is that drawn by pixman in the guest: the right way up."""
    pictures = {}
    for renderer in ("pixman", "gl"):
        bench.vm.check(f"vm-desktop --renderer={renderer} --", timeout=60)
        pictures[renderer] = settled(bench)
        if renderer == "gl":
            expect_virgl(bench, bench.vm.check("cat /run/weston.log"))
        if bench.dialect == "vmm":
            # What the daemon read back for QEMU, not for itself.
            expect_same(bench.screendump(), pictures[renderer], "QEMU's screendump")
        bench.end_desktop()
    software, drawn = pictures["pixman"], pictures["gl"]
    expect((software.width, software.height) == (drawn.width, drawn.height), "sizes differ")
    far = sum(1 for a, b in zip(software.pixels, drawn.pixels) if abs(a - b) > 6)
    share = far / len(software.pixels)
    # Blending rounds differently; nothing else may differ.
    expect(share < 0.001, f"{share:.2%} of all colour values differ by more than 6")
    expect_no_errors(bench)


def settled(bench):
    """The desktop's picture when it does not change any more."""
    def background(got):
        return None if got.at(got.width // 2, got.height // 2) == BACKGROUND else "no background"
    got = bench.wait_picture(background, "weston's background", seconds=40)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(1)
        again = bench.screenshot()
        if again == got:
            return got
        got = again
    raise Failure("the desktop without clients does not come to rest")


@test(limit=180, dialects=GL_DIALECTS)
def gl_desktop_with_client(bench):
    """weston composes with GL what a GL client draws; both go on over the VMM's stop and cont."""
    bench.vm.check("vm-desktop --renderer=gl -- weston-simple-egl weston-flower", timeout=60)
    bench.wait_picture(desktop_trouble, "weston's desktop", seconds=40)
    bench.expect_moving("the GL client")
    for _ in range(2):
        bench.vm.qmp.command("stop")
        time.sleep(0.5)
        bench.vm.qmp.command("cont")
        bench.expect_moving("after cont")
    expect_no_errors(bench)
    bench.end_desktop()


@test(limit=180, dialects=GL_DIALECTS)
def gl_reboot(bench):
    """A guest that restarts without a word leaves no context behind, and draws again."""
    start_cube(bench)
    bench.vm.reboot()
    start_cube(bench)
    expect_no_errors(bench)
    end_cube(bench)


@test(limit=180, dialects=GL_DIALECTS)
def gl_memory_returns(bench):
    """Programs that are killed give back what they held."""
    def held():
        return bench.daemon.stats()["memory"]["used"]

    start_cube(bench)
    bench.vm.check("killall -9 kmscube; while pidof kmscube; do sleep 0.1; done", timeout=20)
    time.sleep(1)
    before = held()
    for _ in range(5):
        start_cube(bench)
        bench.vm.check("killall -9 kmscube; while pidof kmscube; do sleep 0.1; done", timeout=20)
    deadline = time.monotonic() + 10
    while held() > before and time.monotonic() < deadline:
        time.sleep(0.2)
    expect(held() <= before, f"{before} bytes held before five programs, {held()} after")
    expect_no_errors(bench)
