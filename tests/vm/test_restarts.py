# SPDX-License-Identifier: MIT
"""Stop is not reset, and reset is: a desktop on screen through all that a VMM may do."""

import time

from vmlib.bench import desktop_trouble, expect, expect_same
from vmlib.qmp import QmpError
from vmlib.testing import test


class Resets:
    """Watches how often the daemon reset its device, and that no command failed meanwhile."""

    def __init__(self, bench):
        self.daemon = bench.daemon
        self.before = self.count()

    def count(self):
        return self.daemon.stats()["resets"] if self.daemon else 0

    def expect(self, some, what):
        """Since the last call: `some` resets, or none."""
        if not self.daemon:
            return
        now = self.count()
        expect((now > self.before) == some,
               f"{what}: {now - self.before} resets of the device, not {'some' if some else '0'}")
        self.before = now
        # What a reset left behind shows as resource ids that are taken already.
        commands = self.daemon.stats()["commands"].items()
        errors = {name: one["errors"] for name, one in commands if one["errors"]}
        expect(not errors, f"{what}: commands of the driver failed: {errors}")


def stopped_pictures(bench, tries=5):
    """QEMU's picture of a stopped VM, and the daemon's; the VM is left stopped.

    They differ if it stops between a transfer and its flush: then another moment is tried."""
    bench.vm.qmp.command("stop")
    time.sleep(0.5)
    shown, had = bench.screendump(), bench.screenshot()
    if shown == had or tries == 1:
        return shown, had
    bench.vm.qmp.command("cont")
    time.sleep(0.3)
    return stopped_pictures(bench, tries - 1)


@test(limit=120)
def stop_and_cont(bench):
    """While the VM is stopped the picture stays; afterwards the desktop goes on as it was."""
    bench.desktop()
    resets = Resets(bench)
    for _ in range(3):
        bench.vm.qmp.command("stop")
        # what was under way when the rings stopped may still reach the display
        time.sleep(0.5)
        stopped = bench.screenshot()
        expect(desktop_trouble(stopped) is None, f"stopped: {desktop_trouble(stopped)}")
        time.sleep(1)
        expect_same(bench.screenshot(), stopped, "the picture of the stopped VM, a second later")
        bench.vm.qmp.command("cont")
        bench.vm.check("true")
        bench.expect_moving("after cont")
        bench.wait_picture(desktop_trouble, "after cont")
    if bench.dialect == "vmm":
        expect_same(*stopped_pictures(bench), "QEMU's screendump of the desktop")
        bench.vm.qmp.command("cont")
        bench.expect_moving("after the last cont")
    resets.expect(False, "after stop and cont")
    errors = bench.vm.check("dmesg | grep -i -e 'response 0x1[2-9]' -e 'drm.*ERROR' || true")
    expect(not errors, f"the guest's driver complains: {errors}")
    bench.end_desktop()


@test(limit=30, dialects=("vmm", "own"))
def migrate_is_refused(bench):
    """The device's state cannot move yet, so the VMM has to say no, with a reason."""
    try:
        bench.vm.qmp.command("migrate", uri="exec:cat >/dev/null")
    except QmpError as error:
        expect("migrat" in error.reason.lower(), f"refused, but the reason is {error.reason!r}")
        return
    expect(False, "QEMU agreed to migrate a device whose state does not move")


@test(limit=120)
def driver_unbind_and_bind(bench):
    """The driver lets go of the device with a desktop on screen, and takes it up again."""
    bench.desktop()
    driver = "/sys/bus/virtio/drivers/virtio_gpu"
    device = bench.vm.check(f"cd {driver}; echo virtio*").strip()
    resets = Resets(bench)
    for _ in range(2):
        bench.vm.check(f"echo {device} >{driver}/unbind", timeout=60)
        bench.end_desktop()
        bench.vm.check(f"echo {device} >{driver}/bind", timeout=60)
        bench.vm.check("for i in $(seq 50); do [ -e /dev/dri/card* ] && exit; sleep 0.1; done; "
                       "false")
        bench.desktop()
        bench.expect_moving("after bind")
        resets.expect(True, "after unbind and bind")
    bench.end_desktop()


@test(limit=150)
def guest_reboot(bench):
    """The guest starts anew without a word with a desktop on screen; so does the desktop."""
    bench.desktop()
    resets = Resets(bench)
    bench.vm.reboot()
    bench.desktop()
    bench.expect_moving("after the reboot")
    resets.expect(True, "after the reboot")
    if bench.daemon:
        resources = bench.daemon.stats()["resources"]["count"]
        bench.vm.qmp.command("system_reset")
        bench.vm.wait_ready()
        bench.desktop()
        resets.expect(True, "after the VMM's reset")
        again = bench.daemon.stats()["resources"]["count"]
        expect(again <= resources + 2, f"{resources} resources, after another reset {again}: "
               "the reset does not free what the guest had")
    bench.end_desktop()


@test(limit=150)
def vmm_killed(bench):
    """QEMU dies with a desktop on screen; a new one gets its desktop from the same daemon."""
    bench.desktop()
    bench.vm.kill()
    time.sleep(0.5)
    bench.check_alive()
    bench.desktop()
    bench.expect_moving("with the new QEMU")
    bench.end_desktop()
