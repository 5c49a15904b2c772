"""What asyncio's own code does on the native loop: TLS, UDP, Unix sockets, pipes, subprocesses, files."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys

import pytest
import trustme

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def contexts():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def upper(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def converse(reader, writer):
    for number in range(20):
        writer.write(b"line %d\n" % number)
        assert await reader.readline() == b"LINE %d\n" % number
    writer.close()
    await writer.wait_closed()


def test_tls(run, contexts):
    async def main():
        server = await asyncio.start_server(upper, "127.0.0.1", 0, ssl=contexts[0])
        port = server.sockets[0].getsockname()[1]
        streams = await asyncio.open_connection("127.0.0.1", port, ssl=contexts[1], server_hostname="localhost")
        assert streams[1].get_extra_info("peercert")
        await converse(*streams)
        server.close()
        await asyncio.sleep(0.01)

    run(main())


def test_start_tls(run, contexts):
    async def serve(reader, writer):
        assert await reader.readline() == b"starttls\n"
        writer.write(b"go\n")
        await writer.start_tls(contexts[0])
        await upper(reader, writer)

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"starttls\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(contexts[1], server_hostname="localhost")
        await converse(reader, writer)
        server.close()
        await asyncio.sleep(0.01)

    run(main())


def test_unix_sockets(run, tmp_path):
    async def main():
        path = str(tmp_path / "socket")
        server = await asyncio.start_unix_server(upper, path)
        await converse(*await asyncio.open_unix_connection(path))
        server.close()
        await asyncio.sleep(0.01)

    run(main())


def test_datagrams(run):
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(data.upper(), address)

    class Client(asyncio.DatagramProtocol):
        def __init__(self):
            self.answer = asyncio.get_running_loop().create_future()

        def datagram_received(self, data, address):
            self.answer.set_result(data)

    async def main():
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        client, protocol = await loop.create_datagram_endpoint(Client, remote_addr=address)
        client.sendto(b"hello")
        assert await asyncio.wait_for(protocol.answer, 10) == b"HELLO"
        client.close()
        server.close()
        await asyncio.sleep(0.01)

    run(main())


def test_pipes(run):
    async def main():
        loop = asyncio.get_running_loop()
        read_end, write_end = os.pipe()
        reader = asyncio.StreamReader()
        reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end))
        writing, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(write_end, "w"))
        writing.write(b"through the pipe\n")
        assert await reader.readline() == b"through the pipe\n"
        writing.close()
        assert await reader.read() == b""
        reading.close()
        await asyncio.sleep(0.01)

    run(main())


def test_subprocesses(run):
    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import sys; print(sys.stdin.read().upper()); sys.exit(3)",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate(b"words")
        assert (out, process.returncode) == (b"WORDS\n", 3)
        shells = [await asyncio.create_subprocess_shell(f"exit {code}") for code in range(5)]
        assert [await shell.wait() for shell in shells] == list(range(5))

    run(main())


def test_sock_calls_and_sendfile(run, tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        content = bytes(range(256)) * 4000
        (tmp_path / "file").write_bytes(content)
        received = bytearray()

        async def collect(reader, writer):
            received.extend(await reader.read())
            writer.close()
            done.set()

        done = asyncio.Event()
        server = await asyncio.start_server(collect, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"head")
        with (tmp_path / "file").open("rb") as file:
            assert await loop.sendfile(writer.transport, file) == len(content)
        writer.write(b"tail")
        writer.close()
        await done.wait()
        assert received == b"head" + content + b"tail"
        done.clear()
        received.clear()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            await loop.sock_sendall(sock, content)
        await done.wait()
        assert received == content
        server.close()
        await asyncio.sleep(0.01)

    run(main())


@pytest.mark.parametrize("debug", [False, True])
def test_every_form_of_a_name_is_resolved(same_on_both, debug):
    async def scenario():
        loop = asyncio.get_running_loop()
        outcomes = []
        for host, port, options in (
            ("127.0.0.1", 80, {}),
            ("127.0.0.1", "80", {"type": socket.SOCK_STREAM}),
            ("127.0.0.1", None, {"type": socket.SOCK_DGRAM}),
            ("127.0.0.1", b"80", {}),
            ("127.0.0.1", "http", {}),
            ("127.0.0.1", -1, {}),
            ("127.0.0.1", 70000, {}),
            ("127.0.0.1", 1.5, {}),
            ("127.0.0.1", 80, {"family": socket.AF_INET6}),
            ("127.0.0.1", 80, {"flags": socket.AI_CANONNAME}),
            ("127.0.0.1", 80, {"flags": socket.AI_NUMERICHOST, "proto": socket.IPPROTO_TCP}),
            ("127.0.0.01", 80, {}),
            ("::1", 80, {}),
            ("::1%lo", 80, {}),
            ("::ffff:1.2.3.4", 80, {}),
            (":", 80, {"flags": socket.AI_NUMERICHOST}),
            ("a\0b", 80, {}),
            ("", 80, {}),
            (None, 80, {}),
            (b"127.0.0.1", 80, {}),
            ("localhost", 80, {"family": socket.AF_INET, "type": socket.SOCK_STREAM}),
        ):
            try:
                outcomes.append(await loop.getaddrinfo(host, port, **options))
            except Exception as error:
                outcomes.append((type(error).__name__, str(error)))
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError):
            await loop.getaddrinfo("127.0.0.1", 80)
        return outcomes

    same_on_both(scenario, debug=debug)


def test_the_answer_about_numbers_belongs_to_who_asked(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        answers = []
        for port in (80, 80, True, "80", 80.0, 80):
            for family in (0, socket.AF_INET, int(socket.AF_INET), socket.AF_INET6):
                try:
                    answer = await loop.getaddrinfo("127.0.0.1", port, family=family)
                except (OSError, TypeError) as error:
                    answers.append(type(error))
                else:
                    answers.append(list(answer))
                    answer.clear()
        return answers

    same_on_both(scenario)


def test_what_a_program_puts_in_place_of_getaddrinfo_is_asked(same_on_both, monkeypatch):
    async def scenario():
        loop = asyncio.get_running_loop()
        before = await loop.getaddrinfo("127.0.0.1", 80)
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", lambda *args: args)
            during = await loop.getaddrinfo("127.0.0.1", 80)
        return before, during, await loop.getaddrinfo("127.0.0.1", 80)

    before, during, after = same_on_both(scenario)
    assert during[:2] == ("127.0.0.1", 80)
    assert before == after


def test_each_question_about_numbers_is_audited():
    """In a process of its own: hooks cannot be taken out again."""
    program = """
import asyncio, sys, ourio

def told(factory):
    events = []
    sys.addaudithook(lambda name, args: events.append(args) if name == "socket.getaddrinfo" else None)

    async def main():
        for port in (80, 80, "81", 80):
            await asyncio.get_running_loop().getaddrinfo("127.0.0.1", port)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    return events[:]

stock, native = told(asyncio.SelectorEventLoop), told(ourio.new_event_loop)
assert len(native) == 4 and stock == native, (stock, native)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
