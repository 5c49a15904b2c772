"""Signals: handlers, Ctrl-C while idle, while busy and inside a callback, the wake-up descriptor."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

LOOPS = ("asyncio", "ourio")


def test_a_handler_runs_in_the_loop_with_its_arguments(run):
    async def main():
        loop = asyncio.get_running_loop()
        seen = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, seen.set_result, "arrived")
        os.kill(os.getpid(), signal.SIGUSR1)
        assert await asyncio.wait_for(seen, 10) == "arrived"
        assert loop.remove_signal_handler(signal.SIGUSR1)
        assert not loop.remove_signal_handler(signal.SIGUSR1)

    run(main())
    assert signal.set_wakeup_fd(-1) == -1


def test_what_cannot_be_handled_is_refused(run):
    async def main():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGKILL, signal.SIGSTOP):
            with pytest.raises((RuntimeError, OSError)):
                loop.add_signal_handler(number, print)
        with pytest.raises(ValueError, match="invalid signal number"):
            loop.add_signal_handler(9999, print)
        with pytest.raises(TypeError):
            loop.add_signal_handler("SIGUSR1", print)
        with pytest.raises(TypeError, match="coroutines cannot be used"):
            loop.add_signal_handler(signal.SIGUSR1, main)

    run(main())


def test_handlers_belong_to_the_main_thread(loop):
    raised = []

    def elsewhere():
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except (RuntimeError, ValueError) as error:
            raised.append(type(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert raised == [RuntimeError]


def test_a_python_handler_runs_while_the_loop_is_idle(loop):
    before = signal.signal(signal.SIGUSR2, lambda *_: loop.call_soon_threadsafe(loop.stop))
    try:
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR2)).start()
        loop.run_forever()
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_python_handler_that_raises_ends_the_run(loop):
    def handler(*_):
        raise LookupError("from the handler")

    before = signal.signal(signal.SIGUSR2, handler)
    try:
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR2)).start()
        with pytest.raises(LookupError, match="from the handler"):
            loop.run_forever()
    finally:
        signal.signal(signal.SIGUSR2, before)


PROGRAMS = {
    "idle": """
        async def main():
            print("ready", flush=True)
            try:
                await asyncio.sleep(1000)
            finally:
                print("cleaned up", flush=True)
    """,
    "busy": """
        async def main():
            print("ready", flush=True)
            try:
                while True:
                    await asyncio.sleep(0)
            finally:
                print("cleaned up", flush=True)
    """,
    "inside a callback": """
        async def main():
            print("ready", flush=True)
            try:
                while True:
                    sum(range(1000))
            finally:
                print("cleaned up", flush=True)
    """,
}


@pytest.mark.parametrize("loop_name", LOOPS)
@pytest.mark.parametrize("situation", list(PROGRAMS))
def test_ctrl_c_cancels_the_main_task(situation, loop_name):
    import textwrap

    program = f"import asyncio, ourio\n{textwrap.dedent(PROGRAMS[situation])}\n{loop_name}.run(main())\n"
    # Its own group, as a terminal gives it: the signal goes to it alone.
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        if situation == "inside a callback":
            # asyncio: the first Ctrl-C asks the task to end, which it cannot; the second interrupts it.
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert out == "cleaned up\n"
    assert err.strip().endswith("KeyboardInterrupt")
    assert process.returncode in (-signal.SIGINT, 1)


def test_signal_handlers_belong_to_the_main_thread(loop_factory):
    outcome = []

    def elsewhere():
        loop = loop_factory()
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except (RuntimeError, ValueError) as error:
            outcome.append(type(error))
        loop.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert outcome == [RuntimeError]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, 0, 10_000, "SIGINT"])
def test_signals_that_cannot_be_handled(loop, number):
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        loop.add_signal_handler(number, print)


def test_sigchld_can_be_handled(run):
    async def main():
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        loop.add_signal_handler(signal.SIGCHLD, heard.set)
        process = await asyncio.create_subprocess_exec("true")
        assert await process.wait() == 0
        await heard.wait()
        assert loop.remove_signal_handler(signal.SIGCHLD)
        assert not loop.remove_signal_handler(signal.SIGCHLD)

    run(main())


def test_the_wakeup_descriptor_is_restored(loop_factory):
    loop = loop_factory()
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.run_until_complete(asyncio.sleep(0))
    loop.remove_signal_handler(signal.SIGUSR1)
    loop.close()
    assert signal.set_wakeup_fd(-1) == -1


def test_a_python_signal_handler_that_raises_ends_the_loop(loop):
    def handler(number, frame):
        raise KeyError("raised by a handler")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        loop.call_later(0.01, signal.raise_signal, signal.SIGUSR1)
        reports = []
        loop.set_exception_handler(lambda _loop, context: reports.append(context["exception"]))
        try:
            loop.run_until_complete(asyncio.sleep(0.05))
        except KeyError as error:
            reports.append(error)
        assert [type(report) for report in reports] == [KeyError]
    finally:
        signal.signal(signal.SIGUSR1, before)
