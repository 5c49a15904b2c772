"""Pipes and the standard streams of processes. Stock asyncio is the oracle."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Told(asyncio.Protocol):
    def __init__(self):
        self.events = []
        self.received = b""
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.received += data

    def eof_received(self):
        self.events.append("eof")

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, error):
        self.events.append(f"lost: {type(error).__name__}")
        self.lost.set_result(error)


async def pipe():
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    reader, heard = await loop.connect_read_pipe(Told, os.fdopen(reading, "rb", 0))
    writer, told = await loop.connect_write_pipe(Told, os.fdopen(writing, "wb", 0))
    return reader, heard, writer, told


def test_bytes_go_through_in_order(same_on_both):
    async def scenario():
        reader, heard, writer, told = await pipe()
        blob = os.urandom(1_000_000)
        writer.write(blob)
        writer.writelines([b"a", b"b"])
        seen = [
            writer.can_write_eof(),
            isinstance(reader, asyncio.ReadTransport),
            isinstance(writer, asyncio.WriteTransport),
            reader.get_extra_info("pipe") is not None,
        ]
        writer.write_eof()
        await asyncio.gather(heard.lost, told.lost)
        return heard.received == blob + b"ab", seen, heard.events, told.events

    assert same_on_both(scenario)[0]


def test_a_reader_that_goes_away_is_told_to_the_writer(same_on_both):
    async def scenario():
        reader, heard, writer, told = await pipe()
        reader.close()
        await heard.lost
        error = await told.lost
        writer.write(b"nobody")
        return type(error).__name__, told.events, writer.is_closing()

    same_on_both(scenario)


def test_reading_can_be_paused(same_on_both):
    async def scenario():
        reader, heard, writer, told = await pipe()
        reader.pause_reading()
        writer.write(b"held")
        await asyncio.sleep(0.02)
        held = heard.received
        reader.resume_reading()
        while not heard.received:
            await asyncio.sleep(0.001)
        writer.abort(), reader.close()
        await asyncio.gather(heard.lost, told.lost)
        return held, heard.received

    assert same_on_both(scenario) == (b"", b"held")


def test_what_is_no_pipe_is_refused(same_on_both, tmp_path):
    async def scenario():
        loop = asyncio.get_running_loop()
        refused = []
        for connect, mode in ((loop.connect_read_pipe, "rb"), (loop.connect_write_pipe, "wb")):
            path = tmp_path / "file"
            path.write_bytes(b"")
            with open(path, mode) as file:
                try:
                    await connect(Told, file)
                except ValueError as error:
                    refused.append(str(error))
        return refused

    assert len(same_on_both(scenario)) == 2


def test_sockets_and_terminals_are_pipes_too(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        reader, heard = await loop.connect_read_pipe(Told, ours)
        theirs.send(b"socket")
        theirs.close()
        await heard.lost
        master, slave = os.openpty()
        terminal, typed = await loop.connect_read_pipe(Told, os.fdopen(master, "rb", 0))
        os.write(slave, b"typed\n")
        while not typed.received:
            await asyncio.sleep(0.001)
        os.close(slave)
        await typed.lost
        return heard.received, heard.events, typed.received, typed.events

    same_on_both(scenario)


class Process(asyncio.SubprocessProtocol):
    def __init__(self):
        self.events = []
        self.out = {1: b"", 2: b""}
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.events.append("made")

    def pipe_data_received(self, fd, data):
        self.out[fd] += data

    def pipe_connection_lost(self, fd, error):
        self.events.append(("pipe lost", fd))

    def process_exited(self):
        self.events.append("exited")

    def connection_lost(self, error):
        self.events.append("lost")
        self.lost.set_result(error)


def test_what_a_process_protocol_is_told(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        script = "import sys; sys.stderr.write('err'); print(sys.stdin.read()[::-1])"
        transport, protocol = await loop.subprocess_exec(Process, sys.executable, "-S", "-c", script)
        pipe = transport.get_pipe_transport(0)
        pipe.write(b"abc")
        pipe.close()
        await protocol.lost
        seen = (
            protocol.out,
            sorted(map(str, protocol.events)),
            protocol.events[-1],
            transport.get_returncode(),
            isinstance(transport, asyncio.SubprocessTransport),
            transport.get_pid() > 0,
            transport.is_closing(),
        )
        transport.close()
        return seen

    same_on_both(scenario)


@pytest.mark.parametrize("how", ["terminate", "kill", "signal", "close"])
def test_a_process_is_ended(same_on_both, how):
    async def scenario():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(Process, "sleep", "1000", stdin=None)
        if how == "signal":
            transport.send_signal(signal.SIGHUP)
        else:
            getattr(transport, how)()
        await protocol.lost
        code = transport.get_returncode()
        transport.close()
        try:
            transport.send_signal(signal.SIGHUP)
        except ProcessLookupError:
            return code, "gone"

    assert same_on_both(scenario)[1] == "gone"


def test_options_of_a_process(same_on_both, tmp_path):
    async def output(*args, **options):
        process = await asyncio.create_subprocess_exec(*args, stdout=subprocess.PIPE, **options)
        out, _ = await process.communicate()
        return out.strip(), process.returncode

    async def scenario():
        seen = [
            await output("pwd", cwd="/"),
            await output("sh", "-c", "echo $VARIABLE", env={"VARIABLE": "value", "PATH": os.environ["PATH"]}),
            await output("false"),
            await output(
                sys.executable, "-S", "-c", "import os; print(os.getsid(0) == os.getpid())", start_new_session=True
            ),
            await output("sh", "-c", "umask", umask=0o77),
            await output("sh", "-c", "echo to stderr >&2", stderr=subprocess.STDOUT),
            await output("nobody-would-call-it-this", executable="pwd", cwd="/"),
        ]
        reading, writing = os.pipe()
        seen.append(await output("sh", "-c", f"echo kept > /dev/fd/{writing}", pass_fds=[writing]))
        seen.append(os.read(reading, 10))
        os.close(reading), os.close(writing)
        process = await asyncio.create_subprocess_shell("cat; exit 3", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        seen.append((await process.communicate(b"through a shell"), process.returncode))
        for args, options in (
            (("no-such-program",), {}),
            (("pwd",), {"cwd": "/no/such/folder"}),
            (("pwd",), {"universal_newlines": True}),
            (("pwd",), {"shell": True}),
            (("pwd",), {"bufsize": 1}),
            (("pwd\0",), {}),
        ):
            try:
                await output(*args, **options)
            except (OSError, ValueError) as error:
                seen.append((type(error).__name__, str(error)))
        return seen

    same_on_both(scenario)


def test_a_process_that_reads_nothing_does_not_hold_its_owner(same_on_both):
    async def scenario():
        process = await asyncio.create_subprocess_exec("true", stdin=subprocess.PIPE)
        await process.wait()
        # More than the pipe holds, into one that nobody reads.
        return await process.communicate(b"x" * 1_000_000), process.returncode

    assert same_on_both(scenario) == ((None, None), 0)


def test_many_processes_at_once(run):
    async def one(n):
        process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {n}")
        return await process.wait()

    async def main():
        assert await asyncio.gather(*(one(n) for n in range(50))) == list(range(50))

    run(main())
