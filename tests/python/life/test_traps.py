"""Behaviours at which other loops were seen to fail, one test each. Stock asyncio is the oracle.

What concerns one kind of transport is tested with it; here is what concerns loops, handles, servers and addresses.
"""

import asyncio
import concurrent.futures
import contextvars
import gc
import inspect
import math
import pickle
import signal
import socket
import sys
import threading
import time
import weakref

import ourio
import pytest


def test_timers_are_never_early_and_run_in_order_of_their_deadlines(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        ran = []
        start = loop.time()
        early = []

        def fire(n, when):
            ran.append(n)
            if loop.time() < when:
                early.append(n)

        for n, delay in enumerate([0.003, -1, 0, 0.001, 0.0005, -math.inf, 0.0001, 0.001, 1e-9]):
            handle = loop.call_at(start + delay, fire, n, start + delay)
            assert isinstance(handle, asyncio.TimerHandle)
            assert handle.when() == start + delay
        await asyncio.sleep(0.02)
        return ran, early

    assert same_on_both(scenario) == ([5, 1, 2, 8, 6, 4, 3, 7, 0], [])


def test_delays_that_are_no_time(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        ran = []
        handles = [loop.call_later(delay, ran.append, str(delay)) for delay in (math.inf, 1e300)]
        for delay in ("1", None, [], {}):
            try:
                loop.call_later(delay, print)
            except TypeError:
                ran.append("refused")
        await asyncio.sleep(0.01)
        for handle in handles:
            handle.cancel()
        return ran

    assert same_on_both(scenario) == ["refused"] * 4


def test_a_cancelled_timer_lets_go_of_its_arguments(same_on_both):
    class Argument:
        pass

    async def scenario():
        argument = Argument()
        reference = weakref.ref(argument)
        handle = asyncio.get_running_loop().call_later(1000, print, argument)
        del argument
        handle.cancel()
        gc.collect()
        return reference() is None, handle.cancelled()

    assert same_on_both(scenario) == (True, True)


def test_an_empty_context_is_a_context(same_on_both):
    variable = contextvars.ContextVar("variable", default="default")

    async def scenario():
        variable.set("set")
        loop = asyncio.get_running_loop()
        seen = []
        empty = contextvars.Context()
        loop.call_soon(lambda: seen.append(variable.get()), context=empty)
        loop.call_later(0, lambda: seen.append(variable.get()), context=empty)
        loop.call_soon_threadsafe(lambda: seen.append(variable.get()), context=empty)
        await asyncio.sleep(0.01)
        return seen

    assert same_on_both(scenario) == ["default"] * 3


def test_what_the_loops_time_is(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        before, now, after = time.monotonic(), loop.time(), time.monotonic()
        return before <= now <= after

    assert same_on_both(scenario)


def test_methods_have_asyncios_parameters():
    """Every public method can be called as asyncio's, by name and by position."""
    public = [name for name in dir(asyncio.SelectorEventLoop) if not name.startswith("_")]
    # Its keywords differ by version; a test of task factories has them.
    public.remove("create_task")
    for name in public:
        stock = getattr(asyncio.SelectorEventLoop, name)
        ours = getattr(ourio.EventLoop, name)
        if not callable(stock) or ours is stock:
            continue
        expected = [p.name for p in inspect.signature(stock).parameters.values()]
        found = [p.name for p in inspect.signature(ours).parameters.values()]
        assert found == expected, name


def test_a_closed_loop_refuses_everything(loop):
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


ADDRESSES = ["127.0.0.1", "::1", "fe80::1%lo", "::", "0.0.0.0", "localhost", "", None, "256.1.1.1", "::1%1", "0x7f.1"]


@pytest.mark.parametrize("host", ADDRESSES)
def test_addresses_are_those_of_the_system(same_on_both, host):
    async def scenario():
        loop = asyncio.get_running_loop()
        found = []
        for port in (80, "http", None, "80", 0):
            for family, kind, protocol, flags in (
                (0, 0, 0, 0),
                (socket.AF_INET, socket.SOCK_STREAM, 0, 0),
                (socket.AF_INET6, socket.SOCK_DGRAM, 0, 0),
                (0, socket.SOCK_STREAM, socket.IPPROTO_TCP, socket.AI_PASSIVE),
                (0, 0, 0, socket.AI_NUMERICHOST | socket.AI_CANONNAME),
                (socket.AF_INET6, 0, 0, socket.AI_V4MAPPED),
            ):
                options = {"family": family, "type": kind, "proto": protocol, "flags": flags}
                for resolve in (loop.getaddrinfo(host, port, **options), None):
                    try:
                        if resolve is None:
                            answer = socket.getaddrinfo(host, port, **options)
                        else:
                            answer = await resolve
                    except OSError as error:
                        answer = (type(error).__name__, error.errno)
                    found.append(answer)
        assert found[0::2] == found[1::2]
        return found

    same_on_both(scenario)


def test_names_of_addresses(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        return [await loop.getnameinfo(address, flags) for address in (("127.0.0.1", 80), ("::1", 80, 0, 0))]

    same_on_both(scenario)


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40, "no-such-service"])
def test_ports_that_do_not_fit(same_on_both, port):
    async def scenario():
        loop = asyncio.get_running_loop()
        outcomes = []
        for call in (
            lambda: loop.create_connection(asyncio.Protocol, "127.0.0.1", port),
            lambda: loop.create_server(asyncio.Protocol, "127.0.0.1", port),
        ):
            try:
                await call()
            except Exception as error:
                outcomes.append((type(error).__name__, str(error)))
        return outcomes

    assert len(same_on_both(scenario)) == 2


def test_what_a_server_is(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        connections = []

        class Kept(asyncio.Protocol):
            def connection_made(self, transport):
                connections.append(transport)

        server = await loop.create_server(Kept, "127.0.0.1", 0, start_serving=False)
        seen = [
            isinstance(server, asyncio.AbstractServer),
            server.is_serving(),
            server.get_loop() is loop,
            [type(sock).__name__ for sock in server.sockets],
        ]
        async with server:
            await server.start_serving()
            await server.start_serving()
            seen.append(server.is_serving())
            address = server.sockets[0].getsockname()
            _, writer = await asyncio.open_connection(*address)
            while not connections:
                await asyncio.sleep(0.001)
            server.close()
            server.close()
            seen += [server.is_serving(), server.sockets, connections[0].is_closing()]
            # asyncio: a closed server leaves its clients alone.
            connections[0].write(b"still here")
            writer.close()
            connections[0].close()
            try:
                await loop.create_connection(asyncio.Protocol, *address)
            except ConnectionRefusedError:
                seen.append("refused")
        return seen

    same_on_both(scenario)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
def test_a_server_ends_its_clients_when_told_to(same_on_both, how):
    async def scenario():
        lost = []

        class Kept(asyncio.Protocol):
            def connection_lost(self, error):
                lost.append(error)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(Kept, "127.0.0.1", 0)
        streams = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(3)]
        await asyncio.sleep(0.02)
        server.close()
        getattr(server, how)()
        await server.wait_closed()
        endings = []
        for reader, writer in streams:
            try:
                endings.append(await reader.read())
            except ConnectionResetError:
                endings.append("reset")
            writer.close()
        return lost, endings

    same_on_both(scenario)


def test_serving_for_ever_ends_when_cancelled(same_on_both):
    async def scenario():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.01)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return server.is_serving(), server.sockets

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


def test_texts(same_on_both):
    def plain(text, loop):
        return text.replace(type(loop).__name__, "Loop").split(" at 0x")[0]

    async def scenario():
        loop = asyncio.get_running_loop()

        def callback(argument):
            pass

        handle = loop.call_soon(callback, 1)
        timer = loop.call_at(12345.5, callback, 2)
        texts = [repr(handle), repr(timer), plain(repr(loop), loop)]
        handle.cancel(), timer.cancel()
        texts += [repr(handle), repr(timer)]
        return texts

    same_on_both(scenario)


def test_loops_and_handles_are_not_pickled_but_weakly_referenced(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        handle, timer = loop.call_soon(print), loop.call_later(1000, print)
        outcomes = [weakref.ref(thing)() is thing for thing in (loop, handle, timer)]
        for thing in (loop, handle, timer):
            try:
                pickle.dumps(thing)
            except (TypeError, AttributeError, pickle.PicklingError):
                outcomes.append("refused")
        handle.cancel(), timer.cancel()
        return outcomes

    assert same_on_both(scenario) == [True] * 3 + ["refused"] * 3


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


def test_importing_changes_nothing():
    import subprocess

    script = """
import asyncio, ssl, socket
before = [dict(vars(module)) for module in (asyncio, ssl, socket, asyncio.base_events, ssl.SSLContext, asyncio.streams)]
import ourio
after = [dict(vars(module)) for module in (asyncio, ssl, socket, asyncio.base_events, ssl.SSLContext, asyncio.streams)]
print(all(b[k] is a.get(k) for b, a in zip(before, after) for k in b))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_private_lists_tell_what_waits(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(delay, print) for delay in (1000, 10, 100)]
        timers[2].cancel()
        soon = loop.call_soon(print)
        seen = [
            soon in loop._ready,
            loop._scheduled[0] is timers[1],
            timers[0] in loop._scheduled,
            loop._default_executor,
            loop._clock_resolution > 0,
        ]
        for timer in timers:
            timer.cancel()
        return seen

    assert same_on_both(scenario) == [True, True, True, None, True]


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


def test_a_socket_with_methods_of_its_own_is_used_through_them(same_on_both):
    async def scenario():
        sent, received = [], []

        class Counting(socket.socket):
            def send(self, data, *flags):
                sent.append(len(data))
                return super().send(data, *flags)

            def recv(self, count, *flags):
                received.append(True)
                return super().recv(count, *flags)

        async def echo(reader, writer):
            writer.write(await reader.readexactly(7))
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        sock = Counting(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, server.sockets[0].getsockname())
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"counted")
        answer = await reader.readexactly(7)
        writer.close()
        await writer.wait_closed()
        server.close()
        return answer, sent, bool(received)

    assert same_on_both(scenario) == (b"counted", [7], True)


def test_a_handle_that_is_cancelled_while_it_runs(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        seen = []

        class Argument:
            pass

        argument = Argument()
        reference = weakref.ref(argument)

        def callback(argument):
            handle.cancel()
            seen.append((handle.cancelled(), handle._callback, repr(handle)))

        handle = loop.call_soon(callback, argument)
        del argument
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        return seen, reference() is None, repr(handle)

    assert same_on_both(scenario)[1]


def test_cycles_through_handles_are_collected(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()

        class Owner:
            def start(self, schedule, *when):
                self.handle = schedule(*when, self.ring)

            def ring(self):
                pass

        references = []
        for schedule, when in (
            (loop.call_soon, ()),
            (loop.call_soon_threadsafe, ()),
            (loop.call_later, (0,)),
            (loop.call_later, (1000,)),
        ):
            owner = Owner()
            owner.start(schedule, *when)
            references.append(weakref.ref(owner))
        owner.handle.cancel()
        del owner
        gc.collect()
        # All but the cancelled one are the loop's to call.
        waiting = [reference() is not None for reference in references]
        await asyncio.sleep(0.01)
        gc.collect()
        return waiting, [reference() is None for reference in references]

    assert same_on_both(scenario) == ([True, True, True, False], [True] * 4)


def test_a_loop_that_is_dropped_with_pending_handles_is_collected():
    loop = ourio.new_event_loop()
    reference = weakref.ref(loop)
    loop.call_soon(loop.stop)
    loop.call_later(1000, loop.stop)
    loop.call_soon_threadsafe(loop.stop)
    del loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert reference() is None


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
