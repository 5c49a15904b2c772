"""Runs one file of CPython's ``test.test_asyncio`` and tells what happens, a line of JSON per event.

Usage: ``worker.py LOOP MODULE FD [TEST...]``: ``FD`` is where the lines go; the named tests are left out, as
they have run in an earlier process, which one of them has ended.
"""

import contextlib
import importlib
import json
import os
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


def main(loop, module, fd, done):
    with contextlib.suppress(OSError):
        os.setsid()
    # What test.regrtest allows by default: nothing beyond this machine.
    support.use_resources = ["cpu", "subprocess", "walltime"]
    channel = os.fdopen(int(fd), "w", buffering=1)
    pid = os.getpid()

    def tell(**event):
        if os.getpid() == pid:
            channel.write(json.dumps(event) + "\n")

    if loop == "ourio":
        import swap

        swap.install()
    package = "test.test_asyncio"
    prefix = f"{package}."
    try:
        loaded = importlib.import_module(f"{package}.{module}")
    except unittest.SkipTest as skipped:
        tell(event="outcome", test=module, outcome="skip", detail=str(skipped))
        return
    suite = unittest.defaultTestLoader.loadTestsFromModule(loaded)
    without(suite, done, prefix).run(Teller(tell, prefix))
    tell(event="end")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], frozenset(sys.argv[4:]))
