"""The watchdog names what blocks a loop, and where, while it does; and says nothing of a loop that is well."""

import asyncio
import contextlib
import ctypes
import gc
import hashlib
import inspect
import logging
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import ourio
import pytest
from ourio._insight.stalls import watchdog

# Whether the kernel tells in which system call a thread is; a container may forbid it.
try:
    TELLS_CALLS = bool(pathlib.Path("/proc/self/syscall").read_text())
except OSError:
    TELLS_CALLS = False


NO_CPU = "no processor to run on"


def is_told(stall, cause, detail=None):
    """Whether that is what was said; or that the machine had no processor for the loop, which is then as true."""
    return stall.cause == NO_CPU or (stall.cause == cause and detail in (None, stall.detail))


def watch(main, threshold=0.05):
    """Run a program under a watchdog; the stalls that were reported."""
    stalls = []
    with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:
        with ourio.Watchdog(runner.get_loop(), threshold, stalls.append):
            runner.run(main())
            # The end of the last stall is seen at the next look.
            time.sleep(2 * threshold)
    return stalls


def the_line(text):
    """The line of the test that runs."""
    lines, first = inspect.getsourcelines(globals()[inspect.currentframe().f_back.f_code.co_name])
    return first + next(place for place, line in enumerate(lines) if text in line)


def test_a_sleep_is_told_while_it_lasts_with_its_line_its_call_and_its_task():
    told = []

    async def main():
        async def handler():
            time.sleep(0.4)  # this one

        task = asyncio.create_task(handler(), name="the handler")
        await task

    with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:
        loop = runner.get_loop()
        with ourio.Watchdog(loop, 0.05, lambda stall: told.append((time.monotonic(), stall))):
            runner.run(main())
            ended = time.monotonic()
            time.sleep(0.1)
    (first_at, first), (_, last) = told
    assert first_at < ended - 0.1, "while it blocks"
    assert (first.over, last.over) == (False, True)
    assert first.task == "the handler"
    assert first.function.endswith("main.<locals>.handler")
    assert (first.filename, first.lineno) == (
        __file__,
        the_line("# this one"),
    )
    assert last.duration > 0.3
    if TELLS_CALLS:
        assert first.cause == "a system call"
        assert "nanosleep" in first.detail
        assert "GIL" not in first.detail
    assert "time.sleep(0.4)" in str(first)
    assert first.stack[-1].lineno == first.lineno


def test_python_code_on_the_cpu_is_told():
    async def main():
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            pass

    first, last = watch(main)
    assert is_told(first, "Python code on the CPU")
    assert is_told(last, "Python code on the CPU")
    assert first.filename == __file__


@pytest.mark.skipif(not TELLS_CALLS, reason="the kernel does not tell system calls here")
def test_a_blocking_read_names_the_descriptor_and_the_peer():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
            accepted, _ = server.accept()
            timer = threading.Timer(0.3, accepted.send, (b"x",))
            timer.start()
            with accepted:
                client.recv(1)
                timer.join()
            return client.fileno(), server.getsockname()

    # On a slow machine connecting is a stall too: it imports a codec.
    worst = max(watch(main), key=lambda stall: stall.duration)
    assert worst.cause == "a system call"
    assert re.fullmatch(r"recvfrom on descriptor \d+, peer 127\.0\.0\.1:\d+", worst.detail), worst.detail


def test_native_code_that_keeps_the_lock_is_told_with_the_line_that_called_it():
    async def main():
        # Its time doubles with every letter.
        length = 20
        began = time.monotonic()
        while time.monotonic() - began < 0.02:
            length += 1
            began = time.monotonic()
            re.match(r"(a+)+$", "a" * length + "b")
        re.match(r"(a+)+$", "a" * (length + 4) + "b")  # this one

    stalls = watch(main)
    # The search for a length that takes long enough may itself take too long on a slow machine.
    worst = max(stalls, key=lambda stall: stall.duration)
    assert is_told(worst, "native code on the CPU", "with the GIL held")
    line = the_line("# this one")
    assert (worst.filename, worst.lineno) == (__file__, line)


def test_a_native_function_that_sleeps_with_the_lock_is_told():
    async def main():
        ctypes.PyDLL(None).usleep(300_000)

    worst = max(watch(main), key=lambda stall: stall.duration)
    assert worst.filename == __file__
    if TELLS_CALLS:
        assert worst.cause == "a system call"
        assert worst.detail.endswith("with the GIL held")


def keep_the_lock():
    ctypes.PyDLL(None).usleep(150_000)


@pytest.mark.parametrize("threads", [1, 6])
def test_native_code_that_keeps_the_lock_is_told_with_its_line_whoever_else_waits_for_it(threads):
    ended = threading.Event()

    def wake_often():
        while not ended.is_set():
            time.sleep(0.005)

    async def main():
        for _ in range(8):
            asyncio.get_running_loop().call_soon(keep_the_lock)
            await asyncio.sleep(0.02)

    others = [threading.Thread(target=wake_often) for _ in range(threads)]
    for other in others:
        other.start()
    try:
        stalls = watch(main)
    finally:
        ended.set()
        for other in others:
            other.join()
    long = [stall for stall in stalls if stall.duration > 0.1]
    assert long
    assert {(stall.filename, stall.function) for stall in long} == {(__file__, "keep_the_lock")}


def test_a_stall_is_looked_at_before_one_that_went_before_is_told():
    """Telling may take long, and lets go of the lock: the loop would have gone on."""
    told = []

    def tell(stall):
        told.append(stall)
        time.sleep(0.1)

    async def main():
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def second():
            ctypes.PyDLL(None).usleep(150_000)
            loop.call_soon(ended.set)

        loop.call_soon(keep_the_lock)
        loop.call_soon(lambda: loop.call_soon(second))
        await ended.wait()

    with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:
        with ourio.Watchdog(runner.get_loop(), 0.05, tell, logs=False):
            runner.run(main())
            time.sleep(0.1)
    functions = [stall.function and stall.function.rpartition(".")[2] for stall in told if stall.duration > 0.1]
    assert {"keep_the_lock", "second"} == set(functions)


def test_what_blocked_for_longest_is_told_and_not_what_came_after_it_in_the_same_turn(monkeypatch):
    went_on, own_delay = threading.Event(), watchdog._own_delay

    def late():
        if threading.current_thread() is not threading.main_thread():
            went_on.wait(5)
        return own_delay()

    def want_the_lock():
        while not went_on.is_set():
            time.sleep(0.01)

    async def main():
        ctypes.PyDLL(None).usleep(150_000)  # this one
        went_on.set()
        # The watchdog's thread may look only now; the main thread was asked to before.
        time.sleep(0.02)

    monkeypatch.setattr(watchdog, "_own_delay", late)
    line = the_line("# this one")
    other = threading.Thread(target=want_the_lock)
    other.start()
    assert {stall.lineno for stall in watch(main) if stall.duration > 0.1} == {line}
    other.join()


def test_a_loop_that_is_not_in_the_main_thread_is_told_of_with_its_line():
    found = []

    def run():
        async def main():
            time.sleep(0.3)  # in a thread

        found.extend(watch(main))

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        # The main thread may be asked to look meanwhile.
        sum(range(1000))
        time.sleep(0.001)
    thread.join()
    worst = max(found, key=lambda stall: stall.duration)
    assert (worst.filename, worst.lineno) == (__file__, the_line("# in a thread"))


class Raised(Exception):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, Raised])
def test_what_a_handler_of_a_signal_raises_while_the_main_thread_looks_is_raised_in_the_program(error, monkeypatch):
    told = []
    in_the_program = threading.Event()

    def handle(_number, _frame):
        raise error

    def catch_up(self, delayed):
        # The handler runs in here. A slow machine may look before the program runs.
        if threading.current_thread() is threading.main_thread() and in_the_program.is_set() and not told:
            told.append(error)
            signal.raise_signal(signal.SIGUSR2)
        return own(self, delayed)

    own = ourio.Watchdog.catch_up
    monkeypatch.setattr(ourio.Watchdog, "catch_up", catch_up)
    before = signal.signal(signal.SIGUSR2, handle)
    try:

        def compute():
            end = time.monotonic() + 20
            in_the_program.set()
            while time.monotonic() < end:
                pass

        async def main():
            try:
                # A call: in 3.12 and 3.13 the jump at the end of a loop is in no "try" around it.
                compute()
            except error:
                return "raised"

        with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:
            with ourio.Watchdog(runner.get_loop(), 0.02, logs=False):
                assert runner.run(main()) == "raised"
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_python_code_is_interrupted_by_the_look_without_a_trace():
    def count(until):
        return 1 + count(until - 1) if until else 0

    async def main():
        end = time.monotonic() + 0.4
        sums = set()
        while time.monotonic() < end:
            sums.add(count(200))
            with contextlib.suppress(KeyError):
                {}["missing"]
        return sums

    stalls = []
    with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:
        with ourio.Watchdog(runner.get_loop(), 0.01, stalls.append, logs=False):
            assert runner.run(main()) == {200}
    assert any(stall.cause in ("Python code on the CPU", "no processor to run on") for stall in stalls)
    assert all("_insight" not in frame.filename for stall in stalls for frame in stall.stack)


def test_native_code_without_the_lock_is_told():
    async def main():
        # One long call: at the end of each it is Python code for a moment.
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", 1_500_000)

    first, _ = watch(main)
    assert is_told(first, "native code on the CPU", "without the GIL")


def test_a_lock_of_threads_is_told():
    lock = threading.Lock()

    async def main():
        lock.acquire()
        threading.Timer(0.3, lock.release).start()
        with lock:
            pass

    first, _ = watch(main)
    if TELLS_CALLS:
        assert first.cause == "waiting for a lock"
    assert first.filename == __file__


def test_a_long_collection_of_garbage_is_told():
    async def main():
        gc.disable()
        try:
            garbage = [[] for _ in range(3_000_000)]
            for one in garbage:
                one.append(garbage)
            await asyncio.sleep(0)
            del garbage, one
            gc.collect()
        finally:
            gc.enable()

    assert any(is_told(stall, "garbage collection") for stall in watch(main, 0.03))


def test_a_loop_that_is_well_is_not_told_of():
    async def main():
        async def worker():
            for _ in range(200):
                await asyncio.sleep(0.001)

        await asyncio.gather(*(worker() for _ in range(20)))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(time.sleep, 0.2)
        for _ in range(20_000):
            await asyncio.sleep(0)

    assert [stall for stall in watch(main, 0.1) if stall.cause != NO_CPU] == []


def test_the_same_place_is_reported_once_a_second(caplog):
    async def main():
        for _ in range(12):
            time.sleep(0.1)
            await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING, "ourio"):
        stalls = watch(main, 0.03)
    begun = [stall for stall in stalls if not stall.over]
    assert 1 <= len(begun) <= 4
    assert begun[-1].repeated > 0 or len(begun) == 1
    messages = [record.getMessage() for record in caplog.records if record.name == "ourio"]
    assert len(messages) == len(stalls)
    assert "the event loop is blocked" in messages[0]


def test_a_callback_that_fails_is_logged_and_the_watch_goes_on(caplog):
    def fail(stall):
        raise ValueError("on purpose")

    async def main():
        time.sleep(0.15)
        await asyncio.sleep(0)
        time.sleep(0.15)

    with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:
        ourio.Watchdog(runner.get_loop(), 0.03, fail).start()
        runner.run(main())
    assert sum("callback of a watchdog" in record.getMessage() for record in caplog.records) >= 2


def test_it_starts_and_stops_and_ends_with_its_loop():
    before = threading.active_count()
    loop = ourio.new_event_loop()
    watchdog = ourio.Watchdog(loop)
    watchdog.stop()
    for _ in range(20):
        watchdog.start()
        watchdog.start()
        watchdog.stop()
        watchdog.stop()
    watchdog.start()
    loop.close()
    assert threading.active_count() == before
    assert not any("StallWatch" in repr(callback) for callback in gc.callbacks)
    with pytest.raises(RuntimeError):
        watchdog.start()
    other = asyncio.SelectorEventLoop()
    with pytest.raises(TypeError):
        ourio.Watchdog(other)
    other.close()
    for threshold in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            ourio.Watchdog(loop, threshold)


def run_python(code, **environment):
    variables = {**os.environ, **environment}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


BLOCKS = "import asyncio, time, ourio\nasync def main():\n    time.sleep(0.3)\n"


def test_run_takes_it_and_so_does_the_environment():
    assert "is blocked" in run_python(BLOCKS + "ourio.run(main(), watchdog=0.05)")
    assert "is blocked" in run_python(BLOCKS + "ourio.run(main(), watchdog=True)")
    assert "is blocked" in run_python(BLOCKS + "ourio.run(main())", OURIO_WATCHDOG="0.05")
    assert run_python(BLOCKS + "ourio.run(main())") == ""
    assert run_python(BLOCKS + "ourio.run(main(), watchdog=False)", OURIO_WATCHDOG="0.05") == ""
    runner = "with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:\n    runner.run(main())"
    assert "is blocked" in run_python(BLOCKS + runner, OURIO_WATCHDOG="0.05")


@pytest.mark.parametrize("text", ["soon", "-1", "0"])
def test_a_time_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv("OURIO_WATCHDOG", text)
    with pytest.raises(ValueError, match="positive number of seconds"):
        ourio.new_event_loop()


def test_an_interpreter_that_ends_while_it_watches_ends_well():
    code = BLOCKS + "loop = ourio.new_event_loop()\nourio.Watchdog(loop, 0.01).start()\n"
    run_python(code + "loop.run_until_complete(main())")
    # Its end comes in the middle of a stall, and of its report.
    thread = "threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True).start()"
    run_python(f"{code}import threading\n{thread}\ntime.sleep(0.05)")
    # The main thread has a look pending.
    run_python(f"{code}import ctypes, threading\n{thread}\nctypes.PyDLL(None).usleep(200_000)")
    run_python(f"{code}loop.call_soon(time.sleep, 0.1)\nloop.call_soon(exit)\nloop.run_forever()")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_no_watch_and_ends_well():
    loop = ourio.new_event_loop()
    watchdog = ourio.Watchdog(loop, 0.01)
    watchdog.start()
    child = os.fork()
    if child == 0:
        watchdog._watch.stop()
        ended = watchdog._watch.news() == []
        os._exit(0 if ended else 1)
    assert os.waitpid(child, 0)[1] == 0
    loop.close()
