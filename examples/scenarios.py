"""Sixteen small programs, one per concept of asyncio. ``python examples/scenarios.py [asyncio|ourio] [NUMBER ...]``.

What they print does not depend on the loop; ``examples/tour.py`` and the tests check that.
"""

import asyncio
import collections.abc
import contextvars
import functools
import inspect
import io
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

SCENARIOS = {}


def scenario(number, title):
    def register(function):
        SCENARIOS[number] = (title, function)
        return function

    return register


@scenario(1, "a coroutine is a light unit of work")
async def light_units():
    done = await asyncio.gather(*(asyncio.sleep(0.01, number) for number in range(10_000)))
    print(f"{len(done):,} coroutines slept at once, on {threading.active_count()} thread")


@scenario(2, "a generator receives what is sent in")
async def generators():
    def averager():
        total, count, average = 0, 0, None
        while True:
            total += yield average
            count += 1
            average = total / count

    average = averager()
    print("primed:", next(average), "| sent 10, 20, 60:", [average.send(value) for value in (10, 20, 60)])
    try:
        average.throw(LookupError("thrown in"))
    except LookupError as error:
        print("came back out:", error)
    average.close()


@scenario(3, "calling a coroutine function runs nothing")
async def coroutine_objects():
    async def greet():
        return "hello"

    coroutine = greet()
    print(type(coroutine).__name__, inspect.getcoroutinestate(coroutine), inspect.iscoroutinefunction(greet))
    print(await coroutine, inspect.getcoroutinestate(coroutine))


@scenario(4, "await suspends, resumes with the result, and lets exceptions through")
async def awaiting():
    async def divide(a, b):
        await asyncio.sleep(0)
        return a / b

    print(await divide(6, 3))
    try:
        await divide(1, 0)
    except ZeroDivisionError as error:
        print("through the await:", error)


class Countdown:
    """An awaitable of one's own: yields to the loop some times, then gives a result."""

    def __init__(self, turns):
        self.turns = turns

    def __await__(self):
        for _ in range(self.turns):
            yield
        return f"after {self.turns} turns"


@scenario(5, "five kinds of awaitables")
async def awaitables():
    async def coroutine():
        return "coroutine"

    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "future set by hand")

    class Iterated:
        def __await__(self):
            return (yield from asyncio.sleep(0, "iterator-based").__await__())

    for awaitable in (coroutine(), asyncio.create_task(coroutine()), future, Countdown(3), Iterated()):
        print(type(awaitable).__name__, "->", await awaitable)


@scenario(6, "the life of a loop")
async def loop_life():
    loop = asyncio.get_running_loop()
    print("running:", loop.is_running(), "| closed:", loop.is_closed())
    nested = asyncio.sleep(0)
    try:
        asyncio.run(nested)
    except RuntimeError as error:
        print(error)
    finally:
        nested.close()
    factory = type(loop)
    cleaned = []

    def elsewhere():
        async def left_behind():
            try:
                await asyncio.sleep(100)
            finally:
                cleaned.append("what was left was cancelled")

        async def main():
            asyncio.create_task(left_behind())
            await asyncio.sleep(0)
            return asyncio.get_running_loop()

        with asyncio.Runner(loop_factory=factory) as runner:
            other = runner.run(main())
        try:
            other.call_soon(print)
        except RuntimeError as error:
            cleaned.append(str(error))

    await asyncio.to_thread(elsewhere)
    print(*cleaned, sep=" | ")


@scenario(7, "the order of a turn")
async def turn_order():
    loop = asyncio.get_running_loop()
    order = []
    for name in "abc":
        loop.call_soon(order.append, f"soon {name}")
    for delay in (0.02, 0.01):
        loop.call_later(delay, order.append, f"after {delay}")
    loop.call_soon(lambda: loop.call_soon(order.append, "the next turn"))
    await asyncio.sleep(0.05)
    print(*order, sep=", ")


@scenario(8, "two tasks overlap")
async def overlap():
    order = []

    async def sleeper(seconds):
        await asyncio.sleep(seconds)
        order.append(seconds)

    started = asyncio.get_running_loop().time()
    await asyncio.gather(sleeper(1), sleeper(0.5))
    took = asyncio.get_running_loop().time() - started
    print("ended in the order", order, "| at least 1 s:", took >= 1, "| less than the sum:", took < 1.5)


@scenario(9, "the states of a coroutine")
async def coroutine_states():
    async def body():
        states.append(inspect.getcoroutinestate(coroutine))
        await asyncio.sleep(0)

    states = []
    coroutine = body()
    states.append(inspect.getcoroutinestate(coroutine))
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    states.append(inspect.getcoroutinestate(coroutine))
    await task
    states.append(inspect.getcoroutinestate(coroutine))
    print(*states, sep=" -> ")


@scenario(10, "what a task can do")
async def tasks():
    task = asyncio.create_task(asyncio.sleep(0.001, "result"), name="sleeper")
    task.add_done_callback(lambda done: print("done callback:", done.get_name()))
    print(task.get_name(), task.done(), await task, await task, task.done())
    cancelled = asyncio.create_task(asyncio.sleep(100))
    await asyncio.sleep(0)
    cancelled.cancel("no longer needed")
    print("cancelling:", cancelled.cancelling(), "->", cancelled.uncancel(), "->", cancelled.cancelling())
    try:
        await cancelled
    except asyncio.CancelledError as error:
        print("cancelled:", cancelled.cancelled(), error)


@scenario(11, "workers take turns")
async def cooperation():
    order = []

    async def worker(name):
        for step in range(3):
            order.append(f"{name}{step}")
            await asyncio.sleep(0)

    await asyncio.gather(worker("a"), worker("b"), worker("c"))
    print(*order)


@scenario(12, "where a suspended task waits")
async def saved_frames():
    async def inner():
        await asyncio.sleep(100)

    async def outer():
        await inner()

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    shown = io.StringIO()
    task.print_stack(file=shown)
    print("waits in:", task.get_stack()[-1].f_code.co_name, "| stack shown:", "await inner()" in shown.getvalue())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@scenario(13, "an awaitable as a library author writes it")
async def own_awaitables():
    class Ticket(collections.abc.Awaitable):
        def __init__(self):
            self._future = asyncio.get_running_loop().create_future()

        def punch(self, value):
            self._future.set_result(value)

        def __await__(self):
            return self._future.__await__()

    ticket = Ticket()
    asyncio.get_running_loop().call_later(0.001, ticket.punch, "punched")
    print(await ticket, "|", await Countdown(2))


VARIABLE = contextvars.ContextVar("variable")


@scenario(14, "context variables are inherited, then isolated")
async def context_variables():
    VARIABLE.set("parent")

    async def child():
        inherited = VARIABLE.get()
        VARIABLE.set("child")
        return inherited, VARIABLE.get()

    print(await asyncio.create_task(child()), VARIABLE.get())
    seen = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: seen.set_result(VARIABLE.get()))
    print("callback:", await seen, "| thread:", await asyncio.to_thread(VARIABLE.get))


def square(number):
    return number * number


@scenario(16, "the helpers")
async def helpers():
    async def fail(after=0):
        await asyncio.sleep(after)
        raise LookupError("lost")

    print("gather:", await asyncio.gather(asyncio.sleep(0.002, "a"), asyncio.sleep(0.001, "b")))
    outcomes = await asyncio.gather(asyncio.sleep(0, "kept"), fail(), return_exceptions=True)
    print("gather, exceptions returned:", outcomes)
    done, pending = await asyncio.wait(
        {asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(100))},
        return_when=asyncio.FIRST_COMPLETED,
    )
    print("wait:", len(done), "done,", len(pending), "pending")
    pending.pop().cancel()
    finished = [await each for each in asyncio.as_completed([asyncio.sleep(d, d) for d in (0.02, 0.001)])]
    print("as_completed:", finished)
    kept = asyncio.create_task(asyncio.sleep(0.01, "shielded"))
    try:
        await asyncio.wait_for(asyncio.shield(kept), 0.001)
    except TimeoutError:
        print("wait_for: timed out, and", await kept)
    try:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(100)
    except TimeoutError:
        print("timeout: reached")
    try:
        async with asyncio.TaskGroup() as group:
            sibling = group.create_task(asyncio.sleep(100))
            group.create_task(fail(0.001))
    except ExceptionGroup as errors:
        print("TaskGroup:", errors.exceptions, "| sibling cancelled:", sibling.cancelled())
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(1) as processes:
        in_thread = loop.run_in_executor(threads, functools.partial(square, 7))
        in_process = loop.run_in_executor(processes, square, 8)
        print("to_thread:", await asyncio.to_thread(square, 6), "| pools:", await in_thread, await in_process)


@scenario(17, "clean-up happens on success, on errors and on cancellation")
async def clean_up():
    class Resource:
        async def __aenter__(self):
            return self

        async def __aexit__(self, kind, *_):
            await asyncio.sleep(0)
            print("closed after", kind.__name__ if kind else "success")

    async def numbers():
        try:
            for number in range(3):
                yield number
        finally:
            await asyncio.sleep(0)
            print("generator closed")

    async with Resource():
        print([number async for number in numbers()])
    try:
        async with Resource():
            raise LookupError
    except LookupError:
        pass

    async def hold():
        async with Resource():
            await asyncio.sleep(100)

    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def main():
    name, *numbers = sys.argv[1:] or ["ourio"]
    for number, (title, function) in SCENARIOS.items():
        if numbers and str(number) not in numbers:
            continue
        print(f"{number:2}. {title}")
        if name == "ourio":
            import ourio

            ourio.run(function())
        else:
            asyncio.run(function())


if __name__ == "__main__":
    main()
