# SPDX-License-Identifier: MIT
"""What a test is, and how tests are run: in order, each with a time limit, a line each."""

import signal
import time
import traceback

from .say import VmError
from .vm import PATIENCE


class Skip(Exception):
    """The test does not apply here; its text says why."""


class _TimeUp(BaseException):
    """Not an Exception, so that no test swallows it."""


_registered = []


def test(limit, dialects=("vmm", "own", "reference")):
    """Decorates a function that takes a Bench.

    `limit` in seconds on an idle machine, without booting a guest."""
    def register(function):
        _registered.append((function, limit, dialects))
        return function
    return register


def registered(dialect):
    """[(name, function, limit)] for one dialect."""
    return [(f"{dialect}/{function.__name__}", function, limit)
            for function, limit, dialects in _registered if dialect in dialects]


def _time_up(_signal, _frame):
    raise _TimeUp


class Results:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def line(self, word, name, seconds, text=""):
        print(f"{word:4} {name} ({seconds:.1f} s){': ' if text else ''}{text}", flush=True)

    def last_line(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_one(name, function, bench, limit, results):
    """Run a test against a bench whose guest is up; returns whether it passed or was skipped."""
    began = time.monotonic()
    signal.signal(signal.SIGALRM, _time_up)
    signal.alarm(limit * PATIENCE)
    trouble = None
    try:
        function(bench)
        bench.check_alive()
    except Skip as skip:
        signal.alarm(0)
        results.skipped += 1
        results.line("skip", name, time.monotonic() - began, str(skip))
        return True
    except _TimeUp:
        trouble = f"not done after {limit * PATIENCE} s"
    except VmError as error:
        trouble = str(error)
    except Exception:  # pylint: disable=broad-except # a defect of the test is a failure too
        trouble = traceback.format_exc()
    finally:
        signal.alarm(0)
    if trouble is None:
        results.passed += 1
        results.line("ok", name, time.monotonic() - began)
        return True
    results.failed += 1
    if bench.daemon is not None:
        trouble += "\n" + bench.daemon.log_tail()
    results.line("FAIL", name, time.monotonic() - began, trouble)
    return False
