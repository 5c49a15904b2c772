"""The loop's life: running, stopping, closing, what a closed or busy loop refuses, what is reported."""

import asyncio
import gc
import sys
import threading
import time

import ourio
import pytest


def test_a_closed_loop_refuses_everything(loop):
    loop.close()
    loop.close()
    assert loop.is_closed()
    for call in (
        lambda: loop.call_soon(print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        loop.run_forever,
        lambda: loop.run_in_executor(None, print),
        lambda: loop.add_reader(0, print),
    ):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call()
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(coroutine)
    coroutine.close()
    assert not loop.remove_reader(0)


def test_a_running_loop_can_neither_run_nor_close(loop):
    async def main():
        assert loop.is_running()
        for call, words in (
            (loop.close, "Cannot close a running event loop"),
            (loop.run_forever, "already running"),
        ):
            with pytest.raises(RuntimeError, match=words):
                call()

    loop.run_until_complete(main())
    assert not loop.is_running()


def test_only_one_loop_runs_per_thread(loop, loop_factory):
    other = loop_factory()

    async def main():
        with pytest.raises(RuntimeError, match="another loop is running"):
            other.run_forever()

    loop.run_until_complete(main())
    other.close()


def test_a_loop_made_here_may_run_in_another_thread(loop):
    done = []

    async def main():
        await asyncio.sleep(0.001)
        assert asyncio.get_running_loop() is loop
        done.append(threading.current_thread().name)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="elsewhere")
    thread.start()
    thread.join()
    assert done == ["elsewhere"]


def test_stop_before_running_runs_one_turn(loop):
    seen = []
    loop.call_soon(seen.append, 1)
    loop.stop()
    loop.run_forever()
    assert seen == [1]


def test_stop_lets_the_batch_finish(loop):
    seen = []
    loop.call_soon(loop.stop)
    loop.call_soon(seen.append, 1)
    loop.run_forever()
    assert seen == [1]


def test_running_until_complete_returns_the_result_or_raises(loop):
    async def give():
        return 42

    async def fail():
        raise LookupError("lost")

    assert loop.run_until_complete(give()) == 42
    with pytest.raises(LookupError, match="lost"):
        loop.run_until_complete(fail())
    with pytest.raises(TypeError):
        loop.run_until_complete(42)


def test_a_loop_stopped_before_the_future_is_done_says_so(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="Event loop stopped before Future completed"):
        loop.run_until_complete(future)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_leaves_run_forever_and_the_rest_stays_ready(loop, kind):
    seen = []

    def leave():
        raise kind("bye")

    loop.call_soon(leave)
    loop.call_soon(seen.append, "after")
    with pytest.raises(kind, match="bye"):
        loop.run_forever()
    assert not loop.is_running()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["after"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_leaves_a_task_too(loop, kind):
    async def leave():
        raise kind("bye")

    with pytest.raises(kind, match="bye"):
        loop.run_until_complete(leave())


def test_a_callback_that_raises_is_reported_and_the_loop_lives(loop, reports):
    def fail(argument):
        raise LookupError(argument)

    handle = loop.call_soon(fail, "one")
    loop.call_later(0, fail, "two")
    loop.call_later(0.005, loop.stop)
    loop.run_forever()
    assert [str(report["exception"]) for report in reports] == ["one", "two"]
    assert reports[0]["message"].startswith("Exception in callback ")
    assert ".fail(" in reports[0]["message"]
    assert reports[0]["handle"] == handle


def test_a_done_callback_that_raises_is_reported_with_a_handle(loop, reports):
    future = loop.create_future()

    def fail(done):
        raise LookupError(done.result())

    future.add_done_callback(fail)
    future.set_result("value")
    loop.call_soon(loop.stop)
    loop.run_forever()
    (report,) = reports
    assert isinstance(report["exception"], LookupError)
    assert isinstance(report["handle"], asyncio.Handle)
    assert ".fail(" in report["message"]


def test_an_exception_handler_that_raises_is_survived(loop, caplog):
    loop.set_exception_handler(lambda _loop, _context: 1 / 0)
    loop.call_soon(lambda: int("no number"))
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert "Unhandled error in exception handler" in caplog.text
    with pytest.raises(TypeError, match="callable object or None"):
        loop.set_exception_handler("no")
    loop.set_exception_handler(None)


def test_a_task_that_fails_unseen_is_reported(loop, reports):
    async def fail():
        raise LookupError("unseen")

    task = loop.create_task(fail())
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    del task
    gc.collect()
    assert "Task exception was never retrieved" in [report["message"] for report in reports]


def test_a_coroutine_that_is_never_awaited_is_reported(loop):
    async def main():
        asyncio.sleep(0)

    with pytest.warns(RuntimeWarning, match="was never awaited"):
        loop.run_until_complete(main())
        gc.collect()


def test_asynchronous_generators_are_shut_down(run):
    seen = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    kept = numbers()

    async def main():
        async for _ in kept:
            break

    run(main())
    assert seen == ["closed"]


def test_the_default_executor_is_shut_down(run):
    async def main():
        await asyncio.to_thread(lambda: None)
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.001) for _ in range(20)))

    before = threading.active_count()
    run(main())
    assert threading.active_count() == before


def test_run_in_executor_gives_results_and_exceptions(run):
    async def main():
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, sum, [1, 2, 3]) == 6
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 / 0)

    run(main())


def test_run_in_debug_mode(run, caplog):
    async def main():
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.01
        time.sleep(0.02)
        assert loop.get_debug()
        with pytest.raises(TypeError, match="coroutines cannot be used with call_soon"):
            loop.call_soon(main)
        with pytest.raises(TypeError, match="a callable object was expected by call_soon"):
            loop.call_soon("not callable")
        handle = loop.call_later(100, print)
        assert "created at" in repr(handle)
        handle.cancel()
        wrong = []

        def elsewhere():
            try:
                loop.call_soon(print)
            except RuntimeError as error:
                wrong.append(str(error))

        await asyncio.to_thread(elsewhere)
        assert "Non-thread-safe operation" in wrong[0]

    run(main(), debug=True)
    assert "Executing <Task" in caplog.text


def test_a_protocol_that_blocks_is_named_in_debug_mode(run, caplog):
    class Blocking(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            time.sleep(0.02)
            self.transport.close()

    async def main():
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.01
        server = await loop.create_server(Blocking, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        caplog.clear()
        writer.write(b"block")
        await reader.read()
        writer.close()
        server.close()
        await asyncio.sleep(0.01)

    run(main(), debug=True)
    slow = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Executing <")]
    assert any("Transport" in message for message in slow), slow


def test_the_loop_says_what_it_is(loop):
    assert repr(loop) == f"<{type(loop).__name__} running=False closed=False debug=False>"
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, asyncio.BaseEventLoop)
    loop.anything = "attributes are accepted"


def test_an_unclosed_loop_warns(loop_factory):
    loop = loop_factory()
    with pytest.warns(ResourceWarning, match="unclosed"):
        del loop
        gc.collect()


def test_ten_loops_after_each_other_leave_nothing(loop_factory):
    for _ in range(10):
        loop = loop_factory()
        loop.call_later(1000, print)
        loop.call_soon(print)
        loop.close()


@pytest.mark.skipif(sys.version_info >= (3, 16), reason="Python 3.16 removes policies")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_policy_makes_ourio_the_loop():
    before = asyncio.get_event_loop_policy()
    try:
        ourio.install()
        assert isinstance(asyncio.get_event_loop_policy(), ourio.EventLoopPolicy)
        loop = asyncio.new_event_loop()
        assert isinstance(loop, ourio.EventLoop)
        loop.close()

        async def which():
            return type(asyncio.get_running_loop())

        assert asyncio.run(which()) is ourio.EventLoop
    finally:
        asyncio.set_event_loop_policy(before)


def test_run_runs_and_refuses_to_nest():
    async def main():
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            ourio.run(coroutine)
        coroutine.close()
        return 42

    assert ourio.run(main()) == 42
    with pytest.raises((ValueError, TypeError)):
        ourio.run(42)


def test_importing_changes_nothing():
    import subprocess

    program = (
        "import asyncio, ssl, sys; before = {m: dict(vars(sys.modules[m])) for m in ('asyncio', 'ssl')}\n"
        "import ourio\n"
        "for m, was in before.items(): assert {k: v for k, v in vars(sys.modules[m]).items() if k in was} == was, m"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_closed_loop_refuses_each_call(loop):
    loop.close()
    for call in (
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.run_forever(),
        lambda: loop.run_in_executor(None, print),
    ):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_leaves_the_loop(loop, kind):
    def raises():
        raise kind

    loop.call_soon(raises)
    with pytest.raises(kind):
        loop.run_forever()

    async def task():
        raise kind

    with pytest.raises(kind):
        loop.run_until_complete(task())
    assert loop.run_until_complete(asyncio.sleep(0, "alive")) == "alive"


def test_asynchronous_generators_are_closed(same_on_both):
    async def scenario():
        closed = []

        async def numbers(name):
            try:
                while True:
                    yield 1
            finally:
                await asyncio.sleep(0)
                closed.append(name)

        dropped = numbers("dropped")
        await anext(dropped)
        del dropped
        gc.collect()
        await asyncio.sleep(0.01)
        kept = numbers("kept")
        await anext(kept)
        await asyncio.get_running_loop().shutdown_asyncgens()
        return closed

    assert same_on_both(scenario) == ["dropped", "kept"]
