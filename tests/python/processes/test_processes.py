"""Forking, spawning, and interpreters within one process."""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading

import ourio
import pytest

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def in_child(body):
    """Fork, run ``body`` in the child, and return what it returned, or the text of what it raised."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            answer = body()
            os.write(writing, repr(answer).encode())
            status = 0
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as answer:
        text = answer.read().decode()
    assert os.waitpid(pid, 0)[0] == pid
    return text


def test_a_child_can_run_a_loop_of_its_own_from_within_a_running_one(run, loop_factory):
    async def inner():
        await asyncio.sleep(0.01)
        return "inner"

    async def main():
        def body():
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                return runner.run(inner())

        assert in_child(body) == "'inner'"
        return await inner()

    assert run(main()) == "inner"


def test_a_loop_that_was_made_before_a_fork_runs_in_both_processes(loop):
    reader, writer = socket.socketpair()
    heard = []
    loop.add_reader(reader, lambda: (heard.append(reader.recv(10)), loop.stop()))

    def body():
        writer.send(b"child")
        loop.run_forever()
        return heard

    with reader, writer:
        assert in_child(body) == "[b'child']"
        writer.send(b"parent")
        loop.run_forever()
        loop.remove_reader(reader)
    assert heard == [b"parent"]


def test_what_a_child_does_to_an_inherited_loop_leaves_the_parents_alone():
    loop = ourio.new_event_loop()
    reader, writer = socket.socketpair()
    heard = []
    loop.add_reader(reader, lambda: (heard.append(reader.recv(10)), loop.stop()))

    def body():
        loop.remove_reader(reader)
        loop.close()
        gc.collect()
        return loop.is_closed()

    with reader, writer:
        assert in_child(body) == "True"
        writer.send(b"parent")
        loop.run_forever()
        assert heard == [b"parent"]
        loop.close()


def test_a_child_does_not_go_on_with_a_loop_that_was_running():
    script = """
        import asyncio, os, sys, ourio

        async def main():
            pid = os.fork()
            if pid:
                await asyncio.sleep(0)
                _, status = os.waitpid(pid, 0)
                print("parent", os.waitstatus_to_exitcode(status))
            else:
                await asyncio.sleep(0)
                print("child goes on")

        ourio.run(main())
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "parent 1\n"
    assert "was running when its process was forked" in done.stderr


def test_what_was_written_before_a_fork_is_sent_once():
    """By the parent, though the child comes back to the loop, which then ends."""
    script = """
        import asyncio, os, socket, sys, ourio

        async def main():
            loop = asyncio.get_running_loop()
            near, far = socket.socketpair()
            far.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=near)
            heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            heard.bind(("127.0.0.1", 0))
            heard.setblocking(False)
            sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
            # Something else is to be done in this turn, so that what is written waits for its end.
            loop.call_soon(int)
            writer.write(b"stream")
            sender.sendto(b"datagram", heard.getsockname())
            pid = os.fork()
            if pid == 0:
                return
            _, status = os.waitpid(pid, 0)
            writer.close()
            sender.close()
            await asyncio.sleep(0.01)
            print(os.waitstatus_to_exitcode(status), far.recv(100), heard.recv(100))
            try:
                print("twice", heard.recv(100))
            except BlockingIOError:
                print("once")

        ourio.run(main())
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "1 b'stream' b'datagram'\nonce\n", done.stderr


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio shares its wake-up descriptor before 3.12")
def test_a_signal_of_a_child_is_not_the_parents(loop):
    heard = []
    loop.add_signal_handler(signal.SIGUSR1, heard.append, "parent")

    def body():
        os.kill(os.getpid(), signal.SIGUSR1)
        return "done"

    assert in_child(body) == "'done'"
    loop.run_until_complete(asyncio.sleep(0.05))
    assert heard == []
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_until_complete(asyncio.sleep(0.05))
    assert heard == ["parent"]
    loop.remove_signal_handler(signal.SIGUSR1)


def answer(connection):
    async def main():
        await asyncio.sleep(0.01)
        return os.getpid()

    connection.send(ourio.run(main()))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_from_within_a_running_loop(run, method):
    context = multiprocessing.get_context(method)

    async def main():
        here, there = context.Pipe()
        process = context.Process(target=answer, args=(there,))
        process.start()
        loop = asyncio.get_running_loop()
        pid = await loop.run_in_executor(None, here.recv)
        await loop.run_in_executor(None, process.join)
        assert (pid, process.exitcode) == (process.pid, 0)
        here.close(), there.close(), process.close()

    run(main())
    if method == "forkserver":
        from multiprocessing.forkserver import _forkserver

        _forkserver._stop()
    if method != "fork":
        from multiprocessing.resource_tracker import _resource_tracker

        _resource_tracker._stop()


def test_loops_in_several_threads_spawn_processes_at_once(loop_factory):
    outcomes = []

    async def spawn(n):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", f"print({n})", stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
        return int(out), process.returncode

    async def main(start):
        return await asyncio.gather(*(spawn(start + n) for n in range(8)))

    def work(start):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            outcomes.append((start, runner.run(main(start))))

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [(start, [(start + n, 0) for n in range(8)]) for start in (0, 100, 200)]


def test_spawning_runs_no_fork_hooks(run):
    script = """
        import asyncio, os, sys, subprocess
        if sys.argv[1] == "ourio":
            import ourio
            run = ourio.run
        else:
            run = asyncio.run
        os.register_at_fork(before=lambda: print("before"), after_in_child=lambda: print("child"))

        async def main():
            process = await asyncio.create_subprocess_exec("true")
            print(await process.wait())

        run(main())
    """
    for loop in ("asyncio", "ourio"):
        command = [sys.executable, "-c", textwrap.dedent(script), loop]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
        assert (done.stdout, done.stderr) == ("0\n", "")


def inheritable(fd):
    try:
        return os.get_inheritable(fd)
    except OSError:
        # The listing's own, closed by now.
        return False


def test_descriptors_are_not_inherited_by_programs_that_are_started(run):
    async def main():
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        meant = {fd for fd in map(int, os.listdir("/proc/self/fd")) if inheritable(fd)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-S",
            "-c",
            "import os; print(*os.listdir('/proc/self/fd'))",
            stdout=subprocess.PIPE,
            close_fds=False,
        )
        out, _ = await process.communicate()
        server.close()
        # The standard three, what was inheritable before, and the listing's own.
        assert len(set(map(int, out.split())) - meant - {0, 1, 2}) <= 1

    run(main())


def test_another_interpreter_in_the_same_process_is_refused_clearly():
    script = """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        import ourio
        identity = interpreters.create()
        try:
            path = __import__("sys").path
            failed = interpreters.run_string(identity, f"import sys; sys.path[:] = {path}; import ourio")
        except Exception as error:
            failed = error
        print(failed)
        print(ourio.run(__import__("asyncio").sleep(0, "alive")))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert "ImportError" in done.stdout
    assert done.stdout.endswith("alive\n")


def test_a_child_that_ends_while_the_loop_is_idle_wakes_it(run):
    async def main():
        process = await asyncio.create_subprocess_exec("true")
        # Nothing else is there to wake the loop.
        assert await process.wait() == 0

    run(main())


def test_a_process_is_killed_and_its_pipes_are_closed_when_its_owner_is_cancelled(run):
    async def owner():
        process = await asyncio.create_subprocess_exec("sleep", "1000", stdout=subprocess.PIPE)
        try:
            await process.communicate()
        finally:
            process.kill()
            await process.wait()
            assert process.returncode == -signal.SIGKILL

    async def main():
        task = asyncio.create_task(owner())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
