"""Everything on at once, under random load: nothing breaks, and the program's results stay the same.

``OURIO_STALLS=10000`` makes it long.
"""

import asyncio
import contextlib
import gc
import os
import random
import subprocess
import sys
import threading
import time

import ourio
import pytest
from ourio._insight import waits
from ourio._insight.deadlock.detector import DeadlockDetector
from ourio._insight.monitor import Monitor
from ourio._insight.shutdown import ShutdownObserver
from ourio._insight.tasks.registry import TaskRegistry

STALLS = int(os.environ.get("OURIO_STALLS", "300"))


@pytest.mark.timeout(900)
def test_many_short_stalls_while_everything_is_read_break_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    stalls, troubles, read = [], [], []

    async def generator(lock):
        async with lock:
            yield 1
            await asyncio.sleep(0.001)

    async def busy(lock, event):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(dice.random() / 50):
                async for _ in generator(lock):
                    await asyncio.gather(asyncio.sleep(0), asyncio.shield(asyncio.sleep(0)))
                await event.wait()

    async def main(loop, recorder):
        stop = threading.Event()
        monitor = Monitor.current

        def read_everything():
            while not stop.is_set():
                try:
                    monitor._answers.answer("tasks", "")
                    monitor._answers.answer("why", "Task-1")
                    monitor._answers.answer("sites", "")
                    loop.metrics()
                    recorder.trace()
                    for task in asyncio.all_tasks(loop):
                        waits.stack(task)
                    read.append(1)
                except RuntimeError as error:
                    # asyncio: tasks came and went while they were counted.
                    if "changed size" not in str(error):
                        troubles.append(error)
                except BaseException as error:
                    troubles.append(error)

        def come_and_go():
            while not stop.is_set():
                thread = threading.Thread(target=gc.collect)
                thread.start()
                thread.join()

        threads = [threading.Thread(target=target) for target in (read_everything, come_and_go)]
        for thread in threads:
            thread.start()
        lock, event, kept = asyncio.Lock(), asyncio.Event(), set()
        for _ in range(STALLS):
            for _ in range(dice.randrange(3)):
                kept.add(asyncio.create_task(busy(lock, event)))
            time.sleep(dice.random() / 300)
            await asyncio.sleep(dice.choice((0, 0, 0.001)))
            kept = {task for task in kept if not task.done()}
        stop.set()
        for thread in threads:
            thread.join()
        await asyncio.gather(*kept)

    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        loop = runner.get_loop()
        Monitor.show(loop, tasks=True, threshold=0.001)
        ourio.Watchdog(loop, 0.001, stalls.append).start()
        DeadlockDetector(loop, "report").start()
        ShutdownObserver(loop, stalls.append).start()
        recorder = ourio.FlightRecorder(loop, 1000)
        recorder.start()
        runner.run(main(loop, recorder))
    assert not troubles, troubles[:3]
    assert stalls
    assert read
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ourio-")]


ENDS = {
    "in a stall": "time.sleep(0.05); sys.exit(3)",
    "with tasks": "[asyncio.create_task(asyncio.sleep(9)) for _ in range(50)]; await asyncio.sleep(0); sys.exit(3)",
    "at once": "os._exit(3)",
    "in a thread's job": "asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.1); sys.exit(3)",
    "with a daemon": "threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start(); sys.exit(3)",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_program_ends_as_it_would_with_everything_on(name, tmp_path):
    script = tmp_path / "ends.py"
    script.write_text(
        "import asyncio, os, sys, threading, time, ourio\n"
        "async def main():\n"
        "    ourio.FlightRecorder(asyncio.get_running_loop()).start()\n"
        f"    {ENDS[name]}\n"
        "ourio.run(main(), watchdog=0.001, monitor='tasks', on_deadlock='report')\n"
    )
    own = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    for _ in range(max(2, STALLS // 500)):
        done = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, env=own, check=False, timeout=30
        )
        assert done.returncode == 3, done
        lines = [line for line in done.stderr.splitlines() if "event loop" not in line]
        assert not lines, done.stderr


def test_a_loop_left_unclosed_with_everything_on_harms_nobody(tmp_path):
    code = (
        "import asyncio, ourio; from ourio._insight.monitor import Monitor; loop = ourio.EventLoop();"
        "Monitor.show(loop, tasks=True); ourio.FlightRecorder(loop).start(); loop.run_until_complete(asyncio.sleep(0))"
    )
    own = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=own, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_book_forgets_tasks_that_are_done():
    async def main(registry):
        for _ in range(10):
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(100)))
            registry.look()
        return len(registry._notes)

    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        registry = TaskRegistry(runner.get_loop())
        registry.start()
        assert runner.run(main(registry)) <= 2
