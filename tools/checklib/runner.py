# SPDX-License-Identifier: MIT
"""Runs parts: what one needs first, two side by side where there is room, each with a time limit.

How this works: a part is a function of a Run. It starts commands only through the Run, which
writes their output to the part's log and ends them, with all they started, when the part's time is
up. A part has a weight: how many cores it keeps busy. Parts run side by side as long as their
weights fit the machine's cores; weight 0 is for those that mostly wait for a download. A part
whose needs failed is not run, and says so."""

import os
import re
import signal
import subprocess
import threading
import time

from .counting import Counts, of_closing_line, of_meson

KILL_AFTER = 10  # seconds between asking a command to end and ending it
COLOUR = re.compile("\x1b\\[[0-9;]*m")
# Where a log says what failed, of those who write one here: TAP, unittest, meson, our runners.
FAILURE = re.compile(r"^\s*(not ok\b(?!.*# SKIP)|FAIL(ED)?\b|ERROR\b)|\b(FAIL|TIMEOUT|ERROR)\s+\d+\.\d+s")
AROUND = (15, 15)  # lines before and after it that a report shows


class Failed(Exception):
    """The part failed; its text says why in a few words."""


def telling_lines(text):
    """The lines of a log that a reader needs who has no more than them: the first failures, and the
    end."""
    lines = [COLOUR.sub("", line) for line in text.rstrip().splitlines()]
    failures = [number for number, line in enumerate(lines) if FAILURE.search(line)][:3]
    shown = set(range(len(lines) - 30, len(lines)))
    for number in failures:
        shown.update(range(number - AROUND[0], number + AROUND[1] + 1))
    return [lines[number] for number in sorted(shown) if 0 <= number < len(lines)]


class Part:
    def __init__(self, name, what, limit, function, needs=(), weight=1, quick=False):
        self.name = name
        self.what = what
        self.limit = limit
        self.function = function
        self.needs = needs
        self.weight = weight
        self.quick = quick


def _end_group(process):
    """End a command and everything it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(KILL_AFTER)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


class Run:
    """One run of one part."""

    def __init__(self, part, root, out, jobs):
        self.part = part
        self.root = root
        self.out = out  # build folders and logs
        self.jobs = jobs
        self.log = out / "logs" / f"{part.name}.log"
        self.counts = Counts()
        self.trouble = None
        self.process = None
        self.stopped = False
        self.began = time.monotonic()
        self.seconds = 0.0

    def build(self, name):
        return self.out / name

    def command(self, *words, env=None, cwd=None, must=True):
        """Run a command; returns (status, its output). With `must`, a failure ends the part."""
        words = [str(word) for word in words]
        left = self.part.limit - (time.monotonic() - self.began)
        if self.stopped:
            raise Failed("stopped")
        if left <= 0:
            raise Failed(f"not done after {self.part.limit} s")
        with open(self.log, "ab") as log:
            log.write(f"\n$ {' '.join(words)}\n".encode())
            log.flush()
            start = log.tell()
            # An own session: what the command starts can be ended with it.
            self.process = subprocess.Popen(
                words, cwd=cwd or self.root, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **(env or {})})
            try:
                status = self.process.wait(left)
            except subprocess.TimeoutExpired:
                _end_group(self.process)
                raise Failed(f"not done after {self.part.limit} s: {words[0]}") from None
        with open(self.log, "rb") as log:
            log.seek(start)
            output = log.read().decode(errors="replace")
        if self.stopped:
            raise Failed("stopped")
        if must and status:
            raise Failed(f"{words[0].rsplit('/', 1)[-1]} ended with status {status}")
        return status, output

    def check(self, *words, **keys):
        """A command that is one test: it passes with status 0."""
        self.command(*words, **keys)
        self.counts.passed += 1

    def meson_tests(self, build, suite, env=None, multiplier=1):
        """The tests of one suite, counted by test function."""
        # A log for each suite: several may run in one build at a time.
        log = self.build(build) / "meson-logs" / f"{suite}.json"
        log.unlink(missing_ok=True)
        status, output = self.command(
            "meson", "test", "-C", self.build(build), "--no-rebuild", "--suite", suite,
            "--logbase", suite,
            "--num-processes", self.jobs, "--timeout-multiplier", multiplier, "--print-errorlogs",
            env={"CMOCKA_MESSAGE_OUTPUT": "TAP", **(env or {})}, must=False)
        if "No suitable tests defined" in output or not log.exists():
            raise Failed(f"no test in suite {suite}")
        counts = of_meson(log)
        if status and not counts.failed:
            counts.fail(f"meson test ended with status {status}")
        if not counts.passed and not counts.failed:
            counts.fail(f"suite {suite}: no test ran")
        self.counts.add(counts)

    def runner(self, *words, env=None):
        """A program that ends with the line "N passed, N failed, N skipped"."""
        status, output = self.command(*words, env=env, must=False)
        counts = of_closing_line(output)
        if counts is None:
            raise Failed(f"{words[0]} ended with status {status} and no closing line")
        if status and not counts.failed:
            counts.fail(f"{words[0]} ended with status {status}")
        if not counts.passed and not counts.failed and not counts.skipped:
            counts.fail(f"{words[0]} ran no test")
        self.counts.add(counts)

    def stop(self):
        self.stopped = True
        process = self.process
        if process is not None and process.poll() is None:
            _end_group(process)

    def perform(self):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        try:
            self.part.function(self)
        except Failed as error:
            self.trouble = str(error)
        except Exception as error:  # pylint: disable=broad-except # ours, but the rest goes on
            self.trouble = f"{type(error).__name__}: {error}"
        if self.trouble:
            self.counts.fail(self.trouble)
        self.seconds = time.monotonic() - self.began


class Runner:
    def __init__(self, parts, root, out, cores, keep_going):
        self.waiting = list(parts)
        self.root = root
        self.out = out
        self.cores = cores
        self.keep_going = keep_going
        self.chosen = {part.name for part in parts}
        self.running = []
        self.done = []
        self.not_run = []  # (part, why)
        self.changed = threading.Condition()
        self.began = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.began

    def say(self, text):
        print(f"[{self.seconds():5.0f} s] {text}", flush=True)

    def failed(self, name):
        return (any(run.part.name == name and run.counts.failed for run in self.done) or
                any(part.name == name for part, _ in self.not_run))

    def next_part(self):
        """A part that can start now, or None; parts that never can are set aside."""
        busy = sum(run.part.weight for run in self.running)
        ended = {run.part.name for run in self.done} | {part.name for part, _ in self.not_run}
        for part in list(self.waiting):
            needs = [name for name in part.needs if name in self.chosen]
            broken = [name for name in needs if self.failed(name)]
            if broken:
                self.waiting.remove(part)
                self.not_run.append((part, f"needs {broken[0]}, which failed"))
                self.say(f"skip {part.name}: needs {broken[0]}, which failed")
                return self.next_part()
            if not ended.issuperset(needs):
                continue
            if part.weight == 0 or busy == 0 or busy + part.weight <= self.cores:
                self.waiting.remove(part)
                return part
            return None  # in order: a heavy part is not overtaken for ever
        return None

    def start(self, part):
        run = Run(part, self.root, self.out, max(1, min(part.weight, self.cores)))
        self.running.append(run)
        self.say(f"     {part.name}: {part.what}")

        def body():
            run.perform()
            with self.changed:
                self.running.remove(run)
                self.done.append(run)
                self.report(run)
                self.changed.notify()
        threading.Thread(target=body, daemon=True).start()

    def report(self, run):
        word = "FAIL" if run.counts.failed else "ok  "
        self.say(f"{word} {run.part.name}: {run.counts} ({run.seconds:.1f} s)")
        for reason in run.counts.reasons:
            print(f"          skipped: {reason}", flush=True)
        if run.counts.failed:
            for name in run.counts.names:
                print(f"          failed: {name}", flush=True)
            for line in telling_lines(run.log.read_text(errors="replace")):
                print(f"          | {line}", flush=True)
            print(f"          all of it: {run.log}", flush=True)

    def stop_early(self):
        return not self.keep_going and any(run.counts.failed for run in self.done)

    def run(self):
        """Returns the sum of all."""
        try:
            with self.changed:
                while self.waiting or self.running:
                    if self.stop_early():
                        for part in self.waiting:
                            self.not_run.append((part, "not run after a failure"))
                        self.waiting = []
                    part = self.next_part()
                    while part:
                        self.start(part)
                        part = self.next_part()
                    if self.running:
                        self.changed.wait()
        except BaseException:
            for run in list(self.running):
                run.stop()
            raise
        return self.total()

    def total(self):
        counts = Counts()
        for run in self.done:
            counts.add(run.counts)
        counts.skipped += len(self.not_run)
        return counts

    def print_summary(self):
        print("\npart            seconds  result")
        for run in self.done:
            print(f"{run.part.name:14} {run.seconds:8.1f}  {run.counts}")
        for part, why in self.not_run:
            print(f"{part.name:14}        -  skipped: {why}")
