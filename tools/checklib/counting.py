# SPDX-License-Identifier: MIT
"""How many tests passed, from what tests print.

What counts as one: a test function of cmocka or of Python's unittest (a TAP line), a guest test, a
fuzz target, a check (format, layers), a build. So the sum grows with the tests, not with the
programs that hold them."""

import json
import re

CLOSING = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
SKIP_LINE = re.compile(r"^skip\s+(\S.*)$", re.M | re.I)


class Counts:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed = passed
        self.failed = failed
        self.skipped = skipped
        self.reasons = []  # of skips
        self.names = []  # of failures

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.reasons += other.reasons
        self.names += other.names
        return self

    def fail(self, name):
        self.failed += 1
        self.names.append(name)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def of_tap(text, name):
    """Counts of TAP lines; an empty Counts if there are none."""
    counts = Counts()
    for line in text.splitlines():
        match = re.match(r"\s*(not )?ok\b\s*\d*(?:\s+-)?\s*(.*)", line)
        if not match:
            continue
        if re.search(r"#\s*skip", match.group(2), re.I):  # cmocka writes "not ok 1 # SKIP"
            counts.skipped += 1
            counts.reasons.append(f"{name}: {match.group(2)}")
        elif match.group(1):
            counts.fail(f"{name}: {match.group(2)}")
        else:
            counts.passed += 1
    return counts


def of_meson(log):
    """Counts of meson's testlog.json."""
    counts = Counts()
    for line in log.read_text(errors="replace").splitlines():
        entry = json.loads(line)
        name = entry["name"].split(" / ")[-1]
        one = of_tap(entry.get("stdout") or "", name)
        good = entry["result"] in ("OK", "EXPECTEDFAIL")
        if entry["result"] == "SKIP":
            if not one.skipped:
                one.skipped += 1
                one.reasons.append(f"{name}: skipped as a whole")
        elif not good and not one.failed:
            # It crashed, took too long, or failed where no TAP line says so.
            one.fail(f"{name}: {entry['result'].lower()}")
        elif good and not one.passed and not one.skipped:
            one.passed += 1  # prints no TAP
        counts.add(one)
    return counts


def of_closing_line(text):
    """Counts of a runner that ends with "N passed, N failed, N skipped"; None without the line."""
    found = CLOSING.findall(text)
    if not found:
        return None
    counts = Counts(*(int(number or 0) for number in found[-1]))
    counts.reasons = SKIP_LINE.findall(text)
    counts.names = re.findall(r"^FAIL\s+(\S.*)$", text, re.M)
    return counts
