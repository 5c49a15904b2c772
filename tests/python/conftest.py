"""Every test that takes ``loop_factory`` or ``run`` runs twice: stock asyncio is the oracle."""

import asyncio
import gc
import os
import warnings

import ourio
import pytest

FACTORIES = {"asyncio": asyncio.SelectorEventLoop, "ourio": ourio.new_event_loop}


@pytest.fixture(params=list(FACTORIES))
def loop_factory(request):
    return FACTORIES[request.param]


@pytest.fixture
def loop(loop_factory):
    loop = loop_factory()
    yield loop
    if not loop.is_closed():
        loop.close()


@pytest.fixture
def run(loop_factory):
    """Runs a coroutine as ``asyncio.run`` does, and checks that no descriptor is left open."""

    def runner(main, *, debug=None):
        with asyncio.Runner(loop_factory=loop_factory, debug=debug) as started:
            started.get_loop().set_debug(bool(debug))
            return started.run(main)

    before = set(os.listdir("/proc/self/fd"))
    yield runner
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    left = set(os.listdir("/proc/self/fd")) - before
    # The listing itself has one descriptor open while it is made.
    open_ones = {fd for fd in left if os.path.exists(f"/proc/self/fd/{fd}")}
    assert not open_ones, {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in open_ones}


@pytest.fixture
def same_on_both():
    """Runs a scenario on stock asyncio and on Ourio, and checks that both tell the same; returns what they tell."""

    def compare(scenario, *args, debug=None):
        told = {}
        for name, factory in FACTORIES.items():
            with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
                told[name] = runner.run(asyncio.wait_for(scenario(*args), 50))
        assert told["ourio"] == told["asyncio"]
        return told["ourio"]

    return compare


@pytest.fixture
def reports(loop):
    """What the loop's exception handler is told."""
    told = []
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    return told
