"""The monitor answers whoever may ask, also while the loop is blocked, and nobody else."""

import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
import types

import ourio
import pytest
from ourio import _ourio
from ourio._insight.monitor import Monitor, client, monitor

SERVICE = """
import asyncio, sys, time
async def holder(lock):
    async with lock:
        await asyncio.sleep(60)
async def waiter(lock):
    async with lock:
        pass
async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()
async def main():
    lock = asyncio.Lock()
    kept = [asyncio.create_task(holder(lock), name="the holder")]
    await asyncio.sleep(0)
    kept.append(asyncio.create_task(waiter(lock), name="the waiter"))
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x" * 1000)
    await reader.readexactly(1000)
    time.sleep(0.3)  # the stall
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        exec(line)
        print("done", flush=True)
    for task in kept:
        task.cancel()
asyncio.run(main())
"""


@contextlib.contextmanager
def service(tmp_path, *options, environment=None, **more):
    """A program that is monitored, in a process of its own."""
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    command = [sys.executable, "-m", "ourio", "run", *options, str(script)]
    own = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), **(environment or {})}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=own, **more) as process:
        try:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            yield process
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def command(*arguments):
    """A command of ours; its status, what it prints, and what it complains."""
    done = subprocess.run([sys.executable, "-m", "ourio", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def url_of(process):
    line = process.stderr.readline()
    return re.search(r"http://([\d.]+):(\d+)/\?token=(\w+)", line).groups()


def request(address, port, path, method="GET", body=None, **headers):
    """One request over TCP; the status, the headers and the body."""
    connection = http.client.HTTPConnection(address, int(port), timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def test_the_commands_tell_what_a_process_does(tmp_path):
    with service(tmp_path, "--tasks") as process:
        status, text, _ = command("tasks")
        assert status == 0
        row = next(line for line in text.splitlines() if line.startswith("the waiter"))
        assert "a lock held by 'the holder'" in row
        assert "service.py:7 waiter" in row
        _, text, _ = command("tree", "service")
        assert re.search(r"the waiter: a lock held by 'the holder'.*\n  └ the holder: a timer", text)
        _, text, _ = command("why", "the waiter", str(process.pid))
        assert text.startswith("task 'the waiter' waits for a lock held by task 'the holder'\n")
        assert "which waits for a timer (sleep(60))" in text
        _, text, _ = command("stalls")
        assert "time.sleep(0.3)  # the stall" in text
        _, text, _ = command("tasks", "--json")
        described = {task["name"]: task for task in json.loads(text)["tasks"]}
        assert described["the waiter"]["held_by"] == [described["the holder"]["id"]]
        assert described["the holder"]["age"] > 0.2
        assert described["the holder"]["created"].endswith("service.py:15")
        status, _, complaint = command("why", "nobody")
        assert (status, complaint) == (1, "ourio why: there is no task 'nobody'\n")
    status, _, complaint = command("tasks")
    assert status == 1
    assert "no program is monitored" in complaint


def test_a_process_is_traced_for_some_time_and_no_longer(tmp_path):
    with service(tmp_path, "--monitor") as process:
        file = tmp_path / "one.pftrace"
        process.stdin.write("await_me = [asyncio.create_task(asyncio.sleep(0.1)) for _ in range(5)]\n")
        process.stdin.flush()
        status, text, complaint = command("trace", "-s", "0.5", "-o", str(file))
        assert (status, text) == (0, f"{file}: loop MainThread\n"), complaint
        assert b"event loop MainThread" in file.read_bytes()
        process.stdin.write("assert not asyncio.get_running_loop()._is_recording\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        assert process.stdout.readline() == "done\n"


def test_a_program_is_traced_from_its_start_to_its_end(tmp_path):
    script = tmp_path / "twice.py"
    script.write_text("import asyncio, ourio\nfor _ in range(2): ourio.run(asyncio.sleep(0))\n")
    file = tmp_path / "whole.pftrace"
    assert command("run", "--trace", str(file), str(script))[0] == 0
    assert b"sleep" in file.read_bytes()
    assert b"sleep" in (tmp_path / "whole-2.pftrace").read_bytes()
    status, _, complaint = command("run", "--trace", str(tmp_path / "no" / "where"), str(script))
    assert status == 2
    assert "No such file" in complaint


def test_the_socket_is_this_users_alone_and_goes_with_the_loop(tmp_path):
    async def main():
        path = Monitor.current.path
        mode = stat.S_IMODE(os.stat(path).st_mode)
        folder = stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode)
        return path, mode, folder

    path, mode, folder = ourio.run(main(), monitor=True)
    assert (mode, folder) == (0o600, 0o700)
    assert path == str(tmp_path / "ourio" / f"{os.getpid()}.sock")
    assert not os.path.exists(path)
    assert Monitor.current is None
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ourio-")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_another_user_is_refused(tmp_path):
    with service(tmp_path) as process:
        pass
    with service(tmp_path, "--monitor") as process:
        path = f"{tmp_path}/ourio/{process.pid}.sock"
        for opened in (tmp_path, *tmp_path.parents[:-2]):
            opened.chmod(0o755)
        # Even where nothing but the monitor itself stands in the way.
        for open_folder in (False, True):
            if open_folder:
                os.chmod(os.path.dirname(path), 0o755)
                os.chmod(path, 0o666)
            code = (
                "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                "s.sendall(b'GET /api/state HTTP/1.1\\r\\nhost: ourio\\r\\n\\r\\n'); sys.exit(len(s.recv(100)))"
            )
            done = subprocess.run([sys.executable, "-I", "-c", code, path], capture_output=True, text=True, check=False)
            refused = "PermissionError" in done.stderr or "Reset" in done.stderr or "Broken" in done.stderr
            assert refused or done.returncode == 0, done


def test_it_answers_while_native_code_keeps_the_interpreters_lock(tmp_path):
    with service(tmp_path, "--monitor") as process:
        path = f"{tmp_path}/ourio/{process.pid}.sock"
        process.stdin.write("sum(range(400_000_000))\n")
        process.stdin.flush()
        seen = []
        end = time.monotonic() + 20
        while time.monotonic() < end:
            state = client.ask(path, "/api/state")
            (loop,) = state["loops"]
            if loop["blocked"] is None:
                if seen:
                    break
                continue
            seen.append(loop["blocked"])
            with contextlib.suppress(client.NoAnswer):
                client.ask(path, "/api/tasks")
        assert process.stdout.readline() == "done\n"
        assert max(seen) > 0.3, seen


def test_a_browser_needs_the_token_the_address_and_its_own_origin(tmp_path):
    with service(tmp_path, "--monitor-http", "127.0.0.1:0") as process:
        address, port, token = url_of(process)
        assert request(address, port, "/")[0] == 401
        assert request(address, port, "/?token=wrong")[0] == 401
        assert request(address, port, "/api/state", Authorization=f"Bearer {token[:-1]}")[0] == 401
        assert request(address, port, "/metrics", Cookie="ourio_token=")[0] == 401
        status, headers, page = request(address, port, f"/?token={token}")
        assert status == 200
        assert "<title>Ourio</title>" in page
        cookie = headers["set-cookie"].partition(";")[0]
        assert "HttpOnly" in headers["set-cookie"]
        assert headers["content-security-policy"].startswith("default-src 'self'")
        status, headers, body = request(address, port, "/api/state", Cookie=cookie)
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body)["process"] == process.pid
        assert token not in body
        # DNS rebinding, and a page of another origin.
        assert request(address, port, "/api/state", Cookie=cookie, Host="evil.example")[0] == 421
        assert request(address, port, "/api/state", Cookie=cookie, Origin="http://evil.example")[0] == 403
        assert request(address, port, "/api/state", Cookie=cookie, Origin=f"http://{address}:{port}")[0] == 200
        assert request(address, port, "/api/state", "POST", Cookie=cookie)[0] == 405
        assert request(address, port, "/api/state", "GET", b"body", Cookie=cookie)[0] == 413
        for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/dashboard.js/..", "/api"):
            assert request(address, port, path, Cookie=cookie)[0] == 404, path
        assert request(address, port, "/dashboard.js", Cookie=cookie)[0] == 200
        assert request(address, port, "/api/trace?do=start", Cookie=cookie)[0] == 403


def test_an_oversized_and_a_slow_request_end_without_harm(tmp_path):
    with service(tmp_path, "--monitor-http", "127.0.0.1:0") as process:
        address, port, token = url_of(process)
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, *_ = request(address, port, "/", X="y" * 100_000)
            assert status in (400, 431)
        with socket.create_connection((address, int(port)), timeout=20) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\n")
            began = time.monotonic()
            assert request(address, port, f"/api/state?token={token}")[0] == 200, "others are served meanwhile"
            while slow.recv(1000):
                pass
            assert time.monotonic() - began < 15


def test_an_address_that_others_reach_must_be_meant(tmp_path):
    script = tmp_path / "nothing.py"
    script.write_text("")
    status, _, complaint = command("run", "--monitor-http", "0.0.0.0:0", str(script))
    assert status == 2
    assert "--public" in complaint
    assert command("run", "--monitor-http", "0.0.0.0:0", "--public", str(script))[0] == 0
    for wrong in ("8080", "localhost", "somewhere:80", "127.0.0.1:http"):
        status, _, complaint = command("run", "--monitor-http", wrong, str(script))
        assert status == 2
        assert "127.0.0.1:8080" in complaint


def test_metrics_are_prometheus_text_with_what_was_done(tmp_path):
    with service(tmp_path, "--monitor-http", "127.0.0.1:0") as process:
        address, port, token = url_of(process)
        # A stall is counted when the watchdog has seen its end.
        text = ""
        while "ourio_stalls_total{" not in text:
            status, headers, text = request(address, port, f"/metrics?token={token}")
            assert status == 200
        assert headers["content-type"].startswith("text/plain; version=0.0.4")
        values = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                assert re.fullmatch(r'ourio_\w+\{(\w+="[^"]*",?)+\}', name), line
                values[name] = float(value)
        assert values['ourio_received_bytes_total{loop="MainThread",kind="tcp"}'] == 2000
        assert values['ourio_connections{loop="MainThread",kind="tcp"}'] == 2
        assert values['ourio_tasks{loop="MainThread"}'] == 4
        assert values['ourio_executor_threads{loop="MainThread"}'] == 1
        assert sum(count for name, count in values.items() if "stalls_total" in name) >= 1
        count = values['ourio_delay_seconds_count{loop="MainThread"}']
        assert values['ourio_delay_seconds_bucket{loop="MainThread",le="+Inf"}'] == count > 0


def test_a_loop_tells_its_metrics_itself():
    async def main():
        loop = asyncio.get_running_loop()
        before = loop.metrics()
        time.sleep(0.05)
        await asyncio.sleep(0.02)
        await asyncio.to_thread(int)
        after = loop.metrics()
        assert after.busy - before.busy >= 0.05
        assert after.time - before.time >= 0.07
        assert after.timers_fired > before.timers_fired
        assert after.threadsafe_calls >= before.threadsafe_calls
        assert (after.tasks, after.executor_threads, after.executor_queue) == (1, 1, 0)
        assert after.delay_p99 >= 0.05
        assert after.as_dict()["connections"]["tcp"]["open"] == 0
        return loop

    loop = ourio.run(main())
    assert loop.metrics().tasks == 0


def test_opentelemetry_observes_a_loop(monkeypatch):
    made = {}

    class Meter:
        def __getattr__(self, name):
            def create(instrument, callbacks, unit, description):
                assert description
                made[instrument] = (name.removeprefix("create_observable_"), callbacks[0], unit)

            return create

    metrics = types.SimpleNamespace(
        get_meter=lambda name, meter_provider=None: Meter(),
        Observation=lambda value, attributes: (value, attributes),
    )
    monkeypatch.setitem(sys.modules, "opentelemetry", types.SimpleNamespace(metrics=metrics))

    async def main():
        ourio.export_metrics(asyncio.get_running_loop())
        kind, observe, unit = made["ourio.eventloop.tasks"]
        assert (kind, unit, observe(None)) == ("up_down_counter", "{task}", [(1, {})])
        kinds = [attributes["kind"] for _, attributes in made["ourio.eventloop.connection.received"][1](None)]
        assert kinds == ["tcp", "unix", "tls", "udp"]

    ourio.run(main())
    # Of a loop that is closed nothing is told.
    assert made["ourio.eventloop.busy"][1](None) == []


def test_bytes_are_counted_by_kind():
    async def main():
        loop = asyncio.get_running_loop()
        received = loop.create_future()

        class Sink(asyncio.DatagramProtocol):
            def datagram_received(self, data, address):
                received.set_result(data)

        sink, _ = await loop.create_datagram_endpoint(Sink, ("127.0.0.1", 0))
        source, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=sink.get_extra_info("sockname")
        )
        source.sendto(b"y" * 30)
        await received
        left, right = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=left)
        _, other = await asyncio.open_connection(sock=right)
        other.write(b"z" * 500)
        await reader.readexactly(500)
        during = loop.metrics().connections
        for closed in (writer, other, sink, source):
            closed.close()
        await asyncio.sleep(0.01)
        return during, loop.metrics().connections

    during, after = ourio.run(main())
    assert (during["udp"].received, during["udp"].sent) == (30, 30)
    assert (during["unix"].open, during["unix"].received, during["unix"].sent) == (2, 500, 500)
    assert (after["unix"].open, after["unix"].opened) == (0, 2)


def test_a_forgotten_await_is_logged_and_noted(tmp_path):
    with service(tmp_path, "--tasks") as process:
        process.stdin.write("asyncio.sleep(0)\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        _, text, _ = command("stalls")
        assert "forgotten: coroutine 'sleep' was never awaited" in text
        assert "in task 'Task-1'" in text
        process.stdin.close()
        assert "coroutine 'sleep' was never awaited" in process.stderr.read()


def test_several_loops_are_shown_by_their_threads(tmp_path):
    names = []

    async def main():
        await asyncio.sleep(0.3)
        names.append([loop["name"] for loop in client.ask(Monitor.current.path, "/api/state")["loops"]])

    threads = [threading.Thread(target=lambda: ourio.run(main(), monitor=True), name=name) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names[0]) == ["one", "two"]
    assert Monitor.current is None


def test_a_loop_that_does_not_run_yet_is_not_shown_by_a_thread_that_is_being_started(monkeypatch):
    other = threading.Thread(name="being started")
    monkeypatch.setattr(threading, "enumerate", lambda: [other, threading.current_thread()])
    with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:
        assert monitor._thread_of(runner.get_loop()) == threading.current_thread().name


def test_a_forked_process_leaves_its_parents_monitor_alone(tmp_path):
    with service(tmp_path, "--monitor") as process:
        path = f"{tmp_path}/ourio/{process.pid}.sock"
        process.stdin.write("import os; pid = os.fork(); os._exit(0) if pid == 0 else os.waitpid(pid, 0)\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        assert client.ask(path, "/api/state")["process"] == process.pid


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    folder = tmp_path / "ourio"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    coroutine = asyncio.sleep(0)
    with pytest.raises(PermissionError):
        ourio.run(coroutine, monitor=True)
    coroutine.close()


def test_wrong_settings_are_named(monkeypatch):
    monkeypatch.setenv("OURIO_MONITOR", "yes")
    with pytest.raises(ValueError, match="OURIO_MONITOR must be"):
        ourio.new_event_loop()
    monkeypatch.setenv("OURIO_MONITOR", "1")
    monkeypatch.setenv("OURIO_MONITOR_HTTP", "somewhere")
    with pytest.raises(ValueError, match="127.0.0.1:8080"):
        ourio.new_event_loop()
    coroutine = asyncio.sleep(0)
    with pytest.raises(ValueError, match="monitor must be"):
        ourio.run(coroutine, monitor="everything")
    coroutine.close()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="sys.remote_exec is 3.14's")
def test_a_process_that_was_not_prepared_is_attached(tmp_path):
    with service(tmp_path) as process:
        # The loop turns now and then, so that its thread runs Python code.
        process.stdin.write("asyncio.get_running_loop().call_later(0, lambda: [None for _ in range(10)])\n")
        process.stdin.flush()

        def stir():
            while process.poll() is None and not stirred.wait(0.05):
                with contextlib.suppress(OSError, ValueError):
                    process.stdin.write("1\n")
                    process.stdin.flush()

        stirred = threading.Event()
        stirrer = threading.Thread(target=stir)
        stirrer.start()
        try:
            status, text, complaint = command("tasks", str(process.pid))
        finally:
            stirred.set()
            stirrer.join()
        if "ptrace" in complaint:
            pytest.skip("the system does not allow it")
        assert status == 0, complaint
        assert "the waiter" in text
        # The pipe is read to its end, so that the service can write.
        threading.Thread(target=process.stdout.read, daemon=True).start()


def test_a_process_that_is_not_there_is_said(tmp_path):
    status, _, complaint = command("tasks", "4194304999")
    assert (status, complaint) == (1, "ourio tasks: there is no process 4194304999\n")


def test_a_socket_that_nobody_tends_is_passed_over(tmp_path):
    folder = tmp_path / "ourio"
    folder.mkdir(mode=0o700)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "999999.sock"))
    left.close()
    assert client.monitored() == []
    assert pathlib.Path(_ourio._socket_of(5)).parent == folder


def test_the_terminal_view_is_drawn_from_the_answers(tmp_path):
    with service(tmp_path, "--tasks") as process:
        path = f"{tmp_path}/ourio/{process.pid}.sock"
        state, tasks = (json.dumps(client.ask(path, page)) for page in ("/api/state", "/api/tasks"))
    picture = _ourio._picture(state, tasks, 120, 40)
    assert picture.startswith("<svg")
    text = re.sub(r"<[^>]*>|\s", "", picture)
    assert "thewaiter" in text


def test_ctrl_c_ends_a_monitored_program(tmp_path):
    script = tmp_path / "forever.py"
    script.write_text(
        textwrap.dedent("""
        import asyncio
        async def main():
            print("ready", flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
        """)
    )
    own = {**os.environ, "OURIO_MONITOR": "tasks", "XDG_RUNTIME_DIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "ourio", script], stdout=pipe, stderr=pipe, text=True, env=own
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert process.returncode in (1, 130, -signal.SIGINT)
    assert list((tmp_path / "ourio").iterdir()) == []
