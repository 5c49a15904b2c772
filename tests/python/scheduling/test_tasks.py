"""Futures and tasks: creation, factories, cancellation, contexts, helpers."""

import asyncio
import contextvars
import sys

import pytest

VARIABLE = contextvars.ContextVar("variable", default="unset")


def test_futures_and_tasks_are_asyncios_own(run):
    async def main():
        loop = asyncio.get_running_loop()
        assert type(loop.create_future()) is asyncio.Future
        task = loop.create_task(asyncio.sleep(0), name="named")
        assert type(task) is asyncio.Task
        assert task.get_name() == "named"
        assert task.get_loop() is loop
        assert asyncio.current_task() in asyncio.all_tasks()
        await task

    run(main())


def test_a_future_made_outside_belongs_to_its_loop(loop, loop_factory):
    other = loop_factory()

    async def main():
        assert other.create_future().get_loop() is other
        assert loop.create_future().get_loop() is loop

    loop.run_until_complete(main())
    assert loop.create_future().get_loop() is loop
    other.close()


def test_a_task_inherits_its_context_and_keeps_its_own(run):
    async def child():
        assert VARIABLE.get() == "parent"
        VARIABLE.set("child")

    async def main():
        VARIABLE.set("parent")
        await asyncio.create_task(child())
        assert VARIABLE.get() == "parent"
        context = contextvars.Context()
        await asyncio.get_running_loop().create_task(asyncio.sleep(0), context=context)

    run(main())


def test_a_task_factory_is_used(run):
    made = []

    def factory(loop, coro, **kwargs):
        made.append(kwargs)
        return asyncio.Task(coro, loop=loop, **kwargs)

    async def main():
        loop = asyncio.get_running_loop()
        assert loop.get_task_factory() is None
        loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory
        assert await asyncio.create_task(asyncio.sleep(0, "value"), name="named") == "value"
        with pytest.raises(TypeError, match="callable or None"):
            loop.set_task_factory(42)
        loop.set_task_factory(None)
        await asyncio.create_task(asyncio.sleep(0))

    run(main())
    assert len(made) == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_begin_at_once(run):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        seen = []

        async def work():
            seen.append(1)

        task = asyncio.create_task(work())
        assert seen == [1]
        assert task.done()

    run(main())


@pytest.mark.parametrize("wrong", [None, 42, "coroutine", lambda: None])
def test_what_is_no_coroutine_is_refused(run, wrong):
    async def main():
        with pytest.raises(TypeError, match="coroutine was expected"):
            asyncio.get_running_loop().create_task(wrong)

    run(main())


def test_cancellation_reaches_the_await_with_its_message(run):
    async def main():
        task = asyncio.create_task(asyncio.sleep(100))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert task.cancelled()

    run(main())


def test_the_helpers(run):
    async def fail():
        raise LookupError("lost")

    async def main():
        assert await asyncio.gather(*(asyncio.sleep(0.001 * (3 - n), n) for n in range(3))) == [0, 1, 2]
        results = await asyncio.gather(fail(), asyncio.sleep(0, 1), return_exceptions=True)
        assert isinstance(results[0], LookupError)
        assert results[1] == 1
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100), 0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(100)
        done, pending = await asyncio.wait(
            [asyncio.create_task(asyncio.sleep(t)) for t in (0.001, 100)], return_when=asyncio.FIRST_COMPLETED
        )
        assert (len(done), len(pending)) == (1, 1)
        pending.pop().cancel()
        order = [await each for each in asyncio.as_completed([asyncio.sleep(t, t) for t in (0.02, 0.001)])]
        assert order == [0.001, 0.02]
        shielded = asyncio.create_task(asyncio.sleep(0.005, "kept"))
        waiting = asyncio.create_task(asyncio.wait_for(asyncio.shield(shielded), 0.001))
        with pytest.raises(asyncio.TimeoutError):
            await waiting
        assert await shielded == "kept"
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                sibling = group.create_task(asyncio.sleep(100))
                group.create_task(fail())
        assert caught.group_contains(LookupError) if hasattr(caught, "group_contains") else True
        assert sibling.cancelled()

    run(main())


def test_two_sleeps_overlap(run):
    order = []

    async def sleeper(delay):
        await asyncio.sleep(delay)
        order.append(delay)

    async def main():
        await asyncio.gather(sleeper(0.1), sleeper(0.05))

    run(main())
    assert order == [0.05, 0.1]


def test_run_coroutine_threadsafe(run):
    async def main():
        loop = asyncio.get_running_loop()

        def elsewhere():
            return asyncio.run_coroutine_threadsafe(asyncio.sleep(0.001, "value"), loop).result(10)

        assert await asyncio.to_thread(elsewhere) == "value"

    run(main())


def test_queues_locks_and_events(run):
    async def main():
        queue = asyncio.Queue(maxsize=2)
        taken = []

        async def consume():
            while (item := await queue.get()) is not None:
                taken.append(item)

        consumer = asyncio.create_task(consume())
        for number in range(100):
            await queue.put(number)
        await queue.put(None)
        await consumer
        assert taken == list(range(100))
        lock, event = asyncio.Lock(), asyncio.Event()
        async with lock:
            waiter = asyncio.create_task(lock.acquire())
            await asyncio.sleep(0)
            assert not waiter.done()
        assert await waiter
        lock.release()
        asyncio.get_running_loop().call_later(0.001, event.set)
        await event.wait()

    run(main())


def test_every_form_of_create_task(same_on_both):
    """With keywords of each version: the native method passes them on, or leaves the call to asyncio."""
    variable = contextvars.ContextVar("variable", default=0)

    async def scenario():
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        context.run(variable.set, 5)
        told = []

        async def body():
            told.append(("runs", variable.get()))
            await asyncio.sleep(0)
            return "result"

        for keywords in (
            {"name": "named"},
            {"name": 7, "context": None},
            {"context": context},
            {"eager_start": True},
            {"eager_start": True, "name": "eager", "context": context},
            {"eager_start": None, "name": None},
            {"unknown": 1},
            {"loop": loop},
        ):
            coroutine = body()
            try:
                task = loop.create_task(coroutine, **keywords)
                told.append("created")
                told.append((task.get_name() if keywords.get("name") else None, await task))
            except TypeError as error:
                coroutine.close()
                # A method written in C names itself otherwise.
                told.append(str(error).partition(" ")[2])
        for arguments in ((), (None,), (1, 2)):
            try:
                loop.create_task(*arguments)
            except TypeError:
                told.append("TypeError")
        return told

    same_on_both(scenario)


def test_a_task_factory_gets_what_its_version_gives(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        told = []

        def factory(loop, coro, **options):
            told.append(sorted(options))
            return asyncio.Task(coro, loop=loop, **options)

        loop.set_task_factory(factory)
        context = contextvars.copy_context()
        await loop.create_task(asyncio.sleep(0))
        await loop.create_task(asyncio.sleep(0), name="named")
        await loop.create_task(asyncio.sleep(0), context=context)
        named = asyncio.create_task(asyncio.sleep(0), name="n")
        await named
        loop.set_task_factory(None)
        return told, named.get_name(), loop.get_task_factory()

    same_on_both(scenario)


def test_a_task_factory_must_be_callable(loop):
    with pytest.raises(TypeError, match="task factory must be a callable or None"):
        loop.set_task_factory(42)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_eager_tasks_start_at_once(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        order = []

        async def work(n):
            order.append(n)
            await asyncio.sleep(0)
            order.append(-n)

        tasks = [asyncio.create_task(work(n)) for n in (1, 2)]
        order.append(0)
        await asyncio.gather(*tasks)
        loop.set_task_factory(None)
        return order

    assert same_on_both(scenario) == [1, 2, 0, -1, -2]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")
def test_asyncio_ps_prints_the_tree_of_tasks():
    import subprocess

    script = """
import asyncio, sys
async def leaf():
    await asyncio.sleep(100)
async def branch():
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(), name="leaf 1")
        group.create_task(leaf(), name="leaf 2")
async def main():
    task = asyncio.create_task(branch(), name="branch")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print("ready", flush=True)
    await task
if sys.argv[1] == "ourio":
    import ourio
    ourio.run(main())
else:
    asyncio.run(main())
"""
    trees = {}
    for loop in ("asyncio", "ourio"):
        with subprocess.Popen([sys.executable, "-c", script, loop], stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            # Where another process may not be looked into, both say so.
            command = [sys.executable, "-m", "asyncio", "pstree", str(process.pid)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
            process.kill()
        trees[loop] = (done.returncode, done.stdout)
    assert trees["ourio"] == trees["asyncio"]
