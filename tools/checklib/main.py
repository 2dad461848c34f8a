# SPDX-License-Identifier: MIT
"""./check after its set-up: reads the options, runs the parts, adds up."""

import argparse
import os
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from checklib import parts as all_parts  # noqa: E402 pylint: disable=wrong-import-position
from checklib.runner import Runner  # noqa: E402 pylint: disable=wrong-import-position


def arguments():
    parser = argparse.ArgumentParser(prog="./check", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--no-install", action="store_true")
    parser.add_argument("--keep-going", action="store_true")
    return parser.parse_args()


def choose(given):
    if given.only:
        names = [name for words in given.only for name in words.split(",") if name]
        known = {part.name for part in all_parts.PARTS}
        for name in names:
            if name not in known:
                sys.exit(f"check: no part is named '{name}' (./check --list)")
        return all_parts.closure(names)
    if given.quick:
        return [part for part in all_parts.PARTS if part.quick]
    return list(all_parts.PARTS)


def main():
    given = arguments()
    if given.list:
        for part in all_parts.PARTS:
            print(f"{part.name:12} {part.what}{' (also --quick)' if part.quick else ''}")
        return 0
    out = all_parts.default_out(ROOT)
    (out / "logs").mkdir(parents=True, exist_ok=True)
    # SIGTERM ends what runs, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    keep_going = given.keep_going or os.environ.get("CI") == "true"
    runner = Runner(choose(given), ROOT, out, len(os.sched_getaffinity(0)), keep_going)
    try:
        counts = runner.run()
    except KeyboardInterrupt:
        print("check: interrupted", file=sys.stderr)
        return 130
    runner.print_summary()
    print(f"all of it took {runner.seconds():.0f} s; logs are in {out / 'logs'}")
    print(counts, flush=True)
    good = counts.passed and not counts.failed and not runner.not_run
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
