"""Other threads: what they send is in order and not lost. Stock asyncio is the oracle."""

import asyncio
import sys
import threading

import pytest


def test_debug_mode_refuses_another_thread(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()

        def elsewhere():
            outcomes = []
            for call in (lambda: loop.call_soon(print), lambda: loop.call_later(1, print)):
                try:
                    call()
                except RuntimeError as error:
                    outcomes.append(str(error))
            loop.call_soon_threadsafe(outcomes.append, "allowed")
            return outcomes

        outcomes = await asyncio.to_thread(elsewhere)
        await asyncio.sleep(0)
        return outcomes

    assert len(same_on_both(scenario, debug=True)) == 3


def test_threads_and_the_loop_share_one_order(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        ran = []
        for n in range(50):
            if n % 3 == 0:
                thread = threading.Thread(target=loop.call_soon_threadsafe, args=(ran.append, n))
                thread.start()
                thread.join()
            elif n % 3 == 1:
                loop.call_soon(ran.append, n)
            else:
                loop.call_soon_threadsafe(ran.append, n)
        await asyncio.sleep(0.01)
        return ran

    assert same_on_both(scenario) == list(range(50))


def test_a_busy_loop_still_hears_of_timers_and_threads(run):
    async def main():
        loop = asyncio.get_running_loop()
        heard = []
        running = True

        def busy():
            if running:
                loop.call_soon(busy)

        for _ in range(100):
            busy()
        loop.call_later(0.01, heard.append, "timer")
        threading.Timer(0.01, loop.call_soon_threadsafe, (heard.append, "thread")).start()
        while len(heard) < 2:
            await asyncio.sleep(0)
        running = False
        assert sorted(heard) == ["thread", "timer"]

    run(main())


def test_scheduling_from_many_threads_loses_nothing(run):
    async def main():
        loop = asyncio.get_running_loop()
        counts = dict.fromkeys(range(8), 0)
        done = asyncio.Event()

        def count(n):
            counts[n] += 1
            if sum(counts.values()) == 8 * 2000:
                done.set()

        def work(n):
            for _ in range(2000):
                loop.call_soon_threadsafe(count, n)

        threads = [threading.Thread(target=work, args=(n,)) for n in counts]
        for thread in threads:
            thread.start()
        await done.wait()
        for thread in threads:
            thread.join()
        assert set(counts.values()) == {2000}

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
def test_several_threads_wait_for_the_end_of_one_callback(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        started, release = threading.Event(), threading.Event()
        ended = []

        def callback():
            started.set()
            release.wait()
            ended.append(True)

        def ask():
            started.wait()
            return handle.cancelled(), bool(ended)

        handle = loop.call_soon_threadsafe(callback)
        asking = [loop.run_in_executor(None, ask) for _ in range(4)]
        threading.Timer(0.05, release.set).start()
        return await asyncio.gather(*asking)

    assert same_on_both(scenario) == [(False, True)] * 4
