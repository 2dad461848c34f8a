# SPDX-License-Identifier: MIT
"""The parts of ./check, in the order in which they start.

Limits are about three times what a part takes on two busy cores. Weights: see runner.py."""

import os
from pathlib import Path

from .runner import Failed, Part

SANITIZERS = ("-Db_sanitize=address,undefined", "-Db_lundef=false", "--buildtype=debugoptimized",
              "-Dc_args=-fno-omit-frame-pointer -fno-sanitize-recover=all")
FUZZ_SECONDS = 20

# One guest a dialect under sanitizers: a desktop, which uses more of the device than any other.
SANITIZED_GUEST_TESTS = ("desktop",)


def _configure(run, name, *options, compiler=None):
    folder = run.build(name)
    words = ["meson", "setup", folder, run.root, "-Dtests=enabled", "-Dwerror=true",
             "-Dvirgl=enabled", *options]
    if (folder / "build.ninja").exists():
        words.insert(2, "--reconfigure")
    run.command(*words, env={"CC": compiler} if compiler else {})


def _build(run, name, *options, compiler=None, targets=()):
    _configure(run, name, *options, compiler=compiler)
    run.check("ninja", "-C", run.build(name), "-j", run.jobs, *targets)


def _sanitizer_env(run, name):
    """Reports go to files as well: a daemon's test may not look at what the daemon prints."""
    folder = run.build(name) / "reports"
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    # UBSan ends the process at its first find: -fno-sanitize-recover.
    return {"ASAN_OPTIONS": f"detect_stack_use_after_return=1:log_path={folder}/asan",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={folder}/ubsan"}


def _no_reports(run, name):
    reports = sorted((run.build(name) / "reports").iterdir())
    for report in reports:
        run.command("cat", report)
    if reports:
        raise Failed(f"{len(reports)} sanitizer reports")
    run.counts.passed += 1


def hygiene(run):
    run.check("tools/check-hygiene", "--self-test")
    run.check("tools/check-hygiene")


def formatting(run):
    run.check("tools/check-format")


def layers(run):
    run.check("tools/check-layers", "--self-test")
    run.check("tools/check-layers", "--graph")


def guests(run):
    run.command("tests/vm/run", "--prepare", run.build("gcc"))


def libvirt_root(run):
    run.command("tests/libvirt/run", "--prepare")


def sysroot(run):
    run.command("tests/arm64/run", "--prepare")


def gcc(run):
    _build(run, "gcc", compiler="gcc")


def clang(run):
    _build(run, "clang", compiler="clang")


def unit(run):
    run.meson_tests("gcc", "unit")


def protocol(run):
    run.meson_tests("gcc", "protocol")


def asan(run):
    _build(run, "asan", *SANITIZERS, compiler="gcc")
    env = _sanitizer_env(run, "asan")
    for suite in ("unit", "protocol"):
        run.meson_tests("asan", suite, env=env, multiplier=4)
    _no_reports(run, "asan")


def asan_guest(run):
    env = _sanitizer_env(run, "asan")
    run.runner("tests/vm/run", run.build("asan"), *SANITIZED_GUEST_TESTS, env=env)
    _no_reports(run, "asan")


def asan_vulkan(run):
    # Other programs cannot load the layer of such a build: no test that uses the Vulkan driver.
    env = _sanitizer_env(run, "asan")
    run.runner("tests/vulkan/run", run.build("asan"), "venus", env=env)
    _no_reports(run, "asan")


def fuzz(run):
    run.runner("tests/fuzz/run", "--seconds", FUZZ_SECONDS, "--jobs", run.jobs,
               "--build", run.build("fuzz"))


def programs(run):
    run.meson_tests("gcc", "programs")


def piglit(run):
    run.runner("tests/piglit/run", "--jobs", run.jobs, run.build("gcc"))


def vulkan(run):
    run.runner("tests/vulkan/run", run.build("gcc"))


def vm(run):
    run.runner("tests/vm/run", run.build("gcc"))


def libvirt(run):
    run.runner("tests/libvirt/run", run.build("gcc"))


def arm64(run):
    run.runner("tests/arm64/run", "--build", run.build("arm64"), "--jobs", run.jobs)


# In a run of everything the downloads go on while the first builds do.
PARTS = (
    Part("hygiene", "licences, paths, executable bits, blanks", 120, hygiene, quick=True),
    Part("format", "clang-format", 120, formatting, quick=True),
    Part("layers", "includes point one way", 60, layers, quick=True),
    Part("guests", "fetch QEMU and a guest, if not cached", 1200, guests, weight=0),
    Part("libvirt-root", "fetch libvirt, if not cached", 900, libvirt_root, needs=("guests",),
         weight=0),
    Part("sysroot", "fetch arm64 libraries, if not cached", 900, sysroot, weight=0),
    Part("gcc", "build with gcc, warnings are errors", 600, gcc, weight=2, quick=True),
    Part("unit", "unit tests", 300, unit, needs=("gcc",), quick=True),
    Part("protocol", "protocol tests", 600, protocol, needs=("gcc",), quick=True),
    Part("clang", "build with clang, warnings are errors", 600, clang, weight=2),
    Part("asan", "unit and protocol tests under ASan and UBSan", 1500, asan, weight=2),
    Part("fuzz", f"each fuzz target for {FUZZ_SECONDS} s", 900, fuzz, weight=2),
    Part("arm64", "cross build, unit and protocol tests under qemu-user", 1800, arm64,
         needs=("sysroot",), weight=2),
    Part("programs", "GL programs without a VM", 600, programs, needs=("gcc",)),
    Part("piglit", "an eighth of piglit's list, beside virgl_test_server", 600, piglit,
         needs=("gcc",), weight=2),
    Part("vulkan", "Vulkan without a VM, on a virglrenderer of Debian testing", 900, vulkan,
         needs=("gcc", "guests"), weight=2),
    Part("vm", "real guests in both dialects", 3600, vm, needs=("gcc", "guests"), weight=2),
    Part("asan-guest", "a guest in each dialect under ASan and UBSan", 1200, asan_guest,
         needs=("asan", "guests"), weight=2),
    Part("asan-vulkan", "the daemon on a render server under ASan and UBSan", 900, asan_vulkan,
         needs=("asan", "guests"), weight=2),
    Part("libvirt", "domains of libvirt's that use the daemon", 1500, libvirt,
         needs=("gcc", "libvirt-root"), weight=2),
)


def default_out(root):
    return Path(os.environ.get("CHECK_OUT") or root / "build-check").absolute()


def closure(names):
    """The parts of these names and what they need, in order."""
    by_name = {part.name: part for part in PARTS}
    wanted = set()

    def want(name):
        if name not in wanted:
            wanted.add(name)
            for need in by_name[name].needs:
                want(need)
    for name in names:
        want(name)
    return [part for part in PARTS if part.name in wanted]
