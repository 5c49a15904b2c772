"""Runs one file of tests and tells what happens, a line of JSON per event.

Usage: ``worker.py SWAP PACKAGE MODULE FD [TEST...]``: ``SWAP`` is a module that swaps the loop, or ``-``;
``FD`` is where the lines go; the named tests are left out, as they have run in an earlier process, which one of
them has ended.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import unittest

from test import support


class Teller(unittest.TestResult):
    """Says that a test begins before it does, so that whoever reads knows which one never ended."""

    def __init__(self, tell, prefix):
        super().__init__()
        self.tell = tell
        self.prefix = prefix

    def name(self, test):
        return test.id().removeprefix(self.prefix)

    def startTest(self, test):
        super().startTest(test)
        self.tell(event="start", test=self.name(test))

    def stopTest(self, test):
        super().stopTest(test)
        self.tell(event="stop", test=self.name(test))

    def ended(self, test, outcome, detail=""):
        self.tell(event="outcome", test=self.name(test), outcome=outcome, detail=detail)

    def addSuccess(self, test):
        self.ended(test, "pass")

    def addFailure(self, test, err):
        self.ended(test, "fail", self._exc_info_to_string(err, test))

    def addError(self, test, err):
        self.ended(test, "fail", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        self.ended(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        self.ended(test, "pass")

    def addUnexpectedSuccess(self, test):
        self.ended(test, "fail", "unexpected success")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.ended(test, "fail", f"{subtest}\n{self._exc_info_to_string(err, test)}")


def without(suite, done, prefix):
    """The suite less the tests that have run."""
    kept = unittest.TestSuite()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.addTest(without(test, done, prefix))
        elif test.id().removeprefix(prefix) not in done:
            kept.addTest(test)
    return kept


_PR_SET_PDEATHSIG = 1


def main(swap, package, module, fd, done):
    with contextlib.suppress(OSError):
        os.setsid()
    # Whoever interrupts the run wants no test to go on alone.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What test.regrtest allows by default: nothing beyond this machine.
    support.use_resources = ["cpu", "subprocess", "walltime"]
    channel = os.fdopen(int(fd), "w", buffering=1)
    pid = os.getpid()

    def tell(**event):
        if os.getpid() == pid:
            channel.write(json.dumps(event) + "\n")

    swapper = importlib.import_module(swap) if swap != "-" else None
    if swapper is not None:
        swapper.install()
    prefix = f"{package}."
    try:
        loaded = importlib.import_module(f"{package}.{module}")
    except unittest.SkipTest as skipped:
        tell(event="outcome", test=module, outcome="skip", detail=str(skipped))
        return
    if swapper is not None and hasattr(swapper, "install_late"):
        swapper.install_late(f"{package}.{module}")
    suite = unittest.defaultTestLoader.loadTestsFromModule(loaded)
    without(suite, done, prefix).run(Teller(tell, prefix))
    tell(event="end")


if __name__ == "__main__":
    main(*sys.argv[1:5], frozenset(sys.argv[5:]))
