# SPDX-License-Identifier: MIT
"""The list of tests, a line for each result, and the summary of a run."""

import os
import platform
import subprocess
import threading
import time
from pathlib import Path

from . import compare

PACKAGES = ("piglit", "virgl-server", "libvirglrenderer1", "libgl1-mesa-dri", "libegl1")


def read_list(path):
    """[(area, test)]: a line that begins with # names the area of those below."""
    tests, area = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            area = line.lstrip("# ")
        elif line:
            tests.append((area, line))
    return tests


class Results:
    """Counts, and prints a line a test; from any thread."""

    def __init__(self, total):
        self.total = total
        self.verdicts = []
        self.passed = self.failed = self.skipped = 0
        self.began = time.monotonic()
        self._lock = threading.Lock()

    def seconds(self):
        return time.monotonic() - self.began

    def _line(self, word, name, text=""):
        done = self.passed + self.failed + self.skipped
        print(f"{word:4} {name}{': ' if text else ''}{text} [{done}/{self.total}]", flush=True)

    def add(self, verdict, seconds):
        with self._lock:
            self.verdicts.append(verdict)
            if verdict.kind == compare.WORSE:
                self.failed += 1
                self._line("FAIL", verdict.test, verdict.text())
            elif verdict.kind == compare.NEITHER:
                # The reference does not pass either: nothing is promised, and nothing is shown.
                self.skipped += 1
                self._line("skip", verdict.test, verdict.text())
            else:
                self.passed += 1
                self._line("ok", f"{verdict.test} ({seconds:.1f} s)",
                           "" if verdict.kind == compare.SAME else verdict.text())

    def skip(self, test, why):
        with self._lock:
            self.skipped += 1
            self._line("skip", test, why)

    def add_server(self, side):
        """Our server is a test of its own: it has to outlive its clients."""
        troubles = side.ends + side.server.alarms()
        self.total += 1
        if troubles:
            self.failed += 1
            self._line("FAIL", "server", "; ".join(troubles))
            print(side.server.log_tail(), flush=True)
        else:
            self.passed += 1
            self._line("ok", "server")

    def of_kind(self, kind):
        return [verdict for verdict in self.verdicts if verdict.kind == kind]

    def last_line(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def _processor():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(": ", 1)[1]
    return platform.machine()


def _version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True,
                          text=True, check=False)
    return done.stdout or "not installed"


def summary(results, sides):
    """The text for docs/measurements/piglit.txt."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    reference, own = (side.server for side in sides)
    lines = ["piglit through virtio-gpu-run, beside virgl_test_server on the same machine",
             "Made by: tests/piglit/run --all --summary docs/measurements/piglit.txt BUILD",
             "",
             f"date       {time.strftime('%Y-%m-%d')}, {results.seconds():.0f} s",
             f"machine    {system}, {len(os.sched_getaffinity(0))} cores of {_processor()}",
             *(f"{package:18} {_version(package)}" for package in PACKAGES),
             f"reference  {reference.renderer}, {reference.version}",
             f"own        {own.renderer}, {own.version}",
             "",
             f"{results.total - 1:5} tests in all, with "
             f"{sum(len(verdict.there[0].subtests) for verdict in results.verdicts)} subtests",
             f"{len(results.of_kind(compare.SAME)):5} pass on both sides",
             f"{len(results.of_kind(compare.BETTER)):5} pass only here",
             f"{len(results.of_kind(compare.FLAKY)):5} pass on both sides, but not each time",
             f"{len(results.of_kind(compare.NEITHER)):5} pass nowhere",
             f"{len(results.of_kind(compare.WORSE)):5} pass at the reference and not here",
             f"{len(sides[0].ends):5} times the reference's server ended",
             f"{len(sides[1].ends):5} times ours ended"]
    for title, kind in (("Pass at the reference and not here", compare.WORSE),
                        ("Not each time", compare.FLAKY), ("Pass only here", compare.BETTER),
                        ("Pass nowhere", compare.NEITHER)):
        verdicts = sorted(results.of_kind(kind), key=lambda verdict: verdict.test)
        if verdicts:
            lines += ["", f"{title}:", *(f"  {verdict.test}: {verdict.text()}"
                                         for verdict in verdicts)]
    return "\n".join(lines) + "\n"
