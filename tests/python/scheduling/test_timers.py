"""Timers and the loop's time: never early, in the order of their deadlines. Stock asyncio is the oracle."""

import asyncio
import gc
import math
import time
import weakref


def test_timers_are_never_early_and_run_in_order_of_their_deadlines(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        ran = []
        start = loop.time()
        early = []

        def fire(n, when):
            ran.append(n)
            if loop.time() < when:
                early.append(n)

        for n, delay in enumerate([0.003, -1, 0, 0.001, 0.0005, -math.inf, 0.0001, 0.001, 1e-9]):
            handle = loop.call_at(start + delay, fire, n, start + delay)
            assert isinstance(handle, asyncio.TimerHandle)
            assert handle.when() == start + delay
        await asyncio.sleep(0.02)
        return ran, early

    assert same_on_both(scenario) == ([5, 1, 2, 8, 6, 4, 3, 7, 0], [])


def test_delays_that_are_no_time(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        ran = []
        handles = [loop.call_later(delay, ran.append, str(delay)) for delay in (math.inf, 1e300)]
        for delay in ("1", None, [], {}):
            try:
                loop.call_later(delay, print)
            except TypeError:
                ran.append("refused")
        await asyncio.sleep(0.01)
        for handle in handles:
            handle.cancel()
        return ran

    assert same_on_both(scenario) == ["refused"] * 4


def test_a_cancelled_timer_lets_go_of_its_arguments(same_on_both):
    class Argument:
        pass

    async def scenario():
        argument = Argument()
        reference = weakref.ref(argument)
        handle = asyncio.get_running_loop().call_later(1000, print, argument)
        del argument
        handle.cancel()
        gc.collect()
        return reference() is None, handle.cancelled()

    assert same_on_both(scenario) == (True, True)


def test_what_the_loops_time_is(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        before, now, after = time.monotonic(), loop.time(), time.monotonic()
        return before <= now <= after

    assert same_on_both(scenario)
