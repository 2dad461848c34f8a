# SPDX-License-Identifier: MIT
"""What a person sees while something long goes on: one line a step, with seconds."""

import contextlib
import sys
import threading
import time


class VmError(Exception):
    """Something went wrong that a person can act on; its text is the whole message."""


_start = time.monotonic()
_lock = threading.Lock()


def say(text, end="\n"):
    with _lock:
        print(f"[{time.monotonic() - _start:5.0f} s] {text}", end=end, flush=True)


@contextlib.contextmanager
def step(name, progress=None, every=5.0):
    """Announce `name`, then show progress() every few seconds until the block ends.

    On a terminal the progress line overwrites itself; in a log it is one line each time."""
    say(name)
    began = time.monotonic()
    done = threading.Event()
    tty = sys.stdout.isatty()

    def tick():
        while not done.wait(1.0 if tty else every):
            now = f"{time.monotonic() - began:.0f} s"
            detail = progress() if progress else ""
            with _lock:
                if tty:
                    print(f"\r          ... {now} {detail}\033[K", end="", flush=True)
                else:
                    print(f"          ... {now} {detail}", flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
        if tty:
            print("\r\033[K", end="", flush=True)


def mib(size):
    return f"{size / (1 << 20):.0f} MiB"
