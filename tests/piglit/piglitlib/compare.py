# SPDX-License-Identifier: MIT
"""Runs a test on both sides and judges: what passes at the reference must pass here.

Some tests are flaky, on either side. So a test that passes there and not here is run again on both
sides, up to REPEATS times. It is a failure only if it passes there once more and never here."""

import threading

from . import client

REPEATS = 3
SAME, BETTER, FLAKY, WORSE, NEITHER = "same", "better", "flaky", "worse", "neither"


class Side:
    """A server, and what became of it."""

    def __init__(self, server):
        self.server = server
        self.ends = []  # (test, how the server ended)
        self._lock = threading.Lock()

    def run(self, test):
        outcome = client.run_test(test, self.server.folder)
        with self._lock:
            status = self.server.status()
            if status is not None:
                self.ends.append(f"ended with status {status} at: {test}")
                self.server.start()
        return outcome


class Verdict:
    """What a test came to. `kind`: SAME (passes on both sides), BETTER (only here), FLAKY, WORSE,
    or NEITHER (passes nowhere)."""

    def __init__(self, test, there, here):
        self.test = test
        self.there = [there]
        self.here = [here]
        self.kind = ""
        self.lost = set()  # what passes there and not (FLAKY: not at once) here; '' for the test

    def text(self):
        def results(outcomes):
            return ", ".join(outcome.result for outcome in outcomes)
        text = f"reference {results(self.there)}; here {results(self.here)}"
        subtests = sorted(self.lost - {""})
        if subtests:
            more = f" and {len(subtests) - 5} more" if len(subtests) > 5 else ""
            text += f"; subtests {', '.join(subtests[:5])}{more}"
        return text


def judge(test, reference, own):
    """Runs the test on both sides; returns the Verdict."""
    verdict = Verdict(test, reference.run(test), own.run(test))
    there, here = verdict.there[0], verdict.here[0]
    verdict.lost = there.passed() - here.passed()
    if not verdict.lost:
        if "" in there.passed():
            verdict.kind = SAME
        else:
            verdict.kind = BETTER if "" in here.passed() else NEITHER
        return verdict
    lost, again = set(verdict.lost), set()
    for _ in range(REPEATS):
        there, here = reference.run(test), own.run(test)
        verdict.there.append(there)
        verdict.here.append(here)
        again |= there.passed()
        lost -= here.passed()
        if not lost:
            break
    if lost & again:
        verdict.kind, verdict.lost = WORSE, lost & again
    else:
        verdict.kind = FLAKY
    return verdict
