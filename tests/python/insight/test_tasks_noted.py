"""What becomes of tasks: lost exceptions, forgotten awaits, floods, slow ends, each with its line."""

import asyncio
import gc
import threading
import time
import warnings

import ourio
from ourio._insight.shutdown import ShutdownObserver
from ourio._insight.tasks import forgotten
from ourio._insight.tasks import registry as insight
from ourio._insight.tasks.registry import TaskRegistry


def noted(main, **options):
    """Run a program whose tasks are noted."""
    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        registry = TaskRegistry(runner.get_loop(), **options)
        registry.start()
        return runner.run(main(registry))


async def fails():
    raise ValueError("lost")


def test_a_failure_nobody_asks_for_is_told_while_the_task_is_kept():
    lost = []

    async def main(registry):
        task = asyncio.create_task(fails(), name="the refresher")
        while not lost:
            await asyncio.sleep(0.01)
            registry.look()
        assert task.done()
        registry.look()

    noted(main, on_lost=lost.append, grace=0.02)
    (one,) = lost
    assert (one.name, one.exception) == ("the refresher", "ValueError('lost')")
    assert (one.failed_at.filename, one.failed_at.lineno) == (__file__, fails.__code__.co_firstlineno + 1)
    assert one.created_at.filename == __file__
    assert one.created_at.function.endswith("main")
    assert "nobody has asked for it" in str(one)
    gc.collect()


def test_a_failure_that_was_asked_for_is_not():
    lost = []

    async def main(registry):
        kept = []
        for look in (lambda task: task.exception(), lambda task: asyncio.wait([task]), lambda task: task):
            task = asyncio.create_task(fails())
            kept.append(task)
            try:
                await asyncio.sleep(0)
                await look(task)
            except (ValueError, TypeError, RuntimeError):
                pass
            else:
                task.exception()
        async with asyncio.timeout(1):
            await asyncio.sleep(0.05)
        registry.look()
        registry.look(at_end=True)

    noted(main, on_lost=lost.append, grace=0.0)
    assert not lost


def test_a_line_that_makes_too_many_tasks_is_told_once():
    floods = []

    async def main(registry):
        tasks = [asyncio.create_task(asyncio.sleep(30)) for _ in range(insight.FLOOD)]
        await asyncio.sleep(0)
        registry.look()
        registry.look()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    noted(main, on_flood=floods.append)
    (flood,) = floods
    assert (flood.live, flood.created, flood.site.filename) == (insight.FLOOD, insight.FLOOD, __file__)
    assert "create_task(asyncio.sleep(30))" in str(flood)


def test_a_line_that_grows_for_long_is_told_and_one_that_ebbs_is_not():
    floods = []

    async def main(registry):
        growing, ebbing = [], []
        for _ in range(12):
            growing += [asyncio.create_task(asyncio.sleep(30)) for _ in range(60)]
            ebbing = [asyncio.create_task(asyncio.sleep(0)) for _ in range(1000)]
            await asyncio.wait(ebbing)
            registry.look()
        for task in growing:
            task.cancel()
        await asyncio.wait(growing)
        sites = {site.place.lineno: site for site in registry.sites()}
        assert sum(site.created for site in sites.values()) == 12 * 1060 + 1

    noted(main, on_flood=floods.append)
    (flood,) = floods
    assert flood.is_growth
    assert flood.live >= 500


def test_tasks_are_noted_with_every_way_to_make_them_and_keep_their_names_and_contexts():
    async def main(registry):
        async with asyncio.TaskGroup() as group:
            named = group.create_task(asyncio.sleep(0.01), name="named")
            known = registry.notes()
            assert known[id(named)][0].filename == __file__
        await asyncio.gather(asyncio.sleep(0), asyncio.ensure_future(asyncio.sleep(0)))
        assert named.get_name() == "named"
        registry.look()
        assert {site.place.filename for site in registry.sites()} == {__file__}

    noted(main)


def test_a_forgotten_await_is_told_with_its_line_and_its_task_and_the_interpreter_warns_as_ever():
    found = []
    usual = warnings._warn_unawaited_coroutine

    async def main():
        asyncio.current_task().set_name("the main one")
        asyncio.sleep(0)

    forgotten.listen(found.append)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
                runner.get_loop()._origin_depth = forgotten.DEPTH
                runner.run(main())
    finally:
        forgotten.unlisten(found.append)
    (one,) = found
    assert (one.coroutine, one.task) == ("sleep", "the main one")
    assert (one.created_at.filename, one.created_at.lineno) == (__file__, main.__code__.co_firstlineno + 2)
    (warning,) = warned
    assert (warning.filename, warning.lineno) == (__file__, one.created_at.lineno)
    assert "was never awaited" in str(warning.message)
    assert warnings._warn_unawaited_coroutine is usual


def test_a_listener_that_fails_takes_no_warning_away(caplog):
    def bad(_one):
        raise KeyError("a bad listener")

    async def lonely():
        pass

    forgotten.listen(bad)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            lonely()
    finally:
        forgotten.unlisten(bad)
    assert len(warned) == 1
    assert "a bad listener" in caplog.text


def ends(main):
    """What is told of a program's end."""
    told = []
    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        ShutdownObserver(runner.get_loop(), told.append, 0.2).start()
        runner.run(main())
    return told


def test_a_task_that_does_not_end_when_it_is_cancelled_is_told():
    async def stubborn():
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.6)

    async def main():
        asyncio.create_task(stubborn(), name="stubborn").add_done_callback(str)
        await asyncio.sleep(0)

    slow, whole = ends(main)
    assert slow.duration < 0.45 <= whole.duration
    assert whole.holders == slow.holders
    ((who, where),) = slow.holders
    assert who == "task 'stubborn' goes on after it was cancelled"
    assert where.lineno == stubborn.__code__.co_firstlineno + 4


def test_a_job_that_holds_up_the_end_is_told():
    def job():
        time.sleep(0.6)

    async def main():
        asyncio.get_running_loop().run_in_executor(None, job)
        await asyncio.sleep(0)

    # Told again where the job was seen at another of its lines.
    slow, *_, whole = ends(main)
    assert slow.duration < 0.45 <= whole.duration
    ((who, where),) = slow.holders
    assert who.startswith("a job in thread 'asyncio_")
    assert where.function.endswith("job")


def test_a_quick_end_is_not():
    assert not ends(lambda: asyncio.sleep(0.3))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ourio-")]
