# SPDX-License-Identifier: MIT
"""Pixels: what the guest's driver draws is what the daemon shows, every one of them."""

import time

from vmlib import pattern, picture
from vmlib.bench import BACKGROUND, MODE, SECOND_MODE, expect, expect_same
from vmlib.testing import test

MIDDLE = (MODE[0] // 2, MODE[1] // 2)
FIRST = f"-s Virtual-1:{MODE[0]}x{MODE[1]}"
SECOND = f"-s Virtual-2:{SECOND_MODE[0]}x{SECOND_MODE[1]}"


@test(limit=60)
def modetest_pattern(bench):
    """One output: every pixel of the daemon's screenshot, and of QEMU's in the VMM dialect."""
    bench.modetest(FIRST)
    wanted = pattern.smpte(*MODE)
    bench.wait_same(wanted, "the pattern")
    if bench.daemon:
        expect_same(bench.screenshot_png(), wanted, "the PNG that virtio-gpu-ctl writes")
    if bench.dialect == "vmm":
        expect_same(bench.screendump(), wanted, "QEMU's screendump of the pattern")
    bench.end_modetest()


@test(limit=60)
def two_outputs(bench):
    """One wide picture over two outputs: each shows its part of the same resource."""
    bench.connect_second_output()
    bench.modetest(FIRST, SECOND)
    wide = pattern.smpte(MODE[0] + SECOND_MODE[0], max(MODE[1], SECOND_MODE[1]))
    left = wide.part(0, 0, *MODE)
    right = wide.part(MODE[0], 0, *SECOND_MODE)
    bench.wait_same(left, "the first output")
    bench.wait_same(right, "the second output", output=1)
    if bench.dialect == "vmm":
        expect_same(bench.screendump(0), left, "QEMU's screendump of the first output")
        expect_same(bench.screendump(1), right, "QEMU's screendump of the second output")
    bench.end_modetest()


@test(limit=60)
def page_flips(bench):
    """Flips go on, each shows one of the two buffers whole, and the daemon counts them."""
    before = bench.commands() if bench.daemon else None
    bench.modetest(FIRST, "-v")
    buffers = (pattern.smpte(*MODE), pattern.plain(*MODE))

    def one_of_both(got):
        return None if any(got == one for one in buffers) else picture.difference(got, buffers[0])

    # modetest says how often it flipped after every 60 flips.
    bench.vm.check("for i in $(seq 100); do grep -q freq /run/background.log && exit; sleep 0.1; "
                   "done; cat /run/background.log; false")
    if bench.dialect != "reference":
        seen = set()
        for _ in range(40):
            seen.add(bench.wait_picture(one_of_both, "a flip", seconds=0).pixels)
            if len(seen) == 2:
                break
        expect(len(seen) == 2, "forty screenshots while the guest flips show one buffer only")
    log = bench.end_modetest()
    expect("freq:" in log, f"modetest did not flip: {log}")
    if before:
        after = bench.commands()
        # Where blobs are offered the driver makes its buffers of guest memory.
        for names in (("SET_SCANOUT", "SET_SCANOUT_BLOB"), ("RESOURCE_FLUSH",)):
            done = sum(after.get(name, 0) - before.get(name, 0) for name in names)
            expect(done >= 60, f"60 flips or more, but the daemon counted {done} "
                   f"{' and '.join(names)}")


@test(limit=90)
def kmscube(bench):
    """A GL program in the guest (Mesa's llvmpipe) renders into scanout buffers and flips them."""
    bench.vm.background("kmscube")
    try:
        first = bench.wait_picture(shaded, "kmscube", seconds=30)
        bench.wait_picture(lambda got: "it does not turn" if got == first else shaded(got),
                           "kmscube")
    finally:
        bench.vm.check("killall kmscube; while pidof kmscube; do sleep 0.1; done")


def shaded(got):
    """None if a picture has as many colours as only a lit cube has."""
    colours = got.colours(1000)
    return None if colours >= 200 else f"only {colours} colours"


@test(limit=90, dialects=("vmm", "own"))
def desktop_pointer(bench):
    """weston's cursor follows the tablet, and only screenshots with the cursor show it."""
    # weston draws the cursor itself, but for the one way in which it uses the device's: with GL,
    # and without atomic mode setting (from which Linux hides cursors that have a hot spot).
    bench.vm.check("WESTON_DISABLE_ATOMIC=1 vm-desktop --renderer=gl --", timeout=60)
    bench.wait_picture(lambda got: None if got.at(*MIDDLE) == BACKGROUND else "no background",
                       "weston's background")
    for x, y in ((0.25, 0.5), (0.75, 0.75)):
        bench.vm.move_pointer(x, y)
        time.sleep(2)
        # without clients nothing else on this desktop changes
        without = bench.screenshot()
        at = x * without.width, y * without.height
        bench.wait_picture(lambda got, at=at, without=without: pointer_trouble(got, without, at),
                           f"the pointer at {at}", cursor=True)
    bench.end_desktop()


def pointer_trouble(got, without, at):
    """None if all that differs between two pictures is a pointer's shape at a place."""
    changed = [(x, y) for y in range(got.height)
               if got.part(0, y, got.width, 1) != without.part(0, y, got.width, 1)
               for x in range(got.width) if got.at(x, y) != without.at(x, y)]
    if len(changed) < 20:
        return f"only {len(changed)} pixels of a pointer"
    far = [place for place in changed
           if abs(place[0] - at[0]) > 64 or abs(place[1] - at[1]) > 64]
    return f"pixels differ far from it, at {far[:3]}" if far else None


@test(limit=60, dialects=("vmm", "own"))
def cursor_in_screenshot(bench):
    """modetest's cursor, 64x64 of half transparent grey, moves over the pattern."""
    bench.modetest(FIRST, "-C")
    below = pattern.smpte(*MODE)
    places = set()
    for _ in range(3):
        got = bench.wait_picture(lambda got: cursor_trouble(got, below), "the cursor", cursor=True)
        places.add(first_difference(got, below))
        expect_same(bench.screenshot(), below, "the screenshot without the cursor")
    expect(len(places) > 1, f"the cursor does not move from {places}")
    bench.end_modetest()
    bench.wait_picture(lambda got: None if (got.width, got.height) == MODE else "no picture",
                       "after the cursor is gone")


def first_difference(got, below):
    rows = [row for row in range(got.height)
            if got.part(0, row, got.width, 1) != below.part(0, row, got.width, 1)]
    if not rows:
        return None
    columns = [x for x in range(got.width) if got.at(x, rows[0]) != below.at(x, rows[0])]
    return columns[0], rows[0]


def cursor_trouble(got, below):
    """None if `got` is `below` with the whole cursor blended in at one place."""
    size = 64
    place = first_difference(got, below)
    if place is None:
        return "no cursor in the screenshot"
    left, top = place
    if left + size > got.width or top + size > got.height:
        return "the cursor reaches over the edge just now"
    for y in range(got.height):
        inside = top <= y < top + size
        for x in range(got.width) if inside else ():
            wanted = below.at(x, y)
            if left <= x < left + size:
                # premultiplied: what is below shines through by 1 - alpha
                wanted = tuple(pattern.PLAIN + value * (255 - pattern.PLAIN) / 255
                               for value in wanted)
            off = max(abs(a - b) for a, b in zip(got.at(x, y), wanted))
            if off > 1:
                return f"at {(x, y)} is {got.at(x, y)}, not {wanted} (cursor at {place})"
        if not inside and got.part(0, y, got.width, 1) != below.part(0, y, got.width, 1):
            return f"row {y} differs, but the cursor is at {place}"
    return None
