"""A program whose tasks wait for what can never happen is told so; one that something can still wake is not."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import ourio
import pytest
from ourio._insight import waits
from ourio._insight.deadlock import wakers
from ourio._insight.deadlock.detector import DeadlockDetector


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """The test runner's own time limit is a handler of SIGALRM, which could wake a loop."""
    handled = wakers._handled_signals
    monkeypatch.setattr(wakers, "_handled_signals", lambda: [one for one in handled() if one != signal.SIGALRM])


pytestmark = pytest.mark.timeout(20)


@contextlib.contextmanager
def told(caplog):
    """The deadlocks that are logged meanwhile."""
    found = []
    with caplog.at_level(logging.ERROR, logger="ourio"):
        yield found
    found += [record.deadlock for record in caplog.records if hasattr(record, "deadlock")]


async def never():
    await asyncio.Event().wait()


async def for_ever():
    while True:
        await asyncio.sleep(0.01)


def test_a_definite_deadlock_is_raised_with_each_task_its_line_and_what_it_waits_for():
    async def first(one, other):
        async with one:
            await asyncio.sleep(0)
            async with other:
                pass

    async def main():
        one, other = asyncio.Lock(), asyncio.Lock()
        left = asyncio.create_task(first(one, other), name="left")
        right = asyncio.create_task(first(other, one), name="right")
        await asyncio.gather(left, right)

    with pytest.raises(ourio.DeadlockError) as caught:
        ourio.run(main(), on_deadlock="raise")
    deadlock = caught.value.deadlock
    assert deadlock.grade == "definite"
    tasks = {task.name: task for task in deadlock.tasks}
    assert (tasks["left"].waits_for, tasks["left"].held_by) == ("a lock", ("right",))
    assert (tasks["right"].waits_for, tasks["right"].held_by) == ("a lock", ("left",))
    assert tasks["left"].filename == __file__
    assert tasks["left"].lineno == first.__code__.co_firstlineno + 3
    assert "async with other:" in str(caught.value)


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (lambda: asyncio.Queue().get(), "an item of an empty queue"),
        (lambda: asyncio.Event().wait(), "an event that is not set"),
        (lambda: asyncio.Barrier(2).wait(), "a barrier (1 of 2 are there)"),
        (lambda: asyncio.get_running_loop().create_future(), "a future that is not set"),
        (lambda: asyncio.shield(asyncio.create_task(never(), name="shielded")), "task 'shielded', shielded"),
        (lambda: asyncio.create_task(never(), name="other"), "task 'other'"),
    ],
)
def test_what_a_task_waits_for_is_said_in_words(wait, words):
    async def main():
        await wait()

    with pytest.raises(ourio.DeadlockError) as caught:
        ourio.run(main(), on_deadlock="raise")
    (mine,) = (task for task in caught.value.deadlock.tasks if task.name.startswith("Task-"))
    assert mine.waits_for == words


def test_a_condition_a_full_queue_and_a_group_are_said_too():
    async def main():
        condition, queue = asyncio.Condition(), asyncio.Queue(1)
        queue.put_nowait(1)

        async def notified():
            async with condition:
                await condition.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(notified(), name="notified")
            group.create_task(queue.put(2), name="producer")

    with pytest.raises(ourio.DeadlockError) as caught:
        ourio.run(main(), on_deadlock="raise")
    words = {task.name: task.waits_for for task in caught.value.deadlock.tasks}
    assert words["notified"] == "a notification of a condition"
    assert words["producer"] == "room in a full queue"
    assert "the tasks of its group" in words.values()


def test_a_deadlock_is_reported_by_default_and_the_program_goes_on_waiting(caplog):
    async def main():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "woken"

    def interrupt():
        while not caplog.records:
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    with told(caplog) as found:
        loop = ourio.new_event_loop()
        # No Python thread could do it: the report must be there before.
        look = loop._before_endless_sleep

        def look_and_interrupt():
            look()
            threading.Thread(target=interrupt, name="ourio-test").start()

        loop._before_endless_sleep = look_and_interrupt
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            assert runner.run(main()) == "woken"
    assert [deadlock.grade for deadlock in found] == ["definite"]
    assert "nothing can wake it" in caplog.text


def test_ignoring_it_is_silent(caplog):
    async def main():
        loop = asyncio.get_running_loop()
        assert loop._before_endless_sleep is None

    with told(caplog) as found:
        ourio.run(main(), on_deadlock="ignore")
    assert not found


def test_what_another_thread_could_wake_is_probable_and_names_it():
    found, done = [], threading.Event()

    async def main():
        event, loop = asyncio.Event(), asyncio.get_running_loop()

        def much_later():
            done.wait(30)
            loop.call_soon_threadsafe(event.set)

        thread = threading.Thread(target=much_later, name="much later")
        thread.start()
        await event.wait()
        thread.join()

    def see(deadlock):
        found.append(deadlock)
        done.set()

    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        watch = DeadlockDetector(runner.get_loop(), "report", see)
        watch.start()
        runner.run(main())
    assert [deadlock.grade for deadlock in found] == ["probable"]
    assert "thread 'much later'" in found[0].could_wake
    assert "can only be woken by thread 'much later'" in str(found[0])


@pytest.mark.parametrize("wakes", ["a thread that reads", "a thread that sleeps", "a thread that computes", "a signal"])
def test_what_the_outside_may_wake_is_not_even_probable(wakes, monkeypatch):
    monkeypatch.setattr("ourio._insight.deadlock.detector._QUIET", 0.1)
    found = []

    async def main():
        event, loop, done = asyncio.Event(), asyncio.get_running_loop(), threading.Event()
        reads, writes = os.pipe()

        def later():
            match wakes:
                case "a thread that reads":
                    os.read(reads, 1)
                case "a thread that sleeps":
                    time.sleep(1)
                case _:
                    end = time.monotonic() + 1
                    while time.monotonic() < end:
                        pass
            loop.call_soon_threadsafe(event.set)

        thread = threading.Thread(target=later if "thread" in wakes else done.wait)
        thread.start()
        if wakes == "a signal":
            loop.add_signal_handler(signal.SIGVTALRM, event.set)
            helper = "import os, signal, time; time.sleep(1); os.kill(os.getppid(), signal.SIGVTALRM)"
        else:
            helper = f"import os, time; time.sleep(1); os.write({writes}, b'x')"
        with subprocess.Popen([sys.executable, "-c", helper], pass_fds=[writes]):
            await event.wait()
        done.set()
        thread.join()
        os.close(reads)
        os.close(writes)

    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        DeadlockDetector(runner.get_loop(), "report", found.append).start()
        runner.run(main())
    assert not found


def test_a_thread_that_waits_for_the_interpreter_only_is_not_called_stuck(monkeypatch):
    monkeypatch.setattr("ourio._insight.deadlock.detector._QUIET", 0.1)
    found, looks = [], []
    waits_outside, library = wakers._waits_outside, ctypes.PyDLL(None)

    async def main():
        event, loop = asyncio.Event(), asyncio.get_running_loop()
        reads, writes = os.pipe()

        def later():
            os.read(reads, 1)
            loop.call_soon_threadsafe(event.set)

        def look(asked):
            # What is read arrives while the look has the interpreter's lock, which these calls keep, for less than
            # a thread waits before it asks for it.
            if not looks:
                library.write(writes, b"x", 1)
                library.usleep(2_000)
            looks.append(waits_outside(asked))
            return looks[-1]

        monkeypatch.setattr(wakers, "_waits_outside", look)
        thread = threading.Thread(target=later)
        thread.start()
        await event.wait()
        thread.join()
        os.close(reads)
        os.close(writes)

    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        DeadlockDetector(runner.get_loop(), "report", found.append).start()
        runner.run(main())
    assert looks
    assert not found


@pytest.mark.parametrize("name", ["thread", "process", "signal", "timer", "socket"])
def test_what_the_system_will_wake_is_no_deadlock(name, caplog):
    async def main():
        loop = asyncio.get_running_loop()
        match name:
            case "thread":
                await asyncio.to_thread(time.sleep, 0.2)
            case "process":
                process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(0.2)")
                await process.wait()
            case "signal":
                event = asyncio.Event()
                loop.add_signal_handler(signal.SIGVTALRM, event.set)
                helper = "import os, signal, time; time.sleep(0.2); os.kill(os.getppid(), signal.SIGVTALRM)"
                with subprocess.Popen([sys.executable, "-c", helper]):
                    await event.wait()
                loop.remove_signal_handler(signal.SIGVTALRM)
            case "timer":
                event = asyncio.Event()
                loop.call_later(0.2, event.set)
                await event.wait()
            case "socket":
                event = asyncio.Event()

                class Echo(asyncio.DatagramProtocol):
                    def datagram_received(self, data, address):
                        event.set()

                transport, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
                helper = "import socket, sys, time; time.sleep(0.2); "
                helper += "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', int(sys.argv[1])))"
                port = transport.get_extra_info("sockname")[1]
                with subprocess.Popen([sys.executable, "-W", "ignore", "-c", helper, str(port)]):
                    await event.wait()
                transport.close()

    with told(caplog) as found:
        ourio.run(main(), on_deadlock="raise")
    assert not found


def circles(main):
    """The circles that are told while a program runs."""
    found = []
    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        DeadlockDetector(runner.get_loop(), "report", found.append).start()
        runner.run(main(found))
    return found


def test_tasks_in_a_circle_are_told_while_others_run():
    async def hold(one, other):
        async with one:
            await asyncio.sleep(0.01)
            await other.acquire() if isinstance(other, asyncio.Semaphore) else None
            async with other:
                pass

    async def main(found):
        one, other = asyncio.Lock(), asyncio.Condition()
        left = asyncio.create_task(hold(one, other), name="left")
        right = asyncio.create_task(hold(other, one), name="right")
        while not found:
            await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.wait([left, right])

    (circle,) = circles(main)
    assert circle.grade == "circle"
    assert {task.name for task in circle.tasks} == {"left", "right"}
    assert "2 tasks wait for each other" in str(circle)


def test_a_timeout_ends_a_circle_by_itself_so_that_it_is_none():
    async def main():
        one, other = asyncio.Lock(), asyncio.Lock()

        async def hold(one, other, limit):
            async with one:
                await asyncio.sleep(0)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(limit), other:
                        pass

        left = asyncio.create_task(hold(one, other, 30))
        right = asyncio.create_task(hold(other, one, None))
        await asyncio.sleep(0.01)
        assert waits.has_deadline(left)
        assert not waits.has_deadline(right)
        assert waits.cycles(asyncio.all_tasks()) == []
        left.cancel()
        await asyncio.wait([left, right])

    ourio.run(main())


def test_a_task_that_holds_a_lock_inside_of_a_generator_is_known():
    async def main():
        lock = asyncio.Lock()

        async def items():
            async with lock:
                yield 1
                await never()

        async def reader():
            async for _ in items():
                pass

        holder = asyncio.create_task(reader(), name="reader")
        await asyncio.sleep(0)
        other = asyncio.create_task(lock.acquire())
        await asyncio.sleep(0)
        pending = {holder, other}
        wait = waits.wait_of(other, waits.owners(pending))
        assert (wait.kind, wait.tasks) == ("lock", (holder,))
        places = [place.function for place in waits.stack(holder)]
        assert [name.rpartition(".")[2] for name in places] == ["reader", "items", "never", "wait"]
        holder.cancel()
        other.cancel()
        await asyncio.wait(pending)

    ourio.run(main())


def test_waiting_for_one_of_several_is_no_circle():
    async def main():
        tasks = []

        async def any_of():
            await asyncio.sleep(0)
            await asyncio.wait([tasks[1], tasks[2]], return_when=asyncio.FIRST_COMPLETED)

        async def of_first():
            await tasks[0]

        tasks += [asyncio.create_task(any_of()), asyncio.create_task(of_first()), asyncio.create_task(for_ever())]
        await asyncio.sleep(0.05)
        assert waits.cycles(asyncio.all_tasks()) == []
        tasks[2].cancel()
        await asyncio.wait(tasks)

    ourio.run(main())


def test_threads_of_a_pool_that_wait_for_work_wake_nobody():
    async def main():
        await asyncio.to_thread(int)
        await never()

    with pytest.raises(ourio.DeadlockError):
        ourio.run(main(), on_deadlock="raise")


def test_jobs_of_an_executor_are_never_taken_for_a_deadlock():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(1000):
            await loop.run_in_executor(None, int)
            await asyncio.gather(*(loop.run_in_executor(None, int) for _ in range(3)))

    ourio.run(main(), on_deadlock="raise")


def test_what_a_thread_sends_before_it_ends_is_never_taken_for_a_deadlock():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(300):
            event = asyncio.Event()
            threading.Thread(target=loop.call_soon_threadsafe, args=(event.set,)).start()
            await event.wait()

    ourio.run(main(), on_deadlock="raise")


def test_a_thread_that_is_not_pythons_could_wake_the_loop(monkeypatch):
    monkeypatch.setattr(wakers, "_foreign_threads", lambda _known: ["grpc_global_tim"])
    assert wakers.could_wake() == ["a thread that is not Python's (grpc_global_tim)"]


def test_a_wrong_choice_is_refused(monkeypatch):
    coroutine = for_ever()
    with pytest.raises(ValueError, match="on_deadlock must be"):
        ourio.run(coroutine, on_deadlock="panic")
    coroutine.close()
    monkeypatch.setenv("OURIO_DEADLOCK", "panic")
    with pytest.raises(ValueError, match="OURIO_DEADLOCK must be"):
        ourio.new_event_loop()
