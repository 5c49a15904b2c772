"""The default executor: asyncio's own in all that can be seen, with a queue of ours."""

import asyncio
import concurrent.futures
import gc
import os
import queue
import signal
import socket
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import ourio
import pytest
from ourio._ourio import WorkQueue

LOOPS = {"asyncio": asyncio.new_event_loop, "ourio": ourio.new_event_loop}
QUEUES = {"asyncio": queue.SimpleQueue, "ourio": WorkQueue}


@pytest.fixture(params=LOOPS)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(main)

    return run


@pytest.fixture(params=QUEUES)
def jobs(request):
    return QUEUES[request.param]()


# -- the executor --------------------------------------------------------------------------------------------


def test_jobs_run_in_threads_of_the_executor_one_after_another_and_at_once(run):
    async def main():
        alone = {await asyncio.to_thread(threading.get_ident) for _ in range(50)}
        meeting = threading.Barrier(4)
        together = await asyncio.gather(*[asyncio.to_thread(meeting.wait, 10) for _ in range(4)])
        names = await asyncio.gather(*[asyncio.to_thread(lambda: threading.current_thread().name) for _ in range(9)])
        return threading.get_ident() in alone, sorted(together), {name.rpartition("_")[0] for name in names}

    assert run(main()) == (False, [0, 1, 2, 3], {"asyncio"})


def test_it_is_a_thread_pool_executor_that_the_loop_shuts_down(run):
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(int)
        executor = loop._default_executor
        assert type(executor) is ThreadPoolExecutor
        assert executor._work_queue.qsize() == 0
        assert executor.submit(pow, 2, 5).result(10) == 32
        threads = list(executor._threads)
        await loop.shutdown_default_executor()
        assert not any(thread.is_alive() for thread in threads)
        with pytest.raises(RuntimeError, match="shutdown"):
            executor.submit(int)
        with pytest.raises(RuntimeError, match="shutdown"):
            await asyncio.to_thread(int)

    run(main())


class OwnExecutor(ThreadPoolExecutor):
    pass


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, OwnExecutor])
@pytest.mark.parametrize("begun", [False, True])
def test_an_executor_that_the_program_sets_works_in_every_state(run, kind, begun):
    async def main():
        loop = asyncio.get_running_loop()
        with kind(2, thread_name_prefix="own") as executor:
            before = executor.submit(pow, 2, 3) if begun else None
            loop.set_default_executor(executor)
            assert before is None or before.result(10) == 8
            names = {await asyncio.to_thread(lambda: threading.current_thread().name) for _ in range(50)}
            assert names <= {"own_0", "own_1"}
            assert executor.submit(pow, 2, 4).result(10) == 16
            assert await asyncio.gather(*[asyncio.to_thread(pow, 2, number) for number in range(9)]) == [
                2**number for number in range(9)
            ]
        with pytest.raises(RuntimeError, match="shutdown"):
            await asyncio.to_thread(int)
        with pytest.raises(TypeError):
            loop.set_default_executor(concurrent.futures.Executor())

    run(main())


def test_two_loops_share_an_executor():
    def program(executor):
        async def main():
            asyncio.get_running_loop().set_default_executor(executor)
            return [await asyncio.to_thread(pow, 2, number) for number in range(200)]

        return ourio.run(main())

    with ThreadPoolExecutor(3) as executor, ThreadPoolExecutor(2) as threads:
        results = [threads.submit(program, executor) for _ in range(2)]
        # Each loop shuts its default executor down as it ends.
        done = [result.exception(30) or result.result() for result in results]
    assert [2**number for number in range(200)] in done


def test_what_a_job_raises_and_its_context_come_across(run):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        with pytest.raises(SystemExit):
            await asyncio.to_thread(exec, "raise SystemExit(3)")
        return await asyncio.to_thread(int, "7")

    assert run(main()) == 7


def test_jobs_that_wait_are_cancelled_with_their_futures(run):
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(int)
        ended = threading.Event()
        first = [loop.run_in_executor(None, ended.wait, 10) for _ in range(loop._default_executor._max_workers)]
        ran = []
        second = loop.run_in_executor(None, ran.append, 1)
        second.cancel()
        await asyncio.sleep(0)  # Its callbacks tell the executor.
        ended.set()
        assert all(await asyncio.gather(*first))
        await asyncio.to_thread(int)
        return ran

    assert run(main()) == []


def test_a_timer_is_on_time_and_a_socket_is_served_while_a_job_is_under_way(run):
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(200):
            await asyncio.to_thread(int)  # So that it is worth it to stay awake.
        ended = threading.Event()
        job = loop.run_in_executor(None, ended.wait, 10)
        for delay in (0.00001, 0.0001, 0.001, 0.01):
            began = loop.time()
            await asyncio.sleep(delay)
            assert loop.time() - began >= delay
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            for _ in range(100):
                receives = asyncio.ensure_future(loop.sock_recv(ours, 1))
                await asyncio.sleep(0)
                theirs.send(b"x")
                assert await receives == b"x"
        ended.set()
        assert await job

    run(main())


def sleep_and_return(delay, result):
    time.sleep(delay)
    return result


def test_jobs_of_many_lengths_all_come_back(run):
    async def work(number):
        for turn in range(60):
            assert await asyncio.to_thread(sleep_and_return, number % 3 * turn * 2e-6, turn) == turn
        return number

    async def main():
        return await asyncio.gather(*map(work, range(12)))

    assert run(main()) == list(range(12))


def test_several_loops_at_once_have_an_executor_each():
    def program():
        async def main():
            return [await asyncio.to_thread(pow, 2, number) for number in range(200)]

        return ourio.run(main())

    with ThreadPoolExecutor(3) as threads:
        results = [threads.submit(program) for _ in range(3)]
        assert [result.result(30) for result in results] == [[2**number for number in range(200)]] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_an_executor_of_its_own(run):
    async def work():
        return [await asyncio.to_thread(pow, 2, number) for number in range(50)]

    async def main():
        await work()
        loop = asyncio.get_running_loop()
        child = os.fork()
        if child == 0:
            # pytest and the parent's loop are none of its business.
            try:
                asyncio._set_running_loop(None)
                with asyncio.Runner(loop_factory=type(loop)) as runner:
                    os._exit(0 if runner.run(work()) == [2**number for number in range(50)] else 1)
            finally:
                os._exit(2)
        await work()
        return os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1])

    assert run(main()) == 0


# -- the queue -----------------------------------------------------------------------------------------------


def test_a_queue_gives_first_what_came_first(jobs):
    assert jobs.empty()
    for item in "abc":
        jobs.put(item)
    jobs.put_nowait("d")
    jobs.put("e", True, 3)
    assert (jobs.qsize(), jobs.empty()) == (5, False)
    assert [jobs.get(), jobs.get_nowait(), jobs.get(False), jobs.get(timeout=1), jobs.get(True, None)] == list("abcde")
    assert (jobs.qsize(), jobs.empty()) == (0, True)


@pytest.mark.parametrize(
    "ask", [lambda jobs: jobs.get_nowait(), lambda jobs: jobs.get(False), lambda jobs: jobs.get(timeout=0)]
)
def test_an_empty_queue_says_so(jobs, ask):
    with pytest.raises(queue.Empty):
        ask(jobs)


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (float("nan"), ValueError), (1e300, OverflowError), ("1", TypeError)]
)
def test_a_timeout_that_is_none_is_refused(jobs, timeout, error):
    with pytest.raises(error):
        jobs.get(timeout=timeout)


def test_a_wait_ends_with_the_timeout_and_not_before(jobs):
    for timeout in (0.0001, 0.02):
        began = time.monotonic()
        with pytest.raises(queue.Empty):
            jobs.get(timeout=timeout)
        assert time.monotonic() - began >= timeout


@pytest.mark.parametrize("takers", [1, 2, 7])
def test_each_item_is_taken_once_by_whoever_waits(jobs, takers):
    count, taken = 4000, []

    def take():
        while (item := jobs.get()) is not None:
            taken.append(item)
            if item % 97 == 0:
                time.sleep(0.0001)

    def put(first):
        for item in range(first, count, 2):
            jobs.put(item)
            if item % 101 == 0:
                time.sleep(0.0001)

    threads = [threading.Thread(target=take) for _ in range(takers)]
    putters = [threading.Thread(target=put, args=(first,)) for first in range(2)]
    for thread in threads + putters:
        thread.start()
    for thread in putters:
        thread.join(30)
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(taken) == list(range(count))


def test_who_sleeps_is_woken_each_time(jobs):
    answers = queue.SimpleQueue()

    def answer():
        while (item := jobs.get()) is not None:
            answers.put(item)

    thread = threading.Thread(target=answer)
    thread.start()
    for item in range(300):
        if item % 3 == 0:
            # Long enough for it to fall asleep, or to be about to.
            time.sleep(item * 1e-6)
        jobs.put(item)
        assert answers.get(timeout=30) == item
    jobs.put(None)
    thread.join(30)
    assert not thread.is_alive()


def test_a_queue_in_a_circle_is_collected(jobs):
    class Item:
        pass

    item, kind = Item(), type(jobs)
    item.queue = kind()
    item.queue.put(item)
    gone = weakref.ref(item)
    del item
    gc.collect()
    assert gone() is None


def test_what_an_item_does_as_it_ends_may_use_the_queue(jobs):
    class Item:
        def __del__(self):
            jobs.put("again")

    jobs.put(Item())
    jobs.get()
    assert jobs.get(timeout=10) == "again"


def test_a_signal_ends_a_wait_in_the_main_thread(jobs):
    class Told(Exception):
        pass

    def tell(*_):
        raise Told

    before = signal.signal(signal.SIGALRM, tell)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Told):
            jobs.get(timeout=30)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_queue_goes_on_in_a_forked_process(jobs):
    """Whoever slept, or was awake for the next item, is not there; new threads are."""
    for pause in (0.0, 0.00002, 0.002):
        waiting = threading.Thread(target=jobs.get)
        waiting.start()
        time.sleep(pause)
        child = os.fork()
        if child == 0:
            try:
                taken = concurrent.futures.Future()
                thread = threading.Thread(target=lambda result=taken: result.set_result(jobs.get()), daemon=True)
                thread.start()
                time.sleep(0.05)
                jobs.put("for the child")
                os._exit(0 if taken.result(10) == "for the child" else 1)
            finally:
                os._exit(2)
        jobs.put("for the parent")
        waiting.join(30)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_only_a_thread_pool_can_be_the_default_executor(loop):
    with pytest.raises(TypeError), concurrent.futures.ProcessPoolExecutor(1) as pool:
        loop.set_default_executor(pool)
    with pytest.raises(TypeError):
        loop.set_default_executor(None)


def test_the_default_executor_is_shut_down(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        await loop.shutdown_default_executor()
        try:
            await loop.run_in_executor(None, print)
        except RuntimeError as error:
            return name.rpartition("_")[0].rpartition("-")[0], str(error)

    same_on_both(scenario)


def test_a_class_in_the_place_of_the_thread_pool_is_used(run, monkeypatch):
    class Inline(concurrent.futures.Executor):
        def __init__(self, *_args, **_kwargs):
            pass

        def submit(self, function, /, *args, **kwargs):
            future = concurrent.futures.Future()
            future.set_result(function(*args, **kwargs))
            return future

        def shutdown(self, wait=True, **_kwargs):
            pass

    monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", Inline)

    async def main():
        return await asyncio.get_running_loop().run_in_executor(None, threading.get_ident)

    assert run(main()) == threading.get_ident()
